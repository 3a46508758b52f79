"""Rotary position embedding: turn each pair of channels by an angle proportional to the token's position.

Su et al., 2021, RoFormer: Enhanced Transformer with Rotary Position Embedding, sections 3.2.2 and 3.4.2,
equations 15 and 34. https://arxiv.org/abs/2104.09864
"""

import torch
from torch import Tensor


def rope_angles(positions: Tensor, d_head: int, base: float = 10000.0) -> Tensor:
    """The angle of every pair at every position: position * base**(-2i / d_head), i = 0 ... d_head/2 - 1.

    positions: (L,), integers of either sign, in any order. d_head: the size of one head. ValueError if it is odd.
    Returns float32 (L, d_head / 2).
    """
    return _angles(positions, d_head, base, torch.float32)


def apply_rope(x: Tensor, positions: Tensor, base: float = 10000.0, interleaved: bool = False) -> Tensor:
    """Rotate the pairs of x (queries or keys, never values), each by its angle at its position.

    x: (..., L, D), any number of leading dimensions, D even. positions: (L,), integers of either sign, in any order.
    interleaved: True takes (2i, 2i + 1) for a pair, as in RoFormer; False takes (i, i + D/2), as LLaMA
        checkpoints in the Hugging Face layout expect.
    Returns (..., L, D) in x.dtype. Half precision is rotated in float32, float64 in float64.
    """
    compute = torch.promote_types(x.dtype, torch.float32)  # float32 for half precision, else x's own
    angles = _angles(positions, x.shape[-1], base, compute)  # (L, D/2)
    cos, sin = angles.cos(), angles.sin()
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]  # (..., L, D/2) each
    else:
        a, b = x.chunk(2, dim=-1)  # (..., L, D/2) each
    rotated = (a * cos - b * sin, a * sin + b * cos)  # bfloat16 times float32 is float32
    y = torch.stack(rotated, dim=-1).flatten(-2) if interleaved else torch.cat(rotated, dim=-1)  # (..., L, D)
    return y.to(x.dtype)


def _angles(positions: Tensor, d_head: int, base: float, dtype: torch.dtype) -> Tensor:
    if d_head % 2:
        raise ValueError(f"channels are rotated in pairs, so d_head must be even: got {d_head}")
    exponents = torch.arange(0, d_head, 2, dtype=dtype, device=positions.device) / d_head  # (D/2,): 2i / D
    return positions[:, None] * base**-exponents  # (L, 1) * (D/2,) -> (L, D/2)
