"""The warm server: started on demand, shared, replaced when out of date, and never needed."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from checks import process_ends

from drills.catalogue import Catalogue
from grader import client, identity
from grader.client import Grading
from grader.engine.frames import FrameReader, send_frame
from grader.requests import request_for
from grader.results import CheckFinished, Finished, Hello, Request, Result, Stale, Started

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory, and so a server, of this test's own."""
    folder = Path(f"/tmp/drills-{os.getpid()}-{tmp_path.name}"[:60])  # a socket's path may not be long
    monkeypatch.setenv("DRILLS_RUNTIME_DIR", str(folder))
    yield folder
    with contextlib.suppress(Exception):
        client.stop()
    shutil.rmtree(folder, ignore_errors=True)  # the leaving server removes its socket itself


def request(source: str | None = None) -> Request:
    drill = Catalogue.load().find("rmsnorm")
    text = (drill.solution_source if source is None else drill.solution_source + source).encode()
    return request_for(drill, text, "answer.py")


def grade(req: Request, **options: bool) -> Result:
    events = list(Grading(req, **options))
    assert isinstance(events[-1], Finished)
    return events[-1].result


HANG = "\n\ndef rms_norm(x, weight=None, eps=1e-6):\n    while True: pass\n"


def test_started_on_demand_shared_and_stopped(runtime):
    assert client.status() is None
    assert grade(request()).verdict == "passed"
    first = client.status()
    assert first is not None and first.graded == 1 and first.pid != os.getpid()
    assert grade(request()).verdict == "passed"
    again = client.status()
    assert again is not None and again.pid == first.pid and again.graded == 2
    assert client.stop() is True
    assert process_ends(first.pid) and client.status() is None and not list(runtime.glob("*.sock"))


def test_only_the_user_can_enter_its_directory(runtime):
    grade(request())
    assert runtime.stat().st_mode & 0o777 == 0o700
    assert next(runtime.glob("*.sock")).stat().st_mode & 0o077 == 0
    runtime.chmod(0o755)
    with pytest.raises(identity.UnsafeDirectory, match="0700"):
        identity.runtime_directory()
    assert grade(request()).verdict == "passed", "a check works without the server"
    runtime.chmod(0o700)


def test_events_come_in_order_as_they_happen(runtime):
    events = list(Grading(request()))
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    finished = [event.check for event in events[1:-1] if isinstance(event, CheckFinished)]
    assert len(finished) == len(events) - 2
    assert [check.id for check in finished] == [id_ for id_, _ in events[0].checks]
    assert events[-1].result.checks == finished


def test_two_clients_at_once_do_not_mix(runtime):
    results: dict[int, Result] = {}

    def work(number: int) -> None:
        results[number] = grade(request(HANG if number % 2 else None))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: r.verdict for n, r in results.items()} == {0: "passed", 1: "failed", 2: "passed", 3: "failed"}


TALKATIVE = """

print("loaded")

def rms_norm(x, weight=None, eps=1e-6):
    print(tuple(x.shape))
    y = x.double() / (x.double().square().mean(-1, keepdim=True).sqrt() + eps)
    return (y if weight is None else y * weight).to(x.dtype)
"""


def test_the_result_is_the_same_however_many_processes_share_the_checks():
    def result(workers: int) -> Result:
        asked = msgspec.structs.replace(request(TALKATIVE), seed=7, workers=workers)
        found = grade(asked)
        checks = [msgspec.structs.replace(check, duration_ms=0.0) for check in found.checks]
        return msgspec.structs.replace(found, duration_ms=0.0, checks=checks)

    alone = result(1)
    assert alone.verdict == "failed" and alone.output.startswith("loaded\n(1, 2)") and alone.diagnosis
    assert result(2) == alone and result(4) == alone


def test_a_run_ends_soon_when_every_check_hangs_in_every_process():
    results = [grade(msgspec.structs.replace(request(HANG), workers=workers)) for workers in (1, 4)]
    for found in results:
        outcomes = [check.outcome for check in found.checks]
        assert set(outcomes) <= {"timeout", "passed"} and outcomes.count("timeout") > 10
        assert found.duration_ms < 1000 * request().limits.run_seconds


def test_a_server_of_other_code_says_so_and_is_replaced(runtime, monkeypatch):
    grade(request())
    old = client.status()
    assert old is not None
    path = identity.socket_path()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        send_frame(sock, msgspec.msgpack.encode(Hello(fingerprint="of another version", request=request())))
        header, _ = FrameReader(sock).receive()
        assert isinstance(msgspec.msgpack.decode(header, type=Stale), Stale)
    assert process_ends(old.pid)
    assert grade(request()).verdict == "passed"
    new = client.status()
    assert new is not None and new.pid != old.pid


def test_the_fingerprint_follows_the_code(tmp_path, monkeypatch):
    copy = tmp_path / "grader"
    subprocess.run(["cp", "-r", str(identity.PACKAGE), str(copy)], check=True)
    monkeypatch.setattr(identity, "PACKAGE", copy)
    before = identity.fingerprint()
    assert before == identity.fingerprint()
    with (copy / "engine/judge.py").open("a") as file:
        file.write("# changed\n")
    assert identity.fingerprint() != before


def test_a_socket_that_a_dead_server_left_is_replaced(runtime):
    grade(request())
    dead = client.status()
    assert dead is not None
    os.kill(dead.pid, signal.SIGKILL)
    assert process_ends(dead.pid) and identity.socket_path().exists()
    assert grade(request()).verdict == "passed"


