"""The SQLite file behind `grader.progress`: opening, transactions, schema, and what is done about damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from grader.errors import ProgressUnavailable

T = TypeVar("T")

# One entry a version of the schema: what brings the one before it there. Entries are only ever added.
MIGRATIONS = (
    """
    CREATE TABLE attempts (
      id INTEGER PRIMARY KEY,
      slug TEXT NOT NULL,
      at TEXT NOT NULL,              -- UTC, ISO 8601, milliseconds
      verdict TEXT NOT NULL,         -- passed, failed, error
      seed TEXT,                     -- may have 64 bits without a sign
      duration_ms REAL NOT NULL,
      hints_used INTEGER NOT NULL,
      checks_passed INTEGER NOT NULL,
      failed_checks TEXT NOT NULL,   -- JSON list of ids
      mistakes TEXT NOT NULL,        -- JSON list of the names diagnosed
      source BLOB NOT NULL,          -- zlib
      result TEXT NOT NULL           -- JSON, as in `grader check --json`
    ) STRICT;
    CREATE INDEX attempts_by_slug ON attempts (slug, id);
    CREATE TABLE drill_state (
      slug TEXT PRIMARY KEY,
      hints_shown INTEGER NOT NULL DEFAULT 0,  -- since the last review
      solution_seen_at TEXT
    ) STRICT;
    CREATE TABLE reviews (
      slug TEXT PRIMARY KEY,         -- from the first pass on
      card TEXT NOT NULL,            -- JSON of the fsrs library
      due TEXT NOT NULL,
      lapsed INTEGER NOT NULL,       -- failed when due, and not passed since
      seen INTEGER NOT NULL,         -- the last review's pass came after a look at the solution
      passed_at TEXT,
      round_from INTEGER NOT NULL DEFAULT 0    -- attempts after this one belong to the next review
    ) STRICT;
    """,
    # The history alone decides on the reviews (grader.rounds), so that two histories can become one. What a round
    # of practice used up is told by moments, for ids differ from machine to machine; what was a look at the solution
    # is kept for good. Of older looks only the last is known, and that there was one before a pass that was `seen`.
    """
    CREATE TABLE in_order (id INTEGER PRIMARY KEY, clock TEXT NOT NULL, turn INTEGER NOT NULL) STRICT;
    INSERT INTO in_order
      SELECT id, clock, row_number() OVER (PARTITION BY slug, clock ORDER BY id) - 1
      FROM (SELECT id, slug, max(at) OVER (PARTITION BY slug ORDER BY id) AS clock FROM attempts);
    -- `at`, or the clock of the attempt before it if that is later
    ALTER TABLE attempts ADD COLUMN clock TEXT NOT NULL DEFAULT '';
    -- counts a drill's attempts of the same clock
    ALTER TABLE attempts ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
    UPDATE attempts SET
      clock = (SELECT clock FROM in_order WHERE in_order.id = attempts.id),
      turn = (SELECT turn FROM in_order WHERE in_order.id = attempts.id);
    CREATE INDEX attempts_in_order ON attempts (slug, clock, turn, verdict, hints_used);
    DROP TABLE in_order;
    CREATE TABLE looks (               -- at the reference solution
      slug TEXT NOT NULL,
      at TEXT NOT NULL,
      PRIMARY KEY (slug, at)
    ) STRICT;
    INSERT INTO looks SELECT slug, solution_seen_at FROM drill_state WHERE solution_seen_at IS NOT NULL;
    INSERT OR IGNORE INTO looks
      SELECT slug, clock FROM reviews JOIN attempts USING (slug)
      WHERE seen AND attempts.id = round_from
        AND NOT EXISTS (SELECT 1 FROM looks WHERE looks.slug = reviews.slug AND looks.at <= clock);
    CREATE TABLE hints (
      slug TEXT NOT NULL,
      since TEXT NOT NULL,             -- the end of the round before (closed_at), empty in the first
      shown INTEGER NOT NULL,
      PRIMARY KEY (slug, since)
    ) STRICT;
    ALTER TABLE reviews RENAME TO older_reviews;
    CREATE TABLE reviews (
      slug TEXT PRIMARY KEY,           -- from the first pass on
      card TEXT NOT NULL,              -- JSON of the fsrs library
      due TEXT NOT NULL,
      lapsed INTEGER NOT NULL,         -- failed when due, and not passed since
      seen INTEGER NOT NULL,           -- the last review's pass came after a look at the solution
      passed_at TEXT,
      closed_at TEXT                   -- the end of the last round of practice: a clock of an attempt
    ) STRICT;
    INSERT INTO reviews
      SELECT slug, card, due, lapsed, seen, passed_at, (SELECT clock FROM attempts WHERE id = round_from)
      FROM older_reviews;
    INSERT INTO hints
      SELECT slug, coalesce(closed_at, ''), hints_shown
      FROM drill_state LEFT JOIN reviews USING (slug) WHERE hints_shown > 0;
    DROP TABLE older_reviews;
    DROP TABLE drill_state;
    CREATE TABLE answers (             -- to questions: each is a review
      id INTEGER PRIMARY KEY,
      slug TEXT NOT NULL,
      question TEXT NOT NULL,
      at TEXT NOT NULL,
      clock TEXT NOT NULL,             -- as of an attempt
      turn INTEGER NOT NULL,
      rating TEXT NOT NULL,            -- again, hard, good, easy
      points TEXT NOT NULL,            -- JSON list: the key points that were named, counted from 1
      points_total INTEGER NOT NULL,
      lang TEXT NOT NULL,
      answer TEXT NOT NULL             -- as typed; empty where it was thought or said
    ) STRICT;
    CREATE INDEX answers_in_order ON answers (slug, question, clock, turn);
    CREATE TABLE question_cards (
      slug TEXT NOT NULL,
      question TEXT NOT NULL,
      card TEXT NOT NULL,
      due TEXT NOT NULL,
      PRIMARY KEY (slug, question)
    ) STRICT;
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)

