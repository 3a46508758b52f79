"""BERT's corruption of the input for masked language modelling: 15% selected, of these 80/10/10.

Devlin et al., 2019, BERT, section 3.1 (Task #1: Masked LM) and appendix A.1.
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

    input_ids: (..., L), any integer dtype that holds -100.
    Returns (inputs, labels), both (..., L) in input_ids.dtype. Each token that is not special is selected with
    mask_probability; of the selected 80% become mask_token_id, 10% an id drawn uniformly from
    0..vocab_size-1 and 10% stay. labels holds the original id where selected, and -100, which cross entropy
    ignores, elsewhere. Every token is decided on its own. Randomness comes from generator alone, or from
    torch's global one if it is None.
    """

    def coin(probability: float) -> Tensor:
        """(..., L) bool: one toss for each token."""
        chances = torch.full_like(input_ids, probability, dtype=torch.float32)
        return torch.bernoulli(chances, generator=generator).bool()

    selected = coin(mask_probability)  # (..., L)
    for special in special_token_ids:
        selected &= input_ids != special
    labels = input_ids.masked_fill(~selected, -100)

    masked = selected & coin(0.8)  # (..., L)
    replaced = selected & ~masked & coin(0.5)  # half of the other 20%
    random_ids = torch.randint(
        vocab_size, input_ids.shape, generator=generator, dtype=input_ids.dtype, device=input_ids.device
    )
    inputs = input_ids.masked_fill(masked, mask_token_id)
    return torch.where(replaced, random_ids, inputs), labels
