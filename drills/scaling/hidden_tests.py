import math

import torch
import torch.nn.functional as F
from torch import Tensor

from grader.testing import (
    assert_close,
    assert_equal,
    assert_gradients,
    assert_tensor,
    noncontiguous,
    unchanged,
)

# assert_close holds plain numbers to float64's roundoff; times this, to float32's.
FLOAT32 = 2.0**29


def normal(gen: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=gen, dtype=torch.float64).to(dtype)


def exact_scores(q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """The definition in float64, index by index."""
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    return torch.einsum("...id,...jd->...ij", q.double(), k.double()) * factor


def exact_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """exp(score) over its sum, both over the allowed keys only, in float64; nothing allowed: 0 over 1."""
    scores = exact_scores(q, k, scale)
    allowed = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand(scores.shape)
    shift = scores.detach().masked_fill(~allowed, -math.inf).amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    exps = torch.where(allowed, scores - shift, -math.inf).exp()
    sums = exps.sum(-1, keepdim=True)
    weights = exps / torch.where(sums == 0, 1.0, sums)
    return torch.einsum("...ij,...jd->...id", weights, v.double()), weights


def score_size(q: Tensor, k: Tensor, scale: float | None = None) -> float:
    """The largest sum of |q_i k_i| * |scale|: what the rounding of a score is relative to."""
    return float(exact_scores(q.abs(), k.abs(), scale).abs().max())


def scalar_scores(q: Tensor, k: Tensor, scale: float) -> list[list[float]]:
    return [
        [scale * math.fsum(a * b for a, b in zip(query, key, strict=True)) for key in k.tolist()]
        for query in q.tolist()
    ]


def scalar_softmax(scores: list[float]) -> list[float]:
    exps = [math.exp(s - max(scores)) for s in scores]
    return [e / math.fsum(exps) for e in exps]


def random_mask(gen: torch.Generator, *shape: int) -> Tensor:
    """Every row has an allowed key and a masked one."""
    mask = torch.rand(shape, generator=gen) < 0.5
    some, other = torch.randperm(shape[-1], generator=gen)[:2].tolist()
    mask[..., some] = True
    mask[..., other] = False
    return mask


def check_attention(impl, q, k, v, mask=None, scale=None, *, what: str) -> None:
    """Output and weights against the float64 formula, masked weights and empty rows exactly zero."""
    output, weights = impl.attention(q, k, v, mask=mask, scale=scale)
    want_output, want_weights = exact_attention(q, k, v, mask, scale)
    terms = q.shape[-1] + k.shape[-2]
    assert_close(weights, want_weights, terms=terms, dtype=q.dtype, what=f"weights, {what}")
    assert_close(
        output,
        want_output,
        terms=terms,
        magnitude=float(v.abs().max()),
        dtype=q.dtype,
        what=f"output, {what}",
    )
    if mask is None:
        return
    allowed = mask.expand(weights.shape)
    masked = weights.detach()[~allowed]
    assert_equal(masked, torch.zeros_like(masked), what=f"masked weights, {what}")
    empty = output.detach()[~allowed.any(-1)]
    assert_equal(empty, torch.zeros_like(empty), what=f"output of rows that see nothing, {what}")


def test_scores_are_scaled_dot_products(impl, gen):
    """Scores are dot products divided by sqrt(d_k)

    Row i, column j holds query i times key j, divided by the square root of the length of a query. The number
    of queries, the number of keys and d_k all differ here.
    """
    for n_queries, n_keys, d in ((3, 5, 7), (6, 2, 3), (1, 4, 1)):
        q, k = normal(gen, n_queries, d), normal(gen, n_keys, d)
        expected = torch.tensor(scalar_scores(q, k, 1 / math.sqrt(d)), dtype=torch.float64)
        assert_close(
            impl.scaled_scores(q, k),
            expected,
            terms=d,
            magnitude=score_size(q, k),
            what=f"scores of {n_queries} queries and {n_keys} keys with d_k = {d}",
        )


def test_scores_have_unit_variance(impl, gen):
    """Scores keep unit variance as d_k grows

    A sum of d_k independent products, each of variance 1, has variance d_k. Which factor on the sum brings
    the variance, not the standard deviation, back to 1?
    """
    # Not a sample: distinct non-constant columns of a Hadamard matrix have, over its rows, exactly mean 0,
    # variance 1 and correlation 0, so over all pairs of rows E[(q.k)**2] is exactly d_k.
    hadamard = torch.ones(1, 1)
    while len(hadamard) < 32:
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    for d in (2, 8, 17, 31):
        q, k = (hadamard[:, 1 + torch.randperm(31, generator=gen)[:d]] for _ in range(2))
        scores = impl.scaled_scores(q, k)
        assert_tensor(scores, shape=(32, 32), dtype=torch.float32, what=f"scores at d_k = {d}")
        variance = float(scores.detach().double().square().mean())
        assert_close(variance, 1.0, terms=d, magnitude=FLOAT32, what=f"variance of the scores at d_k = {d}")


def test_given_scale_replaces_the_default(impl, gen):
    """A given scale is used as it is: 1, 0, negative, any other

    `scale=None` asks for the default. Every number is a choice of the caller's: it replaces 1/sqrt(d_k), and
    0.0 is a number too.
    """
    q, k = normal(gen, 2, 3, 5), normal(gen, 2, 4, 5)
    for scale in (1.0, 0.37, 3.0, -1.0, -0.25):
        assert_close(
            impl.scaled_scores(q, k, scale=scale),
            exact_scores(q, k, scale),
            terms=5,
            magnitude=score_size(q, k, scale),
            what=f"scores with scale={scale}",
        )
    assert_equal(impl.scaled_scores(q, k, scale=0.0), torch.zeros(2, 3, 4), what="scores with scale=0.0")
    assert_close(
        impl.scaled_scores(q, k, None),
        exact_scores(q, k),
        terms=5,
        magnitude=score_size(q, k),
        what="scores with scale=None",
    )


def test_attention_averages_the_values(impl, gen):
    """Attention is a softmax-weighted mean of the values

    The weights of one query are the softmax of its row of scores, so they run over the keys and sum to 1. The
    output is their mean of the value rows. Return both, the output first.
    """
    for n_queries, n_keys, d, d_v in ((3, 5, 7, 4), (5, 2, 3, 6)):
        q, k, v = normal(gen, n_queries, d), normal(gen, n_keys, d), normal(gen, n_keys, d_v)
        rows = [scalar_softmax(row) for row in scalar_scores(q, k, 1 / math.sqrt(d))]
        values = v.tolist()
        means = [[math.fsum(w * x[c] for w, x in zip(row, values, strict=True)) for c in range(d_v)] for row in rows]
        output, weights = impl.attention(q, k, v)
        case = f"{n_queries} queries, {n_keys} keys, D = {d}, Dv = {d_v}"
        assert_close(
            output,
            torch.tensor(means, dtype=torch.float64),
            terms=d + n_keys,
            magnitude=float(v.abs().max()),
            what=f"output, {case}",
        )
        assert_close(weights, torch.tensor(rows, dtype=torch.float64), terms=d + n_keys, what=f"weights, {case}")


def test_attention_uses_the_given_scale(impl, gen):
    """attention passes the caller's scale on

    With scale 0 all keys are equal, with a negative one the least similar key wins. The scale reaches the
    scores once, before the softmax.
    """
    q, k, v = normal(gen, 2, 3, 5), normal(gen, 2, 4, 5), normal(gen, 2, 4, 6)
    mask = random_mask(gen, 3, 4)
    for scale in (1.0, 0.37, -0.8, 0.0):
        check_attention(impl, q, k, v, scale=scale, what=f"scale={scale}")
        check_attention(impl, q, k, v, mask, scale, what=f"scale={scale}, with a mask")
    output, _ = impl.attention(q, k, v, None, 0.25)
    want = exact_attention(q, k, v, None, 0.25)[0]
    assert_close(output, want, terms=9, magnitude=float(v.abs().max()), what="output, scale=0.25 by position")


def test_any_leading_dims_and_strides(impl, gen):
    """Any number of leading dims, any sizes, any strides

    Only the last two dims are rows and features; all before them are a batch, whether there are none, one or
    three. Name dims from the end, and do not rely on the memory layout.
    """
    cases = [
        # leading dims, Lq, Lk, D, Dv
        ((), 4, 6, 5, 3),
        ((2,), 4, 6, 5, 3),
        ((2, 3), 4, 6, 5, 7),
        ((2, 1, 3), 4, 6, 5, 3),
        ((6, 2), 6, 3, 2, 6),
        ((2, 3), 1, 6, 5, 3),  # one query: a decoding step
        ((1, 1), 3, 1, 4, 1),  # one key
        ((), 1, 1, 1, 1),
        ((5,), 5, 5, 5, 5),  # as many queries as keys: nothing is hidden here either
        ((2, 3), 5, 5, 4, 4),
    ]
    for index, (lead, n_queries, n_keys, d, d_v) in enumerate(cases):
        q, k, v = (
            normal(gen, *lead, n_queries, d),
            normal(gen, *lead, n_keys, d),
            normal(gen, *lead, n_keys, d_v),
        )
        weights_of = F.scaled_dot_product_attention(
            q.double(), k.double(), torch.eye(n_keys, dtype=torch.float64).expand(*lead, n_keys, n_keys)
        )
        output_of = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
        layouts = [("contiguous", lambda t: t), ("strided", noncontiguous)]
        for layout, change in layouts[: 2 if index < 4 else 1]:
            case = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}, {layout}"
            terms = d + n_keys
            scores = impl.scaled_scores(change(q), change(k))
            output, weights = impl.attention(change(q), change(k), change(v))
            assert_close(scores, exact_scores(q, k), terms=d, magnitude=score_size(q, k), what=f"scores, {case}")
            assert_close(weights, weights_of, terms=terms, what=f"weights, {case}")
            size = float(v.abs().max())
            assert_close(output, output_of, terms=terms, magnitude=size, what=f"output, {case}")


