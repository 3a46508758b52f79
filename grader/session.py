"""What every command works on: the catalogue, the workspace, the learner's progress in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from drills.catalogue import Catalogue, Drill
from grader.errors import ProgressUnavailable, catalogue_errors
from grader.progress import DrillState, Progress
from grader.workspace import Workspace

T = TypeVar("T")


def warn(text: str) -> None:
    """Tell on standard error; the command goes on."""
    click.secho(f"Warning: {text}", err=True, fg="yellow")


@dataclass(frozen=True)
class Session:
    """One command's catalogue and workspace; the workspace may not exist yet."""

    catalogue: Catalogue
    workspace: Workspace

    @classmethod
    def open(cls, workspace: Path | None, packs: Sequence[Path]) -> Session:
        """Raises BadInput for a bad pack, or a workspace of a newer version."""
        with catalogue_errors():
            session = cls(Catalogue.load(packs), Workspace.locate(workspace))
        if session.workspace.exists:
            session.workspace.require()
        for text in session.catalogue.warnings:
            warn(text)
        return session

    def find(self, topic: str) -> Drill:
        """The drill meant by `topic`; raises BadInput."""
        with catalogue_errors():
            return self.catalogue.find(topic)

    def states(self) -> dict[str, DrillState]:
        """The learner's states; none of them, with a warning, where they cannot be read."""
        return self.read(Progress.states, {})

    def state(self, drill: Drill) -> DrillState:
        """The learner's state in one drill."""
        return self.states().get(drill.slug, DrillState())

    def read(self, work: Callable[[Progress], T], otherwise: T) -> T:
        """What `work` makes of the progress; `otherwise`, with a warning, where it cannot be used."""
        with Progress(self.workspace.progress_file) as progress:
            try:
                return work(progress)
            except ProgressUnavailable as error:
                warn(str(error))
                return otherwise
            finally:
                for text in progress.warnings:
                    warn(text)

    def record(self, work: Callable[[Progress], None]) -> None:
        """Write to the progress; where that cannot be done, a warning says so."""
        if not self.workspace.exists:
            warn(f"Not recorded: there is no workspace at {self.workspace.root} (`drills start` makes one).")
        else:
            self.read(work, None)
