"""The app, driven by keys: most of it with an engine that does as it is told, the essential with the real one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Markdown, Static
from toy_course import SOLUTION, STUB, FakeEngine, failed, first_of, passed, started

from drills.catalogue import Catalogue
from grader.client import Grading
from grader.progress import Progress
from grader.results import Finished, error_result
from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.runs import Grade
from tui.screens.confirm import ConfirmScreen
from tui.screens.help import HelpScreen
from tui.screens.practice import PracticeScreen
from tui.widgets.check_row import CheckRow
from tui.widgets.questions import QuestionBox

SECONDS = 60.0  # an engine that starts on a busy machine takes its time
WRONG = SOLUTION.replace("2.0 * x", "x * x")


class Session:
    """An app under way, and what is seen of it."""

    def __init__(self, app: DrillsApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> PracticeScreen:
        screen = self.app.screen_stack[1]
        assert isinstance(screen, PracticeScreen)
        return screen

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the app go on until the condition holds."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; the status says {self.text('#doing')!r}"
            await self.pilot.pause()

    def text(self, selector: str) -> str:
        return str(self.screen.query_one(selector, Static).render())

    @property
    def verdict(self) -> str:
        return self.text("#verdict")

    @property
    def notices(self) -> str:
        return "\n".join(f"{notice.title} {notice.message}" for notice in self.app._notifications)

    @property
    def rows(self) -> dict[str, str]:
        """Outcome by check, in the order in which they are shown."""
        return {row.identity: row.outcome for row in self.screen.query(CheckRow)}

    def state(self, slug: str = "doubling") -> str:
        return self.screen.course.state(slug)


@pytest.fixture
def opened(course: Catalogue, workspace: Workspace):
    """Starts the app; a context manager."""

    @asynccontextmanager
    async def start(
        grade: Grade, topic: str | None = "doubling", size: tuple[int, int] = (80, 24)
    ) -> AsyncIterator[Session]:
        app = DrillsApp(course, workspace, topic, grade=grade)
        async with app.run_test(size=size) as pilot:
            session = Session(app, pilot)
            await session.until(lambda: len(app.screen_stack) > 1 and session.screen.drill)
            await pilot.pause()
            yield session

    return start


def attempts(workspace: Workspace, slug: str = "doubling") -> list[str]:
    with Progress(workspace.progress_file) as progress:
        return [attempt.verdict for attempt in progress.attempts(slug)]


def record(workspace: Workspace, slug: str, finished: Finished) -> None:
    import msgspec

    with Progress(workspace.progress_file) as progress:
        progress.record_attempt(slug, msgspec.to_builtins(finished.result), b"")


async def test_opens_on_the_topic(opened, workspace: Workspace) -> None:
    async with opened(FakeEngine(), "halving") as session:
        assert session.screen.drill.slug == "halving"
        task = session.screen.query_one("#task Markdown", Markdown).source
        assert "# Doubling in halving" in task
        assert "def double(x: float) -> float:" in task
        assert "NotImplementedError" not in task
        assert "https://example.org/peano" in task
        assert str(workspace.file("halving")) in task


async def test_opens_on_what_is_best_practised_next(opened, workspace: Workspace) -> None:
    record(workspace, "tripling", failed("tripling"))
    async with opened(FakeEngine(), None) as session:
        assert session.screen.drill.slug == "tripling"
        await session.press("n")
        assert "tried, not passed yet" in session.notices


async def test_the_course_shows_states(opened, workspace: Workspace) -> None:
    record(workspace, "doubling", passed())
    record(workspace, "halving", failed("halving"))
    async with opened(FakeEngine()) as session:
        await session.until(lambda: session.state() == "passed")
        assert (session.state("halving"), session.state("tripling")) == ("tried", "new")
        assert session.text("Overall Static") == "1 of 3 passed"


async def test_a_drill_is_chosen_in_the_course(opened) -> None:
    async with opened(FakeEngine()) as session:
        await session.press("c", "down", "enter")
        await session.until(lambda: session.screen.drill.slug == "halving")
        assert session.screen.focused.id == "task"


async def test_checks_arrive_one_by_one(opened, workspace: Workspace) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.press("g")
        assert "Starting the check" in session.verdict
        (grading,) = engine.gradings
        grading.give(started())
        await session.until(lambda: session.rows == {"test_one": "", "test_three": ""})
        grading.give(first_of(failed()))
        await session.until(lambda: session.rows["test_one"] == "passed")
        assert "Checking… 1 of 2" in session.verdict
        grading.give(failed())
        await session.until(lambda: "Failed: 1 of 2 checks" in session.verdict)
        assert session.rows == {"test_three": "failed", "test_one": "passed"}  # failures first
        assert "0.04 s · seed 20260 · isolation full" in session.verdict
        first, second = session.screen.query(CheckRow)
        assert (first.opened, second.opened) == (True, False)
        details = str(first.query_one(".details", Static).render())
        assert "expected 6.0\ngot      9.0" in details
        assert "Squaring is another thing." in details
        assert "debug [red]x[/red] = 3" in session.text("#output")
        assert "The number is squared." in session.text(".diagnosis")
        await session.until(lambda: session.state() == "tried")
    assert attempts(workspace) == ["failed"]


async def test_a_key_leads_to_the_question_behind_a_mistake(opened) -> None:
    async with opened(FakeEngine(started(), failed())) as session:
        await session.press("g")
        await session.until(lambda: "Failed" in session.verdict)
        await session.press("a")
        await session.until(lambda: session.screen.workbench.active == "questions")
        first, second = session.screen.query(QuestionBox)
        assert (first.collapsed, second.collapsed) == (True, False)
        assert session.screen.focused is second.heading


async def test_text_of_the_learner_is_never_markup(opened) -> None:
    nasty = "[bold]name[/] [@click=app.quit]here[/] [/nonsense] \\[x]"
    async with opened(FakeEngine(started(), failed(message=nasty))) as session:
        await session.press("g")
        await session.until(lambda: "Failed" in session.verdict)
        (row, _) = session.screen.query(CheckRow)
        assert nasty in str(row.query_one(".details", Static).render())


async def test_failures_open_and_close_by_keys(opened) -> None:
    async with opened(FakeEngine(started(), failed())) as session:
        await session.press("g")
        await session.until(lambda: "Failed" in session.verdict)
        row = session.screen.query(CheckRow).first()
        await session.press("3", "j", "enter")
        assert not row.opened
        await session.press("space")
        assert row.opened


async def test_cancelled(opened, workspace: Workspace) -> None:
    engine = FakeEngine(started())
    async with opened(engine) as session:
        await session.press("g")
        await session.until(lambda: session.rows)
        await session.press("escape")
        await session.until(lambda: "Cancelled" in session.verdict)
        assert engine.gradings[0].cancelled
        assert session.screen.checker.runs.current is None
    assert attempts(workspace) == []


async def test_a_newer_check_replaces_the_older(opened, workspace: Workspace) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.press("g")
        workspace.file("doubling").write_text(SOLUTION)
        await session.press("g")
        await session.until(lambda: len(engine.gradings) >= 2)
        older, newer = engine.gradings[0], engine.gradings[-1]
        assert older.cancelled
        assert newer.request.source == SOLUTION.encode()
        # An event of the older one that was on its way when it was replaced.
        run = session.screen.checker.runs.latest["doubling"]
        stale = type(run)("doubling", STUB.encode())
        from tui.runs import RunEvent

        session.screen.checker.post_message(RunEvent(stale, failed()))
        newer.give(started(), passed())
        await session.until(lambda: "Passed" in session.verdict)
        await session.until(lambda: session.state() == "passed")
    assert attempts(workspace) == ["passed"]


async def test_a_result_stays_with_its_drill(opened) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.press("g", "c", "down", "enter")
        await session.until(lambda: session.screen.drill.slug == "halving")
        engine.gradings[0].give(started(), passed())
        await session.until(lambda: "doubling ✓ Passed: all 2 checks" in session.notices)
        assert "Nothing checked yet" in session.verdict
        await session.press("c", "up", "enter")
        await session.until(lambda: "Passed" in session.verdict)


async def test_a_lost_grading_process_is_told(opened) -> None:
    engine = FakeEngine(started())
    async with opened(engine) as session:
        await session.press("g")
        await session.until(lambda: session.rows)
        engine.gradings[0].restarted = True
        engine.gradings[0].give(started(), passed())
        await session.until(lambda: "Passed" in session.verdict)
        assert "The grading process was lost" in session.notices


async def test_a_fault_of_the_grader_is_no_fail(opened, workspace: Workspace) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.press("g")
        engine.gradings[0].give(OSError("no [more] processes"))
        await session.until(lambda: "could not judge" in session.verdict)
        assert "no [more] processes" in session.text("#problem")
        await session.press("g")
        engine.gradings[1].give(Finished(error_result("doubling", 1, "lost")))
        await session.until(lambda: session.text("#problem") == "lost")
        await session.until(lambda: len(attempts(workspace)) == 2)
        assert session.state() == "new"


async def test_a_save_outside_is_checked(opened, workspace: Workspace) -> None:
    async with opened(FakeEngine(started(), passed())) as session:
        await session.until(lambda: session.screen.checker.watching)
        workspace.file("doubling").write_text(SOLUTION)
        await session.until(lambda: "Passed" in session.verdict)
        assert "n opens halving" in session.verdict
        assert session.screen.workbench.active == "result"


async def test_saving_another_drill_goes_there(opened, workspace: Workspace) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.until(lambda: session.screen.checker.watching)
        workspace.file("tripling").write_text(SOLUTION)
        await session.until(lambda: engine.gradings)
        assert session.screen.drill.slug == "tripling"


async def test_watching_is_switched_off_and_remembered(opened, workspace: Workspace) -> None:
    engine = FakeEngine(started(), passed())
    async with opened(engine) as session:
        await session.press("w")
        assert "save: no check" in session.text("#switches")
        await session.until(lambda: not session.screen.checker.watching)
        workspace.file("doubling").write_text(SOLUTION)
        await session.press("w")
        await session.until(lambda: session.screen.checker.watching)
        workspace.file("doubling").write_text(WRONG)
        await session.until(lambda: engine.gradings)
        assert {grading.request.source for grading in engine.gradings} == {WRONG.encode()}
        await session.press("w")
    async with opened(engine) as session:
        assert "save: no check" in session.text("#switches")


async def test_a_file_deleted_under_the_app(opened, workspace: Workspace) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        workspace.file("doubling").unlink()
        await session.press("g")
        await session.until(lambda: "There is no file" in session.notices)
        assert "`drills start` puts one there" in session.notices
        assert engine.gradings == []


async def test_the_language_is_toggled_and_remembered(opened) -> None:
    async with opened(FakeEngine()) as session:
        await session.press("2", "j", "enter", "l")
        await session.until(lambda: "中文" in session.text("#switches"))
        boxes = list(session.screen.query(QuestionBox))
        assert [box.question.title for box in boxes] == ["为什么要加倍？", "什么是一个数的两倍？"]
        assert [box.collapsed for box in boxes] == [False, True]  # what was open stays open
    async with opened(FakeEngine()) as session:
        assert "中文" in session.text("#switches")
        await session.press("l")
        titles = [box.question.title for box in session.screen.query(QuestionBox)]
        assert titles[0] == "Why double [a number]?"


async def test_hints_come_one_by_one_and_are_recorded(opened, workspace: Workspace) -> None:
    async with opened(FakeEngine()) as session:
        page = session.screen.query_one("#hints Markdown", Markdown)
        assert "Think" not in page.source
        await session.press("h")
        await session.until(lambda: "Hint 1 of 2: Think" in page.source)
        assert "Write" not in page.source
        await session.press("h")
        await session.until(lambda: "Hint 2 of 2: Write" in page.source)
        await session.press("h")
        await session.until(lambda: "These are all 2 hints" in session.notices)
    with Progress(workspace.progress_file) as progress:
        assert progress.states()["doubling"].hints == 2
    async with opened(FakeEngine()) as session:
        page = session.screen.query_one("#hints Markdown", Markdown)
        await session.until(lambda: "Hint 2 of 2: Write" in page.source)


async def test_reset_asks_and_keeps_the_attempt(opened, workspace: Workspace) -> None:
    file = workspace.file("doubling")
    file.write_text(WRONG)
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.press("r")
        await session.until(lambda: isinstance(session.app.screen, ConfirmScreen))
        await session.press("n")
        assert file.read_text() == WRONG
        await session.press("r")
        await session.until(lambda: isinstance(session.app.screen, ConfirmScreen))
        await session.press("y")
        await session.until(lambda: file.read_text() == STUB)
        await session.until(lambda: "kept as .drills/attempts/doubling-" in session.notices)
        (kept,) = (workspace.inner / "attempts").iterdir()
        assert kept.read_text() == WRONG
        assert engine.gradings == []  # putting the stub back is no attempt


@pytest.fixture
def suspendable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there is nothing to suspend."""
    monkeypatch.setattr(DrillsApp, "suspend", lambda self: contextlib.nullcontext())
    monkeypatch.delenv("VISUAL", raising=False)


