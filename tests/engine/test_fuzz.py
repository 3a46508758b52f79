"""Random and nearly right bytes at both ends: a violation of the protocol is all that ever comes of them.

DRILLS_FRAMES sets how many are tried (300 for each test without it).
"""

from __future__ import annotations

import os
import socket
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from grader.client import Grading
from grader.engine.frames import FrameReader, ProtocolError, send_frame
from grader.engine.impl import Impl, RemoteError
from grader.engine.messages import Ask, Forbidden, Frame, Grads, Ok, Raised, Ready, ReplyBody, ReplyFrame, RequestFrame
from grader.engine.remote import Runner, RunnerFault
from grader.engine.values import (
    ARRAY_DTYPES,
    DTYPES,
    ArrayRef,
    Complex,
    GeneratorRef,
    Handle,
    Map,
    Named,
    Raw,
    Seq,
    Slice,
    TensorRef,
)
from grader.requests import request_for
from grader.results import Finished

MANY = settings(
    max_examples=int(os.environ.get("DRILLS_FRAMES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_ints = st.integers(-3, 70) | st.sampled_from([2**31, 2**62, 2**63 - 1, -(2**63)])
_sizes = st.lists(_ints, max_size=4)
_dtypes = st.sampled_from([*DTYPES, "nonsense", "__class__"])
_tensors = st.builds(
    TensorRef,
    st.integers(-2, 3),
    _dtypes,
    _sizes,
    _sizes,
    _ints,
    _ints,
    _ints,
    st.booleans(),
    st.booleans(),
    st.integers(-1, 2),
)


@st.composite
def _sound_tensors(draw: Any) -> TensorRef:
    """A tensor that adds up, in a payload of 256 bytes."""
    dtype = draw(st.sampled_from(list(DTYPES)))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    stride, elements = [], 1
    for n in reversed(shape):
        stride.insert(0, elements)
        elements *= n
    return TensorRef(
        draw(st.integers(0, 3)), dtype, shape, stride, 0, draw(st.sampled_from([0, 64])), elements * DTYPES[dtype].itemsize,
        draw(st.booleans()), draw(st.booleans()), draw(st.integers(-1, 2)),
    )  # fmt: skip


_leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5) | _tensors | _sound_tensors()
    | st.builds(ArrayRef, st.integers(-2, 3), st.sampled_from([*ARRAY_DTYPES, "object"]), _sizes, _ints, _ints, st.booleans())
    | st.builds(GeneratorRef, st.integers(-2, 3), st.binary(max_size=20))
    | st.builds(Handle, st.integers(-2, 5), st.text(max_size=3), st.sampled_from(["object", "module", "class", "function", "iterator", "?"]))
    | st.builds(Named, st.sampled_from(["dtype", "device", "bigint", "ellipsis", "?"]), st.sampled_from(["cpu", "cuda", "0x1f", "-0x", "float32", ""]))
    | st.builds(Complex, st.floats(), st.floats()) | st.builds(Raw, st.binary(max_size=5))
)  # fmt: skip
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(Seq, st.sampled_from(["tuple", "list", "set", "frozenset", "size", "?"]), st.lists(inner, max_size=3))
        | st.builds(Map, st.lists(st.tuples(inner, inner), max_size=3))
        | st.builds(Slice, st.lists(inner, max_size=4))
    ),
    max_leaves=6,
)
_parameters = st.lists(st.tuples(st.integers(-1, 3), _sound_tensors() | _tensors), max_size=2)
_names = st.sampled_from(["ValueError", "BaseException", "SystemExit", "print", "?", "Exception", "KeyboardInterrupt"])
_frames = st.lists(st.builds(Frame, _ints, st.text(max_size=5)), max_size=2)
_replies = (
    st.builds(Ok, _values, st.integers(-1, 3), st.lists(_values, max_size=2), _parameters)
    | st.builds(Raised, st.text(max_size=5), st.lists(_names, max_size=3), st.text(max_size=9), _frames, st.lists(_values, max_size=2))
    | st.builds(Grads, st.lists(st.none() | _sound_tensors() | _tensors, max_size=2))
    | st.builds(Ready, _ints, st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=1))
)  # fmt: skip


class Told:
    """A transport whose answers are given."""

    def __init__(self, replies: list[ReplyBody]) -> None:
        self._replies = replies

    def ask(self, body: object, buffers: object) -> tuple[ReplyBody, bytearray]:
        reply = self._replies.pop(0) if self._replies else Ok(None)
        # What a runner cannot send does not get here: it has been through the decoder.
        return msgspec.msgpack.decode(msgspec.msgpack.encode(reply), type=ReplyBody), bytearray(range(256))


