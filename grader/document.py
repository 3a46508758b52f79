"""Progress as one JSON document, to be taken to another machine: `drills export` writes it, `drills import` reads it.

It holds the history: attempts with source and result, hints, looks at solutions, answers to questions. The `reviews` in
it are for people to read; who imports works them out again. A document may come from anywhere, so nothing in it is
believed before it has been looked at, and reading it takes no more room than a few times its size.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec.structs import replace

from grader.errors import BadInput
from grader.results import Verdict
from grader.review import Rating
from grader.stamps import stamp
from grader.submission import MAX_BYTES as SOURCE_BYTES

VERSION = 1
MAX_BYTES = 128 << 20  # some ten thousand attempts
_RESULT_BYTES = 8 << 20
_DEPTH = 32  # of a result; what is nested deeper than a reader can follow would be in the way for good
_ADVICE = "Nothing was changed. Make a new file on the machine that it came from: drills export FILE"

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


class _Head(msgspec.Struct, frozen=True):
    version: msgspec.Raw = msgspec.field(name="llm-drills", default=msgspec.Raw(b""))


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


def decode(content: bytes, name: str) -> Document:
    """The document in a file of this name. Raises BadInput for all that is not one, whole and sound."""
    if len(content) > MAX_BYTES:
        raise BadInput(f"{name} is larger than {MAX_BYTES >> 20} MiB.", "No export is that large.")
    _refuse_other_versions(content, name)
    try:
        document = msgspec.json.decode(content, type=Document)
        attempts = [_sound_attempt(attempt, place) for place, attempt in enumerate(document.attempts)]
        answers = [_sound_answer(answer, place) for place, answer in enumerate(document.answers)]
        hints = [
            replace(hint, since=_moment(hint.since, f"hints[{place}].since") if hint.since else "")
            for place, hint in enumerate(document.hints)
        ]
        looks = [
            replace(look, at=_moment(look.at, f"solutions_seen[{place}].at"))
            for place, look in enumerate(document.solutions_seen)
        ]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadInput(f"{name} is damaged: {_told(error)}.", _ADVICE) from None
    return replace(document, attempts=attempts, answers=answers, hints=hints, solutions_seen=looks)


def _refuse_other_versions(content: bytes, name: str) -> None:
    try:
        version = bytes(msgspec.json.decode(content, type=_Head).version)
    except msgspec.ValidationError:
        version = b""
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadInput(f"{name} is not an export, or it is damaged: {_told(error)}.", _ADVICE) from None
    if version == str(VERSION).encode():
        return
    if version.isdigit() and 0 < len(version) < 10 and int(version) > VERSION:
        raise BadInput(f"{name} was written by a newer llm-drills.", "Upgrade this one to import it.")
    raise BadInput(f"{name} is not an export of llm-drills.", "`drills export FILE` makes one.")


def _told(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")


def _moment(text: str, where: str) -> str:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and 1970 <= at.year <= 9998:
            return stamp(at.astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"`$.{where}` is not a moment")


def _sound_attempt(attempt: SavedAttempt, place: int) -> SavedAttempt:
    where = f"attempts[{place}]"
    try:
        source = attempt.source.encode() if isinstance(attempt.source, str) else _bytes(attempt.source)
    except (ValueError, binascii.Error):
        raise ValueError(f"`$.{where}.source` is not base64") from None
    if len(source) > SOURCE_BYTES:
        raise ValueError(f"`$.{where}.source` is larger than {SOURCE_BYTES >> 20} MiB")
    result = _sound_result(bytes(attempt.result), f"{where}.result")
    return replace(
        attempt,
        source=source_of(source),
        at=_moment(attempt.at, f"{where}.at"),
        clock=_moment(attempt.clock, f"{where}.clock"),
        result=result,
    )


def _bytes(source: Binary) -> bytes:
    return b64decode(source.base64, validate=True)


def _sound_result(content: bytes, where: str) -> msgspec.Raw:
    if len(content) > _RESULT_BYTES:
        raise ValueError(f"`$.{where}` is larger than {_RESULT_BYTES >> 20} MiB")
    result = result_of(content.decode())
    try:
        told = judged(result)
    except msgspec.MsgspecError as error:
        raise ValueError(f"`$.{where}`: {error}") from None
    if told.seed is not None and abs(told.seed) >= 1 << 64:
        raise ValueError(f"`$.{where}.seed` has more than 64 bits")
    level: list[Any] = [json.loads(bytes(result))]
    for _ in range(_DEPTH):
        level = list(_inside(level))
    if level:
        raise ValueError(f"`$.{where}` is nested too deeply")
    return result


def _inside(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def _sound_answer(answer: SavedAnswer, place: int) -> SavedAnswer:
    where = f"answers[{place}]"
    return replace(
        answer,
        at=_moment(answer.at, f"{where}.at"),
        clock=_moment(answer.clock, f"{where}.clock"),
        points=sorted(set(answer.points)),
    )
