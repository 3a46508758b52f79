"""The interview questions of a drill, each opening to its model answer."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Collapsible, Static

from drills.catalogue import Question
from tui.widgets.page import Page
from tui.widgets.pane import Pane

INVITATION = {
    "en": "Say your answer aloud, then open the question and compare.",
    "zh": "先开口回答，再展开题目对照答案。",
}


class QuestionBox(Collapsible):
    """A question. Its answer is laid out when it is first opened, which keeps a long page quick."""

    def __init__(self, question: Question) -> None:
        super().__init__(collapsed=True)
        self.question = question
        # Not markup: a title may hold brackets. Textual takes Content here, though it says str.
        self.title = Content(question.title)  # type: ignore[assignment]

    @property
    def heading(self) -> Widget:
        """The line that has the focus and toggles."""
        return self.query_one("CollapsibleTitle")

    async def on_collapsible_expanded(self) -> None:
        contents = self.query_one(Collapsible.Contents)
        if not contents.children:
            await contents.mount(Page(self.question.text))


class QuestionsPane(Pane):
    """All questions of a drill in one language."""

    def compose(self) -> ComposeResult:
        yield Static(id="invitation")

    async def show(self, questions: Sequence[Question], language: str) -> None:
        """Show these questions; those that were open stay open in another language."""
        opened = {box.question.id for box in self.query(QuestionBox) if not box.collapsed}
        self.query_one("#invitation", Static).update(Content(INVITATION[language]))
        await self.query(QuestionBox).remove()
        boxes = [QuestionBox(question) for question in questions]
        await self.mount(*boxes)
        for box in boxes:
            box.collapsed = box.question.id not in opened

    def jump(self, identity: str) -> bool:
        """Open a question and go there; False if there is none of this name."""
        for box in self.query(QuestionBox):
            if box.question.id == identity:
                box.collapsed = False
                box.heading.focus(scroll_visible=False)
                self.call_after_refresh(self.scroll_to_widget, box, animate=False, top=True)
                return True
        return False

    def items(self) -> list[Widget]:
        return [box.heading for box in self.query(QuestionBox)]
