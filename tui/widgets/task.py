"""The task: what is to be written."""

from __future__ import annotations

from textual.app import ComposeResult

from tui.widgets.page import Page
from tui.widgets.pane import Pane


class TaskPane(Pane):
    """One page of Markdown."""

    def compose(self) -> ComposeResult:
        yield Page()

    async def show(self, text: str) -> None:
        """Show a task, from its beginning if it is another one."""
        markdown = self.query_one(Page)
        if markdown.source.partition("\n")[0] != text.partition("\n")[0]:
            self.scroll_home(animate=False)
        await markdown.update(text)
