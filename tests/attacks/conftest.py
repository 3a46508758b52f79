"""A firing range: a warm server, a home and a workspace of its own, and what an attack must have left of them.

Each attack is graded as a learner's file would be, by the real command, from a workspace. Afterwards the range looks
for what it may not find: a process that got away, a file changed or made, an attempt lost or forged.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from attack import MARK, PACK, Attack, solution_of
from checks import Ran
from click.testing import CliRunner

from drills.catalogue import Catalogue
from grader import client
from grader.cli import main
from grader.client import Grading
from grader.progress import Progress
from grader.requests import request_for
from grader.results import Finished, Result

ROOT = Path(__file__).parents[2]
# What is there for a learner's code to write to, if it could: a file of the attack's name must appear in none.
WRITABLE = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/"), Path.home(), Path.cwd(), ROOT)
MOST_SECONDS = 60  # of wall time; a run is allowed 5 s of computing, and a busy machine stretches them

if sys.platform != "linux":
    collect_ignore_glob = ["test_*"]  # the wall is Linux's


class Left(NamedTuple):
    """What an attack can reach for, as it stands."""

    files: dict[str, tuple[int, int, int, int]]
    attempts: list[tuple[int, str]]
    ipc: list[str]


class Range:
    """Where attacks are tried."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.workspace = home / "llm-drills"
        self.env = {"HOME": str(home), "DRILLS_WORKSPACE": str(self.workspace)}
        self._drills = {drill.slug: drill for drill in Catalogue.load([PACK]).drills}
        (self.workspace / ".drills").mkdir(parents=True)
        (self.workspace / ".drills" / "workspace.toml").write_text("version = 1\n")
        self.graded = 0
        (home / "precious.txt").write_text("mine")
        os.utime(home / "precious.txt", (1e9, 1e9))
        self.right(())

    def fire(self, attack: Attack) -> Ran:
        """Grade the attack from the workspace; the range is looked over before and after."""
        answer = self.workspace / f"{attack.topic}.py"
        answer.write_bytes(attack.source)
        before = self.look()
        started = time.monotonic()
        ran = self.command("check", attack.topic, "--json", "--pack", str(PACK))
        took = time.monotonic() - started
        after = self.look()
        self.graded += 1
        assert took < MOST_SECONDS, took
        assert after.files == before.files and after.ipc == before.ipc
        assert after.attempts[1:] == before.attempts, "earlier attempts are as they were"
        assert after.attempts[0][1] == ran.result["verdict"]
        assert strays() == []
        return ran

    def command(self, *arguments: str) -> Ran:
        """The command, run in this process: it holds neither torch nor the submission, and starting it takes longest."""
        done = CliRunner(env=self.env).invoke(main, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return Ran(done.exit_code, done.stdout, done.stderr)

    def right(self, without: tuple[str, ...] = ("target",)) -> None:
        """The next check of a right answer passes."""
        for topic in without or self._drills:
            result = self.grade(topic, solution_of(topic))
            assert result.verdict == "passed", result

    def grade(self, topic: str, source: bytes) -> Result:
        request = request_for(self._drills[topic], source, "answer.py")
        *_, last = Grading(request)
        self.graded += 1
        assert isinstance(last, Finished)
        return last.result

    def look(self) -> Left:
        files = {}
        for folder in (self.home, PACK, ROOT / "grader", ROOT / "solutions", ROOT / "drills"):
            for file in folder.rglob("*"):
                if "__pycache__" not in file.parts and not file.name.startswith("progress."):
                    status = file.lstat()
                    mtime = 0 if file.is_dir() else status.st_mtime_ns  # SQLite's companions come and go in a folder
                    files[str(file)] = (status.st_mode, status.st_uid, mtime, 0 if file.is_dir() else status.st_size)
        assert [file for folder in WRITABLE for file in folder.glob(f"*{MARK}*")] == []
        ipc = [
            line for kind in ("shm", "sem", "msg") for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
        ]
        with Progress(self.workspace / ".drills" / "progress.db") as progress:
            attempts = [(a.id, a.verdict) for t in self._drills for a in progress.attempts(t, limit=1000)]
        return Left(files, sorted(attempts, reverse=True), ipc)


def strays() -> list[str]:
    """Processes of this project's that have no living parent to answer to."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == 1 and ("grader.engine.zygote" in command or MARK in command):
            found.append(f"{folder.name} {command}")
    return found


@pytest.fixture(scope="session")
def range_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    runtime = tmp_path_factory.mktemp("attacks")
    before = os.environ["DRILLS_RUNTIME_DIR"]
    os.environ["DRILLS_RUNTIME_DIR"] = str(runtime / "run")
    yield Range(runtime / "home")
    client.stop()
    os.environ["DRILLS_RUNTIME_DIR"] = before
