"""Right answers to FlashAttention of other shapes."""
# ruff: noqa: E741 - m, l and o are the papers' names

import math

import torch
import torch.nn.functional as F

from grader.authoring import equivalent, solution

# --- one block ----------------------------------------------------------------------------------------------


@equivalent(replaces="attend_block")
def einsum_and_where(q, k, v, mask=None):
    """einsum, the scale after the product, where for the mask, a detached maximum."""
    compute = torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
    scores = torch.einsum("...id,...jd->...ij", q.to(compute), k.to(compute)) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    m = scores.detach().max(dim=-1).values
    p = torch.exp(scores - torch.where(torch.isinf(m), torch.zeros_like(m), m).unsqueeze(-1))
    return m, torch.einsum("...ij->...i", p), torch.einsum("...ij,...jd->...id", p, v.to(compute))


@equivalent(replaces="attend_block")
def finite_fill_then_zeros(q, k, v, mask=None):
    """The lowest finite number as fill value, hidden exponentials set to 0, m put back to -inf."""
    compute = torch.promote_types(q.dtype, torch.float32)
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        mask = torch.ones(scores.shape[-1], dtype=torch.bool)
    mask = mask.expand(scores.shape)
    m = scores.masked_fill(~mask, torch.finfo(compute).min).amax(-1)
    # Hidden scores are cut before the exp: above m they could overflow, and 0 * inf is NaN on the way back.
    p = torch.where(mask, scores - m[..., None], 0.0).exp() * mask
    return torch.where(mask.any(-1), m, -math.inf), p.sum(-1), p @ v


@equivalent(replaces="attend_block")
def float64_inside(q, k, v, mask=None):
    """Everything in float64, and the statistics back in float32, or float64."""
    compute = torch.promote_types(q.dtype, torch.float32)
    m, l, o = solution.attend_block(q.double(), k.double(), v.double(), mask)
    return m.to(compute), l.to(compute), o.to(compute)


@equivalent(replaces="attend_block")
def softmax_times_its_sum(q, k, v, mask=None):
    """l from logsumexp, o as the softmax times l: the normalised block, unnormalised again."""
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = torch.matmul(q.to(wide), k.to(wide).transpose(-1, -2)).div(q.size(-1) ** 0.5)
    hidden = torch.zeros_like(scores, dtype=torch.bool) if mask is None else (~mask).expand_as(scores)
    empty = hidden.all(-1)
    filled = scores.masked_fill(hidden, -math.inf).masked_fill(empty[..., None], 0.0)
    m = filled.amax(-1)
    l = torch.exp(torch.logsumexp(filled, -1) - m).masked_fill(empty, 0.0)
    o = torch.softmax(filled, -1) @ v.to(wide) * l[..., None]
    return m.masked_fill(empty, -math.inf), l, o


# --- the merge ----------------------------------------------------------------------------------------------


@equivalent(replaces="merge_blocks")
def stacked_sides(a, b):
    """Both sides in one tensor, reduced over the new dim."""
    m, l, o = (torch.stack(pair) for pair in zip(a, b, strict=True))  # (2, ..., Lq), o (2, ..., Lq, D)
    top = m.max(dim=0).values
    factors = torch.exp(m - top.clamp(min=torch.finfo(top.dtype).min))
    return top, (factors * l).sum(0), (factors.unsqueeze(-1) * o).sum(0)


@equivalent(replaces="merge_blocks")
def larger_and_smaller_side(a, b):
    """Finds the larger side of each row; only the smaller one is rescaled."""
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    first = m_a >= m_b
    m, low = torch.where(first, m_a, m_b), torch.where(first, m_b, m_a)
    shrink = torch.where(low == -math.inf, 0.0, torch.exp(torch.where(low == -math.inf, 0.0, low - m)))
    l = torch.where(first, l_a, l_b) + shrink * torch.where(first, l_b, l_a)
    wide = first.unsqueeze(-1)
    o = torch.where(wide, o_a, o_b) + shrink.unsqueeze(-1) * torch.where(wide, o_b, o_a)
    return m, l, o


