"""A learner's file as text to edit: nothing of it may change but what was typed."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import shared_folder, without_rights
from textual.widgets import TextArea

from grader.errors import BadInput
from tui.source import read_source, write_source

LINES = st.lists(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters="\t")), max_size=8)


@given(lines=LINES, newline=st.sampled_from(["\n", "\r\n", "\r"]), bom=st.booleans())
def test_what_is_not_changed_is_written_as_it_was(tmp_path_factory, lines, newline, bom):
    file = tmp_path_factory.getbasetemp() / "same.py"
    content = (codecs.BOM_UTF8 if bom else b"") + ("# c" + newline + newline.join(lines)).encode()
    file.write_bytes(content)
    source = read_source(file)
    assert (source.content, source.locked) == (content, "")
    assert source.text.split("\n") == ["# c", *(lines or [""])]
    assert source.encode(source.text) == content


@given(parts=st.lists(st.sampled_from(["x", " ", "\n", "\r\n", "\r", "\u2028", "\u2029", "é"]), max_size=12))
def test_no_text_that_can_be_edited_loses_a_line_end(tmp_path_factory, parts):
    file = tmp_path_factory.getbasetemp() / "mixed.py"
    content = "".join(parts).encode()
    file.write_bytes(content)
    source = read_source(file)
    assert source.locked or (source.encode(source.text) == content and TextArea(source.text).text == source.text)


def test_new_lines_end_as_the_others_do(tmp_path: Path):
    file = tmp_path / "a.py"
    file.write_bytes(codecs.BOM_UTF8 + b"a = 1\r\nb = 2\r\n")
    source = read_source(file)
    assert source.text == "a = 1\nb = 2\n"
    assert source.encode("a = 1\nnew\n") == codecs.BOM_UTF8 + b"a = 1\r\nnew\r\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("# coding: latin-1\nx = 'é'\n".encode("latin-1"), "iso-8859-1"),
        (b"a\nb\r\nc\n", "different ways"),
        (b"a\rb\nc\n", "different ways"),
        ("a = '\u2028'\n".encode(), "different ways"),
    ],
)
def test_what_saving_would_change_is_read_only(tmp_path: Path, content: bytes, reason: str):
    file = tmp_path / "a.py"
    file.write_bytes(content)
    assert reason in read_source(file).locked


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = '\x1b[2J'\n", "control characters"),
        (b"a\x0cb\n", "control characters"),
        ("x = '\x9b'\n".encode(), "control characters"),
        (b"x\0", "null bytes"),
        (b"\xff\xfe", "cannot be decoded"),
        (b"#" * ((1 << 20) + 1), "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_shown_says_why(tmp_path: Path, content: bytes, message: str):
    file = tmp_path / "a.py"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        read_source(file)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_keeps_its_mode_and_leaves_nothing_beside_it(tmp_path: Path, mode: int):
    file = tmp_path / "a.py"
    file.write_bytes(b"old")
    file.chmod(mode)
    before = file.stat().st_ino
    write_source(file, b"new")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", mode)
    assert file.stat().st_ino != before  # put in its place whole, never written into
    assert os.listdir(tmp_path) == ["a.py"]


def test_a_link_stays_a_link(tmp_path: Path):
    real, link = tmp_path / "real.py", tmp_path / "link.py"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_source(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"


def test_a_file_that_is_gone_is_made_anew(tmp_path: Path):
    write_source(tmp_path / "a.py", b"new")
    assert (tmp_path / "a.py").read_bytes() == b"new"


def test_a_file_that_may_not_be_written_is_read_only():
    with shared_folder() as folder:
        file = folder / "a.py"
        file.write_bytes(b"a = 1\n")
        file.chmod(0o444)
        with without_rights():
            source = read_source(file)
        assert source.text == "a = 1\n" and "may not write" in source.locked


def test_a_folder_in_the_way_is_an_error_and_nothing_is_left(tmp_path: Path):
    (tmp_path / "a.py").mkdir()
    with pytest.raises(OSError):
        write_source(tmp_path / "a.py", b"new")
    assert os.listdir(tmp_path) == ["a.py"]
