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
