"""The `drills` command: the course, the learner's state in it, and the way into the app."""

from __future__ import annotations

import os
import sys
from datetime import datetime

import click

from drills import recall_cli, recall_reports, reports
from drills.catalogue import Drill, Question
from drills.evidence_cli import show_evidence
from drills.new_cli import new
from drills.shell import LANGUAGES, confirm, json_option, print_json, print_lines, print_markdown, with_session
from drills.sources_cli import library, notes_object, notes_text, sources
from grader import __version__
from grader.errors import BadInput, catalogue_errors, refuse_native_windows
from grader.review import next_drill
from grader.session import Session


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="drills")
@click.pass_context
def main(context: click.Context) -> None:
    """Practise writing the parts of a transformer by hand.

    `drills start` opens the app. A TOPIC is a drill's name or the beginning of it.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without a ✓ shows a ? in its place


@main.command()
@click.argument("topic", required=False)
@click.option("--no-tui", is_flag=True, help="Make the workspace and leave the app closed.")
@with_session
def start(session: Session, topic: str | None, no_tui: bool) -> None:
    """Open the app, at TOPIC or at what is best practised next.

    Makes the workspace on first use, with a file for each drill.
    """
    refuse_native_windows()
    slug = session.find(topic).slug if topic else None
    # Textual draws on standard error, so that has to be a terminal too.
    if not no_tui and not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        advice = "Run `drills start --no-tui`, edit the file of a drill, and grade it: `grader check TOPIC`"
        raise BadInput("The app needs a terminal.", advice)
    added = session.workspace.create(session.catalogue)
    if no_tui:
        _say_what_next(session, slug, len(added))
        return
    from tui.app import run  # Textual takes longer to load than all the rest

    sys.exit(run(catalogue=session.catalogue, workspace=session.workspace, topic=slug))


def _say_what_next(session: Session, slug: str | None, added: int) -> None:
    states = session.states()
    if slug is None:
        chosen = next_drill(session.catalogue, states)
        slug = chosen[0].slug if chosen else "TOPIC"
    click.echo(f"Workspace: {session.workspace.root}")
    click.echo(f"New files: {added}")
    drill = next((drill for drill in session.catalogue.drills if drill.slug == slug), None)
    if drill is not None and (fresh := recall_reports.fresh_start(session, drill, states)):
        click.echo(f"Due again. From a blank stub, your attempt kept: {fresh}")
    click.echo(f"Next: edit {session.workspace.file(slug)}, then run `grader check {slug}`")


@main.command("list")
@click.option("--lang", type=LANGUAGES, default="en", help="Language of the titles.")
@json_option
@with_session
def list_drills(session: Session, lang: str, as_json: bool) -> None:
    """Show the course, with your state in each drill."""
    states = session.states()
    if as_json:
        print_json(reports.course_object(session, states))
    else:
        print_lines(reports.course_lines(session, states, lang))


@main.command()
@click.argument("topic")
@click.option("--lang", type=LANGUAGES, default="en", help="Language of the questions and answers.")
@click.option("--question", metavar="ID", help="Only this question.")
@click.option("--evidence", "instead", flag_value="evidence", help="Compute what the answers claim, and show that.")
@click.option("--notes", "instead", flag_value="notes", help="Only what your own notes say (`drills sources`).")
@json_option
@with_session
def show(session: Session, topic: str, lang: str, question: str | None, instead: str | None, as_json: bool) -> None:
    """Show a drill's task and its interview questions."""
    drill = session.find(topic)
    with catalogue_errors():
        task, questions = drill.task, drill.qa(lang)
    if question is not None:
        questions = [_pick(drill, questions, question)]
    if instead == "evidence":
        show_evidence(drill, question, lang, as_json)
        return
    state = session.state(drill)
    notes = library(session).notes_for(drill.slug) if instead == "notes" else []
    if as_json:
        shown = reports.show_object(drill, state, task, questions, lang)
        print_json({**shown, "notes": notes_object(notes)} if instead == "notes" else shown)
    elif instead == "notes":
        print_lines(notes_text(notes))
    elif question is not None:
        print_markdown(reports.question_markdown(questions[0]))
    else:
        print_markdown(reports.drill_markdown(drill, state, task, questions, lang))


