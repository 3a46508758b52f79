"""Right answers to RoPE of other shapes."""

import functools
import math

import torch

from grader.authoring import equivalent, solution


@equivalent(replaces="rope_angles")
def exponential_of_a_logarithm(positions, d_head, base=10000.0):
    """exp(-ln(base) 2i/d), as sinusoidal encodings are usually written; einsum for the outer product."""
    if d_head % 2 != 0:
        raise ValueError("odd d_head")
    inverse = torch.exp(torch.arange(0, d_head, 2).float() * (-math.log(base) / d_head))
    return torch.einsum("l,i->li", positions.float(), inverse)


@equivalent(replaces="rope_angles")
def position_divided_by_wavelength(positions, d_head, base=10000.0):
    """1 / base**(2i/d) in two steps, the logarithm a float32 tensor, positions divided."""
    if d_head & 1:
        raise ValueError(f"d_head={d_head} is odd")
    log = torch.log(torch.tensor(base))
    slow = torch.exp(log * (2 * torch.arange(d_head // 2) / d_head))
    return positions.to(torch.float32).unsqueeze(-1) / slow


@equivalent(replaces="rope_angles")
def float64_rounded_at_the_end(positions, d_head, base=10000.0):
    """pow in float64, the product too, one rounding to float32."""
    if d_head % 2 == 1:
        raise ValueError("d_head must be even")
    theta = torch.pow(torch.tensor(base, dtype=torch.float64), -torch.arange(0, d_head, 2).double() / d_head)
    return torch.outer(positions.double(), theta).float()


@equivalent(replaces="rope_angles")
def running_product(positions, d_head, base=10000.0):
    """Each frequency is the one before times base**(-2/d)."""
    if d_head % 2:
        raise ValueError("an odd number of channels")
    steps = torch.full((d_head // 2,), base ** (-2.0 / d_head))
    steps[0] = 1.0
    return torch.outer(positions.float(), torch.cumprod(steps, dim=0))


@equivalent(replaces="rope_angles")
def logarithmic_space(positions, d_head, base=10000.0):
    """torch.logspace makes the frequencies."""
    half, rest = divmod(d_head, 2)
    if rest:
        raise ValueError("d_head is odd")
    frequencies = torch.logspace(0.0, -(d_head - 2) / d_head, half, base=base)
    return positions[:, None] * frequencies


@equivalent(replaces="rope_angles")
def python_floats(positions, d_head, base=10000.0):
    """No tensor arithmetic at all."""
    if d_head % 2:
        raise ValueError("odd")
    rows = [[p / base ** (2 * i / d_head) for i in range(d_head // 2)] for p in positions.tolist()]
    return torch.tensor(rows, dtype=torch.float32)


def _rotate_half(x):
    a, b = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-b, a), dim=-1)


def _rotate_every_two(x):
    return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).reshape(x.shape)


@equivalent(replaces="apply_rope")
def repeated_cosines(x, positions, base=10000.0, interleaved=False):
    """x cos + rotate_half(x) sin with cos and sin of full width, on top of rope_angles' float32."""
    compute = torch.float64 if x.dtype == torch.float64 else torch.float32
    angles = solution.rope_angles(positions, x.size(-1), base).to(compute)
    wide = x.to(compute)
    if interleaved:
        full, turned = angles.repeat_interleave(2, dim=-1), _rotate_every_two(wide)
    else:
        full, turned = torch.cat((angles, angles), dim=-1), _rotate_half(wide)
    return (wide * full.cos() + turned * full.sin()).type_as(x)


@equivalent(replaces="apply_rope")
def complex_numbers(x, positions, base=10000.0, interleaved=False):
    """Pairs as complex numbers times polar(1, t), as in Meta's own LLaMA code."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    angles = solution.rope_angles(positions, x.shape[-1], base).to(wide.dtype)
    turn = torch.polar(torch.ones_like(angles), angles)
    if interleaved:
        pairs = wide.reshape(*x.shape[:-1], -1, 2)
    else:
        pairs = wide.reshape(*x.shape[:-1], 2, -1).transpose(-1, -2)
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn)
    return (turned if interleaved else turned.transpose(-1, -2)).flatten(-2).to(x.dtype)


@equivalent(replaces="apply_rope")
def one_small_matrix_a_pair(x, positions, base=10000.0, interleaved=False):
    """2 x 2 matrices (L, D/2, 2, 2) and an einsum."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    t = solution.rope_angles(positions, x.shape[-1], base).to(wide.dtype)
    matrices = torch.stack([torch.stack([t.cos(), -t.sin()], -1), torch.stack([t.sin(), t.cos()], -1)], -2)
    pairs = wide.unflatten(-1, (-1, 2) if interleaved else (2, -1))
    if interleaved:
        turned = torch.einsum("lprc,...lpc->...lpr", matrices, pairs)
    else:
        turned = torch.einsum("lprc,...lcp->...lrp", matrices, pairs)
    return turned.flatten(-2).to(x.dtype)


@equivalent(replaces="apply_rope")
def block_diagonal_matrix(x, positions, base=10000.0, interleaved=False):
    """The paper's equation 15: one D x D matrix a position, built entry by entry, then matmul."""
    d_head = x.shape[-1]
    compute = torch.promote_types(x.dtype, torch.float32)
    rotation = torch.zeros(len(positions), d_head, d_head, dtype=compute)
    for i in range(d_head // 2):
        t = (positions.double() * base ** (-2 * i / d_head)).to(compute)
        a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + d_head // 2)
        rotation[:, a, a] = rotation[:, b, b] = torch.cos(t)
        rotation[:, a, b], rotation[:, b, a] = -torch.sin(t), torch.sin(t)
    return (rotation @ x.to(compute).unsqueeze(-1)).squeeze(-1).to(x.dtype)


@equivalent(replaces="apply_rope")
def permutes_to_the_other_layout(x, positions, base=10000.0, interleaved=False):
    """Interleaved channels are sorted into halves, rotated there and sorted back."""
    d_head = x.shape[-1]
    if interleaved:
        order = torch.cat([torch.arange(0, d_head, 2), torch.arange(1, d_head, 2)])
        turned = permutes_to_the_other_layout(x.index_select(-1, order), positions, base)
        return turned.index_select(-1, torch.argsort(order))
    compute = torch.promote_types(x.dtype, torch.float32)
    t = solution.rope_angles(positions, d_head, base).to(compute)
    t = torch.cat([t, t], dim=-1)
    sign = torch.ones(d_head, dtype=compute)
    sign[: d_head // 2] = -1.0
    wide = x.to(compute)
    return (wide * t.cos() + wide.roll(d_head // 2, dims=-1) * sign * t.sin()).to(x.dtype)


@equivalent(replaces="apply_rope")
def loop_over_pairs(x, positions, base=10000.0, interleaved=False):
    """One pair of channels after the other, everything in float64."""
    d_head = x.shape[-1]
    columns = [None] * d_head
    for i in range(d_head // 2):
        j, k = (2 * i, 2 * i + 1) if interleaved else (i, i + d_head // 2)
        t = positions.double() / base ** (2 * i / d_head)
        a, b = x[..., j].double(), x[..., k].double()
        columns[j] = a * t.cos() - b * t.sin()
        columns[k] = a * t.sin() + b * t.cos()
    return torch.stack(columns, dim=-1).to(x.dtype)


@equivalent(replaces="apply_rope")
def loop_over_positions(x, positions, base=10000.0, interleaved=False):
    """One position after the other, its matrix the matrix exponential of a skew-symmetric generator."""
    d_head, compute = x.shape[-1], torch.promote_types(x.dtype, torch.float32)
    generator = torch.zeros(d_head, d_head, dtype=torch.float64)
    for i in range(d_head // 2):
        j, k = (2 * i, 2 * i + 1) if interleaved else (i, i + d_head // 2)
        generator[j, k], generator[k, j] = -(base ** (-2 * i / d_head)), base ** (-2 * i / d_head)
    step = torch.linalg.matrix_exp(generator)
    rows = [
        x[..., row, :].to(compute) @ torch.linalg.matrix_power(step, position).T.to(compute)
        for row, position in enumerate(positions.tolist())
    ]
    return torch.stack(rows, dim=-2).to(x.dtype)


@functools.lru_cache(maxsize=32)
def _table(first, last, d_head, base, dtype):
    t = torch.outer(
        torch.arange(first, last + 1, dtype=dtype), base ** (-torch.arange(0, d_head, 2, dtype=dtype) / d_head)
    )
    return t.cos(), t.sin()


@equivalent(replaces="apply_rope")
def cached_table(x, positions, base=10000.0, interleaved=False):
    """A table of cos and sin for all positions from the smallest to the largest, kept between calls, rows by index."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    first, last = min(0, int(positions.min())), int(positions.max())
    cos, sin = (t[positions - first] for t in _table(first, last, x.shape[-1], base, wide.dtype))
    a, b = wide.unflatten(-1, (-1, 2)).unbind(-1) if interleaved else wide.tensor_split(2, dim=-1)
    return _woven(cos * a - sin * b, cos * b + sin * a, interleaved).to(x.dtype)


def _woven(first, second, interleaved):
    return torch.stack((first, second), -1 if interleaved else -2).flatten(-2)


@equivalent(replaces="apply_rope")
def written_into_a_copy(x, positions, base=10000.0, interleaved=False):
    """A widened clone is filled slice by slice; autograd follows the assignments."""
    compute = torch.promote_types(x.dtype, torch.float32)
    t = solution.rope_angles(positions, x.shape[-1], base).to(compute)
    half = x.shape[-1] // 2
    first = slice(0, None, 2) if interleaved else slice(0, half)
    second = slice(1, None, 2) if interleaved else slice(half, None)
    a, b = x[..., first].to(compute), x[..., second].to(compute)
    y = torch.zeros_like(x, dtype=compute)
    y[..., first] = a * torch.cos(t) - b * torch.sin(t)
    y[..., second] = b * torch.cos(t) + a * torch.sin(t)
    return y.to(x.dtype)


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, angles, interleaved):
        ctx.save_for_backward(angles)
        ctx.interleaved = interleaved
        return _turn(x, angles, interleaved)

    @staticmethod
    def backward(ctx, cotangent):
        (angles,) = ctx.saved_tensors
        return _turn(cotangent, -angles, ctx.interleaved), None, None


def _turn(x, angles, interleaved):
    wide = x.to(angles.dtype)
    a, b = (wide[..., ::2], wide[..., 1::2]) if interleaved else wide.chunk(2, -1)
    c, s = angles.cos(), angles.sin()
    return _woven(torch.addcmul(a * c, b, s, value=-1), torch.addcmul(a * s, b, c), interleaved).to(x.dtype)


@equivalent(replaces="apply_rope")
def backward_by_hand(x, positions, base=10000.0, interleaved=False):
    """An autograd.Function whose backward turns the gradient back, as fused kernels do."""
    angles = solution.rope_angles(positions, x.shape[-1], base)
    return _Backward.apply(x, angles.to(torch.promote_types(x.dtype, torch.float32)), interleaved)


@equivalent(replaces="apply_rope")
def three_shears(x, positions, base=10000.0, interleaved=False):
    """A rotation as three shears, (1, -tan t/2), (sin t, 1), (1, -tan t/2), in float64."""
    t = solution.rope_angles(positions, x.shape[-1], base).double()
    t = torch.atan2(t.sin(), t.cos())  # in (-pi, pi]
    flip = torch.where(t.abs() > math.pi / 2, -1.0, 1.0).double()  # tan t/2 stays below 1
    t = torch.where(flip < 0, t - math.pi * torch.sign(t), t)
    wide = x.double()
    a, b = (wide[..., ::2], wide[..., 1::2]) if interleaved else wide.chunk(2, -1)
    a = a - b * torch.tan(t / 2)
    b = b + a * torch.sin(t)
    a = a - b * torch.tan(t / 2)
    return _woven(a * flip, b * flip, interleaved).to(x.dtype)
