"""FlashAttention's forward pass: exact attention, one block of keys at a time, without the score matrix.

Dao et al., 2022, FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness, section 3.1 (tiling);
Dao, 2023, FlashAttention-2, section 3.1 (one division at the end, log-sum-exp instead of m and l);
Milakov & Gimelshein, 2018, Online normalizer calculation for softmax, section 3.
"""
# ruff: noqa: E741 - m, l and o are the papers' names

import math

import torch
from torch import Tensor


def attend_block(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Attention to one block of keys, left unnormalised so that blocks can be merged.

    q: (..., Lq, D), k and v: (..., Lk, D), the same leading dims.
    mask: bool, broadcasts against the scores (..., Lq, Lk), True = may attend; None hides nothing.
    Returns m (..., Lq), the row maximum of the scores q.k / sqrt(D); l (..., Lq), the sum of exp(score - m); and
    o (..., Lq, D), exp(score - m) @ v. A row that sees nothing: m = -inf, l = 0, o = 0. For half precision all
    three are float32.
    """
    compute = torch.promote_types(q.dtype, torch.float32)  # float32 for half precision, else the input's own
    q, k, v = q.to(compute), k.to(compute), v.to(compute)
    scores = q / math.sqrt(q.size(-1)) @ k.transpose(-2, -1)  # (..., Lq, D) @ (..., D, Lk) -> (..., Lq, Lk)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    m = scores.amax(dim=-1)  # (..., Lq)
    p = torch.exp(scores - _finite(m)[..., None])  # (..., Lq, Lk)
    return m, p.sum(dim=-1), p @ v


def merge_blocks(a: tuple[Tensor, Tensor, Tensor], b: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The result over the keys of both, from partial results (m, l, o) over disjoint sets of keys.

    m, l: (..., Lq), o: (..., Lq, D). Each side was summed relative to its own maximum and is rescaled to the
    common one. A side that saw nothing (m = -inf, l = 0, o = 0) changes nothing.
    """
    (m_a, l_a, o_a), (m_b, l_b, o_b) = a, b
    m = torch.maximum(m_a, m_b)  # (..., Lq)
    scale_a = torch.exp(m_a - _finite(m))  # (..., Lq)
    scale_b = torch.exp(m_b - _finite(m))
    l = scale_a * l_a + scale_b * l_b
    o = scale_a[..., None] * o_a + scale_b[..., None] * o_b  # (..., Lq, D)
    return m, l, o


def flash_attention(
    q: Tensor, k: Tensor, v: Tensor, block_size: int = 64, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(D)) v, block_size keys at a time: memory grows with Lq * block_size, not Lq * Lk.

    q: (..., Lq, D), k and v: (..., Lk, D), the same leading dims.
    causal: the queries are the last Lq of Lk positions, and none sees a later key. With Lk < Lq the first
        Lq - Lk rows see nothing.
    Returns the output (..., Lq, D) in q's dtype and the log-sum-exp of each row's scores (..., Lq), float32 for half
    precision; a row that sees nothing has output 0 and log-sum-exp -inf. ValueError if block_size < 1.
    """
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    n_queries, n_keys = q.size(-2), k.size(-2)
    rows = torch.arange(n_keys - n_queries, n_keys, device=q.device)  # (Lq,) positions of the queries
    columns = torch.arange(n_keys, device=q.device)  # (Lk,)
    o = torch.zeros_like(q)  # (..., Lq, D); half precision becomes float32 in the first merge
    l = o[..., 0]  # (..., Lq)
    m = l - math.inf
    for start in range(0, n_keys, block_size):
        block = slice(start, start + block_size)  # the last one may be shorter
        mask = columns[block] <= rows[:, None] if causal else None  # (Lq, block)
        m, l, o = merge_blocks((m, l, o), attend_block(q, k[..., block, :], v[..., block, :], mask))
    total = l.masked_fill(l == 0, 1.0)  # a row that saw nothing: 0 / 1 and -inf + log 1
    return (o / total[..., None]).to(q.dtype), m + total.log()


def _finite(m: Tensor) -> Tensor:
    """m, with 0 for the -inf of a row that saw nothing: -inf - 0 is -inf, where -inf - -inf would be NaN."""
    return m.masked_fill(m == -math.inf, 0.0)
