"""How long a runner may take: its CPU time plus the time it was seen asleep.

Counting the wall clock would fail a right answer on a loaded machine, where a runner waits for its turn; counting CPU
time alone would wait for ever on one that sleeps. So: CPU time, plus the wall time during which the kernel says that
the process sleeps although we wait for it, and a wall clock ten times as long as a last resort.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

SLICE = 0.1  # seconds between two looks at a process that takes long
WALL_FACTOR = 10
_ASLEEP = "STt"  # sleeping, stopped: its own doing while we wait for its answer


class Stopwatch:
    """The time that one runner has used of its allowance, in seconds."""

    def __init__(self, pid: int, allowance: float) -> None:
        self._pid = pid
        self.allowance = allowance
        self._slept = 0.0
        self._started = time.monotonic()
        self._cpu_before = self._cpu()

    def _cpu(self) -> float:
        if sys.platform != "linux":
            return time.monotonic()
        try:
            return time.clock_gettime((~self._pid << 3) | 2)  # the CPU clock of a process (clock_getcpuclockid)
        except OSError:
            return 0.0  # it has ended

    def restart(self) -> None:
        self._slept, self._started, self._cpu_before = 0.0, time.monotonic(), self._cpu()

    def used(self) -> float:
        return max(0.0, self._cpu() - self._cpu_before) + self._slept

    def next_look(self) -> float:
        """Seconds until it makes sense to look again."""
        return min(SLICE, max(0.001, self.allowance - self.used()))

    def looked(self, waited: float) -> None:
        """Account for `waited` seconds in which no answer came."""
        if sys.platform == "linux" and self._state() in _ASLEEP:
            self.slept(waited)

    def slept(self, seconds: float) -> None:
        """Account for seconds in which the process is known to have let us wait."""
        self._slept += seconds

    @property
    def is_over(self) -> bool:
        """Whether the allowance is used up."""
        return self.used() >= self.allowance or time.monotonic() - self._started > WALL_FACTOR * self.allowance

    def _state(self) -> str:
        try:
            stat = Path(f"/proc/{self._pid}/stat").read_text()
        except OSError:
            return "S"
        return stat.rpartition(")")[2].split()[0]
