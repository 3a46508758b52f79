"""A drill's texts as the app shows them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from drills.catalogue import Drill
from grader.progress import DrillState
from tui.settings import Language

Function = ast.FunctionDef | ast.AsyncFunctionDef


def title_of(drill: Drill, language: Language) -> str:
    """The drill's title in the language of the learner's choice."""
    return drill.title_zh if language == "zh" else drill.title


def task_markdown(drill: Drill, state: DrillState, file: Path, language: Language) -> str:
    """Everything about what is to be written. Raises BrokenDrill."""
    summary = drill.summary_zh if language == "zh" else drill.summary
    facts = [f"difficulty {'●' * drill.difficulty}{'○' * (5 - drill.difficulty)}", _standing(state)]
    if drill.prerequisites:
        facts.append("after " + ", ".join(f"`{slug}`" for slug in drill.prerequisites))
    parts = [
        f"# {title_of(drill, language)}",
        f"*{summary}*",
        f"{' · '.join(facts)}  \nYour file: `{short_path(file)}`",  # two spaces: a line break
        _without_title(drill.task),
        "## Signatures",
        f"```python\n{signatures(drill.stub_source)}\n```",
    ]
    if drill.references:
        parts.append("## References")
        parts.append("\n".join(f"- {each.title}: [{each.url}]({each.url})" for each in drill.references))
    return "\n\n".join(parts)


def _standing(state: DrillState) -> str:
    words = {"due": "due again", "seen": "passed after seeing the solution"}
    tries = f", {state.attempts} attempt{'s' if state.attempts > 1 else ''}" if state.attempts else ""
    return words.get(state.state, state.state) + tries


def _without_title(task: str) -> str:
    """The docstring without a heading of its own: the title stands above it."""
    first, _, rest = task.partition("\n")
    return rest.strip() if first.startswith("# ") else task


def short_path(file: Path) -> str:
    """The path as one would type it."""
    try:
        return str(Path("~") / file.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(file)


def signatures(stub: str) -> str:
    """The stub's functions and classes with their docstrings, without bodies, in the layout of the stub."""
    lines = stub.splitlines()
    replaced: dict[int, str | None] = {}  # by line number: what stands there instead, None for nothing
    tree = ast.parse(stub)
    for body, indent in _bodies(tree):
        first = body[0].lineno
        for number in range(first, (body[-1].end_lineno or first) + 1):
            replaced[number] = None
        if indent is not None:
            replaced[first] = f"{' ' * indent}..."
    start = next((node.lineno for node in tree.body if isinstance(node, Function | ast.ClassDef)), 1)
    shown = (replaced.get(number, line) for number, line in enumerate(lines, 1) if number >= start)
    return "\n".join(line for line in shown if line is not None).strip()


def _bodies(tree: ast.Module) -> Iterator[tuple[list[ast.stmt], int | None]]:
    """The statements of each function after its docstring; the indent of a `...` where it has none."""
    for node in ast.walk(tree):
        if not isinstance(node, Function):
            continue
        described = ast.get_docstring(node, clean=False) is not None
        body = node.body[1:] if described else node.body
        if body:
            yield body, None if described else body[0].col_offset
