"""Task, Q&A, result and hints: one at a time, or beside the task where the terminal is wide."""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Tab, Tabs

from tui.widgets.hints import HintsPane
from tui.widgets.pane import Pane
from tui.widgets.questions import QuestionsPane
from tui.widgets.result import ResultPane
from tui.widgets.task import TaskPane

Name = Literal["task", "questions", "result", "hints"]
WIDE = 140  # columns of the terminal
LABELS: dict[str, str] = {"task": "Task", "questions": "Q&A", "result": "Result", "hints": "Hints"}


class Workbench(Vertical):
    """Tabs over panes. In a wide terminal the task stays, with one of the others beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.task_pane = TaskPane(id="task")
        self.questions_pane = QuestionsPane(id="questions")
        self.result_pane = ResultPane("result")
        self.hints_pane = HintsPane(id="hints")
        self.panes: dict[str, Pane] = {
            "task": self.task_pane,
            "questions": self.questions_pane,
            "result": self.result_pane,
            "hints": self.hints_pane,
        }
        self.active = "task"  # the pane that was asked for last
        self._beside = "questions"  # beside the task, in a wide terminal
        labels = enumerate(LABELS.items(), 1)
        self._tabs = Tabs(*(Tab(f"{number} {label}", id=f"tab-{name}") for number, (name, label) in labels))
        self._tabs.can_focus = False  # the keys 1 to 4 do the same from anywhere

    def compose(self) -> ComposeResult:
        yield self._tabs
        yield Horizontal(*self.panes.values())

    def show(self, name: Name, *, focus: bool = False) -> None:
        """Show a pane."""
        self._tabs.active = f"tab-{name}"
        self._turn_to(name)
        if focus:
            self.focus_active()

    def focus_active(self) -> None:
        """Give the focus to the pane that was asked for last."""
        self.panes[self.active].focus()

    def step(self, step: int) -> None:
        """Give the focus to the next thing that can be opened, or to the one before."""
        shown = [self.panes[self.active], self.panes[self._beside]]
        items = next((items for pane in shown if pane.display and (items := pane.items())), [])
        focused = self.screen.focused
        start = -1 if step > 0 else len(items)
        place = (items.index(focused) if focused in items else start) + step
        if 0 <= place < len(items):
            items[place].focus()

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        event.stop()
        # The message may be older than a change made since.
        if event.tab.id == self._tabs.active:
            self._turn_to(self._tabs.active.removeprefix("tab-"))

    def on_resize(self) -> None:
        self._turn_to(self.active)

    def _turn_to(self, name: str) -> None:
        self.active = name
        if name != "task":
            self._beside = name
        seen = {"task", self._beside} if self.app.size.width >= WIDE else {name}
        for other, pane in self.panes.items():
            # Set on the panes: a class on what holds them would have all within styled anew.
            pane.display = other in seen
