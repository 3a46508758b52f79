"""Where the answers of a batch are graded: one small interface, and the engine of this machine behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import NamedTuple, Protocol

from grader.batch.store import Key
from grader.client import Grading
from grader.requests import cores
from grader.results import Finished, Request, Result, error_result

TRIES = 3  # of an answer whose engine died under it
AHEAD = 2  # tasks handed out for each that is being graded


class Task(NamedTuple):
    """One content to grade."""

    key: Key
    request: Request


class Engine(Protocol):
    """Grades tasks, in any order; each comes back once, with its result. `close` gives up what is under way."""

    def grade(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]: ...

    def close(self) -> None: ...


class LocalEngine:
    """The warm engine of this machine, one judge for each core."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or cores()
        self._current: set[Grading] = set()
        self._lock = threading.Lock()
        self._closed = False

    def grade(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """Tasks are taken as there is room, so that a long list costs no memory."""
        waiting = iter(tasks)
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                yield from self._all(pool, waiting)
            except BaseException:  # broken off: what is under way is given up, what waits is never begun
                self.close()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _all(self, pool: ThreadPoolExecutor, waiting: Iterator[Task]) -> Iterator[tuple[Task, Result]]:
        running: dict[Future[Result], Task] = {}
        while True:
            for task in islice(waiting, AHEAD * self._workers - len(running)):
                running[pool.submit(self._one, task.request)] = task
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()

    def _one(self, request: Request) -> Result:
        """A verdict, or what the engine said when it failed for the last time."""
        result = error_result(request.drill, request.seed, "the batch was broken off")
        for _ in range(TRIES):
            grading = Grading(request)
            with self._lock:
                if self._closed:
                    return result
                self._current.add(grading)
            try:
                events = list(grading)
            finally:
                with self._lock:
                    self._current.discard(grading)
            if not events or not isinstance(events[-1], Finished):
                return result  # cancelled
            result = events[-1].result
            if result.verdict != "error":
                return result
        return result

    def close(self) -> None:
        with self._lock:
            self._closed = True
            current = list(self._current)
        for grading in current:
            grading.cancel()
