"""Which drills a section of notes belongs to.

A drill says in `drill.toml` which words mark its subject (`notes`). They count much in a title, and little in the text
below. The titles of the drill's own questions, in both languages, are compared besides: words and pairs of Chinese
characters that they share, the rarer the heavier.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from drills.catalogue import BrokenDrill, Drill
from grader.notes.parsing import Section

ENOUGH = 0.9  # of what is summed up below
BESIDE = 0.6  # of the best drill's sum, to be named beside it

_LATIN = re.compile(r"[a-z0-9]+")
_CHINESE = re.compile(r"[\u3400-\u9fff]+")
_SUBJECT = 600  # characters: what the text is about is said at its beginning


@dataclass(frozen=True)
class _Marks:
    """What marks the subject of one drill."""

    slug: str
    words: tuple[tuple[re.Pattern[str], ...], ...]  # one has to be found, all its patterns
    titles: tuple[Counter[str], ...]


class Index:
    """The subjects of all drills."""

    def __init__(self, drills: Iterable[Drill]) -> None:
        self._marks = [_marks(drill) for drill in drills]
        spread = Counter(token for marks in self._marks for token in set().union(*marks.titles))
        many = len(self._marks) + 1
        self._weight = {token: math.log(many / count) for token, count in spread.items()}

    def place(self, section: Section) -> tuple[str, ...]:
        """The drills that a section belongs to, the likeliest first; none where it fits no drill."""
        sums = sorted(((self._sum(marks, section), marks.slug) for marks in self._marks), reverse=True)
        least = max(ENOUGH, BESIDE * sums[0][0]) if sums else ENOUGH
        return tuple(slug for total, slug in sums if total >= least)

    def _sum(self, marks: _Marks, section: Section) -> float:
        title, text = section.title.casefold(), section.text[:_SUBJECT].casefold()
        above = " ".join(section.path[-1:]).casefold()
        named = sum(_found(word, title) for word in marks.words)
        told = sum(min(3, _times(word, text)) for word in marks.words)
        near = max((self._likeness(_tokens(title), other) for other in marks.titles), default=0.0)
        total = min(2.0, 0.7 + 0.3 * named) if named else 0.0
        total += 0.3 if any(_found(word, above) for word in marks.words) else 0.0
        return total + 0.12 * min(told, 6) + 1.2 * near

    def _likeness(self, one: Counter[str], other: Counter[str]) -> float:
        """The cosine of two titles, tokens weighted by how few drills ask with them."""
        rare = math.log(len(self._marks) + 1)

        def length(tokens: Counter[str]) -> float:
            return math.sqrt(sum((self._weight.get(token, rare) * count) ** 2 for token, count in tokens.items()))

        shared = sum(self._weight[token] ** 2 * one[token] * other[token] for token in one.keys() & other.keys())
        return shared / (length(one) * length(other) or 1.0)


def _marks(drill: Drill) -> _Marks:
    titles: list[Counter[str]] = []
    for language in ("en", "zh"):
        try:
            titles += [_tokens(question.title.casefold()) for question in drill.qa(language)]
        except BrokenDrill:
            continue  # told by the catalogue's own check
    return _Marks(drill.slug, tuple(_patterns(word) for word in drill.notes), tuple(titles))


def _patterns(word: str) -> tuple[re.Pattern[str], ...]:
    """`flash attention` is also found as FlashAttention or flash-attention; of `a + b`, both have to be found."""
    return tuple(_pattern(part.strip().casefold()) for part in word.split("+"))


def _pattern(part: str) -> re.Pattern[str]:
    body = r"[\s_-]*".join(re.escape(piece) for piece in re.split(r"[\s_-]+", part))
    before = r"(?<![a-z0-9])" if _LATIN.match(part[:1]) else ""
    behind = r"s?(?![a-z0-9])" if _LATIN.match(part[-1:]) else ""
    return re.compile(before + body + behind)


def _found(word: Sequence[re.Pattern[str]], text: str) -> bool:
    return all(pattern.search(text) for pattern in word)


def _times(word: Sequence[re.Pattern[str]], text: str) -> int:
    return min(len(pattern.findall(text)) for pattern in word)


def _tokens(text: str) -> Counter[str]:
    """Words, and pairs of neighbouring Chinese characters."""
    tokens = Counter(_LATIN.findall(text))
    for run in _CHINESE.findall(text):
        tokens.update(a + b for a, b in pairwise(run))
    return tokens
