"""The warm process behind `grader check`: holds torch and pytest, forks a judge for each request.

Two ways to run it, one code path:

    python -I -m grader.engine.server --socket PATH   for all of a user's commands, leaves when idle
    python -I -m grader.engine.server --once FD       for one command, over a socket that it inherits

It reads no hidden test itself: judges do, after the fork, so a changed drill needs no restart. When the client speaks
for other code than the server's (an upgrade, an edit), it says so and leaves.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from grader import identity
from grader.engine.frames import Closed, ProtocolError, receive_frame, send_frame
from grader.engine.messages import LENGTH
from grader.engine.sandbox import limits
from grader.results import Answer, Finished, Hello, Request, Stale, Status, error_result

IDLE_SECONDS = float(os.environ.get("DRILLS_SERVER_IDLE", "900"))
HELLO_SECONDS = 5.0  # a client that connects must say what it wants by then
BACKLOG = 64


class Server:
    def __init__(self, listener: socket.socket | None, path: Path = Path()) -> None:
        self._listener = listener
        self._path = path
        self._fingerprint = identity.fingerprint()
        self._control, end = socket.socketpair()
        # Started first: it imports torch on another core while this process does.
        self._zygote = subprocess.Popen(
            [sys.executable, "-I", "-m", "grader.engine.zygote", str(end.fileno())],
            pass_fds=[end.fileno()], stdin=subprocess.DEVNULL, env=_environment(), cwd="/",
        )  # fmt: skip
        end.close()
        self._started_at = time.time()
        self._graded = 0
        self._judges: set[int] = set()
        self._spare: tuple[int, socket.socket] | None = None  # a judge that waits for its request
        self._leaving = False

    def warm_up(self) -> None:
        """Import and touch what judges need."""
        from grader.engine import judge, rehearsal, zygote  # noqa: F401

        zygote.warm_up()
        gc.collect()
        gc.freeze()

    def serve(self) -> None:
        """Accept clients until idle for long, told to stop, or out of date."""
        assert self._listener is not None
        wakeup, sleeper = socket.socketpair()
        for end in (wakeup, sleeper):
            end.setblocking(False)
        signal.set_wakeup_fd(sleeper.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._leave)
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        while not self._leaving or self._judges:
            if self._leaving and self._listener is not None:
                self._stop_listening(selector)
            if self._spare is None and not self._judges and not self._leaving:
                self._spare = self._fork_spare()
            ready = selector.select(None if self._judges else IDLE_SECONDS)
            if not ready and not self._judges:
                return
            for key, _ in ready:
                if key.fileobj is wakeup:
                    self._reap(wakeup)
                elif self._listener is not None:
                    self._accept(self._listener)
            if self._zygote.poll() is not None:
                self._leaving = True

    def _stop_listening(self, selector: selectors.BaseSelector) -> None:
        """From here on clients find no server and start another, while the judges of this one finish."""
        assert self._listener is not None
        selector.unregister(self._listener)
        identity.unlink_own(self._path, self._listener)
        self._listener.close()
        self._listener = None

    def _leave(self, *_: Any) -> None:
        self._leaving = True

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError as error:
            # Out of descriptors: the client would stay in the queue, and wake this loop for ever.
            self._leaving = self._leaving or error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
            return
        with client:
            if self._zygote.poll() is not None:
                self._leaving = True  # without it nothing can be graded: the client, unanswered, starts afresh
            if self._leaving or not identity.same_user(client):
                return
            client.settimeout(HELLO_SECONDS)
            with contextlib.suppress(Closed, ProtocolError, OSError, msgspec.MsgspecError):
                header, _ = receive_frame(client)
                self._answer(client, msgspec.msgpack.decode(header, type=Hello))

    def _answer(self, client: socket.socket, hello: Hello) -> None:
        if hello.fingerprint != self._fingerprint:
            _send(client, Stale(self._fingerprint))
            self._leaving = True
        elif hello.command == "stop":
            self._leaving = True
        elif hello.command == "status":
            _send(client, self._status())
        elif hello.request is not None:
            client.settimeout(None)
            self._graded += 1
            self._start_judge(client, hello.request)

    def _status(self) -> Status:
        return Status(
            os.getpid(),
            self._started_at,
            self._graded,
            _private_mb(os.getpid()),
            _private_mb(self._zygote.pid),
        )

    def _start_judge(self, client: socket.socket, request: Request) -> None:
        """Give the request to the judge that waits, or to a new one."""
        spare, self._spare = self._spare, None
        if spare is not None:
            pid, line = spare
            with line, contextlib.suppress(OSError):
                data = msgspec.msgpack.encode(request)
                socket.send_fds(line, [LENGTH.pack(len(data))], [client.fileno()])
                line.sendall(data)
                self._judges.add(pid)
                return
        pid = os.fork()
        if pid:
            self._judges.add(pid)
        else:
            self._become_judge()
            _leave_after(lambda: self.judge(client, request))

    def _fork_spare(self) -> tuple[int, socket.socket]:
        """A judge ahead of time: it rehearses, then waits for a request or for the server to close its line."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid:
            theirs.close()
            return pid, ours
        ours.close()
        self._become_judge()
        return _leave_after(lambda: self._wait_as_judge(theirs))

    def _become_judge(self) -> None:
        """What the server's process must not share with its child."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(OSError):
            limits.die_with_parent()
        if self._listener is not None:
            self._listener.close()

    def _wait_as_judge(self, line: socket.socket) -> None:
        from grader.engine.rehearsal import rehearse_judge

        rehearse_judge()
        prefix, fds, _, _ = socket.recv_fds(line, LENGTH.size, 1)
        if len(prefix) < LENGTH.size:
            return
        (length,) = LENGTH.unpack(prefix)
        data = line.recv(length, socket.MSG_WAITALL)
        line.close()
        self.judge(socket.socket(fileno=fds[0]), msgspec.msgpack.decode(data, type=Request))

    def judge(self, client: socket.socket, request: Request) -> None:
        """Grade one request in this process, sending events to the client until there is a result."""
        from grader.engine.judge import Judge, terms_of
        from grader.engine.remote import Cancelled, EngineFault, Zygote
        from grader.engine.trials import Trials

        try:
            if request.trials:
                Trials(request, lambda event: _send(client, event)).run()
                return
            terms = terms_of(request)
            Judge(
                request, lambda: Zygote.open(self._control, terms), lambda event: _send(client, event), client
            ).grade()
        except (Cancelled, Closed):
            return
        except Exception as error:
            traceback.print_exc()
            problem = f"{type(error).__name__}: {error}"
            result = error_result(request.drill, request.seed, problem, engine_fault=isinstance(error, EngineFault))
            _send(client, Finished(result))

    def _reap(self, wakeup: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while wakeup.recv(4096):
                pass
        for pid in [*self._judges, *([self._spare[0]] if self._spare else [])]:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self._judges.discard(pid)
            if self._spare is not None and self._spare[0] == pid:
                self._spare[1].close()
                self._spare = None

    def once(self, client: socket.socket) -> None:
        """Serve one client over a socket that this process was started with."""
        header, _ = receive_frame(client)
        hello = msgspec.msgpack.decode(header, type=Hello)
        if hello.request is not None:
            import torch

            torch.set_num_threads(1)
            self.judge(client, hello.request)

    def stop(self) -> None:
        """Stop listening, and end the zygote, and with it every runner."""
        if self._listener is not None:
            identity.unlink_own(self._path, self._listener)
            self._listener.close()
            self._listener = None
        if self._spare is not None:
            self._spare[1].close()
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._zygote.wait(1.0)
            return
        self._zygote.kill()
        self._zygote.wait()


def _send(client: socket.socket, answer: Answer) -> None:
    send_frame(client, msgspec.msgpack.encode(answer))


def _leave_after(work: Any) -> NoReturn:
    """Run a forked child's work; never return into the server's loop."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(code)


def _environment() -> dict[str, str]:
    """What the zygote, and so the learner's code, sees of the environment."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "LC_CTYPE", "TZ") if name in os.environ}
    # Code may ask for threads all the same; their stacks count as memory of its own.
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_STACKSIZE": "1M"}
    return {**kept, **threads, "PATH": os.defpath, "HOME": "/"}


def _private_mb(pid: int) -> float:
    """Memory that only this process holds, in MB; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket")
    parser.add_argument("--once", type=int)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client, which closes its socket
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if options.once is not None:
        server = Server(None)
        with contextlib.suppress(Closed):
            server.once(socket.socket(fileno=options.once))
        server.stop()
        os._exit(0)
    # The listener comes first, so that clients can already connect while torch is imported.
    listener = identity.listen(Path(options.socket), BACKLOG)
    server = Server(listener, Path(options.socket))
    try:
        server.warm_up()
        server.serve()
    finally:
        signal.set_wakeup_fd(-1)
        server.stop()


if __name__ == "__main__":
    main()
