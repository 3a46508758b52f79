"""Runs a command as on a machine that lacks a layer of the wall, or without the rights of root.

    python tests/attacks/without.py landlock|seccomp|rights COMMAND...

`landlock` and `seccomp` make the kernel answer as one that was built without it (by a filter that the command's
processes inherit); `rights` gives up every capability for good, which leaves root what an ordinary user has.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_PR_SET_SECUREBITS, _NO_ROOT_AND_LOCKED = 28, 0x0F  # programs that root starts get no capabilities
_CAPABILITY_VERSION = 0x20080522
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LANDLOCK = (444, 445, 446)  # create_ruleset, add_rule, restrict_self: the same numbers everywhere
_SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
_PRCTL = {"x86_64": 157, "aarch64": 167}[platform.machine()]


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _program(lacking: str) -> bytes:
    load, equal, give = 0x20, 0x15, 0x06
    refuse, allow = 0x00050000, 0x7FFF0000
    number, first_argument = _op(load, 0), _op(load, 16)
    if lacking == "landlock":
        tests = b"".join(_op(equal, call, 0, 1) + _op(give, refuse | errno.ENOSYS) for call in _LANDLOCK)
        return number + tests + _op(give, allow)
    return (
        number
        + _op(equal, _SECCOMP, 0, 1) + _op(give, refuse | errno.ENOSYS)
        + _op(equal, _PRCTL, 0, 3) + first_argument + _op(equal, _PR_SET_SECCOMP, 0, 1) + _op(give, refuse | errno.EINVAL)
        + _op(give, allow)
    )  # fmt: skip


def lack(layer: str) -> None:
    """From here on this process, and all that it starts, meets a kernel without this layer."""
    program = _program(layer)

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(Filter(len(program) // 8, program)), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def give_up_rights() -> None:
    """From here on this process, and all that it starts, is nobody special."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECUREBITS, _NO_ROOT_AND_LOCKED, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if libc.capset(struct.pack("<Ii", _CAPABILITY_VERSION, 0), bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    what, *command = sys.argv[1:]
    give_up_rights() if what == "rights" else lack(what)
    os.execv(command[0], command)
