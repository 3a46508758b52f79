"""Reading the learner's notes from files: any file gives its text or one clear sentence."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from grader.errors import BadInput
from grader.files import Wanted, read_file
from grader.plain import plain

MAX_BYTES = 5_000_000
MAX_ENTRIES = 20_000  # of a folder and what is below it
SUFFIXES = (".md", ".markdown", ".txt")

_WANTED = Wanted(
    kind="a Markdown or text file, or of a folder with such files",
    most=MAX_BYTES,
    size="5 MB",
    missing="Look for a slip in the path.",
    large="Notes of that size are no notes: add the part that you learn from.",
)
_ADVICE = "Save it as UTF-8 text, and add it again."


class Text(NamedTuple):
    """A document as it can be shown, and what tells whether its file has changed."""

    text: str  # lines end in \n; no control characters
    content: bytes
    size: int
    mtime_ns: int
    digest: str


class Found(NamedTuple):
    """The notes in a folder, and how many other files are there."""

    files: list[Path]
    skipped: int


def read_notes(path: Path) -> Text:
    """Raises BadInput for what is no text, is larger than 5 MB, or cannot be read.

    UTF-8, UTF-16 with a byte order mark and GB18030 are understood.
    """
    content, status = read_file(path, _WANTED)
    text = plain(_decode(path, content))
    return Text(text, content, status.st_size, status.st_mtime_ns, hashlib.sha256(content).hexdigest())


def _decode(path: Path, content: bytes) -> str:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in content and not utf16:
        raise BadInput(f"{path} holds null bytes, so it is not text.", "Add Markdown or text files.")
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        if "\0" not in text and (encoding != "gb18030" or _is_chinese(text)):
            return text
    raise BadInput(f"{path} is neither UTF-8 nor UTF-16 nor GB18030.", _ADVICE)


def _is_chinese(text: str) -> bool:
    """Is it really GB18030? Other encodings can be read as such too, and give rare characters."""
    foreign = [character for character in text if not character.isascii()]
    common = sum(1 for character in foreign if character.encode("gb2312", "ignore"))
    return 3 * common >= 2 * len(foreign)


def find_notes(folder: Path) -> Found:
    """The notes in a folder and below, in the order of their names.

    Hidden files and folders are left out, and a folder is visited once, by whatever links it is reached.
    """
    files: list[Path] = []
    skipped = 0
    for entry in _walk(folder):
        if entry.name.lower().endswith(SUFFIXES):
            files.append(entry)
        else:
            skipped += 1
    return Found(files, skipped)


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    entries = 0
    while waiting:
        place = waiting.pop()
        try:
            status = place.stat()
            inside = [] if (status.st_dev, status.st_ino) in seen else sorted(place.iterdir())
        except OSError as error:
            if place == folder:
                raise BadInput(f"{folder} cannot be read: {error.strerror}.", "Name another folder.") from None
            continue
        seen.add((status.st_dev, status.st_ino))
        entries += len(inside)
        if entries > MAX_ENTRIES:
            raise BadInput(f"{folder} holds more than {MAX_ENTRIES} files.", "Name the folder that your notes are in.")
        folders = {path: path.is_dir() for path in inside if not path.name.startswith(".")}
        yield from (path for path, is_one in folders.items() if not is_one)
        waiting += (path for path, is_one in reversed(folders.items()) if is_one)