def test_masks_of_every_broadcastable_shape(impl, gen):
    """A mask of any shape that broadcasts is respected, True = may attend

    Masked keys get a weight of exactly 0 and the others share 1. The mask may be per head, per sequence, per
    key or complete: broadcasting lines dims up from the last one, without your help.
    """
    q, k, v = normal(gen, 2, 3, 4, 6), normal(gen, 2, 3, 5, 6), normal(gen, 2, 3, 5, 7)
    shapes = [
        (4, 5),
        (5,),
        (1, 5),
        (3, 1, 5),
        (3, 4, 5),
        (2, 1, 1, 5),
        (2, 1, 4, 5),
        (1, 3, 1, 5),
        (2, 3, 4, 5),
    ]
    for shape in shapes:
        check_attention(impl, q, k, v, random_mask(gen, *shape), what=f"mask {shape}")
    causal = torch.ones(4, 5, dtype=torch.bool).tril(1)
    check_attention(impl, q, k, v, causal, what="causal mask (4, 5)")
    check_attention(impl, q[0, 0], k[0, 0], v[0, 0], causal, what="causal mask (4, 5), no leading dims")
    check_attention(impl, q[0], k[0], v[0], random_mask(gen, 3, 4, 5), what="mask (3, 4, 5), one leading dim")
    check_attention(impl, q, k, v, torch.ones(4, 5, dtype=torch.bool), what="mask (4, 5), all True")
    # All sizes equal: only the position of a dim tells what it is.
    q, k, v = normal(gen, 5, 5, 5), normal(gen, 5, 5, 5), normal(gen, 5, 5, 5)
    for shape in ((5,), (5, 5), (5, 1, 5)):
        mask = random_mask(gen, *shape)
        check_attention(impl, q, k, v, mask, what=f"mask {shape}, 5 sequences of 5 queries and 5 keys")