@pytest.mark.usefixtures("suspendable")
async def test_the_editor_edits_and_a_change_is_checked(
    opened, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "my editor"
    script.write_text('#!/bin/sh\n[ "$1" = --now ] && printf "%s" "$ANSWER" > "$2"\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", f"'{script}' --now")
    monkeypatch.setenv("ANSWER", SOLUTION)
    engine = FakeEngine(started(), passed())
    async with opened(engine) as session:
        await session.press("e")
        await session.until(lambda: "Passed" in session.verdict)
        assert [grading.request.source for grading in engine.gradings] == [SOLUTION.encode()]
        await session.press("e")  # nothing changed, nothing to check
        await session.pilot.pause()
        assert len(engine.gradings) == 1


@pytest.mark.usefixtures("suspendable")
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-editor -w", "$EDITOR names no-such-editor, which is not installed."),
        ("'unclosed", "which is no command"),
        ("false", "false ended with the code 1."),
    ],
)
async def test_trouble_with_the_editor_is_told(
    opened, monkeypatch: pytest.MonkeyPatch, command: str, told: str
) -> None:
    monkeypatch.setenv("EDITOR", command)
    async with opened(FakeEngine()) as session:
        await session.press("e")
        await session.until(lambda: told in session.notices)


async def test_progress_that_cannot_be_used_is_a_warning(opened, workspace: Workspace) -> None:
    workspace.progress_file.mkdir()
    async with opened(FakeEngine(started(), passed())) as session:
        await session.press("g")
        await session.until(lambda: "Passed" in session.verdict)
        await session.until(lambda: "Progress is not available" in session.notices)


