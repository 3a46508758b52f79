"""The Code tab: writing in the app, saving, and two texts that want to be in one file."""

from __future__ import annotations

import codecs
import contextlib
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from test_app import Session
from textual import events
from textual.widgets import Static, Tab
from toy_course import SOLUTION, STUB, FakeEngine, passed, started

from drills.catalogue import Catalogue
from grader.workspace import Workspace
from tui.app import DrillsApp
from tui.screens.choice import ChoiceScreen
from tui.screens.confirm import ConfirmScreen
from tui.widgets.editor import Editor

THEIRS = "# theirs\n"


@pytest.fixture
def file(workspace: Workspace) -> Path:
    return workspace.file("doubling")


class Coding(Session):
    """An app whose code is written in it."""

    @property
    def editor(self) -> Editor:
        editor = self.screen.workbench.code_pane.editor
        assert editor is not None
        return editor

    @property
    def tab(self) -> str:
        return self.screen.query_one("#tab-code", Tab).label_text

    @property
    def notice(self) -> str:
        notice = self.screen.query_one("#code-notice", Static)
        return str(notice.render()) if notice.display else ""

    async def begin(self) -> None:
        """Go to the tab, and into the editor."""
        await self.press("5")
        await self.until(lambda: self.screen.workbench.code_pane.typing)

    async def chosen(self, key: str) -> None:
        await self.until(lambda: isinstance(self.app.screen, ChoiceScreen))
        await self.press(key)
        await self.until(lambda: not isinstance(self.app.screen, ChoiceScreen))


@pytest.fixture
def opened(course: Catalogue, workspace: Workspace):
    @asynccontextmanager
    async def start(engine: FakeEngine, *, watch: bool = True, size=(80, 24)) -> AsyncIterator[Coding]:
        app = DrillsApp(course, workspace, "doubling", grade=engine)
        app.settings.change(watch=watch)
        async with app.run_test(size=size) as pilot:
            session = Coding(app, pilot)
            await session.until(lambda: len(app.screen_stack) > 1 and session.screen.drill)
            await session.until(lambda: not watch or session.screen.checker.watching)
            await pilot.pause()
            yield session

    return start


def kept(workspace: Workspace) -> set[str]:
    """What is among the old attempts."""
    return {each.read_text() for each in (workspace.inner / "attempts").glob("*")}


async def test_nothing_of_the_editor_is_built_before_it_is_shown(opened) -> None:
    async with opened(FakeEngine()) as session:
        await session.press("3", "4", "1")
        assert not session.screen.query(Editor)
        await session.press("5")
        assert len(session.screen.query(Editor)) == 1


async def test_letters_are_letters_while_typing_and_keys_again_after(opened, file: Path) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.begin()
        typed = "geharnlwzZ12345jkcoq?"
        await session.press(*("question_mark" if letter == "?" else letter for letter in typed))
        await session.until(lambda: session.editor.text == typed + STUB)
        assert session.app.screen is session.screen
        assert (session.tab, engine.gradings, file.read_text()) == ("5 Code ●", [], STUB)
        await session.press("escape", "2")
        assert session.screen.workbench.active == "questions"
        await session.press("5")
        assert session.editor.text == typed + STUB


async def test_ctrl_s_saves_and_grades_and_one_types_on(opened, file: Path) -> None:
    file.chmod(0o640)
    engine = FakeEngine(started(), passed())
    async with opened(engine) as session:
        await session.begin()
        session.editor.select_all()
        await session.press("x", "ctrl+s")
        await session.until(lambda: "Passed" in session.text("#doing"))
        assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("x", 0o640)
        assert [grading.request.source for grading in engine.gradings] == [b"x"]
        assert session.tab == "5 Code" and session.screen.workbench.active == "code"
        await session.press("y", "f5")
        await session.until(lambda: len(engine.gradings) >= 2)
        assert engine.gradings[-1].request.source == b"xy"
        await session.until(lambda: session.screen.workbench.active == "result")
        assert session.screen.focused.id != "code"
        await session.until(lambda: "Passed" in session.verdict)
        assert [grading.request.source for grading in engine.gradings] == [b"x", b"xy"]  # own saves are no news


