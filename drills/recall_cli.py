"""`drills quiz`, `history`, `export` and `import`: what was learnt is asked for again, looked back at, taken along."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drills import recall_reports as reports
from drills.shell import LANGUAGES, json_option, print_json, print_lines, with_session
from grader.errors import BadInput, ProgressUnavailable, catalogue_errors
from grader.progress import Attempt, Progress
from grader.session import Session, warn

if TYPE_CHECKING:
    from grader.quiz import Quiz

LATEST = 0  # of attempts: `--diff` without a number
SHOWN = 20  # attempts, where not all are asked for


@click.command()
@click.argument("topic", required=False)
@click.option("--lang", type=LANGUAGES, default="en", help="Language of the questions and answers.")
@click.option("--count", type=click.IntRange(1), help="At most this many.  [default: 10; all with --json]")
@json_option
@with_session
def quiz(session: Session, topic: str | None, lang: str, count: int | None, as_json: bool) -> None:
    """Answer interview questions: those due again, then new ones.

    You rate each answer yourself, helped by its key points, and the rating decides when it is asked again. With --json,
    the questions are listed and nobody is asked.
    """
    from grader.quiz import USUAL_COUNT, choose

    drills = [session.find(topic)] if topic else list(session.catalogue.drills)
    if not as_json and not sys.stdin.isatty():
        raise BadInput("A quiz needs a terminal to ask at.", "`drills quiz --json` lists the questions instead.")
    if not as_json:
        session.workspace.require()  # or nothing that is answered could be kept
    cards = session.read(Progress.question_cards, {})
    count = count or (None if as_json else USUAL_COUNT)
    found = choose(drills, cards, datetime.now(UTC), lang, count, warn)
    if as_json:
        print_json(reports.quiz_object(found, lang))
    elif not found.asked:
        _say_nothing_is_due(found)
    else:
        from drills.quizzing import ask_all

        click.echo(f"Questions: {found.due} due again, {found.new} new.")
        if not ask_all(session, found.asked, lang):
            sys.exit(130)


def _say_nothing_is_due(found: Quiz) -> None:
    if found.next_due_at is None:
        click.echo("There are no questions.")
    else:
        click.echo(f"Nothing is due. The next question is, on {found.next_due_at.astimezone():%Y-%m-%d}.")


@click.command()
@click.argument("topic")
@click.option("--all", "every", is_flag=True, help=f"All attempts, not only the latest {SHOWN}.")
@click.option(
    "--diff",
    metavar="[N]",
    type=click.IntRange(0),
    is_flag=False,
    flag_value=LATEST,
    help="What attempt N (else the latest) changed against the one before it, or the stub.",
)
@click.option("--show", metavar="N", type=click.IntRange(1), help="The source of attempt N.")
@json_option
@with_session
def history(session: Session, topic: str, every: bool, diff: int | None, show: int | None, as_json: bool) -> None:
    """Look back at your attempts: when, the verdict, checks passed, hints."""
    drill = session.find(topic)
    if diff is not None and show is not None:
        raise BadInput("--diff and --show go one at a time.")
    attempts = session.read(lambda progress: progress.attempts(drill.slug, -1), list[Attempt]())[::-1]
    told = [reports.attempt_object(number, attempt) for number, attempt in enumerate(attempts, 1)]
    value = {"schema": reports.SCHEMA, "drill": drill.slug, "attempts": told}
    if show is not None:
        value |= {"number": show, "source": _source(attempts, show, drill.slug)}
    if diff is not None:
        number = diff or max(1, len(attempts))
        after = _source(attempts, number, drill.slug)
        with catalogue_errors():
            before = _source(attempts, number - 1, drill.slug) if number > 1 else drill.stub_source
        names = (f"attempt {number - 1}" if number > 1 else "stub", f"attempt {number}")
        value |= {"number": number, "diff": reports.diff_lines(before, after, names)}
    if as_json:
        print_json(value)
    elif show is not None:
        click.echo(value["source"], nl=False)
    elif diff is not None:
        print_lines(reports.styled_diff(value["diff"]) if value["diff"] else ["No change."])
    elif not told:
        click.echo(f"No attempt at {drill.slug} yet. `drills start {drill.slug}` opens it.")
    else:
        _print_attempts(told, drill.slug, len(told) if every else SHOWN)


def _source(attempts: list[Attempt], number: int, slug: str) -> str:
    if not 1 <= number <= len(attempts):
        count = f"{len(attempts)} attempt{'' if len(attempts) == 1 else 's'}"
        raise BadInput(f"There is no attempt {number} at {slug}: {count}.", f"`drills history {slug}` lists them.")
    return reports.source_text(attempts[number - 1].source)


def _print_attempts(told: list[reports.Object], slug: str, limit: int) -> None:
    if len(told) > limit:
        click.echo(f"The latest {limit} of {len(told)} attempts (`drills history {slug} --all`)")
    print_lines(reports.history_lines(told[-limit:]))


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@with_session
def export(session: Session, file: Path | None, force: bool) -> None:
    """Write all your progress as one JSON document, to FILE or standard output.

    It holds every attempt with its source, hints, looks at solutions, and your answers to questions.
    """
    from grader.document import encode

    session.workspace.require()
    if file is not None and os.path.lexists(file) and not force:
        raise BadInput(f"{file} is there already.", "Choose another name, or replace it: --force")
    with Progress(session.workspace.progress_file) as progress:
        try:
            content = encode(progress.export())
        except ProgressUnavailable as error:
            raise BadInput(str(error), "Nothing was written.") from None
        finally:
            _pass_on(progress)
    if file is None:
        sys.stdout.buffer.write(content)
    else:
        _write(file, content)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@with_session
def import_(session: Session, file: Path, as_json: bool) -> None:
    """Add the progress in FILE, made by `drills export`, to yours.

    Nothing of yours is lost, and nothing is there twice. `-` reads standard input.
    """
    from grader.incoming import decode

    session.workspace.require()
    document = decode(_read(file), str(file))
    with Progress(session.workspace.progress_file) as progress:
        try:
            added = progress.merge(document)
        except ProgressUnavailable as error:
            raise BadInput(str(error), "Nothing was imported.") from None
        finally:
            _pass_on(progress)
    counts = {"attempts": added.attempts, "answers": added.answers, "hints": added.hints,
              "solutions_seen": added.solutions_seen}  # fmt: skip
    if as_json:
        print_json({"schema": reports.SCHEMA, "added": counts})
    elif any(counts.values()):
        click.echo("New: " + ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in counts.items()))
    else:
        click.echo("Nothing was new.")


def _pass_on(progress: Progress) -> None:
    for text in progress.warnings:
        warn(text)


def _read(file: Path) -> bytes:
    from grader.incoming import MAX_BYTES

    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with file.open("rb") as stream:
            if file.stat().st_size > MAX_BYTES:
                raise BadInput(f"{file} is larger than {MAX_BYTES >> 20} MiB.", "No export is that large.")
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.", "`drills export FILE` makes one.") from None
    except ValueError:  # a null byte in the name
        raise BadInput(f"{str(file)!r} is not the name of a file.") from None


def _write(file: Path, content: bytes) -> None:
    """All of it or nothing."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadInput(f"{file} cannot be written: {error.strerror}.", "Choose another place.") from None
