"""Which drills a section of notes belongs to.

A drill says in `drill.toml` which words mark its subject (`notes`). They count much in a title, and little in the text
below. The titles of the drill's own questions, in both languages, are compared besides: words and pairs of Chinese
characters that they share, the rarer the heavier.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from drills.catalogue import BrokenDrill, Drill
from grader.notes.parsing import Section

ENOUGH = 0.9  # of what is summed up below
BESIDE = 0.6  # of the best drill's sum, to be named beside it

_LATIN = re.compile(r"[a-z0-9]+")
_CHINESE = re.compile(r"[\u3400-\u9fff]+")
_SUBJECT = 600  # characters: what the text is about is said at its beginning


_Word = tuple[tuple[str, re.Pattern[str]], ...]  # all have to be found: first, quickly, how the pattern begins


@dataclass(frozen=True)
class _Marks:
    """What marks the subject of one drill."""

    slug: str
    words: tuple[_Word, ...]


class Index:
    """The subjects of all drills."""

    def __init__(self, drills: Iterable[Drill]) -> None:
        drills = list(drills)
        self._marks = [_marks(drill) for drill in drills]
        titles = [(drill.slug, _tokens(title.casefold())) for drill in drills for title in _titles(drill)]
        asking: dict[str, set[str]] = {}  # the drills that ask with a token
        for slug, tokens in titles:
            for token in tokens:
                asking.setdefault(token, set()).add(slug)
        self._rare = math.log(len(drills) + 1)
        self._weight = {token: math.log((len(drills) + 1) / len(slugs)) for token, slugs in asking.items()}
        # By token: the drills' titles that it stands in, and its part in the length of each.
        self._titles: dict[str, list[tuple[int, float]]] = {}
        self._owners = [slug for slug, _ in titles]
        for place, (_, tokens) in enumerate(titles):
            length = self._length(tokens)
            for token, count in tokens.items():
                self._titles.setdefault(token, []).append((place, self._weight[token] * count / length))

    def place(self, section: Section) -> tuple[str, ...]:
        """The drills that a section belongs to, the likeliest first; none where it fits no drill."""
        likeness = self._likeness(_tokens(section.title.casefold()))
        sums = [(_sum(marks, section) + 1.2 * likeness.get(marks.slug, 0.0), marks.slug) for marks in self._marks]
        sums.sort(reverse=True)
        least = max(ENOUGH, BESIDE * sums[0][0]) if sums else ENOUGH
        return tuple(slug for total, slug in sums if total >= least)

    def _likeness(self, tokens: Counter[str]) -> dict[str, float]:
        """By drill: the cosine with its nearest title, tokens weighted by how few drills ask with them."""
        length = self._length(tokens)
        cosines: defaultdict[int, float] = defaultdict(float)
        for token, count in tokens.items():
            for place, part in self._titles.get(token, ()):
                cosines[place] += self._weight[token] * count / length * part
        nearest: dict[str, float] = {}
        for place, cosine in cosines.items():
            slug = self._owners[place]
            nearest[slug] = max(cosine, nearest.get(slug, 0.0))
        return nearest

    def _length(self, tokens: Counter[str]) -> float:
        squares = ((self._weight.get(token, self._rare) * count) ** 2 for token, count in tokens.items())
        return math.sqrt(sum(squares)) or 1.0


def _sum(marks: _Marks, section: Section) -> float:
    title, text = section.title.casefold(), section.text[:_SUBJECT].casefold()
    named = sum(_found(word, title) for word in marks.words)
    told = sum(min(3, _times(word, text)) for word in marks.words)
    above = any(_found(word, name.casefold()) for name in section.path[-1:] for word in marks.words)
    total = min(2.0, 0.7 + 0.3 * named) if named else 0.0
    return total + (0.3 if above else 0.0) + 0.12 * min(told, 6)


def _marks(drill: Drill) -> _Marks:
    return _Marks(drill.slug, tuple(_word(word) for word in drill.notes))


def _titles(drill: Drill) -> Iterator[str]:
    for language in ("en", "zh"):
        try:
            yield from (question.title for question in drill.qa(language))
        except BrokenDrill:
            continue  # told by the catalogue's own check


def _word(word: str) -> _Word:
    """`flash attention` is also found as FlashAttention or flash-attention; of `a + b`, both have to be found."""
    return tuple(_pattern(part.strip().casefold()) for part in word.split("+"))


def _pattern(part: str) -> tuple[str, re.Pattern[str]]:
    pieces = re.split(r"[\s_-]+", part)
    before = r"(?<![a-z0-9])" if _LATIN.match(part[:1]) else ""
    behind = r"s?(?![a-z0-9])" if _LATIN.match(part[-1:]) else ""
    return pieces[0], re.compile(before + r"[\s_-]*".join(map(re.escape, pieces)) + behind)


def _found(word: _Word, text: str) -> bool:
    return all(begins in text and pattern.search(text) for begins, pattern in word)


def _times(word: _Word, text: str) -> int:
    return min(len(pattern.findall(text)) if begins in text else 0 for begins, pattern in word)


def _tokens(text: str) -> Counter[str]:
    """Words, and pairs of neighbouring Chinese characters."""
    tokens = Counter(_LATIN.findall(text))
    for run in _CHINESE.findall(text):
        tokens.update(a + b for a, b in pairwise(run))
    return tokens
