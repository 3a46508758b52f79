"""The trusted side: runs a drill's hidden tests against a submission and decides the verdict.

One judge is one process for one request, forked from the server. It collects the hidden tests, gets a fresh runner
for each of them (started ahead of time), and classifies how each ended. A verdict is `passed` only if exactly the
collected checks ran and passed.
"""

from __future__ import annotations

import math
import re
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _pytest.outcomes import Failed

from grader.engine import diagnosis, output, sandbox
from grader.engine.explain import explain, explain_load
from grader.engine.impl import Impl, NotSendable, RemoteError
from grader.engine.messages import Load, Ok, Raised, ReplyBody, Terms
from grader.engine.plugin import Ending, Plugin, Title, arguments, public_names, titles
from grader.engine.reference import Reference
from grader.engine.remote import Cancelled, EngineFault, Runner, RunnerFault, Zygote
from grader.forbidden import find_uses
from grader.results import Check, CheckFinished, Diagnosis, Event, Finished, Outcome, Request, Result, Started, Verdict

AHEAD = 3  # runners ordered before they are needed
# Once a check has timed out the verdict stands; what the others still get is for the learner's information, and an
# answer that hangs in all of them must not cost all of their time. Honest checks take a few hundredths of a second.
SPENT_MB = 64  # memory of its own that a runner may keep until the verdict is out
HASTE, LEAST_SECONDS = 0.25, 0.1
_NEEDS_COMPILER = re.compile(rb"torch\.func\b|import func\b|\bfunctorch|\bcheckpoint|\boptim\b|torch\.compile")
LEARNERS_FAULT = (AssertionError, Failed, RemoteError)


class GraderError(Exception):
    """The grader could not judge: a broken drill or a broken engine, never the learner's fault."""


def terms_of(request: Request) -> Terms:
    """What the request's runners are allowed. The kernel's limit of CPU time is a second line behind the judge's."""
    return Terms(
        forbidden=[] if request.allow_forbidden else request.forbidden,
        operators=[] if request.allow_forbidden else request.operators,
        memory_mb=request.limits.memory_mb,
        cpu_seconds=math.ceil(2 * request.limits.check_seconds) + 1,
        compiler=_NEEDS_COMPILER.search(request.source) is not None,
    )


