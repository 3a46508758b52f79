"""`grader validate`: proves that a drill's hidden tests accept what is right and reject what is wrong.

Everything goes through the engine as a learner's answer would: the reference on several seeds, the stub, every known
mistake, every listed equivalent, and every automatic mutant of the reference.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from drills.catalogue import Drill
from grader.authoring import StandInName, read_stand_ins
from grader.checking import run
from grader.errors import BadInput
from grader.mutants import Mutant, diff, mutants
from grader.requests import request_for
from grader.results import SCHEMA, Request, Result
from grader.session import Session

WORKERS = os.cpu_count() or 1
FIRST_SEED = 1000
MUTANTS_FILE = "mutants.toml"
# Of the time that a check is given, the most that the reference may take: an honest answer may be slower than it.
SHARE_OF_BUDGET = 0.5
KINDS = ("reference", "stub", "mistake", "equivalent", "mutant")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One thing proved, or not: `problem` is empty if it was. `reason`: why a mutant need not be rejected."""

    kind: str  # folder, budget or one of KINDS
    name: str
    problem: str = ""
    diff: str = ""
    reason: str = ""


class DrillProof(msgspec.Struct, frozen=True, kw_only=True):
    """Everything proved of one drill."""

    drill: str
    checks: int
    slowest_ms: float
    seconds: float
    proofs: list[Proof]

    @property
    def holes(self) -> list[Proof]:
        return [proof for proof in self.proofs if proof.problem]

    def count(self, kind: str) -> str:
        mine = [proof for proof in self.proofs if proof.kind == kind]
        return f"{sum(not proof.problem for proof in mine)}/{len(mine)}"


class Job(NamedTuple):
    """One grading, and what its result has to be: `judge` gives the proof, or the hole."""

    kind: str
    name: str
    request: Request
    judge: Callable[[Result], Proof]


