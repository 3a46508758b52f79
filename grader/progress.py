"""The learner's progress: attempts, hints and solutions looked at, reviews; in the workspace's `progress.db`.

Each write is one transaction that is on the disk when the call returns: an attempt that was reported as
recorded is there after a kill or a power cut. That costs a few milliseconds an attempt. Where the database
cannot be used, ProgressUnavailable says why; a command shows that as a warning and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from grader.errors import ProgressUnavailable
from grader.stamps import moment, stamp

if TYPE_CHECKING:
    import sqlite3

    from grader.database import Database
    from grader.stats import Stats

__all__ = ["Attempt", "DrillState", "Progress", "ProgressUnavailable", "State"]

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


class Progress:
    """The store of one workspace, for one thread. Close it, or use it in a `with`.

    Nothing is opened before the first use, and reading a store that does not exist makes none.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: Database | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._open is not None:
            self._open.close()

    @property
    def warnings(self) -> list[str]:
        """Sentences that the learner should see: a damaged store was put aside."""
        return self._open.warnings if self._open else []

    def record_attempt(self, slug: str, result: Mapping[str, Any], source: bytes, at: datetime | None = None) -> int:
        """Record a graded submission and what follows for its reviews. Returns the attempt's id.

        result: one entry of `results` in `grader check --json`. An `error` is kept but counts as no attempt.
        """
        import json
        import zlib

        from grader import rounds

        at = at or datetime.now(UTC)
        checks = result.get("checks", ())
        seed = result.get("seed")
        columns = {
            "slug": slug,
            "at": stamp(at),
            "verdict": result["verdict"],
            "seed": None if seed is None else str(seed),
            "duration_ms": float(result.get("duration_ms", 0.0)),
            "checks_passed": sum(check["outcome"] == "passed" for check in checks),
            "failed_checks": json.dumps([c["id"] for c in checks if c["outcome"] not in ("passed", "not_run")]),
            "mistakes": json.dumps([entry["mistake"] for entry in result.get("diagnosis", ())]),
            "source": zlib.compress(source),
            "result": json.dumps(result),
        }

        def record(database: sqlite3.Connection) -> int:
            identity = database.execute(_RECORD, columns).lastrowid
            if result["verdict"] != "error":
                rounds.update(database, slug, result["verdict"] == "passed", at)
            return identity or 0

        return self._database().write(record)

    def record_hint(self, slug: str, shown: int) -> None:
        """Record that the first `shown` hints have been shown."""
        statement = (
            "INSERT INTO drill_state (slug, hints_shown) VALUES (?, ?)"
            " ON CONFLICT (slug) DO UPDATE SET hints_shown = max(hints_shown, excluded.hints_shown)"
        )
        self._database().write(lambda database: database.execute(statement, (slug, shown)))

    def record_solution_seen(self, slug: str, at: datetime | None = None) -> None:
        """Record a look at the reference solution."""
        statement = (
            "INSERT INTO drill_state (slug, solution_seen_at) VALUES (?, ?)"
            " ON CONFLICT (slug) DO UPDATE SET solution_seen_at = excluded.solution_seen_at"
        )
        seen_at = stamp(at or datetime.now(UTC))
        self._database().write(lambda database: database.execute(statement, (slug, seen_at)))

    def states(self, now: datetime | None = None) -> dict[str, DrillState]:
        """How the learner stands with each drill that anything is known of."""
        rows = self._rows(_STATES)
        at = stamp(now or datetime.now(UTC))
        return {row[0]: _state(row, at) for row in rows}

    def stats(self, now: datetime | None = None) -> Stats:
        """Totals, streak, practice by day, weakest checks. Days are in the time zone of `now`, else local."""
        from grader.stats import summarise

        return summarise(self._rows(_JUDGED), now)

    def attempts(self, slug: str, limit: int = 20) -> list[Attempt]:
        """The latest attempts at a drill, newest first."""
        return [_attempt(row) for row in self._rows(_LATEST, slug, limit)]

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if not self._file.exists():
            return []
        return self._database().read(lambda database: database.execute(query, values).fetchall())

    def _database(self) -> Database:
        from grader.database import (
            Database,
        )  # SQLite is wanted only where there is something to read or write

        if self._open is None:
            self._open = Database(self._file)
        return self._open


_RECORD = """
INSERT INTO attempts (
  slug, at, verdict, seed, duration_ms, hints_used, checks_passed, failed_checks, mistakes, source, result
)
VALUES (:slug, :at, :verdict, :seed, :duration_ms,
  coalesce((SELECT hints_shown FROM drill_state WHERE slug = :slug), 0),
  :checks_passed, :failed_checks, :mistakes, :source, :result)
"""

_STATES = """
SELECT slug, tries, verdict, passed_at, due, lapsed, seen, hints_shown, solution_seen_at
FROM (SELECT slug FROM attempts UNION SELECT slug FROM drill_state)
LEFT JOIN (
  -- beside a max(), SQLite takes the other columns from that row: the latest attempt's verdict
  SELECT slug, count(*) AS tries, verdict, max(id) FROM attempts WHERE verdict != 'error' GROUP BY slug
) USING (slug)
LEFT JOIN reviews USING (slug)
LEFT JOIN drill_state USING (slug)
"""

_JUDGED = """
SELECT slug, at, verdict, checks_passed, failed_checks, mistakes
FROM attempts WHERE verdict != 'error' ORDER BY id
"""

_LATEST = """
SELECT id, slug, at, verdict, seed, duration_ms, hints_used, failed_checks, mistakes, source, result
FROM attempts WHERE slug = ? ORDER BY id DESC LIMIT ?
"""


def _state(row: tuple[Any, ...], now: str) -> DrillState:
    _, tries, last_verdict, passed_at, due, lapsed, seen, hints, solution_seen_at = row
    state: State = "tried" if tries else "new"
    if due is not None:
        state = "due" if lapsed or due <= now else "seen" if seen else "passed"
    return DrillState(
        state=state,
        attempts=tries or 0,
        last_verdict=last_verdict,
        passed_at=moment(passed_at),
        due_at=moment(due),
        hints=hints or 0,
        solution_seen_at=moment(solution_seen_at),
    )


def _attempt(row: tuple[Any, ...]) -> Attempt:
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
