"""`grader validate`: proves that a drill's hidden tests accept what is right and reject what is wrong.

What has to pass goes through the engine as a learner's answer would: the reference, every equivalent, and the stub.
Known mistakes, automatic mutants of the reference, and further seeds of everything are tried without a wall
(grader/engine/trials.py), which costs a fraction of that.
"""

from __future__ import annotations

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
from grader.computing import compute
from grader.errors import BadInput
from grader.mutants import Mutant, diff, mutants
from grader.requests import cores, request_for
from grader.results import SCHEMA, Event, Request, Result, Trial, Tried
from grader.session import Session

WORKERS = cores()
FIRST_SEED = 1000
GRADED_REFERENCES = 3  # seeds on which the reference is graded behind the wall; its durations are the median of these
BATCH = 16  # trials for which the hidden tests are collected once
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
    """One grading or trial, and what has to become of it: `judge` gives the proof, or the hole."""

    kind: str
    name: str
    what: Request | Trial
    judge: Callable[[Tried], Proof]


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
    proofs = prove_folder(drill)
    jobs = list(_jobs(drill, plan))
    if not _stands(drill):
        jobs = jobs[:1]  # whatever else were tried would say the same over and over
    tried, references = _run_jobs(drill, jobs, progress)
    proofs += _merged([job.judge(found) for job, found in zip(jobs, tried, strict=True)])
    slowest = _slowest(references)
    proofs += _over_budget(drill, slowest)
    return DrillProof(
        drill=drill.slug,
        checks=len(slowest),
        slowest_ms=max(slowest.values(), default=0.0),
        seconds=round(time.monotonic() - started, 1),
        proofs=proofs,
    )


def prove_folder(drill: Drill) -> list[Proof]:
    """That the files fit together, and that the evidence computes to what it is meant to."""
    problems = [*drill.verify(), *compute(drill)[1]]
    holes = [Proof(kind="folder", name=problem.file.name, problem=str(problem)) for problem in problems]
    return holes or [Proof(kind="folder", name=drill.folder.name)]


def _stands(drill: Drill) -> bool:
    """Whether the reference gets through its tests at all."""
    request = _request(drill, drill.solution_source.encode(), drill.solution)
    return run(request, True, _ignore).verdict == "passed"


def _run_jobs(drill: Drill, jobs: list[Job], progress: Callable[[int, int], None]) -> tuple[list[Tried], list[Result]]:
    """What became of each job, and the gradings of the reference."""
    found: dict[int, Tried] = {}
    graded: dict[int, Result] = {}

    def grade(place: int, request: Request) -> None:
        graded[place] = run(request, True, _ignore)
        found[place] = _as_tried(graded[place])

    def attempt(places: dict[int, Trial]) -> None:
        found.update(zip(places, _try(drill, list(places.values())), strict=True))

    trials = [(i, job.what) for i, job in enumerate(jobs) if isinstance(job.what, Trial)]
    with ThreadPoolExecutor(WORKERS) as pool:  # the gradings first: they take longest
        waiting = [pool.submit(grade, i, job.what) for i, job in enumerate(jobs) if isinstance(job.what, Request)]
        for start in range(0, len(trials), BATCH):
            waiting.append(pool.submit(attempt, dict(trials[start : start + BATCH])))
        for future in as_completed(waiting):
            future.result()
            progress(len(found), len(jobs))
    return [found[i] for i in range(len(jobs))], [graded[i] for i in graded if jobs[i].kind == "reference"]


def _try(drill: Drill, trials: list[Trial]) -> list[Tried]:
    """Run trials, one after the other; one that the engine has not told about is an error."""
    request = _request(drill, drill.solution_source.encode(), drill.solution)
    found: dict[int, Tried] = {}

    def take(event: Event) -> None:
        if isinstance(event, Tried):
            found[event.index] = event

    result = run(msgspec.structs.replace(request, trials=trials), True, take)
    untold = Tried(index=-1, verdict="error", message=result.problem or "the engine did not say")
    return [found.get(i, untold) for i in range(len(trials))]


