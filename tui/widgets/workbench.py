"""Task, Q&A, result, hints and code: one at a time, or beside the task where the terminal is wide."""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Tab, Tabs

from tui.widgets.code import CodePane
from tui.widgets.hints import HintsPane
from tui.widgets.pane import Pane
from tui.widgets.questions import QuestionsPane
from tui.widgets.result import ResultPane
from tui.widgets.task import TaskPane

Name = Literal["task", "questions", "result", "hints", "code"]
WIDE = 140  # columns of the terminal
LABELS: dict[str, str] = {"task": "Task", "questions": "Q&A", "result": "Result", "hints": "Hints", "code": "Code"}
UNSAVED = " ●"


class Workbench(Vertical):
    """Tabs over panes. In a wide terminal the task stays, with one of the others beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.task_pane = TaskPane(id="task")
        self.questions_pane = QuestionsPane(id="questions")
        self.result_pane = ResultPane("result")
        self.hints_pane = HintsPane(id="hints")
        self.code_pane = CodePane()
        self.panes: dict[str, Pane] = {
            "task": self.task_pane,
            "code": self.code_pane,
            "questions": self.questions_pane,
            "result": self.result_pane,
            "hints": self.hints_pane,
        }
        self.active = "task"  # the pane that was asked for last
        self._beside = "questions"  # what is seen with it in a wide terminal
        labels = enumerate(LABELS.items(), 1)
        self._tabs = Tabs(*(Tab(f"{number} {label}", id=f"tab-{name}") for number, (name, label) in labels))
        self._tabs.can_focus = False  # the keys 1 to 5 do the same from anywhere

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

    def show_beside(self, name: Name) -> None:
        """In a wide terminal have a pane seen beside the one that was asked for last."""
        if name != self.active:
            self._beside = name
            self._turn_to(self.active)

    def on_code_pane_marked(self, event: CodePane.Marked) -> None:
        """A mark on the tab tells that the code of this drill is not saved."""
        event.stop()
        editor = self.code_pane.editor
        label = f"5 {LABELS['code']}{UNSAVED if editor and editor.unsaved else ''}"
        tab = self._tabs.query_one("#tab-code", Tab)
        if tab.label_text != label:
            tab.label = label

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        event.stop()
        # The message may be older than a change made since.
        if event.tab.id == self._tabs.active:
            self._turn_to(self._tabs.active.removeprefix("tab-"))

    def on_resize(self) -> None:
        self._turn_to(self.active)

    def _turn_to(self, name: str) -> None:
        if name != self.active:
            self._beside = self._companion(name)
            self.active = name
        seen = {name, self._beside} if self.app.size.width >= WIDE else {name}
        for other, pane in self.panes.items():
            appears = other in seen and not pane.display
            # Set on the panes: a class on what holds them would have all within styled anew.
            pane.display = other in seen
            if appears:
                pane.appear()

    def _companion(self, name: str) -> str:
        """What to see with a pane: the task; with the task, the one before; with a result, the code that got it."""
        if name == "task" or (name == "result" and self.active == "code"):
            return self.active
        return "task"
