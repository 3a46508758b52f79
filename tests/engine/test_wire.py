"""Frames and values: what goes in comes out, and what is not a value is refused without harm."""

from __future__ import annotations

import socket
import struct
import threading

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.engine.frames import (
    MAGIC,
    MAX_HEADER,
    Closed,
    FrameReader,
    ProtocolError,
    parse_prefix,
    send_frame,
)
from grader.engine.messages import ReplyFrame
from grader.engine.values import (
    DTYPES,
    ArrayRef,
    Decoder,
    Encoder,
    Handle,
    Named,
    Seq,
    TensorRef,
    Value,
    _dense,
)


def _pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.settimeout(10)
    return ends


@given(st.lists(st.tuples(st.binary(max_size=300), st.lists(st.binary(max_size=500), max_size=3)), max_size=5))
def test_frames_come_out_one_by_one(frames):
    left, right = _pair()
    with left, right:
        for header, buffers in frames:
            send_frame(left, header, buffers)
        left.shutdown(socket.SHUT_WR)
        reader = FrameReader(right)
        for header, buffers in frames:
            assert reader.receive() == (header, b"".join(buffers))
        with pytest.raises(Closed):
            reader.receive()


def test_a_peer_that_does_not_read_is_waited_for_and_no_longer():
    class Enough(Exception):
        pass

    def wait() -> None:
        raise Enough

    left, right = socket.socketpair()
    with left, right, pytest.raises(Enough):
        send_frame(left, b"h", [bytes(10_000_000)], wait)


def test_a_drip_is_told_from_large_pieces():
    left, right = _pair()
    seen: list[bool] = []
    frame = struct.pack("<4sIQ", MAGIC, 2, 10_000) + b"hh" + bytes(10_000)
    pieces = [frame[:8], frame[8:16], frame[16:9_000], frame[9_000:]]

    def give() -> None:
        seen.append(reader.dripping)
        left.sendall(pieces.pop(0))

    with left, right:
        reader = FrameReader(right)
        assert reader.receive(give) == (b"hh", bytes(10_000))
        assert seen == [False, True, True, False]


def test_a_large_payload_arrives_whole():
    left, right = _pair()
    payload = bytes(range(256)) * 40_000  # 10 MB: many reads
    with left, right:
        sender = threading.Thread(target=send_frame, args=(left, b"h", [payload[:5], payload[5:]]))
        sender.start()
        assert FrameReader(right).receive() == (b"h", payload)
        sender.join()


@pytest.mark.parametrize(
    "prefix",
    [
        struct.pack("<4sIQ", b"GET ", 1, 1),
        struct.pack("<4sIQ", MAGIC, MAX_HEADER + 1, 0),
        struct.pack("<4sIQ", MAGIC, 1, 1 << 60),
    ],
)
def test_lies_about_lengths_are_refused_before_anything_is_allocated(prefix):
    with pytest.raises(ProtocolError):
        parse_prefix(prefix)


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_random_bytes_are_never_an_exception_of_another_kind(data):
    left, right = _pair()
    with left, right:
        left.sendall(data)
        left.shutdown(socket.SHUT_WR)
        with pytest.raises((ProtocolError, Closed, msgspec.MsgspecError, UnicodeDecodeError)):
            header, _ = FrameReader(right).receive()
            msgspec.msgpack.decode(header, type=ReplyFrame)


# -- values -----------------------------------------------------------------------------------------------------------


def _opaque(value: object) -> Handle:
    return Handle(1, type(value).__name__)


def _there_and_back(value: object, *, compact: bool) -> object:
    encoder = Encoder(_opaque, compact=compact)
    data = msgspec.msgpack.encode(encoder.encode(value))
    payload = bytearray().join(bytes(b) for b in encoder.buffers)
    return Decoder(payload, lambda handle: handle, compact=compact).decode(msgspec.msgpack.decode(data, type=Value))


_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False) | st.sampled_from(list(DTYPES.values()))
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_values, st.booleans())
def test_values_come_back_equal_and_of_the_same_type(value, compact):
    got = _there_and_back(value, compact=compact)
    assert got == value and type(got) is type(value)


@given(
    st.sampled_from(list(DTYPES)),
    st.lists(st.integers(0, 4), max_size=4),
    st.permutations(range(4)),
    st.lists(st.integers(1, 3), min_size=4, max_size=4),
    st.booleans(),
)
def test_views_of_any_layout_come_back(dtype, shape, order, steps, compact):
    base = torch.randint(0, 2, [n * s for n, s in zip(shape, steps, strict=False)]).to(DTYPES[dtype])
    view = base[tuple(slice(None, None, s) for s, _ in zip(steps, shape, strict=False))]
    view = view.permute([d for d in order if d < view.dim()])
    got = _there_and_back(view, compact=compact)
    assert isinstance(got, torch.Tensor) and got.dtype == view.dtype and torch.equal(got, view)
    if not compact or _dense(view):
        assert got.stride() == view.stride()


def test_an_expanded_tensor_is_sent_as_its_storage_and_not_as_its_size():
    encoder = Encoder(_opaque, compact=False)
    encoder.encode(torch.ones(1).expand(10**6, 10**6))
    assert encoder.size == 4


_VALID = TensorRef(0, "float32", [2, 3], [3, 1], 0, 0, 24)


@pytest.mark.parametrize(
    "lie",
    [
        {"dtype": "nn"}, {"dtype": "__class__"}, {"shape": [2, 4]}, {"shape": [-2, 3]}, {"stride": [3]},
        {"stride": [-3, 1]}, {"offset": -1}, {"offset": 5}, {"start": -64}, {"start": 1}, {"start": 64}, {"nbytes": 25},
        {"nbytes": -1}, {"shape": [10**9, 10**9], "stride": [0, 0]}, {"shape": [2**40], "stride": [0]},
        {"shape": [6], "stride": [0], "nbytes": 4},
    ],
)  # fmt: skip
def test_tensors_that_do_not_add_up_are_refused(lie):
    payload = bytearray(24)
    Decoder(payload, _opaque, compact=True).decode(_VALID)
    with pytest.raises(ProtocolError):
        Decoder(payload, _opaque, compact=True).decode(msgspec.structs.replace(_VALID, **lie))


@pytest.mark.parametrize(
    "wire",
    [
        ArrayRef(0, "object", [1], 0, 8), ArrayRef(0, "float32", [3], 0, 8), Named("dtype", "Tensor"),
        Named("device", "cuda"), Named("bigint", "zz"), Named("os", "system"), Seq("tuple_", []),
        Seq("set", [Seq("list", [])]), Seq("size", ["a"]),
    ],
)  # fmt: skip
def test_other_lies_are_refused(wire):
    with pytest.raises(ProtocolError):
        Decoder(bytearray(8), _opaque, compact=True).decode(wire)


def test_a_list_that_holds_itself_is_cut_off():
    endless: list[object] = []
    endless.append(endless)
    _there_and_back(endless, compact=True)
