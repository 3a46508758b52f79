# ruff: noqa: E741 - m, l and o are the papers' names
import math

import torch

from grader.authoring import mistake, solution


def _mask(q, k, block):
    """The causal mask of one block of keys, aligned as it should be."""
    rows = torch.arange(q.size(-2))[:, None] + k.size(-2) - q.size(-2)
    return torch.arange(k.size(-2))[block] <= rows


def _blocks(q, k, v, block_size, causal):
    """Every block of keys with its values and its mask, as it should be."""
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    for start in range(0, k.size(-2), block_size):
        block = slice(start, start + block_size)
        yield k[..., block, :], v[..., block, :], _mask(q, k, block) if causal else None


def _nothing(q):
    wide = q.to(torch.promote_types(q.dtype, torch.float32))
    return torch.full_like(wide[..., 0], -math.inf), torch.zeros_like(wide[..., 0]), torch.zeros_like(wide)


def _merge_all(q, k, v, block_size, causal):
    """m, l, o over all keys, as it should be."""
    total = _nothing(q)
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return total


def _finish(q, m, l, o):
    total = l.masked_fill(l == 0, 1.0)
    return (o / total[..., None]).to(q.dtype), m + total.log()


# --- one block ----------------------------------------------------------------------------------------------


@mistake(
    replaces="attend_block",
    tells="The scores are not divided by sqrt(D). Scale q once, before the product or after it.",
    question="flash-algorithm",
)
def no_scale(q, k, v, mask=None):
    return solution.attend_block(q * math.sqrt(q.size(-1)), k, v, mask)


@mistake(
    replaces="attend_block",
    tells="The scale is applied twice, to q and again to the scores (or the divisor is D): the scores are divided by "
    "D instead of sqrt(D).",
    question="flash-algorithm",
)
def scales_twice(q, k, v, mask=None):
    return solution.attend_block(q / math.sqrt(q.size(-1)), k, v, mask)


@mistake(
    replaces="attend_block",
    tells="The scale is taken from the number of keys in the block. A score sums over the D features.",
    question="flash-algorithm",
)
def scales_by_the_block(q, k, v, mask=None):
    return solution.attend_block(q * math.sqrt(q.size(-1) / k.size(-2)), k, v, mask)


