"""`grader batch`: what was asked for, the work, and what is told on the way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from drills.catalogue import Drill
from grader.batch.collecting import collect
from grader.batch.engines import Engine, LocalEngine
from grader.batch.marking import read_rules, unknown_checks
from grader.batch.reports import write_reports
from grader.batch.running import refuse_unsafe, run_batch
from grader.batch.store import Store, output_folder
from grader.batch.summary import Summary, summarise
from grader.errors import BadInput
from grader.requests import new_seed
from grader.session import Session, warn

TOLD = 5  # files that were not used, told on the screen; all of them are in the reports


class Options(NamedTuple):
    """What was asked on the command line."""

    folder: Path
    topics: tuple[str, ...]
    out: Path | None
    rules: Path | None
    seed: int | None
    workers: int | None
    regrade: bool
    gradescope: bool
    weak_isolation: bool
    root: bool
    packs: tuple[Path, ...]
    engine: str = "local"
    scheduler: str | None = None


def batch(options: Options) -> int:
    """Grade a folder of answers; 0 if everything could be judged, 3 if something could not. Raises BadInput."""
    session = Session.open(None, options.packs)
    chosen = [session.find(topic) for topic in options.topics] or list(session.catalogue.drills)
    drills = {drill.slug: drill for drill in chosen}
    rules = read_rules(options.rules, set(drills))
    collected = collect(options.folder, list(drills))
    if not collected.submissions:
        told = "\n".join(f"  {each.origin}: {each.reason}" for each in collected.unused[:TOLD])
        raise BadInput(
            f"{options.folder} holds no answer to any of the drills.", told or "`grader batch --help` says how."
        )
    out = output_folder(options.folder, options.out)
    drills = _wanted(drills, {each.topic for each in collected.submissions}, named=bool(options.topics))
    engine = _engine(options)
    level = refuse_unsafe(engine, next(iter(drills.values())), weak_isolation=options.weak_isolation, root=options.root)
    with Store.open(out / "results.db") as store:
        seed = store.seed(new_seed() if options.seed is None else options.seed)
        if options.seed not in (None, seed):
            raise BadInput(f"This batch was begun with the seed {seed}.", "Go on with it, or name another: --out DIR")
        try:
            with _bar() as progress:
                outcome = run_batch(
                    collected, drills, store, engine, seed, least=level, regrade=options.regrade, progress=progress
                )
        except KeyboardInterrupt:
            engine.close()
            click.echo("\nBroken off. What was graded is kept: the same command goes on from there.", err=True)
            return 130
    summary = summarise(outcome.graded, collected.unused, list(drills.values()), rules, seed, level)
    for text in unknown_checks(rules, [each.result for each in outcome.graded]):
        warn(f"There is no check {text}; its weight counts for nothing.")
    write_reports(out, options.folder.absolute().name, summary, gradescope=options.gradescope)
    _tell(summary, outcome.fresh, out)
    return 3 if any(drill.errors for drill in summary.drills) else 0


def _engine(options: Options) -> Engine:
    """Where it is graded."""
    if options.engine == "local":
        return LocalEngine(options.workers)
    if options.scheduler is None:
        raise BadInput("The engine dask needs a scheduler.", "Name it: --scheduler tcp://HOST:8786")
    from grader.batch.cluster import DaskEngine  # an extra, and slow to load

    return DaskEngine(options.scheduler, [str(pack.resolve()) for pack in options.packs], root=options.root)


def _wanted(drills: dict[str, Drill], handed_in: set[str], *, named: bool) -> dict[str, Drill]:
    """The drills that were asked for; else those that anybody handed in."""
    return drills if named else {slug: drill for slug, drill in drills.items() if slug in handed_in}


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar with rate and time left, on a terminal's standard error."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("grading", total=None, rate="")

        def progress(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.1f} a second" if speed else "")

        yield progress


def _tell(summary: Summary, fresh: int, out: Path) -> None:
    answers = sum(drill.handed_in for drill in summary.drills)
    click.secho(f"{answers} answers of {len(summary.learners)} people; {fresh} graded now", bold=True)
    for drill in summary.drills:
        failed = [rate for rate in drill.checks[:1] if rate.failed]
        most = f"; most often failed: {failed[0].title} ({failed[0].failed})" if failed else ""
        click.echo(f"  {drill.drill}: {drill.passed} of {drill.handed_in} passed{most}")
        if drill.errors:
            click.secho(f"  {drill.drill}: {drill.errors} could not be judged; run it again to try once more", fg="red")
    for each in summary.unused[:TOLD]:
        click.secho(f"  not graded: {each['origin']}: {each['reason']}", fg="yellow")
    if len(summary.unused) > TOLD:
        click.secho(f"  not graded: {len(summary.unused) - TOLD} more (see the report)", fg="yellow")
    click.echo(f"The report: {out / 'report.html'}; also results.csv, results.json, junit.xml, learners/")
