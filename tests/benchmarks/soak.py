"""A day's worth of checks on one warm server: right, wrong and hostile answers, mixed, as fast as they go.

    python tests/benchmarks/soak.py [--checks 5000] [--json]

Prints, at the beginning, after each fifth and at the end, what the server holds (memory, descriptors, processes,
temporary files) and how many checks a second it has graded. Exits with 1 if a verdict was not the expected one, or if
something has grown.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "attacks"), str(ROOT / "tests")]

from attack import PACK, Attack, solution_of  # noqa: E402
from submissions import GROUPS  # noqa: E402

from drills.catalogue import Catalogue  # noqa: E402
from grader import client  # noqa: E402
from grader.client import Grading  # noqa: E402
from grader.requests import request_for  # noqa: E402
from grader.results import Finished  # noqa: E402

POOL, NURSERIES = 16, 4  # of grader/engine/zygote.py, which imports torch

STAGES = 5
# What may be more at the end than after the first fifth: pages that the server's own counters and caches touch.
MORE_MB, MORE_DESCRIPTORS, MORE_FILES = 8.0, 2, 0
MOST_PROCESSES = 4 + NURSERIES * (1 + POOL)  # server, zygote, two judges; runners kept ready, as many as there may be
SLOWER = 0.7  # of the first fifth's throughput, that the last must reach on a machine that does other things too
WRONG = b"\n\ndef double(x):\n    return x + 1\n"


class Held(NamedTuple):
    """What the server holds at a moment, and how fast it was until then."""

    checks: int
    per_second: float
    memory_mb: float
    descriptors: int
    processes: int
    files: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checks", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drills-soak-") as folder:
        os.environ["DRILLS_RUNTIME_DIR"] = str(Path(folder) / "run")
        os.environ["TMPDIR"] = tempfile.tempdir = str(Path(folder) / "tmp")
        Path(tempfile.tempdir).mkdir()
        try:
            stages, unexpected = soak(options.checks, random.Random(options.seed))
        finally:
            client.stop()
    grown = list(growth(stages))
    if options.json:
        print(json.dumps({"stages": [s._asdict() for s in stages], "unexpected": unexpected, "grown": grown}))
    else:
        print_table(stages, unexpected, grown)
    return 1 if unexpected or grown else 0


def soak(checks: int, chance: random.Random) -> tuple[list[Held], list[str]]:
    """Grade that many answers; the stages, and the answers that were not judged as they should be."""
    drills = {drill.slug: drill for drill in Catalogue.load([PACK]).drills}
    attacks = [attack for group in GROUPS.values() for attack in group]
    stages, unexpected = [], []
    started, done = time.monotonic(), 0
    for number in range(checks):
        attack = chance.choice([right(), wrong(), chance.choice(attacks)])
        *_, last = Grading(request_for(drills[attack.topic], attack.source, "answer.py"))
        assert isinstance(last, Finished)
        if not attack.is_met_by(last.result.verdict, {check.outcome for check in last.result.checks}):
            outcomes = {check.id: check.outcome for check in last.result.checks}
            unexpected.append(f"{attack.name}: {last.result.verdict} {outcomes} {last.result.problem}")
        if (number + 1) % max(1, checks // STAGES) == 0:
            now = time.monotonic()
            stages.append(held(number + 1, (number + 1 - done) / (now - started)))
            started, done = now, number + 1
    return stages, unexpected


def right() -> Attack:
    return Attack("right", solution_of("target"), frozenset())


def wrong() -> Attack:
    return Attack("wrong", solution_of("target") + WRONG, frozenset({"failed"}))


def held(checks: int, per_second: float) -> Held:
    status = client.status()
    assert status is not None, "the server is gone"
    family = [status.pid, *below(status.pid)]  # the server, the zygote, ...
    return Held(
        checks, per_second, status.memory_mb + status.zygote_memory_mb,
        sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in family[:2]), len(family), len(os.listdir(tempfile.gettempdir())),
    )  # fmt: skip


def below(pid: int) -> Iterator[int]:
    """All processes under this one that live: judges end, and runners are ended, a moment after the verdict."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if "State:\tZ" not in Path(f"/proc/{child}/status").read_text():
            yield int(child)
            yield from below(int(child))


def growth(stages: list[Held]) -> Iterator[str]:
    first, last = stages[0], stages[-1]
    for name, more in (
        ("memory_mb", MORE_MB), ("descriptors", MORE_DESCRIPTORS), ("files", MORE_FILES),
    ):  # fmt: skip
        if getattr(last, name) > getattr(first, name) + more:
            yield f"{name}: {getattr(first, name)} after the first fifth, {getattr(last, name)} at the end"
    if last.processes > MOST_PROCESSES:
        yield f"processes: {last.processes}"
    if last.per_second < SLOWER * first.per_second:
        yield f"throughput fell from {first.per_second:.2f} to {last.per_second:.2f} checks a second"


def print_table(stages: list[Held], unexpected: list[str], grown: list[str]) -> None:
    print("checks  a second  memory MB  descriptors  processes  temporary files")
    for s in stages:
        print(
            f"{s.checks:6}  {s.per_second:8.2f}  {s.memory_mb:9.1f}  {s.descriptors:11}  {s.processes:9}  {s.files:15}"
        )
    for text in (*unexpected, *grown):
        print(text)
    print(f"{len(unexpected)} verdicts not as expected, {len(grown)} things grown")


if __name__ == "__main__":
    sys.exit(main())