def _pick(drill: Drill, questions: list[Question], identity: str) -> Question:
    for question in questions:
        if question.id == identity:
            return question
    known = ", ".join(question.id for question in questions)
    raise BadInput(f"{drill.slug} has no question {identity!r}.", f"It has: {known}")


@main.command("next")
@json_option
@with_session
def next_(session: Session, as_json: bool) -> None:
    """Say which drill is best practised next, why, and what is due."""
    states, _, found = recall_reports.read_standing(session)
    chosen = next_drill(session.catalogue, states)
    drill, reason = chosen or (None, "there are no drills")
    fresh = recall_reports.fresh_start(session, drill, states) if drill else ""
    if as_json:
        proposed = {"schema": reports.SCHEMA, "drill": drill.slug if drill else None, "reason": reason}
        print_json({**proposed, "reset": fresh or None, **recall_reports.standing_object(found)})
    elif drill is None:
        click.echo("There are no drills. `drills list` tells what is broken.")
    else:
        click.echo(f"{click.style(drill.slug, bold=True)}: {drill.title} ({reason})")
        if fresh:
            click.echo(f"From a blank stub, your attempt kept: {fresh}")
        click.echo(f"Run: drills start {drill.slug}")
        print_lines(recall_reports.next_lines(found))


@main.command()
@json_option
@with_session
def stats(session: Session, as_json: bool) -> None:
    """Show your progress."""
    _, totals, found = recall_reports.read_standing(session)
    if as_json:
        print_json({**reports.stats_object(totals), **recall_reports.standing_object(found)})
    else:
        print_lines(reports.stats_lines(totals, len(session.catalogue.drills), datetime.now()))
        print_lines(recall_reports.standing_lines(found))


@main.command()
@click.argument("topic")
@click.option("--all", "show_all", is_flag=True, help="Show all hints of the drill.")
@with_session
def hint(session: Session, topic: str, show_all: bool) -> None:
    """Show the next hint for a drill, from gentle to explicit."""
    drill = session.find(topic)
    with catalogue_errors():
        hints = drill.hints()
    shown = min(session.state(drill).hints, len(hints))
    if shown == len(hints) and not show_all:
        click.echo(f"You have seen all {len(hints)} hints. Read them again: drills hint {drill.slug} --all")
        return
    upto = len(hints) if show_all else shown + 1
    for number in range(1 if show_all else upto, upto + 1):
        each = hints[number - 1]
        print_markdown(f"## Hint {number} of {len(hints)}: {each.title}\n\n{each.text}\n")
    session.record(lambda progress: progress.record_hint(drill.slug, upto))


@main.command()
@click.argument("topic")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_session
def solution(session: Session, topic: str, yes: bool) -> None:
    """Show the reference solution, and record that you have seen it."""
    drill = session.find(topic)
    with catalogue_errors():
        source = drill.solution_source
    confirm(f"Show the solution of {drill.slug}? It is recorded as seen.", yes)
    session.record(lambda progress: progress.record_solution_seen(drill.slug))
    click.echo(source, nl=False)


@main.command()
@click.argument("topic")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_session
def reset(session: Session, topic: str, yes: bool) -> None:
    """Put a drill's stub back. Your attempt is kept."""
    drill = session.find(topic)
    session.workspace.require()
    confirm(f"Start {drill.slug} again from the stub? Your attempt is kept.", yes)
    with catalogue_errors():
        kept = session.workspace.reset(drill)
    click.echo(f"{session.workspace.file(drill.slug)} is the stub again.")
    if kept is not None:
        click.echo(f"Your attempt is kept as {kept}")


main.add_command(sources)
main.add_command(new)
main.add_command(recall_cli.quiz)
main.add_command(recall_cli.history)
main.add_command(recall_cli.export)
main.add_command(recall_cli.import_)
