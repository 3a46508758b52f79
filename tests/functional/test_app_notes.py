"""The learner's notes in the app: below the questions, word for word."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Static
from toy_course import FakeEngine, make_course

from drills.catalogue import Catalogue
from grader.notes.library import Library
from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.screens.practice import PracticeScreen
from tui.widgets.questions import MOST_NOTES, NoteBox

SECONDS = 60.0
TEXT = "# What is doubling [red]good[/red] for?\n\n- **not** bold [b]nor[/b] <b>this</b>\n\tcode\x1b[31m\n\n# Elsewhere?\n\nNo.\n"


@pytest.fixture
def course(tmp_path: Path) -> Catalogue:
    made = make_course(tmp_path / "toys")
    drills = tuple(replace(drill, notes=(drill.slug,)) for drill in made.drills)
    return replace(made, drills=drills)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.md"
    file.write_text(TEXT, encoding="utf-8")
    return file


class Seen:
    def __init__(self, app: DrillsApp, pilot) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> PracticeScreen:
        screen = self.app.screen_stack[1]
        assert isinstance(screen, PracticeScreen)
        return screen

    @property
    def boxes(self) -> list[NoteBox]:
        return list(self.screen.query(NoteBox))

    @property
    def heading(self) -> str:
        heading = self.screen.query_one("#notes", Static)
        return str(heading.render()) if heading.display else ""

    async def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline
            await self.pilot.pause()


@pytest.fixture
def opened(course: Catalogue, workspace: Workspace):
    @asynccontextmanager
    async def start() -> AsyncIterator[Seen]:
        app = DrillsApp(course, workspace, "doubling", grade=FakeEngine())
        async with app.run_test(size=(100, 40)) as pilot:
            seen = Seen(app, pilot)
            await seen.until(lambda: len(app.screen_stack) > 1 and seen.screen.drill)
            await seen.until(lambda: all(worker.is_finished for worker in app.workers if worker.group == "notes"))
            yield seen

    return start


def add(workspace: Workspace, course: Catalogue, *files: Path) -> None:
    Library(workspace, course, pytest.fail).add(files)


async def test_without_notes_nothing_is_said_of_them(opened) -> None:
    async with opened() as seen:
        await seen.pilot.press("2")
        assert seen.boxes == []
        assert seen.heading == ""


async def test_a_note_opens_to_its_text_word_for_word(opened, workspace, course, file) -> None:
    add(workspace, course, file)
    async with opened() as seen:
        await seen.pilot.press("2")
        await seen.until(lambda: seen.boxes)
        (box,) = seen.boxes
        assert str(box.title) == "What is doubling [red]good[/red] for?"
        assert seen.heading == "From your notes"
        await seen.pilot.press("j", "j", "j", "enter")  # behind the two questions of the drill
        await seen.until(lambda: box.query(".verbatim"))
        shown = box.query_one(".verbatim", Static)
        assert shown.visual.shown.plain == "- **not** bold [b]nor[/b] <b>this</b>\n    code"
        assert "mine.md:1" in str(box.query_one(".where", Static).render())


async def test_the_heading_is_in_the_learners_language_and_open_notes_stay_open(
    opened, workspace, course, file
) -> None:
    add(workspace, course, file)
    async with opened() as seen:
        await seen.until(lambda: seen.boxes)
        seen.boxes[0].collapsed = False
        await seen.pilot.press("l")
        await seen.until(lambda: seen.heading == "你的笔记")
        await seen.until(lambda: seen.boxes and not seen.boxes[0].collapsed)


async def test_another_drill_shows_its_own_notes(opened, workspace, course, file) -> None:
    file.write_text(TEXT + "# halving: why?\n\nHalf.\n")
    add(workspace, course, file)
    async with opened() as seen:
        await seen.until(lambda: [str(box.title)[:7] for box in seen.boxes] == ["What is"])
        await seen.screen.open("halving")
        await seen.until(lambda: [str(box.title)[:7] for box in seen.boxes] == ["halving"])
        await seen.screen.open("tripling")
        await seen.until(lambda: seen.heading == "")
        assert seen.boxes == []


async def test_of_very_many_notes_the_rest_is_named(opened, workspace, course, file) -> None:
    file.write_text("".join(f"# doubling, {number}?\n\nYes.\n\n" for number in range(MOST_NOTES + 3)))
    add(workspace, course, file)
    async with opened() as seen:
        await seen.until(lambda: len(seen.boxes) == MOST_NOTES)
        more = seen.screen.query_one("#more-notes", Static)
        await seen.until(lambda: more.display)
        assert str(more.render()) == "3 more: drills show doubling --notes"


async def test_a_damaged_list_is_told_and_the_app_goes_on(opened, workspace) -> None:
    (workspace.inner / "sources.json").write_text("{")
    async with opened() as seen:
        await seen.until(lambda: "damaged" in "\n".join(str(each.message) for each in seen.app._notifications))
        assert seen.boxes == []
