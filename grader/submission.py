"""Reading the file that a learner hands in. It may be anything at all, and must not make the grader hang."""

from __future__ import annotations

import io
import os
import stat
import string
import tokenize
from pathlib import Path

from grader.errors import BadInput

MAX_BYTES = 1 << 20

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LETTERS = string.ascii_letters + string.digits


def read_submission(path: Path) -> bytes:
    """The bytes of a Python file, as they are on the disk.

    A byte order mark, CRLF and an encoding declared as in PEP 263 are fine. Raises BadInput for what is not a
    regular file, cannot be read, is larger than 1 MiB, or is not text.
    """
    try:
        _refuse_other_kinds(path, path.stat())
        # The path may be another file by now, so the open one is looked at again; O_NONBLOCK keeps a pipe
        # from waiting for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            _refuse_other_kinds(path, os.fstat(descriptor))
            source = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}.", "`drills start` puts one there for each drill.") from None
    except PermissionError:
        raise BadInput(f"{path} may not be read.", f"Allow it: chmod u+r {path}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:  # a null byte in the name
        raise BadInput(f"{str(path)!r} is not the name of a file.") from None
    if len(source) > MAX_BYTES:
        raise BadInput(f"{path} is larger than 1 MiB.", "A drill is a page of Python: hand in only that.")
    _refuse_undecodable(path, source)
    return source


def _refuse_other_kinds(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise BadInput(f"{path} is {kind}, not a file.", "Give the path of a Python file.")


def _refuse_undecodable(path: Path, source: bytes) -> None:
    if b"\0" in source:
        raise BadInput(f"{path} holds null bytes, so it is not Python.", "Save it as UTF-8 text.")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        if not _fits_python(encoding):
            message = f"{path} declares the encoding {encoding}, in which Python cannot be written."
            raise BadInput(message, "Save it as UTF-8.")
        source.decode(encoding)
    except SyntaxError as error:  # an unknown encoding, or not the UTF-8 that it is without a declaration
        raise BadInput(f"{path} cannot be decoded: {_first_part(error)}.", "Save it as UTF-8.") from None
    except UnicodeError:
        raise BadInput(f"{path} is not {encoding}, so it cannot be decoded.", "Save it as UTF-8.") from None


def _fits_python(encoding: str) -> bool:
    """Does it leave ASCII letters as they are? What does not is no encoding of programs.

    Such a codec must not be tried on the file itself: `punycode` takes half a minute for a mebibyte.
    """
    try:
        return _LETTERS.encode("ascii").decode(encoding) == _LETTERS
    except (UnicodeError, LookupError):  # LookupError: one from bytes to bytes, or from text to text
        return False


def _first_part(error: SyntaxError) -> str:
    return str(error.msg).removesuffix(".")
