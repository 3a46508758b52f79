"""From a drill and a learner's source to a request for the engine."""

from __future__ import annotations

import os

from drills.catalogue import Drill
from grader.results import Limits, Request

MOST_WORKERS = 4  # a fifth costs more to start than it saves
SEEDS = 1_000_000  # short enough to be typed again


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def new_seed() -> int:
    """A seed for one run. Not the same each time, so that no answer can be made for one set of inputs."""
    return int.from_bytes(os.urandom(8), "little") % SEEDS


def request_for(
    drill: Drill,
    source: bytes,
    filename: str,
    *,
    seed: int | None = None,
    diagnose: bool = True,
    workers: int | None = None,
) -> Request:
    """The request to grade `source`, known to the learner as `filename`, as an answer to `drill`.

    `workers`: how many processes share the checks; as many as there are cores, within reason, unless told.
    """
    return Request(
        drill=drill.slug,
        folder=str(drill.folder),
        solution=str(drill.solution),
        source=source,
        filename=filename,
        seed=new_seed() if seed is None else seed,
        limits=Limits(
            check_seconds=drill.limits.check_seconds,
            run_seconds=drill.limits.run_seconds,
            memory_mb=drill.limits.memory_mb,
        ),
        forbidden=list(drill.forbidden),
        operators=list(drill.operators),
        diagnose=diagnose,
        workers=workers or min(cores(), MOST_WORKERS),
    )
