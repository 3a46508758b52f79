"""Wrong answers to RoPE that candidates give."""

import torch
from torch import Tensor

from grader.authoring import mistake, solution


def compute_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def cos_sin(x: Tensor, positions: Tensor, base: float) -> tuple[Tensor, Tensor]:
    angles = solution.rope_angles(positions, x.shape[-1], base).to(compute_dtype(x))
    return angles.cos(), angles.sin()


def split(x: Tensor, interleaved: bool) -> tuple[Tensor, Tensor]:
    x = x.to(compute_dtype(x))
    return (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, dim=-1)


def join(a: Tensor, b: Tensor, interleaved: bool, dtype: torch.dtype) -> Tensor:
    y = torch.stack((a, b), dim=-1).flatten(-2) if interleaved else torch.cat((a, b), dim=-1)
    return y.to(dtype)


def rotate(x: Tensor, angles: Tensor, interleaved: bool) -> Tensor:
    """The right rotation, by whatever angles."""
    angles = angles.to(compute_dtype(x))
    a, b = split(x, interleaved)
    cos, sin = angles.cos(), angles.sin()
    return join(a * cos - b * sin, a * sin + b * cos, interleaved, x.dtype)


def checked(d_head: int) -> int:
    if d_head % 2:
        raise ValueError(f"d_head must be even, got {d_head}")
    return d_head


def outer(positions: Tensor, frequencies: Tensor) -> Tensor:
    return torch.outer(positions.float(), frequencies)


# The angles.