async def test_ctrl_s_only_saves_where_saves_are_not_checked(opened, file: Path) -> None:
    engine = FakeEngine()
    async with opened(engine, watch=False) as session:
        await session.begin()
        await session.press("x", "ctrl+s")
        await session.until(lambda: "doubling is saved" in session.notices)
        assert (file.read_text(), engine.gradings) == ("x" + STUB, [])
        await session.press("f5")
        await session.until(lambda: engine.gradings)


async def test_g_grades_what_is_in_the_editor(opened, file: Path) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.begin()
        await session.press("x", "escape", "g")
        await session.until(lambda: engine.gradings)
        assert engine.gradings[0].request.source == file.read_bytes() == b"x" + STUB.encode()


async def test_in_a_wide_terminal_the_result_is_beside_the_code(opened) -> None:
    async with opened(FakeEngine(started(), passed()), size=(160, 48)) as session:

        def seen() -> list[str | None]:
            return [pane.id for pane in session.screen.query("Pane") if pane.display]

        await session.begin()
        assert seen() == ["task", "code"]
        await session.press("ctrl+s")
        await session.until(lambda: "Passed" in session.verdict)
        assert seen() == ["code", "result"] and session.screen.workbench.code_pane.typing
        await session.press("f5")
        await session.until(lambda: session.screen.workbench.active == "result")
        assert seen() == ["code", "result"]
        await session.press("1")
        assert seen() == ["task", "result"]


async def test_lines_are_indented(opened) -> None:
    async with opened(FakeEngine()) as session:
        await session.begin()
        session.editor.clear()
        await session.press(*"if x", "colon", "enter", "tab", "y", "enter", "z", "shift+tab", "shift+tab", "shift+tab")
        assert session.editor.text == "if x:\n        y\nz"


async def test_undo_and_redo(opened, file: Path) -> None:
    async with opened(FakeEngine()) as session:
        await session.begin()
        await session.press("x", "ctrl+z")
        await session.until(lambda: session.tab == "5 Code")
        assert session.editor.text == STUB
        await session.press("ctrl+y")
        await session.until(lambda: session.tab == "5 Code ●")
        assert session.editor.text == "x" + STUB


async def test_line_ends_and_mark_are_kept(opened, file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF8 + b"a = 1\r\nb = 2\r\n")
    async with opened(FakeEngine()) as session:
        await session.begin()
        await session.press("x", "enter", "ctrl+s")
        await session.until(lambda: file.read_bytes() == codecs.BOM_UTF8 + b"x\r\na = 1\r\nb = 2\r\n")


async def test_python_is_coloured(opened) -> None:
    pytest.importorskip("tree_sitter_python")
    async with opened(FakeEngine()) as session:
        await session.begin()
        line = STUB.splitlines().index("def double(x: float) -> float:")
        assert {name for _, _, name in session.editor._highlights[line]} >= {"function", "keyword.function"}


async def test_a_change_outside_is_taken_over(opened, file: Path) -> None:
    async with opened(FakeEngine()) as session:
        await session.begin()
        file.write_text(THEIRS)
        await session.until(lambda: session.editor.text == THEIRS)
        assert session.tab == "5 Code"
        await session.until(lambda: session.screen.checker.runs.latest)  # and checked
        assert session.screen.workbench.code_pane.typing  # who types is left in peace
        await session.press("ctrl+z")
        assert session.editor.text == STUB


@pytest.mark.parametrize(
    ("key", "in_file", "put_by"),
    [("m", "x" + STUB, THEIRS), ("t", THEIRS, "x" + STUB), ("escape", THEIRS, None)],
    ids=["mine", "theirs", "later"],
)
async def test_two_texts_for_one_file(
    opened, workspace: Workspace, file: Path, key: str, in_file: str, put_by: str | None
) -> None:
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.begin()
        await session.press("x")
        file.write_text(THEIRS)
        await session.until(lambda: "changed by somebody else" in session.notice)
        assert session.editor.text == "x" + STUB
        assert {grading.request.source for grading in engine.gradings} <= {THEIRS.encode()}
        await session.press("ctrl+s")
        await session.chosen(key)
        if put_by is None:
            assert (session.editor.text, session.tab) == ("x" + STUB, "5 Code ●")
        else:
            await session.until(lambda: session.tab == "5 Code")
            assert (session.editor.text, session.notice) == (in_file, "")
            assert "kept as .drills/attempts/doubling-" in session.notices
        assert file.read_text() == in_file
        assert kept(workspace) == ({put_by} if put_by else set())
        session.editor.forget()


