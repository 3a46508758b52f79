"""Runs one check after the other: a fresh runner for each, started ahead of time, and how the check ended.

What is classified here decides the verdict; the learner's code is behind the wall.
"""

from __future__ import annotations

import mmap
import socket
import struct
from collections import deque
from typing import Any

import msgspec
import pytest
from _pytest.outcomes import Failed

from grader.engine.explain import explain
from grader.engine.impl import Impl, NotSendable, Recorded, RemoteError
from grader.engine.messages import Load, Ok, Ready, ReplyBody
from grader.engine.output import Printed, printed
from grader.engine.plugin import Ending, Plugin, Title
from grader.engine.reference import Reference
from grader.engine.remote import Cancelled, EngineFault, Runner, RunnerFault, Zygote
from grader.results import Check, Outcome, Request

AHEAD = 3  # runners ordered before they are needed
SPENT_MB = 64  # memory of its own that a runner may keep until the verdict is out
# Once a check has timed out the verdict stands; what the others still get is for the learner's information, and an
# answer that hangs in all of them must not cost all of their time. Honest checks take a few hundredths of a second.
HASTE, LEAST_SECONDS = 0.25, 0.1
LEARNERS_FAULT = (AssertionError, Failed, RemoteError)


class GraderError(Exception):
    """The grader could not judge: a broken drill or a broken engine, never the learner's fault."""


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    """How one check ended. `trace`: what came over the wall, if it failed."""

    index: int
    check: Check
    printed: Printed
    layers: dict[str, str]
    trace: list[Recorded] = []


class Spending:
    """What a run has used of its allowance, added up over the processes that share its checks."""

    _SLOT = struct.Struct("<dQ")  # seconds, timeouts

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * self._SLOT.size)  # shared with processes forked from this one
        self._mine = 0

    def become(self, worker: int) -> None:
        """Write to the slot of this worker from now on: each has one of its own, so that none need be locked."""
        self._mine = worker

    def add(self, seconds: float, *, timeout: bool) -> None:
        used, timeouts = self._slot(self._mine)
        self._SLOT.pack_into(self._memory, self._mine * self._SLOT.size, used + seconds, timeouts + timeout)

    @property
    def seconds(self) -> float:
        return sum(self._slot(worker)[0] for worker in range(self._workers))

    @property
    def timeouts(self) -> int:
        return sum(self._slot(worker)[1] for worker in range(self._workers))

    def _slot(self, worker: int) -> tuple[float, int]:
        seconds, timeouts = self._SLOT.unpack_from(self._memory, worker * self._SLOT.size)
        return float(seconds), int(timeouts)


