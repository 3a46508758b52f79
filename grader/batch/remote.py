"""One answer on a worker of a cluster: graded by the warm engine of that machine.

What is sent names the drill; the worker reads it from its own installation, and refuses if that is another one.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import msgspec

from drills.catalogue import Catalogue, CatalogueError
from grader.batch.store import drill_digest
from grader.client import Grading
from grader.requests import request_for
from grader.results import Finished, Result, error_result


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is asked. `digest`: of the drill that is meant."""

    drill: str
    digest: str
    packs: list[str]
    source: bytes
    seed: int
    root: bool  # grade even as root
    diagnose: bool = True


def grade(order: bytes) -> bytes:
    """The result, as JSON, of an Order in MessagePack. Runs on the worker."""
    return msgspec.json.encode(_grade(msgspec.msgpack.decode(order, type=Order)))


def _grade(order: Order) -> Result:
    host = os.uname().nodename
    if os.geteuid() == 0 and not order.root:
        return error_result(order.drill, order.seed, f"the worker on {host} runs as root (--allow-root insists)")
    try:
        drill = _catalogue(tuple(order.packs)).find(order.drill)
        same = drill_digest(drill) == order.digest
    except (CatalogueError, OSError) as error:
        return error_result(order.drill, order.seed, f"the worker on {host} has no such drill: {error}")
    if not same:
        return error_result(order.drill, order.seed, f"the worker on {host} has another version of {order.drill}")
    request = request_for(drill, order.source, f"{order.drill}.py", seed=order.seed, diagnose=order.diagnose, workers=1)
    *_, last = Grading(request)
    return last.result if isinstance(last, Finished) else error_result(order.drill, order.seed, "there was no verdict")


@functools.cache
def _catalogue(packs: tuple[str, ...]) -> Catalogue:
    return Catalogue.load([Path(pack) for pack in packs])
