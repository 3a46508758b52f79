"""# Multi-head attention: split, attend, merge

    MultiHead(Q, K, V) = Concat(head_1, ..., head_H) W_o
    head_i = Attention(Q W_q_i, K W_k_i, V W_v_i)

The H small projections are stored stacked, one d_model x d_model layer for
all, so the code projects first and splits the result into heads.

- `split_heads(x, num_heads)`: head h gets the features h*D to (h+1)*D - 1 of
  every token. These are consecutive, as in torch and in most checkpoints.
- `merge_heads(x)`: the inverse, for a tensor of any strides.
- `MultiHeadAttention(d_model, num_heads, bias=True)`: four `nn.Linear`,
  `w_q`, `w_k`, `w_v`, `w_o`, and the attributes `d_head` and `num_heads`.
  `forward` returns the output alone, not the weights.

Rules

- Scores are divided by sqrt(d_head). No dropout, no residual, no norm.
- `key` defaults to `query`, `value` to `key`; each may come without the
  other. Lq may differ from Lk. B is first: (B, L, E).
- The mask is boolean, True = may attend, and broadcasts against
  (B, H, Lq, Lk) by the usual rules, from the last dim, in train() and in
  eval().
- A head in which a query may attend to nothing gives zeros, so where no head
  sees anything the output is w_o's bias. Its gradient is zero, never NaN.
- `bias` counts for all four layers. Nothing else is trainable.
- The result keeps the dtype. float64 keeps float64 accuracy. In a half
  precision module scores, softmax and weighted sum are accumulated in
  float32; scores that fit after scaling are finite. Large ones never overflow
  in the softmax.
- Inputs stay as they are and may have any strides; gradients reach all of
  them and every weight.
- No ready-made attention from torch; matmul and softmax are fine.

Paper: Vaswani et al. 2017, Attention Is All You Need, section 3.2.2
"""

from torch import Tensor, nn


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Cut the features of every token into heads.

    x: (B, L, E). Returns (B, H, L, E/H): head h has the features h*E/H to (h+1)*E/H - 1.
    ValueError if num_heads does not divide E.
    """
    raise NotImplementedError


def merge_heads(x: Tensor) -> Tensor:
    """Put the heads of every token side by side again, head 0 first.

    x: (B, H, L, D), any strides. Returns (B, L, H*D).
    """
    raise NotImplementedError


class MultiHeadAttention(nn.Module):
    """Attention in num_heads heads of d_model / num_heads features each.

    Layers w_q, w_k, w_v and w_o, nn.Linear from d_model to d_model, all with a bias or all without.
    Attributes d_head and num_heads. ValueError if num_heads does not divide d_model.
    """

    def __init__(self, d_model: int, num_heads: int, bias: bool = True) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """query: (B, Lq, E). key, value: (B, Lk, E); key defaults to query, value to key.

        mask: bool, broadcasts against (B, H, Lq, Lk), True = may attend; None hides nothing.
        Returns (B, Lq, E) in query's dtype. A head in which a query may attend to nothing gives zeros.
        """
        raise NotImplementedError
