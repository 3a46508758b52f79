import math

import torch

from grader.authoring import mistake, solution

# --- the scale
# -----------------------------------------------------------------------------------------------


@mistake(
    replaces="scaled_scores",
    tells="Scores are not divided by sqrt(d_k). Their variance is d_k and the softmax saturates: "
    "multiply by 1/sqrt(q.size(-1)).",
    question="why-sqrt",
)
def no_scale(q, k, scale=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    factor = 1.0 if scale is None else scale
    return (q.to(compute) * factor @ k.to(compute).transpose(-2, -1)).to(q.dtype)


@mistake(
    replaces="scaled_scores",
    tells="Scores are divided by d_k, or q and k each by sqrt(d_k), which is the same: their variance "
    "becomes 1/d_k. The variance is d_k, so the divisor is its root, and it is used once.",
    question="why-sqrt",
)
def divides_by_d(q, k, scale=None):
    return solution.scaled_scores(q, k, 1.0 / q.size(-1) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="Scores are multiplied by sqrt(d_k) instead of divided: their variance becomes d_k squared.",
    question="why-sqrt",
)
def multiplies_by_sqrt_d(q, k, scale=None):
    return solution.scaled_scores(q, k, math.sqrt(q.size(-1)) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="The square root of d_k is rounded to an integer. That is right for 16 and 64 only: use math.sqrt.",
    question="why-sqrt",
)
def rounds_the_root(q, k, scale=None):
    return solution.scaled_scores(q, k, 1.0 / math.isqrt(q.size(-1)) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="The scale is taken from the number of keys. A score is a sum over the d_k features, the last "
    "dim: its variance does not depend on the length of the sequence.",
    question="why-sqrt",
)
def scales_by_length(q, k, scale=None):
    return solution.scaled_scores(q, k, 1.0 / math.sqrt(k.size(-2)) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="The scale is taken from the number of queries. A score is a sum over the d_k features, the last "
    "dim: its variance does not depend on the length of the sequence.",
    question="why-sqrt",
)
def scales_by_queries(q, k, scale=None):
    return solution.scaled_scores(q, k, 1.0 / math.sqrt(q.size(-2)) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="The scale is taken from d_model, all heads together. A score sums over one head's features: "
    "d_k is the last dim of q, d_model / heads.",
    question="why-sqrt",
)
def scales_by_d_model(q, k, scale=None):
    heads = q.size(-3) if q.dim() > 3 else 1
    return solution.scaled_scores(q, k, 1.0 / math.sqrt(heads * q.size(-1)) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="`scale or default` takes 0.0 for no scale, because 0.0 is falsy. Compare with None.",
    question="must-be-sqrt",
)
def falsy_scale(q, k, scale=None):
    return solution.scaled_scores(q, k, scale or 1.0 / math.sqrt(q.size(-1)))


@mistake(
    replaces="scaled_scores",
    tells="The argument `scale` is never used. When it is given it replaces 1/sqrt(d_k).",
    question="must-be-sqrt",
)
def ignores_scale(q, k, scale=None):
    return solution.scaled_scores(q, k)


@mistake(
    replaces="scaled_scores",
    tells="A given scale is multiplied with 1/sqrt(d_k). It takes the default's place: scale=1.0 means "
    "unscaled dot products.",
    question="must-be-sqrt",
)
def scales_the_default(q, k, scale=None):
    return solution.scaled_scores(q, k, (1.0 if scale is None else scale) / math.sqrt(q.size(-1)))


@mistake(
    replaces="scaled_scores",
    tells="A given scale divides the scores. It is a factor: its default is 1/sqrt(d_k), not sqrt(d_k).",
    question="must-be-sqrt",
)
def divides_by_the_scale(q, k, scale=None):
    scores = solution.scaled_scores(q, k, 1.0)
    return scores / (math.sqrt(q.size(-1)) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="The square root of the scale goes to q and to k, but a negative scale has no real root. Let "
    "one of the two carry the sign, or scale one factor only.",
    question="must-be-sqrt",
)
def takes_the_root_of_a_scale(q, k, scale=None):
    root = math.sqrt(1.0 / math.sqrt(q.size(-1)) if scale is None else scale)
    return solution.scaled_scores(q * root, k * root, 1.0)


# --- the product
# ---------------------------------------------------------------------------------------------


@mistake(
    replaces="scaled_scores",
    tells="The raw products are summed in half precision and scaled afterwards: 64 products of 40 * 40 "
    "are beyond 65504 and become inf. Scale q before the product, or compute in float32.",
    question="attention-steps",
)
def scales_after_a_half_product(q, k, scale=None):
    scores = torch.einsum("...id,...jd->...ij", q, k)
    return scores * (1.0 / math.sqrt(q.size(-1)) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="The running sum is kept in the input's dtype. In half precision it stops growing once a term "
    "is below half a unit in the last place: sum in float32, as matmul does.",
    question="attention-steps",
)
def sums_in_half_precision(q, k, scale=None):
    q = q * (1.0 / math.sqrt(q.size(-1)) if scale is None else scale)
    scores = q[..., :, None, 0] * k[..., None, :, 0]
    for d in range(1, q.size(-1)):
        scores = scores + q[..., :, None, d] * k[..., None, :, d]
    return scores


@mistake(
    replaces="scaled_scores",
    tells="q is scaled in place: the caller's tensor is changed, and a leaf that requires grad raises "
    "an error. Write q * scale.",
    question="attention-steps",
)
def scales_q_in_place(q, k, scale=None):
    q.mul_(1.0 / math.sqrt(q.size(-1)) if scale is None else scale)
    return solution.scaled_scores(q, k, 1.0)


@mistake(
    replaces="scaled_scores",
    tells="torch.sqrt(torch.tensor(d)) is a float32 number: with float64 inputs only seven digits of "
    "the scale are right. Use math.sqrt.",
    question="attention-steps",
)
def float32_scale(q, k, scale=None):
    return solution.scaled_scores(q, k, 1.0 / torch.sqrt(torch.tensor(q.size(-1))) if scale is None else scale)


@mistake(
    replaces="scaled_scores",
    tells="Everything is computed in float32, float64 too. Widen half precision only, for instance to "
    "torch.promote_types(q.dtype, torch.float32).",
    question="attention-steps",
)
def casts_to_float32(q, k, scale=None):
    return solution.scaled_scores(q.float(), k.float(), scale).to(q.dtype)


@mistake(
    replaces="scaled_scores",
    tells="Half-precision input gives float32 scores. Compute in float32, then return q's dtype.",
    question="attention-steps",
)
def keeps_float32_scores(q, k, scale=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    return solution.scaled_scores(q.to(compute), k.to(compute), scale)


@mistake(
    replaces="scaled_scores",
    tells="k.transpose(0, 1) swaps rows and features of a matrix, but heads or batches of anything "
    "larger. Count from the end: k.transpose(-2, -1).",
    question="attention-steps",
)
def transposes_the_first_dims(q, k, scale=None):
    return (q * (1.0 / math.sqrt(q.size(-1)) if scale is None else scale)) @ k.transpose(0, 1)


@mistake(
    replaces="scaled_scores",
    tells="The scores are transposed: rows belong to the queries, columns to the keys.",
    question="attention-steps",
)
def keys_in_rows(q, k, scale=None):
    return solution.scaled_scores(q, k, scale).transpose(-2, -1)


@mistake(
    replaces="scaled_scores",
    tells="The keys are detached (or .data is used): the scores are right and no gradient reaches k.",
    question="attention-steps",
)
def detaches_the_keys(q, k, scale=None):
    return solution.scaled_scores(q, k.detach(), scale)


# --- the softmax
# ---------------------------------------------------------------------------------------------


@mistake(
    replaces="attention",
    tells="The softmax runs over the queries. Each query shares one unit of weight among the keys: the last dim.",
    question="attention-steps",
)
def softmax_over_queries(q, k, v, mask=None, scale=None):
    scores = solution.scaled_scores(q, k, scale)
    weights = torch.softmax(scores, dim=-2)
    if mask is not None:
        weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-2)
        weights = weights.masked_fill(~mask, 0.0)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="The weights are scaled after the softmax: they no longer sum to 1, and the softmax has "
    "already saturated. The scale belongs to the scores.",
    question="why-sqrt",
)
def scales_after_softmax(q, k, v, mask=None, scale=None):
    _, weights = solution.attention(q, k, v, mask, 1.0)
    weights = weights * (1.0 / math.sqrt(q.size(-1)) if scale is None else scale)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="The scores are scaled twice: once in scaled_scores and once more in attention.",
    question="why-sqrt",
)
def scales_twice(q, k, v, mask=None, scale=None):
    factor = 1.0 / math.sqrt(q.size(-1)) if scale is None else scale
    return solution.attention(q, k, v, mask, factor * factor)


