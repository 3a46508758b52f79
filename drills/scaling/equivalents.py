import math

import torch

from grader.authoring import equivalent, solution


@equivalent(replaces="scaled_scores")
def scores_divided_afterwards(q, k, scale=None):
    """The textbook order: product first, in float32 for half precision, then division by the root."""
    wide = q.dtype in (torch.float16, torch.bfloat16)
    a, b = (q.float(), k.float()) if wide else (q, k)
    scores = torch.matmul(a, b.mT)
    scores = scores / math.sqrt(q.shape[-1]) if scale is None else scores * scale
    return scores.type_as(q)


@equivalent(replaces="scaled_scores")
def scores_prescaled_in_the_input_dtype(q, k, scale=None):
    """Half precision stays half precision: q is scaled and rounded, matmul itself sums in float32."""
    if scale is None:
        scale = q.shape[-1] ** -0.5
    return (q * scale) @ k.transpose(-1, -2)


@equivalent(replaces="scaled_scores")
def scores_with_keys_scaled(q, k, scale=None):
    """einsum, and the scale on the keys."""
    factor = torch.rsqrt(torch.tensor(k.shape[-1], dtype=torch.float64)).item() if scale is None else scale
    return torch.einsum("...qd,...kd->...qk", q, k * factor)


@equivalent(replaces="scaled_scores")
def scores_with_both_scaled(q, k, scale=None):
    """The root of the scale on q and on k, the sign on q."""
    factor = 1 / math.sqrt(q.size(-1)) if scale is None else float(scale)
    root = math.sqrt(abs(factor))
    return (q * math.copysign(root, factor)) @ (k * root).transpose(-2, -1)


@equivalent(replaces="scaled_scores")
def scores_in_float64(q, k, scale=None):
    """Everything in float64, rounded once at the end."""
    factor = q.size(-1) ** -0.5 if scale is None else scale
    return torch.einsum("...id,...jd->...ij", q.double(), k.double()).mul(factor).to(q.dtype)


@equivalent(replaces="scaled_scores")
def scores_by_broadcasting(q, k, scale=None):
    """No matrix product: (..., Lq, 1, D) * (..., 1, Lk, D), summed over the last dim."""
    factor = 1 / math.sqrt(q.size(-1)) if scale is None else scale
    products = q.unsqueeze(-2) * factor * k.unsqueeze(-3)
    return products.sum(-1, dtype=torch.promote_types(q.dtype, torch.float32)).to(q.dtype)


@equivalent(replaces="scaled_scores")
def scores_key_by_key(q, k, scale=None):
    """One column of scores at a time, a matrix times a vector."""
    factor = 1 / math.sqrt(q.size(-1)) if scale is None else scale
    compute = torch.float64 if q.dtype == torch.float64 else torch.float32
    query = q.to(compute) * factor
    columns = [(query * key.to(compute).unsqueeze(-2)).sum(-1) for key in k.unbind(-2)]
    return torch.stack(columns, dim=-1).to(q.dtype)


@equivalent(replaces="scaled_scores")
def scores_with_flattened_batch(q, k, scale=None):
    """Leading dims folded into one, baddbmm with alpha for the scale."""
    lead = q.shape[:-2]
    compute = torch.promote_types(q.dtype, torch.float32)
    a = q.reshape(-1, *q.shape[-2:]).to(compute)
    b = k.reshape(-1, *k.shape[-2:]).to(compute).transpose(1, 2)
    zero = torch.zeros(1, 1, 1, dtype=compute)
    alpha = q.size(-1) ** -0.5 if scale is None else scale
    scores = torch.baddbmm(zero, a, b, beta=0, alpha=alpha)
    return scores.reshape(*lead, q.size(-2), k.size(-2)).to(q.dtype)


@equivalent(replaces="attention")
def attention_from_rounded_scores(q, k, v, mask=None, scale=None):
    """scaled_scores returns half precision; only the softmax is in float32, matmul sums in float32 anyway."""
    scores = solution.scaled_scores(q, k, scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1, dtype=torch.promote_types(q.dtype, torch.float32)).to(q.dtype)
    if mask is not None:
        weights = weights * mask
    return weights @ v, weights


@equivalent(replaces="attention")
def attention_with_nan_to_num(q, k, v, mask=None, scale=None):
    """-inf by masked_fill, NaN rows replaced: masked_fill's backward drops the NaN gradient at masked
    places."""
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    if mask is not None:
        scores = scores.masked_fill(mask.logical_not(), -torch.inf)
    weights = scores.softmax(-1).nan_to_num(nan=0.0)
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


@equivalent(replaces="attention")
def attention_by_exp_and_sum(q, k, v, mask=None, scale=None):
    """exp of the difference to the allowed keys' maximum, over the sum, never smaller than the tiniest
    number."""
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    allowed = torch.ones((), dtype=torch.bool) if mask is None else mask
    top = torch.where(allowed, scores, torch.finfo(compute).min).amax(dim=-1, keepdim=True)
    exps = torch.exp(torch.where(allowed, scores - top, 0.0)) * allowed
    weights = exps / exps.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(compute).tiny)
    return torch.matmul(weights, v.to(compute)).to(q.dtype), weights.to(q.dtype)


