"""Grouped-query attention: Ainslie et al. 2023, GQA, sections 2.1 and 2.2; its extreme of one key/value head is
multi-query attention, Shazeer 2019, Fast Transformer Decoding: One Write-Head is All You Need, section 3."""

import math

import torch
from torch import Tensor


def repeat_kv(x: Tensor, n_rep: int) -> Tensor:
    """Give every query head its key/value head: the output's head h is the input's head h // n_rep.

    x: (B, G, L, D), any strides. Returns (B, G * n_rep, L, D) in x's dtype.
    """
    return x.repeat_interleave(n_rep, dim=1)  # heads 0, 0, 0, 1, 1, 1 and not 0, 1, 0, 1, 0, 1


def grouped_query_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(D)) v, where H / G consecutive query heads share one key/value head.

    q: (B, H, Lq, D), k and v: (B, G, Lk, D). G = H is multi-head attention, G = 1 multi-query attention.
    mask: bool, broadcast against the scores (B, H, Lq, Lk), True = may attend.
    Returns (B, H, Lq, D) in q's dtype; a row that may attend to nothing is 0, with zero gradient.
    Raises ValueError if G does not divide H.

    Half precision is multiplied and summed in float32.
    """
    n_heads, n_groups = q.size(1), k.size(1)
    if n_heads % n_groups:
        raise ValueError(f"{n_heads} query heads cannot be shared out among {n_groups} key/value heads")
    compute = torch.promote_types(q.dtype, torch.float32)  # float32 for half precision, else the input's own
    keys = repeat_kv(k, n_heads // n_groups).to(compute)  # (B, H, Lk, D)
    values = repeat_kv(v, n_heads // n_groups).to(compute)  # (B, H, Lk, D)
    scores = q.to(compute) @ keys.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, Lq, Lk)
    if mask is None:
        weights = torch.softmax(scores, dim=-1)
    else:
        # The lowest finite number, not -inf: a row of -inf would be NaN. The second fill makes the weights 0
        # also in a row without any allowed key, which the softmax leaves uniform.
        filled = scores.masked_fill(~mask, torch.finfo(compute).min)
        weights = torch.softmax(filled, dim=-1).masked_fill(~mask, 0.0)
    return (weights @ values).to(q.dtype)  # (B, H, Lq, Lk) @ (B, H, Lk, D) -> (B, H, Lq, D)


def mean_pool_kv_heads(weight: Tensor, num_heads: int, num_groups: int) -> Tensor:
    """The K or V projection of a multi-head checkpoint, made into one for G groups (Ainslie et al., section 2.1).

    weight: (H*D, E), as in nn.Linear(E, H*D): head h owns the rows h*D to (h+1)*D - 1.
    Returns (G*D, E) in weight's dtype: every group the mean of its H / G consecutive heads.
    Raises ValueError if num_groups does not divide num_heads.
    """
    if num_heads % num_groups:
        raise ValueError(f"{num_heads} heads cannot be pooled into {num_groups} groups of equal size")
    d_head = weight.size(0) // num_heads
    heads = weight.reshape(num_groups, num_heads // num_groups, d_head, weight.size(1))  # (G, H/G, D, E)
    return heads.mean(dim=1).flatten(0, 1)  # (G*D, E); torch's mean adds half precision up in float32


def kv_cache_bytes(
    batch: int, length: int, layers: int, num_kv_heads: int, d_head: int, bytes_per_value: int = 2
) -> int:
    """Size of the keys and values kept for decoding: of every layer, sequence, position and key/value head.

    num_kv_heads: G, the heads that are stored, however many query heads read them.
    """
    return 2 * batch * length * layers * num_kv_heads * d_head * bytes_per_value  # 2: keys and values
