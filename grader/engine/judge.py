"""The trusted side: runs a drill's hidden tests against a submission and decides the verdict.

One judge is one process for one request, forked from the server. It collects the hidden tests, gets a fresh runner
for each of them (started ahead of time), and classifies how each ended. A verdict is `passed` only if exactly the
collected checks ran and passed.
"""

from __future__ import annotations

import functools
import gc
import math
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.engine import diagnosis, output, sandbox
from grader.engine.checker import Checked, Checker, GraderError, Spending
from grader.engine.crew import Crew
from grader.engine.explain import explain_load
from grader.engine.messages import Ok, Raised, Terms
from grader.engine.plugin import Plugin, Title, arguments, public_names, titles
from grader.engine.reference import Reference
from grader.engine.remote import RunnerFault, Zygote
from grader.forbidden import find_uses
from grader.results import Check, CheckFinished, Diagnosis, Event, Finished, Outcome, Request, Result, Started, Verdict

_NEEDS_COMPILER = re.compile(
    rb"torch\.func\b|import func\b|\bfunctorch|\bcheckpoint|\boptim\b|torch\.compile|use_deterministic_algorithms"
)


def terms_of(request: Request) -> Terms:
    """What the request's runners are allowed. The kernel's limit of CPU time is a second line behind the judge's."""
    sources = [request.source] if request.stand_in is None else [request.source, Path(request.stand_in[0]).read_bytes()]
    return Terms(
        forbidden=[] if request.allow_forbidden else request.forbidden,
        operators=[] if request.allow_forbidden else request.operators,
        memory_mb=request.limits.memory_mb,
        cpu_seconds=math.ceil(2 * request.limits.check_seconds) + 1,
        compiler=any(_NEEDS_COMPILER.search(source) for source in sources),
    )


