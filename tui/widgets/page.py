"""Markdown, with lines that break where Chinese may be broken.

Textual breaks lines at spaces. Chinese has none, so a paragraph would be cut anywhere, in the middle of an
English name too, and leave half of its lines empty.
"""

from __future__ import annotations

import re

from textual.content import Content
from textual.css.styles import RulesMap
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownBlock

from drills.display import width as columns

_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_OPENING, _CLOSING = "“‘（《「『【", "”’）》」』】，。、；：？！…"
# What stays on one line: a character or a word, with the punctuation that belongs to it.
_UNIT = re.compile(rf"[{_OPENING}]*(?:[{_WIDE}]|[^\s{_WIDE}{_OPENING}{_CLOSING}]+|)[{_CLOSING}]*\s*")


def breaks(text: str, width: int) -> list[int]:
    """Where to break a line of text so that it fits the width; what cannot be broken stays long."""
    offsets: list[int] = []
    used = 0
    for match in _UNIT.finditer(text):
        unit = match[0]
        if used and used + columns(unit.rstrip()) > width:
            offsets.append(match.start())
            used = 0
        used += columns(unit)
    return offsets


class Folded(Visual):
    """Content that is broken for the width it is given."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._width = 0
        self.shown = content  # with its line breaks

    def _at(self, width: int) -> Content:
        if width != self._width:
            self._width = width
            lines = [
                part.rstrip()
                for line in self._content.split(allow_blank=True)
                for part in line.divide(breaks(line.plain, width))
            ]
            self.shown = Content("\n").join(lines)
        return self.shown

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        return self._at(width).render_strips(width, height, style, options)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        return self._content.get_optimal_width(rules, container_width)

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self._at(width).get_height(rules, width)


_Usual: type[MarkdownBlock] = Markdown.BLOCKS["paragraph_open"]


class Paragraph(_Usual):  # type: ignore[misc, valid-type]
    """A paragraph; one with Chinese in it is broken by its rules."""

    _folded: Folded | None = None

    def set_content(self, content: Content) -> None:
        super().set_content(content)
        self._folded = Folded(content) if re.search(f"[{_WIDE}]", content.plain) else None
        if self._folded is not None:
            self.update(self._folded)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        if self._folded is None:
            return MarkdownBlock.get_selection(self, selection)
        return selection.extract(self._folded.shown.plain), "\n"


class Page(Markdown):
    """A drill's Markdown. Its links are followed by whoever holds it."""

    BLOCKS = {**Markdown.BLOCKS, "paragraph_open": Paragraph}  # noqa: RUF012

    def __init__(self, text: str = "") -> None:
        super().__init__(text, open_links=False)
