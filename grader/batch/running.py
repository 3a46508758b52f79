"""One batch: what there is to grade, what is known already, and the rest graded, results kept as they come."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from drills.catalogue import Drill
from grader.batch.collecting import Collected, Submission
from grader.batch.engines import Engine, Task
from grader.batch.store import Key, Store, drill_digest, key_of
from grader.errors import BadInput, GraderFault
from grader.requests import request_for
from grader.results import Isolation, Request, Result, error_result

_LEVELS: tuple[Isolation, ...] = ("none", "partial", "full")


class Graded(NamedTuple):
    """A submission and its result. `alike`: how many people handed in the very same text."""

    submission: Submission
    result: Result
    alike: int


class Outcome(NamedTuple):
    """What came of a batch. `fresh`: contents graded this time."""

    graded: list[Graded]
    fresh: int


def refuse_unsafe(engine: Engine, drill: Drill, *, weak_isolation: bool, root: bool) -> Isolation:
    """The level of isolation there, found by grading the reference. BadInput where it will not do for a class."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and not root:
        raise BadInput(
            "Other people's code is not graded as root: a hole in the wall would be root's.",
            "Run this as an ordinary user, or insist: --allow-root",
        )
    request = request_for(drill, drill.solution_source.encode(), str(drill.solution), diagnose=False, workers=1)
    key = Key(drill.slug, drill_digest(drill), "", request.seed)
    ((_, result),) = engine.grade([Task(key, request)])
    if result.verdict != "passed":
        reason = result.problem
        raise GraderFault(
            f"The reference of {drill.slug} does not pass. {reason}", "`grader doctor` looks for the cause."
        )
    level = result.isolation
    if level != "full" and not weak_isolation:
        missing = ", ".join(name for name, state in result.layers.items() if state != "active") or "all of it"
        raise BadInput(
            f"The wall around the graded code is not complete here ({level}): {missing}.",
            "`grader doctor` says what to do; or insist: --allow-weak-isolation",
        )
    return level


def run_batch(
    collected: Collected,
    drills: dict[str, Drill],
    store: Store,
    engine: Engine,
    seed: int,
    *,
    least: Isolation,
    regrade: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Grade what is not known yet, each content once. Each result is kept before the next is looked at."""
    digests = {slug: drill_digest(drill) for slug, drill in drills.items()}
    keys = [key_of(submission, digests[submission.topic], seed) for submission in collected.submissions]
    first = dict(zip(reversed(keys), reversed(collected.submissions), strict=True))
    known = {} if regrade else store.known(first)
    tasks = [Task(key, _request(drills[key.topic], first[key], seed)) for key in first if key not in known]
    progress(0, len(tasks))
    for done, (task, told) in enumerate(engine.grade(tasks), 1):
        known[task.key] = result = _trusted(told, least)
        if result.verdict != "error":  # the next run of the batch tries that again
            store.keep(task.key, result)
        progress(done, len(tasks))
    alike = Counter(keys)
    graded = [
        Graded(submission, known[key], alike[key]) for key, submission in zip(keys, collected.submissions, strict=True)
    ]
    return Outcome(graded, len(tasks))


def _request(drill: Drill, submission: Submission, seed: int) -> Request:
    # One process each: there are as many answers at a time as there are cores.
    return request_for(drill, submission.source, f"{submission.topic}.py", seed=seed, workers=1)


def _trusted(result: Result, least: Isolation) -> Result:
    """A result that was got behind a weaker wall than the batch was promised is none."""
    if _LEVELS.index(result.isolation) >= _LEVELS.index(least) or result.verdict == "error":
        return result
    return error_result(result.drill, result.seed, f"graded behind a weaker wall ({result.isolation}) than the others")
