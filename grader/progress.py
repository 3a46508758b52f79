"""The learner's progress: attempts, hints and solutions looked at, answers, reviews; in the workspace's `progress.db`.

Each write is one transaction that is on the disk when the call returns: an attempt that was reported as
recorded is there after a kill or a power cut. That costs a few milliseconds an attempt. Where the database
cannot be used, ProgressUnavailable says why; a command shows that as a warning and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from grader import rows
from grader.errors import ProgressUnavailable
from grader.review import Rating
from grader.rows import Answer, Attempt, DrillState, QuestionCard, State
from grader.stamps import stamp

if TYPE_CHECKING:
    import sqlite3

    from grader.database import Database
    from grader.document import Document
    from grader.merging import Added
    from grader.stats import Stats

__all__ = ["Answer", "Attempt", "DrillState", "Progress", "ProgressUnavailable", "QuestionCard", "State"]


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
        from grader import history, rounds

        at = at or datetime.now(UTC)

        def record(database: sqlite3.Connection) -> int:
            clock, turn = rounds.place_attempt(database, slug, at)
            (hints,) = database.execute(rows.HINTS, {"slug": slug}).fetchone()
            moments = {"slug": slug, "at": stamp(at), "clock": clock, "turn": turn, "hints_used": hints or 0}
            identity = database.execute(history.ADD_ATTEMPT, moments | history.columns(result, source)).lastrowid
            if result["verdict"] != "error":
                rounds.rebuild_drill(database, slug)
            return identity or 0

        return self._database().write(record)

    def record_hint(self, slug: str, shown: int) -> None:
        """Record that the first `shown` hints have been shown."""
        from grader import history

        self._database().write(lambda database: database.execute(history.ADD_HINT, {"slug": slug, "shown": shown}))

    def record_solution_seen(self, slug: str, at: datetime | None = None) -> None:
        """Record a look at the reference solution."""
        from grader import history, rounds

        at = at or datetime.now(UTC)
        self._database().write(
            lambda database: database.execute(history.ADD_LOOK, (slug, rounds.place_look(database, slug, at)))
        )

    def record_answer(
        self,
        slug: str,
        question: str,
        rating: Rating,
        *,
        points: Sequence[int] = (),
        points_total: int = 0,
        lang: str = "en",
        text: str = "",
        at: datetime | None = None,
    ) -> None:
        """Record an answer to a question, as the learner rated it. points: those named, counted from 1."""
        import json

        from grader import history, rounds

        at = at or datetime.now(UTC)

        def record(database: sqlite3.Connection) -> None:
            clock, turn = rounds.place_answer(database, slug, question, at)
            columns = {
                "slug": slug,
                "question": question,
                "at": stamp(at),
                "clock": clock,
                "turn": turn,
                "rating": rating,
                "points": json.dumps(sorted(set(points))),
                "points_total": points_total,
                "lang": lang,
                "answer": text.encode(errors="replace").decode(),
            }
            database.execute(history.ADD_ANSWER, columns)
            rounds.rebuild_question(database, slug, question)

        self._database().write(record)

    def states(self, now: datetime | None = None) -> dict[str, DrillState]:
        """How the learner stands with each drill that anything is known of."""
        at = stamp(now or datetime.now(UTC))
        return {row[0]: rows.state(row, at) for row in self._rows(rows.STATES)}

    def stats(self, now: datetime | None = None) -> Stats:
        """Totals, streak, practice by day, weakest checks. Days are in the time zone of `now`, else local."""
        from grader.stats import summarise

        return summarise(self._rows(rows.JUDGED), now)

    def attempts(self, slug: str, limit: int = 20) -> list[Attempt]:
        """The latest attempts at a drill, newest first. A limit below 0 is none."""
        return [rows.attempt(row) for row in self._rows(rows.LATEST, slug, limit)]

    def drill_cards(self) -> dict[str, str]:
        """The card (JSON) of every drill that was passed."""
        return dict(self._rows("SELECT slug, card FROM reviews"))

    def question_cards(self) -> dict[tuple[str, str], QuestionCard]:
        """How the learner stands with each question that was answered, by drill and id."""
        found = self._rows("SELECT slug, question, due, card FROM question_cards")
        return {
            (slug, question): QuestionCard(datetime.fromisoformat(due), card) for slug, question, due, card in found
        }

    def answers(self) -> list[Answer]:
        """All answers to questions, newest first."""
        return [rows.answer(row) for row in self._rows(rows.ANSWERS)]

    def export(self) -> Document:
        """All that is known, to be taken along."""
        from grader import document, history

        if not self._file.exists():
            return document.Document(version=document.VERSION)
        return self._database().read(history.collect)

    def merge(self, document: Document) -> Added:
        """Add what is not known yet of another machine's progress: all of it, or nothing."""
        from grader.merging import merge

        return self._database().write(lambda database: merge(database, document))

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if not self._file.exists():
            return []
        return self._database().read(lambda database: database.execute(query, values).fetchall())

    def _database(self) -> Database:
        from grader.database import Database  # SQLite is wanted only where there is something to read or write

        if self._open is None:
            self._open = Database(self._file)
        return self._open