async def test_a_change_that_nobody_watched_is_seen_when_saving(opened, workspace: Workspace, file: Path) -> None:
    async with opened(FakeEngine(), watch=False) as session:
        await session.begin()
        await session.press("x")
        file.write_text(THEIRS)
        await session.press("ctrl+s")
        await session.chosen("m")
        await session.until(lambda: file.read_text() == "x" + STUB)
        assert kept(workspace) == {THEIRS}


async def test_what_is_not_saved_waits_while_another_drill_is_open(opened, workspace: Workspace, file: Path) -> None:
    async with opened(FakeEngine()) as session:
        await session.begin()
        await session.press("x", "escape", "c", "down", "enter")
        await session.until(lambda: session.screen.drill.slug == "halving")
        await session.begin()
        assert (session.editor.text, session.tab) == (STUB, "5 Code")
        await session.press("escape", "c", "up", "enter")
        await session.until(lambda: session.screen.drill.slug == "doubling")
        await session.press("5")
        assert (session.editor.text, session.tab) == ("x" + STUB, "5 Code ●")
        await session.press("ctrl+z")
        assert session.editor.text == STUB == file.read_text()


async def test_saving_another_drill_outside_leaves_who_types_there(opened, workspace: Workspace) -> None:
    engine = FakeEngine(started(), passed())
    async with opened(engine) as session:
        await session.begin()
        workspace.file("halving").write_text(SOLUTION)
        await session.until(lambda: "halving" in session.notices)
        assert session.screen.drill.slug == "doubling"
        assert session.screen.workbench.code_pane.typing


@pytest.mark.parametrize(
    ("key", "left", "text"),
    [("s", True, "x" + STUB), ("d", True, STUB), ("escape", False, STUB)],
    ids=["save", "discard", "back"],
)
async def test_leaving_asks(opened, file: Path, key: str, left: bool, text: str) -> None:
    async with opened(FakeEngine()) as session:
        await session.begin()
        await session.press("x", "ctrl+q")
        await session.until(lambda: isinstance(session.app.screen, ChoiceScreen))
        await session.press("ctrl+q", key)
        if left:
            await session.until(lambda: not session.app.is_running)
        else:
            await session.until(lambda: session.app.screen is session.screen)
            assert session.editor.text == "x" + STUB
    assert file.read_text() == text


async def test_leaving_by_saving_puts_by_what_was_written_outside(opened, workspace: Workspace, file: Path) -> None:
    async with opened(FakeEngine(), watch=False) as session:
        await session.begin()
        await session.press("x")
        file.write_text(THEIRS)
        await session.press("escape", "q")
        await session.until(lambda: isinstance(session.app.screen, ChoiceScreen))
        await session.press("s")
        await session.until(lambda: not session.app.is_running)
    assert (file.read_text(), kept(workspace)) == ("x" + STUB, {THEIRS})


async def test_who_cannot_save_is_not_left_without_the_text(opened, workspace: Workspace) -> None:
    async with opened(FakeEngine(), watch=False) as session:
        await session.begin()
        await session.press("x")
        workspace.root.rename(workspace.root.with_name("elsewhere"))
        await session.press("escape", "q")
        await session.until(lambda: isinstance(session.app.screen, ChoiceScreen))
        await session.press("s")
        await session.until(lambda: "doubling.py cannot be saved" in session.notices)
        assert session.app.is_running and session.editor.text == "x" + STUB
        assert "What you typed is still here" in session.notice


async def test_reset_keeps_what_is_in_the_file_and_what_was_typed(opened, workspace: Workspace, file: Path) -> None:
    file.write_text("# saved\n")
    async with opened(FakeEngine()) as session:
        await session.begin()
        await session.press("x", "escape", "r")
        await session.until(lambda: isinstance(session.app.screen, ConfirmScreen))
        await session.press("y")
        await session.until(lambda: session.editor.text == STUB)
        assert (file.read_text(), session.tab) == (STUB, "5 Code")
        assert kept(workspace) == {"# saved\n", "x# saved\n"}


