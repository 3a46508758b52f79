"""Names the mistake that a failing answer looks like.

Each known mistake is run through the failing check on the same inputs, in this process. Where everything that it
returned is what the learner's code returned, the check cannot tell the two apart, and neither could we: that is the
diagnosis. Nothing is guessed from messages or from the text of the code.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from grader.authoring import StandIn
from grader.engine.frames import ProtocolError
from grader.engine.impl import Recorded
from grader.engine.messages import Ask, Grads, Ok, Raised
from grader.engine.plugin import Plugin
from grader.engine.reference import Reference
from grader.engine.values import ArrayRef, Decoder, Handle, TensorRef
from grader.results import Diagnosis
from grader.testing import UNIT_ROUNDOFF, tolerance

MAX_CHECKS = 6  # failing checks that are looked at
BUDGET = 2.0  # seconds of CPU time for all of it
MOST_SECONDS = 0.1  # of CPU time for one mistake in one check; where two took longer, no further one is tried
LEAST_SHARE = 1 / 3  # of the checks looked at, that a mistake has to explain: less is likely to be a coincidence
MAX_NAMED = 3
TERMS = 64  # the same mistake may sum in another order; see grader.testing.tolerance


class Trace:
    """What came back over the wall during one check."""

    def __init__(self, records: list[Recorded]) -> None:
        self._records = [record for record in records if _is_telling(record)]

    def follower(self) -> Follower:
        """Something to hold another answer's exchanges against, one by one."""
        return Follower(self._records)


class Diverged(BaseException):
    """A suspect's answer is not the learner's: its run need not go on. Not an Exception: no test may catch it."""


class Follower:
    """Follows a suspect's run along a trace, and ends it where they part: mostly at the first call."""

    def __init__(self, records: list[Recorded]) -> None:
        self._records = records
        self._position = 0

    def watch(self, record: Recorded) -> None:
        """Raises Diverged unless the exchange is the trace's next one, within rounding."""
        if _is_telling(record):
            if self.at_the_end or not _same_record(record, self._records[self._position]):
                raise Diverged
            self._position += 1

    @property
    def at_the_end(self) -> bool:
        return self._position == len(self._records)


def _is_telling(record: Recorded) -> bool:
    """Whether an exchange carries a value; looking up a function or making an instance says nothing."""
    return not (isinstance(record.reply, Ok) and isinstance(record.reply.value, Handle))


def _same_record(a: Recorded, b: Recorded) -> bool:
    if type(a.reply) is not type(b.reply) or type(a.request) is not type(b.request):
        return False
    if isinstance(a.request, Ask) and isinstance(b.request, Ask) and a.request.op != b.request.op:
        return False
    if isinstance(a.reply, Raised) and isinstance(b.reply, Raised):
        return a.reply.bases[:1] == b.reply.bases[:1] and a.reply.message == b.reply.message
    try:
        return _same(_values(a), _values(b))
    except ProtocolError:
        return False


