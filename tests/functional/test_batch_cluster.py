"""`grader batch --engine dask` on real workers: one is killed on the way, another joins, and the report is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checks import GRADER, ROOT, grader
from test_batch import PACK, arguments, make_class, verdicts

pytest.importorskip("distributed")


class Cluster:
    """A scheduler and workers, each a process with a warm engine of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._file = folder / "scheduler.json"
        self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self._file)
        )
        deadline = time.monotonic() + 60
        while not (self._file.exists() and self._file.stat().st_size) and time.monotonic() < deadline:
            pass  # until it has written where it listens
        self.address = json.loads(self._file.read_text())["address"]

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        runtime = self._folder / f"run{len(self._processes)}"
        env = {**os.environ, "DRILLS_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *options], env=env, cwd=self._folder, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start(
            "worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--memory-limit", "0"
        )

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        for number in range(len(self._processes)):
            env = {**os.environ, "DRILLS_RUNTIME_DIR": str(self._folder / f"run{number}")}
            subprocess.run([*GRADER, "server", "stop"], env=env, check=False, capture_output=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def test_a_worker_that_dies_and_one_that_joins_change_nothing(cluster, tmp_path):
    due = make_class(tmp_path / "class", 18)
    first, _ = cluster.worker(), cluster.worker()
    out = tmp_path / "out"
    command = arguments(tmp_path / "class", out, "--seed", "5", "--engine", "dask", "--scheduler", cluster.address)
    process = subprocess.Popen([*GRADER, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = out / "results.db-wal"
    while process.poll() is None and not (log.exists() and log.stat().st_size > 40_000):
        pass  # until some results are there
    first.send_signal(signal.SIGKILL)
    cluster.worker()
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert verdicts(out) == due and "18 graded now" in said
    local = tmp_path / "local"
    assert grader(*arguments(tmp_path / "class", local, "--seed", "5")).code == 0
    assert (local / "results.csv").read_bytes() == (out / "results.csv").read_bytes()


def test_no_scheduler_and_no_workers(cluster, tmp_path, monkeypatch):
    make_class(tmp_path / "class", 1)
    ran = grader(*arguments(tmp_path / "class", tmp_path / "out", "--engine", "dask"))
    assert ran.code == 2 and "--scheduler" in ran.err
    from grader.batch import cluster as engine
    from grader.errors import BadInput

    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.5)
    with pytest.raises(BadInput, match="has no workers"):
        engine.DaskEngine(cluster.address, [str(PACK)], root=True)
    with pytest.raises(BadInput, match="no Dask scheduler"):
        engine.DaskEngine("tcp://127.0.0.1:9", [str(PACK)], root=True)


def test_a_worker_with_another_version_says_so(tmp_path):
    import msgspec

    from grader.batch.remote import Order, grade
    from grader.results import Result

    def ask(**changed: object) -> Result:
        fields = {"drill": "target", "digest": "another", "packs": [str(PACK)], "source": b"", "seed": 1, "root": True}
        order = Order(**{**fields, **changed})  # type: ignore[arg-type]
        return msgspec.json.decode(grade(msgspec.msgpack.encode(order)), type=Result)

    assert ask().verdict == "error" and "another version of target" in ask().problem
    assert "has no such drill" in ask(packs=[]).problem
    assert os.geteuid() != 0 or "runs as root" in ask(root=False).problem
