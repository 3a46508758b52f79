"""Stub and solution from code that exists: a function or class of a module, with what it needs of the module."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

from grader.errors import BadInput
from grader.scaffold import Taken

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_ADVICE = "For example: drills new my_topic --from model.py:my_function"


def take(spec: str) -> Taken:
    """From `module.py:name`. The code is read, not run. Raises BadInput."""
    path, _, name = spec.rpartition(":")
    file = Path(path)
    if not path or not name.isidentifier() or file.suffix != ".py":
        raise BadInput(f"{spec!r} is not FILE.py:NAME.", _ADVICE)
    try:
        source = file.read_text(encoding="utf-8-sig")
        module = ast.parse(source)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.", _ADVICE) from None
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"{file} is not Python: {error}.", "Mend it first.") from None
    if not any(isinstance(node, _Definition) and node.name == name for node in module.body):
        there = ", ".join(node.name for node in module.body if isinstance(node, _Definition)) or "nothing"
        raise BadInput(f"{file} defines no function or class {name} at its top level.", f"It defines: {there}")
    kept = _needed(module, name)
    return Taken(stub=_stub(module, kept, source), solution=_solution(kept, source), name=name)


def _needed(module: ast.Module, name: str) -> list[ast.stmt]:
    """The definition, and all of the module's own that it needs, in the module's order."""
    by_name = {bound: node for node in module.body for bound in _binds(node)}
    wanted, waiting = set[int](), [name]
    while waiting:
        node = by_name.get(waiting.pop())
        if node is not None and id(node) not in wanted:
            wanted.add(id(node))
            waiting += sorted({each.id for each in ast.walk(node) if isinstance(each, ast.Name)} - set(dir(builtins)))
    return [node for node in module.body if id(node) in wanted or _is_future(node)]


def _binds(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, _Definition):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _solution(kept: list[ast.stmt], source: str) -> str:
    return _join('"""The reference solution."""', [(_text(node, source), _is_import(node)) for node in kept])


def _text(node: ast.stmt, source: str) -> str:
    """A statement as it is written, decorators and all."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def _stub(module: ast.Module, kept: list[ast.stmt], source: str) -> str:
    """Public signatures and docstrings; the imports that they need; nothing of how it is done."""
    shown = [_emptied(node) for node in kept if isinstance(node, _Definition) and not node.name.startswith("_")]
    text = "\n\n\n".join(shown)
    used = {each.id for node in ast.parse(text).body for each in ast.walk(node) if isinstance(each, ast.Name)}
    imports = [node for node in kept if _is_import(node) and (_is_future(node) or used & set(_binds(node)))]
    task = ast.get_docstring(module) or "TODO: the task that the learner reads, in Markdown."
    parts = [(_text(node, source), True) for node in imports] + [(each, False) for each in shown]
    return _join(f'"""{task}\n"""', parts)


def _emptied(node: _Definition) -> str:
    """A definition without what it does."""
    if isinstance(node, ast.ClassDef):
        methods = [
            each for each in node.body
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            and (each.name == "__init__" or not each.name.startswith("_"))
        ]  # fmt: skip
        inside: list[ast.stmt] = [*_docstring(node), *(_without_body(each) for each in methods)]
        emptied: ast.stmt = ast.ClassDef(
            node.name, node.bases, node.keywords, inside or [ast.Pass()], node.decorator_list,
            **({"type_params": node.type_params} if hasattr(node, "type_params") else {}),
        )  # fmt: skip
        return ast.unparse(ast.fix_missing_locations(emptied))
    return ast.unparse(ast.fix_missing_locations(_without_body(node)))


def _without_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    node = ast.parse(ast.unparse(node)).body[0]  # type: ignore[assignment]  # a copy
    node.body = [*_docstring(node), ast.parse("raise NotImplementedError").body[0]]
    return node


def _docstring(node: _Definition) -> list[ast.stmt]:
    return [node.body[0]] if ast.get_docstring(node) is not None else []


def _join(head: str, parts: list[tuple[str, bool]]) -> str:
    """Imports together, everything else apart."""
    text = head
    before = None
    for part, is_import in parts:
        text += ("\n" if before and is_import else "\n\n" if is_import else "\n\n\n") + part
        before = is_import
    return text + "\n"
