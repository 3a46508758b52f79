"""Progress as one JSON document, to be taken to another machine: `drills export` writes it, `drills import` reads it.

It holds the history: attempts with source and result, hints, looks at solutions, answers to questions. The `reviews` in
it are for people to read; who imports works them out again. What is read is looked at first, in `grader.incoming`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from math import isfinite
from typing import Annotated

import msgspec

from grader.results import Verdict
from grader.review import Rating

VERSION = 1

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\A[^\x00-\x1f]+\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Small = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a document is made of. A part with an unknown field is refused, for its meaning would be lost."""


class Binary(Part):
    """A source that is not UTF-8."""

    base64: str


class SavedAttempt(Part):
    """One graded submission; clock and turn are its place in the drill's history."""

    drill: Name
    at: str
    clock: str
    turn: Count
    hints_used: Small
    source: str | Binary
    result: msgspec.Raw

    @property
    def source_bytes(self) -> bytes:
        return self.source.encode() if isinstance(self.source, str) else b64decode(self.source.base64)

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells an attempt from every other."""
        told = judged(self.result)
        return self.drill, self.at, told.verdict, str(told.seed), sha256(self.source_bytes).digest()

    @property
    def rest(self) -> tuple[str, int, int, bytes]:
        """What may differ between two records of one attempt, were somebody to change them; in this order."""
        return self.clock, self.turn, self.hints_used, bytes(self.result)


class SavedHint(Part):
    """How many hints were shown in one round of practice; since: the end of the round before."""

    drill: Name
    since: str
    shown: Small


class SavedLook(Part):
    """A look at the reference solution."""

    drill: Name
    at: str


class SavedAnswer(Part):
    """One answer to a question."""

    drill: Name
    question: Name
    at: str
    clock: str
    turn: Count
    rating: Rating
    points: Annotated[list[Annotated[int, msgspec.Meta(ge=1, le=1000)]], msgspec.Meta(max_length=1000)]
    points_total: Small
    lang: Annotated[str, msgspec.Meta(max_length=20)]
    answer: str

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells an answer from every other."""
        return self.drill, self.question, self.at, self.rating, self.answer

    @property
    def rest(self) -> tuple[str, int, list[int], int, str]:
        """As of an attempt."""
        return self.clock, self.turn, self.points, self.points_total, self.lang


class Document(Part):
    """The whole of it."""

    version: int = msgspec.field(name="llm-drills")
    attempts: list[SavedAttempt] = []
    hints: list[SavedHint] = []
    solutions_seen: list[SavedLook] = []
    answers: list[SavedAnswer] = []
    reviews: msgspec.Raw = msgspec.Raw(b'{"drills":[],"questions":[]}')


class _Check(msgspec.Struct, frozen=True):
    id: str
    outcome: str


class _Found(msgspec.Struct, frozen=True):
    mistake: str


class Judged(msgspec.Struct, frozen=True):
    """What the store needs of a result."""

    verdict: Verdict
    seed: int | None = None
    duration_ms: float = 0.0
    checks: list[_Check] = []
    diagnosis: list[_Found] = []


def judged(result: bytes | msgspec.Raw) -> Judged:
    """Raises msgspec.MsgspecError."""
    return msgspec.json.decode(result, type=Judged)


def source_of(source: bytes) -> str | Binary:
    """A source as it stands in a document."""
    try:
        return source.decode()
    except UnicodeDecodeError:
        return Binary(base64=b64encode(source).decode())


def result_of(text: str) -> msgspec.Raw:
    """A result as it stands in a document: the same for the same result, and Unicode where a learner printed none."""
    value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _finite(text: str) -> float | None:
    """JSON has no name for what is too large for a float."""
    value = float(text)
    return value if isfinite(value) else None


def encode(document: Document) -> bytes:
    """As it is written to a file."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
