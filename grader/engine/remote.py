"""The judge's end of the wall: getting runners, asking them, and knowing how they ended."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import secrets
import select
import signal
import socket
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from grader.engine.deadline import Stopwatch
from grader.engine.executor import Executor
from grader.engine.frames import Closed, FrameReader, ProtocolError, send_frame
from grader.engine.messages import (
    COMMAND,
    EVENT,
    KILL,
    LENGTH,
    SPAWN,
    SPAWNED,
    Forbidden,
    Load,
    Ready,
    ReplyBody,
    ReplyFrame,
    RequestBody,
    RequestFrame,
    Terms,
)
from grader.results import Outcome

OUTPUT_CAP = 16_384  # bytes kept of what one runner prints
EXIT_WAIT = 1.0  # seconds until the zygote must have told how a runner ended
_reply_decoder = msgspec.msgpack.Decoder(ReplyFrame)


class RunnerFault(BaseException):
    """The runner is gone or broke the rules. Not an Exception: no test may take it for the learner's exception."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = message


class Cancelled(BaseException):
    """The client has left: nobody waits for this verdict any more."""


class EngineFault(Exception):
    """The engine's own part of the wall has failed: the grader's fault, not the learner's."""


class Exit(NamedTuple):
    status: int
    cpu_ms: int


class Transport(Protocol):
    """Where requests go: a runner behind the wall, or an executor in this process."""

    def ask(self, body: RequestBody, buffers: list[memoryview]) -> tuple[ReplyBody, bytearray]: ...


