"""A small course of the tests' own, and a stand-in for the engine that does as it is told."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from drills.catalogue import Catalogue
from grader.results import Check, CheckFinished, Diagnosis, Event, Finished, Request, Result, Started

STUB = '''\
"""Double a number.

Twice is enough. Write `double`:

- it works for any number;
- it prints nothing.
"""


def double(x: float) -> float:
    """Twice x."""
    raise NotImplementedError
'''

SOLUTION = '''\
"""The reference."""


def double(x: float) -> float:
    return 2.0 * x
'''

HIDDEN_TESTS = '''\
def test_one(impl):
    """Twice one is two

    Add it to itself.
    """
    assert impl.double(1.0) == 2.0


def test_three(impl):
    """Twice three is six

    Squaring is another thing.
    """
    assert impl.double(3.0) == 6.0
'''

MISTAKES = """\
from grader.authoring import mistake


@mistake(replaces="double", tells="The number is squared.", question="what-double")
def squares(x):
    return x * x
"""

QA = """\
## Why double [a number]? {#why-double}

### Answer
To have **more** of it.

## What is the double of a number? {#what-double}

### Answer
The sum of the number and itself. It is not the square, although 0 and 2 cannot tell the two apart.
"""

QA_ZH = """\
## 为什么要加倍？ {#why-double}

### 回答
为了更多。

## 什么是一个数的两倍？ {#what-double}

### 回答
一个数加上它自己。注意 double 不是平方：虽然对 0 和 2 两者分不出来，但是 LayerNorm 和 RMSNorm 也常被混淆，道理是一样的。
"""

HINTS = "## 1. Think\n\nOf a sum.\n\n## 2. Write\n\n```python\nx + x\n```\n"

TOML = """\
title = "Doubling in {slug}"
title_zh = "加倍"
summary = "One number becomes two of it"
summary_zh = "一个数变成两个"
difficulty = 2
prerequisites = []
questions = ["why-double", "what-double"]
references = [{{title = "Peano 1889, Arithmetices principia", url = "https://example.org/peano"}}]
"""

COURSE = """\
[[groups]]
id = "sums"
title = "Sums"
title_zh = "加法"
drills = ["doubling", "halving"]

[[groups]]
id = "more"
title = "More of it"
title_zh = "更多"
drills = ["tripling"]
"""

CHECKS = [("test_one", "Twice one is two"), ("test_three", "Twice three is six")]


def make_course(root: Path) -> Catalogue:
    """Write three drills that ask for the same, and read them: a catalogue without the built-in ones."""
    (root / "drills").mkdir(parents=True)
    (root / "solutions").mkdir()
    (root / "drills/course.toml").write_text(COURSE, encoding="utf-8")
    for slug in ("doubling", "halving", "tripling"):
        folder = root / "drills" / slug
        folder.mkdir()
        files = {
            "drill.toml": TOML.format(slug=slug),
            "stub.py": STUB,
            "hidden_tests.py": HIDDEN_TESTS,
            "mistakes.py": MISTAKES,
            "equivalents.py": "",
            "hints.md": HINTS,
            "qa.md": QA,
            "qa.zh.md": QA_ZH,
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        (root / "solutions" / f"{slug}.py").write_text(SOLUTION, encoding="utf-8")
    whole = Catalogue.load([root])
    drills = tuple(drill for drill in whole.drills if drill.pack == root.name)
    groups = tuple(group for group in whole.groups if group.id in ("sums", "more"))
    assert len(drills) == 3, whole.broken
    return replace(whole, drills=drills, groups=groups, broken={})


class FakeGrading:
    """A grading whose events are given by hand."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.restarted = False
        self.warnings: list[str] = []
        self.cancelled = False
        self._events: queue.Queue[Event | BaseException | None] = queue.Queue()

    def give(self, *events: Event | BaseException) -> None:
        for event in events:
            self._events.put(event)
            if isinstance(event, Finished):
                self._events.put(None)

    def cancel(self) -> None:
        self.cancelled = True
        self._events.put(None)

    def __iter__(self) -> Iterator[Event]:
        while (event := self._events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event


class FakeEngine:
    """Keeps the gradings that were asked for. `answer`: events that each gets at once."""

    def __init__(self, *answer: Event) -> None:
        self.gradings: list[FakeGrading] = []
        self._answer = answer

    def __call__(self, request: Request) -> FakeGrading:
        grading = FakeGrading(request)
        grading.give(*self._answer)
        self.gradings.append(grading)
        return grading


def started(drill: str = "doubling") -> Started:
    return Started(drill=drill, checks=CHECKS)


def passed(drill: str = "doubling") -> Finished:
    checks = [Check(id=name, title=title, outcome="passed", duration_ms=2.0) for name, title in CHECKS]
    return Finished(_result(drill, "passed", checks))


def failed(drill: str = "doubling", *, message: str = "it is 9\nexpected 6.0\ngot      9.0") -> Finished:
    checks = [
        Check(id="test_one", title="Twice one is two", outcome="passed", duration_ms=2.0),
        Check(
            id="test_three",
            title="Twice three is six",
            outcome="failed",
            message=message,
            hint="Squaring is another thing.",
            duration_ms=3.0,
        ),
    ]
    found = Diagnosis(mistake="squares", message="The number is squared.", question="what-double")
    return Finished(_result(drill, "failed", checks, [found], "debug [red]x[/red] = 3\n"))


def first_of(finished: Finished) -> CheckFinished:
    return CheckFinished(finished.result.checks[0])


def _result(
    drill: str, verdict: str, checks: list[Check], diagnosis: list[Diagnosis] | None = None, output: str = ""
) -> Result:
    return Result(
        drill=drill,
        verdict=verdict,  # type: ignore[arg-type]
        seed=20260,
        duration_ms=38.1,
        isolation="full",
        checks=checks,
        diagnosis=diagnosis or [],
        output=output,
    )
