"""RMSNorm: divide each feature vector by its root mean square, then scale every feature by a learned gain.

Zhang & Sennrich, 2019, Root Mean Square Layer Normalization, section 4, equation 4 (there without eps).
"""

import torch
from torch import Tensor, nn


def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x**2) + eps) * weight, over the last dimension.

    x: (..., E), any number of leading dimensions. weight: (E,), of any floating dtype, or None for no gain.
    Returns (..., E) in x.dtype. Half precision is computed in float32 up to the last rounding: the square of
    300 is already beyond float16.
    """
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    mean_square = wide.square().mean(dim=-1, keepdim=True)  # (..., 1)
    y = wide * torch.rsqrt(mean_square + eps)  # (..., E)
    if weight is not None:
        y = y * weight
    return y.to(x.dtype)


class RMSNorm(nn.Module):
    """rms_norm with a learned gain: one parameter, weight (dim,), ones at the start. No bias."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim). Returns (..., dim) in x.dtype."""
        return rms_norm(x, self.weight, self.eps)