@MANY
@given(st.lists(_replies, min_size=1, max_size=3))
@example([Raised("\0", [], "")])
@example([Ok(Slice([]))])
@example([Ok(None, 0, [5])])
@example([Ok(None, 0, [], [(0, TensorRef(0, "int64", [], [], 0, 0, 8, requires_grad=True))])])
def test_whatever_a_runner_answers_is_a_value_an_exception_of_the_learners_or_a_violation(replies):
    impl = Impl(Told(replies), "answer.py", Map([]))  # type: ignore[arg-type]
    x = torch.ones(2, 3, requires_grad=True)
    y = torch.zeros(4)
    generator = torch.Generator()
    try:
        value = impl.ask("call", Handle(0), "f", (x, y, generator))
        if isinstance(value, torch.Tensor) and value.requires_grad and value.is_floating_point():
            torch.autograd.grad(value.sum(), x, allow_unused=True)
    except (ProtocolError, RemoteError, RunnerFault):
        pass


# -- frames -----------------------------------------------------------------------------------------------------------

_sound = st.sampled_from(
    [
        Ok(1),
        Ok(Seq("tuple", [1.0, "two"])),
        Raised("E", ["ValueError"], "no"),
        Grads([None]),
        Forbidden("f"),
        Ok(Handle(3)),
    ]
)


class NoParent:
    """In place of the zygote's line: one runner, which is the test itself."""

    def __init__(self, data: socket.socket, output: int) -> None:
        self._runner = (os.getpid(), data, output)

    def take(self) -> tuple[int, socket.socket, int]:
        return self._runner

    def kill(self, pid: int) -> None:
        pass

    def exit_of(self, pid: int) -> None:
        return None


@MANY
@given(st.data(), _sound, st.sampled_from(["flip", "cut", "other nonce", "old nonce", "before it", "random"]))
def test_an_answer_is_the_one_that_was_asked_for_or_a_fault(data, body, damage):
    ours, theirs = socket.socketpair()
    output, writer = os.pipe()
    with ours, theirs:
        theirs.settimeout(10)
        runner = Runner(NoParent(ours, output), 1000.0, None)  # type: ignore[arg-type]
        old = runner._send(Ask("call", 0), [])
        nonce = runner._send(Ask("call", 0), [])
        reader = FrameReader(theirs)
        asked = [msgspec.msgpack.decode(reader.receive()[0], type=RequestFrame).nonce for _ in range(2)]
        assert asked == [old, nonce]
        claimed = {"other nonce": data.draw(st.integers(0, 2**62)), "old nonce": old}.get(damage, nonce)
        frame = _frame(ReplyFrame(claimed, body))
        if damage == "flip":
            place = data.draw(st.integers(0, len(frame) - 1))
            frame[place] ^= data.draw(st.integers(1, 255))
        elif damage == "cut":
            del frame[data.draw(st.integers(0, len(frame) - 1)) :]
        elif damage == "random":
            frame = bytearray(data.draw(st.binary(max_size=60)))
        elif damage == "before it":
            frame = _frame(ReplyFrame(nonce ^ 1, Ok("not this"))) + frame
        theirs.sendall(frame)
        theirs.shutdown(socket.SHUT_WR)
        try:
            got, _ = runner._receive(nonce)
        except RunnerFault as fault:
            assert fault.outcome == "crashed"
        else:
            assert damage == "flip" and isinstance(got, ReplyBody)
        runner.close()
    os.close(writer)


def _frame(reply: ReplyFrame) -> bytearray:
    left, right = socket.socketpair()
    with left, right:
        send_frame(left, msgspec.msgpack.encode(reply))
        return bytearray(right.recv(1 << 16))


@MANY
@given(st.binary(max_size=80) | _values.map(lambda value: bytes(_frame(ReplyFrame(1, Ok(value))))))
def test_whatever_an_engine_says_the_command_ends_with_a_verdict_of_its_own(request_, data):
    class Odd(Grading):
        def _connect(self) -> socket.socket:
            ours, theirs = socket.socketpair()
            with theirs:
                theirs.sendall(data)
            return ours

    *_, last = Odd(request_)
    assert isinstance(last, Finished) and last.result.verdict == "error"


@pytest.fixture(scope="module")
def request_() -> Any:
    from drills.catalogue import Catalogue

    drill = Catalogue.load().find("rmsnorm")
    return request_for(drill, b"", "answer.py")
