"""`drills new`: a drill that proves itself, and one made of code that exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

from drills.catalogue import Catalogue
from drills.cli import main
from grader.validation import Plan, prove

CODE = '''\
"""A module of somebody's."""
from __future__ import annotations
import math
import torch
from torch import Tensor, nn
import os

SCALE = 2.0
UNUSED = 3.0


def helper(x):
    """Used by the other."""
    return x * SCALE


def _private(x): return helper(x) + math.pi


@torch.no_grad()
def wanted(x: Tensor, n: int = 3, *, flag: bool = True) -> Tensor:
    """What it gives.

    More of it.
    """
    return _private(x) * n


class Net(nn.Module):
    """A net."""
    size = 4
    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
    def forward(self, x: Tensor) -> Tensor:
        """Forward."""
        return self._inner(x)
    def _inner(self, x): return wanted(x)
'''


def new(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["new", *map(str, arguments)])
    return done.exit_code, done.output + done.stderr


def test_a_new_drill_proves_itself(tmp_path):
    code, said = new("my-first", "--pack", tmp_path)
    assert code == 0 and f"grader validate my_first --pack {tmp_path}" in said
    drill = Catalogue.load([tmp_path]).find("my_first")
    proof = prove(drill, Plan(3))
    assert proof.holes == [] and proof.checks == 5
    kinds = [each.kind for each in proof.proofs]
    assert kinds.count("mistake") == 3 and kinds.count("equivalent") == 2 and kinds.count("mutant") > 10


def test_code_that_exists_gives_signatures_docstrings_and_solution(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    code, said = new("taken", "--pack", tmp_path / "pack", "--from", f"{tmp_path / 'code.py'}:wanted")
    assert code == 0, said
    stub = (tmp_path / "pack/drills/taken/stub.py").read_text()
    solution = (tmp_path / "pack/solutions/taken.py").read_text()
    assert ast.get_docstring(ast.parse(stub)) == "A module of somebody's."
    assert "def wanted(x: Tensor, n: int=3, *, flag: bool=True) -> Tensor:" in stub and "More of it." in stub
    assert "pi" not in stub and "_private" not in stub and "SCALE" not in stub and "NotImplementedError" in stub
    assert "@torch.no_grad()\ndef wanted" in solution and "SCALE = 2.0" in solution and "import math" in solution
    assert "UNUSED" not in solution and "import os" not in solution and "class Net" not in solution
    namespace: dict[str, object] = {}
    exec(compile(solution, "solution", "exec"), namespace)
    assert namespace["wanted"](1.0, 1) == pytest.approx(2.0 + 3.141592653589793)  # type: ignore[operator]


def test_a_class_keeps_its_public_methods(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    assert new("net", "--pack", tmp_path / "pack", "--from", f"{tmp_path / 'code.py'}:Net")[0] == 0
    stub = (tmp_path / "pack/drills/net/stub.py").read_text()
    assert "class Net(nn.Module):" in stub and "def forward(self, x: Tensor) -> Tensor:" in stub
    assert "_inner" not in stub and "self.n" not in stub and "super" not in stub


def test_what_is_still_to_be_written_is_a_list(tmp_path):
    """Stub and solution are in order from the first minute; each other file says where to go on."""
    (tmp_path / "code.py").write_text(CODE)
    new("taken", "--pack", tmp_path / "pack", "--from", f"{tmp_path / 'code.py'}:wanted")
    drill = Catalogue.load([tmp_path / "pack"]).find("taken")
    unwritten = {problem.file.name for problem in drill.verify() if "still to be written" in problem.message}
    assert unwritten == {
        "drill.toml", "equivalents.py", "hidden_tests.py", "hints.md", "mistakes.py", "qa.md", "qa.zh.md",
    }  # fmt: skip
    assert [p for p in drill.verify() if "still to be written" not in p.message] == []


def test_a_todo_for_the_learner_is_none_of_the_authors(tmp_path):
    new("first", "--pack", tmp_path)
    drill = Catalogue.load([tmp_path]).find("first")
    stub = drill.folder / "stub.py"
    stub.write_text(
        stub.read_text().replace(
            "    raise NotImplementedError", "    # TODO: your code\n    raise NotImplementedError"
        )
    )
    assert drill.verify() == []
    stub.write_text(stub.read_text().replace("This text is", "TODO: this text is"))
    (problem,) = drill.verify()
    assert "line 3 is still to be written" in problem.message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["9lives", "--pack", "p"], "no topic"), (["a b", "--pack", "p"], "no topic"), (["x"], "no folder `drills`"),
        (["x", "--pack", "p", "--from", "code.py"], "FILE.py:NAME"),
        (["x", "--pack", "p", "--from", "nowhere.py:f"], "cannot be read"),
        (["x", "--pack", "p", "--from", "code.py:nothing"], "It defines: helper, _private, wanted, Net"),
        (["x", "--pack", "p", "--from", "broken.py:f"], "not Python"),
        (["x", "--pack", "code.py"], "cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_told(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("def f(:")
    code, said = new(*arguments)
    assert code == 2 and says in said and "Traceback" not in said
    assert not (tmp_path / "p").exists()


def test_nothing_is_overwritten(tmp_path):
    assert new("once", "--pack", tmp_path)[0] == 0
    stub = tmp_path / "drills/once/stub.py"
    stub.write_text("# mine\n")
    code, said = new("once", "--pack", tmp_path)
    assert code == 2 and "is there already" in said and stub.read_text() == "# mine\n"


def test_a_course_file_is_mentioned(tmp_path):
    new("first", "--pack", tmp_path)
    (tmp_path / "drills/course.toml").write_text("")
    assert 'Add "second"' in new("second", "--pack", tmp_path)[1]
