"""A question with more answers than yes and no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static


class Choice(NamedTuple):
    """One answer: its key, what is written on its button, and what it stands for."""

    key: str
    label: str
    result: str


class ChoiceScreen(ModalScreen[str]):
    """The screen's result is that of the choice, or empty for going back, which is where the focus is."""

    CSS_PATH = "dialogs.tcss"
    AUTO_FOCUS = "#stay"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Back"),
        Binding("left", "app.focus_previous", "Other button", show=False),
        Binding("right", "app.focus_next", "Other button", show=False),
    ]

    def __init__(self, question: str, explanation: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._question = question
        self._explanation = explanation
        self._choices = {choice.key: choice for choice in choices}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self._question).stylize("bold"))
            yield Static(Content(self._explanation), classes="explanation")
            with Horizontal(classes="buttons"):
                for key, choice in self._choices.items():
                    yield Button(f"{choice.label} ({key})", id=f"choice-{key}", variant="warning")
                yield Button("Back (esc)", id="stay")

    def on_key(self, event: events.Key) -> None:
        if event.key in self._choices:
            event.stop()
            self.dismiss(self._choices[event.key].result)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        key = (event.button.id or "").removeprefix("choice-")
        self.dismiss(self._choices[key].result if key in self._choices else "")
