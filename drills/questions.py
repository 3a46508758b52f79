"""The interview questions (`qa.md`) and hints (`hints.md`) of a drill: Markdown with one heading an entry."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUESTION = re.compile(r"(?P<title>.+?)\s*\{#(?P<id>[A-Za-z0-9_-]+)\}")
_SOURCES = re.compile(r"(?:Sources|来源)\s*[:：](?P<list>.*)")
_ITEM = re.compile(r"(?:[-*+]|\d+[.)、])\s+")
_ANSWER = ("Answer", "回答")
_KEY_POINTS = ("Key points", "要点")
_NUMBER = re.compile(r"\d+[.)、]\s*")


@dataclass(frozen=True)
class Question:
    """An interview question and its model answer in one language."""

    id: str
    title: str
    text: str  # Markdown: answer, key points, follow-ups, references
    sources: tuple[str, ...]

    @property
    def answer(self) -> str:
        """The model answer alone; everything, where it has no heading of its own."""
        return self._part(_ANSWER) or self.text

    @property
    def key_points(self) -> tuple[str, ...]:
        """What a good answer names: the items of the list under that heading."""
        points: list[str] = []
        for line in self._part(_KEY_POINTS).splitlines():
            item = _ITEM.match(line)
            if item:
                points.append(line[item.end() :].strip())
            elif line.strip() and points:  # an item may go on in the next line
                points[-1] += " " + line.strip()
        return tuple(points)

    @property
    def beyond(self) -> str:
        """Markdown: what stands beside the answer and its key points, such as follow-ups."""
        others = (pair for pair in _sections(self.text, "### ") if pair[0] not in (*_ANSWER, *_KEY_POINTS))
        return "\n\n".join(f"### {heading}\n{body}" for heading, body in others)

    def _part(self, headings: tuple[str, ...]) -> str:
        return next((body for heading, body in _sections(self.text, "### ") if heading in headings), "")


@dataclass(frozen=True)
class Hint:
    """One hint; a drill's hints go from gentle to explicit."""

    title: str
    text: str  # Markdown


def parse_questions(text: str) -> list[Question]:
    """The questions of a `qa.md`. A heading without an `{#id}` gives a question with an empty id."""
    questions = []
    for heading, body in _sections(text):
        match = _QUESTION.fullmatch(heading)
        title, identity = (match["title"], match["id"]) if match else (heading, "")
        sources, answer = _split_sources(body)
        questions.append(Question(identity, title, answer, sources))
    return questions


def parse_hints(text: str) -> list[Hint]:
    """The hints of a `hints.md`; the number in a heading is dropped, their order is the file's."""
    return [Hint(_NUMBER.sub("", heading, count=1), body) for heading, body in _sections(text)]


def _split_sources(body: str) -> tuple[tuple[str, ...], str]:
    first, _, rest = body.partition("\n")
    match = _SOURCES.fullmatch(first.strip())
    if match is None:
        return (), body
    names = re.split(r"[,，、\s]+", match["list"].strip())
    return tuple(name for name in names if name), rest.strip()


def _sections(text: str, mark: str = "## ") -> list[tuple[str, str]]:
    """(heading, body) of each section that a line with this mark begins; in a fenced block it is code."""
    sections: list[tuple[str, list[str]]] = []
    fence = ""
    for line in text.splitlines():
        opening = line.lstrip()[:3]
        if opening in ("```", "~~~") and fence in ("", opening):
            fence = "" if fence else opening
        if line.startswith(mark) and not fence:
            sections.append((line.removeprefix(mark).strip(), []))
        elif sections:
            sections[-1][1].append(line)
    return [(heading, "\n".join(lines).strip()) for heading, lines in sections]
