"""Progress: what was reported as recorded is there, and reviews come when they should."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from people import shared_folder, without_rights
from tiny_pack import make_drill

from drills.catalogue import Catalogue
from grader.database import SCHEMA_VERSION
from grader.progress import DrillState, Progress, ProgressUnavailable
from grader.review import next_drill, rate, schedule

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "progress.db"


@pytest.fixture
def progress(file: Path) -> Iterator[Progress]:
    with Progress(file) as opened:
        yield opened


def result(verdict: str, checks: dict[str, str] | None = None, mistakes: tuple[str, ...] = ()) -> dict[str, Any]:
    """A result as `grader check --json` gives it."""
    return {
        "drill": "scaling",
        "verdict": verdict,
        "seed": 20260,
        "duration_ms": 38.1,
        "isolation": "full",
        "checks": [{"id": name, "outcome": outcome} for name, outcome in (checks or {}).items()],
        "diagnosis": [{"mistake": name, "message": "", "question": ""} for name in mistakes],
        "output": "汉字 \ud800",  # what a learner prints may not even be text
    }


def state(progress: Progress, now: datetime, slug: str = "scaling") -> DrillState:
    return progress.states(now)[slug]


def test_reading_makes_no_file(progress: Progress, file: Path) -> None:
    assert progress.states() == {}
    assert progress.attempts("scaling") == []
    assert progress.stats().attempts == 0
    assert list(file.parent.iterdir()) == []


def test_an_attempt_is_kept_whole(progress: Progress) -> None:
    told = result("failed", {"test_a": "passed", "test_b": "failed", "test_c": "crashed", "test_d": "not_run"}, ("m",))
    told["seed"] = 2**64 - 1
    progress.record_hint("scaling", 2)
    identity = progress.record_attempt("scaling", told, b"\xff\0 any bytes", START)
    (kept,) = progress.attempts("scaling")
    assert (kept.id, kept.slug, kept.at, kept.verdict) == (identity, "scaling", START, "failed")
    assert (kept.seed, kept.duration_ms, kept.hints_used) == (2**64 - 1, 38.1, 2)
    assert (kept.failed_checks, kept.mistakes) == (("test_b", "test_c"), ("m",))
    assert kept.source == b"\xff\0 any bytes"
    assert kept.result == told


def test_attempts_come_newest_first_and_limited(progress: Progress) -> None:
    for number in range(5):
        progress.record_attempt("scaling", result("failed"), str(number).encode(), START)
    progress.record_attempt("masking", result("failed"), b"other", START)
    assert [attempt.source for attempt in progress.attempts("scaling", limit=3)] == [b"4", b"3", b"2"]


def test_what_is_recorded_is_there_for_the_next_command(progress: Progress, file: Path) -> None:
    progress.record_attempt("scaling", result("passed"), b"x", START)
    with Progress(file) as other:
        assert state(other, START).state == "passed"


def test_new_tried_passed_due(progress: Progress) -> None:
    progress.record_hint("scaling", 1)
    assert state(progress, START) == DrillState(hints=1)
    progress.record_attempt("scaling", result("failed"), b"", START)
    assert state(progress, START).state == "tried"
    progress.record_attempt("scaling", result("passed"), b"", START)
    now = state(progress, START)
    assert (now.state, now.attempts, now.last_verdict, now.passed_at) == ("passed", 2, "passed", START)
    assert now.due_at is not None
    assert state(progress, now.due_at - timedelta(seconds=1)).state == "passed"
    assert state(progress, now.due_at).state == "due"


def test_what_could_not_be_judged_is_no_attempt(progress: Progress) -> None:
    progress.record_attempt("scaling", result("error"), b"", START)
    assert state(progress, START) == DrillState()
    progress.record_attempt("scaling", result("passed"), b"", START)
    progress.record_attempt("scaling", result("error"), b"", START + 30 * DAY)
    assert state(progress, START + 30 * DAY).state == "due"
    assert state(progress, START).attempts == 1
    assert len(progress.attempts("scaling")) == 3


# First intervals: the scheduler's published initial stabilities (0.21, 1.29, 2.31, 8.30 days) in whole days.
@pytest.mark.parametrize(
    ("fails", "hints", "seen", "days"),
    [
        (0, 0, False, 8),
        (1, 0, False, 2),
        (0, 1, False, 2),
        (9, 1, False, 2),
        (0, 2, False, 1),
        (0, 0, True, 1),
    ],
)
def test_the_first_interval_follows_from_how_it_went(
    progress: Progress, fails: int, hints: int, seen: bool, days: int
) -> None:
    for _ in range(fails):
        progress.record_attempt("scaling", result("failed"), b"", START)
    if hints:
        progress.record_hint("scaling", hints)
    if seen:
        progress.record_solution_seen("scaling", START)
    progress.record_attempt("scaling", result("passed"), b"", START)
    after = state(progress, START)
    assert after.due_at == START + days * DAY
    assert after.state == ("seen" if seen else "passed")
    assert after.hints == 0


def test_ratings() -> None:
    def of(passed: bool = True, fails: int = 0, hints: int = 0, seen: bool = False) -> str:
        return rate(passed=passed, fails=fails, hints=hints, solution_seen=seen)

    assert [of(), of(fails=1), of(hints=1), of(hints=2), of(seen=True), of(passed=False)] == [
        "easy",
        "good",
        "good",
        "hard",
        "again",
        "again",
    ]


def test_passing_ahead_of_time_changes_no_date(progress: Progress) -> None:
    progress.record_attempt("scaling", result("passed"), b"", START)
    due = state(progress, START).due_at
    progress.record_attempt("scaling", result("failed"), b"", START + DAY)
    assert state(progress, START + DAY).state == "passed"
    progress.record_attempt("scaling", result("passed"), b"", START + 2 * DAY)
    assert state(progress, START + 2 * DAY).due_at == due
    assert state(progress, START + 2 * DAY).passed_at == START + 2 * DAY


def test_each_review_passed_in_time_lengthens_the_interval(progress: Progress) -> None:
    now, intervals = START, []
    for _ in range(4):
        progress.record_attempt("scaling", result("passed"), b"", now)
        due = state(progress, now).due_at
        assert due is not None
        intervals.append(due - now)
        now = due
    assert intervals == sorted(set(intervals))


def test_a_fail_when_due_stays_due_until_it_is_passed(progress: Progress) -> None:
    progress.record_attempt("scaling", result("passed"), b"", START)
    later = START + 8 * DAY
    progress.record_attempt("scaling", result("failed"), b"", later)
    assert state(progress, later).state == "due"
    progress.record_attempt("scaling", result("failed"), b"", later)
    progress.record_attempt("scaling", result("passed"), b"", later)
    after = state(progress, later)
    assert after.state == "passed"
    assert after.due_at is not None
    assert after.due_at - later < 8 * DAY


def test_only_fails_since_the_last_review_count(progress: Progress) -> None:
    progress.record_attempt("scaling", result("failed"), b"", START)
    progress.record_attempt("scaling", result("passed"), b"", START)
    due = START + 2 * DAY
    progress.record_attempt("scaling", result("passed"), b"", due)
    good, _ = schedule(None, "good", START)
    assert state(progress, due).due_at == schedule(good, "easy", due)[1]
    assert schedule(good, "easy", due)[1] != schedule(good, "good", due)[1]


def test_a_look_at_the_solution_after_the_pass_is_free(progress: Progress) -> None:
    progress.record_attempt("scaling", result("passed"), b"", START)
    progress.record_solution_seen("scaling", START + timedelta(minutes=1))
    assert state(progress, START).state == "passed"
    progress.record_attempt("scaling", result("passed"), b"", START + 8 * DAY)
    assert state(progress, START + 8 * DAY).state == "passed"


def test_seen_lasts_until_a_review_without_the_solution(progress: Progress) -> None:
    progress.record_solution_seen("scaling", START)
    progress.record_attempt("scaling", result("passed"), b"", START)
    progress.record_attempt("scaling", result("passed"), b"", START + timedelta(minutes=1))
    assert state(progress, START + timedelta(minutes=1)).state == "seen"
    progress.record_attempt("scaling", result("passed"), b"", START + DAY)
    assert state(progress, START + DAY).state == "passed"
    due = state(progress, START + DAY).due_at
    assert due is not None
    progress.record_solution_seen("scaling", due)
    progress.record_attempt("scaling", result("passed"), b"", due)
    assert state(progress, due).state == "seen"


def test_the_same_history_gives_the_same_dates(tmp_path: Path) -> None:
    dates = []
    for name in "abc":
        with Progress(tmp_path / f"{name}.db") as progress:
            for number in range(3):
                progress.record_attempt("scaling", result("passed"), b"", START + number * 60 * DAY)
            dates.append(state(progress, START).due_at)
    assert len(set(dates)) == 1


def test_hints_never_count_down(progress: Progress) -> None:
    progress.record_hint("scaling", 3)
    progress.record_hint("scaling", 1)
    assert state(progress, START).hints == 3


def test_totals(progress: Progress) -> None:
    history = [
        ("scaling", 0, result("failed", {"test_a": "passed", "test_b": "failed"}, ("no_scale",))),
        ("scaling", 1, result("failed", {"test_a": "failed", "test_b": "failed"})),  # the stub: no weak check
        ("scaling", 3, result("passed", {"test_a": "passed", "test_b": "passed"})),
        ("masking", 3, result("passed", {"test_m": "passed"})),
        ("masking", 4, result("error")),
        ("rmsnorm", 4, result("failed", {"test_r": "timeout", "test_s": "passed"}, ("no_eps", "no_scale"))),
        ("rmsnorm", 4, result("failed", {"test_r": "failed", "test_s": "passed"}, ("no_eps",))),
    ]
    for slug, day, told in history:
        progress.record_attempt(slug, told, b"", START + day * DAY)
    stats = progress.stats(START + 5 * DAY)
    assert (stats.attempts, stats.passes, stats.pass_rate) == (6, 2, 2 / 6)
    assert (stats.drills_tried, stats.drills_passed, stats.first_try_passes) == (3, 2, 1)
    assert stats.streak_days == 2  # the 5th and 6th; today, the 7th, is not over yet
    assert stats.days == {"2026-03-02": 1, "2026-03-03": 1, "2026-03-05": 2, "2026-03-06": 2}
    weak = [(spot.slug, spot.name, spot.count) for spot in stats.weakest_checks]
    assert weak == [("rmsnorm", "test_r", 2), ("scaling", "test_b", 1)]
    assert [(spot.name, spot.count) for spot in stats.mistakes] == [
        ("no_eps", 2),
        ("no_scale", 1),
        ("no_scale", 1),
    ]
    assert progress.stats(START + 6 * DAY).streak_days == 0
    assert list(progress.stats(START + 368 * DAY).days) == ["2026-03-05", "2026-03-06"]


def test_a_day_is_the_learners_day(progress: Progress) -> None:
    progress.record_attempt("scaling", result("failed"), b"", datetime(2026, 3, 2, 20, 0, tzinfo=UTC))
    in_china = datetime(2026, 3, 3, 12, 0, tzinfo=timezone(timedelta(hours=8)))
    assert progress.stats(in_china).days == {"2026-03-03": 1}
    assert progress.stats(START).days == {"2026-03-02": 1}


# Second processes. Each prints a line when an attempt is recorded, and is never waited for by sleeping.

WRITER = """
import sys
from pathlib import Path
from grader.progress import Progress
file, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with Progress(file) as progress:
    for number in range(count):
        told = {"verdict": "failed", "seed": number, "checks": [], "diagnosis": []}
        progress.record_attempt(name, told, b"x" * 5000)
        print(number, flush=True)
