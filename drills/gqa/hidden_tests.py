"""What a right answer to the grouped-query attention drill has to hold.

Expected values come from closed forms, from loops over Python floats (`by_scalars`, `pooled`), from a float64
formula that picks the key/value head of each query head by its index (`exact`), and from torch's own attention
with `enable_gqa`, which is ruled out for the learner only. Sizes avoid H = G * G, where G and H / G are the same,
except where it is the point.
"""

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
    describe,
    noncontiguous,
    unchanged,
)

F64, F32, F16, BF16 = torch.float64, torch.float32, torch.float16, torch.bfloat16


def normal(gen: torch.Generator, *shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.randn(shape, generator=gen, dtype=F64).to(dtype)


def qkv(gen: torch.Generator, sizes: tuple[int, ...], dtype: torch.dtype = F32) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v for sizes (B, H, G, Lq, Lk, D)."""
    b, h, g, n_queries, n_keys, d = sizes
    q = normal(gen, b, h, n_queries, d, dtype=dtype)
    return q, normal(gen, b, g, n_keys, d, dtype=dtype), normal(gen, b, g, n_keys, d, dtype=dtype)


def random_mask(gen: torch.Generator, *shape: int) -> Tensor:
    """Every row has an allowed key, and a masked one if it has two."""
    mask = torch.rand(shape, generator=gen) < 0.5
    order = torch.rand(shape, generator=gen).argsort(-1)
    if shape[-1] > 1:
        mask.scatter_(-1, order[..., 1:2], False)
    return mask.scatter_(-1, order[..., :1], True)


def exact(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """The definition in float64, the KV head of each query head picked by its number; exp(score) and its sum over
    the allowed keys only, and 0 over 1 where nothing is allowed."""
    n_heads, n_groups = q.shape[1], k.shape[1]
    read = [h // (n_heads // n_groups) for h in range(n_heads)]
    scores = torch.einsum("bhid,bhjd->bhij", q.double(), k.double()[:, read]) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.where(mask, -math.inf)
    exps = (scores - scores.detach().amax(-1, keepdim=True).nan_to_num(neginf=0.0)).exp()
    sums = exps.sum(-1, keepdim=True)
    return torch.einsum("bhij,bhjd->bhid", exps / sums.where(sums != 0, 1.0), v.double()[:, read])


def by_scalars(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """The definition in Python floats; mask (B, H, Lq, Lk), every row with an allowed key."""
    (n_batch, n_heads, n_queries, d), (n_groups, n_keys) = q.shape, k.shape[1:3]
    queries, keys, values, allowed = q.tolist(), k.tolist(), v.tolist(), mask.tolist()
    result = torch.zeros(q.shape, dtype=F64)
    for b in range(n_batch):
        for h in range(n_heads):
            g = h // (n_heads // n_groups)
            for i in range(n_queries):
                exps = [
                    math.exp(math.fsum(queries[b][h][i][c] * keys[b][g][j][c] for c in range(d)) / math.sqrt(d))
                    * allowed[b][h][i][j]
                    for j in range(n_keys)
                ]
                for c in range(d):
                    weighted = math.fsum(exps[j] * values[b][g][j][c] for j in range(n_keys))
                    result[b, h, i, c] = weighted / math.fsum(exps)
    return result


def pooled(weight: Tensor, num_heads: int, num_groups: int) -> Tensor:
    """The mean of each group's consecutive heads, a scalar at a time."""
    rows, size = weight.tolist(), num_heads // num_groups
    d, n_columns = weight.shape[0] // num_heads, weight.shape[1]
    means = [
        [math.fsum(rows[(g * size + r) * d + i][c] for r in range(size)) / size for c in range(n_columns)]
        for g in range(num_groups)
        for i in range(d)
    ]
    return torch.tensor(means, dtype=F64)


def check_output(output: Tensor, want: Tensor, q: Tensor, v: Tensor, mask: Tensor | None = None, *, what: str) -> None:
    """Close to the expected output, and exactly zero in rows that see nothing."""
    terms, size = q.shape[-1] + v.shape[2], float(v.abs().max())
    assert_close(output, want, terms=terms, magnitude=size, dtype=q.dtype, what=f"output, {what}")
    if mask is not None:
        empty = output.detach()[~mask.expand(*q.shape[:3], v.shape[2]).any(-1)]
        assert_equal(empty, torch.zeros_like(empty), what=f"output of rows that see nothing, {what}")


def check(impl, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, what: str) -> None:
    """The output is the float64 formula's."""
    want = exact(q, k, v, mask)  # first: the call might change its inputs
    check_output(impl.grouped_query_attention(q, k, v, mask=mask), want, q, v, mask, what=what)


def assert_value_error(what: str, function: Callable[..., object], *args: object, **kwargs: object) -> None:
    try:
        result = function(*args, **kwargs)
    except ValueError:
        return
    raise Mismatch(f"{what}: expected a ValueError, got {describe(result)}")


def assert_int(actual: object, expected: int, what: str) -> None:
    if type(actual) is not int:
        raise Mismatch(f"{what}: expected an int, got {describe(actual)}")
    if actual != expected:
        raise Mismatch(f"{what}: expected {expected}, got {actual}")


def by_head(per_head: list[float], *shape: int) -> Tensor:
    """(B, H, L, D) with one number a head."""
    batch, length, size = shape
    numbers = torch.tensor(per_head, dtype=F64).view(1, -1, 1, 1)
    return numbers.expand(batch, -1, length, size)


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def test_repeat_kv_puts_copies_side_by_side(impl, gen):
    """repeat_kv puts the copies of a head next to each other

    With two heads and n_rep = 4 the result holds heads 0 0 0 0 1 1 1 1, not 0 1 0 1 0 1 0 1: query head h reads
    head h // n_rep. Positions and features keep their places.
    """
    numbered = by_head([0.0, 1.0], 1, 3, 5).float()
    heads = impl.repeat_kv(numbered, 4)
    assert_equal(heads, by_head([0, 0, 0, 0, 1, 1, 1, 1], 1, 3, 5).float(), what="repeat_kv of heads 0 and 1, n_rep 4")
    for shape, n_rep in (
        ((2, 3, 5, 7), 2),
        ((1, 2, 4, 3), 5),
        ((3, 1, 2, 4), 4),  # MQA
        ((2, 4, 3, 2), 1),  # MHA
        ((3, 3, 3, 3), 3),
    ):
        x = normal(gen, *shape)
        copies = torch.stack([x[:, h // n_rep] for h in range(shape[1] * n_rep)], 1)
        assert_equal(impl.repeat_kv(x, n_rep=n_rep), copies, what=f"repeat_kv of x {shape}, n_rep = {n_rep}")


def test_consecutive_heads_share_a_kv_head(impl):
    """Consecutive query heads share one KV head, the same for K and V

    Here KV head g has its key number g match every query, and its value number j is 10 g + j. So the second digit
    of an output tells the head that was read for K, the first the head that was read for V. For H = 8 and G = 2
    the heads are 0, 0, 0, 0, 11, 11, 11, 11.
    """
    for n_heads, n_groups in ((8, 2), (6, 3), (6, 2), (12, 4)):
        k = torch.zeros(2, n_groups, n_groups, 4)
        k[:, range(n_groups), range(n_groups), 1] = 120.0
        q = torch.zeros(2, n_heads, 3, 4)
        q[..., 1] = 1.0
        digits = 10.0 * torch.arange(n_groups).view(-1, 1) + torch.arange(n_groups)  # (G, Lk)
        v = digits.view(1, n_groups, n_groups, 1).expand(2, -1, -1, 4).contiguous()
        want = by_head([11.0 * (h * n_groups // n_heads) for h in range(n_heads)], 2, 3, 4)
        output = impl.grouped_query_attention(q, k, v)
        what = f"output for {n_heads} query heads and {n_groups} KV heads"
        assert_close(output, want, terms=4 + n_groups, magnitude=40.0, what=what)


def test_tiny_example_by_hand(impl, gen):
    """A small example agrees with the formula worked out by hand

    Each query head has scores of its own: the query heads of a group share keys and values, nothing else. The
    expected numbers come from loops over single numbers.
    """
    q, k, v = qkv(gen, (2, 6, 2, 2, 3, 4))
    everything, some = torch.ones(2, 6, 2, 3, dtype=torch.bool), random_mask(gen, 2, 6, 2, 3)
    output = impl.grouped_query_attention(q, k, v)
    check_output(output, by_scalars(q, k, v, everything), q, v, what="6 query heads, 2 KV heads")
    output = impl.grouped_query_attention(q, k, v, some)
    check_output(output, by_scalars(q, k, v, some), q, v, what="6 query heads, 2 KV heads, mask (2, 6, 2, 3)")


def test_from_one_kv_head_to_one_each(impl, gen):
    """Any number of groups works, from MQA (G = 1) to MHA (G = H)

    G = H is ordinary multi-head attention, G = 1 shares one head among all. Neither is a special case, and no two
    sizes need to be different or equal: a batch as large as the number of heads, one query, more queries than
    keys.
    """
    for sizes in (
        # B, H, G, Lq, Lk, D
        (2, 8, 2, 5, 7, 3),
        (3, 8, 4, 2, 5, 6),
        (2, 12, 3, 3, 2, 4),
        (2, 8, 1, 3, 5, 6),  # MQA
        (3, 6, 3, 7, 4, 2),  # more queries than keys, B = G
        (2, 6, 2, 1, 6, 5),  # one query: a decoding step, B = G
        (3, 6, 2, 4, 4, 4),  # B = H / G
        (2, 4, 2, 3, 5, 6),  # H = G * G
        (3, 3, 3, 3, 3, 3),  # MHA
        (2, 4, 4, 3, 5, 6),  # MHA
        (4, 4, 1, 3, 5, 6),  # MQA, B = H
        (2, 3, 1, 3, 3, 3),  # MQA
        (1, 1, 1, 1, 1, 1),
    ):
        q, k, v = qkv(gen, sizes)
        want = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), enable_gqa=True)
        what = f"q {tuple(q.shape)}, k and v {tuple(k.shape)}"
        check_output(impl.grouped_query_attention(q=q, k=k, v=v), want, q, v, what=what)
    # One query head more or less must not matter to the others: MQA is one head with all the queries.
    q, k, v = qkv(gen, (2, 5, 1, 3, 4, 6))
    rows = F.scaled_dot_product_attention(q.double().reshape(2, 1, 15, 6), k.double(), v.double())
    output = impl.grouped_query_attention(q, k, v, None)
    check_output(output, rows.view(2, 5, 3, 6), q, v, what="5 query heads, one KV head")


def test_scores_are_scaled_by_the_head_size(impl):
    """Scores are divided by sqrt(D), D the size of one head

    Sharing heads does not change the length of a dot product, so neither the number of heads nor that of groups
    nor the length of the sequence enters. With two keys whose scores differ by s the weight of the first is
    1 / (1 + exp(-s)).
    """
    for d in (5, 1, 2, 16):  # 5 first: the sizes that could be mistaken for it all differ
        q, k, v = torch.zeros(1, 6, 1, d), torch.zeros(1, 2, 2, d), torch.zeros(1, 2, 2, d)
        q[..., -1] = 1.0
        k[0, 0, 0, -1], k[0, 1, 0, -1] = 3.0, -2.0
        v[..., 0, :] = 1.0
        weights = [1 / (1 + math.exp(-dot / math.sqrt(d))) for dot in (3.0, 3.0, 3.0, -2.0, -2.0, -2.0)]
        output = impl.grouped_query_attention(q, k, v)
        assert_close(output, by_head(weights, 1, 1, d), terms=d + 2, magnitude=1.0, what=f"output for D = {d}")


def test_pooling_averages_consecutive_heads(impl, gen):
    """mean_pool_kv_heads averages the consecutive heads of each group

    Head h owns the rows h D to (h + 1) D - 1 of the projection. The groups are those of repeat_kv: if all heads of
    a group are the same, pooling loses nothing. D, the columns and the order of the heads stay as they are.
    """
    for num_heads, num_groups, d, columns in (
        (8, 2, 3, 5),
        (6, 3, 2, 7),
        (6, 2, 2, 12),  # square
        (12, 4, 1, 3),
        (5, 1, 3, 2),  # MQA
        (4, 4, 3, 5),  # MHA: nothing to pool
        (9, 3, 3, 9),
        (1, 1, 1, 1),
    ):
        weight = normal(gen, num_heads * d, columns)
        result = impl.mean_pool_kv_heads(weight, num_heads, num_groups)
        what = f"{num_heads} heads of D = {d} pooled into {num_groups}"
        size = float(weight.abs().max())
        assert_close(result, pooled(weight, num_heads, num_groups), terms=num_heads, magnitude=size, what=what)
    shared = normal(gen, 2, 3, 5)  # (G, D, E)
    copies = torch.cat([shared[0]] * 4 + [shared[1]] * 4)  # (8 * D, E)
    result = impl.mean_pool_kv_heads(weight=copies, num_heads=8, num_groups=2)
    what = "8 heads, the first four the same and the last four the same, pooled into 2"
    assert_close(result, shared.flatten(0, 1).double(), terms=4, magnitude=4.0, what=what)


def test_cache_holds_keys_and_values_of_the_groups(impl):
    """The cache holds keys and values of every layer, as an exact int

    Count the numbers stored: two tensors a layer, each (batch, heads that are stored, length, d_head). A float
    holds 53 bits and rounds above, a tensor of ints 64 and wraps around; Python's ints are exact at any size.
    """
    for dtype in (torch.int8, BF16, F32):
        n_bytes = dtype.itemsize
        sizes = {"batch": 3, "length": 5, "layers": 7, "num_kv_heads": 11, "d_head": 13, "bytes_per_value": n_bytes}
        cache = torch.empty(2, 7, 3, 11, 5, 13, dtype=dtype, device="meta")
        what = f"kv_cache_bytes of {short(dtype)}, a cache of shape {tuple(cache.shape)}"
        assert_int(impl.kv_cache_bytes(**sizes), cache.numel() * n_bytes, what)
    for sizes, expected in (
        ((1, 1, 80, 8, 128), 320 * 1024),  # Llama 2 70B, one token
        ((1, 1, 80, 64, 128), 2560 * 1024),  # the same with a KV head per query head
        ((1, 1, 1, 1, 1), 4),
        ((1, 2, 1, 1, 1, 1), 4),
        ((0, 100, 3, 2, 64), 0),
        ((2, 0, 3, 2, 64), 0),  # nothing is cached yet
        ((3**10, 3**12, 3**3, 3**2, 3**7, 1), 2 * 3**34),
        ((3**10, 3**12, 3**3, 3**2, 3**7), 4 * 3**34),
        ((3**12, 3**14, 3**5, 3**3, 3**8), 4 * 3**42),  # more than 64 bits
    ):
        what = f"kv_cache_bytes({', '.join(map(str, sizes))})"
        assert_int(impl.kv_cache_bytes(*sizes), expected, what)


def test_heads_must_divide_into_groups(impl, gen):
    """A number of groups that does not divide the heads is a ValueError

    Every group has the same number of heads. That fails in both directions: more groups than heads is as wrong as
    a remainder. Check before you compute.
    """
    for n_heads, n_groups in ((6, 4), (5, 2), (4, 3), (2, 4), (3, 6)):
        q, k, v = qkv(gen, (1, n_heads, n_groups, 2, 3, 4))
        what = f"grouped_query_attention with {n_heads} query heads and {n_groups} KV heads"
        assert_value_error(what, impl.grouped_query_attention, q, k, v)
        weight = normal(gen, n_heads * n_groups, 5)
        what = f"mean_pool_kv_heads of {n_heads} heads into {n_groups} groups"
        assert_value_error(what, impl.mean_pool_kv_heads, weight, n_heads, n_groups)
    mask = torch.ones(2, 3, dtype=torch.bool)
    what = "grouped_query_attention with 3 query heads, 6 KV heads and a mask"
    assert_value_error(what, impl.grouped_query_attention, q, k, v, mask)


def test_masks_of_every_broadcastable_shape(impl, gen):
    """A mask of any shape that broadcasts is respected, True = may attend

    It lines up with the scores (B, H, Lq, Lk) from the last dim, and its heads are query heads: those of one group
    may see different keys. If you compute in (B, G, H/G, ...) the mask has to be brought into that shape as well.
    """
    q, k, v = qkv(gen, (5, 6, 2, 4, 7, 3))
    for shape in (
        (7,),
        (4, 7),
        (6, 1, 7),
        (6, 4, 7),
        (1, 6, 4, 7),
        (5, 1, 1, 7),
        (5, 1, 4, 7),
        (5, 6, 1, 7),
        (5, 6, 4, 7),
    ):
        check(impl, q, k, v, random_mask(gen, *shape), what=f"mask {shape}")
    for n_groups, shape in ((3, (3, 4, 7)), (1, (3, 4, 7)), (1, (5, 1, 1, 7))):
        q, k, v = qkv(gen, (5, 3, n_groups, 4, 7, 2))
        check(impl, q, k, v, random_mask(gen, *shape), what=f"mask {shape}, 3 query heads, {n_groups} KV heads")


def test_mask_axes_stay_apart_when_sizes_agree(impl, gen):
    """A mask's batch and head axes stay apart when sizes agree

    With B = G a batch axis fits the group axis, with B = H the head axis, with B = H/G the axis inside a group:
    broadcasting then raises no error and gives a wrong answer. Which axis of the mask meets which axis of the
    scores?
    """
    for sizes, shapes in (
        ((3, 9, 3, 3, 3, 3), ((3, 3), (3, 1, 3, 3), (3, 1, 1, 3), (9, 3, 3), (3, 9, 3, 3))),
        ((6, 6, 2, 6, 6, 3), ((6, 6), (6, 1, 6), (6, 1, 1, 6), (6, 1, 6, 6))),
        ((2, 6, 2, 3, 3, 3), ((2, 1, 3, 3), (2, 6, 1, 3))),
        ((4, 4, 1, 4, 4, 3), ((4, 1, 4), (4, 1, 1, 4))),
    ):
        q, k, v = qkv(gen, sizes)
        for shape in shapes:
            what = f"mask {shape}, q {tuple(q.shape)}, k and v {tuple(k.shape)}"
            check(impl, q, k, v, random_mask(gen, *shape), what=what)


def test_large_scores(impl, gen):
    """Large scores do not overflow, and masked keys have no say

    exp(3000) is infinite: a softmax needs the differences to the largest score only. The largest allowed score,
    that is: a masked key must not matter, however large its score is or how low those of the others are.
    """
    scores = torch.tensor([3000.0, 2999.0, 2998.0, 2980.0, -3000.0])
    rows = [[math.exp(s - max(row)) for s in row] for row in (scores.tolist(), (-scores).tolist())]
    weights = torch.tensor([[e / math.fsum(row) for e in row] for row in rows], dtype=F64)
    for dtype in (F32, F64):
        q, k, v = torch.zeros(1, 6, 2, 4, dtype=dtype), torch.zeros(1, 2, 5, 4, dtype=dtype), normal(gen, 1, 2, 5, 4)
        q[..., 2] = torch.tensor([1.0, -1.0])
        k[..., 2] = 2 * scores  # sqrt(4) = 2
        want = weights @ v.double().repeat_interleave(3, 1)
        output = impl.grouped_query_attention(q, k, v.to(dtype))
        # 3000: log-sum-exp is a right way too, and rounded relative to the scores.
        size = 3e3 * float(v.abs().max())
        assert_close(output, want, magnitude=size, dtype=dtype, what=f"output, scores up to 3000 in {short(dtype)}")

    share = 1 / (1 + math.exp(-1.0))
    mask = torch.tensor([False, True, True, False])
    v = torch.tensor([5.0, 1.0, 2.0, 7.0], dtype=F64).view(1, 1, 4, 1).expand(3, 1, 4, 1).contiguous()
    size = 2e6
    cases = [[size, 0.5, -0.5, size], [0.5, -size, -size - 1, 0.0], [-size, size, size - 1, -size]]
    q, k = torch.ones(3, 4, 1, 1, dtype=F64), torch.tensor(cases, dtype=F64).view(3, 1, 4, 1)
    output = impl.grouped_query_attention(q, k, v, mask)
    want = torch.full((3, 4, 1, 1), 2.0 - share, dtype=F64)
    what = "output for masked scores of 2e6, 0, -2e6 beside allowed ones near 0, -2e6, 2e6 (one per sequence)"
    assert_close(output, want, magnitude=size, dtype=F64, what=what)


def test_rows_that_see_nothing_are_zero(impl, gen):
    """A row that may attend to nothing is zero

    A softmax over nothing but masked scores is 0/0, or uniform with a finite fill value: neither is an answer. The
    other rows, and the other heads of the group, are as always.
    """
    q, k, v = qkv(gen, (3, 6, 2, 4, 5, 3))
    rows = random_mask(gen, 4, 5)
    rows[0] = rows[2] = False
    single = random_mask(gen, 3, 6, 4, 5)
    single[0, 1, 3] = single[1, 0] = single[2, 3:] = False  # a row, a head, a group
    padding = random_mask(gen, 3, 1, 1, 5)
    padding[1] = False
    heads = torch.tensor([True, False, True, True, True, False]).view(6, 1, 1)
    for what, mask in (
        ("mask (4, 5), rows 0 and 2 all False", rows),
        ("mask (3, 6, 4, 5), a row, a head and a group all False", single),
        ("mask (3, 1, 1, 5), one sequence all padding", padding),
        ("mask (6, 1, 1), heads 1 and 5 see nothing", heads),
        ("mask (5,), all False", torch.zeros(5, dtype=torch.bool)),
    ):
        check(impl, q, k, v, mask, what=what)


def test_gradients_reach_q_k_and_v(impl, gen):
    """Gradients reach q, k and v; a KV head collects its whole group's

    A key/value head is read by H/G query heads, so its gradient is the sum of what each sends back: neither that
    of one of them nor their mean. Nothing may be detached or computed without gradients.
    """
    for sizes, mask_shape, dtype in (
        ((2, 6, 2, 3, 4, 5), None, F64),
        ((2, 6, 3, 3, 4, 2), (2, 6, 3, 4), F64),
        ((3, 3, 1, 2, 4, 3), (3, 1, 1, 4), F32),
        ((1, 3, 3, 4, 3, 2), (4, 3), F32),
    ):
        inputs = qkv(gen, sizes, dtype)
        mask = None if mask_shape is None else random_mask(gen, *mask_shape)
        assert_gradients(
            lambda q, k, v, mask=mask: impl.grouped_query_attention(q, k, v, mask=mask),
            lambda q, k, v, mask=mask: exact(q, k, v, mask),
            inputs,
            gen,
            terms=16,
            magnitude=8.0,
            names=[f"{name}, {sizes[1]} query heads and {sizes[2]} KV heads" for name in "qkv"],
        )


def test_rows_that_see_nothing_have_zero_gradient(impl, gen):
    """A row that may attend to nothing has zero gradient, never NaN

    NaN hidden from the result can still sit in the backward pass: 0 times NaN is NaN. The query of such a row gets
    zero gradient, and the shared keys and values get what the other rows and heads send.
    """
    q, k, v = qkv(gen, (2, 6, 2, 3, 4, 5), F64)
    rows = random_mask(gen, 3, 4)
    rows[1] = False
    single = random_mask(gen, 2, 6, 3, 4)
    single[0, 1, 2] = single[1, 4] = single[0, 3:] = False
    for mask in (rows, single):
        names = [f"{name}, mask {tuple(mask.shape)} with rows all False" for name in "qkv"]
        assert_gradients(
            lambda q, k, v, mask=mask: impl.grouped_query_attention(q, k, v, mask=mask),
            lambda q, k, v, mask=mask: exact(q, k, v, mask),
            [q, k, v],
            gen,
            terms=16,
            magnitude=8.0,
            names=names,
        )
        leaf = q.clone().requires_grad_()
        output = impl.grouped_query_attention(leaf, k, v, mask=mask)
        (grad,) = torch.autograd.grad((output * normal(gen, *output.shape)).sum(), leaf)
        empty = grad[~mask.expand(2, 6, 3, 4).any(-1)]
        assert_equal(empty, torch.zeros_like(empty), what="gradient of the queries that see nothing")


def test_repeat_kv_keeps_dtype_and_gradient(impl, gen):
    """repeat_kv keeps the dtype, takes any strides and sends gradients back

    Repeating computes nothing: every value comes out as it went in. Backwards, a head gets the sum of its copies'
    gradients.
    """
    for dtype in (F64, F32, F16, BF16):
        x = noncontiguous(normal(gen, 2, 3, 4, 5, dtype=dtype))
        with unchanged(x=x):
            copies = impl.repeat_kv(x, 2)
        want = torch.stack([x[:, h // 2] for h in range(6)], 1)
        assert_equal(copies, want, what=f"repeat_kv of a strided {short(dtype)} x (2, 3, 4, 5), n_rep = 2")
    for dtype, shape, n_rep in ((F64, (2, 3, 4, 5), 2), (F32, (3, 2, 3, 3), 3), (F64, (2, 3, 2, 2), 1)):
        assert_gradients(
            lambda x, n_rep=n_rep: impl.repeat_kv(x, n_rep),
            lambda x, n_rep=n_rep: torch.stack([x[:, h // n_rep] for h in range(x.shape[1] * n_rep)], 1),
            [normal(gen, *shape, dtype=dtype)],
            gen,
            terms=n_rep,
            magnitude=8.0,
            names=[f"x {shape}, n_rep = {n_rep}"],
        )


def test_precision_of_the_output(impl, gen):
    """float64 keeps its accuracy; half precision sums in float32

    The output has q's dtype. 64 products of 40 * 40 sum to 102400, beyond float16's 65504, and a running sum in
    bfloat16 stops growing at 256. A cast to float32 of everything costs float64 nine digits.
    """
    for mask in (None, random_mask(gen, 6, 3, 5)):
        q, k, v = qkv(gen, (2, 6, 2, 3, 5, 7), F64)
        check(impl, q, k, v, mask, what=f"float64, {'no mask' if mask is None else 'mask (6, 3, 5)'}")

    # 300 in bfloat16: sums that float16 in between would not hold. v differs between the two KV heads.
    for dtype, entry in ((F16, 40.0), (BF16, 300.0)):
        q, k = torch.full((1, 6, 2, 64), entry, dtype=dtype), torch.full((1, 2, 3, 64), entry, dtype=dtype)
        q[:, :, 1] = -entry
        k[:, :, 2] = -entry
        v = torch.tensor([[1.0, 3.0, 7.0], [2.0, 4.0, 8.0]], dtype=dtype).view(1, 2, 3, 1).expand(1, 2, 3, 64)
        want = torch.tensor([[2.0, 7.0]] * 3 + [[3.0, 8.0]] * 3, dtype=F64).view(1, 6, 2, 1).expand(1, 6, 2, 64)
        output = impl.grouped_query_attention(q, k, v.contiguous())
        what = f"output, {short(dtype)} with q.k = {64 * entry * entry:g}"
        assert_close(output, want, magnitude=8.0, dtype=dtype, what=what)

    for dtype in (F16, BF16):
        # Small, so that scores or weights rounded to half precision on the way are within the tolerance.
        q, k, v = (t / 2 for t in qkv(gen, (2, 6, 2, 3, 5, 8), dtype))
        mask = random_mask(gen, 6, 3, 5)
        mask[1, 1] = mask[4] = False
        for case, allowed in ((short(dtype), None), (f"{short(dtype)}, mask (6, 3, 5)", mask)):
            output, size = impl.grouped_query_attention(q, k, v, allowed), 3 * float(v.abs().max())
            want = exact(q, k, v, allowed)
            assert_close(output, want, magnitude=size, dtype=dtype, what=f"output, {case}")
        assert_gradients(
            lambda q, k, v, mask=mask: impl.grouped_query_attention(q, k, v, mask=mask),
            lambda q, k, v, mask=mask: exact(q, k, v, mask),
            [q, k, v],
            gen,
            magnitude=8.0,
            names=[f"{letter}, {short(dtype)}, mask (6, 3, 5)" for letter in "qkv"],
        )
        # Two keys with q.k = 8446. A half-precision sum drops the ones of the first: 4096 + 1 is 4096.
        q, k, v = (torch.zeros(1, n, length, 256, dtype=dtype) for n, length in ((2, 1), (1, 2), (1, 2)))
        q[:] = 1.0
        k[0, 0, 0] = 1.0
        k[0, 0, 0, 0] = k[0, 0, 0, -1] = 4096.0
        k[0, 0, 1, 0], k[0, 0, 1, 1] = 8192.0, 254.0
        v[0, 0, 1] = 1.0
        want = torch.full((1, 2, 1, 256), 0.5, dtype=F64)
        what = f"output, {short(dtype)}, two keys with the same score at D = 256"
        assert_close(impl.grouped_query_attention(q, k, v), want, magnitude=1.0, dtype=dtype, what=what)

    # 1 + 3/1024 is a float16 number; bfloat16 has no bits for the 3/1024.
    fine = torch.full((1, 1, 4, 16), 1 + 3 / 1024, dtype=F16)
    output = impl.grouped_query_attention(torch.ones(1, 2, 1, 16, dtype=F16), fine, fine)
    want = torch.full((1, 2, 1, 16), 1 + 3 / 1024, dtype=F64)
    assert_close(output, want, terms=4, dtype=F16, what="output, float16, fine values")

    q, k = torch.zeros(1, 2, 1, 3, dtype=BF16), normal(gen, 1, 1, 1024, 3, dtype=BF16)
    v = torch.rand(1, 1, 1024, 3, generator=gen).add(0.5).to(BF16)
    want = v.double().mean(2, keepdim=True).expand(1, 2, 1, 3)
    output = impl.grouped_query_attention(q, k, v)
    assert_close(output, want, terms=1024, dtype=BF16, what="output, bfloat16, 1024 keys with the same score")


def test_strides_and_inputs_left_alone(impl, gen):
    """Attention takes any strides and changes no input in place

    Heads usually come from a transpose, so q, k and v are rarely contiguous and `view` cannot merge their dims.
    `q /= ...`, `masked_fill_` and writes into the mask reach the caller's tensors.
    """
    for dtype in (F32, F64, BF16):
        q, k, v = (
            noncontiguous(t) for t in qkv(gen, (2, 6, 2, 3, 5, 3), dtype)
        )  # D = 3: / sqrt(3) * sqrt(3) is no way back
        mask = noncontiguous(random_mask(gen, 2, 6, 3, 5))
        want = exact(q, k, v, mask)
        with unchanged(q=q, k=k, v=v, mask=mask):
            output = impl.grouped_query_attention(q, k, v, mask)
        size = 3 * float(v.abs().max())
        assert_close(output, want, terms=9, magnitude=size, dtype=dtype, what=f"output, {short(dtype)}, strided inputs")
    split = (normal(gen, 2, n, heads, 4).transpose(1, 2) for n, heads in ((3, 6), (5, 2), (5, 2)))
    q, k, v = split  # (B, L, heads, D) seen as (B, heads, L, D), as after a projection
    mask = torch.ones(3, 5, dtype=torch.bool).tril(2)
    mask[1] = False
    before = q.clone(), k.clone(), v.clone(), mask.clone()
    with unchanged(q=q, k=k, v=v, mask=mask):
        output = impl.grouped_query_attention(q, k, v, mask)
        plain = impl.grouped_query_attention(q, k, v)
    check_output(output, exact(*before), q, v, mask, what="transposed inputs, mask (3, 5)")
    check_output(plain, exact(*before[:3]), q, v, what="transposed inputs")


def test_pooling_precision_and_gradient(impl, gen):
    """Pooling keeps dtype and precision and is differentiable

    Half precision is summed in float32: three heads of 60000 have a mean in float16, but no sum. A float64 weight
    stays float64, the caller's checkpoint stays as it is, and each head gets its share of the group's gradient.
    """
    for dtype in (F64, F32, F16, BF16):
        weight = noncontiguous(normal(gen, 12, 5, dtype=dtype))
        want, size = pooled(weight, 6, 2), float(weight.abs().max())
        with unchanged(weight=weight):
            result = impl.mean_pool_kv_heads(weight, 6, 2)
        what = f"a strided {short(dtype)} weight, 6 heads pooled into 2"
        assert_close(result, want, terms=3, magnitude=size, dtype=dtype, what=what)
    for dtype, value, num_heads in ((F16, 60000.0, 6), (F16, 1 + 3 / 1024, 6), (BF16, 1.25, 2048), (F16, 1.25, 8192)):
        result = impl.mean_pool_kv_heads(torch.full((num_heads, 2), value, dtype=dtype), num_heads, 2)
        want = torch.full((2, 2), float(torch.tensor(value, dtype=dtype)), dtype=F64)
        what = f"{num_heads} heads of {value:g} in {short(dtype)} pooled into 2"
        assert_close(result, want, terms=num_heads, dtype=dtype, what=what)
    for dtype in (F64, F32):
        assert_gradients(
            lambda weight: impl.mean_pool_kv_heads(weight, 6, 2),
            lambda weight: weight.unflatten(0, (2, 3, 2)).sum(1).div(3).reshape(4, 5),
            [normal(gen, 12, 5, dtype=dtype)],
            gen,
            terms=3,
            magnitude=4.0,
            names=[f"a {short(dtype)} weight, 6 heads pooled into 2"],
        )
