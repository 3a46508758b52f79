"""Reading a file that a learner names. It may be anything at all, and must not make a command hang."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from grader.errors import BadInput

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Wanted(NamedTuple):
    """What a command asks for, in the words of its refusals."""

    kind: str  # "a Python file"
    most: int  # bytes
    size: str  # the same for people
    missing: str  # advice where there is no such file
    large: str  # advice where it is larger


def read_file(path: Path, wanted: Wanted) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file, as they are on the disk, and its status at that moment.

    Raises BadInput for what is not a regular file, cannot be read, or is too large, which is not read at all.
    """
    try:
        _refuse_other_kinds(path, path.stat(), wanted)
        # The path may be another file by now, so the open one is looked at again; O_NONBLOCK keeps a pipe
        # from waiting for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _refuse_other_kinds(path, status, wanted)
            if status.st_size <= wanted.most:
                content = file.read(wanted.most + 1)
                if len(content) <= wanted.most:
                    return content, status
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}.", wanted.missing) from None
    except PermissionError:
        raise BadInput(f"{path} may not be read.", f"Allow it: chmod u+r {path}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:  # a null byte in the name
        raise BadInput(f"{str(path)!r} is not the name of a file.") from None
    raise BadInput(f"{path} is larger than {wanted.size}.", wanted.large)


def _refuse_other_kinds(path: Path, status: os.stat_result, wanted: Wanted) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise BadInput(f"{path} is {kind}, not a file.", f"Give the path of {wanted.kind}.")
