"""The reference solution and its stand-ins, loaded in the judge's own process as a learner's module would be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec

from grader import authoring
from grader.engine.executor import fill_module, open_module, seed_everything
from grader.engine.impl import Impl, Recorded
from grader.engine.messages import Load
from grader.engine.remote import Local
from grader.results import Request


class Reference:
    """The reference solution of a request's drill; known mistakes are read when they are first needed."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def impl(self, mistake: authoring.StandIn | None = None, watch: Callable[[Recorded], None] | None = None) -> Impl:
        """A freshly loaded reference, with `mistake` in the place of what it replaces."""
        seed, load = self._request.seed, self._load()
        module, executor = open_module(load)
        seed_everything(seed)
        fill_module(module, load)
        if mistake is not None:
            authoring.bind_solution(self._unpatched)
            setattr(module, mistake.replaces, mistake.target)
        return Impl(Local(executor), load.filename, executor.names(), watch)

    @functools.cached_property
    def _unpatched(self) -> ModuleType:
        """What `solution` is in a mistake: the reference without any mistake in it."""
        load = msgspec.structs.replace(self._load(), name="unpatched_solution")
        module, _ = open_module(load)
        fill_module(module, load)
        return module

    def _load(self) -> Load:
        path = Path(self._request.solution)
        return Load(_read(path), str(path), "reference_solution", self._request.seed)

    @functools.cached_property
    def mistakes(self) -> list[authoring.StandIn]:
        path = Path(self._request.folder) / "mistakes.py"
        module = ModuleType("mistakes")
        exec(compile(_read(path), str(path), "exec", dont_inherit=True), module.__dict__)
        return authoring.stand_ins(vars(module), "mistake")

    def stand_in_source(self) -> tuple[bytes, str, str] | None:
        """For `grader validate`: what the runner is to put in the place of one of the submission's names."""
        if self._request.stand_in is None:
            return None
        path, name = self._request.stand_in
        return _read(Path(path)), path, name


@functools.lru_cache(maxsize=8)
def _read(path: Path) -> bytes:
    return path.read_bytes()
