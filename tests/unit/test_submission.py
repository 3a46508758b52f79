"""Reading what a learner hands in: any file gives its bytes or one clear sentence, and never a hang."""

from __future__ import annotations

import codecs
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from people import shared_folder, without_rights

from grader.errors import BadInput
from grader.submission import MAX_BYTES, read_submission

GOOD = {
    "plain": b"x = 1\n",
    "empty": b"",
    "no newline at the end": b"x = 1",
    "CRLF": b"x = 1\r\ny = 2\r\n",
    "byte order mark": codecs.BOM_UTF8 + b"x = 1\n",
    "UTF-8": "x = '变压器'\n".encode(),
    "declared latin-1": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
    "declared on the second line": b"#!/usr/bin/env python\n# coding: cp1252\nx = '\x93'\n",
    "declared GB 18030": b"# coding: gb18030\n" + "x = '注意力'\n".encode("gb18030"),
    "declared UTF-7": b"# coding: utf-7\nx = 1\n",
    "no Python at all": b"def (:\n",
    "as large as may be": b"#" * MAX_BYTES,
}


@pytest.mark.parametrize("case", GOOD)
def test_text_is_read_byte_for_byte(tmp_path: Path, case: str) -> None:
    file = tmp_path / "answer.py"
    file.write_bytes(GOOD[case])
    assert read_submission(file) == GOOD[case]


BAD = {
    "null byte": (b"x = '\0'\n", "null bytes"),
    "UTF-16": ("x = 1\n".encode("utf-16"), "null bytes"),
    "not UTF-8": (b"x = '\xe9'\n", "cannot be decoded"),
    "not UTF-8, further down": (b"x = 1\n" * 9 + b"# \xff\n", "not utf-8, so it cannot be decoded"),
    "not what it declares": (b"# coding: ascii\nx = '\xe9'\n", "not ascii"),
    "encoding that nobody knows": (b"# coding: klingon\n", "klingon"),
    "BOM against declaration": (codecs.BOM_UTF8 + b"# coding: latin-1\n", "cannot be decoded"),
    "codec that is no text": (b"# coding: rot13\nk = 1\n", "rot13"),
    "codec that is slow": (b"# coding: punycode\n#-" + b"a" * 10**5, "in which Python cannot be written"),
    "too large": (b"#" * (MAX_BYTES + 1), "larger than 1 MiB"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_text_is_refused(tmp_path: Path, case: str) -> None:
    source, told = BAD[case]
    file = tmp_path / "answer.py"
    file.write_bytes(source)
    assert_refused(file, told)


def assert_refused(file: Path, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_submission(file)
    assert caught.value.exit_code == 2
    assert told in caught.value.message
    assert "\n" not in caught.value.message


def a_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(file))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda file: None, "There is no file"),
    "folder": (Path.mkdir, "is a folder"),
    "pipe": (os.mkfifo, "is a named pipe"),
    "socket": (a_socket, "is a socket"),
    "device": (lambda file: file.symlink_to("/dev/zero"), "is a device"),
    "terminal": (lambda file: file.symlink_to("/dev/tty"), "is a device"),
    "link to nothing": (lambda file: file.symlink_to("nothing"), "There is no file"),
    "link to itself": (lambda file: file.symlink_to(file), "symbolic links"),
}


@pytest.mark.parametrize("case", KINDS)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, told = KINDS[case]
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    make(Path("answer.py"))
    assert_refused(Path("answer.py"), told)


def test_a_pipe_that_takes_the_files_place_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "answer.py"
    file.write_bytes(b"x = 1\n")
    real = Path.stat(file)
    file.unlink()
    os.mkfifo(file)
    monkeypatch.setattr(Path, "stat", lambda self, **_: real)
    assert_refused(file, "is a named pipe")


@pytest.mark.parametrize(("name", "told"), [("a\0b.py", "not the name of a file"), ("a" * 300, "too long")])
def test_names_that_no_file_can_have(tmp_path: Path, name: str, told: str) -> None:
    assert_refused(tmp_path / name, told)


def test_a_file_that_may_not_be_read() -> None:
    with shared_folder() as folder:
        file = folder / "answer.py"
        file.write_bytes(b"x = 1\n")
        with without_rights():
            assert read_submission(file) == b"x = 1\n"
        file.chmod(0)
        with without_rights():
            assert_refused(file, "may not be read")
