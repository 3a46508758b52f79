"""A store made by the first version: nothing that is in it is lost, and what was due is due."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsrs
import pytest

from grader.database import SCHEMA_VERSION
from grader.progress import Progress

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)

# As it was, comments left out.
VERSION_1 = """
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY, slug TEXT NOT NULL, at TEXT NOT NULL, verdict TEXT NOT NULL, seed TEXT,
  duration_ms REAL NOT NULL, hints_used INTEGER NOT NULL, checks_passed INTEGER NOT NULL, failed_checks TEXT NOT NULL,
  mistakes TEXT NOT NULL, source BLOB NOT NULL, result TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_by_slug ON attempts (slug, id);
CREATE TABLE drill_state (
  slug TEXT PRIMARY KEY, hints_shown INTEGER NOT NULL DEFAULT 0, solution_seen_at TEXT
) STRICT;
CREATE TABLE reviews (
  slug TEXT PRIMARY KEY, card TEXT NOT NULL, due TEXT NOT NULL, lapsed INTEGER NOT NULL, seen INTEGER NOT NULL,
  passed_at TEXT, round_from INTEGER NOT NULL DEFAULT 0
) STRICT;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


def iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def reviewed(*ratings: tuple[str, datetime]) -> fsrs.Card:
    scheduler = fsrs.Scheduler(enable_fuzzing=False, learning_steps=(), relearning_steps=())
    card = fsrs.Card(card_id=0)
    for rating, at in ratings:
        card, _ = scheduler.review_card(card, fsrs.Rating[rating], at)
    return card


def attempt(database: sqlite3.Connection, slug: str, at: datetime, verdict: str, hints: int = 0) -> int:
    told = {"verdict": verdict, "seed": 5, "duration_ms": 1.5, "checks": [{"id": "test_a", "outcome": verdict}]}
    row = (slug, iso(at), verdict, "5", 1.5, hints, int(verdict == "passed"), "[]", "[]")
    identity = database.execute(
        "INSERT INTO attempts (slug, at, verdict, seed, duration_ms, hints_used, checks_passed, failed_checks,"
        " mistakes, source, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*row, zlib.compress(f"{slug} {verdict}".encode()), json.dumps(told)),
    ).lastrowid
    assert identity is not None
    return identity


def review(database: sqlite3.Connection, slug: str, card: fsrs.Card, seen: int, passed_at: datetime, end: int) -> None:
    row = (slug, card.to_json(), iso(card.due), 0, seen, iso(passed_at), end)
    database.execute("INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?)", row)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Passed with a fail before; passed after a look, hints since, another look; the same with one look; only tried."""
    file = tmp_path / "progress.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(VERSION_1)
        attempt(database, "scaling", START, "failed")
        end = attempt(database, "scaling", START, "passed", hints=1)
        attempt(database, "scaling", START + DAY, "failed")
        review(database, "scaling", reviewed(("Good", START)), 0, START, end)
        end = attempt(database, "masking", START, "passed")
        review(database, "masking", reviewed(("Again", START)), 1, START, end)
        database.execute("INSERT INTO drill_state VALUES ('masking', 2, ?)", (iso(START + 2 * DAY),))
        end = attempt(database, "gqa", START, "passed")
        review(database, "gqa", reviewed(("Again", START)), 1, START, end)
        database.execute("INSERT INTO drill_state VALUES ('gqa', 0, ?)", (iso(START - DAY),))
        attempt(database, "rope", START + 5 * DAY, "failed", hints=3)
        attempt(database, "rope", START, "error", hints=3)
        database.execute("INSERT INTO drill_state VALUES ('rope', 3, NULL)")
        database.commit()
    return file


def test_nothing_is_lost(file: Path) -> None:
    with Progress(file) as progress:
        states = progress.states(START + DAY)
        assert {slug: (known.state, known.attempts, known.hints) for slug, known in states.items()} == {
            "scaling": ("passed", 3, 0),
            "masking": ("due", 1, 2),  # rated Again: a day
            "gqa": ("due", 1, 0),
            "rope": ("tried", 1, 3),
        }
        assert states["scaling"].due_at == reviewed(("Good", START)).due
        assert states["masking"].solution_seen_at == START + 2 * DAY
        assert states["gqa"].solution_seen_at == START - DAY
        (first,) = progress.attempts("masking")
        assert (first.source, first.seed, first.at) == (b"masking passed", 5, START)
        assert [kept.verdict for kept in progress.attempts("rope")] == ["error", "failed"]
        assert progress.stats(START + DAY).attempts == 6
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not names & {"drill_state", "older_reviews", "in_order"}


def test_what_is_worked_out_anew_is_what_was_there(file: Path) -> None:
    with Progress(file) as progress:
        before = progress.states(START + 3 * DAY)
        progress.merge(progress.export())  # which works out everything again
        assert progress.states(START + 3 * DAY) == before
        assert before["masking"].state == "due"
        assert progress.states(START)["masking"].state == "seen"


def test_practice_goes_on(file: Path) -> None:
    due = START + 2 * DAY
    with Progress(file) as progress:
        progress.record_attempt("scaling", {"verdict": "passed", "checks": []}, b"", due)
        # The fail of the day before belongs to this round.
        assert progress.states(due)["scaling"].due_at == reviewed(("Good", START), ("Good", due)).due


def test_two_commands_may_migrate_at_once(file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from grader.progress import Progress\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with Progress(Path(sys.argv[1])) as progress:\n"
        "    progress.record_hint('rmsnorm', 1)\n"
        "    print(len(progress.states()))\n"
    )
    command = [sys.executable, "-c", code, str(file)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0] for process in running]
    assert told == ["5\n"] * 3
    assert [process.returncode for process in running] == [0, 0, 0]
    with Progress(file) as progress:
        assert len(progress.attempts("scaling")) == 3
