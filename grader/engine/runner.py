"""The untrusted side: one process for one check, with the learner's module in it.

(A drill's own code, in `grader validate`, is loaded anew for each check in one process.)

It is forked from a nursery (see zygote), which has laid the traps already. It closes itself off, sets its limits, says
how it stands, and waits for a Load. From the moment it runs the learner's code nothing that it says is believed; it
only computes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Any, NoReturn

import msgspec

from grader.engine import executor, rehearsal, sandbox, traps
from grader.engine.frames import Closed, FrameReader, send_frame
from grader.engine.messages import Forbidden, Load, Ok, Ready, ReplyBody, ReplyFrame, RequestFrame, Terms
from grader.engine.sandbox import limits

_decoder = msgspec.msgpack.Decoder(RequestFrame)


def main(data: socket.socket, output: int, prepared: Any, terms: Terms, *, rehearse: bool) -> NoReturn:
    """Run in a freshly forked child. `data`: the judge's socket; `output`: where prints go."""
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        limits.open_statm()
        layers = sandbox.close_off([0, 1, 2, data.fileno(), *limits.descriptors()], prepared)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
        if rehearse:
            rehearsal.rehearse_runner()
        layers |= sandbox.lock(memory_mb=terms.memory_mb, cpu_seconds=terms.cpu_seconds)
        limits.close_statm()
        _answer(data, 0, Ready(os.getpid(), layers), [])
        _serve(data)
    except Closed:
        os._exit(0)
    except BaseException as error:
        with contextlib.suppress(BaseException):
            print(f"runner: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(70)


def _serve(data: socket.socket) -> NoReturn:
    frames = FrameReader(data)
    runner: executor.Executor | None = None
    while True:
        header, payload = frames.receive()
        request = _decoder.decode(header)
        if isinstance(request.body, Load):
            runner = _load(data, request.nonce, request.body)
            continue
        assert runner is not None
        reply, buffers = runner.handle(request.body, payload)
        if traps.hits and not isinstance(reply, Forbidden):
            reply, buffers = Forbidden(traps.hits[0]), []  # swallowed by an `except`, but called
        _answer(data, request.nonce, reply, buffers)


def _load(data: socket.socket, nonce: int, request: Load) -> executor.Executor:
    """Run the learner's source. Its failure is the answer to the Load."""
    executor.seed_everything(request.seed)
    sys.argv = [request.filename]
    module, loaded = executor.open_module(request)
    reply: ReplyBody
    try:
        executor.fill_module(module, request)
        reply = Ok(loaded.names())
    except BaseException as error:
        reply = loaded.describe(error)
    if traps.hits and not isinstance(reply, Forbidden):
        reply = Forbidden(traps.hits[0])
    _answer(data, nonce, reply, [])
    return loaded


def _answer(data: socket.socket, nonce: int, reply: ReplyBody, buffers: list[memoryview]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    send_frame(data, msgspec.msgpack.encode(ReplyFrame(nonce, reply)), buffers)
