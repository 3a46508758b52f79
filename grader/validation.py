"""`grader validate`: proves that a drill's hidden tests accept what is right and reject what is wrong.

Everything goes through the engine as a learner's answer would: the reference on several seeds, the stub, every known
mistake, every listed equivalent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import msgspec

from drills.catalogue import Drill
from grader.authoring import StandInName, read_stand_ins
from grader.checking import run
from grader.requests import request_for
from grader.results import SCHEMA, Request, Result
from grader.session import Session

WORKERS = 2
FIRST_SEED = 1000


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One thing proved, or not: `problem` is empty if it was."""

    kind: str  # folder, reference, stub, mistake, equivalent
    name: str
    problem: str = ""


class DrillProof(msgspec.Struct, frozen=True, kw_only=True):
    """Everything proved of one drill."""

    drill: str
    checks: int
    slowest_ms: float
    proofs: list[Proof]

    @property
    def holes(self) -> list[Proof]:
        return [proof for proof in self.proofs if proof.problem]

    def count(self, kind: str) -> str:
        mine = [proof for proof in self.proofs if proof.kind == kind]
        return f"{sum(not proof.problem for proof in mine)}/{len(mine)}"


def validate_all(target: str | None, *, seeds: int, as_json: bool, packs: tuple[Path, ...]) -> int:
    """Prove one drill, the drills of a pack, or all; print a table. 1 if anything does not hold."""
    session = Session.open(None, packs)
    drills = _chosen(session, target)
    proofs = []
    for drill in drills:
        proof = prove(drill, seeds)
        proofs.append(proof)
        if not as_json:
            _print(proof)
    broken = session.catalogue.broken if target is None else {}
    if as_json:
        document = {
            "schema": SCHEMA,
            "drills": proofs,
            "broken": {k: [str(p) for p in v] for k, v in broken.items()},
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        for slug, problems in broken.items():
            for problem in problems:
                click.secho(f"{slug}: {problem}", fg="red")
    return 1 if broken or any(proof.holes for proof in proofs) else 0


def _chosen(session: Session, target: str | None) -> list[Drill]:
    if target is None:
        return list(session.catalogue.drills)
    of_pack = [drill for drill in session.catalogue.drills if drill.pack == target]
    return of_pack or [session.find(target)]


def prove(drill: Drill, seeds: int) -> DrillProof:
    """Everything that can be proved of a drill, several gradings at a time."""
    proofs = [Proof(kind="folder", name=problem.file.name, problem=str(problem)) for problem in drill.verify()]
    proofs = proofs or [Proof(kind="folder", name=drill.folder.name)]
    jobs = list(_jobs(drill, seeds))
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda job: run(job[2], True, lambda event: None), jobs))
    for (kind, name, _), result in zip(jobs, results, strict=True):
        proofs.append(Proof(kind=kind, name=name, problem=_EXPECTED[kind](name, result)))
    references = [result for (kind, _, _), result in zip(jobs, results, strict=True) if kind == "reference"]
    slowest = max((check.duration_ms for result in references for check in result.checks), default=0.0)
    return DrillProof(drill=drill.slug, checks=len(references[0].checks), slowest_ms=slowest, proofs=proofs)


def _jobs(drill: Drill, seeds: int) -> Iterator[tuple[str, str, Request]]:
    solution, path = drill.solution_source.encode(), str(drill.solution)
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        yield "reference", f"seed {seed}", request_for(drill, solution, path, seed=seed, diagnose=False)
    stub = drill.folder / "stub.py"
    yield "stub", "stub.py", request_for(drill, stub.read_bytes(), str(stub), seed=FIRST_SEED)
    for stand_in in (
        *read_stand_ins(drill.folder / "mistakes.py"),
        *read_stand_ins(drill.folder / "equivalents.py"),
    ):
        yield stand_in.kind, stand_in.name, stand_in_request(drill, stand_in)


def stand_in_request(drill: Drill, stand_in: StandInName, seed: int = FIRST_SEED) -> Request:
    """The request to grade the reference with one of its names replaced."""
    request = request_for(drill, drill.solution_source.encode(), str(drill.solution), seed=seed)
    return msgspec.structs.replace(request, stand_in=(stand_in.file, stand_in.name))


def _must_pass(_name: str, result: Result) -> str:
    if result.verdict == "passed":
        return ""
    return f"{result.verdict}: {result.problem or _reasons(result)}"


def _must_fail_everywhere(_name: str, result: Result) -> str:
    passed = [check.id for check in result.checks if check.outcome == "passed"]
    if result.verdict == "error":
        return f"error: {result.problem}"
    return f"passes {', '.join(passed)}" if passed else ""


def _must_be_named(name: str, result: Result) -> str:
    if result.verdict != "failed":
        return "is not rejected" if result.verdict == "passed" else f"error: {result.problem}"
    named = [diagnosis.mistake for diagnosis in result.diagnosis]
    return "" if name in named else f"is diagnosed as {', '.join(named) or 'nothing'}"


_EXPECTED = {
    "reference": _must_pass,
    "equivalent": _must_pass,
    "stub": _must_fail_everywhere,
    "mistake": _must_be_named,
}


def _reasons(result: Result) -> str:
    return "; ".join(f"{check.id}: {check.message.splitlines()[0]}" for check in result.failures[:3] if check.message)


def _print(proof: DrillProof) -> None:
    good = not proof.holes
    mark = click.style("✓" if good else "✗", fg="green" if good else "red")
    kinds: Sequence[tuple[str, str]] = (
        ("reference", "seeds"), ("mistake", "mistakes"), ("equivalent", "equivalents"),
    )  # fmt: skip
    counts = "  ".join(f"{label} {proof.count(kind)}" for kind, label in kinds)
    click.echo(f"{mark} {proof.drill:<18} {proof.checks} checks  {counts}  slowest {proof.slowest_ms:.0f} ms")
    for hole in proof.holes:
        click.secho(f"    {hole.kind} {hole.name}: {hole.problem}", fg="red")
