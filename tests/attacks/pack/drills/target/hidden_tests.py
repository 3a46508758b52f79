import pytest
import torch

from grader.testing import assert_close, assert_equal, unchanged


def test_double(impl, gen):
    """double gives twice its argument"""
    x = torch.randn(3, 5, generator=gen)
    assert_close(impl.double(x), x.double() + x.double())


def test_double_of_integers(impl, gen):
    """double keeps the dtype"""
    x = torch.randint(0, 100, (4, 2), generator=gen)
    assert_equal(impl.double(x), x + x)


def test_gradient_of_double(impl, gen):
    """The gradient of double is two"""
    x = torch.randn(2, 3, generator=gen).requires_grad_()
    cotangent = torch.randn(2, 3, generator=gen)
    (gradient,) = torch.autograd.grad(impl.double(x), x, cotangent)
    assert_close(gradient, cotangent.double() * 2)


def test_double_of_much(impl, gen):
    """double works for a megabyte, more than once"""
    x = torch.randn(512, 512, generator=gen)
    for _ in range(3):
        y = impl.double(x)
    assert_close(y, x.double() * 2)


def test_double_leaves_its_argument(impl, gen):
    """double does not change its argument"""
    x = torch.randn(6, generator=gen)
    with unchanged(x=x):
        impl.double(x)


def test_pick(impl, gen):
    """pick draws from its generator"""
    state = gen.get_state()
    again = torch.Generator()
    again.set_state(state)
    assert_equal(impl.pick(5, gen), torch.rand(5, generator=again))
    assert_equal(impl.pick(0, gen), torch.rand(0))


def test_pick_refuses(impl, gen):
    """pick refuses a negative number"""
    with pytest.raises(ValueError):
        impl.pick(-1, gen)


def test_scale(impl, gen):
    """Scale multiplies by its parameter"""
    x = torch.randn(2, 4, generator=gen)
    scale = impl.Scale(3.0)
    y = scale(x)
    assert_close(y, x.double() * 3)
    ((name, factor),) = scale.named_parameters()
    y.sum().backward()
    assert name == "factor"
    assert_close(factor.grad, x.double().sum(), terms=8, magnitude=float(x.abs().sum()))
