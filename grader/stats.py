"""What a learner's attempts add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

DAYS = 366  # of the heat map
LONGEST = 5  # of the lists of weak spots


@dataclass(frozen=True)
class Weakness:
    """A check that often failed, or a mistake that was often diagnosed."""

    slug: str
    name: str
    count: int


@dataclass(frozen=True)
class Stats:
    """Totals over all attempts that could be judged."""

    attempts: int = 0
    passes: int = 0
    drills_tried: int = 0
    drills_passed: int = 0
    first_try_passes: int = 0  # drills passed at the first attempt
    streak_days: int = 0  # days in a row with practice, up to today or yesterday
    days: dict[str, int] = field(default_factory=dict)  # ISO date -> attempts: the last year, where there are any
    weakest_checks: tuple[Weakness, ...] = ()
    mistakes: tuple[Weakness, ...] = ()

    @property
    def pass_rate(self) -> float:
        """Passes among attempts, 0 to 1."""
        return self.passes / self.attempts if self.attempts else 0.0


def summarise(rows: Sequence[tuple[Any, ...]], now: datetime | None = None) -> Stats:
    """rows: (slug, at, verdict, checks passed, failed checks, mistakes) of each attempt, oldest first."""
    zone = now.tzinfo if now else None
    today = (now or datetime.now()).date()
    first: dict[str, str] = {}
    days: Counter[date] = Counter()
    checks: Counter[tuple[str, str]] = Counter()
    mistakes: Counter[tuple[str, str]] = Counter()
    for slug, at, verdict, checks_passed, failed, diagnosed in rows:
        first.setdefault(slug, verdict)
        days[datetime.fromisoformat(at).astimezone(zone).date()] += 1
        if checks_passed:  # if none passed, the file did not run or is the stub: no check is the weak one
            checks.update((slug, check) for check in json.loads(failed))
        mistakes.update((slug, mistake) for mistake in json.loads(diagnosed))
    passed = [row[0] for row in rows if row[2] == "passed"]
    return Stats(
        attempts=len(rows),
        passes=len(passed),
        drills_tried=len(first),
        drills_passed=len(set(passed)),
        first_try_passes=sum(verdict == "passed" for verdict in first.values()),
        streak_days=_streak(days, today),
        days={day.isoformat(): days[day] for day in sorted(days) if 0 <= (today - day).days < DAYS},
        weakest_checks=_most(checks),
        mistakes=_most(mistakes),
    )


def _streak(days: Counter[date], today: date) -> int:
    day = today if today in days else today - timedelta(1)  # today is not over yet
    length = 0
    while day in days:
        length += 1
        day -= timedelta(1)
    return length


def _most(counter: Counter[tuple[str, str]]) -> tuple[Weakness, ...]:
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Weakness(slug, name, count) for (slug, name), count in ranked[:LONGEST])
