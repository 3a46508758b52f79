"""What an attack is: a learner's file, and what has to become of it."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import NamedTuple

MARK = f"drills-attack-{os.getpid()}"  # in the name of whatever an attack tries to leave behind
ROOT = Path(__file__).parents[2]
PACK = Path(__file__).parent / "pack"
DEFINITIONS = {
    "double": "def double(x):",
    "pick": "def pick(n, generator):",
    "rms_norm": "def rms_norm(x, weight=None, eps=1e-6):",
}


class Attack(NamedTuple):
    """A file, and the outcomes that its checks may have, one of which must occur.

    `gives` none: the answer is right, and passes. With "passed" in it the answer is right, and may run out of time.
    """

    name: str
    source: bytes
    gives: frozenset[str]
    says: str = ""  # in the message of a check that did not pass
    topic: str = "target"

    def is_met_by(self, verdict: str, outcomes: set[str]) -> bool:
        """Whether a result is one that may be."""
        if not self.gives:
            return verdict == "passed" and outcomes == {"passed"}
        if "passed" in self.gives:
            return verdict in ("passed", "failed") and outcomes <= self.gives
        return verdict == "failed" and bool(outcomes & self.gives) and outcomes <= self.gives | {"passed"}


def solution_of(topic: str) -> bytes:
    """The reference solution of a topic, of the course's or the attacks' own."""
    own = PACK / "solutions" / f"{topic}.py"
    return (own if own.exists() else ROOT / "solutions" / f"{topic}.py").read_bytes()


def calls(
    name: str, body: str, *gives: str, of: str = "double", topic: str = "target", before: str = "", says: str = ""
) -> Attack:
    """The reference, with the body of one of its functions replaced. `before` stands at the top level."""
    code = f"\n\n{textwrap.dedent(before)}\n\n{DEFINITIONS[of]}\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    return Attack(name, solution_of(topic) + _marked(code), frozenset(gives), says, topic)


def loads(name: str, code: str, *gives: str, topic: str = "target", says: str = "") -> Attack:
    """The reference, and code behind it that runs when the file is loaded."""
    return Attack(name, solution_of(topic) + b"\n\n" + _marked(textwrap.dedent(code)), frozenset(gives), says, topic)


def alone(name: str, source: str | bytes, *gives: str, says: str = "") -> Attack:
    """This and nothing else is the file."""
    return Attack(
        name, source if isinstance(source, bytes) else _marked(textwrap.dedent(source)), frozenset(gives), says
    )


def _marked(code: str) -> bytes:
    return code.replace("MARK", MARK).encode("utf-8", "surrogatepass")
