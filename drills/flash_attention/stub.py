"""FlashAttention: exact attention without the score matrix

    softmax(q k^T / sqrt(D)) v, one block of keys at a time

A softmax can be computed in pieces. Each piece keeps, for every query, the
largest score m, the sum l of exp(score - m), and o, the same exponentials
times the values. Two pieces are merged by bringing both to the larger m; the
output is o / l, once, at the end.

- `attend_block(q, k, v, mask)`: one tile, unnormalised: (m, l, o). A row that
  sees nothing: m = -inf, l = 0, o = 0.
- `merge_blocks(a, b)`: two such triples over disjoint keys -> the triple over
  both. Any order, also of merged ones; -inf on either side or on both gives
  no NaN. It is tested on its own, with triples made by hand.
- `flash_attention(q, k, v, block_size, causal)`: (output, log-sum-exp of the
  scaled scores). The two functions above are there to be used.

Rules
- Any Lq and Lk, any number of leading dims, any strides. block_size may be
  1, larger than the input, or leave a shorter block at the end; ValueError
  if it is below 1.
- Where block_size is smaller than Lq and Lk, no tensor has Lq * Lk elements,
  neither scores nor mask. All checks run with 32 MB of memory; one of them
  has Lq = 1328, Lk = 6640, whose score matrix alone takes 34.
- causal: the queries are the last Lq of Lk positions. With Lk < Lq the first
  Lq - Lk rows see nothing: output 0, log-sum-exp -inf, gradient 0.
- Gradients of the output reach q, k and v; autograd is enough.
- Half precision: float32 inside, scores that only fit once scaled included;
  the output has q's dtype, the statistics may stay float32. float64 keeps
  its accuracy. Inputs stay as they are.
- No ready-made attention from torch.

Papers: Dao et al. 2022, FlashAttention, section 3.1; Dao 2023,
FlashAttention-2, section 3.1.
"""

from torch import Tensor


def attend_block(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Attention to one block of keys, left unnormalised.

    q: (..., Lq, D), k and v: (..., Lk, D), the same leading dims.
    mask: bool, broadcasts against the scores (..., Lq, Lk), True = may attend; None hides nothing.
    Returns m (..., Lq), the row maximum of the scores q.k / sqrt(D); l (..., Lq), the sum of exp(score - m); and
    o (..., Lq, D), exp(score - m) @ v. A row that sees nothing: m = -inf, l = 0, o = 0. Raises nothing for legal
    shapes.
    """
    raise NotImplementedError


def merge_blocks(a: tuple[Tensor, Tensor, Tensor], b: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The result over the keys of both, from partial results (m, l, o) over disjoint sets of keys.

    m, l: (..., Lq), o: (..., Lq, D), as `attend_block` returns them. m of the result is the row maximum over both
    sides, l and o are relative to it. Raises nothing.
    """
    raise NotImplementedError


def flash_attention(
    q: Tensor, k: Tensor, v: Tensor, block_size: int = 64, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(D)) v, block by block, and the log-sum-exp of each row's scores.

    q: (..., Lq, D), k and v: (..., Lk, D), the same leading dims.
    causal: query i, at position i + Lk - Lq, sees no later key.
    Returns the output (..., Lq, D) in q's dtype and the log-sum-exp (..., Lq) of the scaled scores; a row that sees
    nothing has output 0 and log-sum-exp -inf. ValueError if block_size < 1.
    """
    raise NotImplementedError