@equivalent(replaces="merge_blocks")
def merge_in_the_log_domain(a, b):
    """l by way of log-sum-exps: exp(logaddexp(m_a + log l_a, m_b + log l_b) - m)."""
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.maximum(m_a, m_b)
    empty = m == -math.inf
    base = torch.where(empty, 0.0, m)
    # A sum of 0 has no gradient for its logarithm: 1 stands in for it, and the sum is put back after.
    lse_a, lse_b = (mm + torch.where(ll == 0, 1.0, ll).log() for mm, ll in ((m_a, l_a), (m_b, l_b)))
    both = torch.logaddexp(torch.where(empty, 0.0, lse_a), torch.where(empty, 0.0, lse_b))
    l = torch.where(empty, 0.0, torch.exp(both - base))
    return m, l, o_a * torch.exp(m_a - base).unsqueeze(-1) + o_b * torch.exp(m_b - base).unsqueeze(-1)


@equivalent(replaces="merge_blocks")
def one_matrix(a, b):
    """l and o as one tensor of D + 1 columns, rescaled together."""
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.where(m_a > m_b, m_a, m_b)
    safe = torch.nan_to_num(m, neginf=0.0)
    both = torch.cat([l_a.unsqueeze(-1), o_a], -1) * (m_a - safe).exp().unsqueeze(-1)
    both = both + torch.cat([l_b.unsqueeze(-1), o_b], -1) * (m_b - safe).exp().unsqueeze(-1)
    return m, both[..., 0], both[..., 1:]


# --- the loop -----------------------------------------------------------------------------------------------


@equivalent(replaces="flash_attention")
def queries_outside(q, k, v, block_size=64, causal=False):
    """FlashAttention-2's order: blocks of queries outside, of keys inside; blocks of the future are skipped."""
    if block_size <= 0:
        raise ValueError("block_size must be positive")
    n_queries, n_keys = q.shape[-2], k.shape[-2]
    offset = n_keys - n_queries
    outputs, lses = [], []
    for i in range(0, n_queries, block_size):
        q_i = q[..., i : i + block_size, :]
        wide = q_i.to(torch.promote_types(q.dtype, torch.float32))
        total = (torch.full_like(wide[..., 0], -math.inf), torch.zeros_like(wide[..., 0]), torch.zeros_like(wide))
        for j in range(0, n_keys, block_size):
            if causal and j > i + q_i.shape[-2] - 1 + offset:
                break
            k_j, v_j = k[..., j : j + block_size, :], v[..., j : j + block_size, :]
            mask = None
            if causal and j + block_size - 1 > i + offset:  # on the diagonal
                mask = torch.ones(q_i.shape[-2], k_j.shape[-2], dtype=torch.bool).tril(i + offset - j)
            total = solution.merge_blocks(total, solution.attend_block(q_i, k_j, v_j, mask))
        m, l, o = total
        outputs.append((o / torch.where(l > 0, l, 1.0).unsqueeze(-1)).to(q.dtype))
        lses.append(m + torch.where(l > 0, l, 1.0).log())
    return torch.cat(outputs, -2), torch.cat(lses, -1)


@equivalent(replaces="flash_attention")
def running_sums_inline(q, k, v, block_size=64, causal=False):
    """The online softmax written out, without attend_block and merge_blocks; m is a constant."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    dtype, d = q.dtype, q.shape[-1]
    if dtype in (torch.half, torch.bfloat16):
        q, k, v = q.float(), k.float(), v.float()
    n_queries, n_keys = q.shape[-2], k.shape[-2]
    m = q.new_full((*q.shape[:-1], 1), float("-inf"))
    l, acc = q.new_zeros(m.shape), q.new_zeros(q.shape)
    position = torch.arange(n_queries).unsqueeze(-1) + (n_keys - n_queries)
    for start in range(0, n_keys, block_size):
        end = min(start + block_size, n_keys)
        s = (q @ k[..., start:end, :].transpose(-1, -2)) * (1 / math.sqrt(d))
        if causal:
            s = torch.where(torch.arange(start, end) > position, float("-inf"), s)
        new_m = torch.maximum(m, s.detach().amax(-1, keepdim=True))
        base = torch.where(new_m == float("-inf"), torch.zeros_like(new_m), new_m)
        p, alpha = torch.exp(s - base), torch.exp(m - base)
        l = alpha * l + p.sum(-1, keepdim=True)
        acc = alpha * acc + p @ v[..., start:end, :]
        m = new_m
    l_safe = torch.where(l == 0, torch.ones_like(l), l)
    return (acc / l_safe).to(dtype), (m + l_safe.log()).squeeze(-1).to(dtype)


@equivalent(replaces="flash_attention")
def halves(q, k, v, block_size=64, causal=False):
    """Divide and conquer: a range of keys is split in two until it fits a block, then merged."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    rows = torch.arange(q.size(-2)) + k.size(-2) - q.size(-2)

    def over(lo, hi):
        if hi - lo > block_size:
            middle = (lo + hi) // 2
            return solution.merge_blocks(over(lo, middle), over(middle, hi))
        mask = torch.arange(lo, hi).le(rows.view(-1, 1)) if causal else None
        return solution.attend_block(q, k[..., lo:hi, :], v[..., lo:hi, :], mask)

    m, l, o = over(0, k.size(-2))
    empty = m.isneginf()
    output = torch.div(o, l.masked_fill(empty, 1.0).unsqueeze(-1))
    return output.type_as(q), torch.where(empty, m, m + torch.log(l.masked_fill(empty, 1.0)))


