"""Which known mistake an answer looks like: tiny tests, a tiny reference, and answers that fail them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from drills.catalogue import Catalogue
from grader.checking import run
from grader.requests import request_for

SOLUTION = """
import torch
def f(x): return 2 * x
def draw(n, generator): return torch.rand(n, generator=generator)
"""
MISTAKES = """
import torch
from grader.authoring import mistake

@mistake(replaces="f", tells="adds one", question="q")
def adds_one(x): return x + 1

@mistake(replaces="draw", tells="gives zeros", question="q")
def gives_zeros(n, generator): return torch.zeros(n)
"""
TESTS = (
    "import torch\n"
    + "".join(f"def test_{x}(impl):\n    '''Twice {x}'''\n    assert impl.f({x}) == {2 * x}\n" for x in range(1, 6))
    + """
def test_draw(impl, gen):
    '''Draws'''
    state = gen.get_state()
    drawn = impl.draw(3, gen)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().set_state(state)))
"""
)


@pytest.fixture
def named(tmp_path: Path):
    """The names and checks of what an answer is diagnosed as."""
    for name, text in (
        ("hidden_tests.py", TESTS),
        ("mistakes.py", MISTAKES),
        ("stub.py", ""),
        ("solution.py", SOLUTION),
    ):
        (tmp_path / name).write_text(text)

    def grade(answer: str) -> dict[str, list[str]]:
        request = request_for(Catalogue.load().find("rmsnorm"), (SOLUTION + answer).encode(), "answer.py", seed=1)
        places = {"folder": str(tmp_path), "solution": str(tmp_path / "solution.py")}
        result = run(msgspec.structs.replace(request, **places), True, lambda event: None)
        assert result.verdict == "failed", result.problem
        return {found.mistake: found.checks for found in result.diagnosis}

    return grade


def test_what_explains_all_failing_checks_is_named_with_them(named):
    assert named("\ndef f(x): return x + 1\n") == {"adds_one": ["test_2", "test_3", "test_4", "test_5"]}


def test_what_fails_one_check_of_four_alike_is_a_coincidence(named):
    assert named("\ndef f(x): return {1: 2, 2: 3}.get(x, 100)\n") == {}


def test_what_explains_half_of_the_failing_checks_is_named(named):
    assert named("\ndef f(x): return {1: 2, 2: 3, 3: 4}.get(x, 100)\n") == {"adds_one": ["test_2", "test_3"]}


def test_a_mistake_that_a_passed_check_rules_out_is_not_named(named):
    assert named("\ndef f(x): return x + 1 if x < 4 else 2 * x\n") == {}


def test_how_many_numbers_were_drawn_does_not_matter(named):
    answer = "\ndef draw(n, generator): return torch.rand(n + 4, generator=generator)[:n] * 0\n"
    assert named(answer) == {"gives_zeros": ["test_draw"]}
