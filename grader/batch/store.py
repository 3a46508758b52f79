"""What a batch has found out so far, in SQLite: each result is there as soon as it is known, and is found again.

A result belongs to a content, not to a person: drill (its tests and limits), source, seed. The same content is graded
once, whoever handed it in, however often the batch is run.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from drills.catalogue import Drill
from grader.batch.collecting import Submission
from grader.errors import BadInput
from grader.results import Result

VERSION = 1
_SCHEMA = """
CREATE TABLE results (
  topic TEXT NOT NULL,
  drill TEXT NOT NULL,      -- SHA-256 of the drill's files
  source TEXT NOT NULL,     -- SHA-256 of the answer
  seed INTEGER NOT NULL,
  result TEXT NOT NULL,     -- JSON, as in `grader check --json`
  PRIMARY KEY (topic, drill, source, seed)
) STRICT;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


class Key(NamedTuple):
    """What a result belongs to."""

    topic: str
    drill: str
    source: str
    seed: int


def drill_digest(drill: Drill) -> str:
    """Changes when anything does that a verdict depends on: tests, solution, mistakes, limits, what is ruled out."""
    digest = hashlib.sha256()
    for file in (drill.folder / "hidden_tests.py", drill.folder / "mistakes.py", drill.solution):
        digest.update(file.read_bytes() + b"\0")
    digest.update(repr((drill.forbidden, drill.operators, drill.limits)).encode())
    return digest.hexdigest()


def key_of(submission: Submission, digest: str, seed: int) -> Key:
    """The key of a submission's result. `digest`: of its drill."""
    return Key(submission.topic, digest, hashlib.sha256(submission.source).hexdigest(), seed)


class Store:
    """The results of one batch. For one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, file: Path) -> Iterator[Store]:
        """Open or make the store. BadInput where that cannot be done, or where another batch is using it."""
        try:
            with closing(sqlite3.connect(file, timeout=1.0, isolation_level=None)) as connection:
                # One writer: a second batch into the same folder would do the same work again.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("PRAGMA journal_mode = WAL")
                _prepare(connection)
                yield cls(connection)
        except sqlite3.OperationalError as error:
            busy = "is in use by another batch" if "locked" in str(error) else f"cannot be used: {error}"
            raise BadInput(f"{file} {busy}.", "Wait for it, or name another folder: --out DIR") from None
        except sqlite3.DatabaseError as error:
            advice = "Move it away, or name another folder: --out DIR"
            raise BadInput(f"{file} is not the database of a batch ({error}).", advice) from None

    def seed(self, wanted: int) -> int:
        """The seed of this batch: the one it was begun with, so that a batch that goes on gives the same marks."""
        row = self._connection.execute("SELECT value FROM settings WHERE name = 'seed'").fetchone()
        if row is not None:
            return int(row[0])
        self._connection.execute("INSERT INTO settings VALUES ('seed', ?)", (str(wanted),))
        return wanted

    def known(self, keys: Iterable[Key]) -> dict[Key, Result]:
        """The results that there are."""
        found = {}
        for key in keys:
            row = self._connection.execute(
                "SELECT result FROM results WHERE topic = ? AND drill = ? AND source = ? AND seed = ?", key
            ).fetchone()
            if row is not None:
                found[key] = msgspec.json.decode(row[0], type=Result)
        return found

    def keep(self, key: Key, result: Result) -> None:
        """Write a result; it is on the disk when this returns."""
        text = msgspec.json.encode(result).decode()
        self._connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", (*key, text))


def _prepare(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise BadInput("These results were made by a newer llm-drills.", "Upgrade, or name another folder: --out DIR")
    if version < VERSION:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    else:
        connection.execute("BEGIN IMMEDIATE")  # takes the lock, which the mode then keeps
        connection.execute("COMMIT")


def output_folder(folder: Path, out: Path | None) -> Path:
    """Where results go: beside what was handed in, never into it. Made if need be."""
    chosen = out or folder.absolute().with_name(folder.absolute().name + "-results")
    try:
        chosen.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{chosen} cannot be made: {error.strerror}.", "Name another folder: --out DIR") from None
    if not os.access(chosen, os.W_OK):
        raise BadInput(f"{chosen} may not be written.", "Name another folder: --out DIR")
    return chosen
