"""The untrusted side: one process for one check, with the learner's module in it.

It is forked from a nursery (see zygote), which has laid the traps already. It closes itself off, sets its limits, says
how it stands, and waits for a Load. From the moment it runs the learner's code nothing that it says is believed; it
only computes.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
from typing import Any, NoReturn

import msgspec
import numpy as np
import torch

from grader.engine import executor, sandbox, traps
from grader.engine.frames import Closed, FrameReader, send_frame
from grader.engine.messages import Ask, Forbidden, Load, Ok, Ready, ReplyBody, ReplyFrame, RequestFrame, Terms, Vjp
from grader.engine.sandbox import limits
from grader.engine.values import Encoder, Handle, TensorRef

_decoder = msgspec.msgpack.Decoder(RequestFrame)


def main(data: socket.socket, output: int, prepared: Any, terms: Terms) -> NoReturn:
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
        _rehearse()
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
    header, _ = frames.receive()
    request = _decoder.decode(header)
    assert isinstance(request.body, Load)
    runner = _load(data, request.nonce, request.body)
    while True:
        header, payload = frames.receive()
        request = _decoder.decode(header)
        assert not isinstance(request.body, Load)
        reply, buffers = runner.handle(request.body, payload)
        if traps.hits and not isinstance(reply, Forbidden):
            reply, buffers = Forbidden(traps.hits[0]), []  # swallowed by an `except`, but called
        _answer(data, request.nonce, reply, buffers)


def _load(data: socket.socket, nonce: int, request: Load) -> executor.Executor:
    """Run the learner's source. Its failure is the answer to the Load."""
    _seed(request.seed)
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


def _rehearse() -> None:
    """Do what a check does, once, with code of our own.

    After a fork every first touch of a page copies it. Done here, that happens while the runner waits in the pool
    and not while a learner waits for a verdict.
    """
    load = Load(_REHEARSAL, "rehearsal.py", "rehearsal", 0)
    module, rehearsed = executor.open_module(load)
    executor.fill_module(module, load)
    encoder = Encoder(lambda value: Handle(0), compact=False)
    x = encoder.encode(torch.ones(2, 3, 4, requires_grad=True))
    payload = bytearray().join(bytes(b) for b in encoder.buffers)
    made, _ = rehearsed.handle(Ask("method", 0, "Layer", [4]), bytearray())
    for name, target in (("function", 0), ("forward", getattr(getattr(made, "value", None), "id", 0))):
        reply, _ = rehearsed.handle(Ask("method", target, name, [x]), bytearray(payload))
        if isinstance(reply, Ok) and isinstance(reply.value, TensorRef):
            cotangent = msgspec.structs.replace(reply.value, start=0, requires_grad=False)
            rehearsed.handle(Vjp(reply.call, [reply.value.index], [cotangent], [0], []), bytearray(payload))
    rehearsed.handle(Ask("method", 0, "function", [None]), bytearray())
    sys.modules.pop(load.name, None)


_REHEARSAL = b"""
import torch
from torch import nn

def function(x):
    scores = x @ x.transpose(-2, -1) / x.shape[-1] ** 0.5
    weights = scores.masked_fill(torch.ones(3, 3).tril() == 0, float("-inf")).softmax(dim=-1)
    return (weights @ x) * x.pow(2).mean(-1, keepdim=True).add(1e-6).rsqrt().to(x.dtype)

class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
    def forward(self, x):
        return function(x.float() * self.weight)
"""


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed also asks for every kind of accelerator
    np.random.seed(seed % 2**32)
    random.seed(seed)


def _answer(data: socket.socket, nonce: int, reply: ReplyBody, buffers: list[memoryview]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    send_frame(data, msgspec.msgpack.encode(ReplyFrame(nonce, reply)), buffers)
