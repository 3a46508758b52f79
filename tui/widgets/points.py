"""The key points of an answer, to be ticked off."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static


class Point(Static):
    """One point; a click ticks it."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__()
        self.number = number
        self._text = text

    def show(self, named: bool) -> None:
        """Tick it, or take the tick away."""
        mark = ("✓", "bold $text-success") if named else ("·", "$text-muted")
        self.update(Content.assemble((f"{self.number} ", "bold $text-accent"), mark, f" {self._text}"))

    def on_click(self) -> None:
        self.query_ancestor(Points).toggle(self.number)


class Points(Vertical):
    """The points of one question, counted from 1."""

    class Changed(Message):
        """A point was ticked, or its tick taken away."""

    def __init__(self) -> None:
        super().__init__()
        self._named: set[int] = set()

    def compose(self) -> ComposeResult:
        yield Static(id="invited")

    @property
    def named(self) -> tuple[int, ...]:
        """The numbers of those that are ticked."""
        return tuple(sorted(self._named))

    def clear(self) -> None:
        """Take all ticks away."""
        self._named.clear()

    async def show(self, invitation: str, points: Sequence[str]) -> None:
        """Show these points, with the ticks that there are."""
        self.query_one("#invited", Static).update(Content(invitation if points else ""))
        await self.query(Point).remove()
        await self.mount(*(Point(number, text) for number, text in enumerate(points, 1)))
        for point in self.query(Point):
            point.show(point.number in self._named)

    def toggle(self, number: int) -> None:
        """Tick a point, or take the tick away; a number without a point does nothing."""
        for point in self.query(Point):
            if point.number == number:
                self._named ^= {number}
                point.show(number in self._named)
                self.post_message(self.Changed())
