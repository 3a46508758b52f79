"""The result of grading one submission, and the events on the way there.

The JSON of `grader check --json` (CONTRACT section 2) is the encoding of `Report`. Fields beyond the contract's are
additions; none of the contract's fields ever changes its meaning without a new SCHEMA.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1

Verdict = Literal["passed", "failed", "error"]
Outcome = Literal["passed", "failed", "crashed", "timeout", "forbidden", "not_run"]
Isolation = Literal["full", "partial", "none"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One hidden test's outcome. `message` is what went wrong, `hint` the test's own advice, shown on failure."""

    id: str
    title: str
    outcome: Outcome
    message: str = ""
    hint: str = ""
    duration_ms: float = 0.0


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """A known mistake whose outputs are the learner's on the checks named."""

    mistake: str
    message: str
    question: str
    checks: list[str] = []


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one submission.

    `problem` says why nothing could be checked (syntax error, import error) or, with the verdict `error`, why the
    grader could not judge. `layers` maps each layer of the wall to what became of it.
    """

    drill: str
    verdict: Verdict
    seed: int
    duration_ms: float
    isolation: Isolation
    checks: list[Check] = []
    diagnosis: list[Diagnosis] = []
    output: str = ""
    problem: str = ""
    layers: dict[str, str] = {}
    solution: bool = False
    engine_fault: bool = False  # with the verdict `error`: a process of the engine died; another try may well do

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if check.outcome != "passed"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `grader check --json` prints."""

    schema: int = SCHEMA
    results: list[Result]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on the learner's code. Seconds are of CPU time; a wall clock of `WALL_FACTOR` times that runs too."""

    check_seconds: float = 2.0
    run_seconds: float = 20.0
    memory_mb: int = 1024


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One variant of the reference to run the hidden tests on, in `grader validate`."""

    source: bytes
    seed: int
    stand_in: tuple[str, str] | None = None  # as in a Request
    diagnose: bool = False


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of the engine: grade `source` as an answer to the drill in `folder`."""

    drill: str
    folder: str
    solution: str  # path of the reference solution
    source: bytes
    filename: str  # as the learner knows the file; shown in messages, never opened
    seed: int
    limits: Limits
    forbidden: list[str] = []  # dotted names, a trailing * is a prefix
    operators: list[str] = []  # dispatcher names such as aten::rms_norm
    stand_in: tuple[str, str] | None = None  # (file, name): grade the solution with this stand-in instead
    diagnose: bool = True
    workers: int = 1  # processes that share the checks
    trials: list[Trial] = []  # instead of grading `source`: try these, which are the drill's own code
    allow_forbidden: bool = False  # for tests: the numbers of a library implementation


def error_result(drill: str, seed: int, problem: str, *, engine_fault: bool = False) -> Result:
    """The result when the grader itself failed: never the learner's fault."""
    return Result(
        drill=drill,
        verdict="error",
        seed=seed,
        duration_ms=0.0,
        isolation="none",
        problem=problem,
        engine_fault=engine_fault,
    )


# Events, in the order they come: Started, then a CheckFinished each, then Finished.


class Started(msgspec.Struct, frozen=True, tag=True):
    """The checks that will run: id and title, in order."""

    drill: str
    checks: list[tuple[str, str]]


class CheckFinished(msgspec.Struct, frozen=True, tag=True):
    check: Check


class Tried(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How a trial ended. `check`: the first that rejected it. `named`: the mistakes that it was diagnosed as."""

    index: int
    verdict: Verdict
    check: str = ""
    message: str = ""
    named: list[str] = []
    passed: list[str] = []  # the checks that did not reject it, of those that were run


class Finished(msgspec.Struct, frozen=True, tag=True):
    result: Result


Event = Started | CheckFinished | Tried | Finished


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """A client's first message: which code it speaks for, and what it wants."""

    fingerprint: str
    request: Request | None = None
    command: Literal["grade", "status", "stop"] = "grade"


class Stale(msgspec.Struct, frozen=True, tag=True):
    """The server runs other code than the client: it is leaving, start another."""

    fingerprint: str


class Status(msgspec.Struct, frozen=True, tag=True):
    """What `grader doctor` asks of a running server."""

    pid: int
    started_at: float
    graded: int
    memory_mb: float
    zygote_memory_mb: float


Answer = Started | CheckFinished | Tried | Finished | Stale | Status
