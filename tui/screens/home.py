"""How the learner stands: what is due, what comes next, a year of practice, what is mastered and what is weak."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from grader.review import next_drill
from tui import standing
from tui.screens.help import HelpScreen
from tui.settings import Language
from tui.store import Overview
from tui.widgets.heatmap import Heatmap

if TYPE_CHECKING:
    from tui.app import DrillsApp

KEYS: list[BindingType] = [
    Binding("d", "due", "Due drill", tooltip="Open the drill that is due longest"),
    Binding("z", "quiz", "Quiz", tooltip="Answer the questions that are due, then new ones"),
    Binding("n,enter", "next", "Next", key_display="n", tooltip="Open the drill that is best practised next"),
    Binding("l", "language", "中/EN", tooltip="In English or Chinese"),
    Binding("question_mark", "help", "Help", key_display="?", tooltip="All keys"),
    Binding("escape,q,o", "dismiss", "Back", key_display="esc", tooltip="Back to practice"),
]


class HomeScreen(Screen[str | None]):
    """The screen's result is the drill to open, if one was chosen."""

    app: DrillsApp
    CSS_PATH = "home.tcss"
    AUTO_FOCUS = "#home"
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-narrow"), (120, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self) -> None:
        super().__init__()
        self.overview: Overview | None = None  # once it has been read

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="home"):
            with Grid(classes="pair"):
                yield Static(id="due")
                yield Static(id="next")
            yield Static(id="totals")
            yield Heatmap()
            with Grid(classes="pair"):
                yield Static(id="mastery")
                yield Static(id="weak")
        yield Footer(show_command_palette=False, compact=True)

    @property
    def language(self) -> Language:
        return self.app.settings.language

    def check_action(self, action: str, _: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        if action == "due":
            return self.overview is not None and bool(self.overview.standing.due_drills)
        return self.overview is not None or action not in ("next", "quiz")

    def on_mount(self) -> None:
        self.read()

    @work(exclusive=True, group="read")
    async def read(self) -> None:
        """Read the history, and show what it adds up to."""
        self.overview, warnings = await self.app.store.overview(self.app.catalogue, self.app.clock())
        for text in warnings:
            self.app.notify(text, title="Progress", severity="warning", markup=False, timeout=8)
        self.show()

    def show(self) -> None:
        """Show it in the learner's language."""
        found, language = self.overview, self.language
        if found is None:
            self._put("#due", Content("What is known of your practice cannot be read."))
            return
        now = self.app.clock()
        catalogue = self.app.catalogue
        self._put("#due", standing.due(found.standing, language))
        self._put("#next", standing.following(catalogue, found, now, language))
        self._put("#totals", standing.totals(found.stats, found.standing, len(catalogue.drills), language))
        self.query_one(Heatmap).show(found.stats.days, now.date(), language)
        self._put("#mastery", standing.mastery(found.standing.groups, language))
        self._show_weak()
        self.refresh_bindings()

    def _show_weak(self) -> None:
        if self.overview is not None:
            columns = self.query_one("#weak").content_size.width or self.app.size.width - 4
            self._put("#weak", standing.weaknesses(self.overview.stats, self.language, columns))

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_weak)

    def _put(self, selector: str, content: Content) -> None:
        self.query_one(selector, Static).update(content)

    def action_due(self) -> None:
        if self.overview is not None and self.overview.standing.due_drills:
            self.dismiss(self.overview.standing.due_drills[0])

    def action_next(self) -> None:
        chosen = next_drill(self.app.catalogue, self.overview.states) if self.overview else None
        if chosen is not None:
            self.dismiss(chosen[0].slug)

    @work(exclusive=True, group="quiz")
    async def action_quiz(self) -> None:
        from tui.screens.quiz import QuizScreen

        await self.app.push_screen_wait(QuizScreen(self.app.catalogue.drills))
        self.read()

    def action_language(self) -> None:
        self.app.settings.change(language="en" if self.language == "zh" else "zh")
        self.show()

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen(KEYS))