@mistake(
    replaces="attention",
    tells="attention takes a scale and does not hand it to the scores.",
    question="must-be-sqrt",
)
def drops_the_scale(q, k, v, mask=None, scale=None):
    return solution.attention(q, k, v, mask)


@mistake(
    replaces="attention",
    tells="exp is taken of the scores as they are, and overflows for large ones. Subtract each row's "
    "maximum first: it cancels in the quotient.",
    question="attention-steps",
)
def softmax_without_maximum(q, k, v, mask=None, scale=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    exps = solution.scaled_scores(q.to(compute), k.to(compute), scale).exp()
    if mask is not None:
        exps = exps.masked_fill(~mask, 0.0)
    weights = exps / exps.sum(-1, keepdim=True).clamp_min(torch.finfo(compute).tiny)
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


@mistake(
    replaces="attention",
    tells="Scores are clamped before the softmax. Differences between large scores vanish, and so does "
    "their gradient: subtract the row's maximum instead.",
    question="attention-steps",
)
def clamps_the_scores(q, k, v, mask=None, scale=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale).clamp(-50.0, 50.0)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    weights = torch.softmax(scores, dim=-1)
    weights = weights if mask is None else weights.masked_fill(~mask, 0.0)
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


@mistake(
    replaces="attention",
    tells="A constant is added to the sum of the exponentials. With the maximum subtracted the sum is "
    "at least 1, so the constant only costs accuracy; rows that see nothing need a case of their "
    "own.",
    question="attention-steps",
)
def adds_epsilon_to_the_sum(q, k, v, mask=None, scale=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(compute).min)
    exps = (scores - scores.amax(-1, keepdim=True)).exp()
    if mask is not None:
        exps = exps.masked_fill(~mask, 0.0)
    weights = exps / (exps.sum(-1, keepdim=True) + 1e-9)
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


@mistake(
    replaces="attention",
    tells="The weights come first. The result is (output, weights).",
    question="attention-steps",
)
def weights_first(q, k, v, mask=None, scale=None):
    output, weights = solution.attention(q, k, v, mask, scale)
    return weights, output


@mistake(
    replaces="attention",
    tells="The returned weights are detached: a loss on them gives no gradient.",
    question="attention-steps",
)
def detaches_the_weights(q, k, v, mask=None, scale=None):
    output, weights = solution.attention(q, k, v, mask, scale)
    return output, weights.detach()


@mistake(
    replaces="attention",
    tells="Half-precision input gives float32 weights. Output and weights both have q's dtype.",
    question="attention-steps",
)
def keeps_float32_weights(q, k, v, mask=None, scale=None):
    output, weights = solution.attention(q, k, v, mask, scale)
    return output, weights.to(torch.promote_types(q.dtype, torch.float32))


# --- the mask
# ------------------------------------------------------------------------------------------------


@mistake(
    replaces="attention",
    tells="The mask is ignored.",
    question="attention-steps",
)
def ignores_the_mask(q, k, v, mask=None, scale=None):
    return solution.attention(q, k, v, None, scale)


@mistake(
    replaces="attention",
    tells="The mask is read the wrong way round: True means may attend, so fill where it is False.",
    question="attention-steps",
)
def inverts_the_mask(q, k, v, mask=None, scale=None):
    return solution.attention(q, k, v, None if mask is None else ~mask, scale)


@mistake(
    replaces="attention",
    tells="Masked scores are set to 0, which is an ordinary score: exp(0) is 1. Fill with -inf or the "
    "lowest finite number.",
    question="attention-steps",
)
def fills_with_zero(q, k, v, mask=None, scale=None):
    scores = solution.scaled_scores(q, k, scale)
    weights = torch.softmax(scores if mask is None else scores.masked_fill(~mask, 0.0), dim=-1)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="Weights are masked after the softmax, so what the masked keys took is lost and the others do "
    "not sum to 1. Mask the scores.",
    question="attention-steps",
)
def masks_after_softmax(q, k, v, mask=None, scale=None):
    weights = torch.softmax(solution.scaled_scores(q, k, scale), dim=-1)
    weights = weights if mask is None else weights.masked_fill(~mask, 0.0)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="The softmax is taken over all keys, masked and renormalised. A masked key with a large score "
    "sets the maximum, and the allowed weights underflow to 0: mask the scores.",
    question="attention-steps",
)
def renormalises_after_softmax(q, k, v, mask=None, scale=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    weights = torch.softmax(solution.scaled_scores(q.to(compute), k.to(compute), scale), dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(compute).tiny)
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


@mistake(
    replaces="attention",
    tells="A finite fill value such as -1000 or -1e4 is not low enough: where all allowed scores are "
    "lower still, masked keys win. Use -inf or torch.finfo(dtype).min.",
    question="attention-steps",
)
def fills_with_too_small_a_number(q, k, v, mask=None, scale=None):
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = solution.scaled_scores(q.to(compute), k.to(compute), scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1000.0)
    weights = torch.softmax(scores, dim=-1)
    weights = weights if mask is None else weights.masked_fill(~mask, 0.0)
    return (weights @ v.to(compute)).to(q.dtype), weights.to(q.dtype)


# A (B, Lk) mask has to be given as (B, 1, Lk). With B = Lq the wrong reading raises no error.
@mistake(
    replaces="attention",
    tells="A mask of two dims is taken for (B, Lk). Masks broadcast against the scores from the last dim: two "
    "dims are (Lq, Lk).",
    question="attention-steps",
)
def two_dims_mean_padding(q, k, v, mask=None, scale=None):
    if mask is not None and q.dim() > 2 and mask.shape == (q.size(0), k.size(-2)):
        mask = mask.view(q.size(0), *[1] * (q.dim() - 2), k.size(-2))
    return solution.attention(q, k, v, mask, scale)


@mistake(
    replaces="attention",
    tells="A mask of one dim is taken for the queries. Masks broadcast against the scores from the last dim: one "
    "dim is the keys.",
    question="attention-steps",
)
def one_dim_means_queries(q, k, v, mask=None, scale=None):
    if mask is not None and mask.shape == (q.size(-2),):
        mask = mask[:, None]
    return solution.attention(q, k, v, mask, scale)


@mistake(
    replaces="attention",
    tells="A causal mask is applied although none was asked for. What a query may see is the caller's choice.",
    question="attention-steps",
)
def causal_if_square(q, k, v, mask=None, scale=None):
    if mask is None and q.size(-2) == k.size(-2):
        mask = torch.ones(q.size(-2), k.size(-2), dtype=torch.bool).tril()
    return solution.attention(q, k, v, mask, scale)


# The blocks of a decoder are 4-D.
@mistake(
    replaces="attention",
    tells="A causal mask is applied to scores with heads although none was asked for. What a query may see is the "
    "caller's choice.",
    question="attention-steps",
)
def causal_if_square_with_heads(q, k, v, mask=None, scale=None):
    return (causal_if_square if q.dim() == 4 else solution.attention)(q, k, v, mask, scale)


@mistake(
    replaces="attention",
    tells="A row of -inf only is NaN after the softmax. Set the weights of such a row to 0.",
    question="attention-steps",
)
def empty_rows_are_nan(q, k, v, mask=None, scale=None):
    scores = solution.scaled_scores(q, k, scale)
    weights = torch.softmax(scores if mask is None else scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="With a finite fill value a row that sees nothing attends to all keys alike, padding and "
    "future included. Set its weights to 0 after the softmax.",
    question="attention-steps",
)
def empty_rows_are_uniform(q, k, v, mask=None, scale=None):
    scores = solution.scaled_scores(q, k, scale)
    lowest = torch.finfo(q.dtype).min
    weights = torch.softmax(scores if mask is None else scores.masked_fill(~mask, lowest), dim=-1)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="The output of a row that sees nothing is zeroed, its weights are not. Zero the weights: the output follows.",
    question="attention-steps",
)
def zeroes_the_output_only(q, k, v, mask=None, scale=None):
    if mask is None:
        return solution.attention(q, k, v, None, scale)
    scores = solution.scaled_scores(q, k, scale)
    weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(q.dtype).min), dim=-1)
    return (weights @ v).masked_fill(~mask.any(-1, keepdim=True), 0.0), weights


