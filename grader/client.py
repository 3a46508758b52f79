"""The client's side of grading: finds or starts a server, sends a request, yields events.

`Grading` is what `grader check`, `watch`, `batch` and the app use. It imports neither torch nor pytest.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from grader import identity
from grader.engine.frames import Closed, FrameReader, ProtocolError, receive_frame, send_frame
from grader.results import Answer, Event, Finished, Hello, Request, Stale, Status, error_result

_decoder = msgspec.msgpack.Decoder(Answer)
START_SECONDS = 30.0  # a server that has been reached says something by then, though it may have to import torch first
# Of silence, for each second that a run may compute: a judge that takes longer was stopped, or has lost its way.
PATIENCE, LEAST_PATIENCE = 20.0, 60.0
STOP_SECONDS = 10.0
LOG_CAP, LAST_WORDS = 1 << 20, 4096  # bytes


class EngineLost(Exception):
    """The engine ended without a result."""


def server_allowed() -> bool:
    """Whether a warm server may be started: not on a build machine, where nothing should stay behind."""
    return not os.environ.get("CI")


class Grading:
    """One request on its way. Iterate over it for events; `cancel` from another thread ends it.

    The last event is always Finished, unless it was cancelled. When the warm server dies under it, it is tried once
    more with a fresh one, and events that had been seen come again, after `restarted` was set.
    """

    def __init__(self, request: Request, *, use_server: bool = True) -> None:
        self._request = request
        self._use_server = use_server and server_allowed()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None  # what a private engine says on its standard error
        self.cancelled = False
        self.restarted = False
        self.warnings: list[str] = []  # for the learner: the warm server could not be used

    def __iter__(self) -> Iterator[Event]:
        for attempt in (1, 2):
            try:
                yield from self._events()
                return
            except EngineLost as lost:
                if self.cancelled:
                    return
                if attempt == 2:
                    yield Finished(error_result(self._request.drill, self._request.seed, str(lost)))
                self.restarted = True
            finally:
                self._close()

    def cancel(self) -> None:
        """Stop it: the judge sees the connection close and leaves, and its runners with it."""
        self.cancelled = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _events(self) -> Iterator[Event]:
        self._socket = self._connect()
        self._socket.settimeout(LEAST_PATIENCE + PATIENCE * self._request.limits.run_seconds)
        frames = FrameReader(self._socket)
        while not self.cancelled:
            try:
                answer = _decoder.decode(frames.receive()[0])
            except (Closed, ProtocolError, msgspec.MsgspecError) as error:
                said = _last_line(self._errors) if self._errors is not None else ""
                raise EngineLost(f"the grading process ended without a verdict{said}") from error
            if isinstance(answer, Stale | Status):
                raise EngineLost("the grading process gave an answer to another question")
            if isinstance(answer, Finished) and answer.result.engine_fault and not self.restarted:
                raise EngineLost(answer.result.problem)
            yield answer
            if isinstance(answer, Finished):
                return

    def _connect(self) -> socket.socket:
        """A connection that has taken the request."""
        if self._use_server:
            try:
                return open_request(Hello(fingerprint=identity.fingerprint(), request=self._request), self._opened)
            except (OSError, identity.UnsafeDirectory, EngineLost) as error:
                self._close()
                if self.restarted or self.cancelled:
                    raise EngineLost(f"no grading process can be started: {error}") from error
                self.warnings.append(f"Graded without the warm server, which takes longer: {error}.")
        return self._private_engine()

    def _opened(self, sock: socket.socket) -> None:
        """A cold server takes seconds to answer: until then, too, `cancel` must have something to close."""
        self._socket = sock
        if self.cancelled:
            raise EngineLost("cancelled")

    def _private_engine(self) -> socket.socket:
        """An engine of this command's own, which leaves with it."""
        import tempfile  # with the warm server there is no need of it

        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-m", "grader.engine.server", "--once", str(theirs.fileno())]
        self._errors = None if os.environ.get("DRILLS_DEBUG") else tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors
        )
        theirs.close()
        _send(ours, Hello(fingerprint="", request=self._request))
        return ours

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def open_request(hello: Hello, opened: Callable[[socket.socket], None]) -> socket.socket:
    """Send `hello` to the warm server, starting or replacing it as needed. Raises EngineLost, OSError.

    `opened` is given each socket that is waited on.
    """
    path = identity.socket_path()
    for _ in range(3):
        sock = _try_connect(path) or _start(path)
        opened(sock)
        with contextlib.suppress(Closed):
            _send(sock, hello)
        if _is_taken(sock):
            return sock
        opened(sock)  # it may have been cancelled, which closes the connection as well
        sock.close()
        _wait_until_gone(path)
    raise EngineLost("the warm server keeps leaving")


