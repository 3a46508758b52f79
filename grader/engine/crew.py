"""Several processes for the checks of one run: the judge, and helpers forked from it once the tests are collected.

Which process takes which check is settled by a pipe that holds the numbers of the checks: who is free reads the next
one. A check is judged in one process from its first request to its outcome, and nothing else is shared, so that a
verdict does not depend on how many there are.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

import msgspec

from grader.engine.checker import Checked, GraderError
from grader.engine.frames import Closed, FrameReader, send_frame
from grader.engine.remote import Cancelled, EngineFault
from grader.engine.sandbox import limits

_TOKEN = struct.Struct("<H")


class Trouble(msgspec.Struct, frozen=True, tag="trouble"):
    """A helper could not go on. `engine`: through the engine's fault, not the drill's."""

    message: str
    engine: bool


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A helper has found no more checks."""


_decoder = msgspec.msgpack.Decoder(Checked | Trouble | Done)


class Helper(NamedTuple):
    pid: int
    line: socket.socket
    frames: FrameReader


class Crew:
    """The processes that share `count` checks."""

    def __init__(self, count: int) -> None:
        self._tokens, queue = os.pipe()
        os.write(queue, b"".join(map(_TOKEN.pack, range(count))))
        os.close(queue)  # so that whoever finds the pipe empty is told that it stays so
        self._working: list[Helper] = []
        self._waiting: list[Helper] = []

    def claim(self) -> int | None:
        """The number of the next check that nobody has taken."""
        token = os.read(self._tokens, _TOKEN.size)
        return int(_TOKEN.unpack(token)[0]) if token else None

    def hire(self, work: Callable[[Callable[[Checked], None]], None]) -> None:
        """Fork a helper that does `work` with a function to report each check to this process."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for helper in self._working:
                helper.line.close()
            _help(theirs, work)
        theirs.close()
        self._working.append(Helper(pid, ours, FrameReader(ours)))

    def reports(self, *, wait: bool) -> Iterator[Checked]:
        """What the helpers have reported; with `wait`, until all of them are done. Raises what stopped a helper."""
        while ready := self._ready(wait=wait):
            for helper in ready:
                message = self._receive(helper)
                if isinstance(message, Checked):
                    yield message

    def _ready(self, *, wait: bool) -> list[Helper]:
        """The helpers that have something to say."""
        pending = [helper for helper in self._working if helper.frames.pending]
        if pending or not self._working:
            return pending
        poller = select.poll()
        lines = {helper.line.fileno(): helper for helper in self._working}
        for line in lines:
            poller.register(line, select.POLLIN)
        return [lines[line] for line, _ in poller.poll(None if wait else 0)]

    def _receive(self, helper: Helper) -> Checked | Done:
        try:
            _, payload = helper.frames.receive()
        except Closed:
            raise EngineFault("a helper of the judge has died") from None
        message: Checked | Trouble | Done = _decoder.decode(payload)
        if isinstance(message, Trouble):
            raise EngineFault(message.message) if message.engine else GraderError(message.message)
        if isinstance(message, Done):
            self._working.remove(helper)
            self._waiting.append(helper)
        return message

    def dismiss(self) -> None:
        """End the helpers, and with them their runners."""
        for helper in (*self._working, *self._waiting):
            helper.line.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(helper.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(helper.pid, 0)
        self._working, self._waiting = [], []
        os.close(self._tokens)


def _help(line: socket.socket, work: Callable[[Callable[[Checked], None]], None]) -> NoReturn:
    """A helper's life. Its runners are ended with it, when the judge has no more need of the cores."""

    def report(message: Checked | Trouble | Done) -> None:
        send_frame(line, b"", [msgspec.msgpack.encode(message)])

    with contextlib.suppress(BaseException):
        limits.die_with_parent()
        try:
            work(report)
            report(Done())
        except (Closed, Cancelled):
            os._exit(0)
        except BaseException as error:
            traceback.print_exc()
            own = isinstance(error, GraderError)
            sys.stderr.flush()
            report(Trouble(str(error) if own else f"{type(error).__name__}: {error}", not own))
        line.recv(1)
    os._exit(0)
