"""The engine that is a Dask cluster: its scheduler hands out the answers, each worker grades on its own warm engine.

Workers may come and go. A task whose worker died is given to another by the scheduler, and handed in again when the
scheduler gives it up; its result is taken once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from grader.batch import remote
from grader.batch.engines import AHEAD, TRIES, Task
from grader.batch.remote import Order
from grader.errors import BadInput
from grader.results import Result, error_result

CONNECT_SECONDS = 20


class DaskEngine:
    """The workers of one scheduler. `packs`: folders of packs, which the workers see under the same paths."""

    def __init__(self, scheduler: str, packs: list[str], *, root: bool) -> None:
        """Raises BadInput if the scheduler cannot be reached, or has no worker."""
        try:
            from distributed import Client
        except ImportError:
            advice = "Install the extra: pip install 'llm-drills[cluster]'"
            raise BadInput("The engine dask needs the package distributed.", advice) from None
        try:
            make: Any = Client  # the package gives no types
            self._client = make(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            advice = "Start one (`dask scheduler`), and give its address: --scheduler tcp://HOST:8786"
            raise BadInput(f"There is no Dask scheduler at {scheduler}: {error}.", advice) from None
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            self._client.close()
            advice = f"Start some: dask worker {scheduler}"
            raise BadInput(f"The Dask scheduler at {scheduler} has no workers.", advice) from None
        self._packs = packs
        self._root = root

    def grade(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        """No more is handed out at a time than the workers there are can begin soon."""
        from distributed import as_completed

        waiting = iter(tasks)
        running: dict[Any, tuple[Task, int]] = {}
        collector: Any = as_completed
        done = collector(loop=self._client.loop)
        while True:
            room = AHEAD * max(1, sum(self._client.ncores().values())) - len(running)
            for task in islice(waiting, max(0, room)):
                running[self._submit(task, done)] = (task, 1)
            if not running:
                return
            future = next(done)
            task, tries = running.pop(future)
            result = self._result(task, future)
            if result.verdict == "error" and tries < TRIES:
                running[self._submit(task, done)] = (task, tries + 1)
            else:
                yield task, result

    def _submit(self, task: Task, done: Any) -> Any:
        order = Order(
            drill=task.request.drill, digest=task.key.drill, packs=self._packs, source=task.request.source,
            seed=task.request.seed, root=self._root, diagnose=task.request.diagnose,
        )  # fmt: skip
        future = self._client.submit(remote.grade, msgspec.msgpack.encode(order), pure=False)
        done.add(future)
        return future

    def _result(self, task: Task, future: Any) -> Result:
        try:
            return msgspec.json.decode(future.result(), type=Result)
        except Exception as error:  # the scheduler has given the task up, or a worker has other software
            problem = f"{type(error).__name__}: {error}"
            return error_result(task.request.drill, task.request.seed, problem)

    def close(self) -> None:
        """Give up what is under way: futures that nobody holds are forgotten by the scheduler."""
        self._client.close()
