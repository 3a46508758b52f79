"""What hidden tests are written with: comparison with tolerances from the arithmetic, gradients, unchanged inputs.

Hidden tests are ordinary pytest tests with these fixtures:

`impl`   the learner's module (in another process; use it as if it were here)
`gen`    a `torch.Generator`, seeded from the run's seed and the check's id: all random inputs come from it
`seed`   an int from the same source, for what takes no generator

Expected values come from an independent source (a closed form, a loop over scalars, a library), computed in
float64 wherever that is possible, and are compared with `assert_close`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from grader.measuring import LargestTensor

# Unit roundoff: the largest relative error of rounding one real number to the format, 2**-(p) for p bits of
# significand (IEEE 754-2019, table 3.5; bfloat16 has 8 bits).
UNIT_ROUNDOFF = {
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
}
# Half precision is accumulated in float32 (CONTRACT: "accumulated in float32 and returned in the input's dtype").
ACCUMULATES_IN = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


class Mismatch(AssertionError):
    """A failed comparison. `str()` of it is what the learner reads."""


def tolerance(dtype: torch.dtype, terms: int, magnitude: float) -> float:
    """The largest honest difference from the exact result, in absolute terms.

    A sum of n products, in any order, is off by at most about n u sum|a b| (Higham, Accuracy and Stability of
    Numerical Algorithms, 2nd ed., section 3.1), u the unit roundoff of the accumulator; the functions around it
    (exp, sqrt, division) add a few u each, and exp(x) magnifies the error of its argument by |x|, of order 10
    here. Hence 8 u_acc (terms + 8). Rounding to the output's format, possibly of an intermediate as well, adds
    4 u_out. Both are relative to `magnitude`, the size of what is summed.
    """
    u_out = UNIT_ROUNDOFF[dtype]
    u_acc = UNIT_ROUNDOFF[ACCUMULATES_IN.get(dtype, dtype)]
    return (8 * u_acc * (terms + 8) + 4 * u_out) * magnitude


def assert_close(
    actual: Any,
    expected: Tensor | float,
    *,
    terms: int = 1,
    magnitude: float | None = None,
    dtype: torch.dtype | None = None,
    what: str = "result",
) -> None:
    """Compare the learner's tensor (or number) with an independently computed one.

    terms: length of the longest sum behind one element (D for a dot product, Lk for a weighted mean, ...).
    magnitude: size of the terms summed; the largest |expected| unless given.
    dtype: the dtype that `actual` must have; `expected` is usually float64, so name it where it is not
        float32. Complex, integer and boolean results are compared exactly.
    Raises Mismatch, with count, worst index, both values, tolerance and shapes.
    """
    if not isinstance(expected, Tensor):
        _assert_number(actual, expected, terms, magnitude, what)
        return
    assert_tensor(actual, shape=expected.shape, dtype=dtype or _default_dtype(expected), what=what)
    if not actual.dtype.is_floating_point:
        _compare(actual, expected.to(actual.dtype), 0.0, what)
        return
    finite = expected[torch.isfinite(expected)]
    size = magnitude if magnitude is not None else float(finite.abs().max()) if finite.numel() else 0.0
    smallest = torch.finfo(actual.dtype).smallest_normal  # below it, rounding is absolute
    _compare(actual, expected, tolerance(actual.dtype, terms, size) + smallest, what)


def assert_tensor(
    actual: Any,
    *,
    shape: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
    what: str = "result",
) -> None:
    """`actual` is a tensor of this shape and dtype, on the CPU; Mismatch otherwise."""
    if not isinstance(actual, Tensor):
        raise Mismatch(f"{what}: expected a tensor, got {describe(actual)}")
    if shape is not None and tuple(actual.shape) != tuple(shape):
        raise Mismatch(f"{what}: expected shape {tuple(shape)}, got {tuple(actual.shape)}")
    if dtype is not None and actual.dtype != dtype:
        raise Mismatch(f"{what}: expected dtype {_short(dtype)}, got {_short(actual.dtype)}")
    if actual.device.type != "cpu":
        raise Mismatch(f"{what}: expected a tensor on cpu, got one on {actual.device}")


def assert_equal(actual: Any, expected: Tensor, *, what: str = "result") -> None:
    """Equal to the last bit, same shape and dtype (NaN equals NaN): masks, integer results, exact zeros."""
    assert_tensor(actual, shape=expected.shape, dtype=expected.dtype, what=what)
    _compare(actual, expected, 0.0, what)


def _default_dtype(expected: Tensor) -> torch.dtype:
    return torch.float32 if expected.dtype == torch.float64 else expected.dtype


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def describe(value: Any) -> str:
    """A value of any kind in a few words."""
    if isinstance(value, Tensor):
        return f"a {_short(value.dtype)} tensor of shape {tuple(value.shape)}"
    if value is None:
        return "None"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _assert_number(actual: Any, expected: float, terms: int, magnitude: float | None, what: str) -> None:
    if isinstance(actual, Tensor) and actual.numel() == 1:
        actual = actual.item()
    if isinstance(actual, bool) or not isinstance(actual, int | float):
        raise Mismatch(f"{what}: expected a number, got {describe(actual)}")
    allowed = tolerance(torch.float64, terms, abs(expected) if magnitude is None else magnitude)
    if actual == expected or abs(actual - expected) <= allowed:
        return
    raise Mismatch(
        f"{what}: expected {_number(expected)}, got {_number(actual)}"
        f" (off by {abs(actual - expected):.3g}, allowed {allowed:.1g})"
    )


def _compare(actual: Tensor, expected: Tensor, allowed: float, what: str) -> None:
    got, want = _widen(actual), _widen(expected)
    same = (got == want) | (torch.isnan(got) & torch.isnan(want)) if want.dtype.is_floating_point else got == want
    if want.dtype.is_floating_point:
        error = torch.where(same, torch.zeros_like(got), (got - want).abs())
        error = torch.where(torch.isnan(error), torch.full_like(error, math.inf), error)
    else:
        error = (~same).to(torch.float64)
    wrong = error > allowed
    count = int(wrong.sum())
    if not count:
        return
    worst = int(error.flatten().argmax())
    index = [int(i) for i in torch.unravel_index(torch.tensor(worst), want.shape)] if want.dim() else []
    where = f" at {index}" if index else ""
    off = float(error.flatten()[worst])
    limit = f" (off by {off:.3g}, allowed {allowed:.1g})" if allowed and math.isfinite(off) else ""
    many = f"{count} of {want.numel()} values differ" if want.numel() > 1 else "differs"
    raise Mismatch(
        f"{what}: {many}; the worst{where}\n"
        f"  expected {_number(want.flatten()[worst].item())}\n"
        f"  got      {_number(got.flatten()[worst].item())}{limit}\n"
        f"  shape    {tuple(want.shape)}, {_short(actual.dtype)}"
    )


def _widen(t: Tensor) -> Tensor:
    t = t.detach()
    return t.to(torch.float64) if t.dtype.is_floating_point else t


def _number(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def assert_gradients(
    learner: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: Sequence[Tensor],
    gen: torch.Generator,
    *,
    terms: int = 1,
    magnitude: float | None = None,
    names: Sequence[str] | None = None,
) -> None:
    """The learner's vector-Jacobian products equal the reference's, for one random cotangent an output.

    A random cotangent catches detached, rebuilt and wrong backward passes that a sum hides. `reference` is an
    independent differentiable formula; it is run in float64, `learner` in the inputs' own dtype. Both return a
    tensor or a tuple of tensors.
    """
    names = names or [f"input {i}" for i in range(len(inputs))]
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    exact = [x.detach().to(torch.float64).requires_grad_() for x in inputs]
    outputs, wanted = _as_tuple(learner(*leaves)), _as_tuple(reference(*exact))
    cotangents = []
    for i, (got, want) in enumerate(zip(outputs, wanted, strict=True)):
        label = "output" if len(wanted) == 1 else f"output {i}"
        assert_tensor(got, shape=want.shape, what=label)
        if not got.requires_grad:
            raise Mismatch(f"{label}: no gradient flows through it (detached, or rebuilt from numbers?)")
        cotangents.append(torch.randn(want.shape, generator=gen, dtype=torch.float64))
    grads: Sequence[Tensor | None] = torch.autograd.grad(
        outputs, leaves, [c.to(o.dtype) for c, o in zip(cotangents, outputs, strict=True)], allow_unused=True
    )
    exact_grads = torch.autograd.grad(
        wanted,
        exact,
        [c.to(o.dtype).double() for c, o in zip(cotangents, outputs, strict=True)],
        allow_unused=True,
    )
    for name, leaf, grad, want_grad in zip(names, leaves, grads, exact_grads, strict=True):
        target = torch.zeros_like(leaf, dtype=torch.float64) if want_grad is None else want_grad
        if grad is None:
            if bool((target == 0).all()):
                continue
            raise Mismatch(f"gradient of {name}: none flows back to it")
        assert_close(grad, target, terms=terms, magnitude=magnitude, dtype=leaf.dtype, what=f"gradient of {name}")


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


@contextmanager
def unchanged(**inputs: Tensor) -> Iterator[None]:
    """The code inside leaves these tensors as they were, to the last bit."""
    before = {name: t.detach().clone() for name, t in inputs.items()}
    yield
    for name, t in inputs.items():
        if not torch.equal(_bits(t), _bits(before[name])):
            raise Mismatch(f"input {name} was changed in place; a function must leave its inputs as they were")


def _bits(t: Tensor) -> Tensor:
    flat = t.detach().reshape(-1)
    # A single element, or none, counts as contiguous whatever its stride, and cannot be seen as bytes then.
    return (flat if flat.stride(0) == 1 else flat.clone(memory_format=torch.contiguous_format)).view(torch.uint8)


def largest_tensor(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, int]:
    """(function(*args, **kwargs), the most elements in the memory of any one tensor made meanwhile).

    Counted on the learner's side of the wall: it tells honest code what it did, and the limit of memory in `drill.toml`
    is what cannot be talked round. The result carries no gradient.
    """
    behind_the_wall = getattr(type(function), "__measured_call__", None)
    if behind_the_wall is not None:
        value, elements = behind_the_wall(function, *args, **kwargs)
        return value, int(elements)
    with LargestTensor() as largest:
        value = function(*args, **kwargs)
    return value, largest.elements


def seeded(seed: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, Tensor]:
    """(function(*args, **kwargs), torch's global random state afterwards), called with that state seeded.

    The global state is the one that the learner's code sees. A call that leaves it alone gives
    `torch.Generator().manual_seed(seed).get_state()` back. The result carries no gradient.
    """
    behind_the_wall = getattr(type(function), "__seeded_call__", None)
    if behind_the_wall is not None:
        value, state = behind_the_wall(function, seed, *args, **kwargs)
        return value, state
    torch.default_generator.manual_seed(seed)
    return function(*args, **kwargs), torch.default_generator.get_state()


def noncontiguous(t: Tensor) -> Tensor:
    """The same values with other strides: every second element of a larger, transposed storage."""
    if t.dim() == 0:
        return t
    spread = torch.zeros(*t.shape[:-1], 2 * t.shape[-1], dtype=t.dtype)
    reordered = spread.permute(*reversed(range(t.dim()))).contiguous().permute(*reversed(range(t.dim())))
    view = reordered[..., ::2]
    view.copy_(t.detach())
    return view
