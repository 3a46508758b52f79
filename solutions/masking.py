"""Masks for attention, and the softmax that obeys them.

A mask is boolean, True = may attend, and broadcasts against scores of shape (..., Lq, Lk).

Vaswani et al., 2017, Attention Is All You Need, sections 3.1 (why the decoder hides the future) and 3.2.3
(illegal connections are set to -inf before the softmax). https://arxiv.org/abs/1706.03762
"""

import math

import torch
from torch import Tensor


def causal_mask(n_queries: int, n_keys: int | None = None) -> Tensor:
    """Which keys each query may see when nobody sees the future.

    n_keys: defaults to n_queries. With more keys than queries, the queries are the last n_queries positions:
        the others' keys come from a cache.
    Returns bool (n_queries, n_keys), True = may attend. ValueError if n_keys < n_queries.
    """
    if n_keys is None:
        n_keys = n_queries
    if n_keys < n_queries:
        raise ValueError(f"each query needs its own key: got {n_queries} queries and {n_keys} keys")
    queries = torch.arange(n_keys - n_queries, n_keys)  # (Lq,) positions of the queries
    keys = torch.arange(n_keys)  # (Lk,)
    return keys <= queries[:, None]  # (Lq, Lk)


def padding_mask(lengths: Tensor, max_length: int | None = None) -> Tensor:
    """Which positions of a padded batch hold real tokens.

    lengths: (B,), any integer dtype; 0 is an empty sequence.
    max_length: the padded length; defaults to the longest.
    Returns bool (B, max_length), True = real token. ValueError if max_length is shorter than the longest.
    """
    longest = int(lengths.max())
    if max_length is None:
        max_length = longest
    if max_length < longest:
        raise ValueError(f"max_length {max_length} is shorter than the longest sequence, {longest}")
    positions = torch.arange(max_length, device=lengths.device)  # (L,)
    return positions < lengths[:, None]  # (B, L)


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over the keys that may be seen.

    scores: (..., Lk), float64, float32, float16 or bfloat16.
    mask: bool, broadcasts against scores, True = may attend; None hides nothing.
    Returns the weights: shape and dtype of scores, exactly 0 where masked. A row that may attend to nothing
    is all zeros and passes no gradient back.
    """
    if mask is None:
        return torch.softmax(scores, dim=-1)  # accumulates half precision in float32
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)  # (..., Lk)
    # A row of nothing but -inf is 0/0 = NaN here. The second fill makes it zeros; on the way back the first
    # fill does the same to its gradient, because filled positions hand exactly 0 to what they replaced.
    return weights.masked_fill(~mask, 0.0)  # (..., Lk)
