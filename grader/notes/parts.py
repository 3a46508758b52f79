"""Parts of a section that deserve a place of their own beside a drill.

They lie within the section, whose text stays whole. A part is

- what a heading of several names ("pre-norm and post-norm") says of one of them: the first item, paragraph or row of
  a table that begins with the name;
- a numbered item that is a heading: its line ends in a colon, its text is indented below;
- a numbered point in the outline of a long answer;
- a remark: an item with a label of its own, alone below an item that is a finished sentence;
- under a heading that asks nothing, a passage: a figure, a quote, a table or a formula belongs to the paragraph
  before it, and the prose behind it begins the next passage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from grader.notes.blocks import Block
from grader.notes.wording import first_sentence, goes_on, leads_in, plain, without_number

LONG = 60  # lines with text: two screens
TITLE = 30  # characters: more is a sentence
PASSAGE = 150  # characters of prose before a passage is worth a cut

_EXHIBITS = ("image", "formula", "table", "quote")
_AND = re.compile(r"\s*(?:&|、|/|与|和|及|\bvs\.?(?=\s)|\bversus\b|\band\b|,|，)\s*", re.IGNORECASE)
_LABELLED = re.compile(r"([^:：。.]{2,20})[:：]\s*\S.*$")
_POINT = re.compile(r"\d+(?:\.\d+)*[.)、]?\s+(?=\S)")


class Part(NamedTuple):
    """`start` is the first line of its text: below the title, where that has a line of its own."""

    title: str
    first: int
    start: int
    last: int


def find_parts(title: str, body: Sequence[Block], *, asking: bool) -> list[Part]:
    """The parts of a section, in the order of the document; what it begins with is no part."""
    if not body:
        return []
    found = {part.first: part for part in (*_remarks(body), *_titled_items(body))}
    if asking:
        if sum(block.last - block.first + 1 for block in body) > LONG:
            found |= {part.first: part for part in _outline(body)}
        return sorted(found.values(), key=lambda part: part.first)
    named = {part.first: part for part in _named(title, body)}
    found = {part.first: part for part in _passages(body, set(named))} | found | named
    found.pop(body[0].first, None)
    starts = sorted(found)
    ends = [start - 1 for start in starts[1:]]
    cut = [found[start]._replace(last=min(found[start].last, end)) for start, end in zip(starts, ends, strict=False)]
    return [*cut, *(found[start] for start in starts[-1:])]


def _until(body: Sequence[Block], place: int) -> int:
    """The last line of what hangs below the item at this place."""
    item = body[place]
    last = item.last
    for block in body[place + 1 :]:
        if block.indent <= item.indent:
            break
        last = block.last
    return last


def _titled_items(body: Sequence[Block]) -> Iterator[Part]:
    found = []
    for place, block in enumerate(body):
        below = block.last > block.first or (place + 1 < len(body) and body[place + 1].indent > block.indent)
        if block.ordered and leads_in(block.text) and below:
            title = plain(block.text).rstrip(":： ")
            found.append(Part(title, block.first, block.first + 1, _until(body, place)))
    if len(found) > 1:
        yield from found


def _remarks(body: Sequence[Block]) -> Iterator[Part]:
    for place in range(1, len(body)):
        above, block = body[place - 1], body[place]
        alone = place + 1 == len(body) or body[place + 1].indent < block.indent
        below = above.kind == block.kind == "item" and block.indent > above.indent
        if below and alone and len(above.text) > TITLE and not leads_in(above.text) and _LABELLED.match(block.text):
            yield Part(_LABELLED.sub(r"\1", plain(block.text)), block.first, block.first, _until(body, place))


def _outline(body: Sequence[Block]) -> Iterator[Part]:
    """The numbered points; of one that has points of its own, those."""
    points = [place for place, block in enumerate(body) if block.kind == "item" and _is_point(block)]
    for place in points:
        block, following = body[place], body[place + 1 : place + 2]
        below = block.last > block.first or (following and following[0].indent > block.indent)
        divided = place + 1 in points and following[0].indent > block.indent
        if below and not divided:
            title = without_number(plain(block.text))
            yield Part(title, block.first, block.first + 1, _until(body, place))


def _is_point(block: Block) -> bool:
    text = plain(block.text)
    return bool(block.ordered or _POINT.match(text)) and len(text) <= 60 and not text.endswith(("。", ".", "；", ";"))


def _named(title: str, body: Sequence[Block]) -> Iterator[Part]:
    names = [name.split("的")[0].strip() for name in _AND.split(without_number(title))]
    wanted = {name.casefold() for name in names if len(name) > 1}
    if len(wanted) < 2:
        return
    for place, first, text in _beginnings(body):
        name = next((name for name in sorted(wanted, key=len, reverse=True) if _begins(text, name)), None)
        if name is not None:
            wanted.discard(name)
            block = body[place]
            last = first if block.kind == "table" else body[-1].last
            last = _until(body, place) if block.kind == "item" else last
            yield Part(first_sentence(text), first, first, last)


def _beginnings(body: Sequence[Block]) -> Iterator[tuple[int, int, str]]:
    """Place, line and text of whatever may begin with a name."""
    for place, block in enumerate(body):
        if block.kind in ("item", "paragraph"):
            yield place, block.first, plain(block.text)
        elif block.kind == "table":
            for number, row in enumerate(block.rows):
                cells = [plain(cell) for cell in row.strip().strip("|").split("|")]
                yield place, block.first + number, "：".join(filter(None, cells[:2]))


def _begins(text: str, name: str) -> bool:
    text = text.casefold()
    behind = text[len(name) : len(name) + 1]
    return text.startswith(name) and not (behind.isascii() and (behind.isalnum() or behind in "-_"))


def _passages(body: Sequence[Block], known: set[int]) -> Iterator[Part]:
    starts: list[int] = []
    size = 0  # of the prose since the last cut
    for place, block in enumerate(body):
        if block.kind not in ("paragraph", "item", "heading"):
            continue
        if block.first in known:
            size = 0
        elif place and _cuts(body, place, size):
            starts.append(place)
            size = 0
        size += len(block.text)
    for start, following in zip(starts, [*starts[1:], len(body)], strict=False):
        block = body[start]
        yield Part(first_sentence(block.text), block.first, block.first, body[following - 1].last)


def _cuts(body: Sequence[Block], place: int, size: int) -> bool:
    before, block = body[place - 1], body[place]
    if before.kind in _EXHIBITS and not before.joined and not block.joined:
        return block.indent <= body[0].indent and not goes_on(block.text)
    following = body[place + 1] if place + 1 < len(body) else None
    introduces = following is not None and following.kind in _EXHIBITS and not following.joined
    return block.kind == "paragraph" and introduces and size >= PASSAGE and not leads_in(block.text)
