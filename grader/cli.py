"""The `grader` command: judges answers, watches for them, proves drills, and says what the machine offers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from grader import __version__
from grader.errors import BadInput, refuse_native_windows

FOLDER = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="grader")
@click.pass_context
def main(context: click.Context) -> None:
    """Grade answers to drills.

    A TOPIC is a drill's name or the beginning of it; `drills list` shows all.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@main.command()
@click.argument("topics", metavar="TOPIC...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every drill of the course.")
@click.option("--file", "file", metavar="PATH", type=FOLDER, help="Grade this file; progress is left alone.")
@click.option("--solution", is_flag=True, help="Grade the reference solution instead.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Repeat a run exactly.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--junit", metavar="FILE", type=FOLDER, help="Write JUnit XML to FILE besides.")
@click.option("--verbose", "-v", is_flag=True, help="Show every failure in full.")
@click.option("--no-server", is_flag=True, help="Do the work in this command, starting nothing.")
@click.option("--workspace", metavar="DIR", type=FOLDER, help="Your folder of answers.")
@click.option("--pack", "packs", metavar="DIR", multiple=True, type=FOLDER, help="More drills.")
@click.pass_context
def check(
    context: click.Context,
    topics: tuple[str, ...],
    every: bool,
    file: Path | None,
    solution: bool,
    seed: int | None,
    as_json: bool,
    junit: Path | None,
    verbose: bool,
    no_server: bool,
    workspace: Path | None,
    packs: tuple[Path, ...],
) -> None:
    """Grade your answers to drills.

    Exit codes: 0 all passed; 1 something did not pass; 2 wrong usage or an unreadable file; 3 the grader failed.
    """
    from grader.checking import Options, check_all

    refuse_native_windows()
    if every == bool(topics):
        raise BadInput("Name the drills to grade, or --all." if not every else "--all leaves no drill to name.")
    if file is not None and (every or len(topics) != 1 or solution):
        raise BadInput("--file goes with exactly one TOPIC.", "For example: grader check rmsnorm --file answer.py")
    options = Options(
        topics=topics, file=file, solution=solution, seed=seed, as_json=as_json, verbose=verbose, junit=junit,
        use_server=not no_server, workspace=workspace, packs=packs,
    )  # fmt: skip
    context.exit(check_all(options))


@main.command()
@click.argument("topic", required=False)
@click.option("--workspace", metavar="DIR", type=FOLDER, help="Your folder of answers.")
@click.option("--pack", "packs", metavar="DIR", multiple=True, type=FOLDER, help="More drills.")
def watch(topic: str | None, workspace: Path | None, packs: tuple[Path, ...]) -> None:
    """Grade on every save, until Ctrl-C."""
    from grader.watching import watch_workspace

    refuse_native_windows()
    watch_workspace(topic, workspace, packs)


@main.command()
@click.argument("target", metavar="[TOPIC|PACK]", required=False)
@click.option(
    "--seeds", type=click.IntRange(1, 10_000), help="Runs of the reference and each equivalent.  [default: 10 and 1]"
)
@click.option("--no-mutants", is_flag=True, help="Leave out the automatic mutants of the reference.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--pack", "packs", metavar="DIR", multiple=True, type=FOLDER, help="More drills.")
@click.pass_context
def validate(
    context: click.Context,
    target: str | None,
    seeds: int | None,
    no_mutants: bool,
    as_json: bool,
    packs: tuple[Path, ...],
) -> None:
    """Prove drills: what is right passes, what is wrong does not.

    Without a TOPIC, every drill is proved. Small changes of the reference solution, made automatically, must be
    rejected as well; those that compute the same are listed with the reason in the drill's mutants.toml.
    """
    from grader.validation import Plan, validate_all

    refuse_native_windows()
    plan = Plan(seeds, mutants=not no_mutants)
    context.exit(validate_all(target, plan, as_json=as_json, packs=packs))


@main.command()
@click.argument("folder", metavar="FOLDER", type=FOLDER)
@click.option("--topic", "topics", metavar="TOPIC", multiple=True, help="Only these drills.")
@click.option("--out", metavar="DIR", type=FOLDER, help="Where results go.  [default: FOLDER-results]")
@click.option("--rules", metavar="FILE", type=FOLDER, help="Weights, due dates and late rules (TOML).")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="The inputs of everybody's checks.")
@click.option("--workers", type=click.IntRange(1, 256), help="Answers graded at a time.  [default: one a core]")
@click.option("--engine", type=click.Choice(["local", "dask"]), default="local", help="Where answers are graded.")
@click.option("--scheduler", metavar="ADDRESS", help="Of the Dask cluster, with --engine dask.")
@click.option("--regrade", is_flag=True, help="Grade what was graded before as well.")
@click.option("--format", "form", type=click.Choice(["gradescope"]), help="Write results.json for it besides.")
@click.option("--allow-weak-isolation", "weak_isolation", is_flag=True, help="Grade though the wall has a hole.")
@click.option("--allow-root", "root", is_flag=True, help="Grade though you are root.")
@click.option("--pack", "packs", metavar="DIR", multiple=True, type=FOLDER, help="More drills.")
@click.pass_context
def batch(
    context: click.Context,
    folder: Path,
    topics: tuple[str, ...],
    out: Path | None,
    rules: Path | None,
    seed: int | None,
    workers: int | None,
    engine: str,
    scheduler: str | None,
    regrade: bool,
    form: str | None,
    weak_isolation: bool,
    root: bool,
    packs: tuple[Path, ...],
) -> None:
    """Grade a class: FOLDER/<learner>/<topic>.py, <learner>_<topic>.py, or zip archives of such files.

    Results are kept as they come: broken off at any point, the same command goes on from there, and the same content
    is not graded twice. Leaves CSV, JSON, JUnit XML and an HTML report.

    Exit codes: 0 all judged, whatever the marks; 2 wrong usage; 3 something could not be judged.
    """
    from grader.batch.command import Options
    from grader.batch.command import batch as grade_class

    refuse_native_windows()
    options = Options(
        folder=folder, topics=topics, out=out, rules=rules, seed=seed, workers=workers, regrade=regrade,
        gradescope=form == "gradescope", weak_isolation=weak_isolation, root=root, packs=packs,
        engine=engine, scheduler=scheduler,
    )  # fmt: skip
    context.exit(grade_class(options))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--workspace", metavar="DIR", type=FOLDER, help="Your folder of answers.")
@click.pass_context
def doctor(context: click.Context, as_json: bool, workspace: Path | None) -> None:
    """Say what the machine offers, and what to do about what it lacks."""
    from grader.doctor import examine

    context.exit(examine(workspace, as_json=as_json))


@main.command()
@click.argument("action", type=click.Choice(["status", "stop"]))
def server(action: str) -> None:
    """Look at the warm server, or stop it. It is started on demand and leaves by itself."""
    from grader import client

    if action == "stop":
        click.echo("The warm server was told to leave." if client.stop() else "No warm server is running.")
        return
    status = client.status()
    if status is None:
        click.echo("No warm server is running; the next check starts one.")
    else:
        memory = status.memory_mb + status.zygote_memory_mb
        click.echo(f"A warm server is running: process {status.pid}, {status.graded} graded, {memory:.0f} MB.")


if __name__ == "__main__":
    main()
