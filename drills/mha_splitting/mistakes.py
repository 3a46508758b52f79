"""Wrong answers to multi-head attention that candidates really give."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from grader.authoring import mistake, solution

# --- split_heads


@mistake(
    replaces="split_heads",
    tells="x is viewed as (B, H, L, D) at once. The shape is right, but each head gets a stretch of tokens instead"
    " of its features: view as (B, L, H, D), then transpose.",
    question="shapes",
)
def views_without_transposing(x, num_heads):
    solution.split_heads(x, num_heads)
    batch, length, d_model = x.shape
    return x.reshape(batch, num_heads, length, d_model // num_heads)


@mistake(
    replaces="split_heads",
    tells="Every H-th feature goes to a head. A head's features are consecutive, so the last dim is viewed as"
    " (H, D), not (D, H); checkpoints from elsewhere rely on it.",
    question="shapes",
)
def takes_every_hth_feature(x, num_heads):
    solution.split_heads(x, num_heads)
    batch, length, d_model = x.shape
    return x.reshape(batch, length, d_model // num_heads, num_heads).permute(0, 3, 1, 2)


@mistake(
    replaces="split_heads",
    tells="The transpose is missing: heads have to stand before the length, or matmul multiplies heads with heads.",
    question="shapes",
)
def leaves_heads_behind_tokens(x, num_heads):
    return solution.split_heads(x, num_heads).transpose(1, 2)


@mistake(
    replaces="split_heads",
    tells="The heads come out as (B, H, D, L). Only k needs that order, and only in the product: transpose there.",
    question="shapes",
)
def puts_features_before_tokens(x, num_heads):
    return solution.split_heads(x, num_heads).transpose(2, 3)


@mistake(
    replaces="split_heads",
    tells="Heads are folded into the batch, (B*H, L, D). The function keeps them as a dim of their own,"
    " (B, H, L, D), so that masks can broadcast.",
    question="shapes",
)
def folds_heads_into_the_batch(x, num_heads):
    return solution.split_heads(x, num_heads).flatten(0, 1)


@mistake(
    replaces="split_heads",
    tells="The heads come first, (H, B, L, D). The batch stays in front.",
    question="shapes",
)
def puts_heads_before_the_batch(x, num_heads):
    return solution.split_heads(x, num_heads).transpose(0, 1)


@mistake(
    replaces="split_heads",
    tells="A number of heads that does not divide E ends in an error of view. Check it first and raise ValueError.",
    question="shapes",
)
def leaves_the_error_to_view(x, num_heads):
    batch, length, d_model = x.shape
    return x.view(batch, length, num_heads, d_model // num_heads).transpose(1, 2)


@mistake(
    replaces="split_heads",
    tells="The check is an assert, which raises AssertionError and is gone under python -O. Raise ValueError.",
    question="shapes",
)
def asserts_that_heads_divide(x, num_heads):
    assert x.shape[-1] % num_heads == 0, "num_heads must divide E"
    return solution.split_heads(x, num_heads)


@mistake(
    replaces="split_heads",
    tells="Features that do not fill a head are dropped silently. A number of heads that does not divide E is a"
    " ValueError.",
    question="shapes",
)
def drops_the_rest(x, num_heads):
    d_head = x.shape[-1] // num_heads
    return solution.split_heads(x[..., : d_head * num_heads], num_heads)


@mistake(
    replaces="split_heads",
    tells="The heads are written into a float32 tensor: other dtypes are lost. Use x.new_empty, or better no copy.",
    question="shapes",
)
def fills_a_float32_tensor(x, num_heads):
    whole = solution.split_heads(x, num_heads)
    heads = torch.empty(whole.shape)
    heads[:] = whole
    return heads


@mistake(
    replaces="split_heads",
    tells="The heads are made from x.data (or detached): no gradient reaches the projections. Use x itself.",
    question="shapes",
)
def splits_the_data(x, num_heads):
    return solution.split_heads(x.data, num_heads)


# --- merge_heads


@mistake(
    replaces="merge_heads",
    tells="The heads are reshaped to (B, L, H*D) without bringing the tokens to the front first: the shape is"
    " right, the content is scrambled. Transpose dims 1 and 2, then reshape.",
    question="shapes",
)
def merges_without_transposing(x):
    batch, num_heads, length, d_head = x.shape
    return x.reshape(batch, length, num_heads * d_head)


@mistake(
    replaces="merge_heads",
    tells="The heads are interleaved, feature by feature. They are concatenated: H before D in the last dims.",
    question="shapes",
)
def interleaves_when_merging(x):
    return x.permute(0, 2, 3, 1).flatten(2)


@mistake(
    replaces="merge_heads",
    tells="transpose gives a view with other strides, and .view cannot join its dims. Use reshape or flatten, or"
    " .contiguous() after the transpose.",
    question="shapes",
)
def views_after_transposing(x):
    batch, num_heads, length, d_head = x.shape
    return x.transpose(1, 2).view(batch, length, num_heads * d_head)


@mistake(
    replaces="merge_heads",
    tells="The heads are averaged. They are concatenated, and w_o learns how to mix them.",
    question="mha-formula",
)
def averages_the_heads(x):
    return x.mean(dim=1)


@mistake(
    replaces="merge_heads",
    tells="The heads are concatenated along the tokens, (B, H*L, D). Concatenate along the features.",
    question="shapes",
)
def concatenates_along_tokens(x):
    return x.flatten(1, 2)


# --- the module: all of them share this correct frame and change one thing in it


class _Frame(nn.Module):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError(f"{num_heads} heads do not divide d_model = {d_model}")
        self.num_heads = num_heads
        self.d_head = d_model // num_heads
        self.w_q = nn.Linear(d_model, d_model, bias=bias)
        self.w_k = nn.Linear(d_model, d_model, bias=bias)
        self.w_v = nn.Linear(d_model, d_model, bias=bias)
        self.w_o = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, query, key=None, value=None, mask=None):
        key, value = self.defaults(query, key, value)
        q, k, v = self.project(query, key, value)
        q, k, v = self.split(q), self.split(k), self.split(v)
        return self.finish(self.merge(self.attend(q, k, v, mask)), query)

    def defaults(self, query, key, value):
        key = query if key is None else key
        return key, key if value is None else value

    def project(self, query, key, value):
        return self.w_q(query), self.w_k(key), self.w_v(value)

    def split(self, x):
        return solution.split_heads(x, self.num_heads)

    def merge(self, x):
        return solution.merge_heads(x)

    def finish(self, merged, query):
        return self.w_o(merged)

    def attend(self, q, k, v, mask):
        compute = torch.promote_types(q.dtype, torch.float32)
        weights = self.weigh(self.score(q.to(compute), k.to(compute)), mask)
        return (weights @ v.to(compute)).to(q.dtype)

    def score(self, q, k):
        return q @ k.transpose(-2, -1) / math.sqrt(self.d_head)

    def weigh(self, scores, mask):
        if mask is None:
            return torch.softmax(scores, dim=-1)
        return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1).masked_fill(~mask, 0.0)


# --- the module: projections and heads


@mistake(
    replaces="MultiHeadAttention",
    tells="The module splits and merges with every H-th feature. The two undo each other, but the heads are not"
    " those of the weights: torch and every checkpoint use consecutive features.",
    question="shapes",
)
class InterleavesConsistently(_Frame):
    def split(self, x):
        return x.unflatten(-1, (self.d_head, self.num_heads)).permute(0, 3, 1, 2)

    def merge(self, x):
        return x.permute(0, 2, 3, 1).flatten(2)


@mistake(
    replaces="MultiHeadAttention",
    tells="The input is split and each head projects its own slice: a head never sees the rest of the token."
    " Project first with d_model x d_model layers, then split.",
    question="what-is-split",
)
class ProjectsSlices(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias)
        self.w_q = nn.Linear(self.d_head, self.d_head, bias=bias)
        self.w_k = nn.Linear(self.d_head, self.d_head, bias=bias)
        self.w_v = nn.Linear(self.d_head, self.d_head, bias=bias)

    def project(self, query, key, value):
        cut = (x.unflatten(-1, (self.num_heads, self.d_head)) for x in (query, key, value))
        return tuple(y.flatten(-2) for y in super().project(*cut))


@mistake(
    replaces="MultiHeadAttention",
    tells="The projections have the right size, but only their diagonal blocks are used: head h reads slice h of"
    " the token. Every head reads the whole token.",
    question="what-is-split",
)
class BlockDiagonalProjections(_Frame):
    def project(self, query, key, value):
        eye = torch.eye(self.num_heads, dtype=query.dtype)
        blocks = torch.kron(eye, torch.ones(self.d_head, self.d_head, dtype=query.dtype))
        layers = zip((self.w_q, self.w_k, self.w_v), (query, key, value), strict=True)
        return tuple(F.linear(x, layer.weight * blocks, layer.bias) for layer, x in layers)


@mistake(
    replaces="MultiHeadAttention",
    tells="The values go through w_k. Each of the three has its own projection; a copied line kept its layer.",
    question="mha-formula",
)
class ValuesThroughKeys(_Frame):
    def project(self, query, key, value):
        return self.w_q(query), self.w_k(key), self.w_k(value)


@mistake(
    replaces="MultiHeadAttention",
    tells="The keys go through w_q, so w_k is never used. Each of the three has its own projection.",
    question="mha-formula",
)
class KeysThroughQueries(_Frame):
    def project(self, query, key, value):
        return self.w_q(query), self.w_q(key), self.w_v(value)


@mistake(
    replaces="MultiHeadAttention",
    tells="w_k is the same layer as w_q. They are separate layers with weights of their own.",
    question="mha-formula",
)
class TiesQueriesAndKeys(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias)
        self.w_k = self.w_q


@mistake(
    replaces="MultiHeadAttention",
    tells="The values are the inputs themselves, w_v is not applied. Attention averages the projected values.",
    question="mha-formula",
)
class ValuesAreNotProjected(_Frame):
    def project(self, query, key, value):
        return self.w_q(query), self.w_k(key), value


@mistake(
    replaces="MultiHeadAttention",
    tells="w_o is never applied: heads stay side by side and do not mix. Apply it after merging.",
    question="mha-formula",
)
class ForgetsTheOutputProjection(_Frame):
    def finish(self, merged, query):
        return merged


@mistake(
    replaces="MultiHeadAttention",
    tells="There is no w_o at all. The formula is Concat(head_1, ..., head_H) W_o.",
    question="mha-formula",
)
class HasNoOutputLayer(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias)
        del self.w_o

    def finish(self, merged, query):
        return merged


@mistake(
    replaces="MultiHeadAttention",
    tells="The layers have other names. The task asks for w_q, w_k, w_v and w_o: checkpoints are loaded by name.",
    question="mha-formula",
)
class OtherNames(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        nn.Module.__init__(self)
        if d_model % num_heads != 0:
            raise ValueError(f"{num_heads} heads do not divide d_model = {d_model}")
        self.num_heads, self.d_head = num_heads, d_model // num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(d_model, d_model, bias=bias) for _ in range(4)
        )

    def project(self, query, key, value):
        return self.q_proj(query), self.k_proj(key), self.v_proj(value)

    def finish(self, merged, query):
        return self.out_proj(merged)


@mistake(
    replaces="MultiHeadAttention",
    tells="One layer holds all three projections. That is a common optimisation, but the task asks for w_q, w_k"
    " and w_v, and one layer cannot serve keys from another sequence without being cut up.",
    question="what-is-split",
)
class OneFusedLayer(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias)
        del self.w_q, self.w_k, self.w_v
        self.w_qkv = nn.Linear(d_model, 3 * d_model, bias=bias)

    def project(self, query, key, value):
        return self.w_qkv(query).chunk(3, dim=-1)


@mistake(
    replaces="MultiHeadAttention",
    tells="The weights are copied into one matrix when the module is made: what is loaded or learned later is"
    " never used. Concatenate in forward, or keep the layers.",
    question="what-is-split",
)
class CopiesTheWeights(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias)
        self.register_buffer("fused", torch.cat([self.w_q.weight, self.w_k.weight, self.w_v.weight]).detach())

    def project(self, query, key, value):
        layers = zip((query, key, value), self.fused.chunk(3), (self.w_q, self.w_k, self.w_v), strict=True)
        return tuple(F.linear(x, weight, layer.bias) for x, weight, layer in layers)


# --- the module: construction


@mistake(
    replaces="MultiHeadAttention",
    tells="bias=False is ignored. Hand the flag to all four layers.",
    question="what-is-split",
)
class IgnoresTheBiasFlag(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads)


@mistake(
    replaces="MultiHeadAttention",
    tells="bias=False reaches w_q, w_k and w_v only: w_o keeps its bias. Hand the flag to all four layers.",
    question="what-is-split",
)
class OutputAlwaysHasABias(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias)
        self.w_o = nn.Linear(d_model, d_model)


@mistake(
    replaces="MultiHeadAttention",
    tells="The layers have no bias, whatever is asked for. The default is bias=True.",
    question="what-is-split",
)
class NeverHasABias(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias=False)


@mistake(
    replaces="MultiHeadAttention",
    tells="There is one more trainable parameter, a learned temperature. The scale is the constant 1/sqrt(d_head).",
    question="what-is-split",
)
class LearnsATemperature(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, num_heads, bias)
        self.temperature = nn.Parameter(torch.ones(()))

    def score(self, q, k):
        return super().score(q, k) / self.temperature


@mistake(
    replaces="MultiHeadAttention",
    tells="The number of heads is not checked when the module is made: the error comes with the first forward."
    " Raise ValueError in __init__.",
    question="shapes",
)
class ChecksInForward(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__(d_model, 1, bias)
        self.num_heads, self.d_head = num_heads, d_model // num_heads


@mistake(
    replaces="MultiHeadAttention",
    tells="The constructor asserts that heads divide d_model. Raise ValueError: an assert is gone under python -O.",
    question="shapes",
)
class AssertsInTheConstructor(_Frame):
    def __init__(self, d_model, num_heads, bias=True):
        assert d_model % num_heads == 0, "num_heads must divide d_model"
        super().__init__(d_model, num_heads, bias)


# --- the module: scores and softmax


@mistake(
    replaces="MultiHeadAttention",
    tells="Scores are divided by sqrt(d_model). A score sums over one head's features: divide by sqrt(d_head).",
    question="mha-formula",
)
class ScalesByDModel(_Frame):
    def score(self, q, k):
        return q @ k.transpose(-2, -1) / math.sqrt(self.d_head * self.num_heads)


@mistake(
    replaces="MultiHeadAttention",
    tells="Scores are not scaled. Divide by sqrt(d_head).",
    question="mha-formula",
)
class DoesNotScale(_Frame):
    def score(self, q, k):
        return q @ k.transpose(-2, -1)


@mistake(
    replaces="MultiHeadAttention",
    tells="Scores are divided by d_head. Their standard deviation is its square root.",
    question="mha-formula",
)
class ScalesByDHead(_Frame):
    def score(self, q, k):
        return q @ k.transpose(-2, -1) / self.d_head


@mistake(
    replaces="MultiHeadAttention",
    tells="Scores are divided by sqrt(num_heads). Divide by the root of the head's size, d_head.",
    question="mha-formula",
)
class ScalesByNumberOfHeads(_Frame):
    def score(self, q, k):
        return q @ k.transpose(-2, -1) / math.sqrt(self.num_heads)


@mistake(
    replaces="MultiHeadAttention",
    tells="The softmax runs over the queries. Each query shares one unit of weight among the keys: the last dim.",
    question="mha-formula",
)
class SoftmaxOverQueries(_Frame):
    def weigh(self, scores, mask):
        if mask is None:
            return torch.softmax(scores, dim=-2)
        return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-2).masked_fill(~mask, 0.0)


@mistake(
    replaces="MultiHeadAttention",
    tells="The softmax runs over the heads, dim 1. In (B, H, Lq, Lk) the keys are the last dim.",
    question="mha-formula",
)
class SoftmaxOverHeads(_Frame):
    def weigh(self, scores, mask):
        if mask is None:
            return torch.softmax(scores, dim=1)
        return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=1).masked_fill(~mask, 0.0)


@mistake(
    replaces="MultiHeadAttention",
    tells="exp is taken of the scores as they are and overflows for large ones. Subtract each row's maximum, or"
    " use torch.softmax.",
    question="mha-formula",
)
class SoftmaxWithoutMaximum(_Frame):
    def weigh(self, scores, mask):
        exps = scores.exp()
        if mask is not None:
            exps = exps.masked_fill(~mask, 0.0)
        sums = exps.sum(dim=-1, keepdim=True)
        return exps / torch.where(sums == 0, 1.0, sums)


@mistake(
    replaces="MultiHeadAttention",
    tells="Scores are clamped before the softmax. Differences between large scores vanish, and so does their"
    " gradient: subtract the row's maximum instead.",
    question="mha-formula",
)
class ClampsTheScores(_Frame):
    def weigh(self, scores, mask):
        return super().weigh(scores.clamp(max=80.0), mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="All heads share one set of weights, the mean of theirs. Each head has its own softmax.",
    question="why-several-heads",
)
class AveragesTheWeights(_Frame):
    def weigh(self, scores, mask):
        return super().weigh(scores, mask).mean(dim=1, keepdim=True)


@mistake(
    replaces="MultiHeadAttention",
    tells="Attention weights are dropped out in training. The task has no dropout: two calls give the same result.",
    question="attention-dropout",
)
class DropsWeightsOut(_Frame):
    def weigh(self, scores, mask):
        return F.dropout(super().weigh(scores, mask), p=0.1, training=self.training)


@mistake(
    replaces="MultiHeadAttention",
    tells="The weights are detached (or computed under no_grad): w_q and w_k never learn.",
    question="mha-formula",
)
class DetachesTheWeights(_Frame):
    def weigh(self, scores, mask):
        return super().weigh(scores, mask).detach()


# --- the module: arguments and result


@mistake(
    replaces="MultiHeadAttention",
    tells="value defaults to query. It defaults to key: the tokens that are looked at are the ones that are read.",
    question="mha-formula",
)
class ValueDefaultsToQuery(_Frame):
    def defaults(self, query, key, value):
        return query if key is None else key, query if value is None else value


@mistake(
    replaces="MultiHeadAttention",
    tells="key and value are ignored: q, k and v are all projected from query, which is self-attention only.",
    question="mha-formula",
)
class AlwaysAttendsToItself(_Frame):
    def defaults(self, query, key, value):
        return query, query


@mistake(
    replaces="MultiHeadAttention",
    tells="The values always come from key. When value is given, they come from it.",
    question="mha-formula",
)
class IgnoresValue(_Frame):
    def defaults(self, query, key, value):
        key = query if key is None else key
        return key, key


@mistake(
    replaces="MultiHeadAttention",
    tells="Without a value the key that was given is dropped. The defaults are independent: key falls back to"
    " query, value to key.",
    question="mha-formula",
)
class KeyOnlyWithValue(_Frame):
    def defaults(self, query, key, value):
        return (query, query) if key is None or value is None else (key, value)


@mistake(
    replaces="MultiHeadAttention",
    tells="A value given without a key becomes the key, too. Without a key, the keys come from query.",
    question="mha-formula",
)
class KeyDefaultsToValue(_Frame):
    def defaults(self, query, key, value):
        if key is None:
            key = query if value is None else value
        return key, key if value is None else value


@mistake(
    replaces="MultiHeadAttention",
    tells="forward returns (output, weights). The task asks for the output alone.",
    question="mha-formula",
)
class ReturnsTheWeights(_Frame):
    def attend(self, q, k, v, mask):
        self.weights = self.weigh(self.score(q, k), mask)
        return super().attend(q, k, v, mask)

    def finish(self, merged, query):
        return self.w_o(merged), self.weights


@mistake(
    replaces="MultiHeadAttention",
    tells="The query is added to the output. The residual connection belongs to the block around the attention.",
    question="mha-formula",
)
class AddsAResidual(_Frame):
    def finish(self, merged, query):
        return query + self.w_o(merged)


# --- the module: the mask


@mistake(
    replaces="MultiHeadAttention",
    tells="The mask is never used. Fill the scores where it is False, before the softmax.",
    question="shapes",
)
class IgnoresTheMask(_Frame):
    def weigh(self, scores, mask):
        return torch.softmax(scores, dim=-1)


@mistake(
    replaces="MultiHeadAttention",
    tells="The mask is read the wrong way round. Here True means: may attend. nn.MultiheadAttention's boolean"
    " masks mean the opposite.",
    question="shapes",
)
class InvertsTheMask(_Frame):
    def weigh(self, scores, mask):
        return super().weigh(scores, None if mask is None else ~mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="The mask is transposed. Its last two dims are (Lq, Lk), like those of the scores.",
    question="shapes",
)
class TransposesTheMask(_Frame):
    def weigh(self, scores, mask):
        return super().weigh(scores, mask.transpose(-2, -1) if mask is not None and mask.dim() > 1 else mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="The boolean mask is added to the scores: allowed keys gain 1, and no key is excluded. Fill with -inf"
    " where it is False.",
    question="shapes",
)
class AddsTheMask(_Frame):
    def weigh(self, scores, mask):
        return torch.softmax(scores if mask is None else scores + mask, dim=-1)


@mistake(
    replaces="MultiHeadAttention",
    tells="Masked scores become 0, and exp(0) is 1: they still take their share. Fill with -inf.",
    question="shapes",
)
class ZeroesMaskedScores(_Frame):
    def weigh(self, scores, mask):
        return torch.softmax(scores if mask is None else scores * mask, dim=-1)


@mistake(
    replaces="MultiHeadAttention",
    tells="The weights are masked after the softmax: masked keys have taken their share, and a row no longer sums"
    " to 1. Mask the scores.",
    question="shapes",
)
class MasksAfterTheSoftmax(_Frame):
    def weigh(self, scores, mask):
        weights = torch.softmax(scores, dim=-1)
        return weights if mask is None else weights.masked_fill(~mask, 0.0)


@mistake(
    replaces="MultiHeadAttention",
    tells="A mask of two dims is taken for (B, Lk). Masks broadcast against (B, H, Lq, Lk) from the last dim: two"
    " dims are (Lq, Lk).",
    question="shapes",
)
class TakesTwoDimsForPadding(_Frame):
    def weigh(self, scores, mask):
        return super().weigh(scores, mask[:, None, None, :] if mask is not None and mask.dim() == 2 else mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="A mask of one dim is taken for the queries. Masks broadcast against (B, H, Lq, Lk) from the last dim: one"
    " dim is the keys.",
    question="shapes",
)
class TakesOneDimForTheQueries(_Frame):
    def weigh(self, scores, mask):
        if mask is not None and mask.shape == scores.shape[-2:-1]:
            mask = mask[:, None]
        return super().weigh(scores, mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="A mask of three dims is taken for (B, Lq, Lk) and gets a head dim. By the rules of broadcasting its"
    " first dim is the heads; a mask for each sequence is (B, 1, Lq, Lk).",
    question="shapes",
)
class TakesThreeDimsForTheBatch(_Frame):
    def weigh(self, scores, mask):
        return super().weigh(scores, mask.unsqueeze(1) if mask is not None and mask.dim() == 3 else mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="Heads are folded into the batch, but the mask is repeated in the other order: sequence b gets another"
    " one's mask. (B*H, ...) has the heads of one sequence next to each other: repeat_interleave.",
    question="shapes",
)
class RepeatsTheMaskInTheWrongOrder(_Frame):
    def weigh(self, scores, mask):
        if mask is not None:
            mask = mask.expand(scores.shape).transpose(0, 1).reshape(scores.shape)
        return super().weigh(scores, mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="The mask is turned round in place, and the next layer gets it the wrong way. Use ~mask, a new tensor.",
    question="shapes",
)
class FlipsTheMaskInPlace(_Frame):
    def weigh(self, scores, mask):
        if mask is None:
            return super().weigh(scores, None)
        hidden = mask.logical_not_()
        return torch.softmax(scores.masked_fill(hidden, -math.inf), dim=-1).masked_fill(hidden, 0.0)


@mistake(
    replaces="MultiHeadAttention",
    tells="Masked scores are filled with a number such as -1e4, which real scores can be below. Use -inf or the"
    " dtype's minimum.",
    question="shapes",
)
class FillsWithMinusTenThousand(_Frame):
    def weigh(self, scores, mask):
        if mask is None:
            return super().weigh(scores, None)
        return torch.softmax(scores.masked_fill(~mask, -1e4), dim=-1) * mask.any(-1, keepdim=True)


@mistake(
    replaces="MultiHeadAttention",
    tells="Future keys are always hidden. Only the mask says who may attend to whom.",
    question="shapes",
)
class AlwaysCausal(_Frame):
    def weigh(self, scores, mask):
        n_queries, n_keys = scores.shape[-2:]
        past = torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_keys - n_queries)
        return super().weigh(scores, past if mask is None else mask & past)


@mistake(
    replaces="MultiHeadAttention",
    tells="A row of nothing but -inf becomes NaN in the softmax. Set its weights to 0 afterwards.",
    question="shapes",
)
class NanRows(_Frame):
    def weigh(self, scores, mask):
        return torch.softmax(scores if mask is None else scores.masked_fill(~mask, -math.inf), dim=-1)


@mistake(
    replaces="MultiHeadAttention",
    tells="With a finite fill value a row that may attend to nothing attends to everything alike. Set its weights"
    " to 0 after the softmax.",
    question="shapes",
)
class UniformRows(_Frame):
    def weigh(self, scores, mask):
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=-1)


@mistake(
    replaces="MultiHeadAttention",
    tells="-inf is added to the scores and NaN is replaced in the weights. The result is right, but the backward"
    " pass of the softmax is NaN there, and addition hands it on to q and k. Use masked_fill.",
    question="shapes",
)
class NanGradients(_Frame):
    def weigh(self, scores, mask):
        if mask is None:
            return super().weigh(scores, None)
        return torch.softmax(scores + torch.where(mask, 0.0, -math.inf).to(scores.dtype), dim=-1).nan_to_num(0.0)


@mistake(
    replaces="MultiHeadAttention",
    tells="Rows that see nothing are zeroed after w_o, so its bias is lost; and one head that sees nothing is"
    " missed. The heads are zero: zero the weights.",
    question="shapes",
)
class ZeroesTheOutputRows(_Frame):
    def attend(self, q, k, v, mask):
        shape = (*q.shape[:-1], k.shape[-2])
        self.sees = None if mask is None else mask.expand(shape).any(-1).any(1)
        return super().attend(q, k, v, mask)

    def finish(self, merged, query):
        output = self.w_o(merged)
        return output if self.sees is None else output.masked_fill(~self.sees[..., None], 0.0)


# --- the module: precision


@mistake(
    replaces="MultiHeadAttention",
    tells="Everything between the layers is computed in float32, float64 too. Widen half precision only, for"
    " instance to torch.promote_types(q.dtype, torch.float32).",
    question="mha-formula",
)
class CastsToFloat32(_Frame):
    def attend(self, q, k, v, mask):
        return super().attend(q.float(), k.float(), v.float(), mask).to(q.dtype)


@mistake(
    replaces="MultiHeadAttention",
    tells="The raw products are rounded to half precision and scaled afterwards: 64 products of 40 * 40 are beyond"
    " 65504 and become inf. Convert q and k to float32 first.",
    question="mha-formula",
)
class ScalesAfterAHalfProduct(_Frame):
    def attend(self, q, k, v, mask):
        scores = self.score(q, k)
        weights = self.weigh(scores.to(torch.promote_types(q.dtype, torch.float32)), mask)
        return weights.to(q.dtype) @ v


@mistake(
    replaces="MultiHeadAttention",
    tells="All half precision is computed in float16, but bfloat16 reaches much further: scores become inf. Widen"
    " to float32.",
    question="mha-formula",
)
class NarrowsBfloat16(_Frame):
    def attend(self, q, k, v, mask):
        if q.dtype != torch.bfloat16:
            return super().attend(q, k, v, mask)
        scores = self.score(q.half(), k.half()).float()
        return (self.weigh(scores, mask) @ v.float()).to(q.dtype)


@mistake(
    replaces="MultiHeadAttention",
    tells="The heads pass through bfloat16 also in a float16 module, whose numbers have three bits more. Convert them"
    " to query.dtype.",
    question="mha-formula",
)
class RoundsHeadsToBfloat16(_Frame):
    def attend(self, q, k, v, mask):
        heads = super().attend(q, k, v, mask)
        return heads.to(torch.bfloat16).to(q.dtype) if q.dtype == torch.float16 else heads


@mistake(
    replaces="MultiHeadAttention",
    tells="The weighted sum of the values is kept in the module's dtype, key by key. In half precision it stops"
    " growing: sum in float32, as matmul does.",
    question="mha-formula",
)
class SumsValuesInHalf(_Frame):
    def attend(self, q, k, v, mask):
        compute = torch.promote_types(q.dtype, torch.float32)
        weights = self.weigh(self.score(q.to(compute), k.to(compute)), mask).to(q.dtype)
        heads = torch.zeros_like(q)
        for j in range(v.shape[-2]):
            heads = heads + weights[..., j : j + 1] * v[..., j : j + 1, :]
        return heads


@mistake(
    replaces="MultiHeadAttention",
    tells="The scores are summed in the module's dtype, feature by feature. In half precision small terms are"
    " lost next to a large one: sum in float32, as matmul does.",
    question="mha-formula",
)
class SumsScoresInHalf(_Frame):
    def attend(self, q, k, v, mask):
        scaled = q / math.sqrt(self.d_head)
        scores = scaled[..., :, None, 0] * k[..., None, :, 0]
        for c in range(1, self.d_head):
            scores = scores + scaled[..., :, None, c] * k[..., None, :, c]
        compute = torch.promote_types(q.dtype, torch.float32)
        return (self.weigh(scores.to(compute), mask) @ v.to(compute)).to(q.dtype)


@mistake(
    replaces="MultiHeadAttention",
    tells="The heads are float32 when they reach w_o, which is in half precision: an error about dtypes. Convert"
    " them back first.",
    question="mha-formula",
)
class ForgetsToConvertBack(_Frame):
    def attend(self, q, k, v, mask):
        compute = torch.promote_types(q.dtype, torch.float32)
        return super().attend(q.to(compute), k.to(compute), v.to(compute), mask)


@mistake(
    replaces="MultiHeadAttention",
    tells="The output is float32 in a half precision module: it has query's dtype.",
    question="mha-formula",
)
class ReturnsFloat32(_Frame):
    def finish(self, merged, query):
        return self.w_o(merged).to(torch.promote_types(query.dtype, torch.float32))


@mistake(
    replaces="MultiHeadAttention",
    tells="-1e9 does not exist in float16: masked_fill raises an error. Compute scores in float32, or take the fill"
    " value from torch.finfo(scores.dtype).",
    question="mha-formula",
)
class FillOverflowsFloat16(_Frame):
    def attend(self, q, k, v, mask):
        scores = self.score(q, k)
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e9)
        weights = torch.softmax(scores, dim=-1)
        return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ v


@mistake(
    replaces="MultiHeadAttention",
    tells="The scale is a float32 tensor: with float64 inputs only seven digits of it are right. Use math.sqrt.",
    question="mha-formula",
)
class Float32Scale(_Frame):
    def score(self, q, k):
        root = torch.sqrt(torch.tensor(float(self.d_head)))  # 0-dim: it takes part, but promotes nothing
        return q @ k.transpose(-2, -1) / root
