"""What a right answer to the masking drill has to hold.

Expected masks come from a loop over pairs of positions, expected weights from a loop over Python floats that
looks at visible keys alone (`_by_hand`), expected gradients from a float64 formula that never sees a masked
score (`_formula`).
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

INF = math.inf
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
Pair = tuple[Tensor, Tensor]  # scores and mask


def test_causal_mask_is_lower_triangular(impl, gen):
    """A query sees itself and the past, never the future

    Row i is query i, column j is key j, and True means "may attend". Which j may query 0 see, and may it see
    itself?
    """
    for n in (1, 2, 5, _size(gen, 6, 12)):
        expected = _causal(n, n)
        assert_equal(impl.causal_mask(n), expected, what=f"causal_mask({n})")
        assert_equal(impl.causal_mask(n, n), expected, what=f"causal_mask({n}, {n})")


def test_causal_mask_puts_queries_last(impl, gen):
    """With more keys than queries, the queries are the last positions

    When decoding with a cache, the one new query is the newest token, so it sees every key. Work out which
    position the first query of n_queries has among n_keys.
    """
    n = _size(gen, 3, 9)
    sizes = [(1, 5), (2, 5), (4, 5), (2, 6), (3, 4), (3, 8)]  # twice the same product, for what is remembered by it
    for n_queries, n_keys in (*sizes, (n, n + _size(gen, 2, 9)), (n, 3 * n)):
        mask = impl.causal_mask(n_queries, n_keys=n_keys)
        assert_equal(mask, _causal(n_queries, n_keys), what=f"causal_mask({n_queries}, {n_keys})")


def test_causal_mask_needs_a_key_for_each_query(impl, gen):
    """Fewer keys than queries is a ValueError

    Every query is itself one of the keys, so n_keys < n_queries has no meaning here. Is 0 told apart from
    None?
    """
    n = _size(gen, 5, 9)
    for n_queries, n_keys in ((3, 2), (n, 1), (1, 0), (4, 0)):
        what = f"causal_mask({n_queries}, {n_keys})"
        _assert_value_error(what, impl.causal_mask, n_queries, n_keys)


def test_padding_mask_marks_real_tokens(impl, gen):
    """Real tokens are True, padding is False, one row a sequence

    A sequence of length n has its tokens at positions 0 to n - 1. The mask is as wide as the longest
    sequence, or as max_length, which may be larger.
    """
    drawn = torch.randint(1, 9, (5,), generator=gen).tolist()
    for lengths in ([3, 1, 4], [2, 2], [1], [2, 7, 3, 5], drawn):
        longest = max(lengths)
        mask = impl.padding_mask(torch.tensor(lengths))
        assert_equal(mask, _padding(lengths, longest), what=f"padding_mask({lengths})")
        for width in (longest, longest + 1, longest + _size(gen, 2, 6)):
            mask = impl.padding_mask(torch.tensor(lengths), max_length=width)
            assert_equal(mask, _padding(lengths, width), what=f"padding_mask({lengths}, {width})")


def test_padding_mask_takes_any_integer_lengths(impl, gen):
    """Empty sequences, any integer dtype and any strides of lengths are legal

    A sequence of length 0 is all padding. Small and unsigned integers wrap around instead of going below
    zero, and above their largest value too: mind arithmetic on the lengths, and positions in their dtype.
    """
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        lengths = [2, 0, 5, *torch.randint(0, 7, (2,), generator=gen).tolist()]
        given = torch.tensor(lengths, dtype=dtype)
        for width in (max(lengths), 9):
            what = f"padding_mask({lengths}, {width}), {dtype} lengths"
            with unchanged(lengths=given):
                mask = impl.padding_mask(given, width)
            assert_equal(mask, _padding(lengths, width), what=what)
    mask = impl.padding_mask(noncontiguous(given))
    assert_equal(mask, _padding(lengths, max(lengths)), what=f"padding_mask({lengths}), not contiguous")
    mask = impl.padding_mask(torch.tensor([0, 0]), 3)
    assert_equal(mask, _padding([0, 0], 3), what="padding_mask([0, 0], 3)")
    # Each width or length is beyond a type that it might be put into: int8, int8 again, float16.
    for dtype, lengths, given_width in (
        (torch.int8, [3, 0, 2], 300),
        (torch.uint8, [200, 3], None),
        (torch.int16, [2049, 3], None),
    ):
        mask = impl.padding_mask(torch.tensor(lengths, dtype=dtype), given_width)
        width = given_width or max(lengths)
        what = f"padding_mask({lengths}, {given_width}), {dtype} lengths"
        assert_equal(mask, torch.tensor([[True] * n + [False] * (width - n) for n in lengths]), what=what)


def test_padding_mask_does_not_cut_tokens_off(impl, gen):
    """A max_length shorter than the longest sequence is a ValueError

    Cutting tokens off silently would hide a bug upstream. Compare with the longest sequence, wherever it
    stands in the batch; is a max_length of 0 told apart from None?
    """
    n = _size(gen, 5, 9)
    for lengths, width in (([3, 1], 2), ([1, 4, 2], 3), ([2, n], n - 2), ([2, 5], 0), ([1, 1], 0)):
        what = f"padding_mask({lengths}, {width})"
        _assert_value_error(what, impl.padding_mask, torch.tensor(lengths), max_length=width)


def test_softmax_without_mask(impl, gen):
    """Without a mask it is the softmax over the last dimension

    Each row of the last dimension sums to 1, for any number of leading dimensions, none included.
    """
    for shape in ((5,), (1,), (4, 1), (4, 5), (6, 4, 5), (2, 3, 4, 5), (2, 1, 3, 4, 5)):
        scores = _normal(gen, *shape)
        _check(impl, scores, None, f"weights of {shape} scores, no mask")
    weights = impl.masked_softmax(scores, mask=None)
    _compare(weights, _by_hand(scores), None, torch.float32, "weights with mask=None")
    _check(impl, scores, torch.ones(4, 5, dtype=torch.bool), "weights with a mask that hides nothing")


def test_masked_keys_get_exactly_zero(impl, gen):
    """Masked keys weigh exactly 0 and the visible ones share the whole 1

    exp(0) is 1, not 0: hiding has to happen where it also leaves the sum below the fraction. Masked weights
    are compared with 0 to the last bit.
    """
    for shape in ((5,), (4, 5), (3, 3, 4, 5), (2, 3, 4, 6)):
        scores = _normal(gen, *shape)
        mask = _mask_with_a_key(gen, *shape)
        _check(impl, scores, mask, f"weights of {shape} scores")
    scores, mask = torch.tensor([4.0, 3.0, -2.0, 1.0]), torch.tensor([False, False, True, False])
    weights = impl.masked_softmax(scores, mask)
    assert_close(weights, torch.tensor([0.0, 0.0, 1.0, 0.0]), what="weights when one key of four is visible")


def test_mask_broadcasts_to_the_scores(impl, gen):
    """A mask of any shape that broadcasts to the scores gives the same weights

    A (B, 1, 1, Lk) padding mask, an (Lq, Lk) causal mask and a (B, 1, Lq, 1) mask of whole rows all mean what
    they mean when expanded to (B, H, Lq, Lk).
    """
    scores = _normal(gen, 2, 3, 4, 5)
    for shape in ((5,), (4, 5), (3, 1, 5), (3, 4, 5), (2, 1, 1, 5), (2, 1, 4, 5), (1, 3, 1, 5), (2, 3, 4, 5)):
        mask = _mask_with_a_key(gen, *shape)
        _check(impl, scores, mask, f"weights with a {shape} mask")
    for shape in ((4, 1), (3, 1, 1), (2, 1, 1, 1), (2, 1, 4, 1), (2, 3, 4, 1)):  # whole rows
        mask = torch.rand(shape, generator=gen) < 0.5
        mask.view(-1)[:2] = torch.tensor([True, False])
        _check(impl, scores, mask, f"weights with a {shape} mask")
    scores = _normal(gen, 3, 3, 3, 3)
    for shape in ((3,), (3, 3), (3, 1, 3), (3, 1, 1, 3)):  # equal sizes: a wrong alignment raises no error here
        mask = _mask_with_a_key(gen, *shape)
        _check(impl, scores, mask, f"weights with a {shape} mask, all sizes 3")
    scores, mask = _normal(gen, 3, 3, 5), _mask_with_a_key(gen, 3, 5)
    _check(impl, scores, mask, "weights of (3, 3, 5) scores with a (3, 5) mask")  # (Lq, Lk), though B = Lq


def test_masked_scores_have_no_say(impl, gen):
    """A masked score has no say, however large it is

    No finite constant is negative enough for every score, and a maximum or a sum that includes masked scores
    drowns the visible ones. Infinite garbage at padded positions must not come through either.
    """
    # Visible scores of ordinary size; the masked ones of each row are of another size, up to infinity.
    for dtype in DTYPES:
        sizes = (100.0, 1500.0, 2e4, 6e4 if dtype == torch.float16 else 1e10)
        scores, mask = _beside_garbage(gen, dtype, (*sizes, *(-s for s in sizes)))
        _check(impl, scores, mask, f"weights beside huge masked scores, {dtype}")
        scores, mask = _beside_garbage(gen, dtype, (INF, -INF))
        _check(impl, scores, mask, f"weights beside infinite scores, {dtype}")
    # The visible two lie below what a lowered masked score would be. Gaps are wide: the weights are 1 and 0.
    # A single row first: there a shift by the largest score of all rows does no harm, a finite fill value does.
    mask = torch.tensor([True, True, False, False])
    scores = torch.tensor([-5e4, -6e4, 0.0, 5.0], dtype=torch.float16)
    _check(impl, scores, mask, "weights of low visible scores, torch.float16")
    low = torch.tensor([[s, 3 * s, 0.0, 5.0] for s in (-1200.0, -2e4, -1e10, -1e33)], dtype=torch.float64)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        scores = low.to(dtype)
        _check(impl, scores, mask, f"weights of low visible scores, {dtype}")


def test_large_scores_stay_finite(impl, gen):
    """Large scores of either sign give finite weights

    exp(1e4) overflows and exp(-1e4) is 0 in every dtype. Softmax does not change when a row is shifted; each
    row needs a shift of its own.
    """
    # Gaps between scores are wide, so the weights are 0 and 1 whatever the rounding.
    rows = torch.tensor(
        [[1e4, 9e3, 0.0, -1e4], [-9e3, -8e3, -1e4, -2e4], [3e4, -3e4, 6e4, 0.0], [-5e4, -6e4, -4e4, -5.5e4]],
        dtype=torch.float64,
    )
    order = torch.randperm(4, generator=gen)
    mask = torch.tensor([[True, True, False, True], [True, False, True, True]]).repeat(2, 1)
    for dtype in DTYPES:
        larger = rows if dtype == torch.float16 else 1e6 * rows
        scores = torch.stack([rows, -rows, larger])[..., order].to(dtype)  # (3, 4, 4)
        _check(impl, scores, None, f"weights of large scores, {dtype}, no mask")
        _check(impl, scores, mask, f"weights of large scores, {dtype}")


def test_row_that_sees_nothing_is_zero(impl, gen):
    """A row that may attend to nothing is all zeros, never NaN

    It has no sensible weights, least of all uniform ones, which would let it attend to padding. Other rows of
    the same tensor keep their weights.
    """
    for dtype in DTYPES:
        for kind, values in _BLIND.items():
            scores, mask = _with_blind_rows(gen, dtype, values)
            expected = _by_hand(scores, mask)
            weights = impl.masked_softmax(scores, mask.clone())
            assert_tensor(weights, shape=scores.shape, dtype=dtype, what=f"weights, {dtype}")
            what = f"weights of fully masked rows with {kind} scores, {dtype}"
            assert_equal(weights[:, 1], torch.zeros_like(weights[:, 1]), what=what)
            _compare(weights, expected, mask, dtype, f"weights beside fully masked rows, {dtype}")
    nothing = torch.zeros(4, dtype=torch.bool)
    for shape in ((4,), (2, 3, 4)):
        weights = impl.masked_softmax(_normal(gen, *shape), nothing)
        assert_equal(weights, torch.zeros(shape), what=f"weights of {shape} scores when everything is masked")


def test_gradient_of_the_scores(impl, gen):
    """The gradient of the scores is right, with and without a mask

    Weights must stay connected to the scores. A masked score influences nothing, so its gradient is 0.
    """
    for dtype in DTYPES:
        scores, mask = _normal(gen, 2, 3, 4, 5, dtype=dtype), _mask_with_a_key(gen, 2, 1, 4, 5)
        _check_gradient(impl, scores, None, gen)
        _check_gradient(impl, scores, mask, gen)
    _check_gradient(impl, scores[0, 0, 0].double(), mask[0, 0, 0], gen)


def test_gradient_beside_huge_masked_scores(impl, gen):
    """The gradient stays right beside masked scores of any size

    0 * inf is NaN, and the backward pass multiplies. Right weights are not enough: an overflow that is thrown
    away afterwards still comes back through the gradient.
    """
    for dtype in DTYPES:
        for garbage in ((2e4, -2e4), (INF, -INF)):
            scores, mask = _beside_garbage(gen, dtype, garbage)
            _check_gradient(impl, scores, mask, gen)


def test_gradient_of_a_row_that_sees_nothing(impl, gen):
    """A row that may attend to nothing has zero gradient, others keep theirs

    Replacing NaN by 0 at the end mends the weights; whether it mends the gradient depends on how the scores
    were masked before. One NaN in the gradient spreads to every parameter.
    """
    for dtype in DTYPES:
        for kind, values in _BLIND.items():
            scores, mask = _with_blind_rows(gen, dtype, values)
            leaf = scores.clone().requires_grad_()
            weights = impl.masked_softmax(leaf, mask)
            assert_tensor(weights, shape=scores.shape, dtype=dtype, what=f"weights, {dtype}")
            if not weights.requires_grad:
                raise Mismatch("weights: no gradient flows through them (detached, or rebuilt from numbers?)")
            cotangent = torch.randn(weights.shape, generator=gen).to(dtype)
            (grad,) = torch.autograd.grad(weights, leaf, cotangent)
            what = f"gradient of fully masked rows with {kind} scores, {dtype}"
            assert_equal(grad[:, 1], torch.zeros_like(scores[:, 1]), what=what)
            w, c = _by_hand(scores, mask), cotangent.double()
            expected = w * (c - (w * c).sum(-1, keepdim=True))  # the softmax's vector-Jacobian product
            what = f"gradient beside fully masked rows, {dtype}"
            assert_close(grad, expected, terms=4, magnitude=4.0, dtype=dtype, what=what)
    # No row sees anything: backward() has to work all the same.
    leaf = _normal(gen, 2, 3).requires_grad_()
    weights = impl.masked_softmax(leaf, torch.zeros(3, dtype=torch.bool))
    assert_tensor(weights, shape=(2, 3), dtype=torch.float32, what="weights when everything is masked")
    if not weights.requires_grad:
        raise Mismatch("weights when everything is masked: no gradient flows through them, so backward() raises")
    (grad,) = torch.autograd.grad(weights, leaf, torch.ones(2, 3))
    assert_equal(grad, torch.zeros(2, 3), what="gradient when everything is masked")


def test_float64_and_half_precision(impl, gen):
    """float64 keeps its accuracy, half precision is accumulated in float32

    The weights have the dtype of the scores. A float64 score must not pass through float32, and a sum over
    thousands of float16 or bfloat16 values needs a float32 accumulator.
    """
    for dtype in DTYPES:
        for shape in ((3, 7), (2, 2, 3, 7)):
            scores, mask = _normal(gen, *shape, dtype=dtype), _mask_with_a_key(gen, 3, 7)
            _check(impl, scores, None, f"weights of {dtype} scores, no mask")
            _check(impl, scores, mask, f"weights of {dtype} scores")
    # Long rows of equal scores: a bfloat16 running sum of ones stops at 256, a float16 one at 2048.
    for dtype, n_keys in ((torch.bfloat16, 302), (torch.float16, 3000)):
        scores = torch.full((2, n_keys + 8), 20.0, dtype=dtype)
        mask = torch.arange(n_keys + 8) < n_keys
        expected = (mask.double() / n_keys).expand(2, -1)
        weights = impl.masked_softmax(scores, mask)
        what = f"weights over {n_keys} equal scores, {dtype}"
        assert_close(weights, expected, terms=n_keys, dtype=dtype, what=what)


def test_inputs_stay_as_they_were(impl, gen):
    """Neither scores nor mask is changed in place

    The caller still needs both: the same mask serves every layer. Methods whose name ends in an underscore
    write into their tensor.
    """
    for dtype in DTYPES:
        scores, mask = _normal(gen, 2, 3, 4, 5, dtype=dtype), _mask_with_a_key(gen, 2, 3, 4, 5)
        mask[:, :, 1] = False
        with unchanged(scores=scores, mask=mask):
            impl.masked_softmax(scores, mask)
        with unchanged(scores=scores):
            impl.masked_softmax(scores)


def test_inputs_of_any_strides(impl, gen):
    """Transposed, sliced and expanded inputs work like contiguous ones

    Scores are often a transposed view and masks an expanded one.
    """
    scores, mask = _normal(gen, 2, 3, 4, 5), _mask_with_a_key(gen, 2, 3, 4, 5)
    mask[1, :, 2] = False
    for what, s, m in (
        ("sliced", noncontiguous(scores), noncontiguous(mask)),
        ("transposed", scores.permute(1, 0, 3, 2), mask[:, :, :1].expand(2, 3, 4, 5).permute(1, 0, 3, 2)),
        ("expanded", scores[:1, :, :1].expand(2, 3, 4, 5), mask),
    ):
        _check(impl, s, m, f"weights of {what} scores")
        _check(impl, s, None, f"weights of {what} scores, no mask")


def _size(gen: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high, (), generator=gen))


def _normal(gen: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return (2.0 * torch.randn(shape, generator=gen, dtype=torch.float64)).to(dtype)


def _mask_with_a_key(gen: torch.Generator, *shape: int) -> Tensor:
    """A random mask: in each row at least one key is visible and, given two, at least one is not."""
    mask = torch.rand(shape, generator=gen) < 0.5
    first = torch.randint(shape[-1], (*shape[:-1], 1), generator=gen)
    return mask.scatter(-1, (first + 1) % shape[-1], False).scatter(-1, first, True)


def _beside_garbage(gen: torch.Generator, dtype: torch.dtype, garbage: Sequence[float]) -> Pair:
    """Scores (n, 5) of ordinary size, but garbage[i] where the mask hides a key of row i; and that mask."""
    mask = _mask_with_a_key(gen, len(garbage), 5)
    scores = _normal(gen, len(garbage), 5, dtype=dtype)
    return torch.where(mask, scores, torch.tensor(garbage, dtype=dtype)[:, None]), mask


# What the scores of a fully masked row may be: None is drawn, "max" and "min" are the dtype's extremes.
_BLIND = {"finite": (None, 0.0, 6e4, -6e4, "max", "min"), "infinite": (INF, -INF)}


def _with_blind_rows(gen: torch.Generator, dtype: torch.dtype, values: Sequence[float | str | None]) -> Pair:
    """Scores (n, 3, 4) and a mask of that shape that hides all of row 1, which holds values[i] in block i."""
    scores, mask = _normal(gen, len(values), 3, 4, dtype=dtype), _mask_with_a_key(gen, len(values), 3, 4)
    mask[:, 1] = False
    for block, value in zip(scores, values, strict=True):
        if value is not None:
            block[1] = getattr(torch.finfo(dtype), value) if isinstance(value, str) else value
    return scores, mask


def _causal(n_queries: int, n_keys: int) -> Tensor:
    past = n_keys - n_queries  # keys before the first query
    return torch.tensor([[j <= past + i for j in range(n_keys)] for i in range(n_queries)])


def _padding(lengths: list[int], width: int) -> Tensor:
    return torch.tensor([[j < length for j in range(width)] for length in lengths])


def _by_hand(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """The weights in float64, one Python float at a time, from the visible scores alone."""
    visible = torch.ones(scores.shape, dtype=torch.bool) if mask is None else mask.expand(scores.shape)
    n, rows = scores.shape[-1], []
    given = scores.double().reshape(-1, n).tolist()
    for row, sees in zip(given, visible.reshape(-1, n).tolist(), strict=True):
        peak = max((s for s, v in zip(row, sees, strict=True) if v), default=0.0)
        powers = [math.exp(s - peak) if v else 0.0 for s, v in zip(row, sees, strict=True)]
        total = math.fsum(powers)
        rows.append([p / total if total else 0.0 for p in powers])
    return torch.tensor(rows, dtype=torch.float64).reshape(scores.shape)


def _formula(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Differentiable, for visible scores of ordinary size; masked ones are cut off before the exp."""
    visible = torch.ones(scores.shape, dtype=torch.bool) if mask is None else mask.expand(scores.shape)
    powers = torch.where(visible, scores, 0.0).exp() * visible
    total = powers.sum(-1, keepdim=True)
    return powers / torch.where(total > 0, total, 1.0)