@equivalent(replaces="attention")
def attention_by_logsumexp(q, k, v, mask=None, scale=None):
    """exp(score - log-sum-exp), empty rows opened for the softmax and zeroed by torch.where."""
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    if mask is not None:
        visible = mask.any(dim=-1, keepdim=True)
        scores = torch.where(mask | ~visible, scores, -math.inf)
    weights = torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))
    if mask is not None:
        weights = torch.where(visible, weights, torch.zeros_like(weights))
    return torch.einsum("...qk,...kv->...qv", weights, v.to(compute)).to(q.dtype), weights.to(q.dtype)


@equivalent(replaces="attention")
def attention_with_additive_mask(q, k, v, mask=None, scale=None):
    """A bias of -1e9 on masked scores, what is left of their weights cut off after the softmax."""
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    if mask is None:
        weights = torch.softmax(scores, dim=-1)
    else:
        keep = mask.to(compute)
        weights = torch.softmax(scores + (1.0 - keep) * -1e9, dim=-1) * keep
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


@equivalent(replaces="attention")
def attention_in_float64(q, k, v, mask=None, scale=None):
    """float64 inside whatever the input; the whole formula inlined."""
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    scores = factor * (q.double() @ k.double().mT)
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    log_weights = torch.log_softmax(scores.masked_fill(~mask, -1e300), dim=-1)
    weights = log_weights.exp().masked_fill(~mask, 0)
    return (weights @ v.double()).to(q.dtype), weights.to(q.dtype)


@equivalent(replaces="attention")
def attention_query_by_query(q, k, v, mask=None, scale=None):
    """A loop over the queries, each with its own row of the mask."""
    compute = torch.promote_types(q.dtype, torch.float32)
    full = (*q.shape[:-1], k.shape[-2])
    mask = torch.ones(full, dtype=torch.bool) if mask is None else mask.expand(full)
    outputs, rows = [], []
    for i in range(q.shape[-2]):
        scores = solution.scaled_scores(q[..., i : i + 1, :].to(compute), k.to(compute), scale)
        allowed = mask[..., i : i + 1, :]
        row = torch.softmax(scores.masked_fill(~allowed, -math.inf), dim=-1)
        row = torch.where(allowed.any(-1, keepdim=True), row, 0.0)
        rows.append(row)
        outputs.append(row @ v.to(compute))
    return torch.cat(outputs, -2).to(q.dtype), torch.cat(rows, -2).to(q.dtype)


@equivalent(replaces="attention")
def attention_with_a_sink(q, k, v, mask=None, scale=None):
    """A column of the lowest finite score joins the softmax, so that no row is empty, and is dropped
    again."""
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    sink = torch.full_like(scores[..., :1], torch.finfo(compute).min)
    weights = torch.softmax(torch.cat([scores, sink], dim=-1), dim=-1)[..., :-1]
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


@equivalent(replaces="attention")
def attention_key_by_key(q, k, v, mask=None, scale=None):
    """Running maximum, running sum and running output over the keys, as in FlashAttention; weights at the
    end."""
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    lowest = torch.finfo(compute).min
    allowed = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand(scores.shape)
    values = v.to(compute)
    top = torch.full_like(scores[..., :1], lowest)
    total, output = torch.zeros_like(top), torch.zeros(*q.shape[:-1], v.size(-1), dtype=compute)
    for j in range(k.size(-2)):
        s, a = scores[..., j : j + 1], allowed[..., j : j + 1]
        new = torch.maximum(top, torch.where(a, s, lowest)).detach()
        old, p = (top - new).exp(), torch.where(a, (s - new).clamp(max=0.0), -math.inf).exp()
        top, total, output = new, total * old + p, output * old + p * values[..., j : j + 1, :]
    safe = torch.where(total > 0, total, 1.0)
    weights = torch.where(allowed, (scores - top).clamp(max=0.0), -math.inf).exp() / safe
    return (output / safe).to(q.dtype), weights.to(q.dtype)


@equivalent(replaces="t5_query_std")
def t5_two_roots(d_model, d_head):
    """W_k's standard deviation times the factor that the scores would carry."""
    return 1 / math.sqrt(d_model) / math.sqrt(d_head)


@equivalent(replaces="t5_query_std")
def t5_tensor(d_model, d_head):
    """A tensor of one element instead of a float."""
    return torch.tensor(float(d_model * d_head)).rsqrt()


@equivalent(replaces="t5_query_std")
def t5_logarithms(d_model, d_head):
    """The exponent halved."""
    return math.exp(-0.5 * (math.log(d_model) + math.log(d_head)))
