"""What a drill's optional `evidence.py` is written with: claims of the answers, each decided by a computation.

    @evidence(question="why-sqrt", claim="The variance of q.k is d_k.", zh="q·k 的方差是 d_k。")
    def variance_is_d_k():
        gen = torch.Generator().manual_seed(0)
        ...
        return Finding(abs(variance / 64 - 1) < 0.05, "Var(q.k) = {:.1f}, d_k = {}", variance, 64)

A claim that printed answers make, and that the computation refutes, is marked `wrong=True`. The functions take no
arguments, fix their own seeds, and need less than a second and 200 MB. `grader.authoring.solution` is the reference.

This module imports nothing heavy: `evidence.py` imports torch itself, in a process of its own (grader/computing.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

_ATTRIBUTE = "__drill_evidence__"

T = TypeVar("T", bound=Callable[[], "Finding"])


class Finding:
    """What a computation found: whether the claim holds, and the figure that shows it.

    figure: a format string (`str.format`) for `values`; zh: the same in Chinese, where the figure has words in it.
    """

    def __init__(self, holds: Any, figure: str, *values: Any, zh: str = "") -> None:
        self.holds = bool(holds)
        self.values = tuple(value if isinstance(value, int) else float(value) for value in values)
        self.figure = figure.format(*self.values)
        self.figure_zh = (zh or figure).format(*self.values)


class Claim(NamedTuple):
    """One claim: `compute` decides whether it holds. `wrong`: printed answers say it, and it should be refuted."""

    name: str
    question: str
    claim: str
    claim_zh: str
    wrong: bool
    compute: Callable[[], Finding]


def evidence(*, question: str, claim: str, zh: str, wrong: bool = False) -> Callable[[T], T]:
    """Mark a computation.

    question: the id of the question (in `qa.md`) whose answer says it.
    claim, zh: one sentence in English and in Chinese, in words of your own.
    wrong: the claim is one of printed answers, and the computation refutes it.
    """

    def mark(compute: T) -> T:
        setattr(compute, _ATTRIBUTE, Claim(compute.__name__, question, claim, zh, wrong, compute))
        return compute

    return mark


def claims(namespace: dict[str, Any]) -> list[Claim]:
    """The claims that a module's namespace defines, in the order they were written."""
    found = (getattr(value, "__dict__", {}).get(_ATTRIBUTE) for value in namespace.values())
    return [mark for mark in found if isinstance(mark, Claim)]
