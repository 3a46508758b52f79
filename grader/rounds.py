"""Which attempts are reviews, and what follows for the date of the next: worked out from the history alone.

A round of practice ends with a rated pass: the first one, or the first after the drill was due again. Passes
ahead of time change no date, and a drill that was failed when due stays due until it is passed.

The tables `reviews` and `question_cards` hold what is worked out here, and nothing else. They are written anew, for the
drill or question concerned, in the transaction that adds to the history. So it makes no difference on which machine
something was practised, or in which order two histories became one.

Within a drill, and within a question, time never runs backwards: what is recorded by a clock that was set back counts
as of the latest moment there (`clock`), after what is there of that moment (`turn`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from grader import review
from grader.stamps import moment, stamp

if TYPE_CHECKING:
    import sqlite3

TICK = timedelta(milliseconds=1)


class Try(NamedTuple):
    """What counts of an attempt. In the order of time, and the same order on every machine."""

    clock: str
    turn: int
    verdict: str  # passed or failed
    hints: int  # shown since the round began


@dataclass
class Round:
    """How the reviews of a drill stand after some of its attempts."""

    card: str | None = None
    due: str = ""
    lapsed: bool = False
    seen: bool = False
    passed_at: str | None = None
    closed_at: str | None = None
    fails: int = 0
    hints: int = 0

    def take(self, attempt: Try, looks: Iterable[str]) -> None:
        """Take the next attempt into account: rate the review that it is, if it is one."""
        passed = attempt.verdict == "passed"
        self.hints = max(self.hints, attempt.hints)
        self.fails += not passed
        if self.card is None:
            if passed:  # before the first pass there is nothing to forget
                self._rate(attempt.clock, passed, looks)
        elif self.lapsed:  # rated already, as the fail
            if passed:
                self._close(attempt.clock)
        elif self.due <= attempt.clock:
            self._rate(attempt.clock, passed, looks)
        elif passed:
            self.passed_at = attempt.clock

    def _rate(self, clock: str, passed: bool, looks: Iterable[str]) -> None:
        # To compare with the reference after a pass is good practice: only a look since it was due counts.
        self.seen = any(self.due <= look <= clock for look in looks)
        rating = review.rate(passed=passed, fails=self.fails, hints=self.hints, solution_seen=self.seen)
        self.card, due = review.schedule(self.card, rating, datetime.fromisoformat(clock))
        self.due = stamp(due)
        self.lapsed = not passed
        if passed:
            self._close(clock)

    def _close(self, clock: str) -> None:
        self.lapsed = False
        self.passed_at = self.closed_at = clock
        self.fails = self.hints = 0


def replay(attempts: Iterable[Try], looks: Iterable[str]) -> Round:
    """How the reviews of a drill stand. looks: when the solution was looked at, as stamps."""
    standing, seen = Round(), tuple(looks)
    for attempt in sorted(attempts):
        standing.take(attempt, seen)
    return standing


def place_attempt(database: sqlite3.Connection, slug: str, at: datetime) -> tuple[str, int]:
    """Clock and turn of an attempt that is about to be recorded."""
    (look,) = database.execute("SELECT max(at) FROM looks WHERE slug = ?", (slug,)).fetchone()
    last = database.execute(
        "SELECT clock, turn FROM attempts WHERE slug = ? ORDER BY clock DESC, turn DESC", (slug,)
    ).fetchone()
    return _place(max(stamp(at), look or ""), last)


def place_answer(database: sqlite3.Connection, slug: str, question: str, at: datetime) -> tuple[str, int]:
    """Clock and turn of an answer that is about to be recorded."""
    last = database.execute(
        "SELECT clock, turn FROM answers WHERE slug = ? AND question = ? ORDER BY clock DESC, turn DESC",
        (slug, question),
    ).fetchone()
    return _place(stamp(at), last)


def place_look(database: sqlite3.Connection, slug: str, at: datetime) -> str:
    """The moment of a look at the solution: after the attempts that are recorded, whatever the clock says."""
    last = moment(database.execute("SELECT max(clock) FROM attempts WHERE slug = ?", (slug,)).fetchone()[0])
    return stamp(at) if last is None or stamp(at) > stamp(last) else stamp(last + TICK)


def _place(clock: str, last: tuple[str, int] | None) -> tuple[str, int]:
    if last is None or last[0] < clock:
        return clock, 0
    return last[0], last[1] + 1


def rebuild_drill(database: sqlite3.Connection, slug: str) -> None:
    """Work out the reviews of a drill."""
    attempts = database.execute(
        "SELECT clock, turn, verdict, hints_used FROM attempts WHERE slug = ? AND verdict != 'error'", (slug,)
    )
    looks = database.execute("SELECT at FROM looks WHERE slug = ?", (slug,))
    standing = replay((Try(*row) for row in attempts), (row[0] for row in looks))
    database.execute("DELETE FROM reviews WHERE slug = ?", (slug,))
    if standing.card is not None:
        database.execute(
            "INSERT INTO reviews (slug, card, due, lapsed, seen, passed_at, closed_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                slug,
                standing.card,
                standing.due,
                int(standing.lapsed),
                int(standing.seen),
                standing.passed_at,
                standing.closed_at,
            ),
        )


def rebuild_question(database: sqlite3.Connection, slug: str, question: str) -> None:
    """Work out the card of a question."""
    answers = database.execute(
        "SELECT clock, turn, rating FROM answers WHERE slug = ? AND question = ?", (slug, question)
    ).fetchall()
    card, due = None, None
    for clock, _, rating in sorted(answers):
        card, due = review.schedule(card, rating, datetime.fromisoformat(clock))
    if card is not None and due is not None:
        database.execute(
            "INSERT OR REPLACE INTO question_cards (slug, question, card, due) VALUES (?, ?, ?, ?)",
            (slug, question, card, stamp(due)),
        )
