"""Frames: a header in MessagePack and raw bytes after it, over a stream socket.

    magic (4) | header length (4, little endian) | payload length (8) | header | payload

Both lengths are capped before anything is allocated, and a whole exchange has one deadline, so that a peer that sends
a lie, a drip or nothing costs a bounded amount of memory and time.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence

MAGIC = b"DRL1"
_PREFIX = struct.Struct("<4sIQ")
MAX_HEADER = 16 << 20  # 16 MiB: an exception's text or a long list, never a tensor
MAX_PAYLOAD = 1 << 30
JOIN_UP_TO = 1 << 18  # bytes: copying less than this costs less than another system call
CHUNK = 1 << 16
DRIP = 1 << 12  # bytes: an honest peer sends what it has in larger pieces than these

Buffer = bytes | bytearray | memoryview


class ProtocolError(Exception):
    """The peer sent something that is not a valid frame. Nothing more is read from it."""


class Closed(Exception):
    """The peer closed its end (it died, or it left)."""


def send_frame(
    sock: socket.socket, header: bytes, buffers: Sequence[Buffer] = (), wait: Callable[[], None] | None = None
) -> None:
    """Send one frame. Raises Closed when the peer is gone.

    `wait` is called whenever the peer must read before more can be sent, and returns when it has, or raises; without
    it, sending blocks.
    """
    views = [memoryview(b).cast("B") for b in buffers]
    payload = sum(len(v) for v in views)
    head = _PREFIX.pack(MAGIC, len(header), payload) + header
    try:
        # Joined: one system call, one wake-up at the other end.
        parts: list[Buffer] = [b"".join([head, *views])] if payload <= JOIN_UP_TO else [head, *views]
        for part in parts:
            if wait is None:
                sock.sendall(part)
            else:
                _send_patiently(sock, memoryview(part), wait)
    except (BrokenPipeError, ConnectionError) as error:
        raise Closed from error


def _send_patiently(sock: socket.socket, rest: memoryview, wait: Callable[[], None]) -> None:
    while rest:
        try:
            rest = rest[sock.send(rest, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            wait()


def parse_prefix(prefix: bytes | bytearray) -> tuple[int, int]:
    """(header length, payload length) of a frame; ProtocolError when they are not to be believed."""
    magic, header, payload = _PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise ProtocolError("not a frame")
    if header > MAX_HEADER or payload > MAX_PAYLOAD:
        raise ProtocolError(f"a frame of {header + payload} bytes is over the limit")
    return header, payload


class FrameReader:
    """Reads frames from one socket, in as few system calls as they allow."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self.dripping = False  # whether the frame that is under way comes in very small pieces

    @property
    def pending(self) -> bool:
        """Whether (a part of) the next frame has been read already: then no poll tells of it."""
        return bool(self._buffer)

    def receive(self, wait: Callable[[], None] | None = None) -> tuple[bytes, bytearray]:
        """One frame. `wait`, called before each read, returns when there is something to read, or raises.

        Raises Closed, ProtocolError.
        """
        self.dripping = False
        self._fill(_PREFIX.size, wait)
        header_length, payload_length = parse_prefix(self._take(_PREFIX.size))
        self._fill(header_length, wait)
        header = bytes(self._take(header_length))
        return header, self._payload(payload_length, wait)

    def _fill(self, size: int, wait: Callable[[], None] | None) -> None:
        while len(self._buffer) < size:
            try:
                if wait is not None:
                    wait()
                chunk = self._sock.recv(CHUNK)
            except OSError as error:
                raise Closed from error
            if not chunk:
                raise Closed
            self.dripping = len(chunk) < DRIP
            self._buffer += chunk

    def _take(self, size: int) -> bytearray:
        taken = self._buffer[:size]
        del self._buffer[:size]
        return taken

    def _payload(self, size: int, wait: Callable[[], None] | None) -> bytearray:
        """The rest of a frame, read into its place: a payload may be large."""
        payload = bytearray(size)
        view, done = memoryview(payload), min(size, len(self._buffer))
        view[:done] = self._take(done)
        while done < size:
            if wait is not None:
                wait()
            try:
                count = self._sock.recv_into(view[done:])
            except OSError as error:
                raise Closed from error
            if count == 0:
                raise Closed
            self.dripping = count < DRIP
            done += count
        return payload


def receive_frame(sock: socket.socket) -> tuple[bytes, bytearray]:
    """One frame from a socket that carries no more than one, or whose peer waits for an answer to each."""
    return FrameReader(sock).receive()
