"""A pack of small drills in a folder of the test's, and ways to break it."""

from __future__ import annotations

from pathlib import Path

STUB = '''\
"""Add two numbers.

Return their sum.
"""


def add(a: float, b: float = 1.0) -> float:
    """The sum."""
    raise NotImplementedError


class Adder:
    """Adds a constant."""

    def __init__(self, amount: float) -> None:
        raise NotImplementedError

    def forward(self, x: float) -> float:
        raise NotImplementedError
'''

SOLUTION = '''\
"""The reference."""


def add(a: float, b: float = 1.0) -> float:
    return a + b


class Adder:
    def __init__(self, amount: float) -> None:
        self.amount = amount

    def forward(self, x: float) -> float:
        return add(x, self.amount)

    def _private(self, anything):
        return anything
'''

HIDDEN_TESTS = '''\
def test_adds(impl):
    """Adds

    Look at the operator.
    """
    assert impl.add(1.0, 2.0) == 3.0
'''

MISTAKES = """\
from grader.authoring import mistake


@mistake(replaces="add", tells="That is the difference.", question="why-add")
def subtracts(a, b=1.0):
    return a - b
"""

EQUIVALENTS = '''\
from grader.authoring import equivalent


@equivalent(replaces="add")
def swapped(a, b=1.0):
    """The other order."""
    return b + a
'''

HINTS = "## 1. Think\n\nOf an operator.\n\n## 2. Write\n\n```python\n## not a heading\na + b\n```\n"

QA = """\
## Why add? {#why-add}

Sources: notes-1, notes-2

### Answer
To have more.

## What is a sum? {#what-sum}

### Answer
A total.
"""

QA_ZH = """\
## 为什么相加？ {#why-add}

来源：notes-1、notes-2

### 回答
为了更多。

## 什么是和？ {#what-sum}

### 回答
总数。
"""

DRILL = """\
title = "Adding {slug}"
title_zh = "加法"
summary = "Two numbers become one"
summary_zh = "两数之和"
difficulty = 2
prerequisites = {prerequisites}
questions = ["why-add", "what-sum"]
forbidden = ["math.fsum"]
references = [{{title = "Peano 1889", url = "https://example.org/peano"}}]

[limits]
check_seconds = 1.5
"""


def make_drill(pack: Path, slug: str, prerequisites: tuple[str, ...] = ()) -> Path:
    """Write a sound drill and its solution; returns its folder."""
    folder = pack / "drills" / slug
    folder.mkdir(parents=True)
    (pack / "solutions").mkdir(exist_ok=True)
    (pack / "solutions" / f"{slug}.py").write_text(SOLUTION, encoding="utf-8")
    files = {
        "drill.toml": DRILL.format(slug=slug, prerequisites=list(prerequisites)),
        "stub.py": STUB,
        "hidden_tests.py": HIDDEN_TESTS,
        "mistakes.py": MISTAKES,
        "equivalents.py": EQUIVALENTS,
        "hints.md": HINTS,
        "qa.md": QA,
        "qa.zh.md": QA_ZH,
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def make_pack(root: Path, *slugs: str) -> Path:
    """Write a pack of sound drills without a course file; returns its folder."""
    for slug in slugs:
        make_drill(root, slug)
    return root


def change(file: Path, old: str, new: str) -> None:
    """Replace a text that occurs in a file exactly once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {file}"
    file.write_text(text.replace(old, new), encoding="utf-8")
