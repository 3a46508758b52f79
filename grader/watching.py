"""`grader watch`: grades a drill's file on every save."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from drills.catalogue import Drill
from grader.checking import Options, check_all
from grader.errors import BadInput
from grader.session import Session


def watch_workspace(topic: str | None, workspace: Path | None, packs: tuple[Path, ...]) -> None:
    """Grade what is saved, until Ctrl-C. Raises BadInput where there is nothing to watch."""
    session = Session.open(workspace, packs)
    session.workspace.require()
    drills = [session.find(topic)] if topic else list(session.catalogue.drills)
    files = {session.workspace.file(drill.slug).resolve(): drill for drill in drills}
    click.echo(f"Watching {session.workspace.root} ({len(files)} files). Save one to have it graded; Ctrl-C ends it.")
    if topic:
        _grade(drills[0], workspace, packs)
    try:
        for drill in saves(session.workspace.root, files):
            click.clear()
            _grade(drill, workspace, packs)
    except KeyboardInterrupt:
        click.echo()


def saves(folder: Path, files: dict[Path, Drill]) -> Iterator[Drill]:
    """The drills whose files change, as they change. Editors save in several steps: those are taken as one."""
    from watchfiles import Change, watch

    def wanted(change: Change, path: str) -> bool:
        return change is not Change.deleted and Path(path) in files

    # The folder is watched and not the files, because many editors replace a file when they save it.
    for changes in watch(folder.resolve(), watch_filter=wanted, recursive=False, debounce=50, step=20):
        yield from {files[Path(path)].slug: files[Path(path)] for _, path in changes}.values()


def _grade(drill: Drill, workspace: Path | None, packs: tuple[Path, ...]) -> None:
    options = Options(
        topics=(drill.slug,), file=None, solution=False, seed=None, as_json=False, verbose=False, use_server=True,
        workspace=workspace, packs=packs,
    )  # fmt: skip
    try:
        check_all(options)
    except BadInput as error:
        error.show()  # the file may be gone for a moment, or for good: either way the next save is waited for
