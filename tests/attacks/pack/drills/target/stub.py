"""Small things of every kind that a hidden test can ask for.

- `double`: twice a tensor, and nothing else changed.
- `pick`: numbers from a generator.
- `Scale`: a module with one parameter.
"""

import torch
from torch import Tensor, nn


def double(x: Tensor) -> Tensor:
    """Twice x, of any shape and dtype; x is left as it is."""
    raise NotImplementedError


def pick(n: int, generator: torch.Generator) -> Tensor:
    """n uniform numbers, as torch.rand draws them from the generator. ValueError for a negative n."""
    raise NotImplementedError


class Scale(nn.Module):
    """Multiplies by its parameter `factor`, a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
