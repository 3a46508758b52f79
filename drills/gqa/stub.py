"""Grouped-query attention

While a language model writes, every new token reads the keys and values of
all earlier ones. Multi-head attention (MHA) stores H heads of both;
multi-query attention (MQA) lets all query heads share a single one;
grouped-query attention (GQA) keeps G, each shared by H/G query heads.
G = H is MHA, G = 1 is MQA.

- `repeat_kv(x, n_rep)`: each key/value head n_rep times, side by side, so
  that query head h reads head h // n_rep.
- `grouped_query_attention(q, k, v, mask)`: softmax(q k^T / sqrt(D)) v with
  shared heads. Whether you repeat k and v or broadcast over the groups is
  yours to choose. The mask is boolean, True = may attend, and broadcasts
  against the scores (B, H, Lq, Lk): heads in it are query heads. A row that
  may attend to nothing gives zeros, and its gradient is zero: never NaN.
- `mean_pool_kv_heads(weight, num_heads, num_groups)`: turns the K or V
  projection of an MHA checkpoint into one for GQA. Each group is the mean
  of its consecutive heads.
- `kv_cache_bytes(...)`: what the cache of a model takes, exactly.

Rules
- D is the size of one head. Lq may differ from Lk. No causal mask unless
  the caller passes one.
- Any strides; inputs stay as they are: nothing in place.
- Results have the dtype of q (of x, of weight). float64 keeps float64
  accuracy. float16 and bfloat16 are accumulated in float32: sums beyond
  float16's range must not become inf.
- Large scores must not overflow in the softmax.
- Gradients flow to q, k and v, to x, and to weight.
- No ready-made attention from torch; torch.softmax and matmul are fine.

Papers: Shazeer 2019, Fast Transformer Decoding, section 3; Ainslie et al.
2023, GQA, section 2.
"""

from torch import Tensor


def repeat_kv(x: Tensor, n_rep: int) -> Tensor:
    """Every key/value head n_rep times: head h of the result is head h // n_rep of x.

    x: (B, G, L, D). n_rep: at least 1.
    Returns (B, G * n_rep, L, D) in x's dtype.
    """
    raise NotImplementedError


def grouped_query_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention in which H / G consecutive query heads share one key/value head.

    q: (B, H, Lq, D), k and v: (B, G, Lk, D). Scores are scaled by 1/sqrt(D).
    mask: bool, broadcast against the scores (B, H, Lq, Lk), True = may attend; None = everything.
    Returns (B, H, Lq, D) in q's dtype; a row that may attend to nothing is 0, with zero gradient.
    Raises ValueError if G does not divide H, and nothing for other legal shapes.
    """
    raise NotImplementedError


def mean_pool_kv_heads(weight: Tensor, num_heads: int, num_groups: int) -> Tensor:
    """A K or V projection for num_groups heads, each the mean of num_heads / num_groups consecutive ones.

    weight: (H*D, E), as in nn.Linear(E, H*D).weight: head h owns the rows h*D to (h+1)*D - 1.
    Returns (G*D, E) in weight's dtype.
    Raises ValueError if num_groups does not divide num_heads.
    """
    raise NotImplementedError


def kv_cache_bytes(
    batch: int, length: int, layers: int, num_kv_heads: int, d_head: int, bytes_per_value: int = 2
) -> int:
    """Bytes that the keys and values of `length` positions take, in all layers and for the whole batch.

    num_kv_heads: the heads that are stored, G. bytes_per_value: 2 for float16 and bfloat16.
    Returns an exact int, of any size; 0 if nothing is stored.
    """
    raise NotImplementedError
