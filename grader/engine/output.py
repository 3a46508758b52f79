"""What the learner's code printed: kept to a sensible length and free of anything that steers a terminal."""

from __future__ import annotations

import msgspec

from grader.engine.remote import Runner
from grader.plain import plain

CAP = 8192  # characters of a whole run


class Printed(msgspec.Struct, frozen=True):
    """What one runner printed. `lost`: bytes of it that were not kept."""

    text: str = ""
    lost: int = 0


def printed(runner: Runner) -> Printed:
    """Take what a runner has printed since it was last asked."""
    text, lost = plain(runner.output.decode("utf-8", "replace")), runner.printed - len(runner.output)
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
