"""Right answers of other shapes. Each must pass."""

import math

import torch
from torch import Tensor

from grader.authoring import equivalent, solution


@equivalent(replaces="causal_mask")
def tril_with_diagonal(n_queries: int, n_keys: int | None = None) -> Tensor:
    """A matrix of ones, cut by tril at the diagonal of the first query."""
    n_keys = n_queries if n_keys is None else n_keys
    if n_queries > n_keys:
        raise ValueError("more queries than keys")
    return torch.ones(n_queries, n_keys, dtype=torch.bool).tril(diagonal=n_keys - n_queries)


@equivalent(replaces="causal_mask")
def not_the_future(n_queries: int, n_keys: int | None = None) -> Tensor:
    """The future by triu, then its complement."""
    if n_keys is None:
        n_keys = n_queries
    if n_keys < n_queries:
        raise ValueError("more queries than keys")
    future = torch.triu(torch.ones(n_queries, n_keys), diagonal=n_keys - n_queries + 1)
    return future == 0


@equivalent(replaces="causal_mask")
def last_rows_of_the_square(n_queries: int, n_keys: int | None = None) -> Tensor:
    """The square mask over all keys, of which the queries are the last rows."""
    if n_keys is None:
        n_keys = n_queries
    if n_keys < n_queries:
        raise ValueError("more queries than keys")
    square = torch.tril(torch.ones(n_keys, n_keys)).bool()
    return square[n_keys - n_queries :]


@equivalent(replaces="causal_mask")
def causal_by_loops(n_queries: int, n_keys: int | None = None) -> Tensor:
    """One row at a time: the past, itself, and nothing after."""
    n_keys = n_queries if n_keys is None else n_keys
    if n_keys < n_queries:
        raise ValueError("more queries than keys")
    mask = torch.zeros(n_queries, n_keys, dtype=torch.bool)
    for i in range(n_queries):
        mask[i, : n_keys - n_queries + i + 1] = True
    return mask


@equivalent(replaces="padding_mask")
def padding_by_loops(lengths: Tensor, max_length: int | None = None) -> Tensor:
    """One sequence at a time."""
    longest = int(lengths.max())
    width = longest if max_length is None else max_length
    if width < longest:
        raise ValueError("max_length cuts tokens off")
    mask = torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, length in zip(mask, lengths, strict=True):
        row[: int(length)] = True
    return mask


@equivalent(replaces="padding_mask")
def padding_by_counting(lengths: Tensor, max_length: int | None = None) -> Tensor:
    """Counts positions from 1 by a running sum, compares with <=, and compares tensors for the error."""
    longest = lengths.max()
    if max_length is not None and longest > max_length:
        raise ValueError("max_length cuts tokens off")
    width = longest.item() if max_length is None else max_length
    position = torch.ones(lengths.shape[0], width).cumsum(dim=1)  # (B, L), from 1
    return position <= lengths.unsqueeze(1)


@equivalent(replaces="padding_mask")
def padding_by_pad_sequence(lengths: Tensor, max_length: int | None = None) -> Tensor:
    """Pads runs of True with the library, then widens the result."""
    runs = [torch.ones(n, dtype=torch.bool) for n in lengths.tolist()]
    mask = torch.nn.utils.rnn.pad_sequence(runs, batch_first=True, padding_value=False)
    if max_length is None:
        return mask
    if max_length < mask.shape[1]:
        raise ValueError("max_length cuts tokens off")
    return torch.nn.functional.pad(mask, (0, max_length - mask.shape[1]), value=False)


