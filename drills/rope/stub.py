"""# Rotary position embedding (RoPE)

How LLaMA, Mistral, Qwen and most other recent language models tell a token
where it stands. Nothing is added to the embeddings. Queries and keys are
split into pairs of channels, and pair i of the token at position p is turned
by an angle:

    t = p * base**(-2i / d_head)           i = 0 ... d_head/2 - 1
    (a, b) -> (a cos t - b sin t, a sin t + b cos t)

Two turned vectors have a dot product that depends on p_query - p_key alone:
absolute positions go in, relative ones come out.

- `rope_angles(positions, d_head, base)`: the table of t, float32.
- `apply_rope(x, positions, base, interleaved)`: the rotation. Which channels
  form pair i is a convention, and checkpoints depend on it:
  interleaved=True takes (2i, 2i + 1), as in the paper; False takes
  (i, i + D/2), as LLaMA checkpoints in the Hugging Face layout expect.
  Channels stay where they are: the result has the layout of x.

Rules

- positions are integers as given: any order, any start, negative ones too,
  repeated, far beyond what a model was trained on.
- x is (..., L, D) with any number of leading dims, D even, any strides.
  Row l of every sequence and head is turned for positions[l].
- The result has x's dtype. float16 and bfloat16: angles, cos, sin and the
  rotation in float32, rounded to x's dtype once, at the end. float64: cos,
  sin and the rotation in float64; angles from rope_angles are good enough.
- Nothing in place. The gradient of x is right.
- ValueError for an odd d_head in rope_angles.

Paper: Su et al. 2021, RoFormer, sections 3.2.2 and 3.4.2.
"""

from torch import Tensor


def rope_angles(positions: Tensor, d_head: int, base: float = 10000.0) -> Tensor:
    """The angle of every pair at every position: position * base**(-2i / d_head).

    positions: (L,), integers of either sign, in any order. d_head: the size of one head, an even number.
    Returns float32 (L, d_head / 2). ValueError if d_head is odd.
    """
    raise NotImplementedError


def apply_rope(x: Tensor, positions: Tensor, base: float = 10000.0, interleaved: bool = False) -> Tensor:
    """Rotate each pair of channels by its angle at the token's position.

    x: (..., L, D), floating point, D even. positions: (L,), integers of either sign, in any order.
    interleaved: True pairs channels (2i, 2i + 1), False pairs (i, i + D/2).
    Returns (..., L, D) in x.dtype.
    """
    raise NotImplementedError
