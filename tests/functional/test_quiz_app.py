"""The quiz of the app, and its offer to start a due drill from a blank stub."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static, TextArea
from toy_course import SOLUTION, STUB, FakeEngine, make_course

from drills.catalogue import Catalogue
from grader.progress import Answer, Progress
from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.screens.confirm import ConfirmScreen
from tui.screens.help import HelpScreen
from tui.screens.practice import PracticeScreen
from tui.screens.quiz import QuizScreen
from tui.widgets.page import Page
from tui.widgets.points import Point, Points

SECONDS = 60.0
DAY = timedelta(days=1)

QA = """\
## Why double [a number]? {#why-double}

### Answer
To have **more** of it.

### Key points
- more [red]of it[/red]
- twice is enough
- it is cheap

### Follow-ups
- **And three times?** That is tripling.

## What is the double of a number? {#what-double}

### Answer
The sum of the number and itself.
"""

QA_ZH = """\
## 为什么要加倍？ {#why-double}

### 回答
为了更多。

### 要点
- 更多
- 两倍就够
- 便宜

## 什么是一个数的两倍？ {#what-double}

### 回答
一个数加上它自己。
"""


@pytest.fixture
def course(tmp_path: Path) -> Catalogue:
    made = make_course(tmp_path / "toys")
    for drill in made.drills:
        (drill.folder / "qa.md").write_text(QA, encoding="utf-8")
        (drill.folder / "qa.zh.md").write_text(QA_ZH, encoding="utf-8")
    return made


class Session:
    """An app under way."""

    def __init__(self, app: DrillsApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def quiz(self) -> QuizScreen:
        assert isinstance(self.app.screen, QuizScreen)
        return self.app.screen

    @property
    def practice(self) -> PracticeScreen:
        screen = self.app.screen_stack[1]
        assert isinstance(screen, PracticeScreen)
        return screen

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline
            await self.pilot.pause()

    async def start(self, key: str) -> None:
        """Start a quiz, and wait for what it asks."""
        await self.press(key)
        await self.until(lambda: isinstance(self.app.screen, QuizScreen) and self.text("#asked"))

    def text(self, selector: str) -> str:
        return str(self.app.screen.query_one(selector, Static).render())

    @property
    def pages(self) -> list[str]:
        return [page.source for page in self.quiz.query(Page) if page.display]

    @property
    def notices(self) -> str:
        return "\n".join(f"{notice.title} {notice.message}" for notice in self.app._notifications)


@pytest.fixture
def opened(course: Catalogue, workspace: Workspace):
    @asynccontextmanager
    async def start(topic: str | None = "doubling", size: tuple[int, int] = (80, 24)) -> AsyncIterator[Session]:
        app = DrillsApp(course, workspace, topic, grade=FakeEngine())
        async with app.run_test(size=size) as pilot:
            session = Session(app, pilot)
            await session.until(lambda: len(app.screen_stack) > 1 and session.practice.drill)
            await pilot.pause()
            yield session

    return start


def answers(workspace: Workspace) -> list[Answer]:
    with Progress(workspace.progress_file) as progress:
        return progress.answers()[::-1]


async def test_an_answer_is_compared_ticked_and_rated(opened, workspace: Workspace) -> None:
    async with opened() as session:
        await session.start("Z")
        assert session.text("#place").split() == ["doubling", "1/2", "·", "new"]
        assert session.text("#asked") == "Why double [a number]?"
        assert session.pages == []  # nothing is revealed
        await session.press("a", "1")  # no rating before the answer
        assert answers(workspace) == []
        await session.press("enter")
        assert session.pages[0] == "To have **more** of it."
        assert "That is tripling." in session.pages[1]
        points = [str(point.render()) for point in session.quiz.query(Point)]
        assert points == ["1 · more [red]of it[/red]", "2 · twice is enough", "3 · it is cheap"]
        await session.press("enter")  # pressed twice, it is no rating
        assert session.text("#asked") == "Why double [a number]?"
        await session.press("1", "3", "9")
        assert "good" in session.text("#suggestion")
        await session.press("2", "2", "3")
        assert "hard" in session.text("#suggestion")
        await session.press("enter")
        await session.until(lambda: session.text("#asked") == "What is the double of a number?")
        assert session.pages == []
        await session.press("enter")
        assert "good" in session.text("#suggestion")  # no points to tick
        await session.press("e")
        await session.until(lambda: "2 answered and recorded" in session.text("#asked"))
        await session.press("enter", "a", "s", "t", "escape")
        assert session.app.screen is session.practice
    first, second = answers(workspace)
    assert (first.slug, first.question, first.rating) == ("doubling", "why-double", "hard")
    assert (first.points, first.points_total, first.text, first.lang) == ((1,), 3, "", "en")
    assert (second.question, second.rating, second.points) == ("what-double", "easy", ())


async def test_a_typed_answer_is_kept(opened, workspace: Workspace) -> None:
    async with opened() as session:
        await session.start("Z")
        await session.press("t", *"quiz", "enter", *"as", "escape")
        assert session.quiz.query_one(TextArea).text == "quiz\nas"
        assert not session.quiz.revealed
        await session.press("enter", "g")
        await session.until(lambda: session.text("#asked") == "What is the double of a number?")
        assert not session.quiz.query_one(TextArea).display
        await session.press("enter", "h")
    assert [(kept.text, kept.rating) for kept in answers(workspace)] == [("quiz\nas", "good"), ("", "hard")]


async def test_due_questions_of_all_drills_come_first(opened, workspace: Workspace) -> None:
    ago = datetime.now(UTC) - 3 * DAY
    with Progress(workspace.progress_file) as progress:
        progress.record_answer("tripling", "what-double", "again", at=ago)
        progress.record_answer("doubling", "why-double", "easy", at=ago)
    async with opened() as session:
        await session.start("z")
        assert session.text("#place").split() == ["tripling", "1/5", "·", "due", "again"]
        await session.press("s")
        assert session.text("#place").split() == ["doubling", "2/5", "·", "new"]
        assert session.text("#asked") == "What is the double of a number?"
        await session.press("s", "s", "s", "s")
        assert "Nothing was rated" in session.text("#asked")
    assert len(answers(workspace)) == 2


async def test_nothing_is_due(opened, workspace: Workspace) -> None:
    with Progress(workspace.progress_file) as progress:
        for question in ("why-double", "what-double"):
            progress.record_answer("doubling", question, "easy")
    async with opened() as session:
        await session.start("Z")
        assert "Nothing is due. The next is, on 20" in session.text("#asked")
        await session.press("enter", "q")
        assert session.app.screen is session.practice


async def test_the_language_changes_in_the_middle(opened, workspace: Workspace) -> None:
    async with opened() as session:
        await session.start("Z")
        await session.press("enter", "2", "l")
        await session.until(lambda: session.pages[0] == "为了更多。")
        assert session.text("#asked") == "为什么要加倍？"
        assert str(list(session.quiz.query(Point))[1].render()) == "2 ✓ 两倍就够"
        await session.press("g", "escape")
        await session.until(lambda: "中文" in str(session.practice.query_one("#switches", Static).render()))
    (kept,) = answers(workspace)
    assert (kept.lang, kept.points) == ("zh", (2,))


async def test_a_point_is_ticked_by_a_click(opened) -> None:
    async with opened(size=(100, 40)) as session:
        await session.start("Z")
        await session.press("enter")
        await session.until(lambda: len(session.quiz.query(Point)) == 3)
        await session.pilot.click(list(session.quiz.query(Point))[2])
        assert session.quiz.query_one(Points).named == (3,)


async def test_leaving_the_app_loses_nothing_that_was_rated(opened, workspace: Workspace) -> None:
    """The store is slow, and the learner in a hurry."""
    gate = threading.Event()
    async with opened() as session:
        await session.start("Z")
        session.app.store._thread.submit(gate.wait)
        await session.press("enter", "g")
        assert answers(workspace) == []
        session.app.exit()
        gate.set()
    assert [kept.rating for kept in answers(workspace)] == ["good"]


async def test_progress_that_cannot_be_used_is_a_warning(opened, workspace: Workspace) -> None:
    workspace.progress_file.mkdir()
    async with opened() as session:
        await session.start("Z")
        await session.press("enter", "g")
        await session.until(lambda: session.text("#asked") == "What is the double of a number?")
        await session.until(lambda: session.notices.count("Progress is not available") >= 2)


async def test_a_drill_without_readable_questions(opened, course: Catalogue) -> None:
    (course.drills[0].folder / "qa.md").write_bytes(b"\xff")
    async with opened("halving") as session:
        await session.start("z")
        assert session.text("#place").split()[0] == "halving"
        assert "is not UTF-8" in session.notices


async def test_help_shows_the_keys_of_the_quiz(opened) -> None:
    async with opened() as session:
        await session.start("z")
        await session.press("question_mark")
        assert isinstance(session.app.screen, HelpScreen)
        shown = {str(key.render()) for key in session.app.screen.query(".key").results(Static)}
        assert shown >= set("tahgesl19?") | {"enter", "esc"}


# A due drill.


def passed_long_ago(workspace: Workspace, slug: str) -> None:
    result = {"verdict": "passed", "seed": 1, "checks": [], "diagnosis": []}
    with Progress(workspace.progress_file) as progress:
        progress.record_attempt(slug, result, SOLUTION.encode(), datetime.now(UTC) - 20 * DAY)
    workspace.file(slug).write_text(SOLUTION)


async def test_a_due_drill_is_offered_as_a_blank_stub(opened, workspace: Workspace) -> None:
    passed_long_ago(workspace, "doubling")
    file = workspace.file("doubling")
    async with opened() as session:
        await session.until(lambda: "doubling is due again" in session.notices)
        assert "Press r" in session.notices
        await session.press("r")
        await session.until(lambda: isinstance(session.app.screen, ConfirmScreen))
        assert file.read_text() == SOLUTION  # not without consent
        await session.press("y")
        await session.until(lambda: file.read_text() == STUB)
        (kept,) = (workspace.inner / "attempts").iterdir()
        assert kept.read_text() == SOLUTION


async def test_the_offer_is_made_when_the_drill_is_chosen(opened, workspace: Workspace) -> None:
    passed_long_ago(workspace, "halving")
    async with opened() as session:
        await session.until(lambda: session.practice.course.state("halving") == "due")
        assert "due again" not in session.notices
        await session.press("c", "down", "enter")
        await session.until(lambda: "halving is due again" in session.notices)


async def test_no_offer_where_there_is_a_stub_already(opened, workspace: Workspace) -> None:
    passed_long_ago(workspace, "halving")
    workspace.file("halving").write_text(STUB)
    async with opened(None) as session:
        await session.until(lambda: session.practice.course.state("halving") == "due")
        assert session.practice.drill is not None
        assert session.practice.drill.slug == "halving"
        assert "due again" not in session.notices
