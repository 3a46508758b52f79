"""The parent of all runners: a warm process that holds torch and nothing else.

It is exec'd, not forked, from the server, before any hidden test or solution is read, so that a runner's memory holds
no secret. For each set of terms (a drill's forbidden calls and limits) it forks a nursery, which lays the traps and
keeps runners ready: forking and closing off a runner costs more than the rest of a small check, and so is done ahead
of time. None of these processes but the runners ever runs a learner's code.

    judge   -> zygote    Terms with a socket attached, passed on to the nursery of those terms
    judge   -> nursery   SPAWN: a runner, please     KILL + pid: end this one
    nursery -> judge     SPAWNED + pid, with the runner's socket and output attached     EXITED + pid, status, CPU time
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import tempfile
from collections import OrderedDict
from typing import Any, NamedTuple

import msgspec
import torch

from grader.engine import runner, sandbox, traps
from grader.engine.messages import COMMAND, EVENT, EXITED, KILL, LENGTH, SPAWN, SPAWNED, Terms
from grader.engine.sandbox import limits

POOL = 16  # runners kept ready
NURSERIES = 4  # sets of terms that runners are kept ready for
REFILL_AFTER = 0.02  # seconds without work before the pool is filled
# Imported before the fork, because they are slow, or because torch imports them when first used, which a closed-off
# process may no longer be able to.
PRELOAD = (
    "torch.func", "torch.utils._python_dispatch", "torch.optim", "torch.nn.functional", "torch.nn.utils",
    "torch.nn.utils.parametrize", "torch.nn.attention", "torch.autograd.functional", "torch.utils.checkpoint",
    "torch.fx",
    "numpy.random", "einops", "dataclasses", "typing_extensions", "fractions", "decimal", "statistics", "traceback",
    "copy", "pprint", "textwrap", "string", "heapq", "bisect", "enum", "abc", "timeit", "logging",
)  # fmt: skip


class Runner(NamedTuple):
    pid: int
    data: socket.socket
    output: int


class Nursery:
    """Makes runners for one set of terms, for the judges whose sockets come over `control`."""

    def __init__(self, control: socket.socket, terms: Terms, prepared: Any) -> None:
        self._control = control
        self._terms = terms
        self._prepared = prepared
        self._selector = selectors.DefaultSelector()
        self._pool: list[Runner] = []
        self._owner: dict[int, socket.socket] = {}  # runner's pid -> judge
        self._alive: set[int] = set()
        self._judges: set[socket.socket] = set()

    def serve(self) -> None:
        """Until the zygote's end of the control socket closes."""
        if self._terms.compiler:
            torch.func.grad(torch.sum)(torch.zeros(2))  # imports it, which takes a second or two
        traps.install(self._terms.forbidden, self._terms.operators)
        # A verdict must not depend on how many threads the code asks for: they would share one process's time.
        torch.set_num_threads = lambda count: None  # type: ignore[assignment]
        gc.freeze()
        wakeup, sleeper = socket.socketpair()
        for end in (wakeup, sleeper):
            end.setblocking(False)
        signal.set_wakeup_fd(sleeper.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(wakeup, selectors.EVENT_READ)
        self._wakeups = (wakeup, sleeper)
        leaving = False
        while not leaving or self._judges:
            refill = not self._judges and len(self._pool) < POOL
            ready = self._selector.select(REFILL_AFTER if refill else None)
            if not ready and refill:
                self._pool.append(self._fork(rehearse=True))
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is wakeup:
                    self._reap()
                elif key.fileobj is self._control:
                    if not self._accept():
                        self._selector.unregister(self._control)
                        leaving = True
                else:
                    self._command(key.fileobj)

    def _accept(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control, 1, 1)
        if not data:
            return False
        for fd in fds:
            judge = socket.socket(fileno=fd)
            self._judges.add(judge)
            self._selector.register(judge, selectors.EVENT_READ)
        return True

    def _command(self, judge: socket.socket) -> None:
        try:
            data = judge.recv(COMMAND.size, socket.MSG_WAITALL)
        except ConnectionError:
            data = b""
        if len(data) < COMMAND.size:
            return self._forget(judge)
        command, pid = COMMAND.unpack(data)
        if command == SPAWN:
            self._hand_over(judge)
        elif command == KILL and self._owner.get(pid) is judge:
            self._kill(pid)
        return None

    def _hand_over(self, judge: socket.socket) -> None:
        made = self._pool.pop() if self._pool else self._fork(rehearse=False)
        while made.pid not in self._alive:  # one of the pool has died
            os.close(made.output)
            made.data.close()
            made = self._fork(rehearse=False)
        self._owner[made.pid] = judge
        with contextlib.suppress(ConnectionError):
            message = EVENT.pack(SPAWNED, made.pid, 0, 0)
            socket.send_fds(judge, [message], [made.data.fileno(), made.output])
        made.data.close()
        os.close(made.output)

    def _fork(self, *, rehearse: bool) -> Runner:
        """`rehearse`: make it ready for its first request, which takes longer than it saves if that is due now."""
        ours, theirs = socket.socketpair()
        output, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            runner.main(theirs, writer, self._prepared, self._terms, rehearse=rehearse)
        theirs.close()
        os.close(writer)
        self._alive.add(pid)
        return Runner(pid, ours, output)

    def _kill(self, pid: int) -> None:
        """End a runner and what it may have started where no filter forbade it."""
        if pid in self._alive:
            for end in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    end(pid, signal.SIGKILL)

    def _forget(self, judge: socket.socket) -> None:
        self._selector.unregister(judge)
        self._judges.discard(judge)
        judge.close()
        for pid in [pid for pid, owner in self._owner.items() if owner is judge]:
            self._kill(pid)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wakeups[0].recv(4096):
                pass
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._alive.discard(pid)
            judge = self._owner.pop(pid, None)
            if judge is not None:
                cpu = int((usage.ru_utime + usage.ru_stime) * 1000)
                with contextlib.suppress(OSError):
                    judge.send(EVENT.pack(EXITED, pid, status, cpu), socket.MSG_DONTWAIT)


class Zygote:
    """Hands judges over to the nursery of their terms."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._prepared = sandbox.prepare()
        self._nurseries: OrderedDict[bytes, tuple[int, socket.socket]] = OrderedDict()  # longest unused first

    def serve(self) -> None:
        """Until the server and all its judges have closed their ends of the control socket."""
        while True:
            prefix, fds, _, _ = socket.recv_fds(self._control, LENGTH.size, 1)
            if len(prefix) < LENGTH.size:
                return
            (length,) = LENGTH.unpack(prefix)
            terms = self._control.recv(length, socket.MSG_WAITALL)
            for fd in fds:
                with socket.socket(fileno=fd) as judge, contextlib.suppress(OSError):
                    socket.send_fds(self._nursery(terms), [b"j"], [judge.fileno()])

    def _nursery(self, terms: bytes) -> socket.socket:
        pid, control = self._nurseries.pop(terms, (0, None))
        if control is None or os.waitpid(pid, os.WNOHANG)[0]:
            pid, control = self._fork(terms)
        self._nurseries[terms] = (pid, control)
        if len(self._nurseries) > NURSERIES:
            _, (_, oldest) = self._nurseries.popitem(last=False)
            oldest.close()  # it ends when its last judge has left
        return control

    def _fork(self, terms: bytes) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid:
            theirs.close()
            return pid, ours
        limits.die_with_parent()
        ours.close()
        self._control.close()
        for _, control in self._nurseries.values():
            control.close()
        Nursery(theirs, msgspec.msgpack.decode(terms, type=Terms), self._prepared).serve()
        os._exit(0)


def warm_up() -> None:
    """Touch what a check will touch, so that every fork finds it ready (and torch has chosen its kernels)."""
    torch.set_num_threads(1)  # before any operation: a forked child must find no thread pool
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
    traps.preload(PRELOAD)
    tempfile.gettempdir()  # tries to write a file, and remembers where it could; some modules ask for it when imported
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        x = torch.randn(2, 4, 8).to(dtype).requires_grad_()
        y = (x @ x.transpose(-2, -1)).softmax(-1) @ x
        y = torch.nn.functional.layer_norm(y, (8,)) * x.pow(2).mean(-1, keepdim=True).rsqrt()
        torch.autograd.grad(torch.einsum("bld->bl", y), x, torch.ones(2, 4, dtype=dtype))
    torch.randint(0, 5, (3,), generator=torch.Generator().manual_seed(0))
    layer = torch.nn.Linear(4, 4)
    layer.load_state_dict(layer.state_dict())
    repr(layer), repr(torch.zeros(2))


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    limits.die_with_parent()
    limits.economise_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm_up()
    gc.collect()
    gc.freeze()
    zygote = Zygote(control)
    zygote.serve()
    os._exit(0)  # the runners die with their parent


if __name__ == "__main__":
    main()
