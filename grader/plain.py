"""Text from elsewhere (what code printed, names of files, a learner's notes), free of what steers a terminal."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC, DCS and other strings: titles, clipboard, links
    r"|\x1b[ -/]*[0-~]?"  # everything else that starts with ESC
)
_STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"  # control characters but tab and line end, halves of characters
    r"|[\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"  # what turns the direction of text, other ends of lines
)


def plain(text: str) -> str:
    """Drop escape sequences, control characters and marks that reverse the direction of text; lines end in \\n."""
    text = _ESCAPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _STEERING.sub("", text)
