import math

import torch

from grader.authoring import mistake, solution


def attend(q, k, v, mask=None, scale=None):
    """Attention of H query heads to H key/value heads, right in itself, for the mistakes around it."""
    compute = torch.promote_types(q.dtype, torch.float32)
    factor = 1.0 / math.sqrt(q.size(-1)) if scale is None else scale
    scores = q.to(compute) @ k.to(compute).transpose(-2, -1) * factor
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    weights = torch.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return (weights @ v.to(compute)).to(q.dtype)


def shared(q, k, v):
    """k and v with H heads, or the ValueError."""
    if q.size(1) % k.size(1):
        raise ValueError("the key/value heads do not divide the query heads")
    n_rep = q.size(1) // k.size(1)
    return solution.repeat_kv(k, n_rep), solution.repeat_kv(v, n_rep)


def tiled(q, x):
    """x with H heads in the wrong order, 0 1 0 1 for 0 0 1 1, or the ValueError."""
    if q.size(1) % x.size(1):
        raise ValueError("the key/value heads do not divide the query heads")
    return x.repeat(1, q.size(1) // x.size(1), 1, 1)


# --- repeating the heads
# ---------------------------------------------------------------------------------------


@mistake(
    replaces="repeat_kv",
    tells="The heads are tiled, 0 1 0 1 instead of 0 0 1 1: that is what x.repeat does, and expand on a new dim "
    "before the head dim. Use repeat_interleave, or put the new dim after the head dim.",
    question="gqa-head-order",
)
def tiles_the_heads(x, n_rep):
    b, g, length, d = x.shape
    return x[:, None].expand(b, n_rep, g, length, d).reshape(b, g * n_rep, length, d)


@mistake(
    replaces="repeat_kv",
    tells="The new dim stands after the sequence, so positions are repeated and the reshape mixes positions with "
    "heads. Expand right after the head dim: x[:, :, None].",
    question="gqa-head-order",
)
def expands_after_the_sequence(x, n_rep):
    b, g, length, d = x.shape
    return x[:, :, :, None].expand(b, g, length, n_rep, d).reshape(b, g * n_rep, length, d)


@mistake(
    replaces="repeat_kv",
    tells="The sequence is repeated instead of the heads. The head dim is dim 1 of (B, G, L, D).",
    question="gqa-head-order",
)
def repeats_the_sequence(x, n_rep):
    return x.repeat_interleave(n_rep, dim=2)


@mistake(
    replaces="repeat_kv",
    tells="The batch is repeated instead of the heads. The head dim is dim 1 of (B, G, L, D).",
    question="gqa-head-order",
)
def repeats_the_batch(x, n_rep):
    return x.repeat_interleave(n_rep, dim=0)


@mistake(
    replaces="repeat_kv",
    tells="n_rep is taken for the number of heads wanted. It is the number of copies of each head: G * n_rep heads "
    "come out.",
    question="gqa-head-order",
)
def takes_n_rep_for_the_heads_wanted(x, n_rep):
    return x.repeat_interleave(max(n_rep // x.size(1), 1), dim=1)


@mistake(
    replaces="repeat_kv",
    tells="The copies are detached: no gradient reaches the keys and values.",
    question="gqa-head-order",
)
def copies_without_gradient(x, n_rep):
    return x.detach().repeat_interleave(n_rep, dim=1)


@mistake(
    replaces="repeat_kv",
    tells="The copies are filled into a new float32 tensor. Create it with dtype=x.dtype (x.new_empty).",
    question="gqa-head-order",
)
def copies_into_float32(x, n_rep):
    b, g, length, d = x.shape
    out = torch.zeros(b, g * n_rep, length, d)
    for h in range(g * n_rep):
        out[:, h] = x[:, h // n_rep]
    return out


# --- which head reads which
# ------------------------------------------------------------------------------------


@mistake(
    replaces="grouped_query_attention",
    tells="Query head h reads KV head h % G. Heads of a group are consecutive, so it is h // (H / G): split the "
    "query heads as (G, H/G), not as (H/G, G).",
    question="gqa-head-order",
)
def reads_head_modulo_groups(q, k, v, mask=None):
    return attend(q, tiled(q, k), tiled(q, v), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="The keys are repeated side by side and the values tiled: a head weighs the values of one group by the "
    "keys of another. Repeat both in the same way.",
    question="gqa-head-order",
)
def tiles_the_values_only(q, k, v, mask=None):
    return attend(q, shared(q, k, v)[0], tiled(q, v), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="The values are repeated side by side and the keys tiled: a head weighs the values of one group by the "
    "keys of another. Repeat both in the same way.",
    question="gqa-head-order",
)
def tiles_the_keys_only(q, k, v, mask=None):
    return attend(q, tiled(q, k), shared(q, k, v)[1], mask)


@mistake(
    replaces="grouped_query_attention",
    tells="The number of groups is used where the size of a group belongs: each KV head serves H / G query heads, "
    "not G. The two agree only if H is G squared.",
    question="gqa-head-order",
)
def takes_groups_for_group_size(q, k, v, mask=None):
    shared(q, k, v)
    return attend(q, solution.repeat_kv(k, k.size(1)), solution.repeat_kv(v, v.size(1)), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="KV head h // G is read, and the last one where that does not exist. Divide by the size of a group, H / G.",
    question="gqa-head-order",
)
def divides_the_head_by_groups(q, k, v, mask=None):
    shared(q, k, v)
    read = [min(h // k.size(1), k.size(1) - 1) for h in range(q.size(1))]
    return attend(q, k[:, read], v[:, read], mask)


@mistake(
    replaces="grouped_query_attention",
    tells="All query heads read the first KV head. That is right for G = 1 only.",
    question="what-is-gqa",
)
def reads_the_first_kv_head(q, k, v, mask=None):
    shared(q, k, v)
    return attend(q, k[:, :1], v[:, :1], mask)


@mistake(
    replaces="grouped_query_attention",
    tells="The KV heads are averaged into one, which makes it MQA whatever G is. Each group has a KV head of its own.",
    question="what-is-gqa",
)
def averages_the_kv_heads(q, k, v, mask=None):
    shared(q, k, v)
    return attend(q, k.mean(1, keepdim=True), v.mean(1, keepdim=True), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="The query heads of a group are averaged. Only keys and values are shared: each query head keeps its own "
    "scores and its own output.",
    question="what-is-gqa",
)
def averages_the_query_heads(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    n_rep = q.size(1) // k.size(1)
    queries = q.unflatten(1, (-1, n_rep)).mean(2).repeat_interleave(n_rep, 1)
    return attend(queries, keys, values, mask)


@mistake(
    replaces="grouped_query_attention",
    tells="One output a group comes back. The output has H heads, as many as the queries.",
    question="what-is-gqa",
)
def returns_one_head_a_group(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    return attend(q, keys, values, mask).unflatten(1, (k.size(1), -1)).mean(2)


@mistake(
    replaces="grouped_query_attention",
    tells="With G = 1 the head dim of k and v is squeezed away, and (B, Lk, D) lines its batch up with the heads of "
    "q. Keep the head dim: (B, 1, Lk, D) broadcasts as it should.",
    question="what-is-mqa",
)
def squeezes_the_single_kv_head(q, k, v, mask=None):
    if k.size(1) == 1:
        return attend(q, k.squeeze(1), v.squeeze(1), mask)
    return attend(q, *shared(q, k, v), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="The heads are merged into (B, Lq, H * D). That is the step before the output projection, not part of this "
    "function.",
    question="what-is-gqa",
)
def merges_the_heads(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), mask).transpose(1, 2).flatten(2)


# --- the ValueError
# -----------------------------------------------------------------------------------------


@mistake(
    replaces="grouped_query_attention",
    tells="Nothing checks that G divides H: heads are shared out unevenly, in silence. Raise a ValueError.",
    question="what-is-gqa",
)
def shares_heads_out_unevenly(q, k, v, mask=None):
    read = [h * k.size(1) // q.size(1) for h in range(q.size(1))]
    return attend(q, k[:, read], v[:, read], mask)


@mistake(
    replaces="grouped_query_attention",
    tells="`assert` raises an AssertionError, and nothing at all under python -O. Raise a ValueError.",
    question="what-is-gqa",
)
def asserts_divisibility(q, k, v, mask=None):
    assert q.size(1) % k.size(1) == 0, "G must divide H"
    return attend(q, *shared(q, k, v), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="More groups than heads is caught, a remainder is not. The test is H % G != 0.",
    question="what-is-gqa",
)
def checks_the_order_only(q, k, v, mask=None):
    if k.size(1) > q.size(1):
        raise ValueError("more key/value heads than query heads")
    return shares_heads_out_unevenly(q, k, v, mask)


@mistake(
    replaces="grouped_query_attention",
    tells="G = 1 and G = H are refused. They are legal: multi-query and multi-head attention.",
    question="what-is-gqa",
)
def refuses_mqa_and_mha(q, k, v, mask=None):
    if not 1 < k.size(1) < q.size(1):
        raise ValueError("1 < G < H is needed")
    return attend(q, *shared(q, k, v), mask)


# --- scale and softmax
# --------------------------------------------------------------------------------------


@mistake(
    replaces="grouped_query_attention",
    tells="The scores are not scaled. Divide them by sqrt(D).",
    question="what-is-gqa",
)
def no_scale(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), mask, 1.0)


@mistake(
    replaces="grouped_query_attention",
    tells="The scale is taken from d_model, all heads together. A score sums over the D features of one head.",
    question="what-is-gqa",
)
def scales_by_d_model(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), mask, 1.0 / math.sqrt(q.size(1) * q.size(-1)))


@mistake(
    replaces="grouped_query_attention",
    tells="The scale is taken from the features of all KV heads, G * D. A score sums over the D features of one head.",
    question="what-is-gqa",
)
def scales_by_the_kv_width(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), mask, 1.0 / math.sqrt(k.size(1) * k.size(-1)))


@mistake(
    replaces="grouped_query_attention",
    tells="The scale is taken from the number of heads. A score sums over the D features of one head.",
    question="what-is-gqa",
)
def scales_by_number_of_heads(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), mask, 1.0 / math.sqrt(q.size(1)))


@mistake(
    replaces="grouped_query_attention",
    tells="The scale is taken from the number of keys. A score sums over the D features of one head: its variance "
    "does not depend on the length of the sequence.",
    question="what-is-gqa",
)
def scales_by_length(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), mask, 1.0 / math.sqrt(k.size(2)))


@mistake(
    replaces="grouped_query_attention",
    tells="The scores are divided by D instead of sqrt(D).",
    question="what-is-gqa",
)
def divides_by_d(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), mask, 1.0 / q.size(-1))


@mistake(
    replaces="grouped_query_attention",
    tells="The softmax runs over the queries. Each query shares one unit of weight among the keys: the last dim.",
    question="what-is-gqa",
)
def softmax_over_queries(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    scores = q @ keys.transpose(-2, -1) / math.sqrt(q.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(q.dtype).min)
    weights = torch.softmax(scores, dim=-2)
    return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ values


@mistake(
    replaces="grouped_query_attention",
    tells="exp is taken of the scores as they are, and overflows for large ones. Subtract each row's maximum first: "
    "it cancels in the quotient.",
    question="what-is-gqa",
)
def softmax_without_maximum(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    compute = torch.promote_types(q.dtype, torch.float32)
    exps = (q.to(compute) @ keys.to(compute).transpose(-2, -1) / math.sqrt(q.size(-1))).exp()
    if mask is not None:
        exps = exps.masked_fill(~mask, 0.0)
    weights = exps / exps.sum(-1, keepdim=True).clamp_min(torch.finfo(compute).tiny)
    return (weights @ values.to(compute)).to(q.dtype)


@mistake(
    replaces="grouped_query_attention",
    tells="Scores are clamped before the softmax. Differences between large scores vanish, and so does their "
    "gradient: subtract the row's maximum instead.",
    question="what-is-gqa",
)
def clamps_the_scores(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = (q.to(compute) @ keys.to(compute).transpose(-2, -1) / math.sqrt(q.size(-1))).clamp(max=80.0)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    weights = torch.softmax(scores, dim=-1)
    return ((weights if mask is None else weights.masked_fill(~mask, 0.0)) @ values.to(compute)).to(q.dtype)


# --- the mask
# -----------------------------------------------------------------------------------------------


@mistake(
    replaces="grouped_query_attention",
    tells="The mask is ignored.",
    question="what-is-gqa",
)
def ignores_the_mask(q, k, v, mask=None):
    return attend(q, *shared(q, k, v))


@mistake(
    replaces="grouped_query_attention",
    tells="The mask is read the wrong way round: True means may attend, so fill where it is False.",
    question="what-is-gqa",
)
def inverts_the_mask(q, k, v, mask=None):
    return attend(q, *shared(q, k, v), None if mask is None else ~mask)


@mistake(
    replaces="grouped_query_attention",
    tells="A causal mask is applied although none was asked for. What a query may see is the caller's choice.",
    question="what-is-gqa",
)
def always_causal(q, k, v, mask=None):
    causal = torch.ones(q.size(2), k.size(2), dtype=torch.bool).tril(max(k.size(2) - q.size(2), 0))
    return attend(q, *shared(q, k, v), causal if mask is None else mask & causal)


@mistake(
    replaces="grouped_query_attention",
    tells="The scores have five dims, (B, G, H/G, Lq, Lk), and the mask four: broadcasting lines its batch up with "
    "the groups and its heads with the heads inside a group. Bring it into the five dims first.",
    question="gqa-head-order",
)
def leaves_the_mask_to_broadcast(q, k, v, mask=None):
    shared(q, k, v)
    queries = q.unflatten(1, (k.size(1), -1))  # (B, G, H/G, Lq, D)
    return attend(queries, k[:, :, None], v[:, :, None], mask).flatten(1, 2)


@mistake(
    replaces="grouped_query_attention",
    tells="The mask's heads are split as (H/G, G), the scores' as (G, H/G): a head gets another one's mask. "
    "Split both in the same way.",
    question="gqa-head-order",
)
def splits_the_mask_the_other_way(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    if mask is not None:
        full = mask.expand(*q.shape[:3], k.size(2))
        mask = full.unflatten(1, (-1, k.size(1))).transpose(1, 2).flatten(1, 2)
    return attend(q, keys, values, mask)


@mistake(
    replaces="grouped_query_attention",
    tells="All heads of a group get the mask of its first head. Masks belong to query heads, like the scores.",
    question="gqa-head-order",
)
def one_mask_a_group(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    if mask is not None:
        n_rep = q.size(1) // k.size(1)
        mask = mask.expand(*q.shape[:3], k.size(2))[:, ::n_rep].repeat_interleave(n_rep, 1)
    return attend(q, keys, values, mask)


@mistake(
    replaces="grouped_query_attention",
    tells="Weights are masked after the softmax, so what the masked keys took is lost and the others do not sum to "
    "1. Mask the scores.",
    question="what-is-gqa",
)
def masks_after_softmax(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    weights = torch.softmax(q @ keys.transpose(-2, -1) / math.sqrt(q.size(-1)), dim=-1)
    return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ values


@mistake(
    replaces="grouped_query_attention",
    tells="A row of -inf alone is NaN after the softmax, and a NaN gradient. Rows that may attend to nothing need "
    "zeros: fill with the lowest finite number and set masked weights to 0.",
    question="what-is-gqa",
)
def nan_where_nothing_is_seen(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(compute) @ keys.to(compute).transpose(-2, -1) / math.sqrt(q.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (torch.softmax(scores, dim=-1) @ values.to(compute)).to(q.dtype)


@mistake(
    replaces="grouped_query_attention",
    tells="A row that may attend to nothing averages all values: a finite fill value leaves it uniform. Set the "
    "masked weights to 0 after the softmax as well.",
    question="what-is-gqa",
)
def uniform_where_nothing_is_seen(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(compute) @ keys.to(compute).transpose(-2, -1) / math.sqrt(q.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    return (torch.softmax(scores, dim=-1) @ values.to(compute)).to(q.dtype)


@mistake(
    replaces="grouped_query_attention",
    tells="A finite fill value such as -1e4 is not low enough: where all allowed scores are lower still, masked keys "
    "win. Use -inf or torch.finfo(dtype).min.",
    question="what-is-gqa",
)
def fills_with_minus_10000(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(compute) @ keys.to(compute).transpose(-2, -1) / math.sqrt(q.size(-1))
    if mask is None:
        return (torch.softmax(scores, dim=-1) @ values.to(compute)).to(q.dtype)
    weights = torch.softmax(scores.masked_fill(~mask, -1e4), dim=-1).masked_fill(~mask, 0.0)
    return (weights @ values.to(compute)).to(q.dtype)


@mistake(
    replaces="grouped_query_attention",
    tells="-inf is added to the scores and the NaN replaced in the result. The backward pass of the softmax still "
    "yields NaN, and an addition passes it on. Use masked_fill or torch.where on the scores.",
    question="what-is-gqa",
)
def hides_nan_in_the_result(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(compute) @ keys.to(compute).transpose(-2, -1) / math.sqrt(q.size(-1))
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=compute).masked_fill(~mask, -torch.inf)
    return (torch.softmax(scores, dim=-1).nan_to_num(0.0) @ values.to(compute)).to(q.dtype)


# --- precision, gradients, inputs
# -----------------------------------------------------------------------------


@mistake(
    replaces="grouped_query_attention",
    tells="Raw products are kept in half precision and scaled afterwards: 64 products of 40 * 40 are beyond 65504 "
    "and become inf. Convert q and k to float32 before the product.",
    question="what-is-gqa",
)
def scales_after_a_half_product(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    scores = q @ keys.transpose(-2, -1) / math.sqrt(q.size(-1))
    if mask is None:
        return torch.softmax(scores, dim=-1) @ values
    weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-1)
    return weights.masked_fill(~mask, 0.0) @ values


@mistake(
    replaces="grouped_query_attention",
    tells="Everything is computed in float32, float64 too. Widen half precision only, for instance to "
    "torch.promote_types(q.dtype, torch.float32).",
    question="what-is-gqa",
)
def casts_to_float32(q, k, v, mask=None):
    return attend(q.float(), *shared(q, k.float(), v.float()), mask).to(q.dtype)


@mistake(
    replaces="grouped_query_attention",
    tells="Half-precision input gives a float32 output. Compute in float32, then return q's dtype.",
    question="what-is-gqa",
)
def keeps_float32(q, k, v, mask=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    return attend(q.to(compute), *shared(q, k, v), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="Keys and values are detached, as if they came from a cache. In training their gradient is the sum over "
    "the query heads of their group.",
    question="what-is-gqa",
)
def detaches_keys_and_values(q, k, v, mask=None):
    return attend(q, *shared(q, k.detach(), v.detach()), mask)


@mistake(
    replaces="grouped_query_attention",
    tells="Only the first head of each group sends gradient to its keys and values. The gradient of a shared head "
    "is the sum over its group.",
    question="what-is-gqa",
)
def gradient_of_one_head_a_group(q, k, v, mask=None):
    copies = shared(q, k, v)
    first = torch.arange(q.size(1)).remainder(q.size(1) // k.size(1)).eq(0).view(-1, 1, 1)
    keys, values = (torch.where(first, t, t.detach()) for t in copies)
    return attend(q, keys, values, mask)


@mistake(
    replaces="grouped_query_attention",
    tells="q is scaled in place: the caller's tensor is changed, and a leaf that requires grad raises an error. "
    "Write q / sqrt(D).",
    question="what-is-gqa",
)
def scales_q_in_place(q, k, v, mask=None):
    keys, values = shared(q, k, v)
    q /= math.sqrt(q.size(-1))
    return attend(q, keys, values, mask, 1.0)


# --- pooling
# ------------------------------------------------------------------------------------------------


@mistake(
    replaces="mean_pool_kv_heads",
    tells="Every G-th head is pooled, heads 0, 2, 4, 6 for two groups. Query heads read consecutive groups, so pool "
    "heads 0 to H/G - 1 for the first: split the rows as (G, H/G, D).",
    question="mha-to-gqa",
)
def pools_every_gth_head(weight, num_heads, num_groups):
    if num_heads % num_groups:
        raise ValueError("the groups do not divide the heads")
    return weight.reshape(-1, num_groups, weight.size(0) // num_heads, weight.size(1)).mean(0).flatten(0, 1)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The heads are summed. A sum is H/G times too large: scores and outputs would grow. Take the mean.",
    question="mha-to-gqa",
)
def sums_the_heads(weight, num_heads, num_groups):
    return solution.mean_pool_kv_heads(weight, num_heads, num_groups) * (num_heads // num_groups)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The first head of each group is kept and the others thrown away. Pooling all of them keeps more of what "
    "the checkpoint knows (Ainslie et al., section 3.3).",
    question="mha-to-gqa",
)
def keeps_the_first_head(weight, num_heads, num_groups):
    if num_heads % num_groups:
        raise ValueError("the groups do not divide the heads")
    d = weight.size(0) // num_heads
    return weight.reshape(num_groups, -1, d, weight.size(1))[:, 0].flatten(0, 1)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="Neighbouring rows are averaged, which are features of one head. Average row i of each head in the group: "
    "split the rows as (G, H/G, D) and take the mean of the middle dim.",
    question="mha-to-gqa",
)
def pools_neighbouring_rows(weight, num_heads, num_groups):
    if num_heads % num_groups:
        raise ValueError("the groups do not divide the heads")
    return weight.reshape(-1, num_heads // num_groups, weight.size(1)).mean(1)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="num_groups is taken for the number of heads in a group. It is the number of heads that remain.",
    question="mha-to-gqa",
)
def takes_groups_for_heads_per_group(weight, num_heads, num_groups):
    if num_heads % num_groups:
        raise ValueError("the groups do not divide the heads")
    return solution.mean_pool_kv_heads(weight, num_heads, num_heads // num_groups)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The columns are pooled. They are the model's features, which every head reads; heads are blocks of rows "
    "in the weight of a Linear, (out, in).",
    question="mha-to-gqa",
)
def pools_the_columns(weight, num_heads, num_groups):
    if num_heads % num_groups:
        raise ValueError("the groups do not divide the heads")
    if weight.size(1) % num_heads:
        return weight.mean(1, keepdim=True).expand(-1, num_groups)
    return solution.mean_pool_kv_heads(weight.t(), num_heads, num_groups).t()


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The heads stay apart, (G, D, E). The projection of a checkpoint is a matrix: flatten to (G * D, E).",
    question="mha-to-gqa",
)
def leaves_the_heads_apart(weight, num_heads, num_groups):
    pooled = solution.mean_pool_kv_heads(weight, num_heads, num_groups)
    return pooled.unflatten(0, (num_groups, -1))


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The mean is written back to every head, so nothing became smaller. GQA keeps G heads.",
    question="mha-to-gqa",
)
def writes_the_mean_to_every_head(weight, num_heads, num_groups):
    pooled = solution.mean_pool_kv_heads(weight, num_heads, num_groups).unflatten(0, (num_groups, -1))
    return pooled.repeat_interleave(num_heads // num_groups, 0).flatten(0, 1)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="Nothing checks that num_groups divides num_heads: the heads left over are dropped in silence. Raise a "
    "ValueError.",
    question="mha-to-gqa",
)
def drops_the_heads_left_over(weight, num_heads, num_groups):
    d, size = weight.size(0) // num_heads, max(num_heads // num_groups, 1)
    used = weight[: num_groups * size * d]
    return torch.stack([part.unflatten(0, (-1, d)).mean(0) for part in used.split(size * d)]).flatten(0, 1)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The heads are added up in the weight's own dtype: in float16 three heads of 60000 are inf, and in "
    "bfloat16 a long sum stops growing. Add up in float32.",
    question="mha-to-gqa",
)
def adds_heads_up_in_half(weight, num_heads, num_groups):
    if num_heads % num_groups:
        raise ValueError("the groups do not divide the heads")
    size = num_heads // num_groups
    heads = weight.reshape(num_groups, size, -1, weight.size(1))
    total = heads[:, 0]
    for r in range(1, size):
        total = total + heads[:, r]
    return (total / size).flatten(0, 1)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The pooled weight is float32 whatever the checkpoint was. Return weight's dtype, and float64 with its own "
    "accuracy.",
    question="mha-to-gqa",
)
def pools_to_float32(weight, num_heads, num_groups):
    return solution.mean_pool_kv_heads(weight.float(), num_heads, num_groups)


@mistake(
    replaces="mean_pool_kv_heads",
    tells="The weight is detached (or pooled under no_grad): no gradient flows back to it.",
    question="mha-to-gqa",
)
def pools_without_gradient(weight, num_heads, num_groups):
    return solution.mean_pool_kv_heads(weight.detach(), num_heads, num_groups)


# --- the cache
# ----------------------------------------------------------------------------------------------


@mistake(
    replaces="kv_cache_bytes",
    tells="Only one tensor is counted. Keys and values are both kept: a factor of 2.",
    question="kv-cache-size",
)
def counts_keys_only(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return batch * length * layers * num_kv_heads * d_head * bytes_per_value


@mistake(
    replaces="kv_cache_bytes",
    tells="One layer is counted. Every layer has keys and values of its own.",
    question="kv-cache-size",
)
def counts_one_layer(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return 2 * batch * length * num_kv_heads * d_head * bytes_per_value


@mistake(
    replaces="kv_cache_bytes",
    tells="One sequence is counted. Every sequence of the batch has a cache of its own.",
    question="kv-cache-size",
)
def counts_one_sequence(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return 2 * length * layers * num_kv_heads * d_head * bytes_per_value


@mistake(
    replaces="kv_cache_bytes",
    tells="Values are counted, not bytes: multiply by bytes_per_value.",
    question="kv-cache-size",
)
def counts_values_not_bytes(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return 2 * batch * length * layers * num_kv_heads * d_head


@mistake(
    replaces="kv_cache_bytes",
    tells="Two bytes a value are assumed. bytes_per_value is 1 for an 8-bit cache and 4 for float32.",
    question="kv-cache-size",
)
def assumes_two_bytes(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return 4 * batch * length * layers * num_kv_heads * d_head


@mistake(
    replaces="kv_cache_bytes",
    tells="Four bytes a value are the default. A cache is usually in half precision: the default is 2.",
    question="kv-cache-size",
)
def defaults_to_float32(batch, length, layers, num_kv_heads, d_head, bytes_per_value=4):
    return 2 * batch * length * layers * num_kv_heads * d_head * bytes_per_value


@mistake(
    replaces="kv_cache_bytes",
    tells="The product passes through a float, which holds 53 bits: large sizes are rounded. Multiply ints.",
    question="kv-cache-size",
)
def rounds_through_a_float(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return int(2.0 * batch * length * layers * num_kv_heads * d_head * bytes_per_value)


@mistake(
    replaces="kv_cache_bytes",
    tells="The product is taken by a tensor or an array, whose 64 bits wrap around. Multiply Python's ints.",
    question="kv-cache-size",
)
def wraps_at_64_bits(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return int(torch.tensor([2, batch, length, layers, num_kv_heads, d_head, bytes_per_value]).prod())


@mistake(
    replaces="kv_cache_bytes",
    tells="A float is returned. The number of bytes is an int.",
    question="kv-cache-size",
)
def returns_a_float(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return 2.0 * batch * length * layers * num_kv_heads * d_head * bytes_per_value


@mistake(
    replaces="kv_cache_bytes",
    tells="The size comes in MiB. Return bytes and leave the unit to whoever prints it.",
    question="kv-cache-size",
)
def returns_mebibytes(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return 2 * batch * length * layers * num_kv_heads * d_head * bytes_per_value // 2**20


@mistake(
    replaces="kv_cache_bytes",
    tells="The score matrix is counted, length times length. It is not cached: keys and values grow linearly.",
    question="kv-cache-size",
)
def counts_the_scores(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    return 2 * batch * length * length * layers * num_kv_heads * d_head * bytes_per_value
