"""Many variants of a drill's own reference through its hidden tests, for `grader validate`.

The tests are collected once. Each variant is run in a process forked for it, which loads the variant behind the same
wire as a learner's module, but without a wall: only for code that is the drill's own. Right answers are also graded as
a learner's are; a wrong one that the tests reject here, a wall could only reject again.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from grader.engine import diagnosis
from grader.engine.checker import GraderError, classify
from grader.engine.executor import fill_module, open_module, seed_everything
from grader.engine.frames import Closed, receive_frame, send_frame
from grader.engine.impl import Impl, exception_of
from grader.engine.messages import Load, Raised
from grader.engine.plugin import Plugin, arguments
from grader.engine.reference import Reference
from grader.engine.remote import Local, RunnerFault
from grader.engine.sandbox import limits
from grader.results import Event, Finished, Request, Result, Trial, Tried

LEAST_MEMORY_MB = 1024  # for the tests and the variant together; the drill's own limit is for learners
DIAGNOSIS_SECONDS = 30.0
PATIENCE = 10  # times the time of a run, by the wall clock


class Trials:
    """Runs a request's trials one after the other, telling `emit` how each ended."""

    def __init__(self, request: Request, emit: Callable[[Event], None]) -> None:
        self._request = request
        self._emit = emit

    def run(self) -> None:
        """Run them all. GraderError: the hidden tests cannot be run."""
        plugin = Plugin(self._request.seed, self._run_all)
        pytest.main(arguments(str(Path(self._request.folder) / "hidden_tests.py")), plugins=[plugin])
        if plugin.error is not None:
            raise plugin.error
        if plugin.collection_errors:
            raise GraderError(f"the hidden tests of {self._request.drill} cannot be run: {plugin.collection_errors[0]}")
        result = Result(
            drill=self._request.drill, verdict="passed", seed=self._request.seed, duration_ms=0.0, isolation="none"
        )
        self._emit(Finished(result))

    def _run_all(self, items: list[pytest.Item], plugin: Plugin) -> None:
        gc.freeze()  # a collection in a child would touch, and so copy, every page
        for index, trial in enumerate(self._request.trials):
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._in_child(theirs, index, trial, items, plugin)
            theirs.close()
            with ours:
                self._emit(_told(ours, pid, index))

    def _in_child(
        self, line: socket.socket, index: int, trial: Trial, items: list[pytest.Item], plugin: Plugin
    ) -> NoReturn:
        try:
            limits.die_with_parent()
            null = os.open(os.devnull, os.O_RDWR)
            for number in (1, 2):
                os.dup2(null, number)
            limits.bound_memory(max(LEAST_MEMORY_MB, self._request.limits.memory_mb))
            tried = self._try(index, trial, items, plugin)
        except GraderError as error:
            tried = Tried(index=index, verdict="error", message=str(error))
        except BaseException:
            tried = Tried(index=index, verdict="error", message=traceback.format_exc())
        signal.setitimer(signal.ITIMER_PROF, 0)
        send_frame(line, msgspec.msgpack.encode(tried))
        os._exit(0)

    def _try(self, index: int, trial: Trial, items: list[pytest.Item], plugin: Plugin) -> Tried:
        """Run the checks, all of them if the mistake is to be named, else up to the first that rejects it."""
        request = msgspec.structs.replace(self._request, seed=trial.seed)
        signal.signal(signal.SIGPROF, _out_of_time)
        signal.alarm(math.ceil(PATIENCE * request.limits.run_seconds))  # ends the process, should that not help
        plugin.seed_of_run = trial.seed
        reference = Reference(request)
        failed, passed, first = [], [], ("", "")
        for position, item in enumerate(items):
            other = items[(position + 1) % len(items)] if len(items) > 1 else None
            signal.setitimer(signal.ITIMER_PROF, request.limits.check_seconds)
            ending = plugin.run(item, other, lambda: _load(request, trial))
            signal.setitimer(signal.ITIMER_PROF, 0)
            impl = plugin.current  # before the reference may be run through the check
            outcome, message = classify(request, plugin, item, other, ending, reference)
            if outcome == "passed":
                passed.append(item)
                continue
            first = first if first[0] else (item.name, message)
            if impl is not None and outcome == "failed":
                failed.append((item, diagnosis.Trace(impl.trace)))
            if not trial.diagnose:
                break
        names = [item.name for item in passed]
        if not first[0]:
            return Tried(index=index, verdict="passed", passed=names)
        named = []
        if trial.diagnose:
            signal.setitimer(signal.ITIMER_PROF, DIAGNOSIS_SECONDS)
            named = [d.mistake for d in diagnosis.diagnose(failed, passed, plugin, reference, items)]
        return Tried(index=index, verdict="failed", check=first[0], message=first[1], named=named, passed=names)


class OutOfTime(BaseException):
    """A check has used up its CPU time. It comes back over the wire, as what the variant raised."""


def _out_of_time(*_: object) -> NoReturn:
    raise OutOfTime


def _load(request: Request, trial: Trial) -> Impl:
    """The variant as a learner's module. Raises what its source raises, as behind the wall."""
    stand_in = None
    if trial.stand_in is not None:
        path, name = trial.stand_in
        stand_in = (Path(path).read_bytes(), path, name)
    load = Load(trial.source, request.filename, request.drill, trial.seed, stand_in)
    seed_everything(trial.seed)
    module, executor = open_module(load)
    try:
        fill_module(module, load)
    except BaseException as error:
        reply = executor.describe(error)
        raise exception_of(reply) if isinstance(reply, Raised) else RunnerFault("forbidden", str(error)) from None
    return Impl(Local(executor), request.filename, executor.names())


def _told(line: socket.socket, pid: int, index: int) -> Tried:
    """What the child said of its trial; one that ended without a word has been rejected, by a signal."""
    try:
        header, _ = receive_frame(line)
        os.waitpid(pid, 0)
    except Closed:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        ended = f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended itself with exit status {status}"
        return Tried(index=index, verdict="failed", check="(process)", message=ended)
    return msgspec.msgpack.decode(header, type=Tried)
