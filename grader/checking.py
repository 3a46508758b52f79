"""`grader check`: from topics on the command line to results, on the screen and in the learner's progress."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from drills.catalogue import Drill
from grader import report
from grader.client import Grading
from grader.errors import BadInput
from grader.plain import plain
from grader.requests import new_seed, request_for
from grader.results import Check, CheckFinished, Event, Finished, Report, Request, Result, Verdict
from grader.session import Session, warn
from grader.submission import read_submission

EXIT_CODES: dict[Verdict, int] = {"passed": 0, "failed": 1, "error": 3}


class Options(NamedTuple):
    """What was asked on the command line."""

    topics: tuple[str, ...]
    file: Path | None
    solution: bool
    seed: int | None
    as_json: bool
    verbose: bool
    use_server: bool
    workspace: Path | None
    packs: tuple[Path, ...]
    junit: Path | None = None


class Job(NamedTuple):
    """One file to grade. `recorded`: it counts as the learner's attempt."""

    drill: Drill
    source: bytes
    filename: str
    recorded: bool


def check_all(options: Options) -> int:
    """Grade everything that was asked for; the exit code. Raises BadInput before anything is graded."""
    session = Session.open(options.workspace, options.packs)
    drills = [session.find(topic) for topic in options.topics] or list(session.catalogue.drills)
    jobs = [_job(session, drill, options) for drill in dict.fromkeys(drills)]
    results = []
    for job in jobs:
        result = _grade(job, options, several=len(jobs) > 1)
        if job.recorded:
            _record(session, job, result)
        results.append(result)
    if options.junit is not None:
        _write_junit(options.junit, results)
    if options.as_json:
        sys.stdout.write(msgspec.json.encode(Report(results=results)).decode() + "\n")
    elif len(results) > 1:
        _overview(results)
    return max(EXIT_CODES[result.verdict] for result in results)


def _write_junit(file: Path, results: list[Result]) -> None:
    from grader.junit import junit_text

    try:
        file.write_text(junit_text((result.drill, result) for result in results), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror}.", "Name another file after --junit.") from None


def _job(session: Session, drill: Drill, options: Options) -> Job:
    _refuse_broken(drill)
    if options.solution:
        return Job(drill, drill.solution_source.encode(), str(drill.solution), recorded=False)
    if options.file is not None:
        return Job(drill, read_submission(options.file), _shown(options.file), recorded=False)
    session.workspace.require()
    path = session.workspace.file(drill.slug)
    return Job(drill, read_submission(path), _shown(path), recorded=True)


def _shown(path: Path) -> str:
    """A file's name, fit for a terminal."""
    return plain(str(path)).replace("\n", " ")


def _refuse_broken(drill: Drill) -> None:
    """Signatures and questions are not looked at here: `grader validate` is for that, and takes its time."""
    if not drill.solution.is_file():
        raise BadInput(f"The drill {drill.slug} has no reference solution.", f"Write {drill.solution}.")


def _grade(job: Job, options: Options, *, several: bool) -> Result:
    seed = new_seed() if options.seed is None else options.seed
    request = request_for(job.drill, job.source, job.filename, seed=seed, diagnose=not options.solution)
    if options.as_json:
        result = run(request, options.use_server, lambda event: None)
    else:
        click.secho(f"{job.drill.title} ({job.drill.slug})", bold=True)
        result = run(request, options.use_server, _print_event)
    result = msgspec.structs.replace(result, solution=options.solution)
    if not options.as_json:
        for line in report.summary(job.drill, result, job.filename):
            click.echo(line)
        if options.verbose and not result.problem:
            for line in report.all_failures(result):
                click.echo(line)
        if several:
            click.echo()
    return result


def run(request: Request, use_server: bool, on_event: Callable[[Event], None]) -> Result:
    """Grade a request to its end. Ctrl-C ends it, and what it had started."""
    grading = Grading(request, use_server=use_server)
    try:
        for event in grading:
            on_event(event)
            if isinstance(event, Finished):
                for text in grading.warnings:
                    warn(text)
                return event.result
    except KeyboardInterrupt:
        grading.cancel()
        raise
    raise AssertionError("a grading that was not cancelled ends with a result")


def _print_event(event: Event) -> None:
    if isinstance(event, CheckFinished) and not _is_silent(event.check):
        click.echo(report.check_line(event.check))


def _is_silent(check: Check) -> bool:
    """A file that cannot be loaded has one reason; a line for every check would scroll it away."""
    return check.outcome == "not_run"


def _record(session: Session, job: Job, result: Result) -> None:
    plain = msgspec.to_builtins(result)
    session.record(lambda progress: _discard(progress.record_attempt(job.drill.slug, plain, job.source)))


def _discard(_: object) -> None:
    return None


def _overview(results: list[Result]) -> None:
    passed = sum(result.verdict == "passed" for result in results)
    click.secho(
        f"{passed} of {len(results)} drills passed",
        fg="green" if passed == len(results) else "red",
        bold=True,
    )
    for result in results:
        if result.verdict != "passed":
            click.echo(f"  {result.drill}: {result.verdict}")