@equivalent(replaces="flash_attention")
def one_row_at_a_time(q, k, v, block_size=64, causal=False):
    """A loop over the queries, each with a softmax over its visible keys: no matrix either."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    wide = torch.promote_types(q.dtype, torch.float32)
    n_queries, n_keys = q.size(-2), k.size(-2)
    keys, values = k.to(wide).transpose(-1, -2), v.to(wide)
    outputs, lses = [], []
    for i in range(n_queries):
        seen = max(0, i + n_keys - n_queries + 1) if causal else n_keys
        row = q[..., i : i + 1, :].to(wide)
        if seen == 0:
            outputs.append(torch.zeros_like(row))
            lses.append(torch.full_like(row[..., 0], -math.inf))
            continue
        scores = row @ keys[..., :seen] / math.sqrt(q.size(-1))
        outputs.append(scores.softmax(-1) @ values[..., :seen, :])
        lses.append(scores.logsumexp(-1))
    return torch.cat(outputs, dim=-2).to(q.dtype), torch.cat(lses, dim=-1)


@equivalent(replaces="flash_attention")
def split_and_weigh_by_logsumexp(q, k, v, block_size=64, causal=False):
    """torch.split; normalised outputs are mixed with the weights exp(lse_block - lse)."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    wide = torch.promote_types(q.dtype, torch.float32)
    output, lse = torch.zeros_like(q, dtype=wide), torch.full(q.shape[:-1], -math.inf, dtype=wide)
    seen, offset = 0, k.size(-2) - q.size(-2)
    for keys, values in zip(k.split(block_size, dim=-2), v.split(block_size, dim=-2), strict=True):
        scores = q.to(wide) @ keys.to(wide).transpose(-2, -1) / math.sqrt(q.size(-1))
        if causal:
            future = torch.arange(seen, seen + keys.size(-2)) > torch.arange(q.size(-2))[:, None] + offset
            scores = scores.masked_fill(future, -math.inf)
        seen += keys.size(-2)
        empty = (scores == -math.inf).all(-1)  # logsumexp's gradient is NaN there
        safe = scores.masked_fill(empty[..., None], 0.0)
        block_lse = safe.logsumexp(-1).masked_fill(empty, -math.inf)
        block = safe.softmax(-1) @ values.to(wide)
        nothing = empty & (lse == -math.inf)
        old, new = lse.masked_fill(nothing, 0.0), block_lse.masked_fill(nothing, 0.0)
        both = torch.logaddexp(old, new)
        w_old = torch.exp(old - both).masked_fill(nothing, 0.0)
        w_new = torch.exp(new - both).masked_fill(nothing, 0.0)
        output = w_old[..., None] * output + w_new[..., None] * block
        lse = both.masked_fill(nothing, -math.inf)
    return output.to(q.dtype), lse


