"""The hints of a drill, as far as they have been asked for."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from drills.catalogue import Hint
from tui.widgets.page import Page
from tui.widgets.pane import Pane


class HintsPane(Pane):
    """The first few hints, from gentle to explicit."""

    def compose(self) -> ComposeResult:
        yield Page()

    async def show(self, hints: Sequence[Hint], shown: int) -> None:
        """Show the first `shown` of the hints."""
        parts = [
            f"## Hint {number} of {len(hints)}: {hint.title}\n\n{hint.text}"
            for number, hint in enumerate(hints[:shown], 1)
        ]
        await self.query_one(Page).update("\n\n".join([*parts, _footing(len(hints), shown)]))
        if shown:
            self.call_after_refresh(self.scroll_end, animate=False)


def _footing(hints: int, shown: int) -> str:
    if not hints:
        return "*This drill has no hints.*"
    if shown >= hints:
        return "*These are all the hints there are.*"
    first = "Try it without first. " if not shown else ""
    left = f"{hints - shown} of {hints} left" if shown else f"{hints} of them, from gentle to explicit"
    return f"*{first}Press `h` for the {'next' if shown else 'first'} hint ({left}).*"
