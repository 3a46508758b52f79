"""Which attempts are reviews: the tables `reviews` and `drill_state`, kept in the attempt's own transaction.

A round of practice ends with a rated pass: the first one, or the first after the drill was due again. Passes
ahead of time change no date, and a drill that was failed when due stays due until it is passed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from grader import review
from grader.stamps import stamp

if TYPE_CHECKING:
    import sqlite3


def update(database: sqlite3.Connection, slug: str, passed: bool, at: datetime) -> None:
    """Take the attempt just recorded into account: rate the review that it is, if it is one."""
    row: tuple[Any, ...] | None = database.execute(
        "SELECT card, due, lapsed, round_from FROM reviews WHERE slug = ?", (slug,)
    ).fetchone()
    if row is None:
        if passed:  # before the first pass there is nothing to forget
            _rate(database, slug, passed, at, card=None, due=None, round_from=0)
        return
    card, due, lapsed, round_from = row
    if lapsed:  # rated already, as the fail
        if passed:
            _close_round(database, slug, at)
    elif due <= stamp(at):
        _rate(database, slug, passed, at, card, due, round_from)
    elif passed:
        database.execute("UPDATE reviews SET passed_at = ? WHERE slug = ?", (stamp(at), slug))


def _rate(
    database: sqlite3.Connection,
    slug: str,
    passed: bool,
    at: datetime,
    card: str | None,
    due: str | None,
    round_from: int,
) -> None:
    hints, seen_at = database.execute(
        "SELECT max(hints_shown), max(solution_seen_at) FROM drill_state WHERE slug = ?", (slug,)
    ).fetchone()
    (fails,) = database.execute(
        "SELECT count(*) FROM attempts WHERE slug = ? AND id > ? AND verdict = 'failed'", (slug, round_from)
    ).fetchone()
    # To compare with the reference after a pass is good practice: only a look since it was due counts.
    seen = seen_at is not None and (due is None or seen_at >= due)
    rating = review.rate(passed=passed, fails=fails, hints=hints or 0, solution_seen=seen)
    card, next_due = review.schedule(card, rating, at)
    database.execute(
        "INSERT INTO reviews (slug, card, due, lapsed, seen) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (slug) DO UPDATE SET"
        " card = excluded.card, due = excluded.due, lapsed = excluded.lapsed, seen = excluded.seen",
        (slug, card, stamp(next_due), int(not passed), int(seen)),
    )
    if passed:
        _close_round(database, slug, at)


def _close_round(database: sqlite3.Connection, slug: str, at: datetime) -> None:
    database.execute(
        "UPDATE reviews SET lapsed = 0, passed_at = ?, round_from = (SELECT max(id) FROM attempts) WHERE slug = ?",
        (stamp(at), slug),
    )
    database.execute("UPDATE drill_state SET hints_shown = 0 WHERE slug = ?", (slug,))
