"""Right answers of other shapes: as different from each other as people's code is. All of them must pass."""

import torch

from grader.authoring import equivalent


@equivalent(replaces="my_drill")
def by_sum(x):
    """The mean spelt out."""
    if x.dim() == 0:
        raise ValueError
    return x - x.sum(-1, keepdim=True, dtype=torch.float64).to(x.dtype) / x.shape[-1]


@equivalent(replaces="my_drill")
def row_by_row(x):
    """A loop."""
    if x.dim() == 0:
        raise ValueError
    rows = [row - row.mean() for row in x.reshape(-1, x.shape[-1])]
    return torch.stack(rows).reshape(x.shape)
