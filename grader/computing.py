"""Runs the computations of a drill's `evidence.py`, in a process of its own: an error, an end or a hang of one of
them costs that claim, and the command that asked goes on without torch in it.

`evidence.py` is the drill's own, trusted code, as its hidden tests are; the process is there for order, not for safety.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec

from drills.catalogue import Drill, Problem
from grader import authoring
from grader.errors import GraderFault
from grader.evidence import Claim, claims

SECONDS = 60.0  # for all claims of a drill, most of it the import of torch


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """A claim and what came of it."""

    name: str  # of the function in evidence.py
    question: str
    claim: str
    claim_zh: str
    wrong: bool  # marked as a claim of printed answers that does not hold
    figure: str
    figure_zh: str
    values: list[int | float]  # the numbers in the figure
    holds: bool

    @property
    def verdict(self) -> str:
        return "holds" if self.holds else "refuted"


class _Line(msgspec.Struct, omit_defaults=True):
    """What the process says: that a claim is begun, what came of it, or what went wrong. No name: the whole file."""

    name: str = ""
    computed: Computed | None = None
    failed: str = ""
    last: bool = False


def compute(drill: Drill, seconds: float = SECONDS) -> tuple[list[Computed], list[Problem]]:
    """What the drill's claims come to, and what is wrong with its evidence. Nothing of either without the file."""
    file = drill.evidence
    if not file.is_file():
        return [], []
    said, ending = _run(file, drill.solution, seconds)
    found = [line.computed for line in said if line.computed]
    problems = [_failed(file, line) for line in said if line.failed]
    problems += [_otherwise(file, one) for one in found if one.holds == one.wrong]
    if not said:
        advice = f"Install llm-drills where {sys.executable} finds it, and try again."
        raise GraderFault("The process that computes evidence could not be started.", advice)
    if not said[-1].last:
        at = said[-1].name or "the file"
        problems.append(Problem(file, f"{at} {ending}", "Compute less, and end no process there"))
    return found, problems


def _failed(file: Path, line: _Line) -> Problem:
    what = f"{line.name} failed: {line.failed}" if line.name else f"cannot be loaded: {line.failed}"
    return Problem(file, what, "Mend it there; `drills show TOPIC --evidence` tries again")


def _otherwise(file: Path, one: Computed) -> Problem:
    meant = "refuted, for it is marked `wrong=True`" if one.wrong else "true"
    return Problem(file, f"{one.name} {one.verdict}, and is meant to be {meant}", "Mend the claim or the computation")


def _run(file: Path, solution: Path, seconds: float) -> tuple[list[_Line], str]:
    """Everything that the process said, and how it ended."""
    command = [sys.executable, "-P", "-m", "grader.computing", str(file), str(solution)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # sums in the same order everywhere
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=one_thread, check=False
        )
    except subprocess.TimeoutExpired as expired:
        return list(_lines(expired.stdout or b"")), f"did not finish within {seconds:g} s"
    return list(_lines(done.stdout)), f"ended the process (exit code {done.returncode})"


def _lines(output: bytes) -> Iterator[_Line]:
    for line in output.splitlines():
        with contextlib.suppress(msgspec.MsgspecError):  # cut off when the process ended
            yield msgspec.json.decode(line, type=_Line)


def main(file: Path, solution: Path) -> None:
    """The process: load, compute one claim after the other, tell each at once. What the file prints goes to stderr."""
    out = os.dup(1)
    os.dup2(2, 1)

    def say(line: _Line) -> None:
        os.write(out, msgspec.json.encode(line) + b"\n")

    found: list[Claim] = []
    say(_Line())
    try:
        authoring.bind_solution(_load("reference_solution", solution))
        found = claims(vars(_load("evidence", file)))
    except BaseException as error:
        say(_Line(failed=_told(error, file)))
    for claim in found:
        say(_Line(name=claim.name))
        try:
            say(_Line(name=claim.name, computed=_computed(claim)))
        except BaseException as error:
            say(_Line(name=claim.name, failed=_told(error, file)))
    say(_Line(last=True))


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _computed(claim: Claim) -> Computed:
    found = claim.compute()
    if not all(map(math.isfinite, found.values)):
        raise ValueError(f"a value is not finite: {found.values}")
    return Computed(
        name=claim.name,
        question=claim.question,
        claim=claim.claim,
        claim_zh=claim.claim_zh,
        wrong=claim.wrong,
        figure=found.figure,
        figure_zh=found.figure_zh,
        values=list(found.values),
        holds=found.holds,
    )


def _told(error: BaseException, file: Path) -> str:
    """The error in a line, with the line of the file that it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
