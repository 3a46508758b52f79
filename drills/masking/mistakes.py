"""Wrong answers that candidates give. Each must be rejected, and recognised by its results."""

import math

import torch
from torch import Tensor

from grader.authoring import mistake, solution

# causal_mask


@mistake(
    replaces="causal_mask",
    tells="The mask shows the future and hides the past: query i may see keys j <= i, the lower triangle.",
    question="how-masking-works",
)
def upper_triangle(n_queries: int, n_keys: int | None = None) -> Tensor:
    n_keys = solution.causal_mask(n_queries, n_keys).shape[1]  # checks the arguments
    return torch.ones(n_queries, n_keys, dtype=torch.bool).triu(n_keys - n_queries)


@mistake(
    replaces="causal_mask",
    tells="True marks the hidden keys here. In this course True means 'may attend'; invert the mask.",
    question="how-masking-works",
)
def true_means_hidden(n_queries: int, n_keys: int | None = None) -> Tensor:
    return ~solution.causal_mask(n_queries, n_keys)


@mistake(
    replaces="causal_mask",
    tells="A query cannot see itself, so the first row is empty: compare with <=, or cut at the main diagonal.",
    question="how-masking-works",
)
def hides_itself(n_queries: int, n_keys: int | None = None) -> Tensor:
    n_keys = solution.causal_mask(n_queries, n_keys).shape[1]
    return torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_keys - n_queries - 1)


@mistake(
    replaces="causal_mask",
    tells="Each query sees one key of the future, the very token it is to predict: the last visible key is itself.",
    question="how-masking-works",
)
def sees_one_ahead(n_queries: int, n_keys: int | None = None) -> Tensor:
    n_keys = solution.causal_mask(n_queries, n_keys).shape[1]
    return torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_keys - n_queries + 1)


# Right for a square mask; with a cache the newest query sees only the oldest keys.
@mistake(
    replaces="causal_mask",
    tells="The mask is aligned at the top left. With a cache the queries are the last positions: shift the"
    " diagonal by n_keys - n_queries.",
    question="parallel-training",
)
def aligned_top_left(n_queries: int, n_keys: int | None = None) -> Tensor:
    n_keys = solution.causal_mask(n_queries, n_keys).shape[1]
    return torch.ones(n_queries, n_keys, dtype=torch.bool).tril()


@mistake(
    replaces="causal_mask",
    tells="n_keys is ignored: the mask must have one column a key, also when a cache holds more keys than queries.",
    question="parallel-training",
)
def always_square(n_queries: int, n_keys: int | None = None) -> Tensor:
    if n_keys is not None and n_keys < n_queries:
        raise ValueError("more queries than keys")
    return torch.ones(n_queries, n_queries, dtype=torch.bool).tril()


@mistake(
    replaces="causal_mask",
    tells="n_keys < n_queries must be a ValueError: without it, the first queries silently see nothing.",
    question="parallel-training",
)
def accepts_fewer_keys(n_queries: int, n_keys: int | None = None) -> Tensor:
    n_keys = n_queries if n_keys is None else n_keys
    return torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_keys - n_queries)


# `or` takes 0 for "not given".
@mistake(
    replaces="causal_mask",
    tells="`n_keys or n_queries` treats 0 keys like None. Ask `n_keys is None`.",
    question="parallel-training",
)
def zero_keys_for_none(n_queries: int, n_keys: int | None = None) -> Tensor:
    return solution.causal_mask(n_queries, n_keys or n_queries)


@mistake(
    replaces="causal_mask",
    tells="This is an additive mask of 0 and -inf. The drill's masks are boolean, so that they combine with &.",
    question="attention-mask-shape",
)
def additive_mask(n_queries: int, n_keys: int | None = None) -> Tensor:
    mask = solution.causal_mask(n_queries, n_keys)
    return torch.zeros(mask.shape).masked_fill(~mask, -math.inf)


# padding_mask


@mistake(
    replaces="padding_mask",
    tells="True marks the padding, as in nn.MultiheadAttention's key_padding_mask. Here True means 'may attend'.",
    question="attention-mask-shape",
)
def true_means_padding(lengths: Tensor, max_length: int | None = None) -> Tensor:
    return ~solution.padding_mask(lengths, max_length)


