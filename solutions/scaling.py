"""Scaled dot-product attention: Vaswani et al. 2017, Attention Is All You Need, section 3.2.1."""

import math

import torch
from torch import Tensor


def scaled_scores(q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Dot product of every query with every key, times `scale`.

    q: (..., Lq, D), k: (..., Lk, D), the same leading dims. Returns (..., Lq, Lk) in q's dtype.
    scale: 1/sqrt(D) if None, D the size of one head; any number otherwise, 0.0 included.

    Half precision is multiplied and summed in float32: a sum that only fits after scaling stays finite.
    """
    if scale is None:
        scale = 1.0 / math.sqrt(q.size(-1))
    compute = torch.promote_types(q.dtype, torch.float32)  # float32 for half precision, else the input's own
    scores = (q.to(compute) * scale) @ k.to(compute).transpose(-2, -1)  # (..., Lq, D) @ (..., D, Lk)
    return scores.to(q.dtype)  # (..., Lq, Lk)


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """softmax(scale * q k^T) v, and the weights.

    q: (..., Lq, D), k: (..., Lk, D), v: (..., Lk, Dv), the same leading dims.
    mask: bool, broadcast against the scores (..., Lq, Lk), True = may attend. scale: as in `scaled_scores`.
    Returns output (..., Lq, Dv) and weights (..., Lq, Lk) in q's dtype. Masked weights are exactly 0; a row
    that may attend to nothing is 0 in both, with zero gradient.
    """
    compute = torch.promote_types(q.dtype, torch.float32)
    scores = scaled_scores(q.to(compute), k.to(compute), scale)  # (..., Lq, Lk)
    if mask is None:
        weights = torch.softmax(scores, dim=-1)
    else:
        # The lowest finite number, not -inf: a row of -inf would be NaN. The second fill makes masked
        # weights 0 also in a row without any allowed key, which the softmax leaves uniform.
        filled = scores.masked_fill(~mask, torch.finfo(compute).min)
        weights = torch.softmax(filled, dim=-1).masked_fill(~mask, 0.0)
    output = weights @ v.to(compute)  # (..., Lq, Lk) @ (..., Lk, Dv) -> (..., Lq, Dv)
    return output.to(q.dtype), weights.to(q.dtype)


def t5_query_std(d_model: int, d_head: int) -> float:
    """Standard deviation of T5's W_q, which leaves the scores unscaled (Raffel et al. 2020; the factor is
    folded into the initialisation in Mesh TensorFlow's attention).

    For inputs x of unit variance, (x W_k) has variance d_model * (1/d_model) = 1 and (x W_q) has d_model *
    std**2. q.k sums d_head such products: its variance is d_head * d_model * std**2, and that is 1 for this
    std.
    """
    return 1.0 / math.sqrt(d_model * d_head)