async def test_your_own_editor_gets_what_is_not_saved(
    opened, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DrillsApp, "suspend", lambda self: contextlib.nullcontext())
    monkeypatch.delenv("VISUAL", raising=False)
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\nprintf "# more\\n" >> "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    engine = FakeEngine()
    async with opened(engine) as session:
        await session.begin()
        await session.press("x", "escape", "e")
        await session.until(lambda: engine.gradings)
        assert file.read_text() == session.editor.text == "x" + STUB + "# more\n"


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (Path.unlink, "There is no file"),
        (_folder, "is a folder, not a file"),
        (lambda file: file.write_bytes(b"#" * ((1 << 20) + 1)), "is larger than 1 MiB"),
        (lambda file: file.write_bytes(b"\xff"), "cannot be decoded"),
        (lambda file: file.write_bytes(b"\x1b[2J"), "holds control characters"),
    ],
)
async def test_a_file_that_cannot_be_shown_says_why(opened, file: Path, spoil, told: str) -> None:
    async with opened(FakeEngine(), watch=False) as session:
        spoil(file)
        await session.press("5")
        await session.until(lambda: told in session.notice)
        assert not session.screen.query(Editor)
        await session.press("x", "ctrl+s", "f5", "enter")
        await session.pilot.pause()
        file.rmdir() if file.is_dir() else file.unlink(missing_ok=True)
        file.write_text(STUB)
        await session.press("1", "5")
        await session.until(lambda: session.screen.workbench.code_pane.typing)
        assert (session.editor.text, session.notice) == (STUB, "")


async def test_a_file_deleted_under_the_editor(opened, file: Path) -> None:
    async with opened(FakeEngine()) as session:
        await session.begin()
        file.unlink()
        await session.until(lambda: "There is no file" in session.notice)
        assert not session.editor.display and session.screen.focused.id == "code"
        file.write_text(STUB)
        await session.until(lambda: session.screen.workbench.active == "result")  # nobody was typing
        await session.begin()
        await session.press("x")
        file.unlink()
        await session.until(lambda: "What you typed is still here" in session.notice)
        await session.press("ctrl+s")
        await session.until(lambda: session.tab == "5 Code")
        assert file.read_text() == "x" + STUB and session.notice == ""


async def test_what_was_written_outside_is_kept_even_if_it_cannot_be_shown(
    opened, workspace: Workspace, file: Path
) -> None:
    async with opened(FakeEngine(), watch=False) as session:
        await session.begin()
        await session.press("x")
        file.write_bytes(b"\xff\xfe")
        await session.press("ctrl+s")
        await session.until(lambda: file.read_bytes() == b"x" + STUB.encode())
        assert [each.read_bytes() for each in (workspace.inner / "attempts").iterdir()] == [b"\xff\xfe"]


async def test_a_folder_in_the_place_of_the_file_is_left_there(opened, file: Path) -> None:
    async with opened(FakeEngine(), watch=False) as session:
        await session.begin()
        await session.press("x")
        _folder(file)
        await session.press("ctrl+s")
        await session.until(lambda: "doubling.py cannot be saved" in session.notices)
        assert file.is_dir() and session.editor.text == "x" + STUB


async def test_what_is_pasted_can_be_shown_again(opened, file: Path) -> None:
    async with opened(FakeEngine(), watch=False) as session:
        await session.begin()
        session.app.post_message(events.Paste("a = '\x1b[2J'\r\n\x00b\r"))
        await session.until(lambda: session.editor.text == "a = '[2J'\nb\n" + STUB)


async def test_another_encoding_is_read_only(opened, file: Path) -> None:
    content = "# coding: latin-1\nx = 'é'\n".encode("latin-1")
    file.write_bytes(content)
    async with opened(FakeEngine()) as session:
        await session.begin()
        assert "written in iso-8859-1" in session.notice
        assert "é" in session.editor.text
        await session.press("backspace", "delete", "ctrl+k", "enter")
        assert session.tab == "5 Code"
    assert file.read_bytes() == content
