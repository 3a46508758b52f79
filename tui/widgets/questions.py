"""The interview questions of a drill, each opening to its model answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Collapsible, Static

from drills.catalogue import Question
from grader.notes.library import Note
from tui.texts import short_path
from tui.widgets.page import Folded, Page
from tui.widgets.pane import Pane

INVITATION = {
    "en": "Say your answer aloud, then open the question and compare.",
    "zh": "先开口回答，再展开题目对照答案。",
}
NOTES = {"en": "From your notes", "zh": "你的笔记"}
NO_TEXT = {"en": "(no text below the question)", "zh": "（题目下没有内容）"}
MORE = {"en": "{} more: drills show {} --notes", "zh": "还有 {} 条：drills show {} --notes"}
MOST_NOTES = 40  # more of them would make a drill slow to open


class Box(Collapsible):
    """A title that opens. What is in it is laid out when it is first opened, which keeps a long page quick."""

    def __init__(self, title: str) -> None:
        super().__init__(collapsed=True)
        # Not markup: a title may hold brackets. Textual takes Content here, though it says str.
        self.title = Content(title)  # type: ignore[assignment]

    @property
    def heading(self) -> Widget:
        """The line that has the focus and toggles."""
        return self.query_one("CollapsibleTitle")

    def inside(self) -> Sequence[Widget]:
        """What is shown when it is open."""
        raise NotImplementedError

    async def on_collapsible_expanded(self) -> None:
        contents = self.query_one(Collapsible.Contents)
        if not contents.children:
            await contents.mount(*self.inside())


class QuestionBox(Box):
    """A question and its model answer."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.title)
        self.question = question

    def inside(self) -> Sequence[Widget]:
        return [Page(self.question.text)]


class NoteBox(Box):
    """What the learner noted, word for word: neither markup nor Markdown, for nobody has checked it."""

    def __init__(self, note: Note, language: str) -> None:
        super().__init__(note.title)
        self.note = note
        self._language = language

    def inside(self) -> Sequence[Widget]:
        where = Static(Content(f"{short_path(Path(self.note.file))}:{self.note.line}"), classes="where")
        return [
            where,
            Static(Folded(Content(self.note.text.expandtabs(4) or NO_TEXT[self._language])), classes="verbatim"),
        ]


class QuestionsPane(Pane):
    """All questions of a drill in one language."""

    def compose(self) -> ComposeResult:
        yield Static(id="invitation")
        yield Static(id="notes")
        yield Static(id="more-notes")

    async def show(self, questions: Sequence[Question], language: str) -> None:
        """Show these questions; those that were open stay open in another language."""
        opened = {box.question.id for box in self.query(QuestionBox) if not box.collapsed}
        self.query_one("#invitation", Static).update(Content(INVITATION[language]))
        await self.query(QuestionBox).remove()
        boxes = [QuestionBox(question) for question in questions]
        await self.mount(*boxes, before="#notes")
        for box in boxes:
            box.collapsed = box.question.id not in opened

    async def show_notes(self, slug: str, notes: Sequence[Note], language: str) -> None:
        """Show what the learner's notes say on the drill; those that were open stay open."""
        opened = {box.note for box in self.query(NoteBox) if not box.collapsed}
        await self.query(NoteBox).remove()
        boxes = [NoteBox(note, language) for note in notes[:MOST_NOTES]]
        heading, more = self.query_one("#notes", Static), self.query_one("#more-notes", Static)
        heading.update(Content(NOTES[language]))
        heading.display = bool(boxes)
        more.update(Content(MORE[language].format(len(notes) - len(boxes), slug)))
        more.display = len(notes) > len(boxes)
        await self.mount(*boxes, before=more)
        for box in boxes:
            box.collapsed = box.note not in opened

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
        return [box.heading for box in self.query(Box)]
