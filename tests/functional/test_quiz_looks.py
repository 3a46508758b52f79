"""What the quiz looks like, as pictures. After a change meant to be seen: pytest --snapshot-update."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_quiz_app import QA, QA_ZH
from textual.pilot import Pilot
from toy_course import FakeEngine, make_course

from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.screens.quiz import QuizScreen


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_answer_revealed(
    snap_compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], language: str
) -> None:
    monkeypatch.chdir(tmp_path)
    course = make_course(tmp_path / "toys")
    for drill in course.drills:
        (drill.folder / "qa.md").write_text(QA, encoding="utf-8")
        (drill.folder / "qa.zh.md").write_text(QA_ZH, encoding="utf-8")
    workspace = Workspace(Path("answers"))
    workspace.create(course)
    app = DrillsApp(course, workspace, "doubling", grade=FakeEngine())
    app.settings.change(language=language)

    async def reveal(pilot: Pilot[int]) -> None:
        await pilot.pause()
        await pilot.press("z")
        while not isinstance(app.screen, QuizScreen) or app.screen.question is None:
            await pilot.pause()
        for key in ("t", "x", "escape", "enter", "1", "3"):
            await pilot.press(key)
            await pilot.pause()
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=reveal)