def _values(record: Recorded) -> list[Any]:
    decoder = Decoder(bytearray(record.payload), lambda handle: ("object", handle.kind), compact=True)
    if isinstance(record.reply, Grads):
        return [None if ref is None else decoder.tensor(ref) for ref in record.reply.grads]
    assert isinstance(record.reply, Ok)
    value = decoder.decode(record.reply.value)
    grads = [getattr(ref, "requires_grad", None) for ref in decoder.refs.values()]
    changes = Decoder(bytearray(record.payload), lambda handle: None, compact=True)
    return [
        value,
        grads,
        [(ref.index, changes.decode(ref)) for ref in record.reply.changed if isinstance(ref, TensorRef | ArrayRef)],
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and _same_tensor(a, b)
    if isinstance(a, torch.Generator) and isinstance(b, torch.Generator):
        return True  # how many numbers were drawn, or in which order, is not the mistake: what came of them is
    if isinstance(a, float) and isinstance(b, float | int):
        return a == b or (a != a and b != b) or abs(a - b) <= tolerance(torch.float64, TERMS, max(abs(a), abs(b)))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return type(a) is type(b) and bool(a == b) if not hasattr(a, "shape") else repr(a) == repr(b)


def _same_tensor(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype not in UNIT_ROUNDOFF:
        return torch.equal(a, b)
    x, y = a.detach().double(), b.detach().double()
    finite = torch.isfinite(x) & torch.isfinite(y)
    if not torch.equal(torch.where(finite, 0.0, x).nan_to_num(7.0), torch.where(finite, 0.0, y).nan_to_num(7.0)):
        return False
    size = float(y[finite].abs().max()) if bool(finite.any()) else 0.0
    return bool(((x - y)[finite].abs() <= tolerance(a.dtype, TERMS, size)).all())


class Suspects:
    """Runs known mistakes through checks, within a budget of CPU time."""

    def __init__(self, plugin: Plugin, reference: Reference, items: list[pytest.Item]) -> None:
        self._plugin = plugin
        self._reference = reference
        self._items = items
        self._ends = time.process_time() + BUDGET
        self._slow: Counter[str] = Counter()

    @property
    def out_of_time(self) -> bool:
        return time.process_time() > self._ends

    def too_slow(self, item: pytest.Item) -> bool:
        """Whether a mistake has taken too long in this check for all of them to be tried."""
        return self._slow[item.name] > 1

    def fits(self, item: pytest.Item, trace: Trace, mistake: StandIn) -> bool:
        """Whether the mistake fails this check with what the learner's answer gave."""
        follower, started = trace.follower(), time.process_time()
        error = self._run(item, mistake, follower.watch)
        if time.process_time() - started > MOST_SECONDS:
            self._slow[item.name] += 1
        return error is not None and not isinstance(error, Diverged) and follower.at_the_end

    def contradicts(self, passed: list[pytest.Item], mistake: StandIn) -> bool:
        """Whether the mistake fails a check that the learner's answer passes: then it is not in that answer."""
        return any(self.out_of_time or self._run(item, mistake) is not None for item in passed)

    def _run(
        self, item: pytest.Item, mistake: StandIn, watch: Callable[[Recorded], None] | None = None
    ) -> BaseException | None:
        other = next((i for i in self._items if i is not item), None)
        return self._plugin.run(item, other, lambda: self._reference.impl(mistake, watch)).error


def diagnose(
    failed: list[tuple[pytest.Item, Trace]],
    passed: list[pytest.Item],
    plugin: Plugin,
    reference: Reference,
    items: list[pytest.Item],
) -> list[Diagnosis]:
    """The known mistakes whose outputs are the learner's, those that explain most first.

    A mistake is named if it fails a check that the learner's answer fails, with the same outputs up to the failure,
    and passes every check that the answer passes. One that explains few of the failing checks is left out, and so is
    one whose checks another explains as well, and more.
    """
    suspects = Suspects(plugin, reference, items)
    fits: dict[str, set[str]] = {}
    cleared: set[str] = set()
    looked_at: list[tuple[pytest.Item, Trace]] = []
    for item, trace in failed[:MAX_CHECKS]:
        known = [m for m in reference.mistakes if m.name in fits]
        rest = [m for m in reference.mistakes if m.name not in fits and m.name not in cleared]
        for group in (known, rest):  # what explains another check is tried first, and mostly is enough
            for mistake in group:
                if suspects.out_of_time or suspects.too_slow(item) or not suspects.fits(item, trace, mistake):
                    continue
                if mistake.name not in fits and suspects.contradicts(passed, mistake):
                    cleared.add(mistake.name)
                else:
                    fits.setdefault(mistake.name, set()).add(item.name)
            if any(item.name in checks for checks in fits.values()):
                break
        if not suspects.too_slow(item):
            looked_at.append((item, trace))
    found = [m for m in reference.mistakes if m.name in fits]
    for mistake in found:  # each on every check, also on those that another explained first
        fits[mistake.name] |= {item.name for item, trace in looked_at if suspects.fits(item, trace, mistake)}
    named = [m for m in found if len(fits[m.name]) >= LEAST_SHARE * len(looked_at) and not _outdone(m, fits)]
    named.sort(key=lambda m: -len(fits[m.name]))
    return [
        Diagnosis(
            mistake=m.name,
            message=m.tells,
            question=m.question,
            checks=[item.name for item, _ in looked_at if item.name in fits[m.name]],
        )
        for m in named[:MAX_NAMED]
    ]


def _outdone(mistake: StandIn, fits: dict[str, set[str]]) -> bool:
    """Whether another mistake explains strictly more of the failing checks."""
    return any(fits[mistake.name] < checks for checks in fits.values())