async def test_help_shows_every_key(opened) -> None:
    async with opened(FakeEngine()) as session:
        await session.press("question_mark")
        await session.until(lambda: isinstance(session.app.screen, HelpScreen))
        shown = {str(key.render()) for key in session.app.screen.query(".key").results(Static)}
        assert shown >= set("geharnlw?12345cjkoq") | {"esc", "ctrl+p", "ctrl+s", "f5"}
        await session.press("escape")
        assert session.app.screen is session.screen


async def test_wide_terminals_show_two_panes_and_resize_at_any_time(opened) -> None:
    async with opened(FakeEngine()) as session:

        def seen() -> list[str | None]:
            return [pane.id for pane in session.screen.query("Pane") if pane.display]

        assert seen() == ["task"]
        await session.press("4")
        assert seen() == ["hints"]
        await session.pilot.resize_terminal(160, 48)
        await session.until(lambda: seen() == ["task", "hints"])
        await session.pilot.resize_terminal(50, 12)
        await session.until(lambda: seen() == ["hints"])


async def test_q_quits_while_a_check_runs(opened) -> None:
    engine = FakeEngine(started())
    async with opened(engine) as session:
        await session.press("g", "q")
        await session.until(lambda: not session.app.is_running)
    assert engine.gradings[0].cancelled
    assert session.app.return_code == 0


async def test_a_whole_session_with_the_real_engine(opened, workspace: Workspace, course: Catalogue) -> None:
    file = workspace.file("doubling")
    async with opened(Grading) as session:
        await session.press("g")
        await session.until(lambda: "Failed: 2 of 2 checks" in session.verdict)
        assert set(session.rows.values()) == {"failed"}
        file.write_text(WRONG)  # a save, which is checked by itself
        await session.until(lambda: "Failed" in session.verdict and session.screen.query(".diagnosis"))
        assert "The number is squared." in session.text(".diagnosis")
        await session.until(lambda: session.state() == "tried")
        file.write_text(course.find("doubling").solution_source)
        await session.press("g")
        await session.until(lambda: "Passed: all 2 checks" in session.verdict)
        await session.until(lambda: session.state() == "passed")
        file.write_text("def double(x:\n")
        await session.press("g")
        await session.until(lambda: "no check could run" in session.verdict)
        assert "line 1" in session.text("#problem")
    assert attempts(workspace)[0] == "failed"
    assert "passed" in attempts(workspace)