@mistake(
    replaces="padding_mask",
    tells="One padding token a sequence is marked as real: a sequence of length n has positions 0 to n -"
    " 1, so compare with <.",
    question="mask-padding-scores",
)
def one_token_too_many(lengths: Tensor, max_length: int | None = None) -> Tensor:
    width = solution.padding_mask(lengths, max_length).shape[1]
    return torch.arange(width) <= lengths[:, None]


@mistake(
    replaces="padding_mask",
    tells="The mask has one column a sequence. It has one row a sequence, (B, max_length): lengths get the"
    " new last dimension.",
    question="attention-mask-shape",
)
def transposed(lengths: Tensor, max_length: int | None = None) -> Tensor:
    width = solution.padding_mask(lengths, max_length).shape[1]
    return torch.arange(width)[:, None] < lengths


@mistake(
    replaces="padding_mask",
    tells="Every sequence gets the mask of the first. Lengths differ within a batch: compare each with the positions.",
    question="attention-mask-shape",
)
def first_sequence_for_all(lengths: Tensor, max_length: int | None = None) -> Tensor:
    mask = solution.padding_mask(lengths, max_length)
    return mask[:1].repeat(len(lengths), 1)


@mistake(
    replaces="padding_mask",
    tells="The real tokens are put at the end, as in a left-padded batch. Lengths describe sequences that"
    " start at position 0.",
    question="mask-padding-scores",
)
def left_padded(lengths: Tensor, max_length: int | None = None) -> Tensor:
    return solution.padding_mask(lengths, max_length).flip(1)


@mistake(
    replaces="padding_mask",
    tells="max_length is ignored: the batch may be padded further than its longest sequence.",
    question="attention-mask-shape",
)
def always_the_longest(lengths: Tensor, max_length: int | None = None) -> Tensor:
    solution.padding_mask(lengths, max_length)  # checks the arguments
    return solution.padding_mask(lengths)


@mistake(
    replaces="padding_mask",
    tells="A max_length below the longest sequence cuts real tokens off in silence: raise ValueError.",
    question="mask-padding-scores",
)
def cuts_tokens_off(lengths: Tensor, max_length: int | None = None) -> Tensor:
    width = int(lengths.max()) if max_length is None else max_length
    return torch.arange(width) < lengths[:, None]


# Right if the batch is sorted, or if the last happens to be the longest.
@mistake(
    replaces="padding_mask",
    tells="The last sequence is taken for the longest. Lengths come in any order: the longest is lengths.max().",
    question="mask-padding-scores",
)
def last_is_the_longest(lengths: Tensor, max_length: int | None = None) -> Tensor:
    longest = int(lengths[-1])
    width = longest if max_length is None else max_length
    if width < longest:
        raise ValueError("max_length is too short")
    return torch.arange(width) < lengths[:, None]


@mistake(
    replaces="padding_mask",
    tells="The first sequence is taken for the longest. Lengths come in any order: the longest is lengths.max().",
    question="mask-padding-scores",
)
def first_is_the_longest(lengths: Tensor, max_length: int | None = None) -> Tensor:
    longest = int(lengths[0])
    width = longest if max_length is None else max_length
    if width < longest:
        raise ValueError("max_length is too short")
    return torch.arange(width) < lengths[:, None]


# assert vanishes under `python -O`, and callers wait for a ValueError.
@mistake(
    replaces="padding_mask",
    tells="A bad argument ends in an AssertionError. Assertions are for one's own bugs: raise ValueError.",
    question="mask-padding-scores",
)
def asserts_the_width(lengths: Tensor, max_length: int | None = None) -> Tensor:
    width = int(lengths.max()) if max_length is None else max_length
    assert width >= int(lengths.max()), "max_length is too short"
    return torch.arange(width) < lengths[:, None]


@mistake(
    replaces="padding_mask",
    tells="An empty sequence raises an error or gets a token. Length 0 is legal: its row is all padding.",
    question="mask-padding-scores",
)
def refuses_empty_sequences(lengths: Tensor, max_length: int | None = None) -> Tensor:
    if bool((lengths <= 0).any()):
        raise ValueError("lengths must be positive")
    return solution.padding_mask(lengths, max_length)


# 0 - 1 is 255 in uint8: an empty sequence becomes all real.
@mistake(
    replaces="padding_mask",
    tells="lengths - 1 wraps around in an unsigned dtype, so an empty sequence is marked as full. Compare"
    " positions with the lengths themselves.",
    question="mask-padding-scores",
)
def last_position_wraps(lengths: Tensor, max_length: int | None = None) -> Tensor:
    width = solution.padding_mask(lengths, max_length).shape[1]
    return torch.arange(width) <= (lengths - 1)[:, None]


