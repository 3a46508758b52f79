"""Notes cut into sections: one for each question, and one for each heading with prose of its own.

What begins a section, the strongest first:

- a heading;
- a line of bold text that stands alone, under a heading that asks nothing; under a question, only one that asks too;
- a line labelled `Q7` or `Q:`, with or without a bullet;
- an item of a list that ends in a question mark;
- a line of its own that ends in a question mark.

The last two count only where no stronger question is being answered: an answer may ask as well. A section goes on to
the next, so that nothing between them is lost. Parts of a section (`grader.notes.parts`) lie within it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from grader.notes.blocks import Block, Reader
from grader.notes.parts import find_parts
from grader.notes.wording import asks, bold_title, ends_asking, loses, plain, question_label, states

SectionKind = Literal["question", "chapter", "part"]
Rank = Literal[1, 2, 3, 4, 5]  # heading, bold line, labelled line, item, line

_OUTLINE = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Section:
    """A question with its answer, a chapter's own prose, or a part of one of them."""

    kind: SectionKind
    title: str  # without markup
    path: tuple[str, ...]  # the titles above it
    line: int  # where it starts, from 1
    end: int  # its last line with text
    text: str  # verbatim, without the line of the title


@dataclass(frozen=True)
class Notes:
    """What was found in one document."""

    sections: tuple[Section, ...]  # in the order of the document, each before its parts
    loose: tuple[tuple[int, int], ...]  # first and last line of text that is in no section
    notices: tuple[str, ...]  # what is odd: numbers left out or used twice, a code block that does not end


@dataclass(frozen=True)
class _Opening:
    rank: Rank
    title: str
    block: Block
    place: int  # of the block
    path: tuple[str, ...]
    asking: bool
    number: int | None = None


def parse_notes(text: str) -> Notes:
    """Find the questions of a document."""
    lines = text.split("\n")
    reader = Reader(lines)
    blocks = reader.read()
    openings = list(_openings(blocks))
    sections: list[Section] = []
    for opening, following in zip(openings, [*openings[1:], None], strict=False):
        until = following.place if following else len(blocks)
        inside = [block for block in blocks[opening.place : until] if block.kind not in ("rule", "matter")]
        if len(inside) > 1 or not _is_empty(opening, following):
            sections += _sections(opening, inside, lines)
    notices = (*reader.notices, *_odd_numbers(openings))
    return Notes(tuple(sections), tuple(_loose(blocks, openings)), notices)


def _openings(blocks: list[Block]) -> Iterator[_Opening]:
    above: list[tuple[int, str]] = []  # level and title of the headings that hold
    current: _Opening | None = None
    for place, block in enumerate(blocks):
        following = blocks[place + 1] if place + 1 < len(blocks) else None
        found = _opening(block, current, following)
        if found is None:
            continue
        rank, title, asking, number = found
        if rank == 1:
            above = [(level, name) for level, name in above if level < block.level]
        current = _Opening(rank, title, block, place, tuple(name for _, name in above), asking, number)
        if rank == 1:
            above.append((block.level, title))
        yield current


def _opening(
    block: Block, current: _Opening | None, following: Block | None
) -> tuple[Rank, str, bool, int | None] | None:
    """Rank, title, whether it asks, and number of the section that the block begins; None if it begins none."""
    if block.kind == "heading":
        title = plain(block.text)
        label = question_label(title)
        return 1, title, bool(label) or asks(title), label[0] if label else None
    if block.kind not in ("item", "paragraph") or not block.text:
        return None
    answered = current.rank if current and current.asking else 9
    label = question_label(block.text)
    if label is not None and (block.indent < 4 or label[0] is None):
        return 3, plain(label[1]) or plain(block.text), True, label[0]
    if block.kind == "paragraph" and block.indent < 4:
        return _bold(block, current, following) or _asking_line(block, answered)
    deepest = current.block.indent if current and answered == 4 else 3
    if block.kind == "item" and block.indent <= deepest and answered >= 4 and ends_asking(block.text):
        return 4, plain(block.text), True, None
    return None


def _bold(block: Block, current: _Opening | None, following: Block | None) -> tuple[Rank, str, bool, int | None] | None:
    alone = block.first == block.last and not block.joined and not (following and following.kind == "quote")
    title = bold_title(block.text, alone=alone)
    if title is None:
        return None
    asking = asks(title)
    sibling = current is not None and bool(_shape(title)) and _shape(title) == _shape(current.title)
    if current is not None and current.asking and (current.rank > 2 or not (asking or sibling)):
        return None
    return 2, plain(title), asking or bool(sibling and current and current.asking), None


def _asking_line(block: Block, answered: int) -> tuple[Rank, str, bool, int | None] | None:
    short = block.first == block.last or len(block.text) <= 60
    if answered >= 5 and short and not block.joined and ends_asking(block.text) and not states(block.text):
        return 5, plain(block.text), True, None
    return None


def _shape(title: str) -> str:
    """How a title is numbered: `1.2` and `3.4` are alike."""
    match = _OUTLINE.match(plain(title))
    return re.sub(r"\d+", "1", match[0]) if match else ""


def _is_empty(opening: _Opening, following: _Opening | None) -> bool:
    """Is it a line with nothing below, and no question that waits for an answer?"""
    if opening.rank != 1:
        return not opening.asking and opening.block.first == opening.block.last
    divided = following is not None and (following.rank > 1 or following.block.level > opening.block.level)
    return divided or not opening.asking


def _sections(opening: _Opening, inside: list[Block], lines: list[str]) -> Iterator[Section]:
    """The section and its parts."""
    first, body = inside[0], inside[1:]
    end = (body or inside[:1])[-1].last
    kind: SectionKind = "question" if opening.asking else "chapter"
    start = first.first if loses(first.text) else first.first + 1
    if first.kind == "heading" and start > first.first:
        start = first.last + 1  # below the line under a heading
    yield Section(kind, opening.title, opening.path, first.first, end, _text(lines, start, end))
    path = (*opening.path, opening.title)
    if opening.rank != 1 and first.last > first.first:
        body = [first, *body]  # the answer goes on in the line under the question
    for part in find_parts(opening.title, body, asking=opening.asking):
        last = next((n for n in range(part.last, part.first, -1) if lines[n - 1].strip()), part.first)
        yield Section("part", part.title, path, part.first, last, _text(lines, part.start, last))


def _text(lines: list[str], first: int, last: int) -> str:
    kept = lines[first - 1 : last]
    while kept and not kept[0].strip():
        kept.pop(0)
    return "\n".join(kept)


def _loose(blocks: list[Block], openings: list[_Opening]) -> Iterator[tuple[int, int]]:
    """What stands before the first section."""
    until = openings[0].block.first if openings else None
    before = [b for b in blocks if b.kind not in ("rule", "matter") and (until is None or b.first < until)]
    if before:
        yield before[0].first, before[-1].last


def _odd_numbers(openings: list[_Opening]) -> Iterator[str]:
    """Questions that come twice, and numbers that are left out."""
    last = 0
    asked: dict[str, int] = {}
    for opening in openings:
        number, line = opening.number, opening.block.first
        before = asked.setdefault(opening.title.casefold(), line)
        if opening.asking and before < line:
            yield f"line {line}: asks the same as line {before}"
        if number is None:
            continue
        if number == last:
            yield f"line {line}: question {number} comes twice"
        elif last and number == last + 2:
            yield f"line {line}: there is no question {last + 1}"
        elif last and number > last + 2:
            yield f"line {line}: there are no questions {last + 1} to {number - 1}"
        last = number