@mistake(
    replaces="attention",
    tells="NaN is replaced in the result, but the mask was added as -inf, and the backward pass of a "
    "sum hands NaN on to q and k. Use masked_fill or torch.where, which stop it, or a finite fill "
    "value.",
    question="attention-steps",
)
def nan_in_the_gradient(q, k, v, mask=None, scale=None):
    scores = solution.scaled_scores(q, k, scale)
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=q.dtype).masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="The case is handled only where the whole mask is False. One row without an allowed key is "
    "enough for NaN: look at mask.any(-1), row by row.",
    question="attention-steps",
)
def empty_rows_only_all_at_once(q, k, v, mask=None, scale=None):
    scores = solution.scaled_scores(q, k, scale)
    if mask is not None:
        if not mask.any():
            return (scores * 0.0) @ v, scores * 0.0
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores, dim=-1)
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="Rows that see nothing are opened in the caller's mask. Work on a copy, or with torch.where.",
    question="attention-steps",
)
def opens_rows_in_the_mask(q, k, v, mask=None, scale=None):
    if mask is None:
        return solution.attention(q, k, v, None, scale)
    visible = mask.any(-1, keepdim=True)
    mask |= ~visible
    _, weights = solution.attention(q, k, v, mask, scale)
    weights = weights * visible
    return weights @ v, weights


@mistake(
    replaces="attention",
    tells="A three-dimensional mask always gets a head dim at position 1. A mask broadcasts as it is: "
    "(H, Lq, Lk) is a legal one, and so is one without heads.",
    question="attention-steps",
)
def unsqueezes_the_mask(q, k, v, mask=None, scale=None):
    if mask is not None and mask.dim() == 3:
        mask = mask.unsqueeze(1)
    return solution.attention(q, k, v, mask, scale)


@mistake(
    replaces="attention",
    tells="scores[~mask] = ... needs a mask of the scores' own shape. masked_fill and torch.where broadcast.",
    question="attention-steps",
)
def indexes_with_the_mask(q, k, v, mask=None, scale=None):
    scores = solution.scaled_scores(q, k, scale)
    if mask is None:
        return solution.attention(q, k, v, None, scale)
    scores = scores.clone()
    scores[~mask] = torch.finfo(q.dtype).min
    weights = torch.softmax(scores, dim=-1).masked_fill(~mask, 0.0)
    return weights @ v, weights


# --- T5's initialisation
# -------------------------------------------------------------------------------------


@mistake(
    replaces="t5_query_std",
    tells="1/sqrt(d_model) gives q variance 1, and q.k variance d_head. The head's factor "
    "1/sqrt(d_head) is what T5 moves from the scores into W_q.",
    question="t5-init",
)
def t5_without_the_head(d_model, d_head):
    return d_model**-0.5


