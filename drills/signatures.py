"""Do a stub and its solution have the same public face? Both are read, neither is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def compare(stub: ast.Module, solution: ast.Module) -> Iterator[str]:
    """Every difference, in one sentence each: missing names, parameters, defaults, annotations."""
    asked, given = public_face(stub), public_face(solution)
    for name in given.keys() - asked.keys():
        yield f"the stub lacks {name}, which the solution has"
    for name in asked.keys() - given.keys():
        yield f"the stub has {name}, which the solution lacks"
    for name in (name for name in given if name in asked):
        if asked[name] != given[name]:
            yield f"{name} is `{asked[name]}` in the stub and `{given[name]}` in the solution"


def public_face(module: ast.Module) -> dict[str, str]:
    """Public functions, classes and their public methods, each with its signature as text."""
    face: dict[str, str] = {}
    for node in module.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            face[node.name] = _signature(node)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            face[node.name] = f"class {node.name}"
            face.update(_methods(node))
    return face


def _methods(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for inside in node.body:
        if isinstance(inside, Function) and (inside.name == "__init__" or not inside.name.startswith("_")):
            yield f"{node.name}.{inside.name}", _signature(inside)


def _signature(node: Function) -> str:
    """As it is written, in one spelling: `ast` drops layout, comments and the kind of quotes."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{kind} {node.name}({ast.unparse(node.args)}){returns}"
