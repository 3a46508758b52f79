"""Notes as a list of blocks: headings, list items, paragraphs, and what must not be read as any of these.

A small reading of Markdown that forgives what people write. Line numbers count from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from grader.notes.wording import bold_title, question_label

Kind = Literal["heading", "item", "paragraph", "quote", "table", "formula", "image", "code", "rule", "matter"]

_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s+(.*)|((?<=##)[^#\s].*))?$")
_ITEM = re.compile(r"(\s*)([-*+•]|\d{1,3}[.)、])(?:\s+(.*)|(?<=、)(\S.*))?$")
_FENCE = re.compile(r"\s*(?:(?:[-*+]|\d{1,3}[.)])\s{1,4})?(`{3,}|~{3,})([^`]*)$")
_RULE = re.compile(r" {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*$")
_IMAGE = re.compile(r"\s*(?:!\[[^\]]*\]\([^)]*\)\s*)+$")
_LABELS = "Qq问第"  # how a labelled question may begin
_OPENINGS = {"$$": "$$", "\\[": "\\]", "<!--": "-->"}
_WHOLE_LINE: dict[Kind, re.Pattern[str]] = {
    "quote": re.compile(r" {0,3}>"),
    "table": re.compile(r"\s*\|.*\|\s*$"),
    "image": _IMAGE,
}


@dataclass(frozen=True)
class Block:
    """Some lines that belong together. `last` is the last line with text."""

    kind: Kind
    first: int
    last: int
    text: str  # the first line without its mark
    indent: int = 0
    level: int = 0  # of a heading
    ordered: bool = False  # an item with a number
    joined: bool = False  # no blank line before it
    rows: tuple[str, ...] = ()  # of a table


@dataclass
class Reader:
    """Goes through the lines once."""

    lines: list[str]
    blocks: list[Block] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    _unclosed: dict[str, int] = field(default_factory=dict)  # up to which line there is no such closing
    _at: int = 0
    _joined: bool = False

    def read(self) -> list[Block]:
        """All blocks of the text."""
        self._front_matter()
        while self._at < len(self.lines):
            line = self.lines[self._at]
            if not line.strip():
                self._at += 1
                self._joined = False
            else:
                self._one(line)
                self._joined = True
        return self.blocks

    def _one(self, line: str) -> None:
        if fence := _FENCE.match(line):
            self._fenced(line, fence[1])
        elif (end := self._enclosed(line)) is not None:
            self._add("formula" if not line.lstrip().startswith("<!--") else "matter", end, line.strip())
        elif heading := _HEADING.match(line):
            self._add("heading", self._at, heading[2] or heading[3] or "", level=len(heading[1]))
        elif not self._underlined(line) and not self._whole_lines(line):
            self._text(line)

    def _front_matter(self) -> None:
        if self.lines and self.lines[0].rstrip() == "---":
            ends = (place for place, line in enumerate(self.lines[1:60], 1) if line.rstrip() in ("---", "..."))
            end = next(ends, None)
            if end is not None:
                self._add("matter", end, "")

    def _fenced(self, line: str, mark: str) -> None:
        closing = re.compile(rf"\s*{re.escape(mark[0])}{{{len(mark)},}}\s*$")
        end = next((n for n in range(self._at + 1, len(self.lines)) if closing.match(self.lines[n])), None)
        if end is None:
            self.notices.append(f"line {self._at + 1}: the code block that begins here is never closed")
        item = _ITEM.match(line)
        last = len(self.lines) - 1 if end is None else end
        self._add("item" if item else "code", last, "", indent=_indent(line))

    def _enclosed(self, line: str) -> int | None:
        """The last line of the formula or comment that begins here; None if none does, or it never ends."""
        stripped = line.strip()
        for opening, closing in _OPENINGS.items():
            if not stripped.startswith(opening):
                continue
            rest = stripped[len(opening) :]
            if closing in rest:
                return self._at if rest.endswith(closing) else None
            return self._closing(closing, stops_at_blank=opening != "<!--")
        return None

    def _closing(self, closing: str, *, stops_at_blank: bool) -> int | None:
        """The line with this closing. A formula has no blank lines: one that meets any was not closed."""
        if self._at < self._unclosed.get(closing, 0):
            return None
        place = self._at + 1
        while place < len(self.lines) and (self.lines[place].strip() or not stops_at_blank):
            if closing in self.lines[place]:
                return place
            place += 1
        self._unclosed[closing] = place
        return None

    def _underlined(self, line: str) -> bool:
        """A rule, or the line under a heading in the other style of Markdown."""
        under = _UNDERLINE.match(line)
        before = self.blocks[-1] if self.blocks and self._joined else None
        if under and before and before.kind == "paragraph" and before.first == before.last:
            level = 1 if under[1][0] == "=" else 2
            self.blocks[-1] = replace(before, kind="heading", last=self._at + 1, level=level)
            self._at += 1
            return True
        if _RULE.match(line):
            self._add("rule", self._at, "")
            return True
        return False

    def _whole_lines(self, line: str) -> bool:
        for kind, pattern in _WHOLE_LINE.items():
            if pattern.match(line):
                last = self._at
                while last + 1 < len(self.lines) and pattern.match(self.lines[last + 1]):
                    last += 1
                rows = tuple(self.lines[self._at : last + 1]) if kind == "table" else ()
                self._add(kind, last, line.strip(), indent=_indent(line))
                self.blocks[-1] = replace(self.blocks[-1], rows=rows)
                return True
        return False

    def _text(self, line: str) -> None:
        item = _ITEM.match(line)
        kind: Kind = "item" if item else "paragraph"
        text = (item[3] or item[4] or "") if item else line
        last = self._at
        while last + 1 < len(self.lines) and self._continues(self.lines[last + 1]):
            last += 1
        ordered = bool(item and item[2][0].isdigit())
        self._add(kind, last, text.strip(), indent=_indent(line), ordered=ordered)

    def _continues(self, line: str) -> bool:
        """Is the line ordinary text, so that it goes on with the one before?"""
        if line[:1].isalpha() and line[0] not in _LABELS:
            return True  # nearly all lines: the rest takes time
        special = (_HEADING, _ITEM, _FENCE, _UNDERLINE, _RULE, *_WHOLE_LINE.values())
        text = line.strip()
        begins = text.startswith(tuple(_OPENINGS)) or question_label(text) or bold_title(text, alone=False)
        return bool(text) and not begins and not any(pattern.match(line) for pattern in special)

    def _add(self, kind: Kind, last: int, text: str, *, indent: int = 0, level: int = 0, ordered: bool = False) -> None:
        self.blocks.append(Block(kind, self._at + 1, last + 1, text, indent, level, ordered, self._joined))
        self._at = last + 1


def _indent(line: str) -> int:
    line = line.expandtabs(4)
    return len(line) - len(line.lstrip())
