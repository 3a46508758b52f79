"""Checks under way: one at a time, a newer one in place of the older, none ever shown late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from textual.message import Message
from textual.widget import Widget

from drills.catalogue import Drill
from grader.requests import request_for
from grader.results import Check, CheckFinished, Event, Finished, Request, Result, Started, error_result


class Gradable(Protocol):
    """What the app needs of `grader.client.Grading`."""

    restarted: bool
    warnings: list[str]

    def __iter__(self) -> Iterator[Event]: ...
    def cancel(self) -> None: ...


Grade = Callable[[Request], Gradable]


@dataclass(eq=False)
class Run:
    """One check of one drill, as far as it has come."""

    slug: str
    source: bytes
    titles: dict[str, str] = field(default_factory=dict)  # of all checks, by id
    checks: dict[str, Check] = field(default_factory=dict)  # those that have finished
    result: Result | None = None
    cancelled: bool = False

    def take(self, event: Event) -> None:
        """Bring it up to date."""
        match event:
            case Started(checks=checks):  # again after a restart, and then from the beginning
                self.titles = dict(checks)
                self.checks = {}
            case CheckFinished(check=check):
                self.checks[check.id] = check
            case Finished(result=result):
                self.result = result
                self.titles = {check.id: check.title for check in result.checks}
                self.checks = {check.id: check for check in result.checks}


class RunEvent(Message):
    """Something happened in a run, perhaps in one that counts no more."""

    def __init__(self, run: Run, event: Event) -> None:
        super().__init__()
        self.run = run
        self.event = event


class RunRestarted(Message):
    """The grading process died under a run, which begins again in a new one."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


class RunWarned(Message):
    """A run has something to tell that is not about the answer."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Runs:
    """Starts runs in threads, which post their events to `target`."""

    def __init__(self, target: Widget, grade: Grade) -> None:
        self._target = target
        self._grade = grade
        self._grading: Gradable | None = None
        self.current: Run | None = None  # the one that is under way
        self.latest: dict[str, Run] = {}  # by slug

    def start(self, drill: Drill, source: bytes, filename: str) -> Run:
        """Start a run; one that is under way is given up."""
        self.cancel()
        run = Run(drill.slug, source)
        request = request_for(drill, source, filename)
        self.current = self.latest[drill.slug] = run
        self._grading = grading = self._grade(request)
        self._target.run_worker(
            lambda: self._follow(run, request, grading), group="runs", thread=True, exit_on_error=False
        )
        return run

    def cancel(self) -> Run | None:
        """Give up the run that is under way; returns it, if there is one."""
        run, self.current = self.current, None
        if run is not None:
            run.cancelled = True
        if self._grading is not None:
            self._grading.cancel()
            self._grading = None
        return run

    def take(self, message: RunEvent) -> bool:
        """Bring the run up to date; False for a run that was given up, whose events nobody is to see."""
        if message.run is not self.current:
            return False
        message.run.take(message.event)
        if message.run.result is not None:
            self.current = self._grading = None
        return True

    def _follow(self, run: Run, request: Request, grading: Gradable) -> None:
        """In the thread: pass events on until the run ends."""
        restarted = False
        try:
            for event in grading:
                if grading.restarted and not restarted:
                    restarted = True
                    self._target.post_message(RunRestarted(run))
                self._target.post_message(RunEvent(run, event))
            for text in grading.warnings:
                self._target.post_message(RunWarned(text))
        except Exception as error:  # whatever breaks here is the grader's: a verdict of its own
            problem = f"{type(error).__name__}: {error}"
            failed = error_result(request.drill, request.seed, problem)
            self._target.post_message(RunEvent(run, Finished(failed)))
