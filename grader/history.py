"""How the history of practice is written to the database, and read to be taken along."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

    from grader.document import Document, SavedAnswer, SavedAttempt

ADD_ATTEMPT = """
INSERT INTO attempts (
  slug, at, clock, turn, verdict, seed, duration_ms, hints_used, checks_passed, failed_checks, mistakes, source, result
)
VALUES (
  :slug, :at, :clock, :turn, :verdict, :seed, :duration_ms, :hints_used, :checks_passed, :failed_checks, :mistakes,
  :source, :result
)
"""

ADD_HINT = """
INSERT INTO hints (slug, since, shown)
VALUES (:slug, coalesce((SELECT closed_at FROM reviews WHERE slug = :slug), ''), :shown)
ON CONFLICT (slug, since) DO UPDATE SET shown = max(shown, excluded.shown)
"""

ADD_LOOK = "INSERT OR IGNORE INTO looks (slug, at) VALUES (?, ?)"

ADD_ANSWER = """
INSERT INTO answers (slug, question, at, clock, turn, rating, points, points_total, lang, answer)
VALUES (:slug, :question, :at, :clock, :turn, :rating, :points, :points_total, :lang, :answer)
"""

_ATTEMPTS = "SELECT id, slug, at, clock, turn, hints_used, source, result FROM attempts"
_ANSWERS = "SELECT id, slug, question, at, clock, turn, rating, points, points_total, lang, answer FROM answers"


def columns(result: Mapping[str, Any], source: bytes) -> dict[str, object]:
    """What a result and its source give for a row of attempts."""
    checks = result.get("checks", ())
    seed = result.get("seed")
    return {
        "verdict": result["verdict"],
        "seed": None if seed is None else str(seed),
        "duration_ms": float(result.get("duration_ms", 0.0)),
        "checks_passed": sum(check["outcome"] == "passed" for check in checks),
        "failed_checks": json.dumps([c["id"] for c in checks if c["outcome"] not in ("passed", "not_run")]),
        "mistakes": json.dumps([entry["mistake"] for entry in result.get("diagnosis", ())]),
        "source": zlib.compress(source),
        "result": json.dumps(result),
    }


def saved_attempts(database: sqlite3.Connection) -> Iterator[tuple[int, SavedAttempt]]:
    """Every attempt, with its id in this database."""
    from grader.document import SavedAttempt, result_of, source_of

    for identity, slug, at, clock, turn, hints_used, source, result in database.execute(_ATTEMPTS):
        yield (
            identity,
            SavedAttempt(
                drill=slug,
                at=at,
                clock=clock,
                turn=turn,
                hints_used=hints_used,
                source=source_of(zlib.decompress(source)),
                result=result_of(result),
            ),
        )


def saved_answers(database: sqlite3.Connection) -> Iterator[tuple[int, SavedAnswer]]:
    """Every answer, with its id in this database."""
    from grader.document import SavedAnswer

    for row in database.execute(_ANSWERS):
        identity, slug, question, at, clock, turn, rating, points, total, lang, text = row
        yield (
            identity,
            SavedAnswer(
                drill=slug,
                question=question,
                at=at,
                clock=clock,
                turn=turn,
                rating=rating,
                points=json.loads(points),
                points_total=total,
                lang=lang,
                answer=text,
            ),
        )


def collect(database: sqlite3.Connection) -> Document:
    """All of it as of one moment. The same history gives the same document."""
    database.execute("BEGIN")
    try:
        return _collect(database)
    finally:
        database.execute("ROLLBACK")  # nothing was written


def _collect(database: sqlite3.Connection) -> Document:
    import msgspec

    from grader.document import VERSION, Document, SavedHint, SavedLook

    attempts = [attempt for _, attempt in saved_attempts(database)]
    answers = [answer for _, answer in saved_answers(database)]
    hints = database.execute("SELECT slug, since, shown FROM hints ORDER BY slug, since")
    looks = database.execute("SELECT slug, at FROM looks ORDER BY slug, at")
    return Document(
        version=VERSION,
        attempts=sorted(attempts, key=lambda each: (each.drill, each.rest, each.identity)),
        answers=sorted(answers, key=lambda each: (each.drill, each.question, each.rest, each.identity)),
        hints=[SavedHint(drill=slug, since=since, shown=shown) for slug, since, shown in hints],
        solutions_seen=[SavedLook(drill=slug, at=at) for slug, at in looks],
        reviews=msgspec.Raw(msgspec.json.encode(_reviews(database))),
    )


def _reviews(database: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    drills = database.execute("SELECT slug, passed_at, due, card FROM reviews ORDER BY slug")
    questions = database.execute("SELECT slug, question, due, card FROM question_cards ORDER BY slug, question")
    return {
        "drills": [
            {"drill": slug, "passed_at": passed_at, "due_at": due, "card": json.loads(card)}
            for slug, passed_at, due, card in drills
        ],
        "questions": [
            {"drill": slug, "question": question, "due_at": due, "card": json.loads(card)}
            for slug, question, due, card in questions
        ],
    }