class Checker:
    """Runs checks of one request in runners of one line to the zygote."""

    def __init__(
        self,
        request: Request,
        zygote: Zygote,
        client: socket.socket | None,
        reference: Reference,
        spending: Spending,
    ) -> None:
        self._request = request
        self._zygote = zygote
        self._client = client
        self._reference = reference
        self._spending = spending
        self._loading: deque[Runner] = deque()
        self._spent: deque[Runner] = deque()  # done with, ended when the verdict is out
        self._runner: Runner | None = None
        self._asked: tuple[Ready, ReplyBody] | None = None  # what the first runner said to its Load
        self.knows_load_output = False
        self._layers: dict[str, str] = {}
        self._zygote.order(AHEAD)
        self._start_loading()

    def first_load(self) -> ReplyBody:
        """What became of the source. Raises RunnerFault."""
        self._asked = self._loading[0].finish_load()
        return self._asked[1]

    @property
    def layers(self) -> dict[str, str]:
        """How the first runner's wall stands, also if the source was refused while it was loaded."""
        return self._loading[0].layers

    def load_output(self) -> Printed:
        """What the source printed when it was loaded first. What it prints in later runners is the same."""
        self.knows_load_output = True
        return printed(self._loading[0])

    def check(self, plugin: Plugin, items: list[pytest.Item], index: int, title: Title, *, ahead: bool) -> Checked:
        """Run one check. `ahead`: another is likely to follow, and its runner is started meanwhile."""
        limits = self._request.limits
        if self._spending.seconds >= limits.run_seconds:
            message = f"Not started: the checks before it have used up the {limits.run_seconds:g} s of the run"
            check = Check(id=title.id, title=title.title, outcome="timeout", message=message, hint=title.hint)
            return Checked(index, check, Printed(), self._layers)
        if not self._loading:
            self._start_loading()
        if ahead:
            self._start_loading()
        item, other = items[index], items[(index + 1) % len(items)] if len(items) > 1 else None
        ending = plugin.run(item, other, self._open)
        impl = plugin.current
        outcome, message = classify(self._request, plugin, item, other, ending, self._reference)
        output = self._end_runner(timeout=outcome == "timeout")
        check = Check(
            id=title.id,
            title=title.title,
            outcome=outcome,
            message=message,
            hint="" if outcome == "passed" else title.hint,
            duration_ms=round(ending.seconds * 1000, 2),
        )
        trace = impl.trace if impl is not None and outcome == "failed" and self._request.diagnose else []
        return Checked(index, check, output, self._layers, trace)

    # -- runners -------------------------------------------------------------------------------------------------

    def _start_loading(self) -> None:
        runner = Runner(self._zygote, self._request.limits.check_seconds, self._client)
        self._zygote.order()
        request = self._request
        runner.start_load(
            Load(
                source=request.source,
                filename=request.filename,
                name=request.drill,
                seed=request.seed,
                stand_in=self._reference.stand_in_source(),
            )
        )
        self._loading.append(runner)

    def _open(self) -> Impl:
        """The next runner with the learner's module in it. Raises RunnerFault, or what the source raises."""
        runner = self._runner = self._loading.popleft()
        ready, loaded = self._asked or runner.finish_load()
        self._asked = None
        self._layers = ready.layers
        if self.knows_load_output:
            printed(runner)
        if not isinstance(loaded, Ok):
            raise RunnerFault("crashed", "The file was loaded before, and this time it was not")
        seconds = self._request.limits.check_seconds * HASTE**self._spending.timeouts
        runner.allow(max(seconds, LEAST_SECONDS))
        return Impl(runner, self._request.filename, loaded.value)

    def _end_runner(self, *, timeout: bool) -> Printed:
        runner, self._runner = self._runner, None
        if runner is None:
            return Printed()
        self._spending.add(runner.seconds_used, timeout=timeout)
        output = printed(runner)
        # Taking a process with torch in it apart takes milliseconds of a core, which the checks need now. One
        # that has taken much memory is ended at once: the next runners may take as much.
        if runner.memory_mb <= SPENT_MB:
            self._spent.append(runner)
        else:
            runner.close()
        return output

    def stop_loading(self) -> None:
        """End the runners that no check will need."""
        while self._loading:
            self._loading.popleft().close()

    def close(self) -> None:
        """End all runners."""
        self.stop_loading()
        while self._spent:
            self._spent.popleft().close()

    def let_go(self) -> None:
        """In a process forked from the owner's: close what belongs to the owner, and end nothing."""
        self._zygote.close()
        for runner in (*self._loading, *self._spent):
            runner.let_go()


def classify(
    request: Request, plugin: Plugin, item: pytest.Item, other: Any, ending: Ending, reference: Reference
) -> tuple[Outcome, str]:
    """What a check's end means for the learner. GraderError: the check fails by itself."""
    error = ending.error
    if error is None:
        return "passed", ""
    if isinstance(error, Cancelled | EngineFault):
        raise error
    if isinstance(error, RunnerFault):
        return error.outcome, explain(error, request)
    if isinstance(error, NotSendable) or type(error).__name__ == "Skipped":
        raise GraderError(f"check {item.name}: {error}")
    if not isinstance(error, LEARNERS_FAULT) and plugin.run(item, other, reference.impl).error is not None:
        # It stumbled over what it was given. Had the reference got through, the learner's value would be to blame.
        raise GraderError(f"check {item.name} fails by itself: {type(error).__name__}: {error}")
    return "failed", explain(error, request)