@equivalent(replaces="flash_attention")
def merges_all_at_the_end(q, k, v, block_size=64, causal=False):
    """A list of the blocks' partial results, stacked and reduced in one go after the loop."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    parts = []
    for start in range(0, k.size(-2), block_size):
        keys = k[..., start : start + block_size, :]
        mask = None
        if causal:
            columns = start + torch.arange(keys.size(-2))
            mask = columns[None, :] - k.size(-2) <= torch.arange(q.size(-2))[:, None] - q.size(-2)
        parts.append(solution.attend_block(q, keys, v[..., start : start + block_size, :], mask))
    m, l, o = (torch.stack(column, dim=-1) for column in zip(*parts, strict=True))  # (..., Lq, n), (..., Lq, D, n)
    top = m.amax(-1, keepdim=True)
    weights = torch.exp(m - torch.where(top == -math.inf, 0.0, top))
    total = (weights * l).sum(-1)
    scale = torch.where(total == 0, 0.0, 1.0 / torch.where(total == 0, 1.0, total))
    output = torch.einsum("...qn,...qdn,...q->...qd", weights, o, scale)
    return output.to(q.dtype), top.squeeze(-1) + torch.where(total == 0, 1.0, total).log()


@equivalent(replaces="flash_attention")
def blocks_of_queries_only(q, k, v, block_size=64, causal=False):
    """Chunks of queries against all keys: a (block_size, Lk) strip at a time, with the ordinary softmax."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    outputs, lses, position = [], [], k.size(-2) - q.size(-2)
    for rows in torch.split(q, block_size, dim=-2):
        mask = None
        if causal:
            own = torch.arange(position, position + rows.size(-2))
            mask = torch.arange(k.size(-2)).unsqueeze(0) <= own.unsqueeze(1)
        position += rows.size(-2)
        m, l, o = solution.attend_block(rows, k, v, mask)
        outputs.append((o * l.masked_fill(l == 0, 1.0).reciprocal()[..., None]).to(q.dtype))
        lses.append(m + l.masked_fill(l == 0, 1.0).log())
    return torch.cat(outputs, dim=-2), torch.cat(lses, dim=-1)


@equivalent(replaces="flash_attention")
def padded_and_masked(q, k, v, block_size=64, causal=False):
    """Keys padded to whole blocks, the padding hidden by the mask; runs backwards over the blocks, in float64."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    n_queries, n_keys = q.size(-2), k.size(-2)
    block_size = min(block_size, n_keys)
    extra = -n_keys % block_size
    keys, values = F.pad(k.double(), (0, 0, 0, extra)), F.pad(v.double(), (0, 0, 0, extra))
    limit = torch.arange(n_queries)[:, None] + n_keys - n_queries if causal else torch.tensor([[n_keys - 1]])
    total = None
    for start in reversed(range(0, n_keys + extra, block_size)):
        columns = torch.arange(start, start + block_size)
        mask = (columns <= limit) & (columns < n_keys)
        part = solution.attend_block(
            q.double(), keys.narrow(-2, start, block_size), values.narrow(-2, start, block_size), mask
        )
        total = part if total is None else solution.merge_blocks(part, total)
    m, l, o = total
    lse = torch.where(l > 0, m + torch.where(l > 0, l, 1.0).log(), -math.inf)
    output = torch.where((l > 0)[..., None], o / torch.where(l > 0, l, 1.0)[..., None], 0.0)
    return output.to(q.dtype), lse.to(torch.promote_types(q.dtype, torch.float32))


class _Recomputing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, block_size, causal):
        output, lse = solution.flash_attention(q, k, v, block_size, causal)
        ctx.save_for_backward(q, k, v, output, lse)
        ctx.block_size, ctx.causal = block_size, causal
        ctx.mark_non_differentiable(lse)
        return output, lse

    @staticmethod
    def backward(ctx, d_output, _):
        q, k, v, output, lse = ctx.saved_tensors
        given, compute = (q.dtype, k.dtype, v.dtype), lse.dtype
        q, k, v, output, d_output = (t.to(compute) for t in (q, k, v, output, d_output))
        scale = q.size(-1) ** -0.5
        delta = (d_output * output).sum(-1, keepdim=True)
        lse = lse.masked_fill(lse == -math.inf, math.inf)[..., None]  # exp(score - inf) = 0
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        rows = torch.arange(q.size(-2))[:, None] + k.size(-2) - q.size(-2)
        for start in range(0, k.size(-2), ctx.block_size):
            block = (..., slice(start, start + ctx.block_size), slice(None))
            p = torch.exp(q @ k[block].transpose(-2, -1) * scale - lse)
            if ctx.causal:
                p = p * (torch.arange(start, start + p.size(-1)) <= rows)
            ds = p * (d_output @ v[block].transpose(-2, -1) - delta) * scale
            dq += ds @ k[block]
            dk[block] = ds.transpose(-2, -1) @ q
            dv[block] = p.transpose(-2, -1) @ d_output
        return *(g.to(dtype) for g, dtype in zip((dq, dk, dv), given, strict=True)), None, None


@equivalent(replaces="flash_attention")
def backward_by_hand(q, k, v, block_size=64, causal=False):
    """An autograd.Function that keeps the log-sum-exp and recomputes the blocks in its backward pass."""
    return _Recomputing.apply(q, k, v, block_size, causal)