def test_masked_keys_have_no_say(impl):
    """A masked key has no influence, whatever the scores are

    Neither a masked key with a huge score nor allowed keys with very low ones may change the shares among the
    allowed keys. Is there a score that your fill value would not be far below? Is your maximum taken over the
    right keys?
    """
    q = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    v = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [5.0, 5.0, 5.0]], dtype=torch.float64)
    mask = torch.tensor([False, True, True, False])
    share = 1 / (1 + math.exp(-1.0))
    expected = torch.tensor([[0.0, share, 1 - share, 0.0]], dtype=torch.float64)
    for size, what, scores in (
        (2e6, "masked scores of 2e6, allowed ones near 0", [2e6, 0.5, -0.5, 2e6]),
        (2e6, "allowed scores of -2e6, masked ones near 0", [0.5, -2e6, -2e6 - 1, 0.0]),
        (2e6, "allowed scores of 2e6, masked ones of -2e6", [-2e6, 2e6, 2e6 - 1, -2e6]),
    ):
        k = torch.tensor([[s, 1.0] for s in scores], dtype=torch.float64)
        output, weights = impl.attention(q, k, v, mask=mask, scale=1.0)
        # size: a logarithm of the sum, or a score less its maximum, is rounded relative to the scores.
        assert_close(weights, expected, magnitude=size, dtype=torch.float64, what=f"weights, {what}")
        assert_close(output, expected @ v, magnitude=size, dtype=torch.float64, what=f"output, {what}")


