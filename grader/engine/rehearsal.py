"""Doing once, with code of our own, what a check does, in a process that waits for its first real one.

After a fork every first touch of a page copies it. Done here, that happens while nobody waits, and not while a learner
waits for a verdict.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import torch

from grader.engine.executor import Executor, fill_module, open_module
from grader.engine.messages import Ask, Load, Ok, Vjp
from grader.engine.values import Encoder, Handle, TensorRef

TESTS = Path(__file__).with_name("rehearsal_tests.py")
_ANSWER = b"""
import torch
from torch import nn

def function(x):
    scores = x @ x.transpose(-2, -1) / x.shape[-1] ** 0.5
    weights = scores.masked_fill(torch.ones(3, 3).tril() == 0, float("-inf")).softmax(dim=-1)
    return (weights @ x) * x.pow(2).mean(-1, keepdim=True).add(1e-6).rsqrt().to(x.dtype)

def refuse(x):
    raise ValueError("as asked")

class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
    def forward(self, x):
        return function(x.float() * self.weight)
"""


def _open() -> Executor:
    load = Load(_ANSWER, "rehearsal.py", "rehearsal", 0)
    module, executor = open_module(load)
    fill_module(module, load)
    sys.modules.pop(load.name, None)
    return executor


def rehearse_runner() -> None:
    """Answer a few requests: calls, a module, gradients, an exception."""
    executor = _open()
    encoder = Encoder(lambda value: Handle(0), compact=False)
    x = encoder.encode(torch.ones(2, 3, 4, requires_grad=True))
    payload = bytearray().join(bytes(b) for b in encoder.buffers)
    made, _ = executor.handle(Ask("method", 0, "Layer", [4]), bytearray())
    for name, target in (("function", 0), ("forward", getattr(getattr(made, "value", None), "id", 0))):
        reply, _ = executor.handle(Ask("method", target, name, [x]), bytearray(payload))
        if isinstance(reply, Ok) and isinstance(reply.value, TensorRef):
            cotangent = msgspec.structs.replace(reply.value, start=0, requires_grad=False)
            executor.handle(Vjp(reply.call, [reply.value.index], [cotangent], [0], []), bytearray(payload))
    executor.handle(Ask("method", 0, "refuse", [None]), bytearray())


def rehearse_judge() -> None:
    """Run a few hidden tests, of nothing, on an answer in this process."""
    import pytest

    from grader.engine.impl import Impl
    from grader.engine.plugin import Plugin, arguments, titles
    from grader.engine.remote import Local

    def make() -> Impl:
        executor = _open()
        return Impl(Local(executor), "rehearsal.py", executor.names())

    def loop(items: list[Any], plugin: Plugin) -> None:
        for item in items:
            titles(item)
            plugin.run(item, items[-1], make)

    pytest.main(arguments(str(TESTS)), plugins=[Plugin(0, loop)])
