"""# BERT's masking: 15%, then 80/10/10

BERT learns by repairing its input. Some tokens are selected at random; the
model sees a corrupted copy and has to predict the originals, at the
selected positions only. Write the corruption of one batch.

`mask_tokens` returns (inputs, labels):

- Each token that is not special is selected with `mask_probability`.
- Of the selected tokens
  - 80% become `mask_token_id`,
  - 10% become an id drawn uniformly from 0..vocab_size-1. All of them: a
    special id, [MASK] or the original may come up,
  - 10% stay as they are.
- `labels` holds the original id of every selected token, also of those
  that stayed, and -100 everywhere else.

Rules

- Every token is decided on its own: what happens to one says nothing about
  its neighbours, other rows or equal ids, and no number of tokens is fixed
  in advance, neither for a row nor for a batch.
- Special are the ids in `special_token_ids` and no others: not 0, not the
  first position, not `mask_token_id`, unless listed. They are never selected
  or altered, and only the other tokens count for the probability.
- All randomness comes from `generator`, and a call moves it on: the same
  state gives the same result, the next call another one. With a generator,
  the global random state is neither read nor changed. Without one, use the
  global state.
- Both results have input_ids' shape and dtype. Any number of dimensions,
  any strides; no token at all and nothing to select are fine.
  input_ids itself stays as it is.

Papers

- Devlin et al. 2019, BERT, section 3.1 and appendix A.1
- Liu et al. 2019, RoBERTa, section 4.1 (a new mask for every epoch)
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def mask_tokens(
    input_ids: Tensor,
    vocab_size: int,
    mask_token_id: int,
    special_token_ids: Sequence[int],
    mask_probability: float = 0.15,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Corrupt a batch for masked language modelling and say what the model has to predict.

    input_ids: (..., L), int64 or int32, ids in 0..vocab_size-1.
    special_token_ids: the ids that are never selected; may be empty.
    generator: the only source of randomness; None stands for torch's global one.
    Returns (inputs, labels), both of input_ids' shape and dtype; labels is -100 where nothing is to be predicted.
    """
    raise NotImplementedError