@pytest.mark.parametrize("victim", ["server", "zygote"])
def test_killed_in_the_middle_of_a_check_it_is_started_again(runtime, victim):
    grade(request())
    status = client.status()
    assert status is not None
    children = Path(f"/proc/{status.pid}/task/{status.pid}/children").read_text().split()
    pid = status.pid if victim == "server" else int(children[0])
    grading = Grading(request())
    events = []
    for event in grading:
        if isinstance(event, Started) and not events:
            os.kill(pid, signal.SIGKILL)
        events.append(event)
    last = events[-1]
    assert isinstance(last, Finished) and last.result.verdict == "passed" and grading.restarted
    assert grade(request()).verdict == "passed", "and the next check is right"


def test_a_server_that_does_not_answer_is_done_without_and_ended(runtime, monkeypatch):
    grade(request())
    stuck = client.status()
    assert stuck is not None
    os.kill(stuck.pid, signal.SIGSTOP)
    monkeypatch.setattr(client, "START_SECONDS", 0.3)
    grading = Grading(request())
    *_, last = grading
    assert isinstance(last, Finished) and last.result.verdict == "passed"
    assert len(grading.warnings) == 1 and "grader server stop" in grading.warnings[0]
    monkeypatch.setattr(client, "STOP_SECONDS", 0.1)
    assert client.stop() and process_ends(stuck.pid)
    monkeypatch.undo()
    monkeypatch.setenv("DRILLS_RUNTIME_DIR", str(runtime))
    again = Grading(request())
    *_, last = again
    assert isinstance(last, Finished) and last.result.verdict == "passed" and not again.warnings


def test_a_judge_that_was_stopped_is_given_up(runtime, monkeypatch):
    grade(request())
    status = client.status()
    assert status is not None
    monkeypatch.setattr(client, "LEAST_PATIENCE", 2.0)
    monkeypatch.setattr(client, "PATIENCE", 0.0)
    grading, stopped = Grading(request()), []
    for event in grading:
        if isinstance(event, Started) and not stopped:
            stopped = _children(status.pid)[1:]
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            monkeypatch.setattr(client, "LEAST_PATIENCE", 60.0)
        last = event
    assert isinstance(last, Finished) and last.result.verdict == "passed" and grading.restarted
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)


def test_a_server_out_of_descriptors_makes_room_for_another(runtime):
    grade(request())
    full = client.status()
    assert full is not None
    descriptors = len(os.listdir(f"/proc/{full.pid}/fd"))
    resource.prlimit(full.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
    assert grade(request()).verdict == "passed"
    assert process_ends(full.pid)
    fresh = client.status()
    assert fresh is not None and fresh.pid != full.pid


@pytest.mark.parametrize("what", ["a folder", "a name too long"])
def test_where_no_socket_can_be_a_check_says_so_and_is_right(runtime, monkeypatch, what):
    if what == "a folder":
        identity.socket_path().mkdir()
    else:
        monkeypatch.setenv("DRILLS_RUNTIME_DIR", str(runtime / ("x" * 120)))
    grading = Grading(request())
    *_, last = grading
    assert isinstance(last, Finished) and last.result.verdict == "passed"
    assert len(grading.warnings) == 1 and "without the warm server" in grading.warnings[0]


def test_a_cancelled_check_leaves_nothing_behind(runtime):
    grade(request())
    status = client.status()
    assert status is not None
    grading = Grading(request(HANG))
    judges: list[int] = []
    for event in grading:
        if isinstance(event, Started):
            judges = _children(status.pid)[1:]
            assert judges
            grading.cancel()
    assert grading.cancelled and all(process_ends(pid) for pid in judges)


def _children(pid: int) -> list[int]:
    """Child processes, oldest first: the zygote, then judges."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_without_a_server_no_process_is_left(runtime):
    assert grade(request(), use_server=False).verdict == "passed"
    assert not runtime.exists() or not list(runtime.glob("*.sock"))


def test_on_a_build_machine_none_is_started(runtime, monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert grade(request()).verdict == "passed"
    assert not runtime.exists() or not list(runtime.glob("*.sock"))


def test_it_leaves_when_idle(runtime, monkeypatch):
    monkeypatch.setenv("DRILLS_SERVER_IDLE", "0.2")
    grade(request())
    with contextlib.suppress(OSError):
        status = client.status()
        if status is not None:
            assert process_ends(status.pid)
    assert client.status() is None


def test_nonsense_on_its_socket_does_not_stop_it(runtime):
    header = b"DRL1\x01\0\0\0" + b"\0" * 8
    grade(request())
    before = client.status()
    for data in (b"", b"GET / HTTP/1.0\r\n\r\n", os.urandom(1000), b"DRL1" + b"\xff" * 12, header + b"\xc1"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(identity.socket_path()))
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == b"", data[:20]
    after = client.status()
    assert before is not None and after is not None and after.pid == before.pid
    assert grade(request()).verdict == "passed"


def test_ctrl_c_ends_the_command_and_its_engine(tmp_path):
    answer = tmp_path / "answer.py"
    answer.write_bytes(request(HANG).source)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "grader.cli", "check", "rmsnorm", "--no-server", "--file", str(answer)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    engine = _wait_for(lambda: _children(process.pid), process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 1 or process.returncode == 130
    assert all(process_ends(pid) for pid in engine)


def _wait_for(look: Callable[[], list[int]], process: subprocess.Popen[str]) -> list[int]:
    while process.poll() is None:
        if found := look():
            return found
    raise AssertionError("the command ended too soon")


def test_cancelled_while_a_cold_server_starts_it_ends_at_once(runtime):
    grading = Grading(request())
    events: list[object] = []
    thread = threading.Thread(target=lambda: events.extend(grading))
    thread.start()
    while grading._socket is None and thread.is_alive():
        pass
    grading.cancel()
    thread.join(60)
    assert not thread.is_alive() and not any(isinstance(event, Finished) for event in events)
    assert grade(request()).verdict == "passed"
