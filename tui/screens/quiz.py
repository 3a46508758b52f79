"""A quiz: questions that are due, then new ones, each answered, compared and rated by the learner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Markdown, Static, TextArea

from drills.catalogue import BrokenDrill, Drill, Question
from grader.quiz import USUAL_COUNT, Quiz, choose
from grader.review import RATINGS, Rating, suggest
from tui.links import follow
from tui.screens.help import HelpScreen
from tui.settings import Language
from tui.widgets.page import Page
from tui.widgets.points import Points

if TYPE_CHECKING:
    from tui.app import DrillsApp

KEYS: list[BindingType] = [
    Binding("enter", "go_on", "Show answer", tooltip="Show the model answer; then rate yours as suggested"),
    Binding("t", "type", "Type", tooltip="Type an answer, which is kept; esc ends typing"),
    *(
        Binding(str(number), f"point({number})", f"Point {number}", show=False, tooltip="You named this key point")
        for number in range(1, 10)
    ),
    *(
        Binding(rating[0], f"rate('{rating}')", rating.capitalize(), tooltip=f"Rate your answer: {rating}")
        for rating in RATINGS
    ),
    Binding("s", "skip", "Skip", tooltip="Go to the next question; this one is not rated"),
    Binding("l", "language", "中/EN", tooltip="In English or Chinese"),
    Binding("question_mark", "help", "Help", key_display="?", tooltip="All keys"),
    Binding("escape,q", "leave", "Leave", key_display="esc", tooltip="Back; what was rated is recorded"),
]
INVITATION = {
    "en": "Say your answer aloud, or type it (t). Then press enter and compare.",
    "zh": "先开口回答，也可以打字（按 t），再按回车对照答案。",
}
NAMED = {"en": "Which of these did you name? Press their numbers.", "zh": "说到了哪些要点？按数字勾选。"}
STANDING = {"en": ("due again", "new"), "zh": ("到期复习", "新题")}


class QuizScreen(Screen[None]):
    """One question at a time. What is rated is handed to the store at once."""

    app: DrillsApp
    CSS_PATH = "quiz.tcss"
    AUTO_FOCUS = "#quiz"
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, drills: Sequence[Drill]) -> None:
        """drills: those whose questions may come up."""
        super().__init__()
        self._drills = drills
        self._quiz = Quiz()
        self._place = 0  # of the question that is asked
        self._answered = 0
        self.question: Question | None = None
        self.revealed = False

    def compose(self) -> ComposeResult:
        yield Static(id="place")
        with VerticalScroll(id="quiz"):
            yield Static(id="asked")
            yield Static(id="invitation")
            yield TextArea(id="typed", show_line_numbers=False, tab_behavior="focus")
            yield Page()
            yield Points()
            yield Page()
        yield Static(id="suggestion")
        yield Footer(show_command_palette=False, compact=True)

    @property
    def language(self) -> Language:
        return self.app.settings.language

    def check_action(self, action: str, _: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        if action in ("rate", "point"):
            return self.revealed
        if action == "type":
            return self.question is not None and not self.revealed
        return self.question is not None or action not in ("go_on", "skip")

    async def on_mount(self) -> None:
        cards, warnings = await self.app.store.question_cards()
        self._warn(warnings)
        broken: list[str] = []
        self._quiz = choose(self._drills, cards, datetime.now(UTC), self.language, USUAL_COUNT, broken.append)
        for text in broken:
            self.notify(text, title="The drill is broken", severity="error", markup=False)
        await self._ask(0)

    async def _ask(self, place: int) -> None:
        """Ask the question at this place, or tell that there is none."""
        self._place = place
        self.revealed = False
        self.question = self._quiz.asked[place].question if place < len(self._quiz.asked) else None
        self.query_one("#typed", TextArea).clear()
        self.query_one("#typed").display = False
        self.query_one("#quiz").focus()
        await self._show()
        self.query_one("#quiz", VerticalScroll).scroll_home(animate=False)

    async def _show(self) -> None:
        """Show the question as far as it has come, in the learner's language."""
        question, language = self.question, self.language
        self._line("#place", *(self._heading() if question else ()))
        self._line("#asked", (question.title, "bold") if question else self._ending())
        self._line("#invitation", INVITATION[language] if question else "")
        answer, beyond = self.query(Page)
        points = self.query_one(Points)
        answer.display = points.display = beyond.display = self.revealed
        self.query_one("#suggestion").display = self.revealed
        if question is not None and self.revealed:
            await answer.update(question.answer)
            await beyond.update(question.beyond)
            await points.show(NAMED[language], question.key_points)
            self._suggest()
        self.refresh_bindings()

    def _heading(self) -> tuple[str | tuple[str, str], ...]:
        asked = self._quiz.asked[self._place]
        due, new = STANDING[self.language]
        place = f"  {self._place + 1}/{len(self._quiz.asked)} · {due if asked.due_at else new}"
        return (asked.drill.slug, "bold"), place

    def _ending(self) -> str:
        if self._answered:
            return f"{self._answered} answered and recorded. Press esc to go back."
        if self._quiz.asked:
            return "Nothing was rated. Press esc to go back."
        if self._quiz.next_due_at is None:
            return "There are no questions here. Press esc to go back."
        return f"Nothing is due. The next is, on {self._quiz.next_due_at.astimezone():%Y-%m-%d}. Press esc to go back."

    def _line(self, selector: str, *parts: str | tuple[str, str]) -> None:
        self.query_one(selector, Static).update(Content.assemble(*parts))

    @property
    def suggested(self) -> Rating:
        """The rating that follows from the key points named so far."""
        return suggest(len(self.query_one(Points).named), len(self.question.key_points) if self.question else 0)

    def _may_suggest(self) -> bool:
        """Not before a point is ticked: enter pressed twice must not be a rating."""
        return bool(self.question) and bool(self.query_one(Points).named or not self.question.key_points)

    def _suggest(self) -> None:
        if self._may_suggest():
            self._line(
                "#suggestion", "Rate your answer: ", (self.suggested, "bold $text-accent"), " by enter, or a h g e"
            )
        else:
            self._line("#suggestion", "Tick the key points that you named, or rate your answer: a h g e")

    def on_points_changed(self) -> None:
        self._suggest()

    async def action_go_on(self) -> None:
        """Reveal the answer; once it is seen, rate as suggested."""
        if self.revealed:
            if self._may_suggest():
                await self.action_rate(self.suggested)
            return
        self.revealed = True
        self.query_one(Points).clear()
        self.query_one("#quiz").focus()
        await self._show()

    def action_type(self) -> None:
        typed = self.query_one("#typed", TextArea)
        typed.display = True
        typed.focus()

    def action_point(self, number: int) -> None:
        self.query_one(Points).toggle(number)

    async def action_rate(self, rating: Rating) -> None:
        if self.question is None or not self.revealed:
            return
        self._record(
            self._quiz.asked[self._place].drill.slug,
            self.question,
            rating,
            self.query_one(Points).named,
            self.query_one("#typed", TextArea).text.strip(),
        )
        self._answered += 1
        await self._ask(self._place + 1)

    @work(group="store")
    async def _record(self, slug: str, question: Question, rating: Rating, points: tuple[int, ...], text: str) -> None:
        self._warn(
            await self.app.store.record_answer(
                slug,
                question.id,
                rating,
                points=points,
                points_total=len(question.key_points),
                lang=self.language,
                text=text,
            )
        )

    def _warn(self, warnings: Sequence[str]) -> None:
        for text in warnings:
            self.app.notify(text, title="Progress", severity="warning", markup=False, timeout=8)

    async def action_skip(self) -> None:
        await self._ask(self._place + 1)

    async def action_language(self) -> None:
        language: Language = "en" if self.language == "zh" else "zh"
        self.app.settings.change(language=language)
        if self.question is not None:
            drill, identity = self._quiz.asked[self._place].drill, self.question.id
            try:
                self.question = next((each for each in drill.qa(language) if each.id == identity), self.question)
            except BrokenDrill as error:
                self.notify(str(error), title="The drill is broken", severity="error", markup=False)
        await self._show()

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen(KEYS))

    def action_leave(self) -> None:
        """Out of the typed answer, or out of the quiz."""
        if self.query_one("#typed").has_focus:
            self.query_one("#quiz").focus()
        else:
            self.dismiss()

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        event.stop()
        follow(self.app, event.href)
