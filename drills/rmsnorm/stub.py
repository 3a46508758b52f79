"""# RMSNorm

The normalisation of LLaMA, Mistral, Qwen and most other recent language
models: LayerNorm without the mean and without the bias.

    y = x / sqrt(mean(x**2) + eps) * weight

Write it as a function and as a module:

- `rms_norm(x, weight=None, eps=1e-6)`: every vector along the last
  dimension has its own statistic, nothing is shared between tokens.
- `RMSNorm(dim, eps=1e-6)`: the same with a learned gain. Exactly one
  parameter, `weight` of shape (dim,), ones at the start; its state_dict
  holds `weight` and nothing else.

Rules

- `eps` is part of the mean square, inside the root, exactly as given
  (also 0.0). With eps > 0 a vector of zeros stays zeros.
- float16 and bfloat16: the statistics, mean square and root, are computed
  and stay in float32. float64 keeps float64 accuracy.
- The result has x's dtype, whatever dtype `weight` has. Whether you round
  to it before or after multiplying by `weight` is yours to choose.
- x may have any number of leading dimensions and any strides; inputs are
  never changed in place.
- Gradients reach x and weight, also through the root mean square; vectors
  of zeros included.
- Not allowed: `torch.nn.RMSNorm`, `torch.rms_norm`,
  `torch.nn.functional.rms_norm`.

Papers

- Zhang & Sennrich 2019, Root Mean Square Layer Normalization
- Touvron et al. 2023, LLaMA, section 2.2
"""

from torch import Tensor, nn


def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x**2) + eps) * weight, over the last dimension.

    x: (..., E), floating point. weight: (E,), of any floating dtype, or None for no gain.
    Returns (..., E) in x.dtype.
    """
    raise NotImplementedError


class RMSNorm(nn.Module):
    """rms_norm with a learned gain: one parameter, weight (dim,), ones at the start."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim). Returns (..., dim) in x.dtype."""
        raise NotImplementedError
