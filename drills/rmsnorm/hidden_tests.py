"""Hidden tests of RMSNorm.

Expected values are computed one scalar at a time in float64 (`by_hand`) or known in closed form. Gradients
are compared with the closed form (`gradients_by_hand`) and with torch's own operator, which is ruled out for
the learner only.
"""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from grader.testing import (
    Mismatch,
    assert_close,
    assert_equal,
    assert_gradients,
    assert_tensor,
    noncontiguous,
    unchanged,
)

F64, F32, F16, BF16 = torch.float64, torch.float32, torch.float16, torch.bfloat16
DTYPES = (F16, BF16, F32, F64)


def by_hand(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """RMSNorm in float64, a scalar at a time."""
    size = x.shape[-1]
    gain = [1.0] * size if weight is None else weight.detach().double().tolist()
    rows = []
    for row in x.detach().double().reshape(-1, size).tolist():
        rms = math.sqrt(math.fsum(v * v for v in row) / size + eps)
        rows.append([v / rms * g for v, g in zip(row, gain, strict=True)])
    return torch.tensor(rows, dtype=F64).reshape(x.shape)


def gradients_by_hand(x: Tensor, weight: Tensor, eps: float, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    """The vector-Jacobian products for x and weight, in float64, from the closed form.

    With s = mean(x**2) + eps and cotangent c: dx = (c w - x mean(c w x) / s) / sqrt(s), and dw is the sum of
    c x / sqrt(s) over all vectors.
    """
    x, weight, cotangent = x.detach().double(), weight.detach().double(), cotangent.double()
    squared = x.square().mean(-1, keepdim=True) + eps
    scaled = cotangent * weight
    dx = (scaled - x * (scaled * x).mean(-1, keepdim=True) / squared) / squared.sqrt()
    dw = (cotangent * x / squared.sqrt()).reshape(-1, x.shape[-1]).sum(0)
    return dx, dw


def uneven(gen: torch.Generator, *shape: int) -> Tensor:
    """Float64 vectors with a mean other than 0, their sizes 1 to 20, where eps = 1e-6 hardly counts."""
    x = 0.5 + 2.5 * torch.rand(shape, generator=gen, dtype=F64)
    x = torch.where(torch.rand(shape, generator=gen) < 0.25, -x, x)
    sizes = 20.0 ** torch.rand(*shape[:-1], 1, generator=gen, dtype=F64)
    return x * sizes


def gains(gen: torch.Generator, size: int) -> Tensor:
    """Float64 gains of both signs, none close to 0 or 1."""
    signs = torch.randint(0, 2, (size,), generator=gen) * 2.0 - 1.0
    return signs.double() * (1.2 + 0.8 * torch.rand(size, generator=gen, dtype=F64))


def module(impl, weight: Tensor, **options):
    """An RMSNorm with these gains, in their dtype."""
    norm = impl.RMSNorm(weight.numel(), **options)
    if weight.dtype != F32:
        norm.to(weight.dtype)
    with torch.no_grad():
        norm.weight.copy_(weight)
    return norm


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def assert_norm(apply: Callable[..., Tensor], x: Tensor, *args, what: str = "rms_norm", **options) -> None:
    """apply(x, ...) is RMSNorm of x, to the precision of x.dtype."""
    expected = by_hand(x, *args, **options)  # first: apply might change x
    assert_close(apply(x, *args, **options), expected, terms=x.shape[-1], dtype=x.dtype, what=what)


def backward(result: Tensor, wrt: list[Tensor], cotangent: Tensor, what: str) -> list[Tensor]:
    """The gradients of <result, cotangent>, zeros where none flows back."""
    assert_tensor(result, shape=cotangent.shape, what=what)
    if not result.requires_grad:
        raise Mismatch(f"{what}: no gradient flows through it (detached, or rebuilt from numbers?)")
    grads = torch.autograd.grad(result, wrt, cotangent.to(result.dtype), allow_unused=True)
    return [torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(wrt, grads, strict=True)]


def assert_float32_statistics(apply: Callable[..., Tensor], gen: torch.Generator, what: str) -> None:
    """Half precision: no square overflows, no long sum stalls, no mean square is rounded to half."""
    signs = torch.tensor([[1.0, -1.0, 1.0, 1.0, -1.0]])
    # The square 2**-24 is float16's smallest number, a fifth of it is none: a mean taken in half is 0 here.
    smallest = torch.tensor([[2.0**-12, 0.0, 0.0, 0.0, 0.0]], dtype=F16)
    assert_norm(apply, smallest, eps=0.0, what=f"{what} of [2**-12, 0, 0, 0, 0] in float16, eps=0")
    for dtype in (F16, BF16):
        for size, eps in ((300.0, 1e-6), (3e4, 1e-6), (1e-4, 0.0)):
            x = (signs * size).to(dtype)
            assert_norm(apply, x, eps=eps, what=f"{what} of {size:g}s in {short(dtype)}, eps={eps:g}")
        # Added up in half, 1000 squares of 1.3 stop growing, or grow in too large steps.
        x = (signs * 1.3).repeat(1, 200).to(dtype)
        assert_norm(apply, x, eps=0.0, what=f"{what} of 1000 values of 1.3 in {short(dtype)}")
    # A mean square in bfloat16 moves a whole vector by up to 0.2%, less than the tolerance of one value. Over
    # many vectors it shows, best over those that it would move most. `follows` is the slope of how far they
    # are off over how far they would be moved: 1 if the mean square was in bfloat16, 0 if not (standard
    # deviation 0.03). The same holds of its root. Rounding the finished factor 1/rms is another matter and left
    # open: it does not depend on the first rounding and moves the slope by 0.1 (one standard deviation) either
    # way, so that 0.65 is six of them from 0, and ten of the smaller ones from 1.
    pool = (torch.randn(1024, 32, generator=gen) * (1.2 + 0.7 * torch.rand(1024, 1, generator=gen))).to(BF16)
    for way, moves in moved_by_bfloat16(pool).items():
        rows = moves.abs()[:, 0].topk(128).indices
        x, move = pool[rows], moves[rows]  # (128, 32), (128, 1)
        exact = x.double() / x.double().square().mean(-1, keepdim=True).sqrt()
        result = apply(x, eps=0.0)
        assert_close(result, exact, terms=32, dtype=BF16, what=f"{what} of 128 vectors in bfloat16")
        off = (result.detach().double() * exact).mean(-1, keepdim=True) - 1.0
        follows = float((off * move).sum() / move.square().sum())
        if not follows < 0.65:
            raise Mismatch(
                f"{what} of 128 vectors in bfloat16: whole vectors come out too large or too small, as from"
                f" {way}\n  share of that error found in the result: {follows:.2f}, expected 0"
            )


def moved_by_bfloat16(x: Tensor) -> dict[str, Tensor]:
    """How far a mean square in bfloat16, got in one of several ways, or its root moves each vector, relatively."""
    exact = x.double().square().mean(-1, keepdim=True)
    largest = x.abs().amax(-1, keepdim=True)
    rounded = {
        "a mean square rounded to bfloat16": exact.to(BF16).double(),
        "squares and their mean in bfloat16": x.square().mean(-1, keepdim=True).double(),
        "a mean square in bfloat16 of x / max|x|": (
            (x / largest).square().mean(-1, keepdim=True).double() * largest.double().square()
        ),
        "a root mean square rounded to bfloat16": exact.sqrt().to(BF16).double().square(),
    }
    return {way: (exact / square).sqrt() - 1.0 for way, square in rounded.items()}


def assert_float64_accuracy(apply: Callable[..., Tensor], gen: torch.Generator, what: str) -> None:
    """float64 in and out, to float64's own precision, also where eps counts."""
    for size, eps in ((1.0, 1e-6), (1e-4, 1e-6), (1e-2, 3e-4)):
        x, weight = uneven(gen, 3, 7) * size, gains(gen, 7)
        assert_norm(apply, x, weight, eps, what=f"{what} of float64 x around {size:g}, eps={eps:g}")


def test_worked_examples(impl):
    """[1, 3] becomes [1, 3] / sqrt(5), and a constant vector becomes ones

    The mean of the squares of [1, 3] is (1 + 9) / 2 = 5. Work both through on paper before looking at the
    code: a vector of sevens has root mean square 7, whatever its length.
    """
    x = torch.tensor([[1.0, 3.0]])
    expected = torch.tensor([[1.0, 3.0]], dtype=F64) / math.sqrt(5.0)
    assert_close(impl.rms_norm(x), expected, terms=2, what="rms_norm([[1, 3]])")
    for value in (7.0, -3.0):
        expected = torch.full((2, 6), math.copysign(1.0, value), dtype=F64)
        result = impl.rms_norm(torch.full((2, 6), value))
        assert_close(result, expected, terms=6, what=f"rms_norm of a vector of {value:g}s")


def test_each_vector_has_its_own_statistic(impl, gen):
    """Each vector is divided by its own root mean square

    The mean runs over the features of one token, the last dimension, and over nothing else: another token in
    the sequence or in the batch must not change this one's result.
    """
    x = uneven(gen, 2, 3, 5).float()
    louder = x.clone()
    louder[1, 2] *= 1e4
    assert_norm(impl.rms_norm, x, what="rms_norm of x (2, 3, 5)")
    assert_norm(impl.rms_norm, louder, what="rms_norm after token [1, 2] grew by 1e4")
    wide = (uneven(gen, 2, 1000) * torch.linspace(0.2, 2.0, 1000)).float()  # no part of it is like the whole
    assert_norm(impl.rms_norm, wide, what="rms_norm of x (2, 1000), growing along the features")


def test_scale_drops_out_and_shift_does_not(impl, gen):
    """Rescaling a vector changes nothing; shifting it does

    RMSNorm keeps LayerNorm's invariance to the scale of a vector and gives up the invariance to its mean.
    With eps = 0 the mean square of the result is exactly 1, its mean is not 0.
    """
    x = torch.randn(4, 6, generator=gen) + 0.5
    expected = by_hand(x, eps=0.0)
    for scale in (1e-9, 0.25, 1e9):
        result = impl.rms_norm(x * scale, eps=0.0)
        assert_close(result, expected, terms=6, what=f"rms_norm(x * {scale:g}, eps=0)")
    assert_close(impl.rms_norm(-x, eps=0.0), -expected, terms=6, what="rms_norm(-x, eps=0)")
    result = impl.rms_norm(x + 10.0, eps=0.0)
    assert_close(result, by_hand(x + 10.0, eps=0.0), terms=6, what="rms_norm(x + 10, eps=0)")
    assert_close(result.detach().square().mean(-1), torch.ones(4), terms=6, what="mean square of the result")


def test_weight_multiplies_features(impl, gen):
    """Each feature is multiplied by its weight after normalising

    The gain comes last, so the statistic never sees it. None means no gain at all; a weight of zeros is a
    gain like any other.
    """
    x, weight = uneven(gen, 2, 3, 5).float(), gains(gen, 5).float()
    assert_norm(impl.rms_norm, x, weight, what="rms_norm(x, weight)")
    assert_norm(impl.rms_norm, x, weight=weight, what="rms_norm(x, weight=weight)")
    assert_norm(impl.rms_norm, x, weight=None, what="rms_norm(x, weight=None)")
    weight[3] = 0.0
    assert_norm(impl.rms_norm, x, weight, what="rms_norm(x, weight) with weight[3] = 0")
    weight[0], weight[2] = 50.0, -200.0
    assert_norm(impl.rms_norm, x, weight, what="rms_norm(x, weight) with weights of 50 and -200")
    for size in (1, 5):
        result = impl.rms_norm(uneven(gen, 2, size).float(), torch.zeros(size))
        assert_tensor(result, shape=(2, size), what=f"rms_norm with a weight of {size} zeros")
        assert_equal(result.detach().abs(), torch.zeros(2, size), what=f"rms_norm with a weight of {size} zeros")


def test_any_number_of_leading_dimensions(impl, gen):
    """Works for any number of leading dimensions, square shapes included

    The normalised dimension is the last one, not the second or the third, and not the one whose size happens
    to be weight's. A single vector (E,) is fine too.
    """
    shapes = [(5,), (1,), (4, 1), (3, 5), (4, 4), (2, 3, 5), (3, 3, 3), (5, 1, 5), (1, 1, 6), (2, 3, 4, 5)]
    for shape in [*shapes, (2, 3, 1, 2, 4)]:
        x, weight = uneven(gen, *shape).float(), gains(gen, shape[-1]).float()
        assert_norm(impl.rms_norm, x, weight, what=f"rms_norm(x, weight) of x {shape}")
    for shape in ((5,), (4, 4), (2, 3, 4, 5)):
        assert_norm(impl.rms_norm, uneven(gen, *shape).float(), what=f"rms_norm(x) of x {shape}")


def test_eps_inside_the_root(impl, gen):
    """eps is added to the mean square, inside the root, as given

    eps only shows where the mean square is of its size: for a vector of 1e-3s and eps = 1e-6 the result is
    1/sqrt(2). 0.0 is an eps like any other.
    """
    expected = torch.full((2, 5), math.sqrt(0.5), dtype=F64)
    result = impl.rms_norm(torch.full((2, 5), 1e-3))
    assert_close(result, expected, terms=5, what="rms_norm of 1e-3s with the default eps")
    weight = gains(gen, 5).float()
    for eps, size in (
        (1e-2, 0.1),
        (1e-5, 3e-3),
        (1e-12, 1e-6),
        (4.0, 2.0),
        (4.0, 1e-3),
        (0.0, 1e-6),
        (0.0, 1.0),
    ):
        x = (torch.randn(3, 5, generator=gen) + 0.5) * size
        where = f"of x around {size:g}"
        assert_norm(impl.rms_norm, x, weight, eps, what=f"rms_norm(x, weight, {eps:g}) {where}")
        assert_norm(impl.rms_norm, x, eps=eps, what=f"rms_norm(x, eps={eps:g}) {where}")
    # In float16 this eps is 1.19e-7, and moves the result by a twentieth.
    x = torch.full((2, 5), 3e-4, dtype=F16)
    assert_norm(impl.rms_norm, x, eps=1e-7, what="rms_norm(x, eps=1e-07) of 3e-4s in float16")


def test_zeros_stay_zeros(impl, gen):
    """A vector of zeros gives zeros, and its neighbours are as without it

    Padding is often exactly zero. The root of eps is what keeps the division defined.
    """
    for dtype in DTYPES:
        x, weight = uneven(gen, 4, 5).to(dtype), gains(gen, 5).to(dtype)
        x[1] = 0.0
        what = f"rms_norm of {short(dtype)} with a vector of zeros"
        assert_norm(impl.rms_norm, x, weight, what=what)
        zeros = impl.rms_norm(x, weight).detach()[1].abs()
        assert_equal(zeros, torch.zeros(5, dtype=dtype), what=f"{what}: that vector")
    for dtype, eps in ((F32, 1e-12), (F16, 1e-8)):  # in float16 this eps would be 0
        result = impl.rms_norm(torch.zeros(2, 3, dtype=dtype), eps=eps)
        what = f"rms_norm of nothing but zeros, {short(dtype)}, eps={eps:g}"
        assert_tensor(result, shape=(2, 3), dtype=dtype, what=what)
        assert_equal(result.detach().abs(), torch.zeros(2, 3, dtype=dtype), what=what)


def test_result_has_the_dtype_of_x(impl, gen):
    """The result has x's dtype, whatever dtype weight has

    In mixed precision the activations are half and the weights float32. Type promotion then widens the
    product, and every layer after it would run in float32.
    """
    for dtype in DTYPES:
        x = uneven(gen, 3, 5).to(dtype)
        assert_norm(impl.rms_norm, x, what=f"rms_norm of x in {short(dtype)}")
        for weight_dtype in (F32, F16, BF16, F64):
            weight = gains(gen, 5).to(weight_dtype)
            what = f"rms_norm of x in {short(dtype)}, weight in {short(weight_dtype)}"
            assert_norm(impl.rms_norm, x, weight, what=what)


def test_half_precision_statistics(impl, gen):
    """float16 and bfloat16 are squared and averaged in float32

    float16 ends at 65504, so 300 squared is infinite and 1e-4 squared is zero. bfloat16 does not overflow,
    but it has 8 bits: a mean square rounded to it scales the whole vector wrongly.
    """
    assert_float32_statistics(impl.rms_norm, gen, "rms_norm")


def test_float64_accuracy(impl, gen):
    """float64 keeps float64 accuracy

    Widening half precision must not narrow double precision on the way: gradcheck, for one, needs all of it.
    """
    assert_float64_accuracy(impl.rms_norm, gen, "rms_norm")


def test_inputs_are_left_as_they_were(impl, gen):
    """x and weight are not changed in place

    The residual stream reads x again after the norm. Mind that .float() and .to() return the tensor itself
    where there is nothing to convert.
    """
    for dtype in DTYPES:
        x, weight = uneven(gen, 2, 3, 5).to(dtype), gains(gen, 5).to(dtype)
        with unchanged(x=x, weight=weight):
            impl.rms_norm(x, weight)
        with unchanged(x=x):
            impl.rms_norm(x)


def test_any_strides(impl, gen):
    """Transposed, strided and expanded inputs give the same values

    x often arrives transposed or sliced out of a larger tensor. Code that needs contiguous memory fails
    there.
    """
    x, weight = uneven(gen, 2, 3, 5).float(), gains(gen, 5).float()
    assert_norm(impl.rms_norm, noncontiguous(x), noncontiguous(weight), what="rms_norm of strided x and weight")
    assert_norm(impl.rms_norm, x.transpose(0, 1), weight, what="rms_norm of x.transpose(0, 1)")
    assert_norm(impl.rms_norm, x.transpose(1, 2), what="rms_norm of x.transpose(1, 2)")
    assert_norm(impl.rms_norm, x[:, :1].expand(2, 4, 5), weight, what="rms_norm of an expanded x")


def test_gradients(impl, gen):
    """Gradients of x and weight are right, through the root mean square too

    The divisor depends on x. With eps = 0 the scale of x cannot matter, so the gradient is orthogonal to x; a
    detached divisor breaks this.
    """
    for dtype in (F32, F64, F16, BF16):
        for shape in ((2, 3, 5), (2, 130) if dtype == F64 else (6,)):  # float64 sees 1/129 for 1/130
            x, weight = torch.randn(shape, generator=gen).to(dtype) + 1.0, gains(gen, shape[-1]).to(dtype)
            size = shape[-1:]
            assert_gradients(
                impl.rms_norm,
                lambda x, weight, size=size: F.rms_norm(x, size, weight, 1e-6),
                [x, weight],
                gen,
                terms=shape[-1] + 7,
                magnitude=8.0,
                names=[f"x {shape} in {short(dtype)}", f"weight {size} in {short(dtype)}"],
            )
    x = torch.randn(3, 5, generator=gen)
    assert_gradients(
        lambda x: impl.rms_norm(x, eps=0.25),
        lambda x: F.rms_norm(x, (5,), None, 0.25),
        [x],
        gen,
        terms=10,
        magnitude=8.0,
        names=["x without weight, eps=0.25"],
    )
    x.requires_grad_()
    cotangent = torch.randn(3, 5, generator=gen)
    (grad,) = backward(impl.rms_norm(x, eps=0.0), [x], cotangent, "rms_norm(x, eps=0)")
    along = (grad.double() * x.detach().double()).sum(-1).float()
    assert_close(along, torch.zeros(3), terms=10, magnitude=30.0, what="gradient of x along x, eps=0")


def test_gradients_with_zero_vectors(impl, gen):
    """A vector of zeros has a finite gradient and leaves the others' alone

    Near x = 0 the result is x / sqrt(eps) * weight, with a gradient of that slope. The root of 0 has an
    infinite slope, and infinity times 0 is NaN: take the root only after adding eps.
    """
    # Not judged: squares that underflow tell a special case for zeros from a root of zero in the diagnosis.
    impl.rms_norm(torch.full((1, 5), 1e-25))
    for eps in (1e-6, 1e-2):
        x, weight = torch.randn(4, 5, generator=gen) + 1.0, gains(gen, 5).float()
        x[2] = 0.0
        cotangent = torch.randn(4, 5, generator=gen)
        dx, dw = gradients_by_hand(x, weight, eps, cotangent)
        x.requires_grad_()
        weight.requires_grad_()
        what = f"rms_norm with a vector of zeros, eps={eps:g}"
        gx, gw = backward(impl.rms_norm(x, weight, eps), [x, weight], cotangent, what)
        others = [0, 1, 3]
        assert_close(gx[2], dx[2], terms=10, what=f"{what}: its gradient")
        assert_close(gx[others], dx[others], terms=10, magnitude=8.0, what=f"{what}: gradient of the others")
        assert_close(gw, dw, terms=10, magnitude=8.0, what=f"{what}: gradient of weight")


def test_module_has_one_parameter(impl, gen):
    """RMSNorm has one parameter, weight (dim,), of ones

    No bias, and nothing else in the state_dict: a LLaMA checkpoint brings one tensor a norm. A plain tensor
    is not a parameter, and no optimizer would find it.
    """
    for dim in (5, 1):
        norm = impl.RMSNorm(dim)
        names = [name for name, _ in norm.named_parameters()]
        if names != ["weight"]:
            raise Mismatch(f"parameters of RMSNorm({dim}): expected ['weight'], got {names}")
        weight = norm.weight
        assert_tensor(weight, shape=(dim,), what=f"RMSNorm({dim}).weight")
        assert_equal(weight.detach().double(), torch.ones(dim, dtype=F64), what="weight at the start")
        if not weight.requires_grad:
            raise Mismatch("weight: requires_grad is False, so it would never be trained")
        keys = list(norm.state_dict())
        if keys != ["weight"]:
            raise Mismatch(f"state_dict of RMSNorm({dim}): expected the key 'weight' alone, got {keys}")
    first, second = impl.RMSNorm(5), impl.RMSNorm(dim=5, eps=1e-5)
    loaded = gains(gen, 5).float()
    first.load_state_dict({"weight": loaded})
    assert_equal(first.weight.detach().float(), loaded, what="weight after load_state_dict")
    assert_equal(second.weight.detach().float(), torch.ones(5), what="weight of another RMSNorm")
    x = uneven(gen, 3, 5).float()
    expected, expected_of_second = by_hand(x, loaded), by_hand(x, eps=1e-5)
    assert_close(first(x), expected, terms=5, what="RMSNorm(5) after load_state_dict")
    assert_close(second(x), expected_of_second, terms=5, what="RMSNorm(dim=5, eps=1e-5), new")


def test_module_matches_the_function(impl, gen):
    """RMSNorm applies its own weight and its own eps

    What forward computes is rms_norm with self.weight, as it is now, and the eps that the module was made
    with.
    """
    for shape in ((5,), (4, 4), (2, 3, 4), (2, 3, 4, 5)):
        x, weight = uneven(gen, *shape).float(), gains(gen, shape[-1]).float()
        norm, expected, what = module(impl, weight), by_hand(x, weight), f"RMSNorm({shape[-1]}) of x {shape}"
        with unchanged(x=x):
            result = norm(x)
        assert_close(result, expected, terms=shape[-1], what=what)
        assert_equal(norm.weight.detach(), weight, what="weight after forward")
    norm.eval()
    assert_close(norm(noncontiguous(x)), expected, terms=shape[-1], what=f"{what}, strided, after eval()")
    # Nothing of the call before is left, when evaluating either: other x of the same shape, then other weights.
    x, weight = x.flip(0, 1), gains(gen, shape[-1]).float()
    assert_close(norm(x), expected.flip(0, 1), terms=shape[-1], what=f"{what}, another one, after eval()")
    expected = by_hand(x, weight)
    norm.load_state_dict({"weight": weight})
    assert_close(norm(x), expected, terms=shape[-1], what=f"{what} after eval() and load_state_dict")
    small = torch.full((2, 5), 1e-3)
    small[1] *= -2.0
    weight = gains(gen, 5).float()
    for options in ({}, {"eps": 1e-5}, {"eps": 1e-2}, {"eps": 0.0}):
        expected = by_hand(small, weight, **options)
        what = f"RMSNorm(5, {options}) of 1e-3s" if options else "RMSNorm(5) of 1e-3s"
        assert_close(module(impl, weight, **options)(small), expected, terms=5, what=what)
    x = uneven(gen, 3, 5).float() / 10.0
    expected = by_hand(x, eps=4.0)
    assert_close(impl.RMSNorm(5, 4.0)(x), expected, terms=5, what="RMSNorm(5, 4.0)")
    zeros = impl.RMSNorm(4)(torch.zeros(2, 4))
    assert_tensor(zeros, shape=(2, 4), what="RMSNorm(4) of zeros")
    assert_equal(zeros.detach().abs(), torch.zeros(2, 4), what="RMSNorm(4) of zeros")


def test_module_dtypes(impl, gen):
    """RMSNorm keeps x's dtype and precision, its weight in any dtype

    A float32 module sees half precision activations in mixed precision, and .to(bfloat16) turns its weight
    too. Neither may change what forward returns or where its statistics are computed.
    """
    for weight_dtype in (F32, F16, BF16, F64):
        weight = gains(gen, 5).to(weight_dtype)
        norm = module(impl, weight)
        for dtype in DTYPES:
            x = uneven(gen, 3, 5).to(dtype)
            expected = by_hand(x, weight)
            with unchanged(x=x):
                result = norm(x)
            what = f"RMSNorm in {short(weight_dtype)} of x in {short(dtype)}"
            assert_close(result, expected, terms=5, dtype=dtype, what=what)
    zeros = torch.zeros(2, 5, dtype=F16)
    result = module(impl, gains(gen, 5).half(), eps=1e-8)(zeros)
    assert_equal(result.detach().abs(), zeros, what="RMSNorm(5, eps=1e-8) in float16 of zeros")
    norm_of = functools.cache(lambda size, eps: impl.RMSNorm(size, eps=eps))
    assert_float32_statistics(lambda x, eps: norm_of(x.shape[-1], eps)(x), gen, "RMSNorm")
    assert_float64_accuracy(lambda x, weight, eps: module(impl, weight, eps=eps)(x), gen, "RMSNorm")


def test_module_gradients(impl, gen):
    """Gradients through RMSNorm reach x and its weight

    The weight in the forward pass has to be the parameter itself, not a copy of its numbers, or it never
    learns.
    """
    for dtype in (F32, F64):
        weight = gains(gen, 5).to(dtype)
        norm = module(impl, weight, eps=1e-2)
        x = torch.randn(2, 3, 5, generator=gen).to(dtype) + 0.5
        x[1, 1] = 0.0
        cotangent = torch.randn(2, 3, 5, generator=gen).to(dtype)
        dx, dw = gradients_by_hand(x, weight, 1e-2, cotangent)
        x.requires_grad_()
        gx, gw = backward(norm(x), [x, norm.weight], cotangent, f"RMSNorm in {short(dtype)}")
        assert_close(gx, dx, terms=10, magnitude=20.0, dtype=dtype, what=f"gradient of x in {short(dtype)}")
        assert_close(gw, dw, terms=12, magnitude=20.0, dtype=dtype, what=f"gradient of weight in {short(dtype)}")
    # Mixed precision: the gradient of a float32 weight is float32, but of values rounded to bfloat16.
    weight = gains(gen, 5).float()
    norm = module(impl, weight)
    x = torch.randn(3, 5, generator=gen).to(BF16) + 1.0
    cotangent = torch.randn(3, 5, generator=gen).to(BF16)
    _, dw = gradients_by_hand(x, weight, 1e-6, cotangent)
    (gw,) = backward(norm(x), [norm.weight], cotangent, "RMSNorm in float32 of x in bfloat16")
    assert_tensor(gw, shape=(5,), dtype=F32, what="gradient of a float32 weight, x in bfloat16")
    assert_close(gw.to(BF16), dw, terms=12, magnitude=8.0, dtype=BF16, what="gradient of weight, x in bfloat16")
