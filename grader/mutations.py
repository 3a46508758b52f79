"""The operators of mutation: what a piece of a solution may be replaced by. See `grader.mutants`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = {"torch", "math", "nn", "F", "np", "functional", "init"}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
# Functions that people take for one another, or forget half of.
CONFUSED = {
    "softmax": "log_softmax", "amax": "amin", "amin": "amax", "max": "min", "min": "max", "maximum": "minimum",
    "minimum": "maximum", "sum": "mean", "mean": "sum", "sin": "cos", "cos": "sin", "rsqrt": "sqrt", "exp": "expm1",
    "log": "log1p", "tril": "triu", "triu": "tril", "zeros": "ones", "ones": "zeros", "zeros_like": "ones_like",
    "ones_like": "zeros_like", "floor": "ceil", "any": "all", "all": "any", "repeat_interleave": "repeat",
    "rand": "randn", "new_zeros": "new_ones", "flatten": "unflatten", "isinf": "isfinite", "logaddexp": "maximum",
}  # fmt: skip
DTYPES = {
    "float32": ("float16", "bfloat16"), "float64": ("float32",), "int64": ("int32",), "long": ("int32",),
}  # fmt: skip
SYMMETRIC = {
    "transpose", "swapaxes", "swapdims", "max", "min", "maximum", "minimum", "promote_types", "logaddexp", "isclose",
    "logical_and", "logical_or",
}  # fmt: skip


def replacements(node: ast.AST, function: Function | None) -> Iterator[str]:
    """Texts to put in the place of `node`, an expression or a statement inside `function`."""
    operator = _OPERATORS.get(type(node))
    if operator is not None:
        yield from operator(node, function)


def _text(node: ast.AST) -> str:
    """Its text, in parentheses where it might otherwise bind to what stands beside it."""
    text = ast.unparse(ast.fix_missing_locations(node))
    simple = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.stmt)
    return text if isinstance(node, simple) else f"({text})"


def _constants(node: ast.Constant, _: Function | None) -> Iterator[str]:
    value = node.value
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
        yield str(value - 1) if value else "(-1)"
    elif isinstance(value, float):
        yield repr(value + 1.0)
        if value:
            yield repr(value / 2)


def _compared(node: ast.Compare, _: Function | None) -> Iterator[str]:
    if len(node.ops) == 1:
        for other in COMPARISONS.get(type(node.ops[0]), ()):
            yield _text(ast.Compare(node.left, [other()], node.comparators))


def _combined(node: ast.BoolOp, _: Function | None) -> Iterator[str]:
    yield _text(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))


def _chosen(node: ast.IfExp, _: Function | None) -> Iterator[str]:
    yield _text(node.body)
    yield _text(node.orelse)


def _dtypes(node: ast.Attribute, _: Function | None) -> Iterator[str]:
    if isinstance(node.value, ast.Name) and node.value.id == "torch":
        for dtype in DTYPES.get(node.attr, ()):
            yield _text(ast.Attribute(node.value, dtype))


def _subscripts(node: ast.Subscript, _: Function | None) -> Iterator[str]:
    for index in _indices(node.slice):
        yield _text(ast.Subscript(node.value, index))


def _binary(node: ast.BinOp, _: Function | None) -> Iterator[str]:
    if isinstance(node.left, ast.JoinedStr) or isinstance(node.right, ast.JoinedStr):
        return
    other = ARITHMETIC.get(type(node.op))
    if other is not None:
        yield _text(ast.BinOp(node.left, other(), node.right))
    if isinstance(node.op, ORDERED):
        yield _text(ast.BinOp(node.right, node.op, node.left))
    if not isinstance(node.op, ast.MatMult):
        yield _text(node.left)
        yield _text(node.right)


def _calls(node: ast.Call, _: Function | None) -> Iterator[str]:
    """The call dropped, an argument dropped or swapped with its neighbour, a function taken for another."""
    method = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if isinstance(node.func, ast.Attribute):
        if _is_value(node.func.value):
            yield _text(node.func.value)  # a dropped transpose, cast, clone, unsqueeze, ...
        if method in CONFUSED:
            confused = ast.Attribute(node.func.value, CONFUSED[method])
            yield _text(ast.Call(confused, node.args, node.keywords))
    if node.args and not isinstance(node.args[0], ast.Starred) and not _is_method(node.func):
        yield _text(node.args[0])
    for i in range(len(node.keywords)):
        yield _text(ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :]))
    if method not in SYMMETRIC:
        for args in _swaps(node.args):
            yield _text(ast.Call(node.func, args, node.keywords))


def _is_method(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and _is_value(called.value)


def _is_value(receiver: ast.expr) -> bool:
    """Whether it is a value whose method is called: not a module, not `super()`, not `self`."""
    if isinstance(receiver, ast.Name):
        return receiver.id not in MODULES and receiver.id != "self"
    return not (isinstance(receiver, ast.Call) and getattr(receiver.func, "id", "") == "super")


def _swaps(parts: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for i in range(len(parts) - 1):
        if ast.dump(parts[i]) != ast.dump(parts[i + 1]):
            yield [*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]


def _indices(index: ast.expr) -> Iterator[ast.expr]:
    if isinstance(index, ast.Slice):
        for lower, upper in ((None, index.upper), (index.lower, None)):
            if (lower, upper) != (index.lower, index.upper):
                yield ast.Slice(lower, upper, index.step)
    elif isinstance(index, ast.Tuple):
        for elements in _swaps(index.elts):
            yield ast.Tuple(elements)
        for i, element in enumerate(index.elts):
            for other in _indices(element):
                yield ast.Tuple([*index.elts[:i], other, *index.elts[i + 1 :]])


def _namesakes(node: ast.Name, function: Function | None) -> Iterator[str]:
    """Other parameters of the same annotation."""
    if function is None or not isinstance(node.ctx, ast.Load):
        return
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    kinds = {p.arg: ast.dump(p.annotation) for p in parameters if p.annotation is not None}
    for other, kind in kinds.items():
        if other != node.id and kind == kinds.get(node.id):
            yield other


def _raised(node: ast.Raise, _: Function | None) -> Iterator[str]:
    yield "pass"
    if isinstance(node.exc, ast.Call):
        yield _text(ast.Raise(ast.Call(ast.Name("RuntimeError"), node.exc.args, node.exc.keywords)))


def _branches(node: ast.If, _: Function | None) -> Iterator[str]:
    yield _text(ast.If(ast.Constant(True), node.body, node.orelse))
    yield _text(ast.If(ast.Constant(False), node.body, node.orelse))


def _augmented(node: ast.AugAssign, _: Function | None) -> Iterator[str]:
    yield "pass"
    yield _text(ast.Assign([node.target], node.value))
    if type(node.op) in ARITHMETIC:
        yield _text(ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value))


def _assigned(node: ast.Assign, function: Function | None) -> Iterator[str]:
    """A variable left as it was, or returned at once."""
    target = node.targets[0]
    if function is None or not isinstance(target, ast.Name):
        return
    names = {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
    if target.id in names | {argument.arg for argument in function.args.args}:
        yield "pass"
    yield f"{ast.unparse(node)}\nreturn {target.id}"


def _returned(node: ast.Return, function: Function | None) -> Iterator[str]:
    if function is not None and node.value is not None and _returns_tensor(function):
        yield f"return {_text(node.value)}.detach()"


def _left_out(node: ast.stmt, _: Function | None) -> Iterator[str]:
    if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call):
        yield "pass"


def _returns_tensor(function: Function) -> bool:
    return isinstance(function.returns, ast.Name) and function.returns.id == "Tensor"


_OPERATORS: dict[type[ast.AST], Callable[[Any, Function | None], Iterator[str]]] = {
    ast.Constant: _constants, ast.Compare: _compared, ast.BinOp: _binary, ast.BoolOp: _combined, ast.IfExp: _chosen,
    ast.UnaryOp: lambda node, _: iter([_text(node.operand)]), ast.Call: _calls, ast.Attribute: _dtypes,
    ast.Subscript: _subscripts, ast.Name: _namesakes, ast.Raise: _raised, ast.If: _branches,
    ast.AugAssign: _augmented, ast.Assign: _assigned, ast.Return: _returned, ast.Expr: _left_out,
    ast.Break: _left_out, ast.Continue: _left_out,
}  # fmt: skip
