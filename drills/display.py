"""Text for the terminal: aligned columns that fit the width, whatever the script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

WIDTH = 80  # of a line in a list; piped output is the same

_WIDE = ("W", "F")


class Mark(NamedTuple):
    """How a state is shown: never by colour alone."""

    glyph: str
    colour: str | None


MARKS = {
    "new": Mark("-", None),
    "tried": Mark("~", "yellow"),
    "passed": Mark("✓", "green"),
    "due": Mark("!", "magenta"),
    "seen": Mark("*", "cyan"),
}


def width(text: str) -> int:
    """The columns that a text takes; a Chinese character takes two."""
    return sum(_columns(character) for character in text)


def pad(text: str, columns: int) -> str:
    """The text, filled up with spaces."""
    return text + " " * (columns - width(text))


def cut(text: str, columns: int) -> str:
    """The text, shortened where it is longer than that."""
    if width(text) <= columns:
        return text
    return "".join(_fitting(text, columns - 1)).rstrip() + "…"


def _fitting(text: str, columns: int) -> Iterator[str]:
    for character in text:
        columns -= _columns(character)
        if columns < 0:
            return
        yield character


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
