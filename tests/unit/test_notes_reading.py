"""Reading notes: any file gives its text or one clear sentence, and never a hang."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest
from people import shared_folder, without_rights

from grader.errors import BadInput
from grader.notes.reading import MAX_BYTES, find_notes, read_notes
from grader.plain import plain

WORDS = "# 什么是注意力？\n\n加权平均。“引号”\n"

GOOD = {
    "UTF-8": WORDS.encode(),
    "UTF-8 with a mark": codecs.BOM_UTF8 + WORDS.encode(),
    "UTF-16, little end first": codecs.BOM_UTF16_LE + WORDS.encode("utf-16-le"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE + WORDS.encode("utf-16-be"),
    "GB18030": WORDS.encode("gb18030"),
    "CRLF": WORDS.replace("\n", "\r\n").encode(),
    "old Macintosh": WORDS.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("case", GOOD)
def test_an_encoding_is_understood(tmp_path: Path, case: str) -> None:
    file = tmp_path / "notes.md"
    file.write_bytes(GOOD[case])
    assert read_notes(file).text == WORDS


BAD = {
    "binary": (b"\x7fELF\0\0\1", "null bytes"),
    "UTF-16 without a mark": ("why?".encode("utf-16-le"), "null bytes"),
    "UTF-32": ("why?".encode("utf-32"), "neither UTF-8"),
    "half of UTF-16": (codecs.BOM_UTF16_LE + b"w", "neither UTF-8"),
    "Latin-1": ("Qu'est-ce que c'est ? Le tokeniseur préféré, naïf.".encode("latin-1"), "neither UTF-8"),
    "Shift-JIS": ("注意機構とは何ですか。変換器の部品です。".encode("shift-jis"), "neither UTF-8"),
    "Big5": ("什麼是注意力機制？為什麼要縮放點積？".encode("big5"), "neither UTF-8"),
    "too large": (b"#" * (MAX_BYTES + 1), "larger than 5 MB"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_text_is_refused_by_name(tmp_path: Path, case: str) -> None:
    content, told = BAD[case]
    file = tmp_path / "notes.md"
    file.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_notes(file)
    assert str(file) in caught.value.message
    assert told in caught.value.message
    assert caught.value.advice


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """A file with a hole: to read it would take all of the machine's memory."""
    file = tmp_path / "huge.txt"
    with file.open("wb") as stream:
        os.truncate(stream.fileno(), 1 << 40)
    with pytest.raises(BadInput, match="larger than 5 MB"):
        read_notes(file)


@pytest.mark.parametrize("kind", ["pipe", "device", "missing", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "notes.md"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    with pytest.raises(BadInput, match=r"named pipe|device|no file|folder"):
        read_notes(file)


def test_a_file_that_may_not_be_read_is_refused() -> None:
    with shared_folder() as folder:
        file = folder / "notes.md"
        file.write_text("why?")
        file.chmod(0)
        with without_rights(), pytest.raises(BadInput, match="may not be read"):
            read_notes(file)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07b", "b"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jc", "c"),
        ("un\x1b]closed\nnext", "un\nnext"),
        ("bell\a back\b null", "bell back null"),
        ("abc\u202edcb", "abcdcb"),
        ("tab\tand <script>alert(1)</script> [b]stay[/b]\n", "tab\tand <script>alert(1)</script> [b]stay[/b]\n"),
        ("page\x0cbreak\x85", "pagebreak"),
    ],
)
def test_what_steers_a_terminal_is_taken_out(given: str, left: str) -> None:
    assert plain(given) == left


def test_a_folder_is_walked_once_by_whatever_links(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "b" / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name in ("z.md", "a.TXT", "b/c.markdown", "b/deep/d.md", ".hidden/e.md", ".f.md", "slides.pdf", "b/x.py"):
        (folder / name).write_text("why?")
    (folder / "b" / "loop").symlink_to(folder)
    (folder / "again").symlink_to(folder / "b")
    found = find_notes(folder)
    assert sorted(file.resolve().relative_to(folder.resolve()).as_posix() for file in found.files) == [
        "a.TXT",
        "b/c.markdown",
        "b/deep/d.md",
        "z.md",
    ]
    assert found.skipped == 2
