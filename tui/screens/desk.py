"""The practice screen as it is seen: the course, and the drill that is open in every pane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer

from drills.catalogue import BrokenDrill, Drill, Hint, Question
from grader.progress import DrillState
from grader.review import next_drill
from tui.checker import Checker
from tui.runs import Run
from tui.store import States
from tui.texts import short_path, task_markdown
from tui.widgets.course_tree import CourseTree
from tui.widgets.overall import Overall
from tui.widgets.result import Around
from tui.widgets.status_bar import StatusBar
from tui.widgets.verdict import progress_line, verdict_line
from tui.widgets.workbench import Workbench

if TYPE_CHECKING:
    from tui.app import DrillsApp

T = TypeVar("T")
LANGUAGES = {"en": "English", "zh": "中文"}


class Desk(Screen[None]):
    """Lays out the widgets and keeps them in step with the drill, its states and its language."""

    app: DrillsApp

    def __init__(self) -> None:
        super().__init__()
        self.drill: Drill | None = None
        self.states: States = {}
        self.hints_shown: dict[str, int] = {}  # by slug
        self.course = CourseTree(self.app.catalogue)
        self.overall = Overall()
        self.workbench = Workbench()
        self.status_bar = StatusBar()
        self.checker = Checker(self.app.catalogue, self.app.workspace, self.app.store, self.app.grade)

    def compose(self) -> ComposeResult:
        with Horizontal(id="room"):
            with Vertical(id="sidebar"):
                yield self.course
                yield self.overall
            yield self.workbench
        yield self.status_bar
        yield Footer(show_command_palette=False, compact=True)
        yield self.checker

    @property
    def run(self) -> Run | None:
        """The latest check of the drill that is open."""
        return self.checker.runs.latest.get(self.drill.slug) if self.drill else None

    async def open(self, slug: str) -> None:
        """Open a drill in all panes."""
        drill = next((drill for drill in self.app.catalogue.drills if drill.slug == slug), None)
        if drill is None:
            return
        self.drill = drill
        self.checker.look(slug)
        self.course.show_open(slug)
        self.workbench.code_pane.open(slug, self.app.workspace.file(slug))
        await self.show_task()
        await self.workbench.questions_pane.show_notes(slug, [], self.app.settings.language)
        await self.show_questions()
        await self.show_hints()
        await self.workbench.result_pane.show(self.run, self.around())
        self.show_doing()

    async def show_task(self) -> None:
        """Show what is to be written."""

        def text(drill: Drill) -> str:
            state = self.states.get(drill.slug, DrillState())
            return task_markdown(drill, state, self.app.workspace.file(drill.slug), self.app.settings.language)

        await self.workbench.task_pane.show(self.text(text, ""))

    async def show_questions(self) -> None:
        """Show the questions in the learner's language."""
        language = self.app.settings.language
        await self.workbench.questions_pane.show(
            self.text(lambda drill: drill.qa(language), list[Question]()), language
        )
        if self.drill is not None:
            self._show_notes(self.drill.slug, language)

    @work(exclusive=True, group="notes")
    async def _show_notes(self, slug: str, language: str) -> None:
        """Show what the learner's notes say, as soon as they are read."""
        notes, warnings = await self.app.notes.of(slug)
        for text in warnings:
            self.notify(text, title="Your notes", severity="warning", markup=False, timeout=8)
        if self.drill is not None and self.drill.slug == slug:
            await self.workbench.questions_pane.show_notes(slug, notes, language)

    async def show_hints(self) -> None:
        """Show as many hints as were asked for."""
        if self.drill is not None:
            hints = self.text(lambda drill: drill.hints(), list[Hint]())
            await self.workbench.hints_pane.show(hints, self.hints_shown.get(self.drill.slug, 0))

    def text(self, read: Callable[[Drill], T], otherwise: T) -> T:
        """A text of the drill that is open; `otherwise`, with a notice, where its files are out of order."""
        if self.drill is None:
            return otherwise
        try:
            return read(self.drill)
        except BrokenDrill as error:
            self.notify(str(error), title="The drill is broken", severity="error", markup=False)
            return otherwise

    def around(self) -> Around:
        """What a result is told with."""
        language = self.app.settings.language
        questions = {each.id: each.title for each in self.text(lambda drill: drill.qa(language), list[Question]())}
        file = short_path(self.app.workspace.file(self.drill.slug)) if self.drill else ""
        states = dict(self.states)
        if self.drill and self.run and self.run.result and self.run.result.verdict == "passed":
            # The states are read again only once the pass has been recorded.
            states[self.drill.slug] = DrillState(state="passed")
        chosen = next_drill(self.app.catalogue, states)
        following = chosen[0].slug if chosen and chosen[0] != self.drill else ""
        return Around(file, questions, following)

    def show_doing(self) -> None:
        """Say in the status line what goes on."""
        run = self.checker.runs.current or self.run
        name = run.slug if run else self.drill.slug if self.drill else ""
        line = ("", "")
        if run is not None:
            line = verdict_line(run.result) if run.result else progress_line(run)
        self.status_bar.show((name, "bold"), "  ", line)

    def show_switches(self) -> None:
        """Say in the status line what is switched on."""
        settings = self.app.settings
        watching = "checks on save" if settings.watch else "save: no check"
        self.status_bar.show_switches(f"{watching} · {LANGUAGES[settings.language]}")

    async def show_states(self, states: States) -> None:
        """Show how the learner stands, wherever that is seen."""
        before = self.states
        self.states = states
        self.course.show_states(states)
        known = (states.get(drill.slug, DrillState()) for drill in self.app.catalogue.drills)
        self.overall.show(state.state for state in known)
        slug = self.drill.slug if self.drill else ""
        if before.get(slug) != states.get(slug):
            await self.show_task()

    def offer_fresh_start(self) -> None:
        """Offer the stub of a drill that is due, where the last attempt is still in the file."""
        drill = self.drill
        if drill is None or self.states.get(drill.slug, DrillState()).state != "due":
            return
        if self.app.workspace.differs(drill):
            text = "Press r to start from a blank stub; your attempt is kept."
            self.notify(text, title=f"{drill.slug} is due again", markup=False, timeout=8)

    def tell_broken(self) -> None:
        """Say that drills are left out, or that there are none."""
        broken = len(self.app.catalogue.broken)
        if not self.app.catalogue.drills:
            text = "`drills list` in a shell tells what is broken." if broken else "Add some: --pack DIR"
            self.notify(text, title="There are no drills", severity="error", timeout=60)
        elif broken:
            text = "`drills list` in a shell tells which, and how to mend them."
            self.notify(text, title=f"Drills left out: {broken}", severity="warning")