BUSY_SECONDS = 10.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """An SQLite file that is opened at first use. For one thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self.warnings: list[str] = []

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns. Raises ProgressUnavailable."""
        return self._run(work)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns; what it wrote is on the disk, or nothing is. Raises ProgressUnavailable."""
        return self._run(lambda connection: _in_transaction(connection, work))

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A damaged file is put aside with a warning, and the work done on a new one."""
        try:
            try:
                return work(self._open())
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                    raise
                self.close()
                self._set_aside()
                return work(self._open())
        except (sqlite3.Error, OSError) as error:
            raise ProgressUnavailable(f"Progress is not available: {error} ({self._file}).") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._file, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                # In WAL mode the default would lose the last attempts in a power cut.
                connection.execute("PRAGMA synchronous = FULL")
                self._bring_up_to_date(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version == SCHEMA_VERSION:
            return
        if version > SCHEMA_VERSION:
            raise ProgressUnavailable("Your progress was recorded by a newer llm-drills. Upgrade to use it.")
        with _lock(self._file):  # SQLite does not wait for another connection that changes the journal mode
            connection.execute("PRAGMA journal_mode = WAL")
            _in_transaction(connection, _migrate)

    def _set_aside(self) -> None:
        """Move the damaged file and its companions away, unless another process has done so already."""
        with _lock(self._file):
            if _is_sound(self._file):
                return
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            number = 1
            while (kept := self._file.with_name(f"progress-damaged-{stamp}-{number}.db")).exists():
                number += 1
            # The companions first: a new database must never find the old one's log.
            for ending in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    Path(f"{self._file}{ending}").rename(f"{kept}{ending}")
        self.warnings.append(f"The progress database was damaged. It is kept as {kept}; a new one was started.")


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise
    return result


def _migrate(connection: sqlite3.Connection) -> None:
    version = _version(connection)  # again, under the lock: another process may have been faster
    strict = sqlite3.sqlite_version_info >= (3, 37)
    for script in MIGRATIONS[version:]:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.execute(statement if strict else statement.replace(") STRICT", ")"))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Inside, no other process is."""
    import fcntl  # not on Windows, where no workspace is made

    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(file)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False
