"""A learner's file as text that can be edited, and back to the bytes that it would have been written as."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import tempfile
import tokenize
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from grader.errors import BadInput
from grader.submission import read_submission

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a terminal acts on them, or nobody sees them

_SEPARATOR = re.compile("[\r\u2028\u2029]")  # where a text area ends a line, beside the line feed


@dataclass(frozen=True)
class Source:
    """What is in a file. Lines of `text` end in a line feed, whatever they end in on the disk."""

    content: bytes
    text: str
    newline: str = "\n"
    bom: bool = False
    locked: str = ""  # why it is not edited here; empty where it is

    def encode(self, text: str) -> bytes:
        """The bytes of another text in this file: with its mark and its line ends."""
        return (codecs.BOM_UTF8 if self.bom else b"") + text.replace("\n", self.newline).encode()


def typable(text: str) -> str:
    """A text that was pasted, without what could not be shown again once it was saved."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def read_source(file: Path) -> Source:
    """Read a file. Raises BadInput for what is no file, cannot be read, is over 1 MiB, or is no text of Python."""
    content = read_submission(file)
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    text = content.decode(encoding)
    newline = next((each for each in ("\r\n", "\n", "\r") if each in text), "\n")
    plain = text.replace(newline, "\n")
    if _CONTROL.search(plain.replace("\r", "")):
        raise BadInput(f"{file} holds control characters, so it is not shown.", "Press e for an editor of your own.")
    alike = plain.replace("\n", newline) == text and not _SEPARATOR.search(plain)
    locked = _locked(file, encoding, alike)
    return Source(content, plain, newline, content.startswith(codecs.BOM_UTF8), locked)


def _locked(file: Path, encoding: str, alike: bool) -> str:
    if encoding not in ("utf-8", "utf-8-sig"):
        return f"Read only: it is written in {encoding}, and only UTF-8 is edited here. e opens your own editor."
    if not alike:
        return "Read only: its lines end in different ways, which would be lost. e opens your own editor."
    if not os.access(file, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return "Read only: you may not write this file."
    return ""


def write_source(file: Path, content: bytes) -> None:
    """Write a file, all of it or nothing, with the mode that it had. Raises OSError."""
    file = file.resolve()  # a link stays a link
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        mode = 0o644
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".draft")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        Path(draft).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise
