"""One line about what goes on."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static


class StatusBar(Horizontal):
    """Left: the drill and its check. Right: what is switched on."""

    def compose(self) -> ComposeResult:
        yield Static(id="doing")
        yield Static(id="switches")

    def show(self, *parts: str | tuple[str, str]) -> None:
        """What goes on: texts, or (text, style)."""
        self.query_one("#doing", Static).update(Content.assemble(*parts))

    def show_switches(self, text: str) -> None:
        """What is switched on."""
        self.query_one("#switches", Static).update(Content(text))
