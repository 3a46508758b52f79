"""Frames: a header in MessagePack and raw bytes after it, over a stream socket.

    magic (4) | header length (4, little endian) | payload length (8) | header | payload

Both lengths are capped before anything is allocated, and a whole exchange has one deadline, so that a peer that sends
a lie, a drip or nothing costs a bounded amount of memory and time.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Sequence

MAGIC = b"DRL1"
_PREFIX = struct.Struct("<4sIQ")
MAX_HEADER = 16 << 20  # 16 MiB: an exception's text or a long list, never a tensor
MAX_PAYLOAD = 1 << 30

Buffer = bytes | bytearray | memoryview


class ProtocolError(Exception):
    """The peer sent something that is not a valid frame. Nothing more is read from it."""


class Closed(Exception):
    """The peer closed its end (it died, or it left)."""


def send_frame(sock: socket.socket, header: bytes, buffers: Sequence[Buffer] = ()) -> None:
    """Send one frame, blocking. Raises Closed when the peer is gone."""
    views = [memoryview(b).cast("B") for b in buffers]
    payload = sum(len(v) for v in views)
    try:
        sock.sendall(_PREFIX.pack(MAGIC, len(header), payload) + header)
        for view in views:
            sock.sendall(view)
    except (BrokenPipeError, ConnectionError) as error:
        raise Closed from error


def parse_prefix(prefix: bytes | bytearray) -> tuple[int, int]:
    """(header length, payload length) of a frame; ProtocolError when they are not to be believed."""
    magic, header, payload = _PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise ProtocolError("not a frame")
    if header > MAX_HEADER or payload > MAX_PAYLOAD:
        raise ProtocolError(f"a frame of {header + payload} bytes is over the limit")
    return header, payload


def receive_frame(sock: socket.socket, wait: Callable[[], None] | None = None) -> tuple[bytes, bytearray]:
    """Receive one frame. `wait`, called before each read, returns when there is something to read, or raises."""
    header_length, payload_length = parse_prefix(_read(sock, _PREFIX.size, wait))
    header = bytes(_read(sock, header_length, wait))
    return header, _read(sock, payload_length, wait)


def _read(sock: socket.socket, size: int, wait: Callable[[], None] | None) -> bytearray:
    buffer = bytearray(size)
    view, done = memoryview(buffer), 0
    while done < size:
        if wait is not None:
            wait()
        try:
            count = sock.recv_into(view[done:])
        except (ConnectionError, OSError) as error:
            raise Closed from error
        if count == 0:
            raise Closed
        done += count
    return buffer


def readable(sock: socket.socket, timeout: float) -> bool:
    """Whether `sock` has something to read (or was closed) within `timeout` seconds."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(max(0.0, timeout) * 1000))
