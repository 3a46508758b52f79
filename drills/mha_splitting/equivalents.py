"""Right answers to multi-head attention of other shapes."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from grader.authoring import equivalent, solution


@equivalent(replaces="split_heads")
def split_by_unflatten(x, num_heads):
    """unflatten and permute; the check by divmod."""
    d_head, rest = divmod(x.shape[-1], num_heads)
    if rest:
        raise ValueError(f"d_model {x.shape[-1]} is no multiple of {num_heads}")
    return x.unflatten(-1, (num_heads, d_head)).permute(0, 2, 1, 3)


@equivalent(replaces="split_heads")
def split_by_stacking_chunks(x, num_heads):
    """Consecutive chunks of the features, stacked as a new dim."""
    if x.size(2) % num_heads:
        raise ValueError("num_heads must divide the last dim")
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)


@equivalent(replaces="split_heads")
def split_by_view_and_contiguous(x, num_heads):
    """view, transpose, and a contiguous copy of the result."""
    batch, _, d_model = x.size()
    if d_model // num_heads * num_heads != d_model:
        raise ValueError("num_heads must divide d_model")
    return x.contiguous().view(batch, -1, num_heads, d_model // num_heads).transpose(1, 2).contiguous()


@equivalent(replaces="split_heads")
def split_by_indexing(x, num_heads):
    """Each head's features gathered by their indices; the module's own check comes through here too."""
    d_model = x.shape[-1]
    if d_model % num_heads != 0:
        raise ValueError(f"cannot cut {d_model} features into {num_heads} heads")
    features = torch.arange(d_model).reshape(num_heads, -1)  # (H, D)
    return x[:, :, features].movedim(2, 1)


@equivalent(replaces="split_heads")
def split_by_writing_slices(x, num_heads):
    """A new tensor of x's dtype, filled head by head."""
    batch, length, d_model = x.shape
    if d_model % num_heads:
        raise ValueError("num_heads must divide d_model")
    d_head = d_model // num_heads
    heads = x.new_empty(batch, num_heads, length, d_head)
    for h in range(num_heads):
        heads[:, h] = x[..., h * d_head : (h + 1) * d_head]
    return heads


@equivalent(replaces="merge_heads")
def merge_by_concatenation(x):
    """The heads concatenated along the features, as in the paper."""
    return torch.cat(x.unbind(dim=1), dim=-1)


@equivalent(replaces="merge_heads")
def merge_by_contiguous_view(x):
    """The classic: transpose, contiguous, view."""
    batch, num_heads, length, d_head = x.size()
    return x.transpose(1, 2).contiguous().view(batch, length, num_heads * d_head)


