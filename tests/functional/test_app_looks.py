"""What the practice screen looks like, as pictures. After a change meant to be seen: pytest --snapshot-update."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from toy_course import FakeEngine, failed, make_course, passed, started

from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.screens.practice import PracticeScreen

SIZES = {"80x24": (80, 24), "160x48": (160, 48)}


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return SIZES[request.param]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DrillsApp]:
    """Makes an app whose pictures are the same everywhere: the path that they show is relative."""
    monkeypatch.chdir(tmp_path)
    course = make_course(tmp_path / "toys")
    workspace = Workspace(Path("answers"))
    workspace.create(course)

    def make(engine: FakeEngine, **settings: str) -> DrillsApp:
        made = DrillsApp(course, workspace, "doubling", grade=engine)
        made.settings.change(**settings)
        return made

    return make


def after(*keys: str, verdict: str = "") -> Callable[[Pilot[int]], Awaitable[None]]:
    """Press keys one after the other, each when the app has done with the one before."""

    async def do(pilot: Pilot[int]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    async def settle(pilot: Pilot[int]) -> None:
        # A check has ended when it is recorded, which is when the course shows its state.
        screen = pilot.app.screen_stack[-1]
        for _ in range(1000):
            await pilot.pause()
            if not isinstance(screen, PracticeScreen):
                return
            run = screen.run
            if screen.drill and (run is None or (run.result and screen.course.state(run.slug) == verdict)):
                break
        for _ in range(3):
            await pilot.pause()

    return do


def test_questions(snap_compare, app, size) -> None:
    assert snap_compare(app(FakeEngine()), terminal_size=size, run_before=after("2", "j", "enter", "j", "enter"))


def test_questions_in_chinese(snap_compare, app, size) -> None:
    run_before = after("l", "2", "j", "enter", "j", "enter")
    assert snap_compare(app(FakeEngine()), terminal_size=size, run_before=run_before)


def test_a_failure(snap_compare, app, size) -> None:
    engine = FakeEngine(started(), failed())
    assert snap_compare(app(engine), terminal_size=size, run_before=after("g", verdict="tried"))


def test_a_pass(snap_compare, app, size) -> None:
    engine = FakeEngine(started(), passed())
    assert snap_compare(app(engine), terminal_size=size, run_before=after("g", verdict="passed"))


def test_the_task(snap_compare, app) -> None:
    assert snap_compare(app(FakeEngine()), terminal_size=(80, 24), run_before=after())


def test_a_failure_in_the_light_theme(snap_compare, app) -> None:
    made = app(FakeEngine(started(), failed()), theme="textual-light")
    assert snap_compare(made, terminal_size=(80, 24), run_before=after("g", verdict="tried"))


def test_help(snap_compare, app) -> None:
    assert snap_compare(app(FakeEngine()), terminal_size=(80, 24), run_before=after("question_mark"))


def test_confirm(snap_compare, app) -> None:
    assert snap_compare(app(FakeEngine()), terminal_size=(80, 24), run_before=after("r"))
