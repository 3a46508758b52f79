"""How much memory a computation takes at a time, by its tensors."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class LargestTensor(TorchFunctionMode):
    """While it is entered: the most elements in the storage of any one tensor that a function of torch returned.

    Storage, not shape: a mask expanded from one row holds one row. What a function of torch makes and drops inside is
    not seen, nor are NumPy's arrays, and code that wants to hide can: it is a hint for the honest, behind which the
    limit of memory stands. (A TorchDispatchMode would see more, and imports torch's compiler.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.elements = max(self.elements, _stored(leaf))
        return result


def _stored(tensor: Tensor) -> int:
    while torch._C._functorch.is_batchedtensor(tensor):  # under vmap: of all the batch
        tensor = torch._C._functorch.get_unwrapped(tensor)
    with contextlib.suppress(NotImplementedError, RuntimeError):  # sparse tensors have no storage
        return tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.numel()