@equivalent(replaces="merge_heads")
def merge_by_permute_and_reshape(x):
    """permute, and the last size left to reshape."""
    return x.permute(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


@equivalent(replaces="MultiHeadAttention")
class LoopsOverHeads(nn.Module):
    """One head after the other, each a slice of the projections; a softmax in float32 for half precision."""

    def __init__(self, d_model, num_heads, bias=True):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("d_model must be divisible by num_heads")
        self.num_heads, self.d_head = num_heads, d_model // num_heads
        for name in ("w_o", "w_v", "w_k", "w_q"):
            setattr(self, name, nn.Linear(d_model, d_model, bias))

    def forward(self, query, key=None, value=None, mask=None):
        if key is None:
            key = query
        if value is None:
            value = key
        q, k, v = self.w_q(query), self.w_k(key), self.w_v(value)
        wide = torch.float64 if q.dtype == torch.float64 else torch.float32
        shape = (q.shape[0], self.num_heads, q.shape[1], k.shape[1])
        allowed = torch.ones(shape, dtype=torch.bool) if mask is None else mask.expand(shape)
        outputs = []
        for h in range(self.num_heads):
            part = slice(h * self.d_head, (h + 1) * self.d_head)
            scores = torch.bmm(q[..., part].to(wide), k[..., part].to(wide).mT) * self.d_head**-0.5
            weights = torch.softmax(scores.masked_fill(~allowed[:, h], torch.finfo(wide).min), dim=-1)
            outputs.append((weights * allowed[:, h]) @ v[..., part].to(wide))
        return self.w_o(torch.cat(outputs, dim=-1).to(q.dtype))


@equivalent(replaces="MultiHeadAttention")
class WeightsThroughEinsum(nn.Module):
    """einsum with the weights reshaped to (H, D, E): nothing is split, and w_o sums over heads and features."""

    def __init__(self, d_model, num_heads, bias=True):
        super().__init__()
        self.d_head, rest = divmod(d_model, num_heads)
        if rest != 0:
            raise ValueError("heads do not divide the model")
        self.num_heads = num_heads
        self.w_q, self.w_k, self.w_v, self.w_o = (nn.Linear(d_model, d_model, bias=bias) for _ in range(4))

    def _project(self, layer, x):
        weight = layer.weight.view(self.num_heads, self.d_head, -1)
        y = torch.einsum("ble,hde->bhld", x, weight)
        return y if layer.bias is None else y + layer.bias.view(self.num_heads, 1, self.d_head)

    def forward(self, query, key=None, value=None, mask=None):
        key = key if key is not None else query
        value = value if value is not None else key
        dtype = query.dtype
        wide = torch.promote_types(dtype, torch.float32)
        q, k, v = (
            self._project(layer, x).to(wide) for layer, x in ((self.w_q, query), (self.w_k, key), (self.w_v, value))
        )
        scores = torch.einsum("bhqd,bhkd->bhqk", q / math.sqrt(self.d_head), k)
        if mask is not None:
            sees = mask.any(-1, keepdim=True)
            scores = torch.where(mask | ~sees, scores, -math.inf)
        weights = torch.exp(scores - scores.logsumexp(-1, keepdim=True))
        if mask is not None:
            weights = torch.where(sees, weights, 0.0)
        heads = torch.einsum("bhqk,bhkd->bhqd", weights, v).to(dtype)
        output = torch.einsum("bhqd,ehd->bqe", heads, self.w_o.weight.view(-1, self.num_heads, self.d_head))
        return output if self.w_o.bias is None else output + self.w_o.bias


@equivalent(replaces="MultiHeadAttention")
class BatchTimesHeads(nn.Module):
    """Heads folded into the batch for bmm, the mask expanded and folded with them; exp over its sum."""

    def __init__(self, d_model, num_heads, bias=True):
        if d_model % num_heads > 0:
            raise ValueError(f"{d_model} % {num_heads} != 0")
        nn.Module.__init__(self)
        self.d_model, self.num_heads, self.d_head = d_model, num_heads, d_model // num_heads
        self.w_q = nn.Linear(d_model, d_model, bias=bias)
        self.w_k = nn.Linear(d_model, d_model, bias=bias)
        self.w_v = nn.Linear(d_model, d_model, bias=bias)
        self.w_o = nn.Linear(d_model, d_model, bias=bias)

    def _fold(self, x):
        batch, length, _ = x.shape
        x = x.reshape(batch, length, self.num_heads, self.d_head).transpose(1, 2)
        return x.reshape(batch * self.num_heads, length, self.d_head)

    def forward(self, query, key=None, value=None, mask=None):
        key = query if key is None else key
        value = key if value is None else value
        batch, n_queries, n_keys = query.shape[0], query.shape[1], key.shape[1]
        wide = torch.promote_types(query.dtype, torch.float32)
        q, k, v = (
            self._fold(layer(x)).to(wide)
            for layer, x in zip((self.w_q, self.w_k, self.w_v), (query, key, value), strict=True)
        )
        scores = torch.bmm(q, k.transpose(1, 2)).div(self.d_head**0.5)
        if mask is not None:
            mask = mask.expand(batch, self.num_heads, n_queries, n_keys).reshape(-1, n_queries, n_keys)
            scores = scores.masked_fill(mask == 0, torch.finfo(wide).min)
        exps = torch.exp(scores - scores.amax(-1, keepdim=True))
        if mask is not None:
            exps = exps * mask
        weights = exps / exps.sum(-1, keepdim=True).clamp_min(torch.finfo(wide).tiny)
        heads = torch.bmm(weights, v).to(query.dtype)
        heads = heads.reshape(batch, self.num_heads, n_queries, self.d_head)
        return self.w_o(heads.permute(0, 2, 1, 3).reshape(batch, n_queries, self.d_model))


@equivalent(replaces="MultiHeadAttention")
class HalfPrecisionMatmuls(nn.Module):
    """q scaled first, products in the module's own dtype: matmul sums half precision in float32 by itself."""

    def __init__(self, d_model, num_heads, bias=True):
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError("d_model % num_heads must be 0")
        self.num_heads = num_heads
        self.d_head = d_model // num_heads
        self.w_q = nn.Linear(d_model, d_model, bias=bias)
        self.w_k = nn.Linear(d_model, d_model, bias=bias)
        self.w_v = nn.Linear(d_model, d_model, bias=bias)
        self.w_o = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, query, key=None, value=None, mask=None):
        key = query if key is None else key
        value = key if value is None else value
        q = solution.split_heads(self.w_q(query) * (1.0 / math.sqrt(self.d_head)), self.num_heads)
        k = solution.split_heads(self.w_k(key), self.num_heads)
        v = solution.split_heads(self.w_v(value), self.num_heads)
        scores = q @ k.mT
        if mask is not None:
            scores = scores.masked_fill(mask.logical_not(), -torch.inf)
        weights = scores.softmax(-1, dtype=torch.promote_types(q.dtype, torch.float32))
        if mask is not None:
            weights = weights.nan_to_num(nan=0.0)
        return self.w_o(solution.merge_heads(weights.to(q.dtype) @ v))


