"""`drills sources` and `drills show --notes`, as people and programs meet them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from drills.cli import main

NOTES = """\
A line before.

# 什么是 RMSNorm？

- **Root** mean square \x1b[31mred\x1b[0m <script>alert(1)</script> [b]x[/b]

$$ x / \\sqrt{m} $$

# What is LoRA?

Low rank.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    assert CliRunner().invoke(main, ["start", "--no-tui", "--workspace", str(tmp_path / "ws")]).exit_code == 0
    return tmp_path / "ws"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.md"
    file.write_text(NOTES, encoding="utf-8")
    return file


def drills(root: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments), "--workspace", str(root)], env={"NO_COLOR": "1"})


def told(result: Result, exit_code: int = 0) -> dict[str, Any]:
    assert result.exit_code == exit_code, result.output
    value = json.loads(result.stdout)
    assert value["schema"] == 1
    return dict(value)


def test_add_says_what_was_found_and_what_was_not_placed(root: Path, file: Path) -> None:
    result = drills(root, "sources", "add", file)
    assert result.exit_code == 0
    assert "Added: mine.md: 2 sections, 1 placed with 1 drill, 1 not placed" in result.stdout
    assert "not placed: line 9: What is LoRA?" in result.stdout
    assert "line 1: text before the first question, not used" in result.stdout
    assert "Already there: mine.md" in drills(root, "sources", "add", file).stdout


def test_add_as_an_object(root: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_bytes(b"\0")
    value = told(drills(root, "sources", "add", "--json", file, tmp_path / "bad.md"), exit_code=2)
    (added,) = value["added"]
    assert (added["name"], added["change"], added["state"], added["not_placed"]) == ("mine.md", "added", "unchanged", 1)
    assert [(each["line"], each["drills"]) for each in added["sections"]] == [(3, ["rmsnorm"]), (9, [])]
    assert added["unused_lines"] == [[1, 1]]
    (refused,) = value["refused"]
    assert refused["file"] == str(tmp_path / "bad.md")
    assert "null bytes" in refused["message"] and refused["advice"]


def test_a_folder_is_walked_and_what_cannot_be_used_is_told(root: Path, file: Path) -> None:
    (file.parent / "bad.md").write_bytes(b"\0")
    (file.parent / "slides.pdf").write_bytes(b"%PDF")
    result = drills(root, "sources", "add", file.parent)
    assert result.exit_code == 0
    assert "Added: mine.md" in result.stdout
    assert f"{file.parent / 'bad.md'} holds null bytes" in result.stderr
    assert "Skipped: " in result.stdout


@pytest.mark.parametrize("kind", ["missing", "pipe", "binary", "huge"])
def test_what_cannot_be_added_is_wrong_usage(root: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "notes.md"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "binary":
        file.write_bytes(b"PK\0\1")
    elif kind == "huge":
        file.touch()
        os.truncate(file, 50_000_000)
    result = drills(root, "sources", "add", file)
    assert result.exit_code == 2
    assert str(file) in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_without_a_workspace_it_says_how_to_make_one(tmp_path: Path, file: Path) -> None:
    result = drills(tmp_path / "none", "sources", "add", file)
    assert result.exit_code == 2
    assert "drills start" in result.stderr
    assert not (tmp_path / "none").exists()
    assert "No notes yet" in drills(tmp_path / "none", "sources", "list").stdout


def test_list(root: Path, file: Path) -> None:
    drills(root, "sources", "add", file)
    short = drills(root, "sources", "list").stdout
    assert "mine.md" in short and "1 placed" in short and "LoRA" not in short
    whole = drills(root, "sources", "list", "--all").stdout
    assert "rmsnorm" in next(line for line in whole.splitlines() if "RMSNorm" in line)
    assert "not placed" in next(line for line in whole.splitlines() if "LoRA" in line)
    file.write_text("# Why RMSNorm?\n")
    assert "changed since it was added; read again" in drills(root, "sources", "list").stdout
    file.unlink()
    gone = drills(root, "sources", "list").stdout
    assert "missing" in gone and "drills sources remove mine.md" in gone


def test_list_as_an_object(root: Path, file: Path) -> None:
    drills(root, "sources", "add", file)
    (source,) = told(drills(root, "sources", "list", "--json"))["sources"]
    assert [each["title"] for each in source["sections"]] == ["什么是 RMSNorm？"]
    assert source["not_placed"] == 1
    (source,) = told(drills(root, "sources", "list", "--json", "--all"))["sources"]
    assert len(source["sections"]) == 2


def test_remove(root: Path, file: Path) -> None:
    drills(root, "sources", "add", file)
    result = drills(root, "sources", "remove", "mine.md")
    assert result.exit_code == 0 and str(file) in result.stdout
    assert file.exists()
    again = drills(root, "sources", "remove", "mine.md")
    assert again.exit_code == 2 and "drills sources add FILE" in again.stderr


VERBATIM = "- **Root** mean square red <script>alert(1)</script> [b]x[/b]\n\n$$ x / \\sqrt{m} $$"


def test_show_prints_the_notes_word_for_word_but_for_escapes(root: Path, file: Path) -> None:
    drills(root, "sources", "add", file)
    shown = drills(root, "show", "rmsnorm", "--notes").stdout
    assert VERBATIM in shown
    assert f"{file}:3" in shown
    assert "\x1b" not in shown
    assert "LoRA" not in shown
    assert "say nothing on this topic" in drills(root, "show", "rope", "--notes").stdout


def test_show_as_an_object_has_the_notes_if_asked(root: Path, file: Path) -> None:
    drills(root, "sources", "add", file)
    value = told(drills(root, "show", "rmsnorm", "--notes", "--json"))
    assert value["notes"] == [{"title": "什么是 RMSNorm？", "text": VERBATIM, "file": str(file), "line": 3}]
    assert value["questions"] and value["task"]
    assert "notes" not in told(drills(root, "show", "rmsnorm", "--json"))
