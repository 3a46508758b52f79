"""The interview questions (`qa.md`) and hints (`hints.md`) of a drill: Markdown with one heading an entry."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUESTION = re.compile(r"(?P<title>.+?)\s*\{#(?P<id>[A-Za-z0-9_-]+)\}")
_SOURCES = re.compile(r"(?:Sources|来源)\s*[:：](?P<list>.*)")
_NUMBER = re.compile(r"\d+[.)、]\s*")


@dataclass(frozen=True)
class Question:
    """An interview question and its model answer in one language."""

    id: str
    title: str
    text: str  # Markdown: answer, key points, follow-ups, references
    sources: tuple[str, ...]


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


def _sections(text: str) -> list[tuple[str, str]]:
    """(heading, body) of each `## ` section; a `## ` inside a fenced block is code, not a heading."""
    sections: list[tuple[str, list[str]]] = []
    fence = ""
    for line in text.splitlines():
        mark = line.lstrip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
        if line.startswith("## ") and not fence:
            sections.append((line[3:].strip(), []))
        elif sections:
            sections[-1][1].append(line)
    return [(heading, "\n".join(lines).strip()) for heading, lines in sections]
