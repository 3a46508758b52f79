"""Process separation, descriptors, privileges and resource limits of a runner."""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import signal
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_LAST_CAP = Path("/proc/sys/kernel/cap_last_cap")
MAX_DESCRIPTORS = 64
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
MAPPED_FROM = 64 << 10  # bytes: a block of this size is mapped by itself, and unmapped when it is freed
THREAD_STACK = 1 << 20  # bytes

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def die_with_parent() -> None:
    """Be killed when the parent process ends (Linux); elsewhere the parent's closed socket ends the child."""
    if sys.platform == "linux":
        parent = os.getppid()
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent-death signal")
        if os.getppid() != parent:  # it died before the signal was armed
            os._exit(0)


def separate() -> None:
    """A session of its own, ended with the parent, not to be traced or dumped, default signals."""
    os.setsid()
    die_with_parent()
    if sys.platform == "linux":
        _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "not dumpable")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def close_descriptors(keep: Sequence[int]) -> None:
    """Close every descriptor but those of `keep`."""
    start = 0
    for number in sorted(keep):
        if start < number:  # closerange(0, 0) closes everything in some versions of CPython
            os.closerange(start, number)
        start = number + 1
    os.closerange(start, 65536)


def no_new_privileges() -> None:
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def drop_capabilities() -> None:
    """Empty every capability set, for good. Matters where the grader runs as root."""
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(last_capability() + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused without CAP_SETPCAP, when there is nothing to drop
    header = struct.pack("<Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _check(_libc.capset(header, bytes(24)), "capabilities")


@functools.cache
def last_capability() -> int:
    """The highest capability of this kernel (called early: it reads /proc, which Landlock shuts)."""
    try:
        return int(_LAST_CAP.read_text())
    except (OSError, ValueError):
        return 63


def set_rlimits(memory_mb: int, cpu_seconds: int) -> None:
    """Bound memory (address space above what is mapped now), CPU time, file size, descriptors and core dumps."""
    bounds = {
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: MAX_DESCRIPTORS,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        bounds[resource.RLIMIT_AS] = _mapped_bytes() + (memory_mb << 20)
        bounds[resource.RLIMIT_MSGQUEUE] = 0
        bounds[resource.RLIMIT_MEMLOCK] = 0
    for kind, wanted in bounds.items():
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def economise_memory() -> None:
    """Make address space follow what the code holds, for the limit of it to mean what a drill says.

    glibc would keep large blocks when they are freed, as holes between those that stay, and would set aside 64 MiB for
    each thread's blocks and 8 MiB for its stack.
    """
    threading.stack_size(THREAD_STACK)
    if sys.platform == "linux" and hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)
        _libc.mallopt(_M_ARENA_MAX, 1)


def bound_memory(memory_mb: int) -> None:
    """Bound this process's address space to what is mapped now and `memory_mb` more (Linux)."""
    if sys.platform == "linux":
        open_statm()
        bound = _mapped_bytes() + (memory_mb << 20)
        close_statm()
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _mapped_bytes() -> int:
    """Address space in use. Read from a descriptor opened before Landlock shut /proc."""
    if _statm is None:
        raise OSError("the memory in use is unknown")
    pages = int(os.pread(_statm, 64, 0).split()[0])
    return pages * resource.getpagesize()


_statm: int | None = None


def open_statm() -> None:
    """Open this process's own memory figures (a descriptor of the parent's would show the parent's)."""
    global _statm
    if sys.platform == "linux":
        _statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)


def descriptors() -> list[int]:
    """What `set_rlimits` still needs open."""
    return [] if _statm is None else [_statm]


def close_statm() -> None:
    global _statm
    if _statm is not None:
        os.close(_statm)
        _statm = None
