"""The learner's notes over time: added, changed, moved, lost, removed; and a list of them that gets damaged."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drills.catalogue import Catalogue
from grader.errors import BadInput
from grader.notes.library import Library
from grader.workspace import Workspace

TEXT = "# What is RMSNorm?\n\nA norm, *word for word*.\n\n# 什么是 LoRA？\n\n低秩。\n"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture
def workspace(tmp_path: Path, catalogue: Catalogue) -> Workspace:
    made = Workspace(tmp_path / "ws")
    made.create(catalogue)
    return made


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def library(workspace: Workspace, catalogue: Catalogue, warnings: list[str]) -> Library:
    return Library(workspace, catalogue, warnings.append)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.md"
    file.write_text(TEXT, encoding="utf-8")
    return file


def standings(library: Library) -> dict[str, str]:
    return {document.source.name: document.standing for document in library.documents()}


def test_what_is_added_is_there_for_its_drill(library: Library, file: Path) -> None:
    (addition,) = library.add([file]).files
    assert addition.change == "added"
    (note,) = library.notes_for("rmsnorm")
    assert note == ("What is RMSNorm?", "A norm, *word for word*.", str(file.resolve()), 1)
    assert library.notes_for("rope") == []
    assert [placed.drills for placed in library.documents()[0].placed] == [("rmsnorm",), ()]


def test_a_part_is_shown_only_where_its_whole_is_not(library: Library, tmp_path: Path) -> None:
    notes = tmp_path / "n.md"
    notes.write_text(
        "## RMSNorm 与 RoPE\n\nBoth are in LLaMA.\n\nRMSNorm has no mean.\n\nRoPE is rotary, for position.\n"
    )
    library.add([notes])
    assert [(note.line, note.title) for note in library.notes_for("rmsnorm")] == [(1, "RMSNorm 与 RoPE")]
    assert [note.line for note in library.notes_for("rope")] == [1]
    notes.write_text("# LLaMA\n\n## 归一化 与 位置\n\nBoth.\n\n位置：RoPE is rotary.\n")
    assert [(note.line, note.title) for note in library.notes_for("rope")] == [
        (7, "归一化 与 位置 › 位置：RoPE is rotary.")
    ]


def test_the_same_file_is_not_doubled(library: Library, file: Path, tmp_path: Path) -> None:
    library.add([file])
    link, twin = tmp_path / "link.md", tmp_path / "twin.md"
    link.symlink_to(file)
    twin.write_bytes(file.read_bytes())
    assert [each.change for each in library.add([file, link, twin]).files] == ["known", "known", "known"]
    assert standings(library) == {"mine.md": "unchanged"}


def test_two_files_of_one_name_are_told_apart(library: Library, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "old" / "mine.md"
    other.parent.mkdir()
    other.write_text("# Why?\n")
    library.add([file, other])
    assert list(standings(library)) == ["mine.md", "old/mine.md"]


def test_a_file_that_has_changed_is_read_anew_and_told(library: Library, file: Path) -> None:
    library.add([file])
    file.write_text("# Why is RMSNorm cheap?\n\nNo mean.\n")
    assert [note.title for note in library.notes_for("rmsnorm")] == ["Why is RMSNorm cheap?"]
    assert standings(library) == {"mine.md": "changed"}
    assert library.add([file]).files[0].change == "updated"
    assert standings(library) == {"mine.md": "unchanged"}


def test_a_file_that_is_only_touched_has_not_changed(library: Library, file: Path) -> None:
    library.add([file])
    os.utime(file, (1, 1))
    assert standings(library) == {"mine.md": "unchanged"}


def test_a_file_that_is_gone_is_told_and_the_others_stay(
    library: Library, file: Path, tmp_path: Path, warnings: list[str]
) -> None:
    other = tmp_path / "other.md"
    other.write_text("# Rotary, why RoPE?\n")
    library.add([file, other])
    file.unlink()
    gone, kept = library.documents()
    assert gone.standing == "missing"
    assert "drills sources remove mine.md" in gone.trouble
    assert kept.standing == "unchanged"
    assert library.notes_for("rmsnorm") == []
    assert len(library.notes_for("rope")) == 1
    assert warnings == [gone.trouble]


def test_a_file_that_was_moved_keeps_its_name(library: Library, file: Path, tmp_path: Path) -> None:
    library.add([file])
    moved = file.rename(tmp_path / "moved.md")
    assert library.add([moved]).files[0].change == "updated"
    assert standings(library) == {"mine.md": "unchanged"}
    assert library.notes_for("rmsnorm")[0].file == str(moved.resolve())


def test_a_file_that_became_something_else_is_told(library: Library, file: Path) -> None:
    library.add([file])
    file.unlink()
    os.mkfifo(file)
    (document,) = library.documents()
    assert document.standing == "unreadable"
    assert "named pipe" in document.trouble


def test_a_copy_outlives_its_original(library: Library, file: Path, workspace: Workspace) -> None:
    content = b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n")
    file.write_bytes(content)
    library.add([file], copy=True)
    file.unlink()
    (note,) = library.notes_for("rmsnorm")
    copy = Path(note.file)
    assert copy.parent == workspace.inner / "notes"
    assert copy.read_bytes() == content
    assert library.remove("mine.md").copied_from == str(file)
    assert not copy.exists()


def test_what_is_removed_stays_on_the_disk(library: Library, file: Path) -> None:
    library.add([file])
    library.remove("mine.md")
    assert file.read_text(encoding="utf-8") == TEXT
    assert library.documents() == []
    with pytest.raises(BadInput, match="no notes named"):
        library.remove("mine.md")


def test_a_bad_file_does_not_keep_out_the_others(library: Library, file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.md"
    bad.write_bytes(b"\0")
    additions = library.add([bad, tmp_path / "none.md", file]).files
    assert [each.change for each in additions] == ["refused", "refused", "added"]
    assert standings(library) == {"mine.md": "unchanged"}


def test_a_name_that_is_no_unicode(library: Library, tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.md"))
    file.write_text(TEXT, encoding="utf-8")
    library.add([file])
    assert len(library.notes_for("rmsnorm")) == 1


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 1, "sources": [{"name": 3}]}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_list_is_kept_aside(
    library: Library, workspace: Workspace, file: Path, warnings: list[str], content: bytes
) -> None:
    (workspace.inner / "sources.json").write_bytes(content)
    assert library.documents() == []
    (kept,) = workspace.inner.glob("sources-damaged-*.json")
    assert kept.read_bytes() == content
    assert len(warnings) == 1 and str(kept) in warnings[0]
    library.add([file])
    assert standings(library) == {"mine.md": "unchanged"}
    assert len(warnings) == 1


def test_the_list_is_replaced_and_never_half_written(
    library: Library, workspace: Workspace, file: Path, tmp_path: Path
) -> None:
    library.add([file])
    with (workspace.inner / "sources.json").open() as old:
        (tmp_path / "other.md").write_text("# Why?\n")
        library.add([tmp_path / "other.md"])
        assert len(json.load(old)["sources"]) == 1
    assert len(library.documents()) == 2


def test_a_list_of_a_newer_version_is_left_alone(library: Library, workspace: Workspace, file: Path) -> None:
    content = json.dumps({"version": 99, "shelves": []})
    (workspace.inner / "sources.json").write_text(content)
    with pytest.raises(BadInput, match="newer"):
        library.add([file])
    assert (workspace.inner / "sources.json").read_text() == content


def test_a_crash_while_writing_leaves_the_old_list(
    library: Library, workspace: Workspace, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([file])
    before = (workspace.inner / "sources.json").read_bytes()
    other = tmp_path / "other.md"
    other.write_text("# Why?\n")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(BadInput, match="No space left"):
        library.add([other])
    assert (workspace.inner / "sources.json").read_bytes() == before
    assert not list(workspace.inner.glob("draft-*"))


def test_nothing_is_lost_where_many_add_at_once(workspace: Workspace, catalogue: Catalogue, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.md" for number in range(12)]
    for number, file in enumerate(files):
        file.write_text(f"# Why {number}?\n")
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda file: Library(workspace, catalogue, pytest.fail).add([file]), files))
    assert len(Library(workspace, catalogue, pytest.fail).documents()) == 12
