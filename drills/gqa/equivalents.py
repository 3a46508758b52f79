import math

import torch

from grader.authoring import equivalent, solution


def group_size(n_heads, n_groups):
    if n_heads % n_groups != 0:
        raise ValueError(f"{n_groups} does not divide {n_heads}")
    return n_heads // n_groups


# --- repeat_kv
# ----------------------------------------------------------------------------------------------


@equivalent(replaces="repeat_kv")
def repeat_by_expand_and_reshape(x, n_rep):
    """A new dim after the head dim, expanded and merged, as in the Hugging Face models."""
    if n_rep == 1:
        return x
    b, g, length, d = x.shape
    return x[:, :, None, :, :].expand(b, g, n_rep, length, d).reshape(b, g * n_rep, length, d)


@equivalent(replaces="repeat_kv")
def repeat_by_index(x, n_rep):
    """Heads picked by number."""
    return x.index_select(1, torch.arange(x.shape[1] * n_rep) // n_rep)


@equivalent(replaces="repeat_kv")
def repeat_by_loop(x, n_rep):
    """A list with every head n_rep times, concatenated."""
    copies = []
    for head in x.split(1, dim=1):
        copies += [head] * n_rep
    return torch.cat(copies, dim=1)


@equivalent(replaces="repeat_kv")
def repeat_along_the_sequence_and_view(x, n_rep):
    """Copies one after the other along the sequence; in memory a head's copies then follow each other as heads."""
    b, g, length, d = x.shape
    return x.repeat(1, 1, n_rep, 1).view(b, g * n_rep, length, d)


@equivalent(replaces="repeat_kv")
def repeat_by_stack(x, n_rep):
    """Copies stacked after the head dim, then flattened."""
    return torch.stack([x for _ in range(n_rep)], dim=2).flatten(1, 2)


@equivalent(replaces="repeat_kv")
def repeat_by_one_hot(x, n_rep):
    """A (G * n_rep, G) matrix of zeros and ones applied to the heads."""
    pick = torch.eye(x.shape[1], dtype=x.dtype).repeat_interleave(n_rep, 0)
    return torch.einsum("hg,bgld->bhld", pick, x)


@equivalent(replaces="repeat_kv")
def repeat_into_a_new_tensor(x, n_rep):
    """Every n_rep-th head of a new tensor is written at once."""
    out = x.new_empty(x.shape[0], x.shape[1] * n_rep, *x.shape[2:])
    for r in range(n_rep):
        out[:, r::n_rep] = x
    return out


# --- grouped_query_attention
# --------------------------------------------------------------------------------


@equivalent(replaces="grouped_query_attention")
def broadcast_over_groups(q, k, v, mask=None):
    """(B, G, H/G, Lq, D) against (B, G, 1, Lk, D): nothing is repeated, the mask expanded to the heads and split."""
    b, h, n_queries, d = q.shape
    g = k.shape[1]
    r = group_size(h, g)
    compute = torch.promote_types(q.dtype, torch.float32)
    queries = q.reshape(b, g, r, n_queries, d).to(compute) * d**-0.5
    scores = queries @ k.unsqueeze(2).to(compute).mT
    if mask is None:
        weights = scores.softmax(-1)
    else:
        mask = mask.expand(b, h, n_queries, k.shape[2]).reshape(b, g, r, n_queries, -1)
        weights = scores.masked_fill(mask.logical_not(), -math.inf).softmax(-1)
        weights = torch.where(mask, weights, 0.0)
    return (weights @ v.unsqueeze(2).to(compute)).reshape(q.shape).to(q.dtype)


@equivalent(replaces="grouped_query_attention")
def einsum_over_groups(q, k, v, mask=None):
    """Two einsums with a letter for the group and one for the head in it; the mask split by its own head dim only
    where it has one."""
    r = group_size(q.shape[1], k.shape[1])
    compute = torch.promote_types(q.dtype, torch.float32)
    queries = q.to(compute).unflatten(1, (k.shape[1], r))
    scores = torch.einsum("bgrqd,bgkd->bgrqk", queries, k.to(compute)) / math.sqrt(q.shape[-1])
    if mask is not None:
        while mask.dim() < 4:
            mask = mask.unsqueeze(0)
        mask = mask.unsqueeze(2) if mask.shape[1] == 1 else mask.unflatten(1, (k.shape[1], r))
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    weights = torch.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights * mask
    return torch.einsum("bgrqk,bgkd->bgrqd", weights, v.to(compute)).flatten(1, 2).to(q.dtype)


@equivalent(replaces="grouped_query_attention")
def group_folded_into_the_queries(q, k, v, mask=None):
    """The heads of a group become further queries, (B * G, H/G * Lq, D), and bmm does the rest."""
    b, h, n_queries, d = q.shape
    g, n_keys = k.shape[1:3]
    rows = group_size(h, g) * n_queries
    compute = torch.promote_types(q.dtype, torch.float32)
    queries, keys, values = (t.reshape(b * g, -1, d).to(compute) for t in (q, k, v))
    scores = torch.bmm(queries, keys.transpose(1, 2)) * (1 / math.sqrt(d))
    if mask is not None:
        mask = mask.expand(b, h, n_queries, n_keys).reshape(b * g, rows, n_keys)
        scores = torch.where(mask, scores, torch.finfo(compute).min)
    weights = torch.softmax(scores, -1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return torch.bmm(weights, values).reshape(b, h, n_queries, d).to(q.dtype)


@equivalent(replaces="grouped_query_attention")
def head_by_head(q, k, v, mask=None):
    """A loop over the query heads, each with its own slice of everything."""
    b, h, n_queries, d = q.shape
    r = group_size(h, k.shape[1])
    compute = torch.promote_types(q.dtype, torch.float32)
    full = None if mask is None else mask.broadcast_to(b, h, n_queries, k.shape[2])
    heads = []
    for i in range(h):
        key, value = k[:, i // r].to(compute), v[:, i // r].to(compute)
        scores = q[:, i].to(compute) @ key.transpose(1, 2) / d**0.5
        if full is None:
            weights = torch.softmax(scores, -1)
        else:
            weights = torch.softmax(scores.masked_fill(~full[:, i], -math.inf), -1).nan_to_num(0.0)
        heads.append(weights @ value)
    return torch.stack(heads, 1).to(q.dtype)


@equivalent(replaces="grouped_query_attention")
def group_by_group(q, k, v, mask=None):
    """A loop over the KV heads; the queries of a group attend together. exp and sum instead of softmax."""
    b, h, n_queries, d = q.shape
    r = group_size(h, k.shape[1])
    compute = torch.promote_types(q.dtype, torch.float32)
    shape = (b, h, n_queries, k.shape[2])
    allowed = torch.ones(shape, dtype=torch.bool) if mask is None else mask.expand(shape)
    parts = []
    for g in range(k.shape[1]):
        queries, seen = q[:, g * r : (g + 1) * r].to(compute), allowed[:, g * r : (g + 1) * r]
        scores = queries @ k[:, g : g + 1].to(compute).mT / math.sqrt(d)
        top = scores.masked_fill(~seen, torch.finfo(compute).min).amax(-1, keepdim=True)
        exps = torch.where(seen, scores - top, -math.inf).exp()
        parts.append(exps @ v[:, g : g + 1].to(compute) / exps.sum(-1, keepdim=True).clamp(min=1e-30))
    return torch.cat(parts, 1).to(q.dtype)


@equivalent(replaces="grouped_query_attention")
def in_float64_throughout(q, k, v, mask=None):
    """float64 inside whatever the input, heads picked by number, log_softmax and exp."""
    read = torch.arange(q.shape[1]) // group_size(q.shape[1], k.shape[1])
    scores = torch.einsum("bhid,bhjd->bhij", q.double(), k.double()[:, read]) / math.sqrt(q.shape[-1])
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand_as(scores)
    weights = scores.masked_fill(~mask, -1e300).log_softmax(-1).exp().masked_fill(~mask, 0.0)
    return (weights @ v.double()[:, read]).to(q.dtype)


@equivalent(replaces="grouped_query_attention")
def in_the_input_dtype(q, k, v, mask=None):
    """Half precision stays half: q scaled before the product, matmul sums in float32, softmax in float32. The mask is
    an added bias, what is left cut off after it."""
    n_rep = group_size(q.shape[1], k.shape[1])
    keys, values = solution.repeat_kv(k, n_rep), solution.repeat_kv(v, n_rep)
    scores = (q * q.shape[-1] ** -0.5) @ keys.transpose(2, 3)
    wide = torch.promote_types(q.dtype, torch.float32)
    if mask is not None:
        scores = scores.to(wide) + mask.logical_not().to(wide) * -1e9
    weights = torch.softmax(scores, dim=-1, dtype=wide).to(q.dtype)
    if mask is not None:
        weights = weights * mask
    return weights @ values


@equivalent(replaces="grouped_query_attention")
def query_by_query_with_open_rows(q, k, v, mask=None):
    """One query position at a time; rows that see nothing are opened for the softmax and zeroed by their own flag."""
    b, h, n_queries, d = q.shape
    n_rep = group_size(h, k.shape[1])
    compute = torch.promote_types(q.dtype, torch.float32)
    keys, values = (t.to(compute).repeat_interleave(n_rep, 1) for t in (k, v))
    mask = torch.ones(1, dtype=torch.bool) if mask is None else mask
    mask = mask.expand(b, h, n_queries, k.shape[2])
    outputs = []
    for i in range(n_queries):
        seen = mask[:, :, i]  # (B, H, Lk)
        some = seen.any(-1, keepdim=True)
        scores = (q[:, :, i, None].to(compute) / math.sqrt(d) * keys).sum(-1)
        scores = scores.masked_fill(~(seen | ~some), -math.inf)
        weights = torch.exp(scores - scores.logsumexp(-1, keepdim=True)) * some
        outputs.append((weights[..., None] * values).sum(2))
    return torch.stack(outputs, 2).to(q.dtype)


@equivalent(replaces="grouped_query_attention")
def heads_in_the_last_axis(q, k, v, mask=None):
    """The layout (B, L, heads, D) of most kernels, scores as (B, Lq, Lk, G, H/G)."""
    b, h, n_queries, d = q.shape
    g, n_keys = k.shape[1:3]
    r = group_size(h, g)
    compute = torch.promote_types(q.dtype, torch.float32)
    queries = q.transpose(1, 2).reshape(b, n_queries, g, r, d).to(compute)
    keys, values = k.transpose(1, 2).to(compute), v.transpose(1, 2).to(compute)
    scores = torch.einsum("bqgrd,bkgd->bqkgr", queries, keys) / math.sqrt(d)
    if mask is not None:
        mask = mask.expand(b, h, n_queries, n_keys).permute(0, 2, 3, 1).reshape(scores.shape)
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    weights = scores.softmax(2)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    output = torch.einsum("bqkgr,bkgd->bqgrd", weights, values)
    return output.reshape(b, n_queries, h, d).transpose(1, 2).to(q.dtype)


# --- mean_pool_kv_heads
# -------------------------------------------------------------------------------------


@equivalent(replaces="mean_pool_kv_heads")
def pool_by_loop(weight, num_heads, num_groups):
    """Each group's rows cut out and averaged, half precision in float32."""
    size = group_size(num_heads, num_groups)
    d = weight.shape[0] // num_heads
    wide = torch.promote_types(weight.dtype, torch.float32)
    groups = []
    for g in range(num_groups):
        heads = [weight[h * d : (h + 1) * d].to(wide) for h in range(g * size, (g + 1) * size)]
        groups.append(sum(heads) / size)
    return torch.cat(groups).to(weight.dtype)


@equivalent(replaces="mean_pool_kv_heads")
def pool_by_matrix(weight, num_heads, num_groups):
    """A (G, H) matrix with 1 / (H/G) in the places of each group's heads."""
    size = group_size(num_heads, num_groups)
    wide = torch.promote_types(weight.dtype, torch.float32)
    pool = torch.eye(num_groups, dtype=wide).repeat_interleave(size, 1) / size
    heads = weight.to(wide).unflatten(0, (num_heads, -1))
    return torch.einsum("gh,hde->gde", pool, heads).flatten(0, 1).to(weight.dtype)


@equivalent(replaces="mean_pool_kv_heads")
def pool_by_chunks(weight, num_heads, num_groups):
    """chunk into groups, chunk those into heads, mean of the stack."""
    size = group_size(num_heads, num_groups)
    return torch.cat([torch.stack(group.chunk(size)).mean(0) for group in weight.chunk(num_groups)])


@equivalent(replaces="mean_pool_kv_heads")
def pool_in_float64(weight, num_heads, num_groups):
    """index_add of the rows into their group's, in float64, divided at the end."""
    size = group_size(num_heads, num_groups)
    d = weight.shape[0] // num_heads
    rows = torch.arange(weight.shape[0])
    target = rows // (size * d) * d + rows % d
    total = torch.zeros(num_groups * d, weight.shape[1], dtype=torch.float64)
    return (total.index_add(0, target, weight.double()) / size).to(weight.dtype)


# --- kv_cache_bytes
# -----------------------------------------------------------------------------------------


@equivalent(replaces="kv_cache_bytes")
def bytes_by_prod(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    """math.prod of the cache's shape."""
    return math.prod((2, layers, batch, num_kv_heads, length, d_head)) * bytes_per_value


@equivalent(replaces="kv_cache_bytes")
def bytes_per_token_first(batch, length, layers, num_kv_heads, d_head, bytes_per_value=2):
    """Bytes of a token, times tokens."""
    keys = values = num_kv_heads * d_head * bytes_per_value
    return (keys + values) * layers * (batch * length)
