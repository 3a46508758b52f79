"""A real zygote, and modules of a test's own behind the real wall."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from grader.engine.impl import Impl, exception_of
from grader.engine.messages import Load, Ok, Raised, Terms
from grader.engine.remote import Runner, Zygote


@pytest.fixture(scope="session")
def control() -> Iterator[socket.socket]:
    """The control socket of a zygote process."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-I", "-m", "grader.engine.zygote", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    yield ours
    ours.close()
    assert process.wait(30) == 0, "the zygote leaves when its control socket closes"


class Wall:
    """Puts sources behind the wall; every runner is ended with the test."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lines: dict[str, Zygote] = {}
        self.runners: list[Runner] = []

    def runner(self, seconds: float = 10.0, **terms: Any) -> Runner:
        key = repr(sorted(terms.items()))
        if key not in self._lines:
            self._lines[key] = Zygote.open(self._control, Terms(**terms))
        runner = Runner(self._lines[key], seconds, None)
        self.runners.append(runner)
        return runner

    def load(self, source: str, *, seconds: float = 10.0, seed: int = 1, **terms: Any) -> Any:
        """The module of `source`, or what its loading raised."""
        runner = self.runner(seconds, **terms)
        runner.start_load(Load(textwrap.dedent(source).encode(), "answer.py", "answer", seed))
        ready, reply = runner.finish_load()
        self.layers = ready.layers
        if isinstance(reply, Raised):
            raise exception_of(reply)
        assert isinstance(reply, Ok)
        self.impl = Impl(runner, "answer.py", reply.value)
        return self.impl.module

    def close(self) -> None:
        for runner in self.runners:
            runner.close()
        for line in self._lines.values():
            line.close()


@pytest.fixture
def wall(control: socket.socket) -> Iterator[Wall]:
    made = Wall(control)
    yield made
    made.close()


@pytest.fixture
def behind(wall: Wall) -> Callable[..., Any]:
    """`behind(source)`: the module of that source, in a runner."""
    return wall.load
