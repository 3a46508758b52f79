"""What a computation costs, counted and not timed: for a drill's `evidence.py`. Works on data-less tensors too
(device "meta"), and sees functions of torch, not what they call inside."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

PRODUCTS = ("matmul", "__matmul__", "mm", "bmm")


class Count(TorchFunctionMode):
    """While it is entered.

    flops: multiplications and additions of the matrix products, 2 n for an element that sums n products.
    elements: of the largest tensor that each function takes or returns, summed: what it has to go through.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.elements = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements += max(x.numel() for x in (*args, result) if isinstance(x, Tensor))
            if func.__name__ in PRODUCTS:
                self.flops += 2 * result.numel() * args[0].size(-1)
        return result
