"""Submissions that try to pass without being right, or to take the grader down; each through the real command.

After each: the right verdict within its time, no process left, no file changed or made, earlier attempts as they were,
and the next check of a right answer passes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attack import PACK, Attack, solution_of
from submissions import GROUPS

from grader import client
from grader.progress import Progress

ATTACKS = [
    pytest.param(attack, id=f"{group}: {attack.name}") for group, attacks in GROUPS.items() for attack in attacks
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_gets_past(range_, attack: Attack):
    ran = range_.fire(attack)
    outcomes = set(ran.outcomes.values())
    assert ran.err == "" and ran.result["isolation"] == "full"
    assert attack.is_met_by(ran.result["verdict"], outcomes), ran.outcomes
    assert ran.code == (0 if ran.result["verdict"] == "passed" else 1)
    messages = [check["message"] for check in ran.result["checks"] if check["outcome"] != "passed"]
    assert all(messages) and (not attack.says or any(attack.says in message for message in messages)), messages
    assert not any(character in ran.out for character in ("\x1b", "\\u001b", "\\u009b", "\\u0007"))
    assert len(ran.out) < 200_000
    range_.right()


def test_there_are_a_hundred_and_each_has_a_name():
    names = [parameter.id for parameter in ATTACKS]
    assert len(names) == len(set(names)) >= 100


def test_the_server_has_seen_it_all(range_):
    """One server has graded every attack and every right answer between them."""
    status = client.status()
    assert status is not None and status.graded == range_.graded


def refused(range_, arguments: list[str], says: str) -> None:
    ran = range_.command("check", "target", "--pack", str(PACK), "--json", *arguments)
    assert ran.code == 2 and ran.out == "" and says in ran.err and "Traceback" not in ran.err, ran


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def giant(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


FILES = {
    "a folder": (Path.mkdir, "folder"),
    "a pipe": (fifo, "named pipe"),
    "a loop of links": (loop, "answer.py"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere.py"), "answer.py"),
    "a device": (device, "is a device"),
    "a terabyte": (giant, "1 MiB"),
    "nothing there": (lambda path: None, "answer.py"),
    "null bytes": (lambda path: path.write_bytes(b"x = 1\0"), "null byte"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe\xfd"), "UTF-8"),
    "an encoding that is not known": (lambda path: path.write_bytes(b"# coding: nonsense\n"), "nonsense"),
    "an encoding that is no text": (lambda path: path.write_bytes(b"# coding: rot13\n"), "rot13"),
}


@pytest.mark.parametrize("what", FILES)
def test_what_is_no_file_of_python_is_refused_at_once(range_, tmp_path, what):
    make, says = FILES[what]
    make(tmp_path / "answer.py")
    refused(range_, ["--file", str(tmp_path / "answer.py")], says)
    range_.right()


def test_a_name_with_escapes_does_not_reach_the_terminal(range_, tmp_path):
    path = tmp_path / "an\x1b[31mswer\n\x07.py"
    path.write_text("def double(x): return x / 0 + nowhere\n")
    ran = range_.command("check", "target", "--pack", str(PACK), "--file", str(path))
    assert ran.code == 1 and "\x1b[31mswer" not in ran.out + ran.err and "\x07" not in ran.out + ran.err


def test_a_file_that_changes_under_the_check_is_graded_as_it_was_read(range_, tmp_path):
    """The file is read once: what is recorded is what was graded."""
    answer = range_.workspace / "target.py"
    answer.write_bytes(solution_of("target"))
    ran = range_.command("check", "target", "--pack", str(PACK), "--json")
    answer.write_text("overwritten")
    with Progress(range_.workspace / ".drills" / "progress.db") as progress:
        assert ran.code == 0 and progress.attempts("target")[0].source == solution_of("target")
