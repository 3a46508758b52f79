"""Reads a learner's source for calls that the drill rules out.

The traps in the runner stop such a call when it happens; this finds it in the text, in the trusted process, where the
code cannot answer back. Names are resolved through imports, aliases and `getattr` with a literal, so that a learner's
own function `rms_norm` is not taken for torch's. Code that never runs when the module is imported and graded is left
alone: blocks under `if __name__ == "__main__"` and helpers that nothing refers to.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_PRIVATE = {"solutions", "drills"}  # the reference solution and the drill's own folder, in every drill


class Use(NamedTuple):
    """One use of a ruled-out name: the full name and where it stands."""

    name: str
    line: int


def is_private(dotted: str) -> bool:
    """Whether a dotted name lies in the course's own rooms."""
    return dotted.split(".", 1)[0] in _PRIVATE


def find_uses(source: bytes, forbidden: Sequence[str], operators: Sequence[str], public: set[str]) -> list[Use]:
    """Uses of ruled-out names in code that grading can reach. `public`: the names that the hidden tests may call."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # the runner's compiler says so better
    body = [node for node in tree.body if not _is_main_guard(node)]
    reader = _Reader(_Rules(forbidden, operators))
    for node in body:
        reader.learn(node)
    uses = [use for node in _reachable(body, public) for use in reader.uses(node)]
    return sorted(set(uses), key=lambda use: use.line)


class _Rules:
    def __init__(self, forbidden: Sequence[str], operators: Sequence[str]) -> None:
        self._names = [name for name in forbidden if not name.endswith("*")]
        self._prefixes = [name[:-1] for name in forbidden if name.endswith("*")]
        self._leaves = {name.rsplit(".", 1)[1] for name in self._names if name.count(".")}
        self._leaves |= {op.split("::")[-1] for op in operators}

    def match(self, dotted: str) -> bool:
        """Whether a resolved dotted name is ruled out, also by another path into torch to the same thing."""
        if is_private(dotted):
            return True
        if any(dotted == name or dotted.startswith(name + ".") for name in self._names):
            return True
        if any(dotted.startswith(prefix) for prefix in self._prefixes):
            return True
        return dotted.startswith("torch.") and dotted.rsplit(".", 1)[1] in self._leaves and "." in dotted[6:]


class _Reader:
    """Resolves names of one module to dotted paths."""

    def __init__(self, rules: _Rules) -> None:
        self._rules = rules
        self._aliases: dict[str, str] = {}
        self._stars: list[str] = []

    def learn(self, root: ast.AST) -> None:
        """Take note of imports and plain aliases, wherever they stand."""
        for node in ast.walk(root):
            if isinstance(node, ast.Import):
                for name in node.names:
                    self._aliases[name.asname or name.name.split(".")[0]] = (
                        name.name if name.asname else name.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for name in node.names:
                    if name.name == "*":
                        self._stars.append(node.module)
                    else:
                        self._aliases[name.asname or name.name] = f"{node.module}.{name.name}"
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                dotted = self.resolve(node.value)
                if dotted and node.targets[0].id not in self._aliases:
                    self._aliases[node.targets[0].id] = dotted
        if isinstance(root, ast.FunctionDef | ast.ClassDef):
            self._aliases[root.name] = ""  # the learner's own, whatever was imported under that name before

    def resolve(self, node: ast.AST) -> str | None:
        """The dotted path that an expression means, if it is a plain one."""
        if isinstance(node, ast.Name):
            if node.id in self._aliases:
                return self._aliases[node.id] or None
            starred = [f"{module}.{node.id}" for module in self._stars]
            return next((name for name in starred if self._rules.match(name)), None)
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value)
            return f"{base}.{node.attr}" if base else None
        return self._resolve_call(node) if isinstance(node, ast.Call) else None

    def _resolve_call(self, call: ast.Call) -> str | None:
        literals = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if not literals:
            return None
        if name == "getattr" and len(call.args) >= 2:
            base = self.resolve(call.args[0])
            return f"{base}.{literals[0]}" if base else None
        return literals[0] if name in ("import_module", "__import__") else None

    def uses(self, root: ast.AST) -> Iterator[Use]:
        for node in ast.walk(root):
            if isinstance(node, ast.Import | ast.ImportFrom):
                # An import that nothing uses is harmless; one of the course's own rooms is not.
                yield from (Use(name, node.lineno) for name in _imported(node) if is_private(name))
            elif isinstance(node, ast.Name | ast.Attribute | ast.Call) and not _is_target(node):
                found = self.resolve(node)
                if found and self._rules.match(found):
                    yield Use(found, node.lineno)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [f"{node.module}.{name.name}" for name in node.names] if node.module and not node.level else []


def _is_target(node: ast.expr) -> bool:
    return not isinstance(getattr(node, "ctx", None), ast.Load | None)


def _is_main_guard(node: ast.stmt) -> bool:
    """`if __name__ == "__main__":` without an else, which grading never runs."""
    if not isinstance(node, ast.If) or node.orelse or not isinstance(node.test, ast.Compare):
        return False
    sides = [node.test.left, *node.test.comparators]
    names = {n.id for n in sides if isinstance(n, ast.Name)}
    values = {n.value for n in sides if isinstance(n, ast.Constant)}
    return names == {"__name__"} and values == {"__main__"} and isinstance(node.test.ops[0], ast.Eq)


def _reachable(body: list[ast.stmt], public: set[str]) -> list[ast.stmt]:
    """Top-level statements that run on import, and definitions that they or the public names lead to."""
    definitions = {n.name: n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)}
    reached = [n for n in body if n not in definitions.values()]
    reached += [n for name, n in definitions.items() if name in public or n.decorator_list]
    seen = {id(n) for n in reached}
    queue = list(reached)
    while queue:
        for node in ast.walk(queue.pop()):
            name = node.id if isinstance(node, ast.Name) else None
            target = definitions.get(name) if name else None
            if target is not None and id(target) not in seen:
                seen.add(id(target))
                reached.append(target)
                queue.append(target)
    return reached