class Judge:
    """Grades one request. `emit` sends events to the client, whose socket is watched for its leaving."""

    def __init__(
        self,
        request: Request,
        line: Callable[[], Zygote],
        emit: Callable[[Event], None],
        client: socket.socket | None,
    ) -> None:
        """`line` opens a line to the zygote, to runners on the request's terms."""
        self._request = request
        self._line = line
        self._emit = emit
        self._client = client
        self._workers = max(1, request.workers)
        self._spending = Spending(self._workers)
        self._reference = Reference(request)
        self._checker: Checker | None = None
        self._crew: Crew | None = None
        self._expected: list[Title] = []
        self._checked: dict[int, Checked] = {}  # come, and waiting for one before them
        self._checks: list[Check] = []
        self._failed: list[tuple[pytest.Item, diagnosis.Trace]] = []
        self._layers: dict[str, str] = {}
        self._output = output.Collector()
        self._problem = ""
        self._diagnosis: list[Diagnosis] = []

    def grade(self) -> Result:
        """The result. GraderError and EngineFault mean that there is none."""
        started = time.perf_counter()
        self._checker = self._make_checker()
        try:
            self._collect_and_run()
            result = self._result(round((time.perf_counter() - started) * 1000, 1))
            self._emit(Finished(result))
        finally:
            if self._crew is not None:
                self._crew.dismiss()
            self._checker.close()
        return result

    def _make_checker(self) -> Checker:
        return Checker(self._request, self._line(), self._client, self._reference, self._spending)

    def _collect_and_run(self) -> None:
        plugin = Plugin(self._request.seed, self._run_all)
        code = pytest.main(arguments(str(Path(self._request.folder) / "hidden_tests.py")), plugins=[plugin])
        if plugin.error is not None:
            raise plugin.error
        if plugin.collection_errors or not self._expected:
            reason = plugin.collection_errors[0] if plugin.collection_errors else f"pytest ended with {code!r}"
            raise GraderError(f"the hidden tests of {self._request.drill} cannot be run: {reason}")
        if [check.id for check in self._checks] != [title.id for title in self._expected]:
            raise GraderError(f"not every check of {self._request.drill} has an outcome")

    def _result(self, duration_ms: float) -> Result:
        return Result(
            drill=self._request.drill,
            verdict=self._verdict(),
            seed=self._request.seed,
            duration_ms=duration_ms,
            isolation=sandbox.summary(self._layers),
            checks=self._checks,
            diagnosis=self._diagnosis,
            output=self._output.text(),
            problem=self._problem,
            layers=self._layers,
        )

    def _verdict(self) -> Verdict:
        return "passed" if all(check.outcome == "passed" for check in self._checks) else "failed"

    # -- the checks ----------------------------------------------------------------------------------------------

    def _run_all(self, items: list[pytest.Item], plugin: Plugin) -> None:
        checker = self._checker
        assert checker is not None
        self._expected = [titles(item) for item in items]
        self._emit(Started(self._request.drill, [(t.id, t.title) for t in self._expected]))
        if not items or self._refuse_all(checker):
            return
        crew = self._crew = Crew(len(items))
        gc.freeze()  # a collection in a helper would touch, and so copy, every page
        for worker in range(1, min(self._workers, len(items))):
            crew.hire(functools.partial(self._help, worker, crew, items, plugin))
        for checked in self._work(checker, crew, items, plugin):
            self._take(checked, items)
            for other in crew.reports(wait=False):
                self._take(other, items)
        for other in crew.reports(wait=True):
            self._take(other, items)
        checker.stop_loading()
        if self._request.diagnose and self._failed:
            passed = [item for item, check in zip(items, self._checks, strict=True) if check.outcome == "passed"]
            self._diagnosis = diagnosis.diagnose(self._failed, passed, plugin, self._reference, items)

    def _work(self, checker: Checker, crew: Crew, items: list[pytest.Item], plugin: Plugin) -> Iterator[Checked]:
        """Run checks as long as there are any that nobody has taken."""
        while (index := crew.claim()) is not None:
            ahead = index + self._workers < len(items)
            yield checker.check(plugin, items, index, self._expected[index], ahead=ahead)

    def _help(
        self, worker: int, crew: Crew, items: list[pytest.Item], plugin: Plugin, report: Callable[[Checked], None]
    ) -> None:
        """In a helper's process: the same with runners of its own."""
        assert self._checker is not None
        self._checker.let_go()
        self._spending.become(worker)
        checker = self._make_checker()
        checker.knows_load_output = True
        for checked in self._work(checker, crew, items, plugin):
            report(checked)

    def _take(self, checked: Checked, items: list[pytest.Item]) -> None:
        """Report checks in their order, whoever ran them."""
        self._checked[checked.index] = checked
        while (following := self._checked.pop(len(self._checks), None)) is not None:
            if following.check.outcome == "failed":
                self._failed.append((items[following.index], diagnosis.Trace(following.trace)))
            if following.layers and sandbox.summary(following.layers) != sandbox.summary(self._layers):
                self._layers = following.layers
            self._output.add(following.printed)
            self._report(following.check)

    def _report(self, check: Check) -> None:
        self._checks.append(check)
        self._emit(CheckFinished(check))

    # -- what settles all checks at once -------------------------------------------------------------------------

    def _refuse_all(self, checker: Checker) -> bool:
        """Load the source once; if that fails, or if it uses what is ruled out, no check needs to run."""
        try:
            reply = checker.first_load()
        except RunnerFault as fault:
            return self._give_all(fault.outcome, explain_load(fault))
        finally:
            self._layers = checker.layers
            self._output.add(checker.load_output())
        if isinstance(reply, Raised):
            self._problem = explain_load(reply, self._request)
            return self._give_all("not_run", self._problem)
        if not isinstance(reply, Ok):
            return self._give_all("crashed", "The process sent something that is not an answer")
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
        for title in self._expected:
            self._report(Check(id=title.id, title=title.title, outcome=outcome, message=message, hint=title.hint))
        if message:
            self._problem = self._problem or message
        return True
