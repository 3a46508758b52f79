"""The practice screen, where a learner spends the time: what its keys do, and what it does by itself."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import SuspendNotSupported
from textual.binding import BindingType

from drills.catalogue import Hint
from grader.review import next_drill
from tui import editor
from tui.checker import Checker
from tui.keys import CODE_KEYS, KEYS
from tui.screens.coding import Coding
from tui.screens.help import HelpScreen
from tui.settings import Language
from tui.widgets.course_tree import CourseTree
from tui.widgets.verdict import verdict_line
from tui.widgets.workbench import Name


class PracticeScreen(Coding):
    """Acts on keys, on saves, and on what the checker tells."""

    CSS_PATH = "practice.tcss"
    AUTO_FOCUS = "#task"
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [
        (0, "-tiny"),
        (64, "-narrow"),
        (140, "-wide"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, topic: str | None) -> None:
        """topic: the slug to open, or None for what is best practised next."""
        super().__init__()
        self._topic = topic
        self._asked = 0  # likely mistakes whose question was gone to

    async def on_mount(self) -> None:
        self.course.show_language(self.app.settings.language)
        self.checker.watch_files(self.app.settings.watch)
        self.show_switches()
        self.tell_broken()
        if self._topic is not None:
            await self.open(self._topic)
        self.checker.read_states()

    def check_action(self, action: str, _: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        if action == "cancel":
            return self.checker.runs.current is not None
        if action == "question":
            return bool(self.run and self.run.result and self.run.result.diagnosis)
        return self.drill is not None or action not in ("check", "edit", "hint", "reset")

    async def on_checker_states_read(self, message: Checker.StatesRead) -> None:
        first = not self.states
        for slug, state in message.states.items():
            shown = self.hints_shown.get(slug, 0)  # those just asked for may be on their way to the store
            self.hints_shown[slug] = max(state.hints, shown) if state.hints else 0
        await self.show_states(message.states)
        if self.drill is None:
            chosen = next_drill(self.app.catalogue, message.states)
            if chosen is not None:
                await self.open(chosen[0].slug)
        elif first:
            await self.show_hints()
        if first:
            self.offer_fresh_start()

    async def on_checker_moved(self, message: Checker.Moved) -> None:
        run, result = message.run, self.workbench.result_pane
        self.show_doing()
        if message.what != "checked":
            self.refresh_bindings()
        if run is not self.checker.runs.latest.get(run.slug):
            return
        if run is not self.run:
            if message.what == "ended" and run.result is not None:
                self.notify(verdict_line(run.result)[0], title=run.slug, markup=False)
            return
        match message.what:
            case "began" | "announced":
                await result.start(run)
            case "ended":
                self._asked = 0
                if run.result is not None:
                    await result.finish(run.result, self.around())
            case _:
                result.progress(run, message.check)

    async def on_checker_saved(self, message: Checker.Saved) -> None:
        """Check what was saved; with another drill's file, go there, unless the learner is typing."""
        code = self.workbench.code_pane
        for slug in message.slugs:
            code.look(slug)
        if self.drill is not None and self.drill.slug in message.slugs:
            self.check(self.drill.slug)
        elif len(message.slugs) == 1 and editor.content(self.app.workspace.file(message.slugs[0])):
            if not code.typing:
                await self.open(message.slugs[0])
            self.check(message.slugs[0])

    def on_checker_unwatched(self) -> None:
        self.app.settings.watch = False  # for now; the learner's choice is kept
        self.show_switches()

    async def on_course_tree_chosen(self, message: CourseTree.Chosen) -> None:
        await self._go(message.slug)

    async def _go(self, slug: str) -> None:
        """Open a drill that the learner chose."""
        await self.open(slug)
        self.workbench.show("task", focus=True)
        self.refresh_bindings()
        self.offer_fresh_start()

    def action_check(self) -> None:
        if self.drill is None:
            return
        if self.editor_of(self.drill.slug) is None:
            self.check(self.drill.slug)
        else:
            self.save_and_check(self.drill.slug, False)

    def action_cancel(self) -> None:
        self.checker.cancel()

    def action_edit(self) -> None:
        if self.drill is None:
            return
        if self.editor_of(self.drill.slug) is None:
            self._edit(self.drill.slug)
        else:
            self._save_and_edit(self.drill.slug)

    @work(exclusive=True, group="saving")
    async def _save_and_edit(self, slug: str) -> None:
        if await self.save(slug):
            self._edit(slug)

    def _edit(self, slug: str) -> None:
        try:
            command = editor.editor_command()
            with self.app.suspend():
                editor.edit(command, self.app.workspace.file(slug))
        except editor.EditorTrouble as error:
            self.notify(str(error), title="No editor", severity="error", markup=False, timeout=8)
        except SuspendNotSupported:
            self.notify("Open the file in another window: saving it checks it.", severity="warning")
        self.refresh()
        self.workbench.code_pane.look(slug)
        if self.checker.is_news(slug):
            self.check(slug)

    def action_hint(self) -> None:
        if self.drill is not None:
            self._next_hint(self.drill.slug, self.text(lambda drill: drill.hints(), list[Hint]()))

    @work(exclusive=True, group="hint")
    async def _next_hint(self, slug: str, hints: list[Hint]) -> None:
        """Show one more, unless the last one is hidden behind another pane."""
        shown = min(self.hints_shown.get(slug, 0), len(hints))
        self.workbench.show("hints", focus=True)
        if shown < len(hints):
            self.hints_shown[slug] = shown + 1
            self.checker.record_hint(slug, shown + 1)
            await self.show_hints()
        elif hints:
            self.notify(f"These are all {len(hints)} hints.")

    def action_question(self) -> None:
        """Go to the question behind a likely mistake; once more, to the next mistake's."""
        result = self.run.result if self.run else None
        if result is None or not result.diagnosis:
            return
        found = result.diagnosis[self._asked % len(result.diagnosis)]
        self._asked += 1
        self.workbench.show("questions")
        if not self.workbench.questions_pane.jump(found.question):
            self.notify(f"This drill has no question {found.question!r}.", severity="warning", markup=False)

    async def action_next(self) -> None:
        chosen = next_drill(self.app.catalogue, self.states)
        if chosen is None:
            return
        drill, reason = chosen
        self.notify(reason, title=drill.slug, markup=False)
        await self._go(drill.slug)

    async def action_language(self) -> None:
        language: Language = "en" if self.app.settings.language == "zh" else "zh"
        self.app.settings.change(language=language)
        await self._show_language()

    async def _show_language(self) -> None:
        self.course.show_language(self.app.settings.language)
        self.show_switches()
        await self.show_task()
        await self.show_questions()

    def action_watch(self) -> None:
        self.app.settings.change(watch=not self.app.settings.watch)
        self.checker.watch_files(self.app.settings.watch)
        self.show_switches()

    def action_pane(self, name: Name) -> None:
        self.workbench.show(name, focus=True)

    def action_item(self, step: int) -> None:
        self.workbench.step(step)

    def action_course(self) -> None:
        sidebar = self.query_one("#sidebar")
        hide = self.course.has_focus
        sidebar.set_class(hide, "-hidden")
        sidebar.set_class(not hide, "-asked-for")
        if hide:
            self.workbench.focus_active()
        else:
            self.course.focus()

    @work(exclusive=True, group="quiz")
    async def action_quiz(self, here: bool) -> None:
        """Ask questions of all drills, or of the one that is open."""
        drills = [self.drill] if here and self.drill else self.app.catalogue.drills
        language = self.app.settings.language
        from tui.screens.quiz import QuizScreen

        await self.app.push_screen_wait(QuizScreen(drills))
        if language != self.app.settings.language:
            await self._show_language()

    @work(exclusive=True, group="home")
    async def action_home(self) -> None:
        """Show how the learner stands; go to the drill that is chosen there."""
        from tui.screens.home import HomeScreen

        language = self.app.settings.language
        chosen = await self.app.push_screen_wait(HomeScreen())
        if language != self.app.settings.language:
            await self._show_language()
        if chosen:
            await self._go(chosen)

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen([*KEYS, *CODE_KEYS]))
