"""Traps for the calls that a drill rules out, set in the runner before the learner's code is loaded.

A name can be reached in many ways (aliases, getattr, importlib, torch.ops, TorchScript), so a trap is set on the thing
and not on the name: a Python function gets other code, a class another constructor, and a built-in's operator is
overridden in torch's dispatcher, below every way of calling it. The original kernel is then out of reach from Python.
What the traps cannot see, reading the source in the judge does (grader/forbidden.py).
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch

from grader.engine.executor import ForbiddenCall

PRIVATE_PACKAGES = ("solutions", "drills", "tui")  # the course's own rooms: never the learner's to import
_KEYS = ("CompositeImplicitAutograd", "CPU", "AutogradCPU")
hits: list[str] = []


def hit(name: str) -> None:
    """A trap was stepped on: remember it, even if what follows is swallowed, and stop the call."""
    hits.append(name)
    raise ForbiddenCall(name)


def install(forbidden: Sequence[str], operators: Sequence[str]) -> None:
    """Set traps on these dotted names (a trailing * is a prefix) and dispatcher operators."""
    sys.meta_path.insert(0, _Blocker(forbidden))
    aten = {op.split("::", 1)[1] for op in operators if op.startswith("aten::")}
    for name, thing in _resolve(forbidden):
        if isinstance(thing, FunctionType):
            thing.__code__ = _trap_code(name).replace(co_freevars=thing.__code__.co_freevars)
        elif isinstance(thing, type):
            thing.__init__ = _trap(name)  # type: ignore[misc]
        elif callable(thing):
            aten.add(name.rsplit(".", 1)[1])
            parent, leaf = name.rsplit(".", 1)
            setattr(sys.modules[parent], leaf, _trap(name))
    _override(sorted(aten))


def _resolve(forbidden: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The loaded functions and classes that the dotted names mean."""
    for pattern in forbidden:
        parent_name, _, leaf = pattern.rpartition(".")
        parent = sys.modules.get(parent_name)
        if parent is None:
            continue
        names = [n for n in vars(parent) if n.startswith(leaf[:-1])] if leaf.endswith("*") else [leaf]
        for name in names:
            thing = getattr(parent, name, None)
            if isinstance(thing, ModuleType):
                yield from _inside(thing)
            elif callable(thing):
                yield f"{parent_name}.{name}", thing


def _inside(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a ruled-out module and its loaded submodules define themselves.

    Submodules are found as attributes: a walk over sys.modules would touch thousands of objects, and in a forked
    process each touch copies a page.
    """
    for attribute, thing in list(vars(module).items()):
        if isinstance(thing, ModuleType):
            if thing.__name__.startswith(module.__name__ + "."):
                yield from _inside(thing)
        elif getattr(thing, "__module__", None) == module.__name__ and callable(thing):
            yield f"{module.__name__}.{attribute}", thing


def _trap(name: str) -> Callable[..., Any]:
    def trap(*_args: Any, **_kwargs: Any) -> Any:
        hit(name)

    return trap


def _trap_code(name: str) -> CodeType:
    """Code that needs neither globals nor closures, to be put into any function."""
    source = f"def trap(*args, **kwargs):\n __import__('grader.engine.traps', fromlist=['hit']).hit({name!r})\n"
    namespace: dict[str, Any] = {}
    exec(compile(source, "<trap>", "exec"), namespace)
    return namespace["trap"].__code__  # type: ignore[no-any-return]


def _override(operators: Sequence[str]) -> None:
    library: Any = torch._C._dispatch_library("IMPL", "aten", "", __file__, 0)
    existing = [op for op in operators if torch._C._dispatch_has_kernel(f"aten::{op}")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns once that a kernel is overridden: that is the point
        for operator in existing:
            for key in _KEYS:
                library.impl(operator, key, _trap(f"aten::{operator}"), False)
    # The overrides last as long as this object. One reference too many keeps it alive for good, and no name or
    # container leads to it.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))


class _Blocker:
    """Refuses imports of ruled-out modules, and of the course's own packages, with a reason."""

    def __init__(self, forbidden: Sequence[str]) -> None:
        self._prefixes = [name for name in forbidden if not name.endswith("*")]

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name.split(".", 1)[0] in PRIVATE_PACKAGES:
            hit(name)
        if any(name == p or name.startswith(p + ".") for p in self._prefixes):
            hit(name)
        return None


def preload(modules: Sequence[str]) -> None:
    """Import modules ahead of time, quietly leaving out what this torch does not have."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
