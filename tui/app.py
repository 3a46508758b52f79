"""The app: a course on the left, a drill in the middle, and a check at the press of a key."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.theme import Theme

from drills.catalogue import Catalogue
from grader.client import Grading
from grader.workspace import Workspace
from tui.notes import Shelf
from tui.runs import Grade
from tui.screens.choice import ChoiceScreen
from tui.screens.practice import PracticeScreen
from tui.settings import Settings
from tui.store import Store


class DrillsApp(App[int]):
    """What all screens share: the catalogue, the workspace, the learner's progress and settings."""

    TITLE = "llm-drills"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit", tooltip="Leave the app")]

    def __init__(
        self,
        catalogue: Catalogue,
        workspace: Workspace,
        topic: str | None = None,
        *,
        grade: Grade = Grading,
    ) -> None:
        """topic: the slug to open, or None for what is best practised next. grade: starts a check."""
        super().__init__()
        self.catalogue = catalogue
        self.workspace = workspace
        self.grade = grade
        self.store = Store(workspace.progress_file)
        self.notes = Shelf(workspace, catalogue)
        self.clock: Callable[[], datetime] = datetime.now  # local time, by which days are told apart
        self.settings = Settings.load(workspace.inner / "app.json")
        self.animation_level = "none"  # what a key does is seen at once, over a slow line too
        self._topic = topic

    def on_mount(self) -> None:
        if self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        self.theme_changed_signal.subscribe(self, self._remember_theme)
        self.push_screen(PracticeScreen(self._topic))

    async def action_quit(self) -> None:
        """Leave, unless something is not saved: then ask."""
        practice = next((screen for screen in self.screen_stack if isinstance(screen, PracticeScreen)), None)
        if practice is None or not practice.workbench.code_pane.unsaved:
            self.exit()
        elif not isinstance(self.screen, ChoiceScreen):
            practice.leave()

    def _remember_theme(self, theme: Theme) -> None:
        self.settings.change(theme=theme.name)

    async def on_unmount(self) -> None:
        # What was handed to the store is on the disk before the app is gone.
        await asyncio.to_thread(self.store.close)


def run(catalogue: Catalogue, workspace: Workspace, topic: str | None) -> int:
    """Run the app in this terminal until the learner leaves it; returns the exit code."""
    app = DrillsApp(catalogue, workspace, topic)
    app.run()
    if app.return_code:
        print("The app ended by an error of its own. Your files and your progress are safe.", file=sys.stderr)
    return app.return_code or 0