class Plan(NamedTuple):
    """How much to prove. `seeds` is for the reference; None leaves it and all else at what is usual."""

    seeds: int | None = None
    mutants: bool = True

    @property
    def reference(self) -> int:
        return self.seeds or 10

    @property
    def equivalents(self) -> int:
        return self.seeds or 1

    @property
    def mistakes(self) -> int:
        return max(1, (self.seeds or 1) // 10)


def validate_all(target: str | None, plan: Plan, *, as_json: bool, packs: tuple[Path, ...]) -> int:
    """Prove one drill, the drills of a pack, or all; print a table. 1 if anything does not hold."""
    session = Session.open(None, packs)
    drills = _chosen(session, target)
    proofs = []
    if not as_json:
        click.echo(_row("", "drill", "checks", "seeds", "mistakes", "equivalents", "mutants", "slowest", "time"))
    for drill in drills:
        proof = _prove_watched(drill, plan, show=not as_json and sys.stderr.isatty())
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


def _prove_watched(drill: Drill, plan: Plan, *, show: bool) -> DrillProof:
    """Prove it, with a progress bar on a terminal's standard error."""
    if not show:
        return prove(drill, plan)
    with click.progressbar(length=1, label=drill.slug, file=sys.stderr) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        return prove(drill, plan, advance)


def prove(
    drill: Drill, plan: Plan | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> DrillProof:
    """Everything that can be proved of a drill, as many gradings at a time as there are cores."""
    started, plan = time.monotonic(), plan or Plan()
    proofs = [Proof(kind="folder", name=problem.file.name, problem=str(problem)) for problem in drill.verify()]
    proofs = proofs or [Proof(kind="folder", name=drill.folder.name)]
    jobs = list(_jobs(drill, plan))
    results: list[Result | None] = [None] * len(jobs)
    with ThreadPoolExecutor(WORKERS) as pool:
        places = {pool.submit(run, job.request, True, _ignore): i for i, job in enumerate(jobs)}
        for done, future in enumerate(as_completed(places), 1):
            results[places[future]] = future.result()
            progress(done, len(jobs))
    graded = [(job, result) for job, result in zip(jobs, results, strict=True) if result is not None]
    proofs += _merged([job.judge(result) for job, result in graded])
    references = [result for job, result in graded if job.kind == "reference"]
    slowest = _slowest(references)
    proofs += _over_budget(drill, slowest)
    return DrillProof(
        drill=drill.slug,
        checks=len(references[0].checks),
        slowest_ms=max(slowest.values(), default=0.0),
        seconds=round(time.monotonic() - started, 1),
        proofs=proofs,
    )


def _ignore(_: object) -> None:
    return None


def _merged(proofs: list[Proof]) -> list[Proof]:
    """One proof for each thing, however many seeds it was tried on: the first hole, if there is one."""
    merged: dict[tuple[str, str], Proof] = {}
    for proof in proofs:
        before = merged.get((proof.kind, proof.name))
        if before is None or (proof.problem and not before.problem):
            merged[proof.kind, proof.name] = proof
    return list(merged.values())


def _slowest(references: list[Result]) -> dict[str, float]:
    """The usual duration of each check: the median over the seeds, in milliseconds."""
    checks = zip(*(result.checks for result in references), strict=True)
    return {runs[0].id: statistics.median(check.duration_ms for check in runs) for runs in checks}


def _over_budget(drill: Drill, durations: dict[str, float]) -> Iterator[Proof]:
    most = drill.limits.check_seconds * 1000 * SHARE_OF_BUDGET
    for check, duration in durations.items():
        if duration > most:
            problem = f"takes {duration:.0f} ms with the reference; an honest answer needs room: at most {most:.0f} ms"
            yield Proof(kind="budget", name=check, problem=problem)


def _jobs(drill: Drill, plan: Plan) -> Iterator[Job]:
    solution, path = drill.solution_source.encode(), str(drill.solution)
    for seed in range(FIRST_SEED, FIRST_SEED + plan.reference):
        request = request_for(drill, solution, path, seed=seed, diagnose=False, reuse_runner=seed > FIRST_SEED)
        yield _job("reference", f"seed {seed}", request, _must_pass)
    stub = drill.folder / "stub.py"
    yield _job("stub", "stub.py", request_for(drill, stub.read_bytes(), str(stub), seed=FIRST_SEED), _no_check_passes)
    for mistake in read_stand_ins(drill.folder / "mistakes.py"):
        yield _job("mistake", mistake.name, stand_in_request(drill, mistake), _must_be_named)
        for seed in range(FIRST_SEED + 1, FIRST_SEED + plan.mistakes):
            request = msgspec.structs.replace(stand_in_request(drill, mistake, seed), diagnose=False, fail_fast=True)
            yield _job("mistake", mistake.name, request, _must_fail)
    for equivalent in read_stand_ins(drill.folder / "equivalents.py"):
        for seed in range(FIRST_SEED, FIRST_SEED + plan.equivalents):
            yield _job("equivalent", equivalent.name, stand_in_request(drill, equivalent, seed), _must_pass)
    if plan.mutants:
        yield from _mutant_jobs(drill)


def _job(kind: str, name: str, request: Request, problem: Callable[[str, Result], str]) -> Job:
    def judge(result: Result) -> Proof:
        found = problem(name, result)
        where = f" (seed {request.seed})" if found and kind != "reference" else ""
        return Proof(kind=kind, name=name, problem=found + where)

    return Job(kind, name, request, judge)


def _mutant_jobs(drill: Drill) -> Iterator[Job]:
    source, listed = drill.solution_source, equivalent_mutants(drill)
    made = mutants(source)
    unknown = [name for name in listed if name not in {mutant.name for mutant in made}]
    if unknown:
        raise BadInput(
            f"{drill.folder / MUTANTS_FILE} lists a mutant that is not made: {unknown[0]}",
            "Copy the name from the report of `grader validate`, or remove the entry.",
        )
    for mutant in made:
        request = request_for(
            drill, mutant.source.encode(), str(drill.solution), seed=FIRST_SEED, diagnose=False, fail_fast=True,
            reuse_runner=True,
        )  # fmt: skip
        yield Job("mutant", mutant.name, request, _mutant_judge(drill, mutant, listed.get(mutant.name)))


def _mutant_judge(drill: Drill, mutant: Mutant, reason: str | None) -> Callable[[Result], Proof]:
    """A mutant is rejected, or listed as equivalent with a reason; not both."""

    def judge(result: Result) -> Proof:
        problem, shown = "", ""
        if result.verdict == "error":
            problem = f"error: {result.problem}"
        elif result.verdict == "failed" and reason is not None:
            problem = f"is listed in {MUTANTS_FILE} as equivalent, and is rejected by {result.failures[0].id}"
        elif result.verdict == "passed" and reason is None:
            problem = "survives"
            shown = diff(drill.solution_source, mutant, drill.solution.name)
        return Proof(kind="mutant", name=mutant.name, problem=problem, diff=shown, reason=reason or "")

    return judge


def equivalent_mutants(drill: Drill) -> dict[str, str]:
    """The mutants that the drill lists as computing the same, with the reason. BadInput if the file is not in order."""
    path = drill.folder / MUTANTS_FILE
    if not path.is_file():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
        listed = {str(entry["mutant"]): str(entry["reason"]).strip() for entry in entries}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path} cannot be read: {error}", "Each [[equivalent]] has a `mutant` and a `reason`."
        ) from None
    if not all(listed.values()):
        raise BadInput(f"{path}: a mutant is listed without a reason.", "Say why it computes the same.")
    return listed