def _as_tried(result: Result) -> Tried:
    """A grading, seen as the trials are."""
    failures = result.failures
    reasons = [f"{c.id}: {c.message.splitlines()[0]}" for c in failures[:3] if c.message]
    return Tried(
        index=0,
        verdict=result.verdict,
        check=failures[0].id if failures else "",
        message=result.problem or "; ".join(reasons),
        named=[diagnosis.mistake for diagnosis in result.diagnosis],
        passed=[check.id for check in result.checks if check.outcome == "passed"],
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
    solution = drill.solution_source.encode()
    for seed in range(FIRST_SEED, FIRST_SEED + plan.reference):
        what: Request | Trial = Trial(source=solution, seed=seed)
        if seed < FIRST_SEED + GRADED_REFERENCES:
            what = _request(drill, solution, drill.solution, seed)
        yield _job("reference", f"seed {seed}", what, _must_pass)
    stub = drill.folder / "stub.py"
    yield _job("stub", "stub.py", _request(drill, stub.read_bytes(), stub), _no_check_passes)
    for mistake in read_stand_ins(drill.folder / "mistakes.py"):
        place = (mistake.file, mistake.name)
        for seed in range(FIRST_SEED, FIRST_SEED + plan.mistakes):
            first = seed == FIRST_SEED
            trial = Trial(source=solution, seed=seed, stand_in=place, diagnose=first)
            yield _job("mistake", mistake.name, trial, _must_be_named if first else _must_fail)
    for equivalent in read_stand_ins(drill.folder / "equivalents.py"):
        yield _job("equivalent", equivalent.name, stand_in_request(drill, equivalent), _must_pass)
        place = (equivalent.file, equivalent.name)
        for seed in range(FIRST_SEED + 1, FIRST_SEED + plan.equivalents):
            yield _job("equivalent", equivalent.name, Trial(source=solution, seed=seed, stand_in=place), _must_pass)
    if plan.mutants:
        yield from _mutant_jobs(drill)


def _job(kind: str, name: str, what: Request | Trial, problem: Callable[[str, Tried], str]) -> Job:
    def judge(tried: Tried) -> Proof:
        found = problem(name, tried)
        where = f" (seed {what.seed})" if found and kind != "reference" else ""
        return Proof(kind=kind, name=name, problem=found + where)

    return Job(kind, name, what, judge)


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
        trial = Trial(source=mutant.source.encode(), seed=FIRST_SEED)
        yield Job("mutant", mutant.name, trial, _mutant_judge(drill, mutant, listed.get(mutant.name)))


def _mutant_judge(drill: Drill, mutant: Mutant, reason: str | None) -> Callable[[Tried], Proof]:
    """A mutant is rejected, or listed as equivalent with a reason; not both."""

    def judge(tried: Tried) -> Proof:
        problem, shown = "", ""
        if tried.verdict == "error":
            problem = f"error: {tried.message}"
        elif tried.verdict == "failed" and reason is not None:
            problem = f"is listed in {MUTANTS_FILE} as equivalent, and is rejected by {tried.check}"
        elif tried.verdict == "passed" and reason is None:
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


def stand_in_request(drill: Drill, stand_in: StandInName) -> Request:
    """The request to grade the reference with one of its names replaced."""
    request = _request(drill, drill.solution_source.encode(), drill.solution)
    return msgspec.structs.replace(request, stand_in=(stand_in.file, stand_in.name), diagnose=True)


def _request(drill: Drill, source: bytes, path: Path, seed: int = FIRST_SEED) -> Request:
    """A grading by one process: as many of them run at a time as there are cores."""
    return request_for(drill, source, str(path), seed=seed, diagnose=False, workers=1)


def _no_check_passes(_name: str, tried: Tried) -> str:
    if tried.verdict == "error":
        return f"error: {tried.message}"
    return f"passes {', '.join(tried.passed)}" if tried.passed else ""


def _must_pass(_name: str, tried: Tried) -> str:
    return "" if tried.verdict == "passed" else ": ".join(filter(None, (tried.verdict, tried.check, tried.message)))


def _must_be_named(name: str, tried: Tried) -> str:
    if tried.verdict == "failed":
        return "" if name in tried.named else f"is diagnosed as {', '.join(tried.named) or 'nothing'}"
    return _must_fail(name, tried)


def _must_fail(_name: str, tried: Tried) -> str:
    return {"passed": "is not rejected", "failed": ""}.get(tried.verdict, f"error: {tried.message}")


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