@mistake(
    replaces="rope_angles",
    tells="The exponent is -i/d_head; it is -2i/d_head. Relative scores still work, but every checkpoint breaks.",
    question="rotation-by-hand",
)
def exponent_without_the_two(positions, d_head, base=10000.0):
    i = torch.arange(checked(d_head) // 2).float()
    return outer(positions, base ** (-i / d_head))


@mistake(
    replaces="rope_angles",
    tells="The exponent divides 2i by the number of pairs, so it runs to -2. Divide by the head size.",
    question="rotation-by-hand",
)
def exponent_over_the_number_of_pairs(positions, d_head, base=10000.0):
    return outer(positions, base ** (-torch.arange(0, checked(d_head), 2).float() / (d_head // 2)))


@mistake(
    replaces="rope_angles",
    tells="The exponents are spread from 0 to -1, both included. With 2i/d_head the last one is -(d_head - 2)/d_head.",
    question="rotation-by-hand",
)
def exponent_reaches_one(positions, d_head, base=10000.0):
    return outer(positions, base ** -torch.linspace(0, 1, checked(d_head) // 2))


@mistake(
    replaces="rope_angles",
    tells="The pairs are counted from 1, so no pair turns by a full radian a position. i starts at 0.",
    question="rotation-by-hand",
)
def pairs_counted_from_one(positions, d_head, base=10000.0):
    i = torch.arange(1, checked(d_head) // 2 + 1).float()
    return outer(positions, base ** (-2 * i / d_head))


@mistake(
    replaces="rope_angles",
    tells="The sign of the exponent is missing: later pairs turn faster instead of slower. It is base**(-2i/d_head).",
    question="rotation-by-hand",
)
def positive_exponent(positions, d_head, base=10000.0):
    return outer(positions, base ** (torch.arange(0, checked(d_head), 2).float() / d_head))


@mistake(
    replaces="rope_angles",
    tells="2i/d_head is an integer division and always 0, so all pairs turn alike. Use /.",
    question="rotation-by-hand",
)
def integer_division(positions, d_head, base=10000.0):
    return outer(positions, base ** -(torch.arange(0, checked(d_head), 2) // d_head).float())


@mistake(
    replaces="rope_angles",
    tells="The frequencies are in the wrong order: pair 0 is the fastest, with 1 radian a position.",
    question="rotation-by-hand",
)
def slowest_pair_first(positions, d_head, base=10000.0):
    return solution.rope_angles(positions, d_head, base).flip(-1)


@mistake(
    replaces="rope_angles",
    tells="The frequencies are spaced evenly. They are geometric: each is base**(-2/d_head) times the one before.",
    question="rotation-by-hand",
)
def evenly_spaced_frequencies(positions, d_head, base=10000.0):
    i = torch.arange(checked(d_head) // 2).float()
    return outer(positions, 1.0 / (1.0 + i * (base - 1.0) * 2 / d_head))


@mistake(
    replaces="rope_angles",
    tells="10000 is written into the formula and the argument base is ignored. Checkpoints differ in it.",
    question="length-extrapolation",
)
def base_hard_coded(positions, d_head, base=10000.0):
    return solution.rope_angles(positions, d_head)


@mistake(
    replaces="rope_angles",
    tells="The default base is 1000. RoFormer's, and the contract's, is 10000.",
    question="length-extrapolation",
)
def base_of_one_thousand(positions, d_head, base=1000.0):
    return solution.rope_angles(positions, d_head, base)


@mistake(
    replaces="rope_angles",
    tells="The angles are multiplied by 2 pi, as if they were turns. position * frequency already is in radians.",
    question="rotation-by-hand",
)
def turns_taken_for_radians(positions, d_head, base=10000.0):
    return solution.rope_angles(positions, d_head, base) * (2 * torch.pi)


@mistake(
    replaces="rope_angles",
    tells="The values in positions are ignored and replaced by 0 ... L-1. A decoding step has one row at position t.",
    question="precision-and-positions",
)
def angles_of_row_numbers(positions, d_head, base=10000.0):
    return solution.rope_angles(torch.arange(len(positions)), d_head, base)


@mistake(
    replaces="rope_angles",
    tells="Positions are counted from 1. Relative scores hide it, but position 0 has to turn by nothing.",
    question="precision-and-positions",
)
def angles_from_position_one(positions, d_head, base=10000.0):
    return solution.rope_angles(positions + 1, d_head, base)


@mistake(
    replaces="rope_angles",
    tells="Positions are shifted so that the first is 0. They are absolute: a cached key was turned for its own.",
    question="precision-and-positions",
)
def angles_from_the_first_position(positions, d_head, base=10000.0):
    return solution.rope_angles(positions - positions[0], d_head, base)


@mistake(
    replaces="rope_angles",
    tells="The table ends at 2048 and later positions get its last row. Compute the angles of the positions given.",
    question="precision-and-positions",
)
def table_of_2048_rows(positions, d_head, base=10000.0):
    return solution.rope_angles(positions.clamp(max=2047), d_head, base)


@mistake(
    replaces="rope_angles",
    tells="Negative positions lose their sign. The formula holds for them too: the angle is negative.",
    question="precision-and-positions",
)
def angles_of_absolute_values(positions, d_head, base=10000.0):
    return solution.rope_angles(positions.abs(), d_head, base)


@mistake(
    replaces="rope_angles",
    tells="Each angle is listed twice, (L, d_head). A pair has one angle: return (L, d_head / 2).",
    question="pairing-layouts",
)
def one_angle_a_channel(positions, d_head, base=10000.0):
    angles = solution.rope_angles(positions, d_head, base)
    return torch.cat((angles, angles), dim=-1)


@mistake(
    replaces="rope_angles",
    tells="The table is transposed: rows are positions, columns are pairs.",
    question="rotation-by-hand",
)
def one_row_a_pair(positions, d_head, base=10000.0):
    return solution.rope_angles(positions, d_head, base).T


@mistake(
    replaces="rope_angles",
    tells="The angles come back as float64. Compute them as you like, but return float32.",
    question="precision-and-positions",
)
def angles_in_float64(positions, d_head, base=10000.0):
    exponents = torch.arange(0, checked(d_head), 2, dtype=torch.float64) / d_head
    return positions[:, None] * base**-exponents


@mistake(
    replaces="rope_angles",
    tells="The frequencies went through bfloat16, which has 8 bits. At position 4097 that is radians of error.",
    question="precision-and-positions",
)
def frequencies_in_bfloat16(positions, d_head, base=10000.0):
    frequencies = base ** (-torch.arange(0, checked(d_head), 2).float() / d_head)
    return outer(positions, frequencies.bfloat16().float())


@mistake(
    replaces="rope_angles",
    tells="An odd d_head is rounded down in silence. Raise a ValueError: one channel has no partner.",
    question="pairing-layouts",
)
def odd_size_accepted(positions, d_head, base=10000.0):
    i = torch.arange(d_head // 2).float()
    return outer(positions, base ** (-2 * i / d_head))


@mistake(
    replaces="rope_angles",
    tells="An assert guards against an odd d_head. That is an AssertionError, and gone under -O: raise ValueError.",
    question="pairing-layouts",
)
def assert_for_an_odd_size(positions, d_head, base=10000.0):
    assert d_head % 2 == 0, "d_head must be even"
    return solution.rope_angles(positions, d_head, base)


@mistake(
    replaces="rope_angles",
    tells="Even sizes that 4 does not divide are refused. Any even d_head can be split into pairs.",
    question="pairing-layouts",
)
def needs_a_multiple_of_four(positions, d_head, base=10000.0):
    if d_head % 4:
        raise ValueError("d_head must be a multiple of 4")
    return solution.rope_angles(positions, d_head, base)


# The rotation.


@mistake(
    replaces="apply_rope",
    tells="x comes back as it went in. Nothing depends on the position.",
    question="why-rope",
)
def no_rotation(x, positions, base=10000.0, interleaved=False):
    return x.clone()


@mistake(
    replaces="apply_rope",
    tells="Sines and cosines are added to x, as in the original Transformer. RoPE turns x and adds nothing.",
    question="why-rope",
)
def adds_sinusoids(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return join(a + cos, b + sin, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="Both members of a pair are only scaled by the cosine. A rotation mixes them.",
    question="rotation-by-hand",
)
def cosine_only(x, positions, base=10000.0, interleaved=False):
    cos, _ = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return join(a * cos, b * cos, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="The rotation goes the other way, by -t: the minus stands with the wrong member. Scores hide it as long as"
    " queries and keys are turned by the same code.",
    question="rotation-by-hand",
)
def rotates_backwards(x, positions, base=10000.0, interleaved=False):
    return rotate(x, -solution.rope_angles(positions, x.shape[-1], base), interleaved)


@mistake(
    replaces="apply_rope",
    tells="The minus is missing: (a cos t + b sin t, a sin t + b cos t) is no rotation and changes lengths.",
    question="rotation-by-hand",
)
def missing_minus(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return join(a * cos + b * sin, a * sin + b * cos, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="Sine and cosine are swapped, so position 0 does not leave x alone.",
    question="rotation-by-hand",
)
def swaps_sine_and_cosine(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return join(a * sin - b * cos, a * cos + b * sin, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="(a cos t + b sin t, a sin t - b cos t) is a reflection: it keeps lengths, but turns b around at position 0.",
    question="rotation-by-hand",
)
def reflection(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return join(a * cos + b * sin, a * sin - b * cos, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="The second member is computed from the first one's new value. Keep the old value until both are done.",
    question="rotation-by-hand",
)
def second_from_the_new_first(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    a = a * cos - b * sin
    b = a * sin + b * cos
    return join(a, b, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="The turned pairs come out in exchanged order, second member first.",
    question="rotation-by-hand",
)
def members_exchanged(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return join(a * sin + b * cos, a * cos - b * sin, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="All pairs turn by the same angle, the position itself. Pair i turns by base**(-2i/D) a position.",
    question="rotation-by-hand",
)
def one_frequency_for_all(x, positions, base=10000.0, interleaved=False):
    angles = positions[:, None].float().expand(-1, x.shape[-1] // 2)
    return rotate(x, angles, interleaved)


@mistake(
    replaces="apply_rope",
    tells="Only the first half of the pairs is turned. Partial rotation is what GPT-NeoX does; here all of D turns.",
    question="rotation-by-hand",
)
def rotates_half_of_the_pairs(x, positions, base=10000.0, interleaved=False):
    angles = solution.rope_angles(positions, x.shape[-1], base).clone()
    angles[:, (x.shape[-1] // 2 + 1) // 2 :] = 0.0
    return rotate(x, angles, interleaved)


@mistake(
    replaces="apply_rope",
    tells="The exponent is divided by the model width, heads times D. It is 2i/D with D the size of one head: split"
    " the heads first.",
    question="rotation-by-hand",
)
def exponent_over_the_model_width(x, positions, base=10000.0, interleaved=False):
    heads = x.shape[-3] if x.dim() >= 3 else 1
    frequencies = base ** (-torch.arange(0, x.shape[-1], 2).float() / (heads * x.shape[-1]))
    return rotate(x, outer(positions, frequencies), interleaved)


@mistake(
    replaces="apply_rope",
    tells="interleaved is ignored: the pairs are always (i, i + D/2).",
    question="pairing-layouts",
)
def always_halves(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions, base, False)


@mistake(
    replaces="apply_rope",
    tells="interleaved is ignored: the pairs are always (2i, 2i + 1).",
    question="pairing-layouts",
)
def always_interleaved(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions, base, True)


@mistake(
    replaces="apply_rope",
    tells="The two layouts are exchanged: interleaved=True is the one with neighbours, (2i, 2i + 1).",
    question="pairing-layouts",
)
def layouts_exchanged(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions, base, not interleaved)


@mistake(
    replaces="apply_rope",
    tells="The default is the interleaved layout. interleaved is False unless asked for.",
    question="pairing-layouts",
)
def interleaved_by_default(x, positions, base=10000.0, interleaved=True):
    return solution.apply_rope(x, positions, base, interleaved)


def rotate_with_repeated(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """x cos + rotate_half(x) sin, with cos and sin of full width."""
    a, b = split(x, interleaved)
    return (x * cos + join(-b, a, interleaved, a.dtype) * sin).to(x.dtype)


@mistake(
    replaces="apply_rope",
    tells="cos and sin are repeated for neighbours (0, 0, 1, 1, ...) while halves are rotated. For halves repeat the"
    " whole row: (0, 1, ..., 0, 1, ...).",
    question="pairing-layouts",
)
def halves_with_neighbours_angles(x, positions, base=10000.0, interleaved=False):
    cos, sin = (t.repeat_interleave(2, dim=-1) for t in cos_sin(x, positions, base))
    return rotate_with_repeated(x, cos, sin, interleaved)


@mistake(
    replaces="apply_rope",
    tells="cos and sin are repeated for halves (0, 1, ..., 0, 1, ...) while neighbours are rotated. For neighbours"
    " repeat each angle: (0, 0, 1, 1, ...).",
    question="pairing-layouts",
)
def neighbours_with_halves_angles(x, positions, base=10000.0, interleaved=False):
    cos, sin = (torch.cat((t, t), dim=-1) for t in cos_sin(x, positions, base))
    return rotate_with_repeated(x, cos, sin, interleaved)


@mistake(
    replaces="apply_rope",
    tells="Interleaved pairs are turned, then all first members are put before all second ones. Weave them back:"
    " every channel stays where it was.",
    question="pairing-layouts",
)
def interleaved_pairs_not_woven_back(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return join(a * cos - b * sin, a * sin + b * cos, False, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="The base does not reach the angles: they are always those of 10000. Pass it on.",
    question="length-extrapolation",
)
def base_not_passed_on(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions, interleaved=interleaved)


@mistake(
    replaces="apply_rope",
    tells="Row l is turned for l instead of positions[l]. With a cache the new token is row 0 at position t.",
    question="precision-and-positions",
)
def rows_counted_from_zero(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, torch.arange(x.shape[-2]), base, interleaved)


@mistake(
    replaces="apply_rope",
    tells="All rows are turned for the first position.",
    question="precision-and-positions",
)
def first_position_for_all(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions[:1].expand(x.shape[-2]), base, interleaved)


@mistake(
    replaces="apply_rope",
    tells="Negative positions are turned as their absolute values. They turn the other way.",
    question="precision-and-positions",
)
def turns_by_absolute_values(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions.abs(), base, interleaved)


@mistake(
    replaces="apply_rope",
    tells="Negative positions are turned as 0. The formula holds for them too, with a negative angle.",
    question="precision-and-positions",
)
def negative_positions_as_zero(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions.clamp(min=0), base, interleaved)


@mistake(
    replaces="apply_rope",
    tells="Negative positions are refused. Positions are any integers: with a window or a prefix the count may start"
    " below 0.",
    question="precision-and-positions",
)
def refuses_negative_positions(x, positions, base=10000.0, interleaved=False):
    assert int(positions.min()) >= 0
    return solution.apply_rope(x, positions, base, interleaved)


@mistake(
    replaces="apply_rope",
    tells="The table of cos and sin ends at 131072 positions. Compute it for the positions given.",
    question="precision-and-positions",
)
def table_of_131072_rows(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x, positions.clamp(max=131071), base, interleaved)


_by_ends: dict[tuple, Tensor] = {}
_by_set: dict[tuple, Tensor] = {}
_by_values: dict[tuple, tuple[Tensor, Tensor]] = {}


@mistake(
    replaces="apply_rope",
    tells="The table is kept by the number of positions, the first and the last, so other positions in between get"
    " an old one. Key it by all of them, or compute it anew.",
    question="precision-and-positions",
)
def kept_by_length_and_ends(x, positions, base=10000.0, interleaved=False):
    key = (len(positions), int(positions[0]), int(positions[-1]), x.shape[-1], base)
    if key not in _by_ends:
        _by_ends[key] = solution.rope_angles(positions, x.shape[-1], base)
    return rotate(x, _by_ends[key], interleaved)


@mistake(
    replaces="apply_rope",
    tells="The table is kept by the positions without their order, so the same ones in another order get its rows in"
    " the old one.",
    question="precision-and-positions",
)
def kept_by_the_set_of_positions(x, positions, base=10000.0, interleaved=False):
    key = (*sorted(positions.tolist()), x.shape[-1], base)
    if key not in _by_set:
        _by_set[key] = solution.rope_angles(positions, x.shape[-1], base)
    return rotate(x, _by_set[key], interleaved)


@mistake(
    replaces="apply_rope",
    tells="cos and sin are kept without regard to the dtype they were computed for: a float64 x gets those of an"
    " earlier float32 call, right to 7 digits. The dtype belongs to the key.",
    question="precision-and-positions",
)
def kept_for_every_dtype(x, positions, base=10000.0, interleaved=False):
    key = (*positions.tolist(), x.shape[-1], base)
    if key not in _by_values:
        _by_values[key] = cos_sin(x, positions, base)
    cos, sin = (t.to(compute_dtype(x)) for t in _by_values[key])
    a, b = split(x, interleaved)
    return join(a * cos - b * sin, a * sin + b * cos, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="Positions run along the dim before the last two, as for (B, L, H, D). x is (..., L, D): heads come first.",
    question="precision-and-positions",
)
def positions_along_the_heads(x, positions, base=10000.0, interleaved=False):
    if x.dim() < 3:
        return solution.apply_rope(x, positions, base, interleaved)
    angles = solution.rope_angles(positions, x.shape[-1], base)
    return rotate(x, angles[:, None, :], interleaved)


@mistake(
    replaces="apply_rope",
    tells="The shape of x is taken apart as (B, H, L, D). Leave leading dims to broadcasting, however many there are.",
    question="precision-and-positions",
)
def four_dimensions_only(x, positions, base=10000.0, interleaved=False):
    _batch, _heads, _length, d_head = x.shape
    return rotate(x, solution.rope_angles(positions, d_head, base), interleaved)


@mistake(
    replaces="apply_rope",
    tells="view needs contiguous memory, and x is often transposed or sliced. Slice, reshape or unflatten instead.",
    question="precision-and-positions",
)
def needs_contiguous_memory(x, positions, base=10000.0, interleaved=False):
    wide = x.to(compute_dtype(x))
    shape = (*x.shape[:-2], -1, x.shape[-1])
    return rotate(wide.view(-1).view(shape), solution.rope_angles(positions, x.shape[-1], base), interleaved).to(
        x.dtype
    )


@mistake(
    replaces="apply_rope",
    tells="The angles are rounded to x's dtype. In bfloat16 4097 is 4096, a whole radian off: keep them in float32.",
    question="precision-and-positions",
)
def angles_in_half(x, positions, base=10000.0, interleaved=False):
    return rotate(x, solution.rope_angles(positions, x.shape[-1], base).to(x.dtype), interleaved)


@mistake(
    replaces="apply_rope",
    tells="cos and sin, or the products with them, are rounded to x's dtype before the two are added. Rotate in float32"
    " and round the result.",
    question="precision-and-positions",
)
def cosines_in_half(x, positions, base=10000.0, interleaved=False):
    cos, sin = (t.to(x.dtype) for t in cos_sin(x, positions, base))
    a, b = split(x, interleaved)
    return join(a * cos - b * sin, a * sin + b * cos, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="The result of half precision is float32. Convert it back, or the layers after it run in float32.",
    question="precision-and-positions",
)
def result_in_float32(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x.to(compute_dtype(x)), positions, base, interleaved)


@mistake(
    replaces="apply_rope",
    tells="x.float() takes float64 down to float32. Widen half precision, and leave float64 alone.",
    question="precision-and-positions",
)
def float64_through_float32(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x.float(), positions, base, interleaved).to(x.dtype)


@mistake(
    replaces="apply_rope",
    tells="cos and sin are computed in float32 for float64 x, so 7 digits are right. Convert the angles first, then"
    " take cos and sin.",
    question="precision-and-positions",
)
def float32_cosines_for_float64(x, positions, base=10000.0, interleaved=False):
    angles = solution.rope_angles(positions, x.shape[-1], base)
    cos, sin = angles.cos().to(compute_dtype(x)), angles.sin().to(compute_dtype(x))
    a, b = split(x, interleaved)
    return join(a * cos - b * sin, a * sin + b * cos, interleaved, x.dtype)


@mistake(
    replaces="apply_rope",
    tells="x is overwritten. Chunks and slices of x are views of its memory: build a new tensor.",
    question="precision-and-positions",
)
def in_place(x, positions, base=10000.0, interleaved=False):
    with torch.no_grad():
        x.copy_(solution.apply_rope(x.detach(), positions, base, interleaved))
    return x


@mistake(
    replaces="apply_rope",
    tells="x is overwritten unless it is half precision: .to() and .float() return x itself where there is nothing to"
    " convert. Build a new tensor.",
    question="precision-and-positions",
)
def in_place_where_nothing_is_converted(x, positions, base=10000.0, interleaved=False):
    wide = x.to(compute_dtype(x))
    if wide.requires_grad:
        wide = wide.clone()
    wide.copy_(solution.apply_rope(wide.clone(), positions, base, interleaved))
    return wide.to(x.dtype)


@mistake(
    replaces="apply_rope",
    tells="No gradient flows: the rotation runs under no_grad or on x.detach(). Only the angles need no gradient.",
    question="precision-and-positions",
)
def detached(x, positions, base=10000.0, interleaved=False):
    return solution.apply_rope(x.detach(), positions, base, interleaved)


@mistake(
    replaces="apply_rope",
    tells="The sine's part is detached, so half of the gradient is missing.",
    question="precision-and-positions",
)
def partner_detached(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    first, second = a * cos - b.detach() * sin, a.detach() * sin + b * cos
    return join(first, second, interleaved, x.dtype)


class _ForwardTwice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, angles, interleaved):
        ctx.save_for_backward(angles)
        ctx.interleaved = interleaved
        return rotate(x, angles, interleaved)

    @staticmethod
    def backward(ctx, cotangent):
        (angles,) = ctx.saved_tensors
        return rotate(cotangent, angles, ctx.interleaved), None, None


@mistake(
    replaces="apply_rope",
    tells="The backward pass turns the gradient forward again. The gradient is turned back, by -t.",
    question="rotation-by-hand",
)
def backward_turns_forward(x, positions, base=10000.0, interleaved=False):
    return _ForwardTwice.apply(x, solution.rope_angles(positions, x.shape[-1], base), interleaved)


@mistake(
    replaces="apply_rope",
    tells="The result is still complex, (..., L, D/2). Go back with torch.view_as_real, and flatten the pairs.",
    question="rotation-by-hand",
)
def complex_result(x, positions, base=10000.0, interleaved=False):
    cos, sin = cos_sin(x, positions, base)
    a, b = split(x, interleaved)
    return torch.complex(a, b) * torch.complex(cos, sin)