def test_large_scores_do_not_overflow(impl, gen):
    """Scores of +3000 and -3000 give finite, exact weights

    exp(3000) is infinite and exp(-3000) is 0. A softmax depends on the differences between scores only, so
    the largest exponent can always be 0; with a negative scale the largest score is another one.
    """
    scores = torch.tensor([3000.0, 2999.0, 2998.0, 2980.0, -3000.0])
    rows = [scalar_softmax((sign * scores).tolist()) for sign in (1.0, -1.0, 0.0)]
    expected = torch.tensor(rows, dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        q, k = torch.zeros(3, 16, dtype=dtype), torch.zeros(5, 16, dtype=dtype)
        q[:, 3] = torch.tensor([1.0, -1.0, 0.0])
        k[:, 3] = 4 * scores  # sqrt(16) = 4
        v = normal(gen, 5, 3, dtype=dtype)
        for scale, want in ((None, expected), (0.25, expected), (-0.25, expected[[1, 0, 2]])):
            case = f"scores up to 3000 in {str(dtype).removeprefix('torch.')}, scale={scale}"
            output, weights = impl.attention(q, k, v, scale=scale)
            # 3000: log-sum-exp is a right way too, and rounded relative to the scores.
            assert_close(weights, want, magnitude=3e3, dtype=dtype, what=f"weights, {case}")
            size = 3e3 * float(v.abs().max())
            assert_close(output, want @ v.double(), magnitude=size, dtype=dtype, what=f"output, {case}")


def test_rows_that_see_nothing_are_zero(impl, gen):
    """A row that may attend to nothing is zero, output and weights

    A softmax over nothing but masked scores is 0/0, or uniform with a finite fill value: neither is an
    answer. The other rows are as always.
    """
    q, k, v = normal(gen, 2, 3, 4, 6), normal(gen, 2, 3, 5, 6), normal(gen, 2, 3, 5, 7)
    rows = random_mask(gen, 4, 5)
    rows[0] = rows[2] = False
    heads = random_mask(gen, 2, 3, 4, 5)
    heads[0, 1, 3] = heads[1, 0] = False
    padding = random_mask(gen, 2, 1, 1, 5)
    padding[1] = False
    queries = torch.tensor([[True], [False], [True], [False]])
    for what, mask in (
        ("mask (4, 5), rows 0 and 2 all False", rows),
        ("mask (2, 3, 4, 5), some rows all False", heads),
        ("mask (2, 1, 1, 5), one sequence all padding", padding),
        ("mask (4, 1), queries 1 and 3 see nothing", queries),
        ("mask (5,), all False", torch.zeros(5, dtype=torch.bool)),
    ):
        check_attention(impl, q, k, v, mask, what=what)
    check_attention(impl, q, k, v, rows, -0.5, what="mask (4, 5), rows 0 and 2 all False, scale=-0.5")
    check_attention(impl, q[1, 2], k[1, 2], v[1, 2], rows, what="mask (4, 5), no leading dims")


def test_rows_that_see_nothing_have_zero_gradient(impl, gen):
    """A row that may attend to nothing has zero gradient, never NaN

    NaN hidden from the result can still sit in the backward pass: 0 times NaN is NaN. The query of such a row
    gets zero gradient, and keys and values get what the other rows send.
    """
    q, k, v = (normal(gen, 2, n, d, dtype=torch.float64) for n, d in ((4, 5), (6, 5), (6, 3)))
    rows = random_mask(gen, 4, 6)
    rows[0] = rows[2] = False
    padding = random_mask(gen, 2, 1, 6)
    padding[1] = False
    for mask in (rows, padding):
        names = [f"{name}, mask {tuple(mask.shape)} with rows all False" for name in "qkv"]
        assert_gradients(
            lambda q, k, v, mask=mask: impl.attention(q, k, v, mask=mask),
            lambda q, k, v, mask=mask: exact_attention(q, k, v, mask),
            [q, k, v],
            gen,
            terms=14,
            magnitude=8.0,
            names=names,
        )
        leaf = q.clone().requires_grad_()
        output, weights = impl.attention(leaf, k, v, mask=mask)
        loss = (output * normal(gen, *output.shape)).sum() + (weights * normal(gen, *weights.shape)).sum()
        empty = torch.autograd.grad(loss, leaf)[0][~mask.expand(2, 4, 6).any(-1)]
        assert_equal(empty, torch.zeros_like(empty), what="gradient of the queries that see nothing")


def test_gradients_of_the_scores(impl, gen):
    """The scores' gradients reach q and k, with the scale in them

    The derivative of scale * q.k by q is scale * k. Nothing may be detached, rebuilt from numbers or computed
    without gradients.
    """
    for shapes, scale, dtype in (
        (((3, 5), (4, 5)), None, torch.float64),
        (((2, 1, 3, 3, 5), (2, 1, 3, 4, 5)), None, torch.float32),
        (((2, 3, 7), (2, 4, 7)), -0.7, torch.float64),
        (((2, 3, 7), (2, 4, 7)), 0.0, torch.float32),
    ):
        q, k = (normal(gen, *shape, dtype=dtype) for shape in shapes)
        assert_gradients(
            lambda q, k, scale=scale: impl.scaled_scores(q, k, scale=scale),
            lambda q, k, scale=scale: exact_scores(q, k, scale),
            [q, k],
            gen,
            terms=12,
            magnitude=8.0,
            names=[f"{name}, shape {tuple(t.shape)}, scale={scale}" for name, t in (("q", q), ("k", k))],
        )


def test_gradients_of_attention(impl, gen):
    """attention's gradients reach q, k and v, from output and weights

    Two results, three inputs: the gradient of the weights counts as much as the output's. Masked keys and
    values receive nothing from the queries that do not see them.
    """
    for lead, masked, scale, dtype in (
        ((), False, None, torch.float64),
        ((2, 3), True, None, torch.float64),
        ((2,), True, -0.6, torch.float32),
        ((2,), False, 0.0, torch.float64),
    ):
        q, k, v = (normal(gen, *lead, n, d, dtype=dtype) for n, d in ((3, 5), (4, 5), (4, 6)))
        mask = random_mask(gen, 3, 4) if masked else None
        assert_gradients(
            lambda q, k, v, mask=mask, scale=scale: impl.attention(q, k, v, mask=mask, scale=scale),
            lambda q, k, v, mask=mask, scale=scale: exact_attention(q, k, v, mask, scale),
            [q, k, v],
            gen,
            terms=15,
            magnitude=8.0,
            names=[f"{name}, leading dims {lead}, scale={scale}" for name in "qkv"],
        )


def test_float64_keeps_its_accuracy(impl, gen):
    """float64 input keeps float64 accuracy

    Some step goes through float32: a cast, a scale held in a default-dtype tensor, or a small constant added
    where nothing needs it.
    """
    q, k, v = (normal(gen, n, d, dtype=torch.float64) for n, d in ((3, 7), (5, 7), (5, 2)))
    for scale in (None, 0.3):
        expected = scalar_scores(q, k, 7**-0.5 if scale is None else scale)
        assert_close(
            impl.scaled_scores(q, k, scale=scale),
            torch.tensor(expected, dtype=torch.float64),
            terms=7,
            magnitude=score_size(q, k, scale),
            dtype=torch.float64,
            what=f"float64 scores with scale={scale}",
        )
        mask = random_mask(gen, 3, 5)
        mask[1] = False
        check_attention(impl, q, k, v, scale=scale, what=f"float64, scale={scale}")
        check_attention(impl, q, k, v, mask, scale, what=f"float64, scale={scale}, with a mask")


def test_half_precision_fits_after_scaling(impl):
    """Half precision: scores that fit after scaling are finite

    64 products of 40 * 40 sum to 102400, beyond float16's 65504; divided by 8 they are 12800. Scale one
    factor before the product, or compute in a wider type. The same goes for exp(20).
    """
    signs = torch.tensor([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]], dtype=torch.float64)
    want = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    v = torch.tensor([[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]], dtype=torch.float16)
    # 300 in bfloat16: scores of 720000, which float16 in between would not hold.
    for dtype, entry in ((torch.float16, 40.0), (torch.bfloat16, 300.0)):
        q, k = torch.full((2, 64), entry, dtype=dtype), torch.full((3, 64), entry, dtype=dtype)
        q[1] = k[2] = -entry
        name = str(dtype).removeprefix("torch.")
        for scale in (None, 0.0625):
            scores = impl.scaled_scores(q, k, scale=scale)
            size = 64 * entry * entry * (0.125 if scale is None else scale)
            what = f"{name} scores of {entry:g} times {entry:g} at d_k = 64, scale={scale}"
            assert_close(scores, size * signs, terms=64, dtype=dtype, what=what)
        output, weights = impl.attention(q, k, v.to(dtype))
        what = f"{name} and scores of {8 * entry * entry:g}"
        assert_close(weights, want, magnitude=4.0, dtype=dtype, what=f"weights, {what}")
        assert_close(output, want @ v.double(), magnitude=32.0, dtype=dtype, what=f"output, {what}")

    want = torch.tensor([scalar_softmax([20.0, 19.0, 18.0])], dtype=torch.float64)
    k = torch.tensor([[5.0], [4.75], [4.5]], dtype=torch.float16)
    for dtype in (torch.float16, torch.bfloat16):
        output, weights = impl.attention(torch.full((1, 1), 4.0, dtype=dtype), k.to(dtype), v.to(dtype))
        what = f"{str(dtype).removeprefix('torch.')} and scores of 18 to 20"
        # Magnitude: one rounding of a score of 20 to half precision moves the weights by 20 roundoffs.
        assert_close(weights, want, magnitude=10.0, dtype=dtype, what=f"weights, {what}")
        assert_close(output, want @ v.double(), magnitude=80.0, dtype=dtype, what=f"output, {what}")


