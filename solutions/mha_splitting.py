"""Multi-head attention: Vaswani et al. 2017, Attention Is All You Need, section 3.2.2.

B batch, H heads, L length (Lq of the queries, Lk of the keys), E model dim, D = E / H head dim.
"""

import math

import torch
from torch import Tensor, nn


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, L, E) -> (B, H, L, E/H). Head h gets the features h*D to (h+1)*D - 1 of every token.

    ValueError if num_heads does not divide E.
    """
    batch, length, d_model = x.shape
    if d_model % num_heads != 0:
        raise ValueError(f"{num_heads} heads do not divide {d_model} features")
    x = x.reshape(batch, length, num_heads, d_model // num_heads)  # (B, L, H, D)
    return x.transpose(1, 2)  # (B, H, L, D)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, L, D) -> (B, L, H*D), the inverse of `split_heads`. Any strides."""
    return x.transpose(1, 2).flatten(2)  # (B, L, H, D) -> (B, L, H*D)


class MultiHeadAttention(nn.Module):
    """Concat(head_1, ..., head_H) W_o with head_i = Attention(query W_q_i, key W_k_i, value W_v_i).

    The matrices of all heads are stacked: w_q, w_k and w_v map E to E = H*D features, D for each head.
    ValueError if num_heads does not divide d_model.
    """

    def __init__(self, d_model: int, num_heads: int, bias: bool = True) -> None:
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError(f"{num_heads} heads do not divide d_model = {d_model}")
        self.num_heads = num_heads
        self.d_head = d_model // num_heads
        self.w_q = nn.Linear(d_model, d_model, bias=bias)
        self.w_k = nn.Linear(d_model, d_model, bias=bias)
        self.w_v = nn.Linear(d_model, d_model, bias=bias)
        self.w_o = nn.Linear(d_model, d_model, bias=bias)

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """query: (B, Lq, E). key, value: (B, Lk, E); key defaults to query, value to key.

        mask: bool, broadcasts against (B, H, Lq, Lk), True = may attend; None hides nothing.
        Returns (B, Lq, E) in query's dtype. A head in which a query may attend to nothing gives zeros.
        """
        key = query if key is None else key
        value = key if value is None else value
        q = split_heads(self.w_q(query), self.num_heads)  # (B, H, Lq, D)
        k = split_heads(self.w_k(key), self.num_heads)  # (B, H, Lk, D)
        v = split_heads(self.w_v(value), self.num_heads)  # (B, H, Lk, D)
        compute = torch.promote_types(query.dtype, torch.float32)  # float32 for half precision
        scores = q.to(compute) @ k.to(compute).transpose(-2, -1) / math.sqrt(self.d_head)  # (B, H, Lq, Lk)
        if mask is None:
            weights = torch.softmax(scores, dim=-1)
        else:
            # A row of nothing but -inf is NaN after the softmax; the second fill makes it zeros, on the way
            # back the first one does.
            weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1).masked_fill(~mask, 0.0)
        heads = weights @ v.to(compute)  # (B, H, Lq, D)
        return self.w_o(merge_heads(heads.to(query.dtype)))  # (B, Lq, E)