class Local:
    """A transport to trusted code in this process: the reference solution and known mistakes."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def ask(self, body: RequestBody, buffers: list[memoryview]) -> tuple[ReplyBody, bytearray]:
        payload = bytearray().join(bytes(b) for b in buffers)
        reply, out = self._executor.handle(body, payload)
        return reply, bytearray().join(bytes(b) for b in out)


class Zygote:
    """The judge's line to the zygote: asks for runners ahead of time and collects how they ended."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._spawned: deque[tuple[int, socket.socket, int]] = deque()
        self._asked = 0
        self._exits: dict[int, Exit] = {}

    @classmethod
    def open(cls, control: socket.socket, terms: Terms) -> Zygote:
        """A line of one's own, over the socket that all judges share, to runners on these terms."""
        ours, theirs = socket.socketpair()
        data = msgspec.msgpack.encode(terms)
        try:
            socket.send_fds(control, [LENGTH.pack(len(data)) + data], [theirs.fileno()])
        except OSError as error:
            raise EngineFault("the parent of the runners has died") from error
        finally:
            theirs.close()
        return cls(ours)

    def order(self, count: int = 1) -> None:
        """Ask for runners without waiting for them."""
        try:
            self._sock.sendall(COMMAND.pack(SPAWN, 0) * count)
        except OSError as error:
            raise EngineFault("the parent of the runners has died") from error
        self._asked += count

    def take(self) -> tuple[int, socket.socket, int]:
        """The next runner: pid, socket, descriptor of its output."""
        if not self._spawned and not self._asked:
            self.order()
        while not self._spawned:
            self._receive()
        return self._spawned.popleft()

    def kill(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            self._sock.sendall(COMMAND.pack(KILL, pid))

    def exit_of(self, pid: int) -> Exit | None:
        """How a runner ended; None if that is not told in time."""
        deadline = time.monotonic() + EXIT_WAIT
        while pid not in self._exits:
            poller = select.poll()
            poller.register(self._sock, select.POLLIN)
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            self._receive()
        return self._exits.pop(pid)

    def close(self) -> None:
        """Hang up: the zygote ends this judge's runners."""
        for _, data, output in self._spawned:
            data.close()
            os.close(output)
        self._spawned.clear()
        self._sock.close()

    def _receive(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._sock, EVENT.size, 2)
        if len(data) < EVENT.size:
            raise EngineFault("the parent of the runners has died")
        event, pid, status, cpu_ms = EVENT.unpack(data)
        if event == SPAWNED:
            self._asked -= 1
            self._spawned.append((pid, socket.socket(fileno=fds[0]), fds[1]))
        else:
            self._exits[pid] = Exit(status, cpu_ms)


class Runner:
    """One runner, for one check. After any fault it is killed and answers no more."""

    def __init__(self, parent: Zygote, seconds: float, client: socket.socket | None) -> None:
        """`seconds`: how long loading may take, and then, counted afresh, one check."""
        self._parent = parent
        self._pid, self._data, self._output_fd = parent.take()
        self._frames = FrameReader(self._data)
        self._memory_before = 0.0
        self._memory_before = self.memory_mb  # the pages it has from its parent count as its own here
        self._watch = Stopwatch(self._pid, seconds)
        self._client = client
        self._fault: RunnerFault | None = None
        self._load_nonce = 0
        self._ready: Ready | None = None
        self.output = bytearray()
        self.printed = 0
        os.set_blocking(self._output_fd, False)
        self._poller = select.poll()
        self._poller.register(self._data, select.POLLIN)
        self._poller.register(self._output_fd, select.POLLIN)
        if client is not None:
            self._poller.register(client, select.POLLIN)

    def start_load(self, request: Load) -> None:
        """Have the source loaded, without waiting for it."""
        try:
            self._load_nonce = self._send(request, [])
        except RunnerFault as fault:
            self._fault = fault

    def finish_load(self) -> tuple[Ready, ReplyBody]:
        """How the wall stands, and what became of the source."""
        if self._fault is not None:
            raise EngineFault("a runner was gone before it was asked")
        nonce = self._load_nonce
        ready = self._ready = self._ready or self._is_ready()
        reply, _ = self._receive(nonce)
        self._watch.restart()
        return ready, self._checked(reply)

    @property
    def layers(self) -> dict[str, str]:
        """The layers of its wall, once it has told."""
        return {} if self._ready is None else self._ready.layers

    def _is_ready(self) -> Ready:
        """A runner's first word. Until then it has run none of the learner's code."""
        try:
            ready, _ = self._receive(0)
        except RunnerFault as fault:
            raise EngineFault(f"a runner failed before it was ready: {fault} {self.output.decode()}") from None
        if not isinstance(ready, Ready):
            raise EngineFault("a runner did not say how it stands")
        return ready

    def ask(self, body: RequestBody, buffers: list[memoryview]) -> tuple[ReplyBody, bytearray]:
        """One request and its reply. Raises RunnerFault for everything that is not one."""
        if self._fault is not None:
            raise self._fault
        reply, payload = self._receive(self._send(body, buffers))
        return self._checked(reply), payload

    def allow(self, seconds: float) -> None:
        """Change how long the check may take."""
        self._watch.allowance = seconds

    @property
    def seconds_used(self) -> float:
        return self._watch.used()

    @property
    def memory_mb(self) -> float:
        """Memory that the runner does not share with its parent, roughly; infinite where that is not known."""
        try:
            _, resident, shared, *_ = Path(f"/proc/{self._pid}/statm").read_text().split()
        except (OSError, ValueError):
            return math.inf
        return (int(resident) - int(shared)) * resource.getpagesize() / 2**20 - self._memory_before

    def close(self) -> None:
        """End the runner; what it printed stays in `output`."""
        self._drain()
        self._parent.kill(self._pid)
        self.let_go()

    def let_go(self) -> None:
        """In a process forked from the owner's: close the descriptors, and leave the runner alone."""
        self._data.close()
        if self._output_fd >= 0:
            os.close(self._output_fd)
            self._output_fd = -1

    def protocol_error(self, error: ProtocolError) -> RunnerFault:
        """What the runner sent could not be decoded: the fault to raise."""
        return self._fail("crashed", f"The process sent something that is not an answer ({error})")

    def _checked(self, reply: ReplyBody) -> ReplyBody:
        if isinstance(reply, Forbidden):
            lines = f" (line {reply.frames[-1].line})" if reply.frames else ""
            raise self._fail("forbidden", f"{reply.name}{lines}")
        return reply

    def _send(self, body: RequestBody, buffers: list[memoryview]) -> int:
        nonce = secrets.randbits(62)
        try:
            send_frame(self._data, msgspec.msgpack.encode(RequestFrame(nonce, body)), buffers, self._wait_to_send)
        except Closed:
            raise self._died() from None
        return nonce

    def _receive(self, nonce: int) -> tuple[ReplyBody, bytearray]:
        try:
            header, payload = self._frames.receive(self._wait)
            frame = _reply_decoder.decode(header)
        except Closed:
            raise self._died() from None
        except (
            ProtocolError,
            msgspec.MsgspecError,
            UnicodeDecodeError,
            RecursionError,
            MemoryError,
        ) as error:
            raise self._fail("crashed", f"The process sent something that is not an answer ({error})") from None
        if frame.nonce != nonce:
            raise self._fail("crashed", "The process sent an answer to a question that was not asked")
        self._drain()
        return frame.body, payload

    def _wait_to_send(self) -> None:
        """Until the runner has read what was sent, which one that has stopped listening never does."""
        self._poller.modify(self._data, select.POLLOUT)
        try:
            self._wait()
        finally:
            self._poller.modify(self._data, select.POLLIN)

    def _wait(self) -> None:
        """Until the runner's socket is ready, keeping its output flowing, within its time."""
        while True:
            before = time.monotonic()
            ready = dict(self._poller.poll(self._watch.next_look() * 1000))
            if self._client is not None and self._client.fileno() in ready:
                raise Cancelled
            if self._output_fd in ready:
                self._drain()
            is_ready = self._data.fileno() in ready
            if not is_ready:
                self._watch.looked(time.monotonic() - before)
            elif self._frames.dripping:
                self._watch.slept(time.monotonic() - before)
            if self._watch.is_over:
                raise self._timeout()
            if is_ready:
                return

    def _timeout(self) -> RunnerFault:
        return self._fail("timeout", f"No answer within {self._watch.allowance:g} s of computing")

    def _drain(self) -> None:
        """Read what the learner's code printed; keep the first OUTPUT_CAP bytes."""
        while self._output_fd >= 0:
            try:
                chunk = os.read(self._output_fd, 65536)
            except BlockingIOError:
                return
            if not chunk:
                self._poller.unregister(self._output_fd)
                os.close(self._output_fd)
                self._output_fd = -1
                return
            self.printed += len(chunk)
            self.output += chunk[: max(0, OUTPUT_CAP - len(self.output))]
            if len(chunk) < 65536:
                return

    def _died(self) -> RunnerFault:
        self._drain()
        self._data.close()
        exit_ = self._parent.exit_of(self._pid) if not self._fault else None
        if exit_ is None:  # it closed its socket and lives on
            return self._fail("crashed", "The process closed its connection to the grader")
        if os.WIFSIGNALED(exit_.status):
            number = os.WTERMSIG(exit_.status)
            if number in (signal.SIGKILL, signal.SIGXCPU) and exit_.cpu_ms >= 1000 * self._watch.allowance:
                return self._fail("timeout", f"No answer within {self._watch.allowance:g} s of computing")
            return self._fail("crashed", f"The process was ended by {_signal_name(number)}")
        code = os.waitstatus_to_exitcode(exit_.status)
        return self._fail("crashed", f"The process ended itself with exit status {code} in the middle of the check")

    def _fail(self, outcome: Outcome, message: str) -> RunnerFault:
        self._fault = RunnerFault(outcome, message)
        self._parent.kill(self._pid)
        return self._fault


def _signal_name(number: int) -> str:
    meaning: dict[int, str] = {
        signal.SIGSEGV: "SIGSEGV (a segmentation fault)",
        signal.SIGABRT: "SIGABRT (aborted)",
        signal.SIGKILL: "SIGKILL (killed)",
        signal.SIGBUS: "SIGBUS (a bus error)",
        signal.SIGFPE: "SIGFPE (an arithmetic fault)",
    }
    try:
        return meaning.get(number) or signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
