"""`grader batch` as an instructor meets it: a class of real files, graded by the real engine, killed and gone on with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from checks import GRADER, ROOT, Ran, grader

PACK = ROOT / "tests" / "attacks" / "pack"
WITHOUT = ROOT / "tests" / "attacks" / "without.py"
RIGHT = (PACK / "solutions" / "target.py").read_text()
WORDS = {
    "right": RIGHT,
    "wrong": RIGHT + "\n\ndef double(x):\n    return x\n",
    "hanging": RIGHT + "\n\ndef double(x):\n    while True: pass\n",
    "leaving": RIGHT + "\n\ndef double(x):\n    import os; os._exit(0)\n",
    "broken": "def double(x:\n",
    "killing": RIGHT
    + "\n\ndef double(x):\n    import os, signal; os.kill(os.getppid(), signal.SIGKILL); return 2 * x\n",
}
ROOTS = ["--allow-root"] if os.geteuid() == 0 else []


def make_class(folder: Path, people: int) -> dict[str, str]:
    """People with answers of every kind, each text another; {learner: the verdict that is due}."""
    due = {}
    for number in range(people):
        kind = list(WORDS)[number % len(WORDS)]
        learner = f"{kind}{number}"
        (folder / learner).mkdir(parents=True)
        (folder / learner / "target.py").write_text(f"# {number}\n{WORDS[kind]}")
        due[learner] = "passed" if kind == "right" else "failed"
    return due


def arguments(folder: Path, out: Path, *more: str) -> list[str]:
    return ["batch", str(folder), "--topic", "target", "--pack", str(PACK), "--out", str(out), *ROOTS, *more]


def verdicts(out: Path) -> dict[str, str]:
    with (out / "results.csv").open(newline="") as file:
        return {row["learner"]: row["verdict"] for row in csv.DictReader(file) if row["drill"] == "target"}


def test_a_class_of_every_kind(tmp_path):
    due = make_class(tmp_path / "class", 12)
    ran = grader(*arguments(tmp_path / "class", tmp_path / "out"))
    assert ran.code == 0, ran.err
    assert verdicts(tmp_path / "out") == due and "12 answers of 12 people; 12 graded now" in ran.out
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["isolation"] == "full" and len(document["crashed"]) >= 4
    (drill,) = document["drills"]
    assert [found["mistake"] for found in drill["mistakes"]] == ["does_nothing"]
    again = grader(*arguments(tmp_path / "class", tmp_path / "out"))
    assert "0 graded now" in again.out


def test_killed_half_way_it_goes_on_and_reports_the_same(tmp_path):
    due = make_class(tmp_path / "class", 18)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert grader(*arguments(tmp_path / "class", whole, "--seed", "5")).code == 0
    process = subprocess.Popen(
        [*GRADER, *arguments(tmp_path / "class", broken, "--seed", "5")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    log = broken / "results.db-wal"
    while process.poll() is None and not (log.exists() and log.stat().st_size > 60_000):
        pass  # until some results are on the disk
    assert process.poll() is None, "it was to be killed on the way"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ran = grader(*arguments(tmp_path / "class", broken))
    assert ran.code == 0 and "18 graded now" not in ran.out and " 0 graded now" not in ran.out
    assert verdicts(broken) == due
    assert (broken / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="this is about root")
def test_root_is_refused_unless_told(tmp_path):
    make_class(tmp_path / "class", 1)
    ran = grader("batch", tmp_path / "class", "--topic", "target", "--pack", PACK, "--out", tmp_path / "out")
    assert ran.code == 2 and "--allow-root" in ran.err and not (tmp_path / "out" / "results.csv").exists()


def test_a_hole_in_the_wall_is_refused_unless_told(tmp_path):
    make_class(tmp_path / "class", 1)

    def batch(*more: str) -> Ran:
        command = [
            sys.executable,
            WITHOUT,
            "landlock",
            *GRADER,
            *arguments(tmp_path / "class", tmp_path / "out", *more),
        ]
        env = {**os.environ, "CI": "true", "PYTHONPATH": str(ROOT)}  # an engine of its own, which has the hole too
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
        return Ran(done.returncode, done.stdout, done.stderr)

    refused = batch()
    assert refused.code == 2 and "landlock_files" in refused.err and "--allow-weak-isolation" in refused.err
    assert batch("--allow-weak-isolation").code == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text())["isolation"] == "partial"


def test_nothing_to_grade(tmp_path):
    (tmp_path / "class" / "ann").mkdir(parents=True)
    (tmp_path / "class" / "ann" / "target.py").symlink_to("/etc/passwd")
    ran = grader(*arguments(tmp_path / "class", tmp_path / "out"))
    assert ran.code == 2 and "is a link" in ran.err and not (tmp_path / "out").exists()
