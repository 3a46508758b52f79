"""What a drill's `mistakes.py` and `equivalents.py` are written with.

Both files hold functions or classes that stand in for one name of the reference solution; all other names stay
the reference's own. A mistake is a wrong answer that candidates really give: `grader validate` proves that the
hidden tests reject it, and a learner whose outputs are the mistake's is told about it. An equivalent is a right
answer of another shape: it must pass.

This module imports nothing heavy and holds nothing secret: the runner has it too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T", bound=Callable[..., Any])

KINDS = ("mistake", "equivalent")
_ATTRIBUTE = "__drill_stand_in__"


class StandIn(NamedTuple):
    """One mistake or equivalent: `target` replaces the reference's name `replaces`."""

    kind: str  # "mistake" or "equivalent"
    name: str
    replaces: str
    target: Any
    tells: str = ""
    question: str = ""


def mistake(*, replaces: str, tells: str, question: str) -> Callable[[T], T]:
    """Mark a wrong answer.

    replaces: the name of the reference solution that it stands in for.
    tells: one or two sentences to its author: what is wrong and what to do instead.
    question: the id of the interview question (in `qa.md`) that explains it.
    """

    def mark(target: T) -> T:
        setattr(target, _ATTRIBUTE, StandIn("mistake", target.__name__, replaces, target, tells, question))
        return target

    return mark


def equivalent(*, replaces: str) -> Callable[[T], T]:
    """Mark a right answer of another shape, which must pass. Its docstring says what is different about it."""

    def mark(target: T) -> T:
        setattr(target, _ATTRIBUTE, StandIn("equivalent", target.__name__, replaces, target))
        return target

    return mark


def stand_ins(namespace: dict[str, Any], kind: str) -> list[StandIn]:
    """The stand-ins of one kind that a module's namespace defines, in the order they were written."""
    found = []
    for value in namespace.values():
        mark = getattr(value, "__dict__", {}).get(_ATTRIBUTE)
        if isinstance(mark, StandIn) and mark.kind == kind:
            found.append(mark)
    return found


class StandInName(NamedTuple):
    """A stand-in as its file names it, without the file being run."""

    kind: str
    name: str
    file: str


def read_stand_ins(path: Path) -> list[StandInName]:
    """The stand-ins that a file defines, read from its text: no torch is needed to know their names."""
    import ast

    found = []
    for node in ast.parse(path.read_bytes()).body:
        for decorator in getattr(node, "decorator_list", []):
            name = getattr(getattr(decorator, "func", None), "id", "")
            if name in KINDS and isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.append(StandInName(name, node.name, str(path)))
    return found


class _Solution:
    """Stands for the reference solution's module inside `mistakes.py` and `equivalents.py`."""

    _module: ModuleType | None = None

    def __getattr__(self, name: str) -> Any:
        if self._module is None:
            raise AttributeError(f"solution.{name}: the reference solution is loaded only while a check runs")
        return getattr(self._module, name)


solution: Any = _Solution()


def bind_solution(module: ModuleType | None) -> None:
    """Point `solution` at a loaded reference module (the engine's business, not a drill's)."""
    object.__setattr__(solution, "_module", module)