@mistake(
    replaces="t5_query_std",
    tells="This is the variance of W_q's weights. The standard deviation is its root.",
    question="t5-init",
)
def t5_variance_for_std(d_model, d_head):
    return 1.0 / (d_model * d_head)


@mistake(
    replaces="t5_query_std",
    tells="The standard deviation is divided by d_head, and q.k has variance 1/d_head. The variance is "
    "what is divided by d_head: the standard deviation gets the root.",
    question="t5-init",
)
def t5_divides_std_by_d_head(d_model, d_head):
    return d_model**-0.5 / d_head


@mistake(
    replaces="t5_query_std",
    tells="Half of the factor, d_head**-0.25, would be right if W_k carried the other half. In T5 W_k "
    "has standard deviation 1/sqrt(d_model), and W_q carries all of it.",
    question="t5-init",
)
def t5_shares_the_factor_with_k(d_model, d_head):
    return d_model**-0.5 * d_head**-0.25


@mistake(
    replaces="t5_query_std",
    tells="d_model is missing: a component of q sums d_model products, and that sum has to be brought "
    "to variance 1/d_head.",
    question="t5-init",
)
def t5_without_d_model(d_model, d_head):
    return d_head**-0.5


@mistake(
    replaces="t5_query_std",
    tells="This is Xavier's rule for W_q. It balances forward and backward variance of a layer and "
    "knows nothing of the product with k.",
    question="t5-init",
)
def t5_xavier(d_model, d_head):
    return math.sqrt(2.0 / (d_model + d_head))
