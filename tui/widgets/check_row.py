"""One check: a line, which opens where there is more to say."""

from __future__ import annotations

import re
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from grader.report import MARKS
from grader.results import Check

# The first words of the lines in which a comparison says what it found.
_EXPECTED, _GOT = re.compile(r"expected\b"), re.compile(r"got\b")


class CheckRow(Widget):
    """A check that is awaited, or has finished. One that failed can be opened."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "open_or_close", "Open or close", show=False)]

    def __init__(self, identity: str, title: str) -> None:
        super().__init__()
        self.identity = identity
        self.check: Check | None = None
        self._title = title

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static("·", classes="mark")
            yield Static(Content(self._title), classes="title")
            yield Static(classes="time")

    @property
    def outcome(self) -> str:
        """The check's outcome; empty as long as there is none."""
        return self.check.outcome if self.check else ""

    @property
    def opened(self) -> bool:
        """Whether the details are seen."""
        return self.has_class("-opened")

    def finish(self, check: Check) -> None:
        """Show what became of it."""
        self.check = check
        mark, _ = MARKS[check.outcome]
        named = check.outcome not in ("passed", "failed")
        time = f"{check.duration_ms:.0f} ms" if check.duration_ms >= 1 else ""
        word = check.outcome.replace("_", " ") if named else ""
        self.query_one(".mark", Static).update(Content(mark))
        self.query_one(".title", Static).update(Content(check.title))
        self.query_one(".time", Static).update(Content("  ".join(part for part in (word, time) if part)))
        self.set_classes([f"-{check.outcome.replace('_', '-')}"])
        self.can_focus = check.outcome != "passed" and bool(check.message or check.hint)

    def open(self) -> None:
        """Show the details."""
        if self.check is not None and self.can_focus:
            if not self.query(".details"):
                self.mount(Static(_details(self.check), classes="details"))
            self.add_class("-opened")

    def action_open_or_close(self) -> None:
        if self.opened:
            self.remove_class("-opened")
        else:
            self.open()
        self.call_after_refresh(self.scroll_visible, animate=False)

    def on_click(self) -> None:
        self.action_open_or_close()


def _details(check: Check) -> Content:
    """What was expected, what came, where; then the hint. Plain text: the learner's code wrote some of it."""
    parts: list[str | tuple[str, str]] = []
    for line in check.message.splitlines():
        if _EXPECTED.match(line):
            parts.append((line + "\n", "$text-success"))
        elif _GOT.match(line):
            parts.append((line + "\n", "$text-error"))
        else:
            parts.append(line + "\n")
    if check.hint:
        parts += [("\nHint  ", "bold $text-secondary"), check.hint]
    return Content.assemble(*parts).rstrip()