"""


@contextmanager
def writer(file: Path, name: str, count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(file), name, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def test_two_commands_at_once_on_a_new_store(file: Path) -> None:
    with writer(file, "scaling", 60) as first, writer(file, "masking", 60) as second:
        go(first)
        go(second)
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdout.read().split()[-1] == "59"
            assert process.wait() == 0
    with Progress(file) as progress:
        assert {slug: kept.attempts for slug, kept in progress.states().items()} == {
            "scaling": 60,
            "masking": 60,
        }
        assert [attempt.seed for attempt in progress.attempts("masking", 100)] == list(range(59, -1, -1))


@pytest.mark.parametrize("lines", [1, 2, 7, 40])
def test_a_kill_at_any_moment_loses_nothing_that_was_reported(file: Path, lines: int) -> None:
    with writer(file, "scaling", 10**6) as process:
        go(process)
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        seen += [line for line in process.stdout.read().splitlines() if line]
        assert process.wait() == -signal.SIGKILL
    reported = [int(line) for line in seen]
    with Progress(file) as progress:
        kept = [attempt.seed for attempt in progress.attempts("scaling", 10**6)][::-1]
        assert progress.warnings == []
        progress.record_attempt("scaling", result("passed"), b"", START)
    assert reported == kept[: len(reported)]
    assert len(kept) - len(reported) in (0, 1)  # one may have been written and not yet reported
    assert all(attempt == number for number, attempt in enumerate(kept))


def test_each_write_is_on_the_disk_when_it_returns(progress: Progress, file: Path) -> None:
    progress.record_attempt("scaling", result("failed"), b"", START)
    assert progress._open is not None
    connection = progress._open._connection
    assert connection is not None
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 37), reason="this SQLite has no strict tables")
def test_tables_are_strict(progress: Progress, file: Path) -> None:
    progress.record_hint("scaling", 1)
    with closing(sqlite3.connect(file)) as connection:
        strict = connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert {("attempts", 1), ("hints", 1), ("answers", 1), ("reviews", 1)} <= set(strict)


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = file.read_bytes()
    with Progress(file) as progress:
        with pytest.raises(ProgressUnavailable, match="by a newer llm-drills"):
            progress.states()
        with pytest.raises(ProgressUnavailable, match="by a newer llm-drills"):
            progress.record_hint("scaling", 1)
    assert file.read_bytes() == before
    assert [item.name for item in file.parent.iterdir()] == [file.name]


def test_a_migration_that_fails_half_way_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import grader.database

    broken = (
        *grader.database.MIGRATIONS,
        "CREATE TABLE extra (x INTEGER);\nCREATE TABLE extra (x INTEGER);\n",
    )
    with Progress(file) as progress:
        progress.record_hint("scaling", 1)
    monkeypatch.setattr(grader.database, "MIGRATIONS", broken)
    monkeypatch.setattr(grader.database, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with Progress(file) as progress, pytest.raises(ProgressUnavailable, match="already exists"):
        progress.states()
    monkeypatch.undo()
    with Progress(file) as progress:
        assert state(progress, START).hints == 1


def test_an_older_store_is_brought_up_to_date(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import grader.database

    with Progress(file) as progress:
        progress.record_hint("scaling", 1)
    later = (*grader.database.MIGRATIONS, "ALTER TABLE hints ADD COLUMN note TEXT;\n")
    monkeypatch.setattr(grader.database, "MIGRATIONS", later)
    monkeypatch.setattr(grader.database, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with Progress(file) as progress:
        assert state(progress, START).hints == 1
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
        assert connection.execute("SELECT note FROM hints").fetchall() == [(None,)]


def damage_all(file: Path) -> None:
    file.write_bytes(b"this was a database once" * 1000)


def damage_inside(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * (file.stat().st_size - 4096))


@pytest.mark.parametrize("damage", [damage_all, damage_inside])
def test_a_damaged_store_is_put_aside(file: Path, damage: Any) -> None:
    with Progress(file) as progress:
        progress.record_attempt("scaling", result("failed"), b"", START)
    damage(file)
    damaged = file.read_bytes()
    with Progress(file) as progress:
        identity = progress.record_attempt("scaling", result("passed"), b"new", START)
        assert len(progress.warnings) == 1
        assert [attempt.source for attempt in progress.attempts("scaling")] == [b"new"]
    assert identity == 1
    (aside,) = file.parent.glob("progress-damaged-*.db")
    assert aside.read_bytes() == damaged
    assert str(aside) in progress.warnings[0]
    with Progress(file) as progress:
        assert state(progress, START).state == "passed"
        assert progress.warnings == []


def test_damage_shows_when_reading_too(file: Path) -> None:
    damage_all(file)
    with Progress(file) as progress:
        assert progress.states() == {}
        assert len(progress.warnings) == 1


def test_a_store_that_may_not_be_written() -> None:
    with shared_folder() as folder:
        file = folder / "progress.db"
        with Progress(file) as progress:
            progress.record_attempt("scaling", result("failed"), b"", START)
        file.chmod(0o444)
        folder.chmod(0o555)
        with without_rights(), Progress(file) as progress:
            with pytest.raises(ProgressUnavailable, match=r"Progress is not available: .*progress\.db"):
                progress.record_attempt("scaling", result("passed"), b"", START)
            with Progress(folder / "other.db") as other, pytest.raises(ProgressUnavailable):
                other.record_hint("scaling", 1)
        folder.chmod(0o755)
        file.chmod(0o644)
        with Progress(file) as progress:
            assert state(progress, START).attempts == 1


# The disk is full: at first the attempts of a second process fit, then one does not.
FILLER = """
import json, random, resource, sys
from pathlib import Path
from grader.progress import Progress, ProgressUnavailable
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
recorded, noise = 0, random.Random(0)
with Progress(Path(sys.argv[1])) as progress:
    try:
        for number in range(1000):
            told = {"verdict": "failed", "seed": number, "checks": [], "diagnosis": []}
            progress.record_attempt("scaling", told, noise.randbytes(20_000))
            recorded += 1
    except ProgressUnavailable as error:
        print(json.dumps({"recorded": recorded, "told": str(error)}))