def stand_in_request(drill: Drill, stand_in: StandInName, seed: int = FIRST_SEED) -> Request:
    """The request to grade the reference with one of its names replaced."""
    source = drill.solution_source.encode()
    request = request_for(drill, source, str(drill.solution), seed=seed, reuse_runner=True)
    return msgspec.structs.replace(request, stand_in=(stand_in.file, stand_in.name))


def _must_pass(_name: str, result: Result) -> str:
    if result.verdict == "passed":
        return ""
    return f"{result.verdict}: {result.problem or _reasons(result)}"


def _no_check_passes(_name: str, result: Result) -> str:
    passed = [check.id for check in result.checks if check.outcome == "passed"]
    if result.verdict == "error":
        return f"error: {result.problem}"
    return f"passes {', '.join(passed)}" if passed else ""


def _must_be_named(name: str, result: Result) -> str:
    if result.verdict != "failed":
        return "is not rejected" if result.verdict == "passed" else f"error: {result.problem}"
    named = [diagnosis.mistake for diagnosis in result.diagnosis]
    return "" if name in named else f"is diagnosed as {', '.join(named) or 'nothing'}"


def _must_fail(_name: str, result: Result) -> str:
    return {"passed": "is not rejected", "failed": ""}.get(result.verdict, f"error: {result.problem}")


def _reasons(result: Result) -> str:
    return "; ".join(f"{check.id}: {check.message.splitlines()[0]}" for check in result.failures[:3] if check.message)


def _print(proof: DrillProof) -> None:
    good = not proof.holes
    mutated = [p for p in proof.proofs if p.kind == "mutant"]
    equal = sum(bool(p.reason) for p in mutated)
    rejected = sum(not p.problem and not p.reason for p in mutated)
    counts = f"{rejected}+{equal}/{len(mutated)}" if mutated else "-"
    row = _row(
        "✓" if good else "✗", proof.drill, str(proof.checks), proof.count("reference"), proof.count("mistake"),
        proof.count("equivalent"), counts, f"{proof.slowest_ms:.0f} ms", f"{proof.seconds:.0f} s",
    )  # fmt: skip
    click.secho(row, fg="green" if good else "red")
    for hole in proof.holes:
        click.secho(f"    {hole.kind} {hole.name}: {hole.problem}", fg="red")
        for line in hole.diff.splitlines():
            click.echo(f"        {line}")


def _row(*cells: str) -> str:
    """One line of the report. Mutants: rejected + listed as equivalent / made."""
    widths = (1, 18, 6, 9, 9, 11, 14, 8, 6)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
