"""`drills sources`: the learner's own notes, beside the project's answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drills.display import WIDTH, cut
from drills.shell import json_option, print_json, print_lines, with_session
from grader.errors import BadInput
from grader.session import Session, warn

if TYPE_CHECKING:
    from grader.notes.library import Addition, Additions, Document, Library, Note, Placed

SCHEMA = 1
SHOWN = 5  # sections that were not placed, told for each file

Object = dict[str, Any]


def library(session: Session) -> Library:
    """The learner's notes in this workspace."""
    from grader.notes.library import Library  # most commands do without

    return Library(session.workspace, session.catalogue, warn)


@click.group()
def sources() -> None:
    """Keep your own notes beside the drills.

    Markdown or text with interview questions; each is shown, word for word, with the drill that it belongs to.
    """


@sources.command()
@click.argument("paths", metavar="FILE|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--copy", is_flag=True, help="Keep a copy in the workspace; else the files are read where they are.")
@json_option
@with_session
def add(session: Session, paths: tuple[Path, ...], copy: bool, as_json: bool) -> None:
    """Add notes: files, or all .md, .markdown and .txt files of a folder."""
    session.workspace.require()
    added = library(session).add(paths, copy=copy)
    if as_json:
        print_json(_additions_object(added))
    else:
        print_lines(_additions_lines(added))
    refusals = [each.refusal for each in added.files if each.refusal]
    if not as_json:
        for refusal in refusals:
            refusal.show()
    named = {path for path in paths if not path.is_dir()}
    if any(each.refusal and each.path in named for each in added.files) or (
        refusals and len(refusals) == len(added.files)
    ):
        click.get_current_context().exit(BadInput.exit_code)


@sources.command("list")
@click.option("--all", "show_all", is_flag=True, help="Every section, those that fit no drill too.")
@json_option
@with_session
def list_sources(session: Session, show_all: bool, as_json: bool) -> None:
    """Show which notes were added, and where their questions went."""
    documents = library(session).documents()
    if as_json:
        objects = [_document_object(document, show_all) for document in documents]
        print_json({"schema": SCHEMA, "sources": objects})
    elif not documents:
        click.echo("No notes yet. Add some: drills sources add FILE")
    else:
        for document in documents:
            print_lines(_document_lines(document, show_all))


@sources.command()
@click.argument("name")
@with_session
def remove(session: Session, name: str) -> None:
    """Forget notes. Your own file stays where it is."""
    session.workspace.require()
    source = library(session).remove(name)
    kept = source.copied_from or source.path
    click.echo(f"Forgotten: {source.name}. The file stays: {kept}")


def notes_text(notes: list[Note]) -> Iterator[str]:
    """`drills show TOPIC --notes`."""
    if not notes:
        yield "Your notes say nothing on this topic. Add some: drills sources add FILE"
    for note in notes:
        yield click.style(note.title, bold=True)
        yield click.style(f"{note.file}:{note.line}", dim=True)
        yield f"\n{note.text}\n"


def notes_object(notes: list[Note]) -> list[Object]:
    """The value of "notes" in `drills show --json`."""
    return [note._asdict() for note in notes]


def _additions_lines(added: Additions) -> Iterator[str]:
    for each in added.files:
        if each.document is not None:
            yield from _addition_lines(each, each.document)
    if added.skipped:
        yield f"Skipped: {_many(added.skipped, 'file')}, not .md, .markdown or .txt"
    if not added.files:
        yield "No notes were found."


def _addition_lines(addition: Addition, document: Document) -> Iterator[str]:
    words = {"added": "Added", "updated": "Read again", "known": "Already there"}
    yield f"{words[addition.change]}: {click.style(document.source.name, bold=True)}: {_counts(document)}"
    loose = [placed for placed in document.placed if not placed.drills]
    for placed in loose[:SHOWN]:
        yield cut(f"  not placed: line {placed.section.line}: {placed.section.title}", WIDTH)
    if len(loose) > SHOWN:
        yield f"  not placed: {len(loose) - SHOWN} more (drills sources list --all)"
    yield from _notices(document)


def _notices(document: Document) -> Iterator[str]:
    for first, last in document.notes.loose:
        lines = f"line {first}" if first == last else f"lines {first} to {last}"
        yield f"  {lines}: text before the first question, not used"
    for notice in document.notes.notices:
        yield f"  {notice}"


def _counts(document: Document) -> str:
    found = len(document.placed)
    placed = sum(1 for each in document.placed if each.drills)
    drills = len({slug for each in document.placed for slug in each.drills})
    if not found:
        return "no questions found. Begin each with a heading or `Q1`"
    told = f"{placed} placed with {_many(drills, 'drill')}, {found - placed} not placed"
    return f"{_many(found, 'section')}, {told}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _document_lines(document: Document, show_all: bool) -> Iterator[str]:
    source = document.source
    yield f"{click.style(source.name, bold=True)}  {source.path}"
    if document.trouble:
        yield f"  {document.standing}: {document.trouble}"
        return
    if document.standing == "changed":
        yield "  changed since it was added; read again"
    yield f"  {_counts(document)}"
    if show_all:
        for each in document.placed:
            where = ", ".join(each.drills) or "not placed"
            title = cut(f"  {each.section.line:>5}  {each.section.title}", WIDTH - len(where) - 2)
            yield f"{title}  {click.style(where, dim=not each.drills)}"
        yield from _notices(document)


def _additions_object(added: Additions) -> Object:
    return {
        "schema": SCHEMA,
        "added": [
            {"change": each.change, **_document_object(each.document, True)}
            for each in added.files
            if each.document is not None
        ],
        "refused": [
            {"file": str(each.path), "message": each.refusal.message, "advice": each.refusal.advice}
            for each in added.files
            if each.refusal is not None
        ],
        "skipped": added.skipped,
    }


def _document_object(document: Document, show_all: bool) -> Object:
    source = document.source
    shown = [each for each in document.placed if show_all or each.drills]
    return {
        "name": source.name,
        "file": source.path,
        "copied_from": source.copied_from or None,
        "state": document.standing,
        "trouble": document.trouble or None,
        "sections": [_section_object(each) for each in shown],
        "not_placed": sum(1 for each in document.placed if not each.drills),
        "unused_lines": [list(lines) for lines in document.notes.loose],
        "notices": list(document.notes.notices),
    }


def _section_object(placed: Placed) -> Object:
    section = placed.section
    return {
        "kind": section.kind,
        "title": section.title,
        "path": list(section.path),
        "line": section.line,
        "end": section.end,
        "drills": list(placed.drills),
    }
