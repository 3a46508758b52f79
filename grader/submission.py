"""Reading the file that a learner hands in. It may be anything at all, and must not make the grader hang."""

from __future__ import annotations

import io
import string
import tokenize
from pathlib import Path

from grader.errors import BadInput
from grader.files import Wanted, read_file

MAX_BYTES = 1 << 20

_WANTED = Wanted(
    kind="a Python file",
    most=MAX_BYTES,
    size="1 MiB",
    missing="`drills start` puts one there for each drill.",
    large="A drill is a page of Python: hand in only that.",
)
_LETTERS = string.ascii_letters + string.digits


def read_submission(path: Path) -> bytes:
    """The bytes of a Python file, as they are on the disk.

    A byte order mark, CRLF and an encoding declared as in PEP 263 are fine. Raises BadInput for what is not a
    regular file, cannot be read, is larger than 1 MiB, or is not text.
    """
    source, _ = read_file(path, _WANTED)
    check_submission(path, source)
    return source


def check_submission(path: Path, source: bytes) -> None:
    """Raises BadInput for what is too large, or no text that Python can be written in. `path` is for the message."""
    if len(source) > MAX_BYTES:
        raise BadInput(f"{path} is larger than {_WANTED.size}.", _WANTED.large)
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
