"""Scaled dot-product attention

    Attention(Q, K, V) = softmax(Q K^T / sqrt(d_k)) V

A dot product of two independent vectors with d_k components of mean 0 and
variance 1 has variance d_k. Left alone, scores grow with the head, the
softmax saturates, and almost no gradient reaches the queries and the keys.
Write the formula by hand, and the other way to keep the variance at 1: the
initialisation that lets T5 do without the factor.

- `scaled_scores(q, k, scale)`: the matrix before the softmax. D is the last
  dim, the size of one head. `scale` replaces 1/sqrt(D) when it is given,
  0.0, 1.0 and negative numbers included.
- `attention(q, k, v, mask, scale)`: the output and the weights. The mask is
  boolean, True = may attend, and broadcasts against the scores. Masked
  weights are exactly 0. A row that may attend to nothing gives zeros, in the
  output and in the weights, and its gradient is zero: never NaN. Without a
  mask every query sees every key.
- `t5_query_std(d_model, d_head)`: the standard deviation of W_q with which
  unscaled scores have variance 1.

Rules
- Any number of leading dims (none, too), any strides; q, k and v share the
  leading dims, Lq may differ from Lk and the values' Dv from D.
- Inputs stay as they are: nothing in place.
- Results have q's dtype. float64 keeps float64 accuracy. float16 and bfloat16
  are accumulated in float32; scores whose raw sum leaves float16's range but
  which fit once scaled must be finite.
- Large scores must not overflow in the softmax.
- Gradients flow to q, k and v, from the output and from the weights.
- No ready-made attention from torch; torch.softmax and matmul are fine.

Papers: Vaswani et al. 2017, Attention Is All You Need, section 3.2.1;
Raffel et al. 2020, T5.
"""

from torch import Tensor


def scaled_scores(q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Dot product of every query with every key, times `scale`.

    q: (..., Lq, D), k: (..., Lk, D), the same leading dims.
    scale: 1/sqrt(D) if None; otherwise used as it is, 0.0 and negative numbers included.
    Returns (..., Lq, Lk) in q's dtype. Raises nothing for legal shapes.
    """
    raise NotImplementedError


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Softmax of the scaled scores over the keys, applied to the values.

    q: (..., Lq, D), k: (..., Lk, D), v: (..., Lk, Dv), the same leading dims.
    mask: bool, broadcast against the scores (..., Lq, Lk), True = may attend; None = everything.
    scale: as in `scaled_scores`.
    Returns (output, weights): (..., Lq, Dv) and (..., Lq, Lk), both in q's dtype. Masked weights are exactly
    0; a row that may attend to nothing is 0 in both, with zero gradient. Raises nothing for legal shapes.
    """
    raise NotImplementedError


def t5_query_std(d_model: int, d_head: int) -> float:
    """Standard deviation of W_q (d_model, d_head) at which the unscaled q.k has variance 1.

    The inputs of both projections have independent components of mean 0 and variance 1, the weights have mean
    0, and W_k has standard deviation 1/sqrt(d_model).
    """
    raise NotImplementedError
