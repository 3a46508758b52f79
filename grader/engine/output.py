"""What the learner's code printed: kept to a sensible length and free of anything that steers a terminal."""

from __future__ import annotations

import re

import msgspec

from grader.engine.remote import Runner

CAP = 8192  # characters of a whole run

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS and other strings: titles, clipboard, links
    r"|\x1b[ -/]*[0-~]?",  # everything else that starts with ESC
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(raw: bytes) -> str:
    """Decode, and drop escape sequences, control characters and marks that reverse the direction of text."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


class Printed(msgspec.Struct, frozen=True):
    """What one runner printed. `lost`: bytes of it that were not kept."""

    text: str = ""
    lost: int = 0


def printed(runner: Runner) -> Printed:
    """Take what a runner has printed since it was last asked."""
    text, lost = clean(bytes(runner.output)), runner.printed - len(runner.output)
    runner.output.clear()
    runner.printed = 0
    return Printed(text[:CAP], lost + len(text[CAP:]))


class Collector:
    """Gathers the output of a run's runners, in order, up to CAP."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._lost = 0

    def add(self, part: Printed) -> None:
        room = max(0, CAP - self._length)
        self._lost += part.lost + max(0, len(part.text) - room)
        if part.text[:room]:
            self._parts.append(part.text[:room])
            self._length += len(self._parts[-1])

    def text(self) -> str:
        tail = f"\n… and about {self._lost} more characters" if self._lost else ""
        return "".join(self._parts) + tail
