"""The learner's progress, used from an app that must not wait.

A database may be locked by another command, and a disk may be slow. All work is done in one thread, in the
order in which it was asked for; what cannot be done comes back as a warning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from drills.catalogue import Catalogue
from grader.errors import ProgressUnavailable
from grader.progress import DrillState, Progress, QuestionCard
from grader.results import Result
from grader.review import Rating
from grader.standing import Standing, standing
from grader.stats import Stats

States = dict[str, DrillState]


class Answer(NamedTuple):
    """The states, where they could be read, and sentences that the learner should see."""

    states: States | None
    warnings: list[str]


class Overview(NamedTuple):
    """What the home screen shows."""

    states: States
    stats: Stats
    standing: Standing


class Store:
    """Progress behind a thread. Each call answers with the states as they are after it."""

    def __init__(self, file: Path) -> None:
        self._progress = Progress(file)
        self._told = 0  # warnings of the database that were passed on
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress")

    async def states(self) -> Answer:
        """How the learner stands with each drill that anything is known of."""
        return await self._do(lambda _: None)

    async def record_attempt(self, slug: str, result: Result, source: bytes) -> Answer:
        """Record a result and the source that got it."""
        plain = msgspec.to_builtins(result)
        return await self._do(lambda progress: progress.record_attempt(slug, plain, source))

    async def record_hint(self, slug: str, shown: int) -> Answer:
        """Record that the first `shown` hints have been seen."""
        return await self._do(lambda progress: progress.record_hint(slug, shown))

    async def overview(self, catalogue: Catalogue, now: datetime) -> tuple[Overview | None, list[str]]:
        """All that the history adds up to, as of `now`; and warnings. Days are in its time zone, else local."""
        found: list[Overview] = []
        answer = await self._do(lambda progress: found.append(_overview(progress, catalogue, now)))
        return found[0] if found else None, answer.warnings

    async def question_cards(self) -> tuple[dict[tuple[str, str], QuestionCard], list[str]]:
        """How the learner stands with each question that was answered; and warnings."""
        found: dict[tuple[str, str], QuestionCard] = {}
        answer = await self._do(lambda progress: found.update(progress.question_cards()))
        return found, answer.warnings

    async def record_answer(self, slug: str, question: str, rating: Rating, **told: Any) -> list[str]:
        """Record an answer to a question; told: as `Progress.record_answer` takes it. Returns warnings."""
        at = datetime.now(UTC)  # when it was rated: the store may be busy
        answer = await self._do(lambda progress: progress.record_answer(slug, question, rating, at=at, **told))
        return answer.warnings

    def close(self) -> None:
        """Finish what was asked for, and close the file."""
        self._thread.submit(self._progress.close)
        self._thread.shutdown()

    async def _do(self, work: Callable[[Progress], object]) -> Answer:
        asked = asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)
        return await asyncio.shield(asked)  # the app may be leaving; what it recorded must not be lost

    def _work(self, work: Callable[[Progress], object]) -> Answer:
        states, warnings = None, []
        try:
            work(self._progress)
            states = self._progress.states()
        except ProgressUnavailable as error:
            warnings.append(str(error))
        warnings += self._progress.warnings[self._told :]
        self._told = len(self._progress.warnings)
        return Answer(states, warnings)


def _overview(progress: Progress, catalogue: Catalogue, now: datetime) -> Overview:
    moment = now.astimezone(UTC)
    states = progress.states(moment)
    found = standing(catalogue, states, progress.drill_cards(), progress.question_cards(), moment)
    return Overview(states, progress.stats(now), found)
