"""The learner's own notes, read where the app does not wait for a disk."""

from __future__ import annotations

import asyncio
import threading

from drills.catalogue import Catalogue
from grader.errors import BadInput
from grader.notes.library import Library, Note
from grader.workspace import Workspace


class Shelf:
    """The notes of a workspace, behind a thread."""

    def __init__(self, workspace: Workspace, catalogue: Catalogue) -> None:
        self._warnings: list[str] = []
        self._library = Library(workspace, catalogue, self._warnings.append)
        self._one_reader = threading.Lock()

    async def of(self, slug: str) -> tuple[list[Note], list[str]]:
        """What the notes say on a drill, and sentences that the learner should see."""
        return await asyncio.to_thread(self._of, slug)

    def _of(self, slug: str) -> tuple[list[Note], list[str]]:
        with self._one_reader:
            notes: list[Note] = []
            try:
                notes = self._library.notes_for(slug)
            except BadInput as error:
                self._warnings.append(f"{error.message} {error.advice}")
            warnings = list(self._warnings)
            self._warnings.clear()
            return notes, warnings
