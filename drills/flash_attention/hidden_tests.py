"""Hidden tests of FlashAttention.

Expected values are computed one scalar at a time (`by_hand`) or by the dense formula in float64 (`partial`,
`dense`). merge_blocks is given partial results made by hand, which belong to no scores at all.
"""
# ruff: noqa: E741 - m, l and o are the papers' names

import math
import re
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
    largest_tensor,
    noncontiguous,
    unchanged,
)

F64, F32, F16, BF16 = torch.float64, torch.float32, torch.float16, torch.bfloat16
INF = math.inf
Parts = tuple[Tensor, Tensor, Tensor]


def normal(gen: torch.Generator, *shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.randn(shape, generator=gen, dtype=F64).to(dtype)


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# --- expected values --------------------------------------------------------------------------------------


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Parts:
    """m, l, o without leading dims, from Python floats."""
    keys, values, rows = k.tolist(), v.tolist(), []
    for query in q.tolist():
        scores = [math.fsum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(len(query)) for key in keys]
        exps = [math.exp(s - max(scores)) for s in scores]
        o = [math.fsum(e * row[d] for e, row in zip(exps, values, strict=True)) for d in range(len(values[0]))]
        rows.append((max(scores), math.fsum(exps), o))
    m, l, o = (torch.tensor(column, dtype=F64) for column in zip(*rows, strict=True))
    return m, l, o


def partial(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Parts:
    """m, l, o in float64, from the whole score matrix."""
    scores = torch.einsum("...id,...jd->...ij", q.double(), k.double()) * q.shape[-1] ** -0.5
    seen = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand(scores.shape)
    m = scores.detach().masked_fill(~seen, -INF).amax(-1)
    exps = torch.where(seen, scores - m.nan_to_num(neginf=0.0)[..., None], -INF).exp()
    return m, exps.sum(-1), torch.einsum("...ij,...jd->...id", exps, v.double())


def dense(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp in float64, from the whole score matrix."""
    m, l, o = partial(q, k, v, visible(q.shape[-2], k.shape[-2]) if causal else None)
    return o / torch.where(l == 0, 1.0, l)[..., None], m + l.log()


def visible(n_queries: int, n_keys: int) -> Tensor:
    """The causal mask: the last query sees every key, the one before it all but the last."""
    offset = n_keys - n_queries
    return torch.tensor([[j <= i + offset for j in range(n_keys)] for i in range(n_queries)])


def merged(*parts: Parts) -> Parts:
    """The definition: everything relative to the largest maximum, row by row, in Python floats."""
    lead, d = parts[0][0].shape, parts[0][2].shape[-1]
    ms, ls = ([p[i].reshape(-1).tolist() for p in parts] for i in (0, 1))
    os = [p[2].reshape(-1, d).tolist() for p in parts]
    rows = []
    for i in range(lead.numel()):
        m = max(side[i] for side in ms)
        factors = [math.exp(side[i] - m) if side[i] > -INF else 0.0 for side in ms]
        l = math.fsum(f * side[i] for f, side in zip(factors, ls, strict=True))
        rows.append((m, l, [math.fsum(f * o[i][c] for f, o in zip(factors, os, strict=True)) for c in range(d)]))
    m, l, o = (torch.tensor(column, dtype=F64) for column in zip(*rows, strict=True))
    return m.reshape(lead), l.reshape(lead), o.reshape(*lead, d)


def handmade(gen: torch.Generator, *shape: int, center: float = 0.0, spread: float = 2.0) -> Parts:
    """A partial result in float64 that belongs to no scores: l need not be 1 or more, o has any size and sign."""
    m = center + spread * normal(gen, *shape[:-1], dtype=F64)
    l = 0.2 + 5.0 * torch.rand(shape[:-1], generator=gen, dtype=F64)
    return m, l, 3.0 * normal(gen, *shape, dtype=F64)


def nothing(*shape: int) -> Parts:
    """The partial result of rows that saw nothing."""
    m = torch.full(shape[:-1], -INF, dtype=F64)
    return m, torch.zeros(shape[:-1], dtype=F64), torch.zeros(shape, dtype=F64)


# --- comparison -------------------------------------------------------------------------------------------


def items(result: object, count: int, what: str) -> Sequence[Tensor]:
    if isinstance(result, tuple | list) and len(result) == count:
        return result
    got = f"a {type(result).__name__} of {len(result)}" if isinstance(result, tuple | list) else describe(result)
    raise Mismatch(f"{what}: expected a tuple of {count} tensors, got {got}")


def kept(result: object, dtype: torch.dtype) -> object:
    """A statistic of half precision input may be float32; it is still compared to half precision's accuracy, because
    q / sqrt(D), the scores or the exponentials may have been rounded to it."""
    wide = isinstance(result, Tensor) and result.dtype == F32 and dtype in (F16, BF16)
    return result.to(dtype) if wide else result


def score_size(q: Tensor, k: Tensor) -> float:
    """What the rounding of a score is relative to, at least 1: the largest sum of |q_i k_i| / sqrt(D)."""
    sums = torch.einsum("...id,...jd->...ij", q.double().abs(), k.double().abs())
    return max(1.0, float(sums.max()) * q.shape[-1] ** -0.5)


def check_parts(result: object, want: Parts, dtype: torch.dtype, *, terms: int, size: float, what: str) -> None:
    """m, l and o are as expected; what saw nothing is -inf, 0 and 0 to the last bit.

    size: the size of the scores. A score is rounded relative to it, and its exponential inherits the error.
    """
    got = items(result, 3, what)
    for name, actual, expected in zip("mlo", got, want, strict=True):
        magnitude = size if name == "m" else size * max(1.0, float(expected.abs().max()))
        assert_close(
            kept(actual, dtype), expected, terms=terms, magnitude=magnitude, dtype=dtype, what=f"{name} of {what}"
        )
        empty = actual.detach()[want[0] == -INF]
        exact = torch.full_like(empty, -INF if name == "m" else 0.0)
        assert_equal(empty, exact, what=f"{name} of the rows that see nothing, {what}")


def check_block(impl, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, what: str) -> None:
    args = (q, k, v) if mask is None else (q, k, v, mask)
    want, size = partial(*args), score_size(q, k)
    check_parts(impl.attend_block(*args), want, q.dtype, terms=q.shape[-1] + k.shape[-2], size=size, what=what)


def check_merge(impl, a: Parts, b: Parts, *, what: str) -> None:
    want, finite = merged(a, b), torch.cat([a[0].reshape(-1), b[0].reshape(-1)]).abs()
    # A merge by way of logarithms, log l + m, is rounded relative to m.
    size = max(1.0, float(finite[finite < INF].max())) if bool((finite < INF).any()) else 1.0
    check_parts(impl.merge_blocks(a, b), want, F64, terms=2, size=size, what=what)


def check_flash(
    impl, q: Tensor, k: Tensor, v: Tensor, block_size: int | None = None, causal: bool = False, *, what: str = ""
) -> None:
    """Output and log-sum-exp are those of the dense formula. block_size=None leaves it to the default."""
    want_output, want_lse = dense(q, k, v, causal)
    options = {} if block_size is None else {"block_size": block_size}
    if causal:
        options["causal"] = True
    sizes = f"Lq = {q.shape[-2]}, Lk = {k.shape[-2]}, D = {q.shape[-1]}"
    case = f"{what or sizes}, " + (", ".join(f"{name}={value}" for name, value in options.items()) or "no options")
    output, lse = items(impl.flash_attention(q, k, v, **options), 2, case)
    terms, size = q.shape[-1] + k.shape[-2], score_size(q, k)
    magnitude = size * float(v.abs().max())
    assert_close(output, want_output, terms=terms, magnitude=magnitude, dtype=q.dtype, what=f"output, {case}")
    lse = kept(lse, q.dtype)
    assert_close(lse, want_lse, terms=terms, magnitude=size, dtype=q.dtype, what=f"log-sum-exp, {case}")
    empty = output.detach()[want_lse == -INF]
    assert_equal(empty, torch.zeros_like(empty), what=f"output of the rows that see nothing, {case}")


def random_mask(gen: torch.Generator, *shape: int) -> Tensor:
    """Every row has a key that it sees and one that it does not."""
    mask = torch.rand(shape, generator=gen) < 0.5
    some, other = torch.randperm(shape[-1], generator=gen)[:2].tolist()
    mask[..., some] = True
    mask[..., other] = False
    return mask


# --- attend_block -----------------------------------------------------------------------------------------


def test_block_is_left_unnormalised(impl, gen):
    """A block gives its maximum, its sum and an unnormalised output

    m is the largest score of each row, l the sum of exp(score - m), o the same exponentials times the values:
    nothing is divided by l yet. The scores are dot products divided by sqrt(D).
    """
    for n_queries, n_keys, d in ((3, 5, 7), (6, 2, 3), (1, 4, 1), (2, 1, 5)):
        q, k, v = normal(gen, n_queries, d), normal(gen, n_keys, d), normal(gen, n_keys, d)
        result = impl.attend_block(q, k, v)
        what = f"a block of {n_queries} queries and {n_keys} keys, D = {d}"
        check_parts(result, by_hand(q, k, v), F32, terms=d + n_keys, size=score_size(q, k), what=what)


def test_block_obeys_its_mask(impl, gen):
    """A block obeys a mask of any shape that broadcasts

    True = may attend. A hidden key counts neither for the maximum nor for the sum, however large its score is.
    Broadcasting lines dims up from the last one, without your help.
    """
    q, k, v = normal(gen, 2, 3, 4, 6), normal(gen, 2, 3, 5, 6), normal(gen, 2, 3, 5, 6)
    for shape in ((4, 5), (5,), (3, 1, 5), (2, 1, 4, 5), (2, 3, 4, 5)):
        check_block(impl, q, k, v, random_mask(gen, *shape), what=f"a block with a mask {shape}")
    check_block(impl, q[0, 0], k[0, 0], v[0, 0], random_mask(gen, 4, 5), what="a block without leading dims, masked")
    square = (t[..., :4, :] for t in (q, k, v))  # a mask of keys, not of queries, though there are as many
    check_block(impl, *square, random_mask(gen, 4), what="a block of 4 queries and 4 keys with a mask (4,)")
    # The score of a key is its first component: hidden ones far above, visible ones far below zero.
    q, mask = torch.tensor([[2.0, 0.0, 0.0, 0.0]]), torch.tensor([False, True, True, True, False])
    k, v = torch.zeros(2, 5, 4), normal(gen, 2, 5, 4)
    k[0, :, 0] = torch.tensor([300.0, 0.5, -0.5, 1.0, 300.0])
    k[1, :, 0] = torch.tensor([0.0, -5e4, -50001.0, -50003.0, 0.0])  # below any finite fill value
    check_block(impl, q.expand(2, 1, 4), k, v, mask, what="a block whose hidden keys have by far the largest scores")


def test_block_that_sees_nothing(impl, gen):
    """A row that sees nothing gives m = -inf, l = 0, o = 0

    With m = -inf the exponent -inf - m is NaN. Subtract something finite in those rows, and still return -inf.
    A finite fill value would leave exp(0) = 1 for every hidden key.
    """
    q, k, v = normal(gen, 2, 3, 4, 6), normal(gen, 2, 3, 5, 6), normal(gen, 2, 3, 5, 6)
    rows, padding = random_mask(gen, 4, 5), random_mask(gen, 2, 1, 1, 5)
    rows[1:3] = False
    padding[0] = False
    for what, mask in (
        ("rows 1 and 2 see nothing", rows),
        ("sequence 0 sees nothing", padding),
        ("nobody sees anything", torch.zeros(5, dtype=torch.bool)),
    ):
        check_block(impl, q, k, v, mask, what=f"a block with mask {tuple(mask.shape)}, {what}")


# --- merge_blocks -----------------------------------------------------------------------------------------


def test_merge_brings_both_sides_to_one_maximum(impl, gen):
    """Merging rescales both sides to the common maximum

    Each side was summed relative to its own m. The larger m stays, and the other side's l and o shrink by the
    exponential of how far they were off: which side that is differs from row to row.
    """
    for shape in ((4, 3), (2, 3, 5, 4), (2, 1, 3, 2, 7), (3, 3, 3), (1, 1)):
        a, b = handmade(gen, *shape), handmade(gen, *shape)
        check_merge(impl, a, b, what=f"the merge of l {shape[:-1]} and o {shape}")
        check_merge(impl, b, a, what=f"the merge of l {shape[:-1]} and o {shape}, sides swapped")
    a, b = handmade(gen, 2, 5, 3), handmade(gen, 2, 5, 3)
    check_merge(impl, a, (a[0].clone(), *b[1:]), what="the merge of sides with equal m")
    # A merge of merges is a partial result as any other.
    c, d = handmade(gen, 2, 5, 3), handmade(gen, 2, 5, 3, spread=6.0)
    result = impl.merge_blocks(impl.merge_blocks(c, b), impl.merge_blocks(d, a))
    check_parts(result, merged(a, b, c, d), F64, terms=4, size=20.0, what="the merge of two merges")


def test_merge_with_a_side_that_saw_nothing(impl, gen):
    """A side that saw nothing changes nothing; two of them give nothing

    A side with m = -inf has the weight exp(-inf) = 0. When both have it, -inf - -inf is NaN: use a finite number in
    its place. Rows differ: one may have seen nothing while its neighbour has.
    """
    shape = (2, 5, 3)
    a, b, empty = handmade(gen, *shape), handmade(gen, *shape), nothing(*shape)
    check_merge(impl, empty, b, what="the merge of nothing with something")
    check_merge(impl, a, empty, what="the merge of something with nothing")
    check_merge(impl, empty, nothing(*shape), what="the merge of nothing with nothing")
    low = handmade(gen, *shape, center=-1000.0)
    check_merge(impl, empty, low, what="the merge of nothing with m around -1000")
    for side, row in ((a, 0), (a, 1), (b, 1), (b, 2)):  # row 1: neither saw anything
        for part, value in zip(side, (-INF, 0.0, 0.0), strict=True):
            part[:, row] = value
    check_merge(impl, a, b, what="the merge of sides of which some rows saw nothing")
    check_merge(impl, b, a, what="the merge of sides of which some rows saw nothing, swapped")


def test_merge_survives_maxima_far_apart(impl, gen):
    """Maxima 1000 apart neither overflow nor vanish

    exp(1000) is infinite. Only differences to the larger maximum enter an exponential, so every exponent is 0 or
    less.
    """
    shape = (2, 4, 3)
    near, far = handmade(gen, *shape), handmade(gen, *shape, center=1000.0)
    check_merge(impl, near, far, what="the merge of m around 0 and around 1000")
    check_merge(impl, far, near, what="the merge of m around 1000 and around 0")
    low, lower = handmade(gen, *shape, center=-1000.0), handmade(gen, *shape, center=-1000.0)
    check_merge(impl, low, lower, what="the merge of two m around -1000")
    check_merge(impl, far, handmade(gen, *shape, center=1000.0), what="the merge of two m around 1000")


# --- flash_attention --------------------------------------------------------------------------------------


def test_output_and_logsumexp_are_exact(impl, gen):
    """Output and log-sum-exp are the dense ones for any block size

    Tiling is not an approximation. Every key counts once, whether the blocks are single keys, larger than the input,
    or leave a shorter one at the end; the division by l comes once, after the last block. Log-sum-exp: m + log l.
    """
    q, k, v = normal(gen, 5, 3), normal(gen, 7, 3), normal(gen, 7, 3)
    m, l, o = by_hand(q, k, v)
    for block_size in (1, 2, 3, 7, 8, 1000):
        output, lse = items(impl.flash_attention(q, k, v, block_size=block_size), 2, f"block_size={block_size}")
        what = f"Lq = 5, Lk = 7, D = 3, block_size={block_size}"
        size = score_size(q, k)
        magnitude = size * float(v.abs().max())
        assert_close(output, o / l[:, None], terms=10, magnitude=magnitude, what=f"output, {what}")
        assert_close(lse, m + l.log(), terms=10, magnitude=size, what=f"log-sum-exp, {what}")
    for lead, n_queries, n_keys, d, block_size in (
        ((2,), 3, 6, 5, 2),
        ((), 9, 4, 1, 3),
        ((), 1, 6, 4, 4),  # one query: a decoding step
        ((2,), 3, 1, 5, 2),
        ((), 3, 130, 5, None),  # the default of 64: two blocks and 2 keys
    ):
        q, k, v = (normal(gen, *lead, n, d) for n in (n_queries, n_keys, n_keys))
        check_flash(impl, q, k, v, block_size)


def test_the_maximum_may_move(impl, gen):
    """The maximum may be in any block, at 650 or at -1000

    When a later block has a larger score, what was summed so far is relative to the old maximum and has to be
    rescaled, l and o alike. The maximum starts at -inf: 0 is too high for scores around -1000.
    """
    rising = [0.0, 1.0, 2.5, 3.0, 4.5, 5.0, 6.5]
    scores = torch.tensor(
        [
            rising,
            rising[::-1],
            [100.0 * s for s in rising],
            [-100.0 * s for s in rising],
            [0.5, 1.0, 400.0, 399.0, 1.0, 400.5, -400.0],
            [-1000.0 + s for s in rising],
            [-1000.0 - s for s in rising],
            [-30.0 + s for s in rising],
        ]
    )
    q, k = torch.zeros(8, 1, 4), torch.zeros(8, 7, 4)  # one sequence a row; the score of a key is its component 2
    q[..., 2], k[..., 2] = 2.0, scores
    for block_size in (1, 3, 5):
        check_flash(impl, q, k, normal(gen, 8, 7, 4), block_size, what="scores that rise, fall and are far from 0")
    k = k[5:7] - torch.tensor([0.0, 0.0, 5e4, 0.0])  # below every "large" negative number that a maximum may start at
    check_flash(impl, q[5:7], k, normal(gen, 2, 7, 4), 3, causal=True, what="scores around -51000")


def test_causal_hides_the_future(impl, gen):
    """Causal: no query sees a later key, the last query sees all

    The queries are the last Lq of Lk positions: query i stands at i + Lk - Lq. Positions count through the whole
    sequence, not within a block, and a block may be visible in part.
    """
    for n_queries, n_keys, block_sizes in (
        (6, 6, (1, 2, 4, 6, 9)),
        (6, 9, (2, 4)),
        (3, 8, (1, 3, 5)),
        (7, 9, (2, 4, 8)),
    ):
        q, k, v = (normal(gen, 2, n, 3) for n in (n_queries, n_keys, n_keys))
        for block_size in block_sizes:
            check_flash(impl, q, k, v, block_size, causal=True)
    q, k, v = (normal(gen, n, 3) for n in (70, 75, 75))
    check_flash(impl, q, k, v, causal=True)
    q, k, v = (normal(gen, n, 3) for n in (1, 9, 9))
    check_flash(impl, q, k, v, 4, causal=True)


def test_causal_with_fewer_keys_than_queries(impl, gen):
    """Causal with Lk < Lq: the first rows see nothing, output 0, lse -inf

    The last query is at the last key, so the first Lq - Lk queries are before any key. 0 / 0 is NaN, and log 0 is
    -inf already: only the division needs care.
    """
    for n_queries, n_keys, block_sizes in ((7, 4, (1, 2, 3, 9)), (9, 2, (1, 4))):
        q, k, v = (normal(gen, 2, n, 3) for n in (n_queries, n_keys, n_keys))
        for block_size in block_sizes:
            check_flash(impl, q, k, v, block_size, causal=True)


def test_any_leading_dims_and_strides(impl, gen):
    """Any number of leading dims, any strides

    Only the last two dims are positions and features; all before them are a batch, whether there are none, one or
    three. Name dims from the end, and do not rely on the memory layout.
    """
    for lead in ((), (2,), (2, 1, 3)):
        q, k, v = (noncontiguous(normal(gen, *lead, n, 5)) for n in (4, 6, 6))
        case = f"q {tuple(q.shape)}, k {tuple(k.shape)}, strided"
        check_block(impl, q, k, v, what=f"a block of {case}")
        check_flash(impl, q, k, v, 4, what=case)
        check_flash(impl, q, k, v, 4, causal=True, what=case)
    q, k, v = (normal(gen, 3, 3, 3, 3) for _ in range(3))
    check_flash(impl, q, k, v, 2, causal=True, what="all dims 3")
    q.neg_()  # nothing may be remembered by who a tensor is
    check_flash(impl, q, k, v, 2, causal=True, what="all dims 3, the same q changed in place")


def test_gradients_of_the_output(impl, gen):
    """The output's gradients reach q, k and v

    Compare with the dense formula: the rescaling cancels in the end, so the gradient is that of softmax attention.
    It is lost where numbers are taken out of the graph, and wrong where only a part of the rescaling is. The maximum
    may be a constant, but then everywhere.
    """
    for lead, n_queries, n_keys, block_size, causal, dtype in (
        ((2, 3), 4, 7, 3, False, F64),
        ((2,), 4, 7, 2, True, F64),
        ((2,), 5, 5, 2, True, F32),
        ((), 3, 4, 64, False, F32),
    ):
        q, k, v = (normal(gen, *lead, n, 5, dtype=dtype) for n in (n_queries, n_keys, n_keys))
        if dtype == F32:
            q, k, v = noncontiguous(q), noncontiguous(k), noncontiguous(v)
        case = f"Lq = {n_queries}, Lk = {n_keys}, block_size={block_size}, causal={causal}"
        check_gradients(impl, q, k, v, gen, block_size, causal, case)


def check_gradients(
    impl,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gen: torch.Generator,
    block_size: int,
    causal: bool,
    what: str,
    loss_scale: float = 1.0,
) -> None:
    assert_gradients(
        lambda q, k, v: (
            items(impl.flash_attention(q, k, v, block_size=block_size, causal=causal), 2, what)[0] * loss_scale
        ),
        lambda q, k, v: dense(q, k, v, causal)[0] * loss_scale,
        [q, k, v],
        gen,
        terms=q.shape[-1] + k.shape[-2],
        magnitude=8.0 * loss_scale,
        names=[f"{name}, {what}" for name in "qkv"],
    )


def test_gradients_with_rows_that_see_nothing(impl, gen):
    """Rows that see nothing have zero gradient and spoil no other

    NaN hidden from the result can still sit in the backward pass: 0 times NaN is NaN. Keys and values get what the
    other rows send.
    """
    # A loss scaled by 1000, as mixed precision does: 1 / (a tiny l) would overflow.
    for dtype, block_size, loss_scale in ((F64, 1, 1.0), (F64, 3, 1.0), (F32, 8, 1000.0)):
        q, k, v = (normal(gen, 2, n, 5, dtype=dtype) for n in (7, 4, 4))
        case = f"Lq = 7, Lk = 4, causal, block_size={block_size}, the loss times {loss_scale:g}"
        check_gradients(impl, q, k, v, gen, block_size, True, case, loss_scale)


def test_float64_keeps_its_accuracy(impl, gen):
    """float64 input keeps float64 accuracy

    Some step goes through float32: a cast, a buffer made without a dtype, a scale in a default-dtype tensor, or a
    small constant added where nothing needs it.
    """
    q, k, v = (normal(gen, 2, n, 7, dtype=F64) for n in (4, 6, 6))
    check_block(impl, q, k, v, what="a float64 block")
    check_block(impl, q, k, v, random_mask(gen, 4, 6), what="a float64 block with a mask")
    check_flash(impl, q, k, v, 4, what="float64")
    check_flash(impl, q, k, v, 4, causal=True, what="float64")
    q = normal(gen, 2, 8, 7, dtype=F64)
    check_flash(impl, q, k, v, 4, causal=True, what="float64, the first two rows see nothing")


def test_half_precision(impl, gen):
    """Half precision: accumulated in float32, output in q's dtype

    A running sum in bfloat16 stops growing at 256: 256 + 1 rounds to 256. Also 64 products of 40 * 40 leave float16's
    range before they are scaled. Keep scores, m, l and o in float32 and convert the output at the end.
    """
    signs = torch.tensor([1.0, 1.0, -1.0])
    for dtype in (F16, BF16):
        name = short(dtype)
        # Small scores, so that rounding them, or q / sqrt(D), to half precision is within the tolerance.
        q, k, v = (normal(gen, 2, n, 8).div(2).to(dtype) for n in (4, 6, 6))
        check_block(impl, q, k, v, random_mask(gen, 4, 6), what=f"a {name} block with a mask")
        check_flash(impl, q, k, v, 4, causal=True, what=name)
        check_flash(impl, torch.cat([q, q], dim=-2), k, v, 4, causal=True, what=f"{name}, rows that see nothing")
        check_gradients(impl, q, k, v, gen, 4, True, name)

        # 128 blocks of one key: in half precision, adding 0.95 or 1.05 to a sum of 32 or 64 is off by up to 5% each
        # time, always the same way.
        k, v = torch.full((128, 2), -0.0345), torch.tensor([1.0, 1.05]).repeat(128, 1)
        k[0] = 0.0
        q = torch.ones(1, 2, dtype=dtype)
        check_flash(impl, q, k.to(dtype), v.to(dtype), 1, what=f"{name}, 128 blocks of one key")

        k = (40.0 * signs[:, None] * torch.ones(3, 64)).to(dtype)
        v = normal(gen, 3, 64, dtype=dtype)
        output, lse = items(impl.flash_attention(k[:1], k, v, block_size=2), 2, name)
        what = f"{name} and scores of 12800"
        mean = v[:2].double().mean(0, keepdim=True)
        magnitude = 2 * float(v.abs().max())
        assert_close(output, mean, terms=2, magnitude=magnitude, dtype=dtype, what=f"output, {what}")
        want = torch.tensor([12800.0 + math.log(2.0)], dtype=F64)
        assert_close(kept(lse, dtype), want, terms=64, dtype=dtype, what=f"log-sum-exp, {what}")


def test_block_size_below_one_is_an_error(impl, gen):
    """block_size below 1 raises ValueError

    range(0, n, 0) happens to raise, range(0, n, -1) is empty and gives zeros. Say it yourself, with a message that
    names the value.
    """
    q, k, v = (normal(gen, n, 3) for n in (4, 5, 5))
    for block_size, causal in ((0, False), (-1, False), (-64, True)):
        try:
            result = impl.flash_attention(q, k, v, block_size=block_size, causal=causal)
        except ValueError:
            continue
        raise Mismatch(f"block_size={block_size}: expected a ValueError, got {describe(result)}")


def test_inputs_are_left_alone(impl, gen):
    """No input is changed in place

    `q /= scale`, `mask.logical_not_()` and `l_a *= factor` write into the caller's tensors.
    """
    q, k, v = (normal(gen, 2, n, 5) for n in (4, 6, 6))
    mask = random_mask(gen, 4, 6)
    mask[1] = False
    with unchanged(q=q, k=k, v=v, mask=mask):
        impl.attend_block(q, k, v, mask)
    for causal in (False, True):
        with unchanged(q=q, k=k, v=v):
            impl.flash_attention(q, k, v, block_size=4, causal=causal)
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b = handmade(gen, 2, 4, 3), handmade(gen, 2, 4, 3)
    m_a[0, 0] = m_b[0, 0] = -INF
    l_a[0, 0] = l_b[0, 0] = 0.0
    o_a[0, 0] = o_b[0, 0] = 0.0
    with unchanged(m_a=m_a, l_a=l_a, o_a=o_a, m_b=m_b, l_b=l_b, o_b=o_b):
        impl.merge_blocks(a, b)


def test_no_tensor_holds_all_pairs(impl, gen):
    """No tensor holds Lq x Lk elements, neither scores nor mask

    What is made for one block is of the block's size: its scores, its exponentials, and its part of the causal mask,
    which two ranges of positions give by comparison. A mask of all positions that is sliced for each block is as large
    as the score matrix.
    """
    for lead, n_queries, n_keys, d, block_size, causal, dtype in (
        ((), 48, 40, 2, 8, False, F32),
        ((), 47, 53, 2, 8, True, F32),
        ((2,), 47, 53, 2, 16, True, F32),
        ((1, 2), 24, 24, 2, 8, True, F64),
        ((), 41, 19, 2, 6, True, F16),
        ((3,), 12, 13, 1, 4, False, BF16),
        ((), 47, 53, 1, 30, False, F32),
    ):
        q, k, v = (normal(gen, *lead, n, d, dtype=dtype) for n in (n_queries, n_keys, n_keys))
        for t in (q, k, v):
            t.requires_grad_(block_size == 8 or (block_size == 16 and t is v))
        sizes = f"Lq = {n_queries}, Lk = {n_keys}, block_size={block_size}, causal={causal}, {short(dtype)}"
        result, largest = largest_tensor(impl.flash_attention, q, k, v, block_size=block_size, causal=causal)
        assert_tensor(items(result, 2, sizes)[0], shape=q.shape, dtype=dtype, what=f"output, {sizes}")
        pairs = math.prod(lead) * n_queries * n_keys
        if largest >= pairs:
            raise Mismatch(
                f"{sizes}: a tensor of {largest} elements was made, where all queries times all keys are {pairs}\n"
                "  Make the scores and the mask of one block at a time"
            )


def test_memory_of_tiles_is_enough(impl, gen):
    """Runs in memory that Lq x Lk elements do not fit into

    A float32 matrix of 1328 x 6640 scores takes 33.6 MiB, a tile of 1328 x 64 a third of one. Scores and exponentials
    have to be made one block at a time and let go of.
    """
    n_queries, n_keys = 1328, 6640
    q, k, v = (normal(gen, n, 2) for n in (n_queries, n_keys, n_keys))
    sizes = f"Lq = {n_queries}, Lk = {n_keys}, block_size=64, causal=True"
    output, lse = items(
        within_memory(lambda: impl.flash_attention(q, k, v, block_size=64, causal=True), sizes), 2, sizes
    )
    assert_tensor(output, shape=(n_queries, 2), dtype=F32, what=f"output, {sizes}")
    assert_tensor(lse, shape=(n_queries,), dtype=F32, what=f"log-sum-exp, {sizes}")
    rows = [0, n_queries - 1, *torch.randint(n_queries, (6,), generator=gen).tolist()]
    for row in rows:
        seen = n_keys - n_queries + row + 1
        want_output, want_lse = dense(q[row : row + 1], k[:seen], v[:seen])
        size = score_size(q[row : row + 1], k[:seen])
        magnitude, what = size * float(v.abs().max()), f"row {row}, {sizes}"
        assert_close(output[row], want_output[0], terms=n_keys, magnitude=magnitude, what=f"output, {what}")
        assert_close(lse[row], want_lse[0], terms=n_keys, magnitude=size, what=f"log-sum-exp, {what}")


def within_memory(call: Callable[[], object], what: str) -> object:
    """The call's result; running out of memory is a Mismatch that says so."""
    try:
        return call()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "alloc" not in str(error):
            raise
        asked = re.search(r"allocate (\d+) bytes", str(error))
        much = f"; the last request was for {int(asked[1]) / 2**20:.1f} MiB at once" if asked else ""
    raise Mismatch(
        f"{what}: out of memory{much}.\n"
        "  Tiles of a block fit easily; a tensor of Lq x Lk elements does not, nor do all tiles kept together"
    )