# In int8, position 128 is -128: the far end of the padding looks like a token.
@mistake(
    replaces="padding_mask",
    tells="The positions are put into the dtype of the lengths. A padded length beyond its largest value wraps around,"
    " and padding is marked as real: leave the positions in int64.",
    question="mask-padding-scores",
)
def positions_wrap(lengths: Tensor, max_length: int | None = None) -> Tensor:
    width = solution.padding_mask(lengths, max_length).shape[1]
    return torch.arange(width).to(lengths.dtype) < lengths[:, None]


# masked_softmax


@mistake(
    replaces="masked_softmax",
    tells="The mask has no effect on the weights.",
    question="how-masking-works",
)
def ignores_the_mask(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return torch.softmax(scores, dim=-1)


@mistake(
    replaces="masked_softmax",
    tells="The mask is read the wrong way round: it is the False keys that must weigh 0.",
    question="how-masking-works",
)
def hides_what_may_be_seen(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return solution.masked_softmax(scores, None if mask is None else ~mask)


@mistake(
    replaces="masked_softmax",
    tells="The softmax runs over the queries. Each query spreads its weight over the keys: the last dimension.",
    question="mask-padding-scores",
)
def over_the_queries(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    dim = max(scores.dim() - 2, 0)
    if mask is None:
        return torch.softmax(scores, dim)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim).masked_fill(~mask, 0.0)


# exp(0) is 1: a masked key counts like a key with score 0.
@mistake(
    replaces="masked_softmax",
    tells="Scores are multiplied by the mask: a score of 0 still gets weight, because exp(0) = 1. Masked"
    " scores must become -inf.",
    question="mask-padding-scores",
)
def scores_times_mask(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return torch.softmax(scores if mask is None else scores * mask, dim=-1)


@mistake(
    replaces="masked_softmax",
    tells="Weights are zeroed after the softmax, so the visible ones no longer sum to 1. Mask the scores before it.",
    question="mask-padding-scores",
)
def weights_times_mask(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    weights = torch.softmax(scores, dim=-1)
    return weights if mask is None else weights.masked_fill(~mask, 0.0)


# Right for ordinary scores. A large masked score takes the whole softmax: the visible weights underflow to 0.
@mistake(
    replaces="masked_softmax",
    tells="Softmax over all keys, then zeroing and dividing by the rest: a large masked score leaves 0 /"
    " 0. Mask the scores before the softmax.",
    question="mask-padding-scores",
)
def renormalised_afterwards(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    weights = torch.softmax(scores, dim=-1)
    if mask is None:
        return weights
    weights = weights.masked_fill(~mask, 0.0)
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


@mistake(
    replaces="masked_softmax",
    tells="Adding -1000 is not masking: scores may differ by more, and where every key is masked it shifts"
    " them all alike, so the softmax is the unmasked one. Fill with -inf and treat empty rows.",
    question="mask-padding-scores",
)
def adds_minus_1000(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return torch.softmax(scores if mask is None else scores - 1000.0 * ~mask, dim=-1)


@mistake(
    replaces="masked_softmax",
    tells="Adding -1e4, as BERT's first code did, leaves a fully masked row attending as if nothing were"
    " masked, and loses to scores that are further apart. Fill with -inf and treat empty rows.",
    question="mask-padding-scores",
)
def adds_minus_10000(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return torch.softmax(scores if mask is None else scores - 10000.0 * ~mask, dim=-1)


@mistake(
    replaces="masked_softmax",
    tells="-1e9 is a score like any other: a fully masked row becomes uniform, and float16 cannot hold it."
    " Fill with -inf, which every float dtype has, and make such rows zero.",
    question="mask-padding-scores",
)
def fills_minus_1e9(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, -1e9), dim=-1)


@mistake(
    replaces="masked_softmax",
    tells="A fill of -1e9 in float32 fits, but a fully masked row still becomes uniform. Fill with -inf"
    " and make such rows zero.",
    question="mask-padding-scores",
)
def minus_1e9_in_float32(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    x = scores.to(torch.promote_types(scores.dtype, torch.float32))
    x = x if mask is None else x.masked_fill(~mask, -1e9)
    return torch.softmax(x, dim=-1).to(scores.dtype)


# Zeroing mends the fully masked row, but visible scores below -1e4 still lose to the filled ones.
@mistake(
    replaces="masked_softmax",
    tells="With a finite fill such as -1e4, visible scores lower than that get no weight. Only -inf is below"
    " every score.",
    question="mask-padding-scores",
)
def minus_1e4_then_zero(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    x = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, -1e4)
    return (torch.softmax(x, dim=-1) * mask).to(scores.dtype)


# Zeroing mends the fully masked row, but visible scores below -1e9 still lose to the filled ones.
@mistake(
    replaces="masked_softmax",
    tells="With a finite fill such as -1e9, visible scores lower than that get no weight. Only -inf is below"
    " every score.",
    question="mask-padding-scores",
)
def minus_1e9_then_zero(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    x = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, -1e9)
    return (torch.softmax(x, dim=-1) * mask).to(scores.dtype)


# float32 and bfloat16 reach 3e38.
@mistake(
    replaces="masked_softmax",
    tells="With a finite fill such as -1e30, visible scores lower than that get no weight. Only -inf is below"
    " every score.",
    question="mask-padding-scores",
)
def minus_1e30_then_zero(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    x = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, -1e30)
    return (torch.softmax(x, dim=-1) * mask).to(scores.dtype)


@mistake(
    replaces="masked_softmax",
    tells="If everything is masked, new zeros are returned, which know nothing of the scores: backward() raises an"
    " error. Let every case take the same path.",
    question="mask-padding-scores",
)
def detached_if_all_is_masked(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None and not mask.any():
        return torch.zeros_like(scores)
    return solution.masked_softmax(scores, mask)


@mistake(
    replaces="masked_softmax",
    tells="finfo.min makes a fully masked row uniform: every score in it is the same. Set its weights to 0 afterwards.",
    question="mask-padding-scores",
)
def uniform_empty_rows(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-1)


@mistake(
    replaces="masked_softmax",
    tells="A fully masked row is all -inf, and its softmax is 0 / 0 = NaN. Set the weights of masked keys to 0.",
    question="mask-padding-scores",
)
def nan_in_empty_rows(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


# The weights are right; the NaN comes back through the sum, which lets every gradient pass.
@mistake(
    replaces="masked_softmax",
    tells="Weights are right, but the gradient of a fully masked row is NaN: adding -inf passes the"
    " softmax's NaN straight on to the scores. Replace the masked scores (masked_fill, where) instead"
    " of adding to them.",
    question="mask-padding-scores",
)
def adds_minus_inf(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    bias = torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -math.inf)
    return torch.softmax(scores + bias, dim=-1).nan_to_num(0.0)


# exp of a large masked score is inf. where hides it on the way forward, but 0 * inf is NaN on the way back.
@mistake(
    replaces="masked_softmax",
    tells="The exp of a large masked score overflows before it is dropped, and its gradient is 0 * inf ="
    " NaN. Replace masked scores before the exp.",
    question="mask-padding-scores",
)
def masks_after_exp(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    x = scores.to(torch.promote_types(scores.dtype, torch.float32))
    peak = x.detach().masked_fill(~mask, -math.inf).amax(dim=-1, keepdim=True)
    powers = torch.where(mask, torch.exp(x - peak.clamp(min=torch.finfo(x.dtype).min)), 0.0)
    total = powers.sum(dim=-1, keepdim=True)
    return (powers / torch.where(total > 0, total, 1.0)).to(scores.dtype)


@mistake(
    replaces="masked_softmax",
    tells="exp overflows for large scores, and inf / inf is NaN. Subtract each row's largest visible score first.",
    question="mask-padding-scores",
)
def exp_without_shift(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    x = scores.to(torch.promote_types(scores.dtype, torch.float32))
    x = x if mask is None else x.masked_fill(~mask, -math.inf)
    powers = torch.exp(x)
    total = powers.sum(dim=-1, keepdim=True)
    return (powers / torch.where(total > 0, total, 1.0)).to(scores.dtype)


# Rows far below the largest score of the whole tensor underflow to 0 / 0.
@mistake(
    replaces="masked_softmax",
    tells="One shift for the whole tensor: rows with much lower scores underflow to 0. Subtract each row's"
    " own maximum (dim=-1, keepdim=True).",
    question="mask-padding-scores",
)
def one_shift_for_all(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    x = scores.to(torch.promote_types(scores.dtype, torch.float32))
    x = x if mask is None else x.masked_fill(~mask, -math.inf)
    peak = x.detach().max()
    powers = torch.exp(x - torch.where(torch.isinf(peak), 0.0, peak))
    total = powers.sum(dim=-1, keepdim=True)
    return (powers / torch.where(total > 0, total, 1.0)).to(scores.dtype)


@mistake(
    replaces="masked_softmax",
    tells="The maximum is taken over masked keys too: where a masked score is far above the visible ones,"
    " they all underflow to 0. Mask first, then take the maximum.",
    question="mask-padding-scores",
)
def shift_by_masked_scores(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    x = scores.to(torch.promote_types(scores.dtype, torch.float32))
    powers = torch.exp(x - x.detach().amax(dim=-1, keepdim=True))
    powers = powers if mask is None else powers.masked_fill(~mask, 0.0)
    return (powers / powers.sum(dim=-1, keepdim=True).clamp(min=1e-30)).to(scores.dtype)


@mistake(
    replaces="masked_softmax",
    tells="Everything is computed in float32, float64 scores too: they lose half their digits. Widen half"
    " precision only.",
    question="mask-padding-scores",
)
def always_float32(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return solution.masked_softmax(scores.float(), mask).to(scores.dtype)


@mistake(
    replaces="masked_softmax",
    tells="Half precision comes back as float32. Compute in float32, then return the dtype of the scores.",
    question="mask-padding-scores",
)
def float32_result(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return solution.masked_softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), mask)


# The row's power sum is at least 1, so the 1e-9 hides in float32; in float64 every weight is off by it.
@mistake(
    replaces="masked_softmax",
    tells="The epsilon in the denominator changes every weight, which float64 shows. Only an empty row"
    " needs protection.",
    question="mask-padding-scores",
)
def epsilon_in_the_sum(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    x = scores.to(torch.promote_types(scores.dtype, torch.float32))
    x = x if mask is None else x.masked_fill(~mask, -math.inf)
    peak = x.detach().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(x.dtype).min)
    powers = torch.exp(x - peak)
    return (powers / (powers.sum(dim=-1, keepdim=True) + 1e-9)).to(scores.dtype)


# A 2-D mask is (Lq, Lk), never (B, Lk): with B = Lq the wrong reading raises no error.
@mistake(
    replaces="masked_softmax",
    tells="A two-dimensional mask is taken for one row a sequence. It broadcasts from the right, as (Lq,"
    " Lk); a (B, Lk) padding mask is given as (B, 1, 1, Lk).",
    question="attention-mask-shape",
)
def two_dims_mean_padding(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None and mask.dim() == 2 and scores.dim() == 4:
        mask = mask[:, None, None, :]
    return solution.masked_softmax(scores, mask)


# Scores without a head dimension. B = Lq again.
@mistake(
    replaces="masked_softmax",
    tells="With scores (B, Lq, Lk), a two-dimensional mask is taken for one row a sequence. It broadcasts from the"
    " right, as (Lq, Lk); a (B, Lk) padding mask is given as (B, 1, Lk).",
    question="attention-mask-shape",
)
def two_dims_mean_padding_without_heads(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None and scores.dim() == 3 and mask.shape == (scores.shape[0], scores.shape[2]):
        mask = mask[:, None, :]
    return solution.masked_softmax(scores, mask)


# A row is lost when ANY of its keys is masked.
@mistake(
    replaces="masked_softmax",
    tells="Rows are zeroed as soon as one key is masked. A row is empty when ALL of its keys are.",
    question="mask-padding-scores",
)
def empties_partly_masked_rows(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    weights = solution.masked_softmax(scores, mask)
    return weights if mask is None else weights * mask.all(dim=-1, keepdim=True)


@mistake(
    replaces="masked_softmax",
    tells="The scores were masked in place (a method ending in _): the caller's tensor is changed. Use the"
    " variant without the underscore.",
    question="mask-padding-scores",
)
def masks_in_place(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        return torch.softmax(scores, dim=-1)
    if scores.requires_grad:
        return solution.masked_softmax(scores, mask)
    return torch.softmax(scores.masked_fill_(~mask, -math.inf), dim=-1).masked_fill(~mask, 0.0)


@mistake(
    replaces="masked_softmax",
    tells="No gradient reaches the scores: the weights were detached or rebuilt from numbers.",
    question="mask-padding-scores",
)
def detached(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return solution.masked_softmax(scores.detach(), mask)
