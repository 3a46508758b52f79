"""Says in words what went wrong, for the person who wrote the code."""

from __future__ import annotations

import inspect
import io
import tokenize
from functools import lru_cache
from pathlib import Path

from _pytest.outcomes import Failed

from grader.engine.impl import Missing, RemoteError, exception_of
from grader.engine.messages import Frame, Raised
from grader.engine.remote import RunnerFault
from grader.plain import plain
from grader.results import Request

MESSAGE_CAP = 3000


def explain(error: BaseException, request: Request) -> str:
    """A failed check's message."""
    return _cap(_explain(error, request))


def _explain(error: BaseException, request: Request) -> str:
    if isinstance(error, RunnerFault):
        return _rule_out(error) if error.outcome == "forbidden" else error.message
    if isinstance(error, Missing):
        return error.message
    if isinstance(error, RemoteError):
        return _raised(error, request)
    if isinstance(error, Failed):
        return str(error).replace("DID NOT RAISE", "expected an exception, but none was raised:")
    if isinstance(error, AssertionError):
        return inspect.cleandoc(str(error)) or "the check's condition does not hold"
    return f"the check could not use what it was given: {type(error).__name__}: {error}"


def _raised(error: RemoteError, request: Request) -> str:
    if error.type_name == "NotImplementedError" and not error.message:
        where = f" ({_where(error.frames[-1], request)})" if error.frames else ""
        return f"Not written yet{where}"
    head = f"{error.type_name}: {error.message}" if error.message else error.type_name
    return "\n".join([head, *_traceback(error.frames, request)])


def explain_load(failure: RunnerFault | Raised, request: Request | None = None) -> str:
    """Why a file could not be loaded."""
    if isinstance(failure, RunnerFault):
        text = _rule_out(failure) if failure.outcome == "forbidden" else failure.message
        return _cap(f"While the file was being loaded: {text[:1].lower()}{text[1:]}")
    assert request is not None
    if failure.syntax is not None:
        return _cap(_syntax(failure, failure.syntax, request))
    error = exception_of(failure)
    if isinstance(error, RemoteError):
        return _cap(f"The file cannot be loaded. {_raised(error, request)}")
    return _cap(f"The file cannot be loaded. {error}")


def _syntax(failure: Raised, place: tuple[int, int, str], request: Request) -> str:
    line, column, text = place
    lines = [f"{failure.type_name}: {failure.message}", f"  {Path(request.filename).name}, line {line}"]
    shown = (text or _line(request.source, line)).rstrip("\n")
    if shown.strip():
        indent = len(shown) - len(shown.lstrip())
        lines.append(f"    {shown.strip()}")
        if column > 0:
            lines.append("    " + " " * max(0, column - 1 - indent) + "^")
    return "\n".join(lines)


def _rule_out(fault: RunnerFault) -> str:
    return f"It calls {fault.message}, which this drill rules out: writing that is the exercise"


def _traceback(frames: list[Frame], request: Request) -> list[str]:
    """The learner's own frames, the call that failed last."""
    lines = []
    for frame in frames[-8:]:
        lines.append(f"  {_where(frame, request)}, in {frame.function}")
        text = _line(request.source, frame.line).strip()
        if text:
            lines.append(f"    {text}")
    return lines


def _where(frame: Frame, request: Request) -> str:
    return f"{Path(request.filename).name}, line {frame.line}"


@lru_cache(maxsize=4)
def _lines(source: bytes) -> list[str]:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding, "replace").splitlines()
    except (SyntaxError, LookupError):
        return source.decode("utf-8", "replace").splitlines()


def _line(source: bytes, number: int) -> str:
    lines = _lines(source)
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _cap(text: str) -> str:
    text = plain(text.encode("utf-8", "replace").decode())  # half a character cannot be printed
    return text if len(text) <= MESSAGE_CAP else text[:MESSAGE_CAP] + " …"
