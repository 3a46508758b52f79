"""The home screen: what it shows of a history, and where its keys lead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from test_app import Session
from textual.widgets import Static
from toy_course import FakeEngine, failed, passed

from drills.catalogue import Catalogue
from grader.progress import Progress
from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.screens.home import HomeScreen
from tui.screens.quiz import QuizScreen
from tui.widgets.heatmap import Heatmap

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)  # a Wednesday
DAY = timedelta(days=1)


def practise(workspace: Workspace) -> None:
    """doubling is due, halving was failed, tripling is new; one question is due. Practice yesterday and the day before."""
    with Progress(workspace.progress_file) as progress:

        def attempt(made, slug: str, days: int, times: int = 1) -> None:
            for number in range(times):
                at = NOW - days * DAY + timedelta(minutes=number)
                progress.record_attempt(slug, msgspec.to_builtins(made(slug).result), b"", at)

        attempt(failed, "doubling", 300, 5)
        attempt(passed, "doubling", 299)
        attempt(failed, "doubling", 100, 9)
        attempt(failed, "halving", 9, 2)
        attempt(failed, "halving", 2)
        attempt(failed, "halving", 1, 3)
        progress.record_answer("doubling", "why-double", "good", at=NOW - 90 * DAY)
        progress.record_answer("halving", "why-double", "easy", at=NOW - DAY)


class AtHome(Session):
    """An app whose home screen is shown."""

    @property
    def home(self) -> HomeScreen:
        assert isinstance(self.app.screen, HomeScreen)
        return self.app.screen

    def part(self, selector: str) -> str:
        return str(self.home.query_one(selector, Static).render())

    @property
    def map(self) -> list[str]:
        return self.home.query_one(Heatmap).render().plain.splitlines()


@pytest.fixture
def opened(course: Catalogue, workspace: Workspace):
    @asynccontextmanager
    async def start(*, size=(80, 24), colours: bool = True) -> AsyncIterator[AtHome]:
        app = DrillsApp(course, workspace, "tripling", grade=FakeEngine())
        app.clock = lambda: NOW
        app.no_color = not colours
        async with app.run_test(size=size) as pilot:
            session = AtHome(app, pilot)
            await session.until(lambda: len(app.screen_stack) > 1 and session.screen.drill)
            await session.press("o")
            await session.until(lambda: isinstance(app.screen, HomeScreen) and app.screen.overview)
            await session.until(lambda: session.part("#mastery"))
            await pilot.pause()
            yield session

    return start


async def test_what_a_history_adds_up_to(opened, workspace: Workspace) -> None:
    practise(workspace)
    async with opened() as session:
        assert session.part("#due") == "Due today\n1 drill: doubling  d opens the first\n1 question  z starts the quiz"
        assert session.part("#next") == (
            "Next\ndoubling  Doubling in doubling\nfailed when it was due again  n opens it"
        )
        totals = session.part("#totals")
        assert "2 days in a row · 21 attempts, 5% passed" in totals  # 1 of 21
        assert "1 of 3 drills passed, 0 at the first attempt" in totals
        bars = [line.split() for line in session.part("#mastery").splitlines()[1:]]
        assert [(line[-2], line[-1]) for line in bars] == [
            ("0/2", "drills"),
            ("1/4", "questions"),
            ("0/1", "drills"),
            ("0/2", "questions"),
        ]
        assert "━" in session.part("#mastery").splitlines()[2] and "━" not in session.part("#mastery").splitlines()[4]
        weak = session.part("#weak")
        assert "Checks that failed most\n 14  doubling  three\n  6  halving   three" in weak
        assert "Mistakes diagnosed most\n 14  doubling  squares" in weak


async def test_a_beginner_is_told_what_is_first(opened) -> None:
    async with opened() as session:
        assert "Nothing is due." in session.part("#due")
        assert "doubling  Doubling in doubling\nnew" in session.part("#next")
        assert "No attempt yet." in session.part("#totals")
        assert session.part("#weak") == ""
        await session.press("d")
        assert isinstance(session.app.screen, HomeScreen)


@pytest.mark.parametrize(("columns", "weeks"), [(60, 26), (80, 36), (160, 53)])
async def test_as_many_weeks_as_fit_and_signs_for_colours(
    opened, workspace: Workspace, columns: int, weeks: int
) -> None:
    practise(workspace)
    async with opened(size=(columns, 48), colours=False) as session:
        assert session.home.query_one(Heatmap).weeks == weeks
        days = [line[4:] for line in session.map[1:8]]
        assert [len(line.split()) for line in days] == [weeks] * 3 + [weeks - 1] * 4  # after Wednesday nothing yet
        found = {}
        for days_ago in (0, 1, 2, 9, 100, 299, 300):
            day = (NOW - days_ago * DAY).date()
            week = weeks - 1 - (NOW.date() - (day - timedelta(day.weekday()))).days // 7
            if week >= 0:
                found[days_ago] = days[day.weekday()][2 * week]
        expected = {0: "·", 1: "▒", 2: "░", 9: "▒", 100: "█", 299: "░", 300: "▓"}
        assert found == {day: sign for day, sign in expected.items() if day in found}
        assert len(found) == (7 if weeks == 53 else 5)
        assert "less · ░ ▒ ▓ █ more" in session.map[-1]


async def test_in_colours_shades_differ(opened, workspace: Workspace) -> None:
    practise(workspace)
    async with opened() as session:
        content = session.home.query_one(Heatmap).render()
        scale = content.plain.splitlines()[-1]
        assert scale.strip() == "less ■ ■ ■ ■ ■ more"
        start = len(content.plain) - len(scale)
        shades = {span.style.foreground for span in content.spans if span.start >= start}
        assert len(shades) == 5


async def test_in_chinese(opened, workspace: Workspace) -> None:
    practise(workspace)
    async with opened() as session:
        await session.press("l")
        await session.until(lambda: "今日到期" in session.part("#due"))
        assert "加倍\n到期复习" in session.part("#next")
        assert "加法" in session.part("#mastery") and "最常失败的检查" in session.part("#weak")
        assert "5月" in session.map[0] and session.map[1].startswith("一")
        await session.press("escape")
        await session.until(lambda: "中文" in session.text("#switches"))
    async with opened() as session:
        assert "今日到期" in session.part("#due")


async def test_keys_lead_where_they_say(opened, workspace: Workspace) -> None:
    practise(workspace)
    async with opened() as session:
        await session.press("d")
        await session.until(lambda: session.screen.drill.slug == "doubling" and session.app.screen is session.screen)
        assert session.screen.workbench.active == "task"
        await session.press("c", "down", "enter", "o")
        await session.until(lambda: isinstance(session.app.screen, HomeScreen) and session.app.screen.overview)
        await session.press("n")
        await session.until(lambda: session.screen.drill.slug == "doubling" and session.app.screen is session.screen)
        await session.press("o", "escape")
        await session.until(lambda: session.app.screen is session.screen)


async def test_the_quiz_comes_back_to_what_it_changed(opened, workspace: Workspace) -> None:
    practise(workspace)
    async with opened() as session:
        await session.press("z")
        await session.until(lambda: isinstance(session.app.screen, QuizScreen) and session.app.screen.question)
        assert session.app.screen.question.id == "why-double"
        await session.press("enter", "g")
        await session.press("escape")
        await session.until(lambda: isinstance(session.app.screen, HomeScreen))
        await session.until(lambda: "z starts" not in session.part("#due"))


async def test_a_history_that_cannot_be_read_is_told(opened, workspace: Workspace, course: Catalogue) -> None:
    workspace.progress_file.mkdir()
    app = DrillsApp(course, workspace, "doubling", grade=FakeEngine())
    async with app.run_test(size=(80, 24)) as pilot:
        session = AtHome(app, pilot)
        await session.until(lambda: len(app.screen_stack) > 1 and session.screen.drill)
        await session.press("o")
        await session.until(lambda: isinstance(app.screen, HomeScreen) and "cannot be read" in session.part("#due"))
        await session.press("n", "d", "z", "l", "escape")
        await session.until(lambda: app.screen is session.screen)
