"""Hidden tests of rotary position embedding.

Expected rotations take their cosines and sines from `math.cos` and `math.sin`, one scalar at a time (`by_hand`);
expected scores come from complex numbers (`score_at_offset`).

How exact may angles be asked to be? They are float32 by contract, and there are many honest ways to get one:
base**(-e), 1 / base**e, exp(-ln(base) e), exp2, powers of base**(-2/d), a running product, float64 throughout.
With e = 2i/d and u = 2**-24, rounding e and ln(base) and multiplying them moves the exponent by at most
4 u ln(base) e; repeated multiplication costs another u a step and a factor off by u, 2i u in all; pow, exp, the
quotient and the product with the position 4 u. So an angle t is right to

    t * (4 ln(base) e + 2i + 4) u

and what is computed from cos t and sin t to that, times the length of the pair: `angle_terms` expresses it in the
`terms` of `assert_close`, which are worth 8 u each.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from grader.testing import (
    Mismatch,
    assert_close,
    assert_equal,
    assert_gradients,
    assert_tensor,
    describe,
    noncontiguous,
    unchanged,
)

F64, F32, F16, BF16 = torch.float64, torch.float32, torch.float16, torch.bfloat16
DTYPES = (BF16, F16, F32, F64)
DEFAULT = 10000.0


def angle(position: int, i: int, d_head: int, base: float) -> float:
    return position * base ** (-2 * i / d_head)


def pair(i: int, d_head: int, interleaved: bool) -> tuple[int, int]:
    """The channels of pair i."""
    return (2 * i, 2 * i + 1) if interleaved else (i, i + d_head // 2)


def members(d_head: int, interleaved: bool) -> tuple[list[int], list[int]]:
    """The channels that come first in their pairs, and those that come second, by pair."""
    pairs = [pair(i, d_head, interleaved) for i in range(d_head // 2)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def by_hand(x: Tensor, positions: Sequence[int], base: float = DEFAULT, interleaved: bool = False) -> Tensor:
    """Every pair of x (..., L, D) rotated in float64, with cosines and sines of Python's own."""
    d_head = x.shape[-1]
    angles = [[angle(p, i, d_head, base) for i in range(d_head // 2)] for p in positions]
    cos = torch.tensor([[math.cos(t) for t in row] for row in angles], dtype=F64)  # (L, D/2)
    sin = torch.tensor([[math.sin(t) for t in row] for row in angles], dtype=F64)
    first, second = members(d_head, interleaved)
    a, b = x.double()[..., first], x.double()[..., second]
    rotated = torch.zeros(x.shape, dtype=F64)
    rotated[..., first] = a * cos - b * sin
    rotated[..., second] = a * sin + b * cos
    return rotated


def angle_terms(positions: Sequence[int], d_head: int, base: float = DEFAULT) -> int:
    """What float32 angles at these positions may be off by, in terms of 8 u; see the top of this file."""
    farthest = max(abs(position) for position in positions)
    errors = [
        angle(farthest, i, d_head, base) * (4 * abs(math.log(base)) * 2 * i / d_head + 2 * i + 4)
        for i in range(d_head // 2)
    ]
    return math.ceil(max(errors) / 8)


def longest(x: Tensor) -> float:
    """No pair of channels of x is longer than this."""
    return math.sqrt(2.0) * float(x.double().abs().max())


def assert_angles(angles: Tensor, positions: Sequence[int], d_head: int, base: float, what: str) -> None:
    """float32, and each angle right relative to its own size."""
    assert_tensor(angles, shape=(len(positions), d_head // 2), dtype=F32, what=what)
    expected = torch.tensor([[angle(p, i, d_head, base) for i in range(d_head // 2)] for p in positions], dtype=F64)
    angles = angles.detach()
    at_zero = angles[expected == 0].abs()
    assert_equal(at_zero, torch.zeros_like(at_zero), what=f"{what}: angles at position 0")
    moved = torch.where(expected == 0, 1.0, expected)
    ratios = torch.where(expected == 0, 1.0, angles.double() / moved).float()
    terms = math.ceil((4 * abs(math.log(base)) + d_head) / 8)
    assert_close(ratios, torch.ones_like(ratios), terms=terms, what=f"{what}, divided by the right angles")


def assert_rotated(impl, x: Tensor, positions: Tensor, *, given: Tensor | None = None, what: str, **options) -> None:
    """apply_rope(x, positions, **options) is the rotation, float64 held to float32 angles.

    given: x as it is handed over, with other strides. x itself is handed over as a copy, so that an answer that
        changes it fails where that is asked, and is right elsewhere.
    """
    numbers = positions.tolist()
    expected = by_hand(x, numbers, **options)  # first: apply_rope might change what it is given
    result = impl.apply_rope(x.clone() if given is None else given, positions, **options)
    terms = angle_terms(numbers, x.shape[-1], options.get("base", DEFAULT))
    dtype = x.dtype
    if dtype == F64:  # test_float64_accuracy looks closer
        assert_tensor(result, shape=x.shape, dtype=F64, what=what)
        result, dtype = result.float(), F32
    assert_close(result, expected, terms=terms, magnitude=longest(x), dtype=dtype, what=what)


def assert_value_error(what: str, function: Callable[..., object], *args: object) -> None:
    try:
        result = function(*args)
    except ValueError:
        return
    raise Mismatch(f"{what}: expected a ValueError, got {describe(result)}")


def normal(gen: torch.Generator, *shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.randn(shape, generator=gen, dtype=F64).to(dtype)


def drawn(gen: torch.Generator, count: int, high: int = 40) -> Tensor:
    """Distinct positions, 2 or more, in no order."""
    return torch.randperm(high - 2, generator=gen)[:count] + 2


def layout(interleaved: bool) -> str:
    return f"interleaved={interleaved}"


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def test_first_angles(impl):
    """Angles are position times 1, 0.1, 0.01, 0.001 for d_head = 8

    One row a position, one column a pair. With base 10000 and d_head = 8 the exponent -2i/d_head runs through
    0, -1/4, -1/2, -3/4.
    """
    expected = torch.tensor([[p * 10.0**-i for i in range(4)] for p in range(3)], dtype=F64)
    assert_close(impl.rope_angles(torch.arange(3), 8), expected, what="rope_angles([0, 1, 2], 8)")
    expected = torch.tensor([[3.0, 0.03]], dtype=F64)
    assert_close(impl.rope_angles(torch.tensor([3]), d_head=4), expected, what="rope_angles([3], 4)")


def test_frequencies_for_every_head_size(impl):
    """Pair i turns by base**(-2i/d_head) a position, for every d_head

    The exponent counts in steps of 2 out of the full head size, so it starts at 0 and never reaches -1. Any
    even head size is legal.
    """
    for d_head in (2, 4, 6, 10, 14, 64, 128):
        angles = impl.rope_angles(torch.tensor([1, 5, 12]), d_head)
        assert_angles(angles, [1, 5, 12], d_head, DEFAULT, f"rope_angles([1, 5, 12], {d_head})")


def test_base_of_the_angles(impl):
    """base is the argument's, 10000 unless given

    Checkpoints differ: Llama 2 was trained with 10000, Llama 3 with 500000. Work out what the slowest pair
    does with each.
    """
    positions = torch.tensor([1, 3])
    for base, d_head in ((100.0, 6), (500000.0, 6), (12.5, 6), (10000.0, 6), (100.0, 8), (1e6, 8)):
        angles = impl.rope_angles(positions, d_head, base)
        assert_angles(angles, [1, 3], d_head, base, f"rope_angles([1, 3], {d_head}, {base:g})")
    angles = impl.rope_angles(positions=positions, d_head=6, base=50.0)
    assert_angles(angles, [1, 3], 6, 50.0, "rope_angles(positions=[1, 3], d_head=6, base=50)")


def test_angles_of_any_positions(impl, gen):
    """Row l belongs to positions[l]: any start, order, dtype, strides

    A decoding step asks for position 4097 alone, a packed batch starts again at 0, a long context goes beyond
    100000. Positions are int64 or int32, angles float32.
    """
    cases = [[0], [4097], [7, 6, 5, 4], [8, 6, 7, 5], [5, 5, 0, 2], [100000, 65537, 1], drawn(gen, 5).tolist()]
    cases += [[0, 7, 3, 9], [0, 3, 7, 9], [-3, 0, 5, -1], [1000003, 131073]]  # two of the same ends and values
    for index, numbers in enumerate(cases):
        dtype = torch.int32 if index % 3 == 2 else torch.int64
        positions = torch.tensor(numbers, dtype=dtype)
        with unchanged(positions=positions):
            angles = impl.rope_angles(positions, 6)
        assert_angles(angles, numbers, 6, DEFAULT, f"rope_angles({numbers}, 6), {short(dtype)}")
    angles = impl.rope_angles(torch.tensor([3, 0, 9, 0, 4, 0])[::2], 6)
    assert_angles(angles, [3, 9, 4], 6, DEFAULT, "rope_angles(positions[::2], 6)")


def test_odd_head_sizes(impl):
    """An odd d_head is a ValueError, an even one is not

    Channels are rotated in pairs; with an odd number of them one would be left over. Rounding down hides a
    wrong configuration.
    """
    for d_head in (1, 3, 7, 65):
        assert_value_error(f"rope_angles([0, 1], {d_head})", impl.rope_angles, torch.arange(2), d_head)
    for d_head in (2, 6, 12):
        angles = impl.rope_angles(torch.arange(2), d_head)
        assert_tensor(angles, shape=(2, d_head // 2), what=f"rope_angles([0, 1], {d_head})")


def test_unit_vectors(impl):
    """At position 1, (1, 0) becomes (cos 1, sin 1), (0, 1) (-sin 1, cos 1)

    Pair 0 turns by 1 radian a position, counter-clockwise. Draw the two vectors and turn them; with D = 2
    there is one pair, and the layouts agree.
    """
    cos, sin = math.cos(1.0), math.sin(1.0)
    x = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    expected = torch.tensor([[[cos, sin]], [[-sin, cos]]], dtype=F64)
    for options in ({}, {"interleaved": True}, {"interleaved": False}):
        result = impl.apply_rope(x.clone(), torch.tensor([1]), **options)
        assert_close(result, expected, what=f"apply_rope([1, 0] and [0, 1], [1], {options})")


def test_position_zero_and_lengths(impl, gen):
    """Position 0 changes nothing, and no position changes a pair's length

    A rotation by 0 is the identity, and a rotation by any angle keeps lengths. Which of a cos t, b sin t, a sin t,
    b cos t belong together, and with which sign?
    """
    x = normal(gen, 2, 5, 6)
    numbers = [0, *drawn(gen, 4).tolist()]
    for interleaved in (False, True):
        result = impl.apply_rope(x.clone(), torch.tensor(numbers), interleaved=interleaved)
        what = f"apply_rope at position 0, {layout(interleaved)}"
        assert_tensor(result, shape=(2, 5, 6), dtype=F32, what=what)
        assert_close(result[:, 0], x[:, 0].double(), magnitude=longest(x), what=what)
        for i in range(3):
            channels = list(pair(i, 6, interleaved))
            lengths = result.detach()[..., channels].double().norm(dim=-1).float()
            expected = x[..., channels].double().norm(dim=-1)
            what = f"lengths of pair {i}, channels {channels}, positions {numbers}, {layout(interleaved)}"
            assert_close(lengths, expected, magnitude=longest(x), what=what)


def test_half_layout(impl, gen):
    """By default channel i is paired with channel i + D/2

    This is what LLaMA checkpoints in the Hugging Face layout expect: the first half of the channels holds the
    first members of all pairs. cos and sin have to be arranged for the same pairs.
    """
    for d_head in (4, 6, 16):
        x, positions = normal(gen, 3, 5, d_head), drawn(gen, 5)
        assert_rotated(impl, x, positions, what=f"apply_rope of D = {d_head}")
    assert_rotated(impl, x, positions, interleaved=False, what=f"apply_rope of D = 16, {layout(False)}")


def test_interleaved_layout(impl, gen):
    """With interleaved=True channel 2i is paired with channel 2i + 1

    This is the paper's layout. The result has it too: the two turned members of a pair go back to where they
    came from, side by side.
    """
    for d_head in (4, 6, 16):
        x, positions = normal(gen, 3, 5, d_head), drawn(gen, 5)
        assert_rotated(impl, x, positions, interleaved=True, what=f"apply_rope of D = {d_head}, {layout(True)}")
    # One after the other on the same x and positions: only the layout differs.
    assert_rotated(impl, x, positions, interleaved=False, what=f"apply_rope of D = 16, {layout(False)}")
    expected = by_hand(x, positions.tolist(), 30.0, True)
    result = impl.apply_rope(x.clone(), positions, 30.0, True)
    terms = angle_terms(positions.tolist(), 16, 30.0)
    assert_close(result, expected, terms=terms, magnitude=longest(x), what="apply_rope(x, positions, 30, True)")


def test_base_of_the_rotation(impl, gen):
    """apply_rope turns by the angles of the base it is given

    The base has to reach the angles in both layouts; 10000 is only its default.
    """
    x, positions = normal(gen, 3, 4, 6), drawn(gen, 4)
    for interleaved in (False, True):
        for base in (100.0, 500000.0, 10000.0):
            what = f"apply_rope with base={base:g}, {layout(interleaved)}"
            assert_rotated(impl, x, positions, base=base, interleaved=interleaved, what=what)


def test_rows_are_turned_for_their_positions(impl, gen):
    """Row l is turned for positions[l], whatever the other rows are

    When decoding, the one new token stands at position t, not at 0. Positions may be repeated, unordered,
    negative and large, int64 or int32.
    """
    x = normal(gen, 3, 4, 6)
    several = [
        torch.arange(4),
        torch.arange(4) + 1,
        torch.tensor([9, 8, 7, 6]),
        torch.tensor([3, 3, 0, 3]),
        torch.tensor([4097, 12, 100000, 2]),
        drawn(gen, 4).int(),
        torch.tensor([-3, 0, 5, -1]),
    ]
    for index, positions in enumerate(several):
        interleaved = index % 2 == 1
        what = f"apply_rope at positions {positions.tolist()}, {layout(interleaved)}"
        assert_rotated(impl, x, positions, interleaved=interleaved, what=what)
    for row in (0, 3):
        what = f"apply_rope of row {row} alone, positions {positions[row : row + 1].tolist()}"
        assert_rotated(impl, x[:, row : row + 1], positions[row : row + 1], what=what)
    assert_rotated(impl, x, torch.tensor([6, 0, 2, 0, 5, 0, 1, 0])[::2], what="apply_rope at positions[::2]")
    for numbers in ([0, 7, 3, 9], [0, 4, 5, 9], [0, 3, 7, 9]):  # in a row: of the same ends, then the same when sorted
        assert_rotated(impl, x, torch.tensor(numbers), what=f"apply_rope at positions {numbers}")
    # Far out float32 angles are worth little, except those of pair 0: the position itself, exact up to 2**24.
    numbers = [1000003, 131073, 999983, 262147]
    x = torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(4, 4)
    expected = by_hand(x, numbers, interleaved=True)[:, :2]
    result = impl.apply_rope(x.clone(), torch.tensor(numbers), interleaved=True)
    what = f"apply_rope at positions {numbers}, {layout(True)}"
    assert_tensor(result, shape=(4, 4), dtype=F32, what=what)
    assert_close(result[:, :2], expected, magnitude=1.0, what=f"{what}: pair 0 of (1, 0)")


def score_at_offset(query: Tensor, key: Tensor, offset: int, interleaved: bool) -> float:
    """q.k after rotation, as a sum over complex numbers: Re(q conj(k) e**(i offset theta))."""
    total, d_head = 0.0, len(query)
    for i in range(d_head // 2):
        a, b = pair(i, d_head, interleaved)
        q, k = complex(query[a], query[b]), complex(key[a], key[b])
        t = angle(offset, i, d_head, DEFAULT)
        total += (q * k.conjugate() * complex(math.cos(t), math.sin(t))).real
    return total


def test_scores_depend_on_the_offset(impl, gen):
    """Scores of turned queries and keys depend on the offset alone

    A query at 7 and a key at 3 score like the same two at 104 and 100, and not like 3 and 7: the sign of the
    offset counts. This is what RoPE is for.
    """
    q, k = normal(gen, 6), normal(gen, 6)
    queries, keys = [7, 104, 4, 3, 100], [3, 100, 0, 7, 104]
    offsets = [4, 4, 4, -4, -4]
    for interleaved in (False, True):
        turned = [
            impl.apply_rope(v.repeat(5, 1), torch.tensor(at), interleaved=interleaved)
            for v, at in ((q, queries), (k, keys))
        ]
        for side in turned:
            assert_tensor(side, shape=(5, 6), dtype=F32, what=f"apply_rope, {layout(interleaved)}")
        scores = (turned[0].detach().double() * turned[1].detach().double()).sum(-1).float()
        expected = [score_at_offset(q, k, offset, interleaved) for offset in offsets]
        assert_close(
            scores,
            torch.tensor(expected, dtype=F64),
            terms=2 * angle_terms([104], 6) + 6,
            magnitude=3 * longest(q) * longest(k),
            what=f"scores of queries at {queries} and keys at {keys}, {layout(interleaved)}",
        )


def test_leading_dimensions(impl, gen):
    """All heads and sequences turn alike, for any number of leading dims

    Positions run along the last dim but one. Name dims from the end; sizes that agree by chance (as many heads as
    positions, as many positions as pairs) must not lead broadcasting astray.
    """
    both = [(1, 2), (4, 4), (5, 6), (4, 4, 8), (3, 4, 5, 6), (4, 4, 4, 8)]
    one = [(4, 8), (2, 5, 6), (6, 6, 6), (2, 1, 4, 2), (2, 2, 1, 3, 6)]
    for shape in both + one:
        positions = drawn(gen, shape[-2])
        x = normal(gen, *shape)
        for interleaved in (False, True) if shape in both else (len(shape) == 3,):
            what = f"apply_rope of x {shape}, {layout(interleaved)}"
            assert_rotated(impl, x, positions, interleaved=interleaved, what=what)
    x = normal(gen, 2, 2, 128)
    for interleaved in (False, True):
        what = f"apply_rope of x (2, 2, 128), {layout(interleaved)}"
        assert_rotated(impl, x, torch.tensor([3, 17]), interleaved=interleaved, what=what)


def test_inputs_are_left_alone(impl, gen):
    """Neither x nor positions is changed in place

    The unrotated keys may be needed again. A slice of x is a view: writing to it writes to x.
    """
    for dtype in DTYPES:
        x, positions = normal(gen, 2, 3, 6, dtype=dtype), drawn(gen, 3)
        for interleaved in (False, True):
            with unchanged(x=x, positions=positions):
                impl.apply_rope(x, positions, interleaved=interleaved)


def test_any_strides(impl, gen):
    """Transposed, strided and expanded inputs give the same values

    x usually arrives as (B, L, H, D) with two dims transposed, or as a slice of a fused projection. Code that needs
    contiguous memory fails there.
    """
    x, positions = normal(gen, 2, 3, 4, 6), drawn(gen, 4)
    for interleaved in (False, True):
        for how, given in (
            ("with strided x and positions", noncontiguous(x)),
            ("of x.transpose(1, 2)", x.transpose(1, 2).contiguous().transpose(1, 2)),
            ("of x.transpose(-2, -1)", x.mT.contiguous().mT),
        ):
            what = f"apply_rope {how}, {layout(interleaved)}"
            assert_rotated(impl, x, noncontiguous(positions), given=given, interleaved=interleaved, what=what)
        expanded = x[:, :1].expand(2, 3, 4, 6)  # a copy of it would not be
        what = f"apply_rope of an expanded x, {layout(interleaved)}"
        assert_rotated(impl, expanded, positions, given=expanded, interleaved=interleaved, what=what)


def test_half_precision(impl, gen):
    """Half precision keeps its dtype; angles and rotation are float32

    bfloat16 has 8 bits: position 4097 becomes 4096, one radian off. Rounding cos and sin, or the products, shows where
    a cos t and b sin t nearly cancel. Round once, at the end.
    """
    near, far = torch.tensor([5, 1, 0, 30]), torch.tensor([4097, 257, 100001, 2049])
    for dtype in DTYPES:  # one after the other at the same positions, float32 and float64 too
        for positions, interleaved in ((near, False), (far, False), (far, True)):
            x = normal(gen, 3, 4, 8, dtype=dtype)
            what = f"apply_rope of {short(dtype)} at positions {positions.tolist()}, {layout(interleaved)}"
            assert_rotated(impl, x, positions, interleaved=interleaved, what=what)
    # Vectors that the rotation lays onto an axis, up to the rounding of x: the other coordinate is
    # a cos t - b sin t, or a sin t + b cos t, close to 0. In float32 it is right to 50 u of the length 64, below
    # 64 * 2**-18; with a cosine, sine or product rounded to half, to 64 * 2**-9 (bfloat16) or 64 * 2**-12
    # (float16). The magnitudes put the tolerance, 4 roundoffs of the dtype, at 64 * 2**-15.
    numbers = list(range(1, 9))
    for dtype, magnitude in ((BF16, 64 * 2.0**-9), (F16, 64 * 2.0**-6)):
        onto_axes = [
            [[64 * math.sin(p), 64 * math.cos(p)] for p in numbers],
            [[64 * math.cos(p), -64 * math.sin(p)] for p in numbers],
        ]
        x = torch.tensor(onto_axes, dtype=F64).to(dtype)  # (2, 8, 2)
        expected = by_hand(x, numbers)
        for interleaved in (False, True):
            result = impl.apply_rope(x.clone(), torch.tensor(numbers), interleaved=interleaved)
            what = f"apply_rope of {short(dtype)} vectors turned onto an axis, {layout(interleaved)}"
            assert_tensor(result, shape=(2, 8, 2), dtype=dtype, what=what)
            for i in (0, 1):
                small = f"{what}: the coordinate near 0"
                assert_close(result[i, :, i], expected[i, :, i], magnitude=magnitude, dtype=dtype, what=small)


def test_float64_accuracy(impl, gen):
    """float64 keeps float64 accuracy

    The angles may be float32, their cosines and sines may not: a rotation with float32's cos and sin no longer keeps
    lengths beyond 7 digits. Widening half precision must not narrow double precision.
    """
    # Two honest answers differ here: angles computed in float64, and those of rope_angles, which are float32. They
    # agree where the float32 angle is exact, at position 0 and for pair 0, whose angle is the position. The other
    # angles are held to float32, and everything but the angle to float64 (`assert_turned_as_shown`).
    numbers = [0, 1, 2, 30, 7]
    for d_head in (2, 6):
        for interleaved in (False, True):
            what = f"apply_rope of float64, D = {d_head}, {layout(interleaved)}"
            first, second = members(d_head, interleaved)
            x = normal(gen, 3, 5, d_head, dtype=F64)
            x[0][:, first], x[0][:, second] = 1.0, 0.0
            expected, size = by_hand(x, numbers, interleaved=interleaved), longest(x)
            if (
                d_head == 6 and not interleaved
            ):  # float32 at the same positions first: its cos and sin are not for float64
                assert_rotated(impl, x.float(), torch.tensor(numbers), what="apply_rope of float32, D = 6")
            x.requires_grad_()
            result = impl.apply_rope(x, torch.tensor(numbers), interleaved=interleaved)
            assert_tensor(result, shape=(3, 5, d_head), dtype=F64, what=what)
            turned = result.detach()
            for where, index in (("position 0", (slice(None), 0)), ("pair 0", (..., [first[0], second[0]]))):
                place = f"{what}, {where}"
                # A turn by a power of a unit rotation is honest: 30 times the roundoff, 4 of them, is 15 terms.
                assert_close(turned[index], expected[index], terms=15, magnitude=size, dtype=F64, what=place)
            terms = angle_terms(numbers, d_head)
            assert_close(turned[0].float(), expected[0], terms=terms, magnitude=1.0, what=f"{what}, (1, 0) turned")
            assert_turned_as_shown(x, result, first, second, gen, what)


def assert_turned_as_shown(x: Tensor, result: Tensor, first: list[int], second: list[int], gen, what: str) -> None:
    """x[0] is (1, 0) in every pair, so result[0] is (cos, sin) of the angles used. To float64's precision cos and sin
    are of one angle, the other vectors are turned by it, and the gradient is turned back by it."""
    turned, size = result.detach(), longest(x.detach())
    cos, sin = turned[0][:, first], turned[0][:, second]  # (L, D/2)
    assert_close(cos**2 + sin**2, torch.ones_like(cos), terms=15, dtype=F64, what=f"{what}: cos² + sin²")
    a, b = x.detach()[..., first], x.detach()[..., second]
    for channels, expected in ((first, a * cos - b * sin), (second, a * sin + b * cos)):
        same = f"{what}, turned by the angles that (1, 0) shows"
        assert_close(turned[..., channels], expected, magnitude=size, dtype=F64, what=same)

    if not result.requires_grad:
        raise Mismatch(f"{what}: no gradient flows through it (detached, or rebuilt from numbers?)")
    cotangent = normal(gen, *x.shape, dtype=F64)
    (grad,) = torch.autograd.grad(result, x, cotangent, allow_unused=True)
    assert_tensor(grad, shape=x.shape, dtype=F64, what=f"gradient of x, {what}")
    a, b = cotangent[..., first], cotangent[..., second]
    for channels, expected in ((first, a * cos + b * sin), (second, b * cos - a * sin)):
        back, size = f"gradient of x, {what}", longest(cotangent)
        assert_close(grad[..., channels], expected, magnitude=size, dtype=F64, what=back)


def test_gradients(impl, gen):
    """The gradient of x is the cotangent turned back

    A rotation is linear in x, so its gradient is the same rotation by -t. A detached, rebuilt or partly cut result
    gives another one.
    """
    for dtype, shapes in ((F32, ((4, 6), (2, 3, 4, 6))), (BF16, ((2, 4, 6),)), (F16, ((2, 4, 6),))):
        for shape in shapes:
            for interleaved in (False, True):
                x, positions = normal(gen, *shape, dtype=dtype), drawn(gen, 4)
                numbers = positions.tolist()
                assert_gradients(
                    lambda x, at=positions, inter=interleaved: impl.apply_rope(x, at, 500.0, interleaved=inter),
                    lambda x, at=numbers, inter=interleaved: by_hand(x, at, 500.0, inter),
                    [x],
                    gen,
                    terms=angle_terms(numbers, 6, 500.0),
                    magnitude=4.0,
                    names=[f"x {shape} in {short(dtype)}, {layout(interleaved)}"],
                )
