"""What the panes of the workbench have in common."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Markdown

from tui.links import follow


class Pane(VerticalScroll):
    """A page that scrolls, with things in it that can be opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_home", "Top", show=False),
        Binding("end", "scroll_end", "End", show=False),
    ]

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Style the pane alone: nothing in it looks different for the focus, and a long page takes time."""
        self.app.stylesheet.update_nodes([self])

    def appear(self) -> None:
        """It is about to be seen, having been hidden."""

    def items(self) -> list[Widget]:
        """What can be opened, from top to bottom."""
        return []

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        event.stop()
        follow(self.app, event.href)
