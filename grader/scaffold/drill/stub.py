"""# My drill

This text is the task that the learner reads, in Markdown: what to write, the shapes, the rules.

- `my_drill`: x less its mean over the last dimension.

Rules

- Any number of leading dimensions; x stays as it is.
- The result has x's dtype and device.
"""

from torch import Tensor


def my_drill(x: Tensor) -> Tensor:
    """x - mean(x) over the last dim. x (..., E) -> (..., E). Raises ValueError if x has no dimension."""
    raise NotImplementedError
