"""Two histories of practice made one: nothing of either is lost, and it does not matter which came first."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from grader import history, rounds

if TYPE_CHECKING:
    import sqlite3

    from grader.document import Document, SavedAnswer, SavedAttempt

Saved = TypeVar("Saved", "SavedAttempt", "SavedAnswer")


@dataclass(frozen=True)
class Added:
    """What was new."""

    attempts: int = 0
    answers: int = 0
    hints: int = 0
    solutions_seen: int = 0


def merge(database: sqlite3.Connection, document: Document) -> Added:
    """Add what the database does not have yet, and work all reviews out again. In a transaction."""
    added = Added(
        attempts=_add_attempts(database, document.attempts),
        answers=_add_answers(database, document.answers),
        hints=_changes(
            database,
            "INSERT INTO hints (slug, since, shown) VALUES (?, ?, ?) ON CONFLICT (slug, since)"
            " DO UPDATE SET shown = excluded.shown WHERE excluded.shown > shown",
            ((hint.drill, hint.since, hint.shown) for hint in document.hints),
        ),
        solutions_seen=_changes(
            database, history.ADD_LOOK, ((look.drill, look.at) for look in document.solutions_seen)
        ),
    )
    for (slug,) in database.execute("SELECT DISTINCT slug FROM attempts").fetchall():
        rounds.rebuild_drill(database, slug)
    for slug, question in database.execute("SELECT DISTINCT slug, question FROM answers").fetchall():
        rounds.rebuild_question(database, slug, question)
    return added


def _add_attempts(database: sqlite3.Connection, theirs: Iterable[SavedAttempt]) -> int:
    wanted, replaced, added = _missing(history.saved_attempts(database), theirs)
    database.executemany("DELETE FROM attempts WHERE id = ?", replaced)
    for attempt in wanted:
        place = {"slug": attempt.drill, "at": attempt.at, "clock": attempt.clock, "turn": attempt.turn}
        columns = history.columns(json.loads(bytes(attempt.result)), attempt.source_bytes)
        database.execute(history.ADD_ATTEMPT, {**place, "hints_used": attempt.hints_used, **columns})
    return added


def _add_answers(database: sqlite3.Connection, theirs: Iterable[SavedAnswer]) -> int:
    import msgspec

    wanted, replaced, added = _missing(history.saved_answers(database), theirs)
    database.executemany("DELETE FROM answers WHERE id = ?", replaced)
    for answer in wanted:
        columns = msgspec.structs.asdict(answer)
        columns["slug"] = columns.pop("drill")
        database.execute(history.ADD_ANSWER, {**columns, "points": json.dumps(answer.points)})
    return added


def _missing(ours: Iterable[tuple[int, Saved]], theirs: Iterable[Saved]) -> tuple[list[Saved], list[tuple[int]], int]:
    """What to write, the ids of what it stands in for, and how much of it is new.

    Two records of the same identity are one, and of two that still differ the lesser stays. Where one side has the same
    identity several times, the first is compared with the first, the second with the second, and so on.
    """
    known, told = defaultdict(list), defaultdict(list)
    for number, record in ours:
        known[record.identity].append((record.rest, number))
    for record in theirs:
        told[record.identity].append(record)
    wanted: list[Saved] = []
    replaced: list[tuple[int]] = []
    added = 0
    for identity, records in told.items():
        mine = sorted(known[identity])
        for place, record in enumerate(sorted(records, key=lambda each: each.rest)):
            if place >= len(mine):
                added += 1
            elif record.rest < mine[place][0]:
                replaced.append((mine[place][1],))
            else:
                continue
            wanted.append(record)
    return wanted, replaced, added


def _changes(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
    return sum(database.execute(statement, row).rowcount for row in rows)
