"""From a drill and a learner's source to a request for the engine."""

from __future__ import annotations

import os

from drills.catalogue import Drill
from grader.results import Limits, Request

SEEDS = 1_000_000  # short enough to be typed again


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
    fail_fast: bool = False,
    reuse_runner: bool = False,
) -> Request:
    """The request to grade `source`, known to the learner as `filename`, as an answer to `drill`."""
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
        fail_fast=fail_fast,
        reuse_runner=reuse_runner,
    )