class Judge:
    """Grades one request. `emit` sends events to the client, whose socket is watched for its leaving."""

    def __init__(
        self, request: Request, zygote: Zygote, emit: Callable[[Event], None], client: socket.socket | None
    ) -> None:
        self._request = request
        self._zygote = zygote
        self._emit = emit
        self._client = client
        self._loading: deque[Runner] = deque()
        self._runner: Runner | None = None
        self._spent: deque[Runner] = deque()  # done with, ended when the verdict is out
        self._loaded: ReplyBody | None = None  # what the current runner said to its Load
        self._expected: list[Title] = []
        self._checks: list[Check] = []
        self._used = 0.0  # seconds of the run's allowance
        self._timeouts = 0
        self._layers: dict[str, str] = {}
        self._output = output.Collector()
        self._problem = ""
        self._diagnosis: list[Diagnosis] = []
        self._reference = Reference(request)
        self._failed: list[tuple[pytest.Item, diagnosis.Trace]] = []

    def grade(self) -> Result:
        """The result. GraderError and EngineFault mean that there is none."""
        started = time.perf_counter()
        self._zygote.order(1 if self._request.reuse_runner else AHEAD)
        self._start_loading()
        plugin = Plugin(self._request.seed, self._run_all)
        code = pytest.main(arguments(str(Path(self._request.folder) / "hidden_tests.py")), plugins=[plugin])
        if plugin.error is not None:
            raise plugin.error
        if plugin.collection_errors or not self._expected:
            reason = plugin.collection_errors[0] if plugin.collection_errors else f"pytest ended with {code!r}"
            raise GraderError(f"the hidden tests of {self._request.drill} cannot be run: {reason}")
        if [check.id for check in self._checks] != [title.id for title in self._expected]:
            raise GraderError(f"not every check of {self._request.drill} has an outcome")
        result = Result(
            drill=self._request.drill,
            verdict=self._verdict(),
            seed=self._request.seed,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
            isolation=sandbox.summary(self._layers),
            checks=self._checks,
            diagnosis=self._diagnosis,
            output=self._output.text(),
            problem=self._problem,
            layers=self._layers,
        )
        self._emit(Finished(result))
        self._close(self._spent)
        return result

    def _verdict(self) -> Verdict:
        return "passed" if all(check.outcome == "passed" for check in self._checks) else "failed"

    # -- the loop over the checks --------------------------------------------------------------------------------

    def _run_all(self, items: list[pytest.Item], plugin: Plugin) -> None:
        self._expected = [titles(item) for item in items]
        self._emit(Started(self._request.drill, [(t.id, t.title) for t in self._expected]))
        if not items or self._refuse_all():
            return
        for index, item in enumerate(items):
            if self._settled():
                self._leave_out(self._expected[index:])
                break
            other = items[(index + 1) % len(items)] if len(items) > 1 else None
            self._report(self._check(plugin, item, other, self._expected[index], last=index + 1 == len(items)))
        self._close(self._loading)
        if self._request.diagnose and self._failed:
            passed = [item for item, check in zip(items, self._checks, strict=True) if check.outcome == "passed"]
            self._diagnosis = diagnosis.diagnose(self._failed, passed, plugin, self._reference, items)

    def _settled(self) -> bool:
        return self._request.fail_fast and any(check.outcome != "passed" for check in self._checks)

    def _leave_out(self, rest: list[Title]) -> None:
        for title in rest:
            self._report(
                Check(id=title.id, title=title.title, outcome="not_run", message="An earlier check settled it")
            )

    def _refuse_all(self) -> bool:
        """Load the source once; if that fails, or if it uses what is ruled out, no check needs to run."""
        runner = self._loading[0]
        try:
            ready, reply = runner.finish_load()
        except RunnerFault as fault:
            return self._give_all(fault.outcome, explain_load(fault))
        finally:
            self._output.add(runner)
        self._layers = ready.layers
        if isinstance(reply, Raised):
            self._problem = explain_load(reply, self._request)
            return self._give_all("not_run", "")
        if not isinstance(reply, Ok):
            return self._give_all("crashed", "The process sent something that is not an answer")
        self._loaded = reply
        uses = [] if self._request.allow_forbidden else self._forbidden_uses()
        if uses:
            return self._give_all("forbidden", "\n".join(uses))
        return False

    def _forbidden_uses(self) -> list[str]:
        request = self._request
        public = public_names((Path(request.folder) / "stub.py").read_text(encoding="utf-8"))
        uses = find_uses(request.source, request.forbidden, request.operators, public)
        return [f"line {use.line} uses {use.name}, which this drill rules out" for use in uses]

    def _give_all(self, outcome: Outcome, message: str) -> bool:
        self._close(self._loading)
        for title in self._expected:
            self._report(Check(id=title.id, title=title.title, outcome=outcome, message=message, hint=title.hint))
        if message:
            self._problem = self._problem or message
        return True

    def _report(self, check: Check) -> None:
        self._checks.append(check)
        self._emit(CheckFinished(check))

    def _check(self, plugin: Plugin, item: pytest.Item, other: Any, title: Title, *, last: bool) -> Check:
        limits = self._request.limits
        if self._used >= limits.run_seconds:
            message = f"Not started: the checks before it have used up the {limits.run_seconds:g} s of the run"
            return Check(id=title.id, title=title.title, outcome="timeout", message=message, hint=title.hint)
        if not last and not self._request.reuse_runner:
            self._start_loading()  # ahead of time
        ending = plugin.run(item, other, self._open)
        impl = plugin.current
        outcome, message = self._judge(plugin, item, other, ending)
        if impl is not None and outcome == "failed":
            self._failed.append((item, diagnosis.Trace(impl.trace)))
        self._timeouts += outcome == "timeout"
        self._end_runner(last=last)
        return Check(
            id=title.id,
            title=title.title,
            outcome=outcome,
            message=message,
            hint="" if outcome == "passed" else title.hint,
            duration_ms=round(ending.seconds * 1000, 2),
        )

    def _judge(self, plugin: Plugin, item: pytest.Item, other: Any, ending: Ending) -> tuple[Outcome, str]:
        error = ending.error
        if error is None:
            return "passed", ""
        if isinstance(error, Cancelled | EngineFault):
            raise error
        if isinstance(error, RunnerFault):
            return error.outcome, explain(error, self._request)
        if isinstance(error, NotSendable) or type(error).__name__ == "Skipped":
            raise GraderError(f"check {item.name}: {error}")
        if not isinstance(error, LEARNERS_FAULT) and not self._reference_passes(plugin, item, other):
            raise GraderError(f"check {item.name} fails by itself: {type(error).__name__}: {error}")
        return "failed", explain(error, self._request)

    def _reference_passes(self, plugin: Plugin, item: pytest.Item, other: Any) -> bool:
        """A check stumbled over what it was given. If the reference gets through, the learner's value was to blame."""
        return plugin.run(item, other, self._reference.impl).error is None

    # -- runners -------------------------------------------------------------------------------------------------

    def _start_loading(self) -> None:
        runner = Runner(self._zygote, self._request.limits.check_seconds, self._client)
        if not self._request.reuse_runner:
            self._zygote.order()
        self._load(runner)

    def _load(self, runner: Runner) -> None:
        request = self._request
        stand_in = self._reference.stand_in_source()
        runner.start_load(
            Load(
                source=request.source,
                filename=request.filename,
                name=request.drill,
                seed=request.seed,
                stand_in=stand_in,
            )
        )
        self._loading.append(runner)

    def _open(self) -> Impl:
        """The next runner with the learner's module in it. Raises RunnerFault, or what the source raises."""
        runner = self._loading.popleft()
        self._runner = runner
        if self._checks:  # the first runner has been asked already
            ready, self._loaded = runner.finish_load()
            if sandbox.summary(ready.layers) != sandbox.summary(self._layers):
                self._layers = ready.layers
            self._output.skip(runner)  # what it prints when loaded is known
        if not isinstance(self._loaded, Ok):
            raise RunnerFault("crashed", "The file was loaded before, and this time it was not")
        runner.allow(max(self._request.limits.check_seconds * HASTE**self._timeouts, LEAST_SECONDS))
        return Impl(runner, self._request.filename, self._loaded.value)

    def _end_runner(self, *, last: bool) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            self._used += runner.seconds_used
            self._output.add(runner)
        if self._request.reuse_runner and not last:
            self._use_again(runner)
        elif runner is not None:
            self._finish(runner)

    def _use_again(self, runner: Runner | None) -> None:
        """Load the drill's own code anew into a runner that has behaved; the kernel counts its time from its start."""
        if runner is not None and runner.healthy and self._used < self._request.limits.check_seconds:
            self._load(runner)
            return
        if runner is not None:
            self._finish(runner)
        self._zygote.order(1)
        self._start_loading()

    def _finish(self, runner: Runner) -> None:
        # Taking a process with torch in it apart takes milliseconds of a core, which the checks need now. One
        # that has taken much memory is ended at once: the next runners may take as much.
        if runner.memory_mb <= SPENT_MB:
            self._spent.append(runner)
        else:
            runner.close()

    def _close(self, runners: deque[Runner]) -> None:
        while runners:
            runners.popleft().close()
