"""A new drill: a folder that proves itself from the first minute, to be changed step by step.

`drill/` holds a small drill, `my_drill`, with comments that teach the format. With code of one's own
(`grader.scaffold.existing`), the signatures, docstrings and solution come from there, and what only a person can write
is marked TODO.
"""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import NamedTuple

from grader.errors import BadInput

_TEMPLATES = Path(__file__).parent / "drill"
SOLUTION = "solution.py"


class Taken(NamedTuple):
    """What existing code gives to a drill: stub and solution, and the name that the tests are to call."""

    stub: str
    solution: str
    name: str


def make_drill(pack: Path, slug: str, taken: Taken | None = None) -> list[Path]:
    """Write the drill's files into the pack, which is made if need be; their paths. BadInput if anything is there."""
    folder, solution = pack / "drills" / slug, pack / "solutions" / f"{slug}.py"
    for place in (folder, solution):
        if place.exists():
            raise BadInput(f"{place} is there already.", "Choose another name, or remove it.")
    texts = _texts(slug, taken)
    files = {solution: texts.pop(SOLUTION), **{folder / name: text for name, text in texts.items()}}
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be written: {error.strerror}.", "Name another --pack.") from None
    return list(files)


def _texts(slug: str, taken: Taken | None) -> dict[str, str]:
    """The files by name."""
    title = slug.replace("_", " ").capitalize()
    files = (file for file in _TEMPLATES.iterdir() if file.is_file())
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    texts = {name: text.replace("my_drill", slug).replace("My drill", title) for name, text in texts.items()}
    if taken is not None:
        names = {"slug": slug, "title": title, "name": taken.name}
        texts |= {name: Template(text).substitute(names) for name, text in _UNWRITTEN.items()}
        texts |= {"stub.py": taken.stub, SOLUTION: taken.solution}
    return texts


_UNWRITTEN = {
    "hidden_tests.py": '''\
"""TODO: say what these tests look at. The drill that `drills new` makes without --from shows how they are written."""

import pytest


def test_worked_example(impl):
    """TODO: the title of the check

    TODO: the hint that a learner sees when it fails.
    """
    pytest.fail("TODO: compare impl.$name(...) with a value worked out by hand")
''',
    "mistakes.py": '''\
"""Wrong answers that people really give, each standing in for one name of the solution."""

from grader.authoring import mistake


@mistake(replaces="$name", tells="TODO: what to tell its author.", question="why-$slug")
def gives_nothing(*args, **kwargs):
    return None
''',
    "equivalents.py": '''\
"""Right answers of other shapes. TODO: write some, as different from each other as people's code is."""

from grader.authoring import equivalent, solution


@equivalent(replaces="$name")
def as_it_is(*args, **kwargs):
    """TODO: another way to write it."""
    return solution.$name(*args, **kwargs)
''',
    "drill.toml": """\
title = "$title"
title_zh = "TODO"
summary = "TODO"
summary_zh = "TODO"
difficulty = 2              # 1 to 5
prerequisites = []          # slugs of drills that come before
questions = ["why-$slug"]   # ids of the questions in qa.md and qa.zh.md, in their order
references = [{title = "TODO", url = "https://example.org"}]
# forbidden = ["torch.nn.LayerNorm"]  # library calls that would give the answer away

[limits]
check_seconds = 2.0  # of computing, for one check
run_seconds = 20.0   # for all of them
memory_mb = 1024
""",
    "hints.md": "## 1. TODO\n\nFrom gentle to explicit.\n",
    "qa.md": "## TODO: a question that an interviewer asks {#why-$slug}\n\nSources: none\n\n### Answer\nTODO\n\n"
    "### Key points\n- TODO\n- TODO\n\n### Follow-ups\n- **TODO**\n\n### Where printed answers go wrong\nTODO\n\n"
    "### References\n- TODO\n",
    "qa.zh.md": "## TODO：面试官会问的问题 {#why-$slug}\n\n来源：无\n\n### 回答\nTODO\n\n### 要点\n- TODO\n- TODO\n\n"
    "### 追问\n- **TODO**\n\n### 常见说法错在哪里\nTODO\n\n### 参考\n- TODO\n",
}
