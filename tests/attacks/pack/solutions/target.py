"""The reference."""

import torch
from torch import Tensor, nn


def double(x: Tensor) -> Tensor:
    return 2 * x


def pick(n: int, generator: torch.Generator) -> Tensor:
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    return torch.rand(n, generator=generator)


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x