@equivalent(replaces="MultiHeadAttention")
class FusedProjection(nn.Module):
    """The three weights concatenated at every call; self-attention is one product, everything in float64."""

    def __init__(self, d_model, num_heads, bias=True):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("num_heads must divide d_model")
        self.num_heads, self.d_head = num_heads, d_model // num_heads
        self.w_q, self.w_k, self.w_v, self.w_o = [nn.Linear(d_model, d_model, bias=bias) for _ in range(4)]
        self.register_buffer("scale", torch.tensor(self.d_head, dtype=torch.float64).rsqrt(), persistent=False)

    def forward(self, query, key=None, value=None, mask=None):
        layers = (self.w_q, self.w_k, self.w_v)
        weight = torch.cat([layer.weight.double() for layer in layers])
        bias = None if self.w_q.bias is None else torch.cat([layer.bias.double() for layer in layers])
        if key is None and value is None:
            q, k, v = F.linear(query.double(), weight, bias).chunk(3, dim=-1)
        else:
            key = query if key is None else key
            value = key if value is None else value
            inputs = (query.double(), key.double(), value.double())
            biases = [None] * 3 if bias is None else bias.chunk(3)
            q, k, v = (F.linear(*args) for args in zip(inputs, weight.chunk(3), biases, strict=True))
        q, k, v = (solution.split_heads(x, self.num_heads) for x in (q, k, v))
        scores = q @ k.transpose(2, 3) * (1 / math.sqrt(self.d_head))
        if mask is None:
            mask = torch.ones(1, dtype=torch.bool)
        weights = scores.masked_fill(~mask, -1e300).softmax(-1).where(mask, 0.0)
        merged = solution.merge_heads(weights @ v)
        output_bias = None if self.w_o.bias is None else self.w_o.bias.double()
        return F.linear(merged, self.w_o.weight.double(), output_bias).to(query.dtype)


@equivalent(replaces="MultiHeadAttention")
class SumsOverHeads(nn.Module):
    """Each head goes through its own columns of w_o and is added up: nothing is merged. An extra frozen
    parameter and a persistent buffer are nobody's business."""

    def __init__(self, d_model, num_heads, bias=True):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("num_heads must divide d_model")
        self.num_heads, self.d_head = num_heads, d_model // num_heads
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.temperature = nn.Parameter(torch.ones(()), requires_grad=False)
        self.w_q = nn.Linear(d_model, d_model, bias=bias)
        self.w_k = nn.Linear(d_model, d_model, bias=bias)
        self.w_v = nn.Linear(d_model, d_model, bias=bias)
        self.w_o = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, query, key=None, value=None, mask=None):
        key = query if key is None else key
        value = key if value is None else value
        self.calls += 1
        wide = torch.promote_types(query.dtype, torch.float32)
        q, k, v = (
            layer(x).to(wide) for layer, x in zip((self.w_q, self.w_k, self.w_v), (query, key, value), strict=True)
        )
        shape = (len(q), self.num_heads, q.shape[1], k.shape[1])
        allowed = None if mask is None else torch.broadcast_to(mask, shape)
        output = 0.0
        for h, (qh, kh, vh, wo) in enumerate(
            zip(*(t.split(self.d_head, dim=-1) for t in (q, k, v, self.w_o.weight.to(wide))), strict=True)
        ):
            scores = torch.baddbmm(qh.new_zeros(1, 1, 1), qh, kh.mT, beta=0, alpha=1 / math.sqrt(self.d_head))
            if allowed is not None:
                scores = scores + (~allowed[:, h]).to(wide) * -1e30
            weights = torch.softmax(scores / self.temperature.to(wide), dim=-1)
            if allowed is not None:
                weights = weights.masked_fill(~allowed[:, h], 0.0)
            output = output + F.linear(weights @ vh, wo)
        if self.w_o.bias is not None:
            output = output + self.w_o.bias.to(wide)
        return output.to(query.dtype)


@equivalent(replaces="MultiHeadAttention")
class WithoutTheKeyBias(nn.Module):
    """w_k's bias adds the same number to all scores of a row, so the softmax cancels it; it has no gradient."""

    def __init__(self, d_model: int, num_heads: int, bias: bool = True):
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError("num_heads must divide d_model")
        self.num_heads, self.d_head = num_heads, d_model // num_heads
        self.w_q = nn.Linear(d_model, d_model, bias=bias)
        self.w_k = nn.Linear(d_model, d_model, bias=bias)
        self.w_v = nn.Linear(d_model, d_model, bias=bias)
        self.w_o = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, query, key=None, value=None, mask=None):
        key = query if key is None else key
        value = key if value is None else value
        wide = torch.promote_types(query.dtype, torch.float32)
        q = solution.split_heads(self.w_q(query), self.num_heads).to(wide)
        k = solution.split_heads(F.linear(key, self.w_k.weight), self.num_heads).to(wide)
        v = solution.split_heads(self.w_v(value), self.num_heads).to(wide)
        scores = q @ k.mT / math.sqrt(self.d_head)
        if mask is None:
            heads = torch.softmax(scores, -1) @ v
        else:
            scores = scores.masked_fill(~mask, -math.inf)
            sink = torch.full_like(scores[..., :1], torch.finfo(wide).min)  # so that no row is empty
            heads = torch.softmax(torch.cat([scores, sink], -1), -1)[..., :-1] @ v
        return self.w_o(solution.merge_heads(heads).to(query.dtype))