def status() -> Status | None:
    """What a running server says of itself; None where none runs."""
    sock = _try_connect(identity.socket_path())
    if sock is None:
        return None
    with sock:
        sock.settimeout(2.0)
        try:
            _send(sock, Hello(fingerprint=identity.fingerprint(), command="status"))
            answer = _receive(sock)
        except (Closed, ProtocolError, OSError, msgspec.MsgspecError):
            return None
        return answer if isinstance(answer, Status) else None


def stop() -> bool:
    """Ask the running server to leave, and end it if it does not answer; whether there was one."""
    sock = _try_connect(identity.socket_path())
    if sock is None:
        return False
    with sock:
        sock.settimeout(STOP_SECONDS)
        _send(sock, Hello(fingerprint=identity.fingerprint(), command="stop"))
        try:
            sock.recv(1)  # it hangs up
        except TimeoutError:
            identity.kill_peer(sock)
        except OSError:
            pass
    return True


def _is_taken(sock: socket.socket) -> bool:
    """Whether the server has taken the request, by a look at its first answer that leaves it to be read.

    A server that is leaving answers `Stale`, or nothing.
    """
    sock.settimeout(START_SECONDS)
    try:
        first = sock.recv(4096, socket.MSG_PEEK)
    except ConnectionError:
        return False
    except TimeoutError:
        raise EngineLost("it does not answer (`grader server stop` ends it)") from None
    return bool(first) and b"Stale" not in first[:64]


def _try_connect(path: Path) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(str(path))
        if identity.same_user(sock):
            return sock
    except OSError:
        pass
    sock.close()
    return None


def _start(path: Path) -> socket.socket:
    """Start a server, unless another command is just doing that, and connect to it."""
    with _lock(path.with_suffix(".lock")):
        sock = _try_connect(path)
        if sock is not None:
            return sock
        log = path.with_suffix(".log")
        with log.open("ab") as errors:
            if errors.tell() > LOG_CAP:
                errors.truncate(0)
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "grader.engine.server", "--socket", str(path)],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True, cwd="/",
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            sock = _try_connect(path)
            if sock is not None:
                process.returncode = 0  # it is meant to outlive this command: no warning, no wait
                return sock
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.005)
                with log.open("rb") as said:
                    raise EngineLost(f"the warm server ended at once{_last_line(said)}; see {log}")
    raise EngineLost(f"the warm server did not answer within {START_SECONDS:g} s; see {log}")


def _last_line(errors: IO[bytes]) -> str:
    """What an engine said last, which is the exception that ended it."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - LAST_WORDS))
    lines = errors.read().decode("utf-8", "replace").split("\n")
    words = [line for line in lines if line.strip()]
    missing = " (`pip install torch`)" if words and "No module named 'torch'" in words[-1] else ""
    return f": {words[-1].strip()}{missing}" if words else ""


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One starter at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _wait_until_gone(path: Path) -> None:
    """Until a leaving server has stopped listening."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        sock = _try_connect(path)
        if sock is None:
            return
        with sock, contextlib.suppress(OSError):
            sock.settimeout(1.0)
            sock.recv(1)


def _send(sock: socket.socket, hello: Hello) -> None:
    send_frame(sock, msgspec.msgpack.encode(hello))


def _receive(sock: socket.socket) -> Answer:
    header, _ = receive_frame(sock)
    answer: Answer = _decoder.decode(header)
    return answer
