"""Whose server, and of which code: the socket's place, who may talk to it, and the fingerprint of the engine.

Imports little: every `grader check` goes through here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import struct
import sys
import zlib
from pathlib import Path

import msgspec

from grader import __version__

PACKAGE = Path(__file__).resolve().parent
ENGINE_MODULES = (
    "__init__.py",
    "authoring.py",
    "forbidden.py",
    "identity.py",
    "measuring.py",
    "plain.py",
    "results.py",
    "testing.py",
)
_PEERCRED = struct.Struct("3i")


class UnsafeDirectory(Exception):
    """The directory for the socket belongs to somebody else, or others may enter it."""


def fingerprint() -> str:
    """Changes when the engine's code, its version, the interpreter or the installed packages do."""
    parts = [__version__, sys.version, sys.executable]
    for path in sorted([*PACKAGE.glob("engine/**/*.py"), *(PACKAGE / name for name in ENGINE_MODULES)]):
        status = path.stat()
        parts.append(f"{path}:{status.st_mtime_ns}:{status.st_size}")
    parts.append(str(Path(msgspec.__file__).parent.parent.stat().st_mtime_ns))  # site-packages: an install
    return "\n".join(parts)  # compared as it is: importing hashlib costs more than sending this


def runtime_directory() -> Path:
    """The directory of the server's socket, which only its user can enter. Raises UnsafeDirectory."""
    explicit = os.environ.get("DRILLS_RUNTIME_DIR")
    base = os.environ.get("XDG_RUNTIME_DIR")
    if explicit:
        directory = Path(explicit)
    elif base and Path(base).is_dir():
        directory = Path(base) / "llm-drills"
    else:
        directory = Path(f"/tmp/llm-drills-{os.getuid()}")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise UnsafeDirectory(f"{directory} must be a directory of yours that nobody else can enter (mode 0700)")
    return directory


def socket_path() -> Path:
    """One socket for each installation: two virtual environments have two servers."""
    key = zlib.crc32(f"{sys.executable}:{PACKAGE}".encode())
    return runtime_directory() / f"server-{key:08x}.sock"


def same_user(peer: socket.socket) -> bool:
    """Whether the process at the other end is this user's (the directory's mode is the first guard)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = _PEERCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    return bool(uid == os.getuid())


def kill_peer(peer: socket.socket) -> None:
    """End the process that listens at the other end, where the system tells which that is. Raises OSError."""
    if hasattr(socket, "SO_PEERCRED") and same_user(peer):
        pid, _, _ = _PEERCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
        os.kill(pid, signal.SIGKILL)


def listen(path: Path, backlog: int) -> socket.socket:
    """Listen at `path`, replacing a socket that a dead server left. The caller holds the start lock."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(backlog)
    return listener


def unlink_own(path: Path, listener: socket.socket) -> None:
    """Remove the socket file if it is still this listener's, not a successor's."""
    with contextlib.suppress(OSError):
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        probe.settimeout(0.2)
        listener.setblocking(False)
        with probe:
            probe.connect(str(path))
            try:
                accepted, _ = listener.accept()
            except BlockingIOError:
                return  # somebody else answers there
            accepted.close()
        path.unlink()
