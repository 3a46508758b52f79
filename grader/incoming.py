"""Reading a document of progress. It may come from anywhere: nothing in it is believed before it has been looked at.

Reading one takes no more room than a few times its size, and what is read, the store can take.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from grader.document import VERSION, Binary, Document, SavedAnswer, SavedAttempt, judged, result_of, source_of
from grader.errors import BadInput
from grader.stamps import stamp
from grader.submission import MAX_BYTES as SOURCE_BYTES

MAX_BYTES = 128 << 20  # some ten thousand attempts
_RESULT_BYTES = 8 << 20
_DEPTH = 32  # of a result; what is nested deeper than a reader can follow would be in the way for good
_ADVICE = "Nothing was changed. Make a new file on the machine that it came from: drills export FILE"


class _Head(msgspec.Struct, frozen=True):
    version: msgspec.Raw = msgspec.field(name="llm-drills", default=msgspec.Raw(b""))


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
