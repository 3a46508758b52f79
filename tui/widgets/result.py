"""The result of a check, which arrives piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import VerticalGroup
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from grader.results import Check, Result
from tui.runs import Run
from tui.widgets import verdict
from tui.widgets.check_row import CheckRow
from tui.widgets.pane import Pane

NOTHING = "Nothing checked yet. Write your answer in {file}, save it, or press g."


class Around(NamedTuple):
    """What a result is told with: the learner's file, questions' titles by id, the drill to go on with."""

    file: str
    questions: Mapping[str, str]
    following: str


class ResultPane(Pane):
    """Verdict and what to do on top, then likely mistakes, checks (failures first), what was printed."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._rows: dict[str, CheckRow] = {}  # by the check's id

    def compose(self) -> ComposeResult:
        yield Static(id="verdict")
        yield Static(id="problem")
        yield VerticalGroup(id="diagnoses")
        yield VerticalGroup(id="checks")
        yield Static(id="output")

    async def show(self, run: Run | None, around: Around) -> None:
        """Show a run as far as it has come, or that there was none yet."""
        await self._clear()
        if run is None:
            self._head(Content(NOTHING.format(file=around.file)))
            return
        await self.start(run)
        for check in run.checks.values():
            self._rows[check.id].finish(check)
        if run.result is not None:
            await self.finish(run.result, around)

    async def start(self, run: Run) -> None:
        """Show the checks that will run."""
        await self._clear()
        self.progress(run)
        await self._add_rows(run.titles)

    def progress(self, run: Run, check: Check | None = None) -> None:
        """Show how far it has come, and the check that has finished."""
        self._head(Content.assemble(verdict.progress_line(run)))
        if check is not None and check.id in self._rows:
            self._rows[check.id].finish(check)

    async def finish(self, result: Result, around: Around) -> None:
        """Show the verdict and put the failures first."""
        self._head(verdict.verdict(result, around.file, around.following))
        self._show("#problem", Content(result.problem))
        self._show("#output", verdict.output(result.output) if result.output.strip() else Content(""))
        told = [
            Static(
                verdict.diagnosis(each, around.questions.get(each.question, each.question)),
                classes="diagnosis",
            )
            for each in result.diagnosis
        ]
        await self.query("#diagnoses > *").remove()
        await self.query_one("#diagnoses").mount_all(told)
        await self._finish_rows(result)
        self.scroll_home(animate=False)

    async def _finish_rows(self, result: Result) -> None:
        titles = {check.id: check.title for check in result.checks}
        await self._add_rows({identity: title for identity, title in titles.items() if identity not in self._rows})
        for check in result.checks:
            if self._rows[check.id].check != check:
                self._rows[check.id].finish(check)
        order = {identity: place for place, identity in enumerate(titles)}
        self.query_one("#checks").sort_children(key=lambda row: _rank(row, order))
        first = next((row for row in self.query(CheckRow) if row.can_focus), None)
        if first is not None and not result.problem:  # with a problem there is one reason, told above
            first.open()
            if self.has_focus:
                first.focus(scroll_visible=False)

    async def _clear(self) -> None:
        self._rows = {}
        await self.query("#checks > *, #diagnoses > *").remove()
        self._show("#problem", Content(""))
        self._show("#output", Content(""))
        self.scroll_home(animate=False)

    def _head(self, content: Content) -> None:
        self.query_one("#verdict", Static).update(content)

    def _show(self, selector: str, content: Content) -> None:
        part = self.query_one(selector, Static)
        part.update(content)
        part.display = bool(content.plain)

    async def _add_rows(self, titles: Mapping[str, str]) -> None:
        rows = {identity: CheckRow(identity, title) for identity, title in titles.items()}
        self._rows |= rows
        await self.query_one("#checks").mount_all(rows.values())

    def items(self) -> list[Widget]:
        return [row for row in self.query(CheckRow) if row.can_focus]


def _rank(row: Widget, order: Mapping[str, int]) -> tuple[int, int]:
    """Failures in the order of the drill, then what did not run, then what passed."""
    if not isinstance(row, CheckRow):
        return (3, 0)
    kind = {"passed": 2, "not_run": 1}.get(row.outcome, 0)
    return kind, order.get(row.identity, 0)
