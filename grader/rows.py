"""What `grader.progress` hands out, and how it is read from the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from grader.review import Rating
from grader.stamps import moment

State = Literal["new", "tried", "passed", "due", "seen"]


@dataclass(frozen=True)
class DrillState:
    """How the learner stands with one drill. A drill that nothing is known of is `DrillState()`.

    `due` is a passed drill that is to be practised again, `seen` a pass after a look at the solution. `hints`
    are those shown since the last review.
    """

    state: State = "new"
    attempts: int = 0
    last_verdict: str | None = None
    passed_at: datetime | None = None  # the latest pass
    due_at: datetime | None = None
    hints: int = 0
    solution_seen_at: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """One graded submission."""

    id: int
    slug: str
    at: datetime
    verdict: str
    seed: int | None
    duration_ms: float
    hints_used: int
    failed_checks: tuple[str, ...]
    mistakes: tuple[str, ...]
    source: bytes
    result: dict[str, Any]  # as in `grader check --json`


@dataclass(frozen=True)
class QuestionCard:
    """How the learner stands with one question that was answered at least once."""

    due_at: datetime
    card: str  # JSON of the fsrs library


@dataclass(frozen=True)
class Answer:
    """One answer to a question, which is a review of it."""

    slug: str
    question: str
    at: datetime
    rating: Rating
    points: tuple[int, ...]  # the key points that were named, counted from 1
    points_total: int
    lang: str
    text: str  # as typed; empty where it was thought or said


HINTS = """
SELECT max(shown) FROM hints WHERE slug = :slug
  AND since >= coalesce((SELECT closed_at FROM reviews WHERE slug = :slug), '')
"""

STATES = """
SELECT slug, tries, verdict, passed_at, due, lapsed, seen, hints, looked_at
FROM (SELECT slug FROM attempts UNION SELECT slug FROM hints UNION SELECT slug FROM looks)
LEFT JOIN (
  -- beside a max(), SQLite takes the other columns from that row: the latest attempt's verdict
  SELECT slug, count(*) AS tries, verdict, max(clock || printf(' %09d ', turn) || verdict)
  FROM attempts WHERE verdict != 'error' GROUP BY slug
) USING (slug)
LEFT JOIN reviews USING (slug)
LEFT JOIN (SELECT slug, max(at) AS looked_at FROM looks GROUP BY slug) USING (slug)
LEFT JOIN (
  SELECT hints.slug AS slug, max(shown) AS hints FROM hints LEFT JOIN reviews ON reviews.slug = hints.slug
  WHERE since >= coalesce(closed_at, '') GROUP BY hints.slug
) USING (slug)
"""

JUDGED = """
SELECT slug, at, verdict, checks_passed, failed_checks, mistakes
FROM attempts WHERE verdict != 'error' ORDER BY clock, turn, verdict
"""

LATEST = """
SELECT id, slug, at, verdict, seed, duration_ms, hints_used, failed_checks, mistakes, source, result
FROM attempts WHERE slug = ? ORDER BY clock DESC, turn DESC, verdict DESC, id DESC LIMIT ?
"""

ANSWERS = """
SELECT slug, question, at, rating, points, points_total, lang, answer
FROM answers ORDER BY clock DESC, turn DESC, slug, question, id DESC
"""


def state(row: tuple[Any, ...], now: str) -> DrillState:
    """Of a row of STATES; now: a stamp."""
    _, tries, last_verdict, passed_at, due, lapsed, seen, hints, looked_at = row
    known: State = "tried" if tries else "new"
    if due is not None:
        known = "due" if lapsed or due <= now else "seen" if seen else "passed"
    return DrillState(
        state=known,
        attempts=tries or 0,
        last_verdict=last_verdict,
        passed_at=moment(passed_at),
        due_at=moment(due),
        hints=hints or 0,
        solution_seen_at=moment(looked_at),
    )


def attempt(row: tuple[Any, ...]) -> Attempt:
    """Of a row of LATEST."""
    import json
    import zlib

    identity, slug, at, verdict, seed, duration_ms, hints_used, failed, mistakes, source, result = row
    return Attempt(
        id=identity,
        slug=slug,
        at=datetime.fromisoformat(at),
        verdict=verdict,
        seed=None if seed is None else int(seed),
        duration_ms=duration_ms,
        hints_used=hints_used,
        failed_checks=tuple(json.loads(failed)),
        mistakes=tuple(json.loads(mistakes)),
        source=zlib.decompress(source),
        result=json.loads(result),
    )


def answer(row: tuple[Any, ...]) -> Answer:
    """Of a row of ANSWERS."""
    import json

    slug, question, at, rating, points, total, lang, text = row
    return Answer(slug, question, datetime.fromisoformat(at), rating, tuple(json.loads(points)), total, lang, text)