def _check(impl, scores: Tensor, mask: Tensor | None, what: str) -> None:
    """The weights are right, and where masked they are 0 to the last bit."""
    expected = _by_hand(scores, mask)
    given = scores.clone()  # a learner's in-place change is reported by the check made for it
    weights = impl.masked_softmax(given) if mask is None else impl.masked_softmax(given, mask.clone())
    _compare(weights, expected, mask, scores.dtype, what)


def _compare(weights: Tensor, expected: Tensor, mask: Tensor | None, dtype: torch.dtype, what: str) -> None:
    assert_close(weights, expected, terms=expected.shape[-1], magnitude=1.0, dtype=dtype, what=what)
    if mask is not None:
        hidden = weights[~mask.expand(expected.shape)]
        assert_equal(hidden, torch.zeros_like(hidden), what=f"{what}: those of masked keys")


def _check_gradient(impl, scores: Tensor, mask: Tensor | None, gen: torch.Generator) -> None:
    # A term of the gradient is a weight times a difference of cotangents, of size up to about 4.
    assert_gradients(
        lambda s: impl.masked_softmax(s) if mask is None else impl.masked_softmax(s, mask),
        lambda s: _formula(s, mask),
        [scores],
        gen,
        terms=scores.shape[-1],
        magnitude=4.0,
        names=[f"{str(scores.dtype).removeprefix('torch.')} scores"],
    )


def _assert_value_error(what: str, function: Callable[..., object], *args: object, **kwargs: object) -> None:
    try:
        result = function(*args, **kwargs)
    except ValueError:
        return
    raise Mismatch(f"{what}: expected a ValueError, got {describe(result)}")