def test_half_precision_is_accumulated_in_float32(impl, gen):
    """Half precision: right values and dtype, sums kept in float32

    A running sum in bfloat16 stops growing at 256: 256 + 1 rounds to 256. Keep every sum in float32 and
    return the input's dtype, for the output and for the weights.
    """
    for dtype in (torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        # Small, so that roundings to half precision on the way (of q scaled first, of the scores) are within
        # the tolerance.
        q, k, v = (normal(gen, 2, n, d).div(2).to(dtype) for n, d in ((3, 8), (5, 8), (5, 4)))
        mask = random_mask(gen, 3, 5)
        mask[1] = False
        scores, size = impl.scaled_scores(q, k), score_size(q, k)
        assert_close(scores, exact_scores(q, k), terms=8, magnitude=size, dtype=dtype, what=f"{name} scores")
        assert_gradients(
            impl.scaled_scores, exact_scores, [q, k], gen, magnitude=8.0, names=[f"q, {name}", f"k, {name}"]
        )
        for case, allowed in (("no mask", None), ("with a mask", mask)):
            output, weights = impl.attention(q, k, v, mask=allowed)
            want_output, want_weights = exact_attention(q, k, v, allowed)
            what = f"{name}, {case}"
            assert_close(weights, want_weights, magnitude=1.0, dtype=dtype, what=f"weights, {what}")
            size = 3 * float(v.abs().max())
            assert_close(output, want_output, magnitude=size, dtype=dtype, what=f"output, {what}")
        assert_gradients(
            lambda q, k, v, mask=mask: impl.attention(q, k, v, mask=mask),
            lambda q, k, v, mask=mask: exact_attention(q, k, v, mask),
            [q, k, v],
            gen,
            magnitude=8.0,
            names=[f"{letter}, {name}, with a mask" for letter in "qkv"],
        )

        q = torch.ones(1, 256, dtype=dtype)
        q[0, 0] = q[0, -1] = 64.0  # 64 * 64 at both ends: a half-precision sum drops the 254 ones between
        want = torch.tensor([[(2 * 64 * 64 + 254) / 16]], dtype=torch.float64)
        assert_close(impl.scaled_scores(q, q), want, terms=256, dtype=dtype, what=f"{name} score at d_k = 256")

    # 1 + 3/1024 is a float16 number; bfloat16 has no bits for the 3/1024.
    fine = torch.full((4, 16), 1 + 3 / 1024, dtype=torch.float16)
    ones = torch.ones(2, 16, dtype=torch.float16)
    want = torch.full((2, 4), 4 + 12 / 1024, dtype=torch.float64)
    assert_close(impl.scaled_scores(ones, fine), want, terms=16, dtype=torch.float16, what="float16, fine keys")
    output, _ = impl.attention(ones, fine, fine[:, :1])
    want = torch.full((2, 1), 1 + 3 / 1024, dtype=torch.float64)
    assert_close(output, want, terms=4, dtype=torch.float16, what="float16 output, fine values")

    q, k = normal(gen, 2, 3).bfloat16(), normal(gen, 1024, 3).bfloat16()
    v = torch.rand(1024, 2, generator=gen).add(0.5).bfloat16()
    output, weights = impl.attention(q, k, v, scale=0.0)
    equal = torch.full((2, 1024), 2.0**-10, dtype=torch.float64)
    assert_close(weights, equal, terms=1024, dtype=torch.bfloat16, what="bfloat16 weights of 1024 equal keys")
    means = v.double().mean(0).expand(2, 2)
    what = "bfloat16 output of 1024 equal keys"
    assert_close(output, means, terms=1024, dtype=torch.bfloat16, what=what)


def test_inputs_are_left_alone(impl, gen):
    """No input is changed in place

    `q *= scale`, `masked_fill_` and `mask[rows] = True` write into the caller's tensors.
    """
    for dtype in (torch.float32, torch.float64, torch.float16):
        q, k, v = (normal(gen, 2, n, d, dtype=dtype) for n, d in ((3, 5), (4, 5), (4, 6)))
        mask = random_mask(gen, 3, 4)
        mask[1] = False
        for scale in (None, 0.5):
            with unchanged(q=q, k=k):
                impl.scaled_scores(q, k, scale=scale)
            with unchanged(q=q, k=k, v=v):
                impl.attention(q, k, v, scale=scale)
            with unchanged(q=q, k=k, v=v, mask=mask):
                impl.attention(q, k, v, mask=mask, scale=scale)


def test_t5_init_gives_unit_variance(impl):
    """T5's W_q gives unscaled scores variance 1

    Follow the variance: a component of q is a sum of d_model products of an input and a weight, q.k is a sum
    of d_head products of a component of q and one of k. W_k already keeps k at variance 1.
    """
    sizes = ((512, 64), (768, 64), (1024, 128), (64, 512), (7, 3), (1, 1), (1, 9), (100, 1))
    for d_model, d_head in sizes:
        std = impl.t5_query_std(d_model, d_head)
        what, want = f"t5_query_std({d_model}, {d_head})", (d_model * d_head) ** -0.5
        assert_close(std, want, magnitude=FLOAT32 * want, what=what)

    # The variance itself, exactly: weights of +-std, over all their signs. Inputs are 1: the sign of an input
    # can be moved into the weights. Every W_q meets every W_k.
    for d_model, d_head in ((2, 3), (3, 2), (6, 1), (1, 5)):
        n = d_model * d_head
        signs = torch.tensor([[1.0 - 2.0 * (i >> bit & 1) for bit in range(n)] for i in range(2**n)])
        sums = signs.double().view(-1, d_model, d_head).sum(1)  # (2**n, d_head): 1 @ W, for all W
        q, k = sums * float(impl.t5_query_std(d_model=d_model, d_head=d_head)), sums * d_model**-0.5
        variance = float((q @ k.T).square().mean())
        what = f"variance of q.k without a scale, d_model = {d_model}, d_head = {d_head}"
        assert_close(variance, 1.0, magnitude=FLOAT32, what=what)
