"""The practice screen's part without a face: it checks, on a key or a save, and records what came out."""

from __future__ import annotations

from typing import Literal

from textual import work
from textual.message import Message
from textual.widget import Widget

from drills.catalogue import Catalogue
from grader.errors import BadInput
from grader.results import Check, CheckFinished, Finished, Started
from grader.submission import read_submission
from grader.workspace import Workspace
from tui.editor import content
from tui.runs import Grade, Run, RunEvent, RunRestarted, Runs, RunWarned
from tui.saves import changed_names
from tui.store import Answer, States, Store

What = Literal["began", "announced", "checked", "ended", "cancelled"]


class Checker(Widget):
    """Reads the learner's files, runs one check at a time, and tells the screen by messages."""

    class Moved(Message):
        """A run got somewhere: `check` is the one that has just finished, if that is what happened.

        The run itself may be further on by the time this is read.
        """

        def __init__(self, run: Run, what: What, check: Check | None = None) -> None:
            super().__init__()
            self.run = run
            self.what = what
            self.check = check

    class StatesRead(Message):
        """How the learner stands now."""

        def __init__(self, states: States) -> None:
            super().__init__()
            self.states = states

    class Saved(Message):
        """Files of these drills were changed by somebody else."""

        def __init__(self, slugs: list[str]) -> None:
            super().__init__()
            self.slugs = slugs

    class Unwatched(Message):
        """The workspace can no longer be watched."""

    def __init__(self, catalogue: Catalogue, workspace: Workspace, store: Store, grade: Grade) -> None:
        super().__init__()
        self.display = False
        self.runs = Runs(self, grade)
        self._workspace = workspace
        self._store = store
        self._drills = {drill.slug: drill for drill in catalogue.drills}
        self._slugs = {workspace.file(slug).name: slug for slug in self._drills}
        self._known: dict[str, bytes | None] = {}  # what was in a file when it was last looked at
        self._warned: set[str] = set()
        self.watching = 0  # watchers at work; one that was stopped may overlap with the next

    def look(self, slug: str) -> None:
        """Take a file as it is: only what is saved from now on is news."""
        self._known[slug] = content(self._workspace.file(slug))

    def is_news(self, slug: str) -> bool:
        """Is a file other than it was? An empty one is a save half done."""
        now = content(self._workspace.file(slug))
        return now != b"" and (slug not in self._known or self._known[slug] != now)

    def check(self, slug: str) -> bool:
        """Check the learner's file, in place of a run that is under way. False if it cannot be read."""
        file = self._workspace.file(slug)
        try:
            source = read_submission(file)
        except BadInput as error:
            self._known[slug] = None
            self.app.notify(error.advice, title=error.message, severity="error", markup=False, timeout=8)
            return False
        self._known[slug] = source
        self.post_message(self.Moved(self.runs.start(self._drills[slug], source, str(file)), "began"))
        return True

    def cancel(self) -> None:
        """Give up the run that is under way."""
        run = self.runs.cancel()
        if run is not None:
            self.post_message(self.Moved(run, "cancelled"))

    def on_unmount(self) -> None:
        self.runs.cancel()

    def on_run_event(self, message: RunEvent) -> None:
        message.stop()
        if not self.runs.take(message):
            return
        match message.event:
            case Started():
                self.post_message(self.Moved(message.run, "announced"))
            case CheckFinished(check=check):
                self.post_message(self.Moved(message.run, "checked", check))
            case Finished():
                self.post_message(self.Moved(message.run, "ended"))
                self.record(message.run)

    def on_run_restarted(self, message: RunRestarted) -> None:
        message.stop()
        if message.run is self.runs.current:
            text = "It ended in the middle of a check, was started again, and checks from the beginning."
            self.app.notify(text, title="The grading process was lost", severity="warning")

    def on_run_warned(self, message: RunWarned) -> None:
        message.stop()
        self.app.notify(message.text, severity="warning", markup=False, timeout=8)

    @work(group="store")
    async def read_states(self) -> None:
        """Read how the learner stands."""
        self._answered(await self._store.states(), repeat=False)

    @work(group="store")
    async def record(self, run: Run) -> None:
        """Record a run that has ended."""
        if run.result is not None:
            self._answered(await self._store.record_attempt(run.slug, run.result, run.source))

    @work(group="store")
    async def record_hint(self, slug: str, shown: int) -> None:
        """Record that so many hints have been seen."""
        self._answered(await self._store.record_hint(slug, shown))

    def _answered(self, answer: Answer, *, repeat: bool = True) -> None:
        for text in answer.warnings:
            if repeat or text not in self._warned:
                self.app.notify(text, title="Progress", severity="warning", markup=False, timeout=8)
        self._warned.update(answer.warnings)
        if answer.states is not None:
            self.post_message(self.StatesRead(answer.states))

    def watch_files(self, on: bool) -> None:
        """Begin or stop to watch the workspace."""
        self.workers.cancel_group(self, "saves")
        if on:
            self._watch_files()

    @work(group="saves")
    async def _watch_files(self) -> None:
        self.watching += 1
        try:
            async for names in changed_names(self._workspace.root):
                slugs = [slug for name, slug in self._slugs.items() if name in names and self.is_news(slug)]
                if slugs:
                    self.post_message(self.Saved(slugs))
        except (OSError, RuntimeError) as error:
            text = f"{error}. Press g to check, w to try again."
            self.app.notify(text, title="Files cannot be watched", severity="warning", markup=False)
            self.post_message(self.Unwatched())
        finally:
            self.watching -= 1