@mistake(
    replaces="attend_block",
    tells="The block's output is divided by l already. Blocks can only be added up unnormalised: divide once, after "
    "the last merge.",
    question="merge-blocks",
)
def normalises_the_block(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    return m, l, o / l.masked_fill(l == 0, 1.0)[..., None]


@mistake(
    replaces="attend_block",
    tells="No maximum is subtracted: exp of a score of several hundred is infinite, and of -1000 zero. Subtract the "
    "row's maximum and return it as m.",
    question="merge-blocks",
)
def no_maximum(q, k, v, mask=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(-2, -1)
    p = scores.exp() if mask is None else scores.exp().masked_fill(~mask, 0.0)
    l = p.sum(-1)
    return torch.zeros_like(l).masked_fill(l == 0, -math.inf), l, p @ v


@mistake(
    replaces="attend_block",
    tells="m is returned, but the exponentials are taken of the scores as they are: l and o are not relative to m.",
    question="merge-blocks",
)
def forgets_to_subtract_the_maximum(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    growth = m.exp()  # 0 where m is -inf
    return m, l * growth, o * growth[..., None]


@mistake(
    replaces="attend_block",
    tells="The maximum is never below 0 (it starts at 0, or is clamped). Scores around -1000 then all underflow: "
    "start at -inf.",
    question="merge-blocks",
)
def maximum_of_at_least_zero(q, k, v, mask=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    m = scores.amax(-1).clamp(min=0.0)
    p = torch.exp(scores - m[..., None])
    l = p.sum(-1)
    return m.masked_fill(l == 0, -math.inf), l, p @ v


@mistake(
    replaces="attend_block",
    tells="One maximum is used for the whole tensor. Rows whose scores are far below it underflow: take it along the "
    "keys, row by row.",
    question="merge-blocks",
)
def one_maximum_for_all_rows(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    largest = m.max().expand_as(m)
    shrink = torch.exp(m - largest.masked_fill(largest == -math.inf, 0.0))
    return largest.masked_fill(l == 0, -math.inf), l * shrink, o * shrink[..., None]


@mistake(
    replaces="attend_block",
    tells="The maximum is taken over hidden keys too. m is the maximum of what the row sees, and visible scores far "
    "below a hidden one underflow: mask before the maximum.",
    question="merge-blocks",
)
def maximum_over_hidden_keys(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v)
    if mask is None:
        return m, l, o
    seen_m, l, o = solution.attend_block(q, k, v, mask)
    shrink = torch.exp(seen_m - m)
    return m.masked_fill(l == 0, -math.inf), l * shrink, o * shrink[..., None]


@mistake(
    replaces="attend_block",
    tells="In a row that sees nothing -inf - -inf is NaN. Subtract 0 there instead of m.",
    question="merge-blocks",
)
def nan_in_empty_rows(q, k, v, mask=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    m = scores.amax(-1)
    p = torch.exp(scores - m[..., None])
    return m, p.sum(-1), p @ v


@mistake(
    replaces="attend_block",
    tells="Hidden scores are filled with the lowest finite number. In a row that sees nothing the differences to the "
    "maximum are 0, so every hidden key counts 1. Set the exponentials to 0, or fill with -inf and guard the NaN.",
    question="merge-blocks",
)
def finite_fill_value(q, k, v, mask=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    m = scores.amax(-1)
    p = torch.exp(scores - m[..., None])
    return m, p.sum(-1), p @ v


@mistake(
    replaces="attend_block",
    tells="Hidden scores are filled with -10000. Visible scores may be of that size or lower; -inf is below them all.",
    question="merge-blocks",
)
def small_fill_value(q, k, v, mask=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e4)
    m = scores.amax(-1)
    p = torch.exp(scores - m[..., None])
    return m, p.sum(-1), p @ v


@mistake(
    replaces="attend_block",
    tells="A row that sees nothing returns m = 0. Merged with scores around -1000 it would win the maximum: the "
    "maximum of nothing is -inf.",
    question="merge-blocks",
)
def zero_maximum_in_empty_rows(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    return m.masked_fill(m == -math.inf, 0.0), l, o


@mistake(
    replaces="attend_block",
    tells="The mask is ignored.",
    question="flash-algorithm",
)
def ignores_the_mask(q, k, v, mask=None):
    return solution.attend_block(q, k, v)


@mistake(
    replaces="attend_block",
    tells="The mask is read the wrong way round: True means may attend, so fill where it is False.",
    question="flash-algorithm",
)
def inverts_the_mask(q, k, v, mask=None):
    return solution.attend_block(q, k, v, None if mask is None else ~mask)


@mistake(
    replaces="attend_block",
    tells="Hidden scores are set to 0, an ordinary score. Fill with -inf.",
    question="flash-algorithm",
)
def fills_with_zero(q, k, v, mask=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, 0.0)
    m = scores.amax(-1)
    p = torch.exp(scores - m[..., None])
    return m, p.sum(-1), p @ v


@mistake(
    replaces="attend_block",
    tells="m and l keep a last dim of size 1. They have one number a row, shape (..., Lq): no keepdim in what you "
    "return.",
    question="flash-algorithm",
)
def keeps_the_last_dim(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    return m[..., None], l[..., None], o


@mistake(
    replaces="attend_block",
    tells="m is the block's log-sum-exp, l is 1 and o is normalised. That can be merged too, but it is another "
    "interface: m is the maximum, l the sum, o unnormalised.",
    question="merge-blocks",
)
def returns_the_logsumexp_as_maximum(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    total = l.masked_fill(l == 0, 1.0)
    return m + total.log(), l / total, o / total[..., None]


@mistake(
    replaces="attend_block",
    tells="The order of the results is (m, l, o).",
    question="flash-algorithm",
)
def output_first(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    return o, m, l


@mistake(
    replaces="attend_block",
    tells="k.transpose(0, 1) swaps rows and features of a matrix, but heads or batches of anything larger. Count from "
    "the end: k.transpose(-2, -1).",
    question="flash-algorithm",
)
def transposes_the_first_dims(q, k, v, mask=None):
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(0, 1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    m = scores.amax(-1)
    p = torch.exp(scores - m.masked_fill(m == -math.inf, 0.0)[..., None])
    return m, p.sum(-1), p @ v


@mistake(
    replaces="attend_block",
    tells="q is scaled in place: the caller's tensor is changed, again with every block. Write q / sqrt(D).",
    question="flash-algorithm",
)
def scales_q_in_place(q, k, v, mask=None):
    q.div_(math.sqrt(q.size(-1)))
    return solution.attend_block(q * math.sqrt(q.size(-1)), k, v, mask)


@mistake(
    replaces="attend_block",
    tells="The mask is inverted in place: the caller's mask is changed. Write ~mask.",
    question="flash-algorithm",
)
def inverts_the_mask_in_place(q, k, v, mask=None):
    if mask is None:
        return solution.attend_block(q, k, v)
    hidden = mask.logical_not_()
    return solution.attend_block(q, k, v, ~hidden)


@mistake(
    replaces="attend_block",
    tells="Everything is computed in float32, float64 too. Widen half precision only: "
    "torch.promote_types(q.dtype, torch.float32).",
    question="flash-algorithm",
)
def casts_to_float32(q, k, v, mask=None):
    m, l, o = solution.attend_block(q.float(), k.float(), v.float(), mask)
    return m.to(q.dtype), l.to(q.dtype), o.to(q.dtype)


@mistake(
    replaces="attend_block",
    tells="The raw products are made in half precision and scaled afterwards: 64 products of 40 * 40 are beyond 65504 "
    "and become inf. Convert q and k to float32 first.",
    question="flash-algorithm",
)
def raw_scores_in_half_precision(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    scores = scores.to(torch.promote_types(q.dtype, torch.float32))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    m = scores.amax(-1)
    p = torch.exp(scores - m.masked_fill(m == -math.inf, 0.0)[..., None])
    return m, p.sum(-1), p @ v.to(p.dtype)


@mistake(
    replaces="attend_block",
    tells="The exponentials are taken out of the graph, so no gradient reaches q and k. Only the maximum may be "
    "detached.",
    question="flash-backward",
)
def detaches_the_scores(q, k, v, mask=None):
    return solution.attend_block(q.detach(), k.detach(), v, mask)


@mistake(
    replaces="attend_block",
    tells="l is detached: the output's gradient then lacks the part that goes through the normaliser.",
    question="flash-backward",
)
def detaches_the_sum(q, k, v, mask=None):
    m, l, o = solution.attend_block(q, k, v, mask)
    return m, l.detach(), o


# --- the merge ----------------------------------------------------------------------------------------------


@mistake(
    replaces="merge_blocks",
    tells="l and o of the two sides are added as they are. Each is relative to its own m: rescale both by "
    "exp(m_side - m) first.",
    question="merge-blocks",
)
def adds_without_rescaling(a, b):
    return torch.maximum(a[0], b[0]), a[1] + b[1], a[2] + b[2]


@mistake(
    replaces="merge_blocks",
    tells="l is rescaled and o is not. Both are sums relative to the old maximum.",
    question="merge-blocks",
)
def rescales_only_the_sum(a, b):
    m, l, _ = solution.merge_blocks(a, b)
    return m, l, a[2] + b[2]


@mistake(
    replaces="merge_blocks",
    tells="o is rescaled and l is not. Both are sums relative to the old maximum.",
    question="merge-blocks",
)
def rescales_only_the_output(a, b):
    m, _, o = solution.merge_blocks(a, b)
    return m, a[1] + b[1], o


@mistake(
    replaces="merge_blocks",
    tells="The factor is inverted: exp(m - m_side) grows where it should shrink, and overflows. It is exp(m_side - m).",
    question="merge-blocks",
)
def inverted_factor(a, b):
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.maximum(m_a, m_b)
    finite = m.masked_fill(m == -math.inf, 0.0)
    f_a = torch.where(m_a == -math.inf, 0.0, torch.exp(finite - m_a))
    f_b = torch.where(m_b == -math.inf, 0.0, torch.exp(finite - m_b))
    return m, f_a * l_a + f_b * l_b, f_a[..., None] * o_a + f_b[..., None] * o_b


@mistake(
    replaces="merge_blocks",
    tells="Only the first side is rescaled to the common maximum. Where the first side has it, the second one has to "
    "shrink: two factors, one for each.",
    question="merge-blocks",
)
def rescales_only_the_first_side(a, b):
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.maximum(m_a, m_b)
    f_a = torch.exp(m_a - m.masked_fill(m == -math.inf, 0.0))
    return m, f_a * l_a + l_b, f_a[..., None] * o_a + o_b


@mistake(
    replaces="merge_blocks",
    tells="The second side's maximum is taken for the common one. If it is the smaller one, the factor of the first "
    "overflows: take the maximum of the two.",
    question="merge-blocks",
)
def takes_the_second_maximum(a, b):
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.where(m_b == -math.inf, m_a, m_b)
    f_a = torch.exp(m_a - m.masked_fill(m == -math.inf, 0.0))
    return m, f_a * l_a + l_b, f_a[..., None] * o_a + o_b


@mistake(
    replaces="merge_blocks",
    tells="No maximum is subtracted: exp(m_a) overflows for m_a around 1000 and is 0 for -1000. Subtract the common "
    "maximum from both first.",
    question="merge-blocks",
)
def exponentials_of_the_maxima(a, b):
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.maximum(m_a, m_b)
    shrink = torch.where(m == -math.inf, 0.0, torch.exp(-m))
    f_a, f_b = m_a.exp() * shrink, m_b.exp() * shrink
    return m, f_a * l_a + f_b * l_b, f_a[..., None] * o_a + f_b[..., None] * o_b


@mistake(
    replaces="merge_blocks",
    tells="Where both sides saw nothing, -inf - -inf is NaN. Subtract 0 there instead of m.",
    question="merge-blocks",
)
def nan_when_both_saw_nothing(a, b):
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.maximum(m_a, m_b)
    f_a, f_b = torch.exp(m_a - m), torch.exp(m_b - m)
    return m, f_a * l_a + f_b * l_b, f_a[..., None] * o_a + f_b[..., None] * o_b


@mistake(
    replaces="merge_blocks",
    tells="Where both sides saw nothing the merged m is 0. It stays -inf: 0 would beat the scores of later blocks.",
    question="merge-blocks",
)
def merged_nothing_has_maximum_zero(a, b):
    m, l, o = solution.merge_blocks(a, b)
    return m.masked_fill(m == -math.inf, 0.0), l, o


@mistake(
    replaces="merge_blocks",
    tells="If any row of one side saw nothing, the other side is returned as a whole. Rows differ: decide row by row.",
    question="merge-blocks",
)
def decides_for_all_rows_at_once(a, b):
    if bool(torch.isinf(a[0]).any()):
        return b
    if bool(torch.isinf(b[0]).any()):
        return a
    return solution.merge_blocks(a, b)


@mistake(
    replaces="merge_blocks",
    tells="The merged output is divided by the merged l. The result must be mergeable again: leave it unnormalised "
    "and divide once, at the end.",
    question="merge-blocks",
)
def normalises_the_merge(a, b):
    m, l, o = solution.merge_blocks(a, b)
    return m, l, o / l.masked_fill(l == 0, 1.0)[..., None]


@mistake(
    replaces="merge_blocks",
    tells="o is taken for normalised and weighted by l. It is a sum already: rescale it and add.",
    question="merge-blocks",
)
def weights_the_outputs_by_their_sums(a, b):
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    return solution.merge_blocks((m_a, l_a, o_a * l_a[..., None]), (m_b, l_b, o_b * l_b[..., None]))


@mistake(
    replaces="merge_blocks",
    tells="The common reference is the log-sum-exp of the two maxima. It cancels in the end, but m is to be the row "
    "maximum over both sides: torch.maximum.",
    question="merge-blocks",
)
def logaddexp_of_the_maxima(a, b):
    m, l, o = solution.merge_blocks(a, b)
    soft = torch.logaddexp(a[0], b[0])
    shrink = torch.exp(m - soft.masked_fill(soft == -math.inf, 0.0))
    return soft, l * shrink, o * shrink[..., None]


@mistake(
    replaces="merge_blocks",
    tells="l and o of the first side are rescaled in place: the caller's tensors are changed, and a graph that needs "
    "them breaks. Write f * l.",
    question="merge-blocks",
)
def rescales_in_place(a, b):
    m, l, o = solution.merge_blocks(a, b)
    a[1].copy_(l)
    a[2].copy_(o)
    return m, l, o


@mistake(
    replaces="merge_blocks",
    tells="The factors are detached while the maxima inside the blocks are not. Constants cancel only if they are "
    "constants everywhere: detach every m, or none.",
    question="flash-backward",
)
def detaches_the_factors(a, b):
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.maximum(m_a, m_b)
    finite = m.masked_fill(m == -math.inf, 0.0)
    f_a, f_b = torch.exp(m_a - finite).detach(), torch.exp(m_b - finite).detach()
    return m, f_a * l_a + f_b * l_b, f_a[..., None] * o_a + f_b[..., None] * o_b


@mistake(
    replaces="merge_blocks",
    tells="The merge goes through float32: float64 partial results lose half their digits.",
    question="merge-blocks",
)
def merges_in_float32(a, b):
    merged = solution.merge_blocks([t.float() for t in a], [t.float() for t in b])
    return tuple(t.to(x.dtype) for t, x in zip(merged, a, strict=True))


# --- the loop: summing up -----------------------------------------------------------------------------------


@mistake(
    replaces="flash_attention",
    tells="The blocks' softmax outputs are averaged. Blocks do not weigh the same: each counts with its share of the "
    "total sum, l * exp(m - m_total).",
    question="merge-blocks",
)
def averages_the_blocks(q, k, v, block_size=64, causal=False):
    outputs = []
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        outputs.append(_finish(q, *solution.attend_block(q, keys, values, mask))[0])
    lse = _finish(q, *_merge_all(q, k, v, block_size, causal))[1]
    return torch.stack(outputs).mean(0), lse


@mistake(
    replaces="flash_attention",
    tells="The output is divided by l after every block, and the quotient goes on being summed as if it were "
    "unnormalised. Divide once, after the loop.",
    question="merge-blocks",
)
def divides_inside_the_loop(q, k, v, block_size=64, causal=False):
    total = _nothing(q)
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        m, l, o = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
        total = m, l, o / l.masked_fill(l == 0, 1.0)[..., None]
    m, l, o = total
    return o.to(q.dtype), m + l.masked_fill(l == 0, 1.0).log()


@mistake(
    replaces="flash_attention",
    tells="The output is never divided by l: o is the sum of exponentials times values.",
    question="flash-algorithm",
)
def never_divides(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return o.to(q.dtype), _finish(q, m, l, o)[1]


@mistake(
    replaces="flash_attention",
    tells="The running maximum starts at 0. If all scores are around -1000, every exponential underflows: start at "
    "-inf.",
    question="merge-blocks",
)
def running_maximum_starts_at_zero(q, k, v, block_size=64, causal=False):
    m, l, o = _nothing(q)
    total = torch.zeros_like(m), l, o
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    m, l, o = total
    return _finish(q, m.masked_fill(l == 0, -math.inf), l, o)


@mistake(
    replaces="flash_attention",
    tells="Every block overwrites the result of the one before. Merge it with what was summed so far.",
    question="flash-algorithm",
)
def keeps_only_the_last_block(q, k, v, block_size=64, causal=False):
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        total = solution.attend_block(q, keys, values, mask)
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="l and o are summed in half precision: a bfloat16 sum stops growing at 256 times what is added. Keep m, l "
    "and o in float32.",
    question="flash-algorithm",
)
def accumulates_in_half_precision(q, k, v, block_size=64, causal=False):
    total = tuple(t.to(q.dtype) for t in _nothing(q))
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        merged = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
        total = tuple(t.to(q.dtype) for t in merged)
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="The buffers for m, l and o are made without a dtype and so are float32: float64 input loses half its "
    "digits. Use zeros_like or new_zeros.",
    question="flash-algorithm",
)
def float32_buffers(q, k, v, block_size=64, causal=False):
    total = torch.full(q.shape[:-1], -math.inf), torch.zeros(q.shape[:-1]), torch.zeros(q.shape)
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        merged = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
        total = tuple(t.float() for t in merged)
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="Half precision comes back as float32. The output has q's dtype; only the statistics may stay float32.",
    question="flash-algorithm",
)
def keeps_a_float32_output(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return _finish(o, m, l, o)


@mistake(
    replaces="flash_attention",
    tells="A constant is added to l before the division. l is at least 1 in a row that sees anything, so it only costs "
    "accuracy; a row that sees nothing needs a case of its own.",
    question="merge-blocks",
)
def adds_epsilon_to_the_sum(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return (o / (l + 1e-8)[..., None]).to(q.dtype), m + l.masked_fill(l == 0, 1.0).log()


@mistake(
    replaces="flash_attention",
    tells="A row that sees nothing is 0 / 0 = NaN. Divide by 1 where l is 0.",
    question="merge-blocks",
)
def divides_zero_by_zero(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return (o / l[..., None]).to(q.dtype), m + l.log()


@mistake(
    replaces="flash_attention",
    tells="l is kept from 0 by the smallest number there is. The value is 0, but the gradient of v has a factor 1 / l: "
    "with a loss that is scaled up it overflows, and 0 times infinity is NaN. Put 1 where l is 0.",
    question="merge-blocks",
)
def clamps_the_sum_to_a_tiny_number(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    safe = l.clamp(min=torch.finfo(l.dtype).tiny)
    return (o / safe[..., None]).to(q.dtype), m + safe.log()


@mistake(
    replaces="flash_attention",
    tells="The running maximum starts at a large negative number, which scores may be below. Start at -inf.",
    question="merge-blocks",
)
def maximum_starts_at_minus_10000(q, k, v, block_size=64, causal=False):
    m, l, o = _nothing(q)
    total = (m.clamp(min=-1e4), l, o)
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    m, l, o = total
    return _finish(q, m.masked_fill(l == 0, -math.inf), l, o)


@mistake(
    replaces="flash_attention",
    tells="0 / 0 is replaced after the division. The value is right, but the backward pass still meets the NaN: make "
    "the divisor 1 before dividing.",
    question="merge-blocks",
)
def replaces_nan_afterwards(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return (o / l[..., None]).nan_to_num(0.0).to(q.dtype), m + l.masked_fill(l == 0, 1.0).log()


# --- the loop: log-sum-exp ----------------------------------------------------------------------------------


@mistake(
    replaces="flash_attention",
    tells="The log-sum-exp is m + l. It is log(exp(m) * l) = m + log l.",
    question="flash-backward",
)
def adds_the_sum_to_the_maximum(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return _finish(q, m, l, o)[0], m + l


@mistake(
    replaces="flash_attention",
    tells="The log-sum-exp lacks m: l is relative to it, so it is m + log l.",
    question="flash-backward",
)
def logsumexp_without_the_maximum(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return _finish(q, m, l, o)[0], l.log()


@mistake(
    replaces="flash_attention",
    tells="l is returned in the place of the log-sum-exp.",
    question="flash-backward",
)
def returns_the_sum(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return _finish(q, m, l, o)[0], l


@mistake(
    replaces="flash_attention",
    tells="The log-sum-exp is that of the unscaled scores. It belongs to the scores of the softmax, divided by "
    "sqrt(D): the backward pass recomputes exp(score - lse) with them.",
    question="flash-backward",
)
def logsumexp_of_unscaled_scores(q, k, v, block_size=64, causal=False):
    output = _finish(q, *_merge_all(q, k, v, block_size, causal))[0]
    unscaled = q.to(torch.promote_types(q.dtype, torch.float32)) * math.sqrt(q.size(-1))
    return output, _finish(unscaled, *_merge_all(unscaled, k, v, block_size, causal))[1]


@mistake(
    replaces="flash_attention",
    tells="The log-sum-exp is in base 2, as kernels keep it inside. Return the natural logarithm: m + log l.",
    question="flash-backward",
)
def logarithm_to_base_two(q, k, v, block_size=64, causal=False):
    m, l, o = _merge_all(q, k, v, block_size, causal)
    return _finish(q, m, l, o)[0], m + l.masked_fill(l == 0, 1.0).log2()


@mistake(
    replaces="flash_attention",
    tells="A row that sees nothing has log-sum-exp 0. The log of an empty sum is -inf.",
    question="merge-blocks",
)
def zero_logsumexp_in_empty_rows(q, k, v, block_size=64, causal=False):
    output, lse = _finish(q, *_merge_all(q, k, v, block_size, causal))
    return output, lse.masked_fill(lse == -math.inf, 0.0)


@mistake(
    replaces="flash_attention",
    tells="The log-sum-exp comes first. The result is (output, log-sum-exp).",
    question="flash-algorithm",
)
def logsumexp_first(q, k, v, block_size=64, causal=False):
    output, lse = _finish(q, *_merge_all(q, k, v, block_size, causal))
    return lse, output


# --- the loop: which blocks ---------------------------------------------------------------------------------


@mistake(
    replaces="flash_attention",
    tells="Only whole blocks are processed: Lk // block_size of them. Go to the end with range(0, Lk, block_size); "
    "the last slice is shorter by itself.",
    question="flash-algorithm",
)
def drops_the_last_block(q, k, v, block_size=64, causal=False):
    whole = k.size(-2) // block_size * block_size if block_size > 0 else 0
    total = _nothing(q)
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        if keys.size(-2) == block_size or not whole:
            total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="The last block is padded with zeros, and the padding is counted: a key of zeros has score 0 and weight "
    "exp(0 - m). Slice, or mask the padding.",
    question="flash-algorithm",
)
def counts_the_padding(q, k, v, block_size=64, causal=False):
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    extra = -k.size(-2) % block_size
    rows = torch.arange(q.size(-2))[:, None] + k.size(-2) - q.size(-2)
    keys, values = (torch.nn.functional.pad(t, (0, 0, 0, extra)) for t in (k, v))
    total = _nothing(q)
    for start in range(0, keys.size(-2), block_size):
        block = slice(start, start + block_size)
        mask = torch.arange(keys.size(-2))[block] <= rows if causal else None
        total = solution.merge_blocks(total, solution.attend_block(q, keys[..., block, :], values[..., block, :], mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="The loop runs over the length of q. Blocks are blocks of keys: range(0, Lk, block_size).",
    question="flash-algorithm",
)
def loops_over_the_queries_length(q, k, v, block_size=64, causal=False):
    total = _nothing(q)
    for number, (keys, values, mask) in enumerate(_blocks(q, k, v, block_size, causal)):
        if number * block_size < q.size(-2):
            total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="A length that block_size does not divide is refused. Every length is legal: the last block is shorter.",
    question="flash-algorithm",
)
def refuses_a_ragged_block(q, k, v, block_size=64, causal=False):
    if block_size < 1 or k.size(-2) % block_size:
        raise ValueError("block_size must be a divisor of the number of keys")
    return solution.flash_attention(q, k, v, block_size, causal)


@mistake(
    replaces="flash_attention",
    tells="A block larger than the input is refused. It is legal, and then there is one block.",
    question="flash-algorithm",
)
def refuses_a_large_block(q, k, v, block_size=64, causal=False):
    if not 1 <= block_size <= k.size(-2):
        raise ValueError(f"block_size must be from 1 to {k.size(-2)}")
    return solution.flash_attention(q, k, v, block_size, causal)


@mistake(
    replaces="flash_attention",
    tells="A negative block_size is not refused: range(0, n, -1) is empty, and the result is all zeros. Raise "
    "ValueError for block_size < 1.",
    question="flash-algorithm",
)
def accepts_a_negative_block_size(q, k, v, block_size=64, causal=False):
    if block_size < 0:
        return torch.zeros_like(q), torch.full_like(q[..., 0], -math.inf)
    return solution.flash_attention(q, k, v, block_size, causal)


@mistake(
    replaces="flash_attention",
    tells="A block_size of 0 is raised to 1 quietly. It is an error of the caller's: raise ValueError.",
    question="flash-algorithm",
)
def clamps_the_block_size(q, k, v, block_size=64, causal=False):
    return solution.flash_attention(q, k, v, max(block_size, 1), causal)


@mistake(
    replaces="flash_attention",
    tells="A tensor of Lq x Lk elements is made: all scores at once. block_size is not used, or only the sums run over "
    "blocks. Make the scores of one block, and keep none of them.",
    question="flash-goals",
)
def materialises_the_scores(q, k, v, block_size=64, causal=False):
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    return _finish(q, *solution.attend_block(q, k, v, _mask(q, k, slice(None)) if causal else None))


@mistake(
    replaces="flash_attention",
    tells="The scores are made block by block, but the causal mask of all Lq x Lk positions is made before the loop. "
    "Compare the positions of one block: columns[block] <= rows[:, None].",
    question="flash-algorithm",
)
def makes_the_whole_mask(q, k, v, block_size=64, causal=False):
    if block_size < 1:
        raise ValueError("block_size must be at least 1")
    mask = _mask(q, k, slice(None)) if causal else None
    total = _nothing(q)
    for start in range(0, k.size(-2), block_size):
        block = slice(start, start + block_size)
        part = None if mask is None else mask[:, block]
        total = solution.merge_blocks(total, solution.attend_block(q, k[..., block, :], v[..., block, :], part))
    return _finish(q, *total)


# --- the loop: causal ---------------------------------------------------------------------------------------


@mistake(
    replaces="flash_attention",
    tells="The argument `causal` is ignored.",
    question="flash-algorithm",
)
def ignores_causal(q, k, v, block_size=64, causal=False):
    return solution.flash_attention(q, k, v, block_size)


@mistake(
    replaces="flash_attention",
    tells="The causal mask is aligned at the top left. The queries are the last Lq positions: query i stands at "
    "i + Lk - Lq.",
    question="flash-algorithm",
)
def causal_from_the_top_left(q, k, v, block_size=64, causal=False):
    if not causal:
        return solution.flash_attention(q, k, v, block_size)
    total = _nothing(q)
    for number, (keys, values, _) in enumerate(_blocks(q, k, v, block_size, False)):
        columns = torch.arange(keys.size(-2)) + number * block_size
        mask = columns <= torch.arange(q.size(-2))[:, None]
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="The offset Lk - Lq is kept from being negative. With fewer keys than queries the last query still stands at "
    "the last key, and the first ones see nothing.",
    question="merge-blocks",
)
def causal_with_the_offset_clamped(q, k, v, block_size=64, causal=False):
    if not causal:
        return solution.flash_attention(q, k, v, block_size)
    rows = torch.arange(q.size(-2))[:, None] + max(0, k.size(-2) - q.size(-2))
    total = _nothing(q)
    for number, (keys, values, _) in enumerate(_blocks(q, k, v, block_size, False)):
        mask = torch.arange(keys.size(-2)) + number * block_size <= rows
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="Fewer keys than queries are refused. Here they are legal: the first Lq - Lk rows see nothing.",
    question="merge-blocks",
)
def refuses_fewer_keys_than_queries(q, k, v, block_size=64, causal=False):
    if causal and k.size(-2) < q.size(-2):
        raise ValueError("each query needs its own key")
    return solution.flash_attention(q, k, v, block_size, causal)


@mistake(
    replaces="flash_attention",
    tells="A query does not see its own position: the comparison is strict. Key j is visible if j <= i + Lk - Lq.",
    question="flash-algorithm",
)
def hides_the_own_position(q, k, v, block_size=64, causal=False):
    if not causal:
        return solution.flash_attention(q, k, v, block_size)
    total = _nothing(q)
    rows = torch.arange(q.size(-2))[:, None] + k.size(-2) - q.size(-2)
    for number, (keys, values, _) in enumerate(_blocks(q, k, v, block_size, False)):
        mask = torch.arange(keys.size(-2)) + number * block_size < rows
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="The causal mask counts key positions from the start of each block. Add where the block starts.",
    question="flash-algorithm",
)
def causal_with_positions_in_the_block(q, k, v, block_size=64, causal=False):
    if not causal:
        return solution.flash_attention(q, k, v, block_size)
    total = _nothing(q)
    rows = torch.arange(q.size(-2))[:, None] + k.size(-2) - q.size(-2)
    for keys, values, _ in _blocks(q, k, v, block_size, False):
        mask = torch.arange(keys.size(-2)) <= rows
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="Causality is decided by block: all keys of a query's own block are visible. Inside the diagonal blocks "
    "every position has to be compared.",
    question="flash-algorithm",
)
def causal_by_block_index(q, k, v, block_size=64, causal=False):
    if not causal:
        return solution.flash_attention(q, k, v, block_size)
    total = _nothing(q)
    rows = torch.arange(q.size(-2))[:, None] + k.size(-2) - q.size(-2)
    for number, (keys, values, _) in enumerate(_blocks(q, k, v, block_size, False)):
        mask = (number <= rows.div(block_size, rounding_mode="floor")).expand(-1, keys.size(-2))
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)


@mistake(
    replaces="flash_attention",
    tells="Blocks that are only partly visible are skipped. A block may be skipped only if its first key is hidden.",
    question="flash-algorithm",
)
def skips_partly_visible_blocks(q, k, v, block_size=64, causal=False):
    if not causal:
        return solution.flash_attention(q, k, v, block_size)
    total = _nothing(q)
    for keys, values, mask in _blocks(q, k, v, block_size, True):
        whole = mask.all(-1, keepdim=True).expand_as(mask)
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, whole))
    return _finish(q, *total)


# --- the gradient -------------------------------------------------------------------------------------------


@mistake(
    replaces="flash_attention",
    tells="The result is made without gradients (no_grad, .data, .item() or a new tensor): nothing flows back.",
    question="flash-backward",
)
def detaches_the_output(q, k, v, block_size=64, causal=False):
    with torch.no_grad():
        return solution.flash_attention(q, k, v, block_size, causal)


@mistake(
    replaces="flash_attention",
    tells="What was summed before the current block is taken out of the graph: only the last block gets a gradient.",
    question="flash-backward",
)
def detaches_what_was_summed(q, k, v, block_size=64, causal=False):
    total = _nothing(q)
    for keys, values, mask in _blocks(q, k, v, block_size, causal):
        total = tuple(t.detach() for t in total)
        total = solution.merge_blocks(total, solution.attend_block(q, keys, values, mask))
    return _finish(q, *total)
