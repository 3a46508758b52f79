"""Small changes to a reference solution, each of which its hidden tests should reject.

A mutant is the source with one place changed, the way people slip: another dim, a dropped transpose or cast, swapped
operands or names, a constant off by one, a comparison loosened, a ValueError that is never raised. What survives the
hidden tests is a hole in them, or computes the same; the latter is listed with its reason in the drill's
`mutants.toml`.

The operators are those of mutation testing (DeMillo, Lipton & Sayward 1978, Hints on Test Data Selection) and those
that tensor code asks for. Everything is read from the text: nothing of a drill is run here.
"""

from __future__ import annotations

import ast
import difflib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from grader.mutations import Function, replacements


class Mutant(NamedTuple):
    """`name` says where and what: `rms_norm: mean_square + eps => mean_square - eps`; it is unique in its solution."""

    name: str
    line: int
    source: str


class Edit(NamedTuple):
    """Replace the text of `node` by `text`."""

    node: ast.expr | ast.stmt
    text: str
    function: str  # the qualified name of what it is in, "" for the module


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a solution, in the order of its lines; no two of them are the same program."""
    tree = ast.parse(source)
    seen = {ast.dump(tree)}
    names: Counter[str] = Counter()
    found = []
    for edit in _edits(tree):
        changed = _apply(source, edit)
        program = _program(changed)
        if program is None or program in seen:
            continue
        seen.add(program)
        name = _name(source, changed, edit.function)
        names[name] += 1
        unique = name if names[name] == 1 else f"{name} ({names[name]})"
        found.append(Mutant(unique, edit.node.lineno, changed))
    return sorted(found, key=lambda mutant: mutant.line)


def diff(source: str, mutant: Mutant, filename: str) -> str:
    """The mutant against its solution, as a unified diff with one line of context."""
    lines = difflib.unified_diff(source.splitlines(), mutant.source.splitlines(), filename, "mutant", lineterm="", n=1)
    return "\n".join(lines)


def _program(source: str) -> str | None:
    """What makes two sources the same program; None where it is not Python."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return None


def _edits(tree: ast.Module) -> Iterator[Edit]:
    yield from _walk(tree, "", None)


def _walk(node: ast.AST, where: str, function: Function | None) -> Iterator[Edit]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}" if where else node.name
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node
    if isinstance(node, ast.expr | ast.stmt):
        for text in replacements(node, function):
            yield Edit(node, text, where)
    for child in _children(node):
        yield from _walk(child, where, function)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What may be changed: no imports, annotations, decorators, docstrings or texts of error messages."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.Assert | ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.arg) or not isinstance(child, ast.AST):
                continue
            if not _is_docstring(child):
                yield child


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _apply(source: str, edit: Edit) -> str:
    """The source with the node's text replaced; offsets of `ast` count bytes of UTF-8."""
    lines = source.encode().splitlines(keepends=True)
    node = edit.node
    assert node.end_lineno is not None and node.end_col_offset is not None
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    indent = b"\n" + b" " * node.col_offset
    return (before + edit.text.encode().replace(b"\n", indent) + after).decode()


def _name(source: str, changed: str, function: str) -> str:
    """The lines that differ, before and after."""
    old, new = source.splitlines(), changed.splitlines()
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    same = 0
    while same < min(len(old), len(new)) - first and old[-1 - same] == new[-1 - same]:
        same += 1
    change = f"{_joined(old[first : len(old) - same])} => {_joined(new[first : len(new) - same])}"
    return f"{function}: {change}" if function else change


def _joined(lines: list[str]) -> str:
    return " ".join(line.partition("  # ")[0].strip() for line in lines) or "(nothing)"
