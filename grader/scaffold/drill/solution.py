"""My drill: the code one would write on the whiteboard."""

from torch import Tensor


def my_drill(x: Tensor) -> Tensor:
    if x.dim() == 0:
        raise ValueError("x must have at least one dimension")
    return x - x.mean(-1, keepdim=True)  # (..., E) - (..., 1)