"""


def assert_full_disk_is_told(file: Path, *limit: str) -> int:
    ran = subprocess.run([sys.executable, "-c", FILLER, str(file), *limit], capture_output=True, text=True, check=True)
    report = json.loads(ran.stdout)
    assert report["told"].startswith("Progress is not available: ")
    return int(report["recorded"])


def test_no_room_for_the_file_to_grow(file: Path) -> None:
    recorded = assert_full_disk_is_told(file, "500000")
    assert 0 < recorded < 1000
    with Progress(file) as progress:
        assert state(progress, START).attempts == recorded
        progress.record_attempt("scaling", result("failed"), b"", START)
        assert state(progress, START).attempts == recorded + 1
        assert progress.warnings == []


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()} (a file size limit is tried above)")
    try:
        recorded = assert_full_disk_is_told(disk / "progress.db")
        assert 0 < recorded < 1000
        with Progress(disk / "progress.db") as progress:
            assert state(progress, START).attempts == recorded
    finally:
        subprocess.run(["umount", disk], check=True)


# What to practise next.


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    pack = tmp_path / "toys"
    make_drill(pack, "toy_a")
    make_drill(pack, "toy_b", ("toy_c",))
    make_drill(pack, "toy_c")
    whole = Catalogue.load([pack])
    return replace(whole, drills=tuple(drill for drill in whole.drills if drill.pack == "toys"))


def chosen(catalogue: Catalogue, **states: DrillState) -> str:
    found = next_drill(catalogue, states, START)
    assert found is not None
    assert found[1]
    return found[0].slug


def test_next_is_due_then_tried_then_new(catalogue: Catalogue) -> None:
    passed = DrillState("passed", due_at=START + 2 * DAY)
    due = DrillState("due", due_at=START - DAY)
    longer_due = DrillState("due", due_at=START - 2 * DAY)
    tried = DrillState("tried", attempts=1)
    assert chosen(catalogue) == "toy_a"
    assert chosen(catalogue, toy_c=tried) == "toy_c"
    assert chosen(catalogue, toy_a=due, toy_c=tried) == "toy_a"
    assert chosen(catalogue, toy_a=due, toy_c=longer_due) == "toy_c"
    assert chosen(catalogue, toy_a=passed) == "toy_c"  # before toy_b, which needs it
    assert chosen(catalogue, toy_a=passed, toy_c=DrillState("seen", due_at=START + DAY)) == "toy_b"
    assert chosen(catalogue, toy_a=passed, toy_b=passed, toy_c=DrillState("seen", due_at=START + DAY)) == "toy_c"


def test_a_broken_prerequisite_bars_nothing(catalogue: Catalogue) -> None:
    without = replace(catalogue, drills=tuple(drill for drill in catalogue.drills if drill.slug != "toy_c"))
    assert chosen(without, toy_a=DrillState("passed", due_at=START + DAY)) == "toy_b"


def test_nothing_to_practise(catalogue: Catalogue) -> None:
    assert next_drill(replace(catalogue, drills=()), {}, START) is None
