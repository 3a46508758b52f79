"""All keys, and what the glyphs mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from drills.display import MARKS

STATES = {
    "new": "new",
    "tried": "tried, not passed yet",
    "passed": "passed",
    "due": "passed, and due again",
    "seen": "passed after seeing the solution",
}
COLOURS = {
    "new": "$text-muted",
    "tried": "$text-warning",
    "passed": "$text-success",
    "due": "$text-accent",
    "seen": "$text-secondary",
}
MOVING = {
    "tab": "From the course to the pane, and through what can be opened",
    "enter": "Open or close it; in the course: open the drill",
    "↑ ↓ pgup pgdn": "Scroll",
    "ctrl+p": "All commands, and themes",
    "q": "Quit",
}


class HelpScreen(ModalScreen[None]):
    """A page over the others."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "Close")]

    def __init__(self, keys: Sequence[BindingType]) -> None:
        """keys: those of the screen below."""
        super().__init__()
        self._keys = [key for key in keys if isinstance(key, Binding)]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog page"):
            yield Static(_heading("Keys"))
            for key in self._keys:
                yield from _line(key.key_display or key.key, key.tooltip)
            yield Static(_heading("\nMoving about"))
            for name, text in MOVING.items():
                yield from _line(name, text)
            yield Static(_heading("\nThe course"))
            for state, text in STATES.items():
                yield from _line(MARKS[state].glyph, text, COLOURS[state])


def _heading(text: str) -> Content:
    return Content.assemble((text, "bold $text-primary"))


def _line(key: str, text: str, style: str = "bold $text-accent") -> ComposeResult:
    with Horizontal(classes="line"):
        yield Static(Content.assemble((key, style)), classes="key")
        yield Static(Content(text))
