"""What the Code tab and the home screen look like, as pictures. After a change meant to be seen: --snapshot-update."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_home import NOW, practise
from textual.pilot import Pilot
from toy_course import FakeEngine, make_course

from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.screens.choice import ChoiceScreen
from tui.screens.home import HomeScreen
from tui.widgets.editor import Editor

SIZES = {"80x24": (80, 24), "160x48": (160, 48)}


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return SIZES[request.param]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)  # the path that is shown is relative
    return Workspace(Path("answers"))


def make_app(workspace: Workspace, **settings: object) -> DrillsApp:
    course = make_course(Path("toys").absolute())
    workspace.create(course)
    app = DrillsApp(course, workspace, "doubling", grade=FakeEngine())
    app.clock = lambda: NOW
    app.settings.change(**{"watch": False, **settings})
    return app


async def settle(pilot: Pilot[int]) -> None:
    for _ in range(5):
        await pilot.pause()


async def type_code(pilot: Pilot[int]) -> None:
    """Code that is not saved, with a cursor that stands still."""
    await settle(pilot)
    await pilot.press("5")
    while not isinstance(pilot.app.focused, Editor):
        await pilot.pause()
    editor = pilot.app.focused
    editor.cursor_blink = False
    editor.move_cursor((9, 0))
    await pilot.press("x", "=", "1", "enter")
    await settle(pilot)


def test_code(snap_compare, workspace, size) -> None:
    assert snap_compare(make_app(workspace), terminal_size=size, run_before=type_code)


def test_code_in_the_light_theme(snap_compare, workspace) -> None:
    app = make_app(workspace, theme="textual-light")
    assert snap_compare(app, terminal_size=(80, 24), run_before=type_code)


def test_two_texts_for_one_file(snap_compare, workspace) -> None:
    app = make_app(workspace)

    async def conflict(pilot: Pilot[int]) -> None:
        await type_code(pilot)
        workspace.file("doubling").write_text("theirs\n")
        await pilot.press("ctrl+s")
        while not isinstance(app.screen, ChoiceScreen):
            await pilot.pause()
        await settle(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=conflict)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_home(snap_compare, workspace, size, language: str) -> None:
    app = make_app(workspace, language=language)
    practise(workspace)

    async def go_home(pilot: Pilot[int]) -> None:
        await settle(pilot)
        await pilot.press("o")
        while not isinstance(app.screen, HomeScreen) or app.screen.overview is None:
            await pilot.pause()
        await settle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=go_home)