@equivalent(replaces="masked_softmax")
def fill_and_nan_to_num(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """where instead of masked_fill; NaN is replaced at the end, and where stops its gradient."""
    if mask is not None:
        scores = torch.where(mask, scores, float("-inf"))
    weights = torch.nn.functional.softmax(scores, dim=-1)
    return weights if mask is None else torch.nan_to_num(weights, nan=0.0)


@equivalent(replaces="masked_softmax")
def by_hand(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """exp over sum, shifted by the largest visible score; no NaN appears, not even on the way back."""
    x = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    if mask is not None:
        x = x.masked_fill(mask.logical_not(), -math.inf)
    peak = x.detach().amax(dim=-1, keepdim=True)
    peak = torch.where(peak == -math.inf, torch.zeros_like(peak), peak)
    powers = torch.exp(x - peak)
    total = powers.sum(dim=-1, keepdim=True)
    return (powers / total.clamp(min=torch.finfo(x.dtype).tiny)).to(scores.dtype)


@equivalent(replaces="masked_softmax")
def by_logsumexp(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """exp(score - logsumexp), in float32 at least, zeroed afterwards."""
    x = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is None:
        return torch.exp(x - torch.logsumexp(x, -1, keepdim=True)).to(scores.dtype)
    x = x.masked_fill(~mask, -torch.inf)
    weights = torch.exp(x - torch.logsumexp(x, -1, keepdim=True))
    return torch.where(mask, weights, 0.0).to(scores.dtype)


@equivalent(replaces="masked_softmax")
def lowest_finite_fill(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Fills with the dtype's lowest finite value; blind rows come out uniform and are multiplied by 0."""
    if mask is None:
        return scores.softmax(-1)
    filled = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return filled.softmax(-1) * mask


@equivalent(replaces="masked_softmax")
def blind_rows_apart(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Gives a row that sees nothing harmless scores before the softmax, and takes its weights away after."""
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    mask = mask.expand(scores.shape)
    sees = mask.any(dim=-1, keepdim=True)  # (..., 1)
    safe = scores.masked_fill(~sees, 0.0).masked_fill(sees & ~mask, -math.inf)
    return torch.softmax(safe, dim=-1) * sees


@equivalent(replaces="masked_softmax")
def in_float64(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Everything in float64, with the mask spread out first and None treated as a mask of True."""
    x = scores.double()
    visible = torch.ones_like(x, dtype=torch.bool) if mask is None else mask.broadcast_to(x.shape)
    x = x.clone()
    x[~visible] = -math.inf
    weights = torch.softmax(x, -1)
    return torch.where(visible, weights, torch.zeros_like(weights)).type_as(scores)


@equivalent(replaces="masked_softmax")
def row_by_row(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """A loop over rows; the softmax sees the visible keys alone and is scattered back to their places."""
    if mask is None:
        return torch.softmax(scores, -1)
    n_keys = scores.size(-1)
    rows = []
    for row, sees in zip(scores.reshape(-1, n_keys), mask.expand_as(scores).reshape(-1, n_keys), strict=True):
        keys = sees.nonzero().squeeze(1)
        rows.append(torch.zeros_like(row).index_put((keys,), torch.softmax(row[keys], 0)))
    return torch.stack(rows).reshape(scores.shape)


@equivalent(replaces="masked_softmax")
def double_where(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Clears masked scores before the exp and masked powers after it, so that neither pass meets an inf."""
    if mask is None:
        return solution.masked_softmax(scores)
    x = scores.float() if scores.element_size() == 2 else scores
    x = torch.where(mask, x, torch.zeros((), dtype=x.dtype))
    lowest = torch.finfo(x.dtype).min
    peak = torch.where(mask, x, lowest).max(dim=-1, keepdim=True).values
    powers = torch.where(mask, torch.exp(torch.where(mask, x - peak, 0.0)), 0.0)
    total = powers.sum(-1, keepdim=True)
    return torch.where(total > 0, powers / torch.where(total > 0, total, 1.0), 0.0).to(scores.dtype)


@equivalent(replaces="masked_softmax")
def masked_log_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """exp of log_softmax, asked for in float32 or float64; the mask is inverted first and used twice."""
    dtype = torch.float64 if scores.dtype == torch.float64 else torch.float32
    hidden = torch.zeros((), dtype=torch.bool) if mask is None else mask == 0
    filled = scores.masked_fill(hidden, -math.inf)
    return torch.log_softmax(filled, dim=-1, dtype=dtype).exp().masked_fill(hidden, 0).to(scores.dtype)
