"""The wall on machines that lack a part of it, and where nobody is root: verdicts are the same, and the result says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attack import PACK, solution_of
from submissions import GROUPS

WITHOUT = Path(__file__).with_name("without.py")
ATTACKS = {f"{group}: {attack.name}": attack for group, attacks in GROUPS.items() for attack in attacks}
# What holds with any one layer missing: judged in another process, with limits of time and memory.
STILL = ("hangs: loops", "bombs: 64 GB at once", "forged: always equal")


def check(what: str, home: Path, source: bytes) -> dict:
    answer = home / "answer.py"
    answer.write_bytes(source)
    command = [sys.executable, "-m", "grader.cli", "check", "target", "--no-server", "--json"]
    done = subprocess.run(
        [sys.executable, WITHOUT, what, *command, "--pack", PACK, "--file", answer],
        capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "HOME": str(home)}, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    (result,) = json.loads(done.stdout)["results"]
    return result


@pytest.mark.parametrize(
    ("layer", "missing"),
    [("landlock", {"landlock_files", "landlock_network", "landlock_scope"}), ("seccomp", {"seccomp"})],
)
def test_without_a_layer_verdicts_are_the_same_and_the_result_says_partial(tmp_path, layer, missing):
    result = check(layer, tmp_path, solution_of("target"))
    assert result["verdict"] == "passed" and result["isolation"] == "partial"
    assert {name for name, state in result["layers"].items() if state != "active"} == missing
    for name in STILL:
        result = check(layer, tmp_path, ATTACKS[name].source)
        outcomes = {c["outcome"] for c in result["checks"]}
        assert result["verdict"] == "failed" and outcomes & ATTACKS[name].gives, name


def test_landlock_alone_keeps_the_hidden_tests_from_the_code(tmp_path):
    """Each layer stands by itself where it can."""
    result = check("seccomp", tmp_path, ATTACKS["reads: the hidden tests"].source)
    assert result["verdict"] == "failed"


def test_seccomp_alone_keeps_processes_from_the_code(tmp_path):
    result = check("landlock", tmp_path, ATTACKS["bombs: forks"].source)
    assert result["verdict"] == "failed"


@pytest.mark.skipif(os.getuid() != 0, reason="everything here runs without the rights of root already")
def test_without_the_rights_of_root_it_is_the_same(tmp_path):
    result = check("rights", tmp_path, solution_of("target"))
    assert result["verdict"] == "passed" and result["isolation"] == "full"
    for name in ("reads: the hidden tests", "tampers: kills its parent"):
        assert check("rights", tmp_path, ATTACKS[name].source)["verdict"] == "failed", name
