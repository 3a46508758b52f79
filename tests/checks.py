"""Running the real `grader` command on a source, and looking at what it leaves behind."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
GRADER = [sys.executable, "-m", "grader.cli"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The only result of a `--json` run; the output must be that one object."""
        document = json.loads(self.out)
        assert document["schema"] == 1 and len(document["results"]) == 1
        return document["results"][0]

    @property
    def outcomes(self) -> dict[str, str]:
        return {check["id"]: check["outcome"] for check in self.result["checks"]}


def grader(*arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 120) -> Ran:
    """Run `grader` as a process of its own."""
    done = subprocess.run(
        [*GRADER, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def check_source(tmp_path: Path, topic: str, source: str | bytes, *arguments: str) -> Ran:
    """`grader check TOPIC --file` on a source, as JSON."""
    path = tmp_path / "answer.py"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return grader("check", topic, "--file", path, "--json", *arguments)


def process_ends(pid: int, within: float = 30.0) -> bool:
    """Whether a process ends, waiting on the process itself and not on the clock."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within)[0])
    finally:
        os.close(descriptor)


def solution(topic: str) -> str:
    return (ROOT / "solutions" / f"{topic}.py").read_text()
