"""How far the learner has come in the whole course."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ProgressBar, Static

from tui.widgets.course_tree import PASSED


class Overall(Vertical):
    """A bar and a count."""

    def compose(self) -> ComposeResult:
        yield ProgressBar(total=1, show_eta=False, show_percentage=False)
        yield Static()

    def show(self, states: Iterable[str]) -> None:
        """states: one for each drill of the course."""
        known = list(states)
        passed = sum(state in PASSED for state in known)
        due = known.count("due")
        # A bar without a total would move for ever.
        self.query_one(ProgressBar).update(total=max(1, len(known)), progress=passed)
        parts: list[str | tuple[str, str]] = [f"{passed} of {len(known)} passed"]
        if due:
            parts.append((f", {due} due", "$text-accent"))
        self.query_one(Static).update(Content.assemble(*parts))
