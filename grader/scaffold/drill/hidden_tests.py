"""Hidden tests: ordinary pytest functions. `impl` is the learner's module, `gen` a generator seeded by the run.

Before writing one, list the wrong answers that it must reject (they become mistakes.py) and the right ones that it
must not (equivalents.py). Expected values come from an independent source: a closed form, a loop over scalars, a
library.
"""

import pytest
import torch

from grader.testing import assert_close, unchanged


def by_hand(x: torch.Tensor) -> torch.Tensor:
    """Row by row, in float64 and with Python's own sum."""
    rows = [[value - sum(row) / len(row) for value in row] for row in x.double().reshape(-1, x.shape[-1]).tolist()]
    return torch.tensor(rows, dtype=torch.float64).reshape(x.shape)


def test_worked_example(impl):
    """[1, 2, 6] becomes [-2, -1, 3]

    The first line is the check's title; the rest is the hint that a learner sees when it fails. The mean is 3.
    """
    x = torch.tensor([1.0, 2.0, 6.0])
    assert_close(
        impl.my_drill(x), torch.tensor([-2.0, -1.0, 3.0], dtype=torch.float64), terms=3, what="my_drill([1, 2, 6])"
    )


def test_each_row_by_itself(impl, gen):
    """The mean is each row's own, with any leading dimensions

    Square shapes hide a mean over the wrong dimension: these are not square.
    """
    for shape in ((5,), (2, 5), (2, 3, 5)):
        x = torch.randn(shape, generator=gen)
        with unchanged(x=x):
            result = impl.my_drill(x)
        # terms: the length of the longest sum behind one element; the tolerance follows from it and from the dtype.
        assert_close(result, by_hand(x), terms=5, magnitude=float(x.abs().max()), what=f"my_drill of x {shape}")


def test_dtypes(impl, gen):
    """The result has the dtype of x, and its accuracy"""
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        x = torch.randn(3, 7, generator=gen).to(dtype)
        expected, size = by_hand(x), float(x.abs().max())
        assert_close(impl.my_drill(x), expected, terms=7, magnitude=size, dtype=dtype, what=f"my_drill in {dtype}")


def test_gradient(impl, gen):
    """The gradient is centred as well

    A random cotangent: the Jacobian is the identity less the mean, so its gradient is the cotangent less its mean.
    """
    x = torch.randn(2, 4, generator=gen).requires_grad_()
    cotangent = torch.randn(2, 4, generator=gen)
    (gradient,) = torch.autograd.grad(impl.my_drill(x), x, cotangent)
    assert_close(gradient, by_hand(cotangent), terms=8, magnitude=float(cotangent.abs().max()), what="gradient of x")


def test_no_dimension_is_an_error(impl):
    """A tensor without dimensions raises ValueError"""
    with pytest.raises(ValueError):
        impl.my_drill(torch.tensor(3.0))
