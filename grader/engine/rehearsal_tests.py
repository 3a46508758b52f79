"""What a judge rehearses with: the shape of hidden tests, about nothing. No learner's code meets them."""

from typing import Any

import pytest
import torch

from grader.testing import assert_close, assert_equal, assert_gradients, noncontiguous, unchanged


def test_values(impl: Any, gen: torch.Generator) -> None:
    """Values"""
    x = torch.randn(2, 3, 4, generator=gen)
    with unchanged(x=x):
        result = impl.function(noncontiguous(x))
    assert_close(result, result.double(), terms=4)
    assert_equal(result > 0, result > 0)


def test_gradients(impl: Any, gen: torch.Generator) -> None:
    """Gradients"""
    x = torch.randn(2, 3, 4, generator=gen)
    assert_gradients(impl.function, lambda x: impl.function(x.float()).double(), [x], gen, terms=64)


def test_modules(impl: Any, gen: torch.Generator) -> None:
    """Modules"""
    layer = impl.Layer(4)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(4, generator=gen))
    layer(torch.randn(2, 3, 4, generator=gen)).sum().backward()
    assert layer.weight.grad is not None


def test_exceptions(impl: Any) -> None:
    """Exceptions, and a comparison that fails"""
    with pytest.raises(ValueError, match="as asked"):
        impl.refuse(1)
    assert_close(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.float64))
