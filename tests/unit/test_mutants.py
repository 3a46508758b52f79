"""Mutants of a solution: what is changed, what is left alone, and that each is one small change."""

from __future__ import annotations

import ast

import pytest

from grader.mutants import diff, mutants


def changed(source: str) -> set[str]:
    """The mutants of a function body, as the changed line without blanks."""
    return {mutant.name.partition(" => ")[2] for mutant in mutants(source)}


FUNCTION = "def f(x: Tensor, y: Tensor, n: int = 2) -> float:\n    {}\n"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("return x.sum(dim=-1)", {"return x.sum(dim=-2)", "return x.sum(dim=-0)", "return x.sum(dim=1)"}),
        ("return x.mean(-1, keepdim=True)", {"return x.mean(-1)", "return x.mean(-1, keepdim=False)"}),
        ("return x.transpose(1, 2).clone()", {"return x.clone()", "return x.transpose(1, 2)"}),
        ("return x.float().exp()", {"return x.exp()", "return x.float()", "return x.float().expm1()"}),
        ("return x.unsqueeze(1)", {"return x", "return x.unsqueeze(2)", "return x.unsqueeze(0)"}),
        ("return x @ y", {"return (y @ x)", "return y @ y", "return x @ x"}),
        ("return x - y", {"return (x + y)", "return (y - x)", "return x", "return y"}),
        ("return x < y", {"return (x <= y)", "return (x > y)"}),
        (
            "return x.masked_fill(~y, 0.0)",
            {"return x.masked_fill(y, 0.0)", "return x", "return x.masked_fill(0.0, ~y)"},
        ),
        (
            "return torch.softmax(x, dim=0)",
            {"return x", "return torch.softmax(x)", "return torch.log_softmax(x, dim=0)"},
        ),
        ("return x[:, None]", {"return x[None, :]"}),
        ("return x[n:]", {"return x[:]"}),
        ("return x.to(torch.float32)", {"return x.to(torch.float16)", "return x.to(torch.bfloat16)", "return x"}),
        ("raise ValueError(n)", {"pass", "raise RuntimeError(n)"}),
        ("x += 1", {"pass", "x = 1", "x -= 1"}),
        ("x.clamp_(0)", {"pass", "x.clamp_(1)"}),
        ("return x if n else y", {"return x", "return y"}),
        ("return x.repeat_interleave(n)", {"return x.repeat(n)", "return x"}),
    ],
)
def test_operators(statement, expected):
    assert expected <= changed(FUNCTION.format(statement))


def test_defaults_are_changed():
    assert {"def f(x, n: int = 3):", "def f(x, n: int = 1):"} <= changed("def f(x, n: int = 2):\n    return x\n")


def test_early_return():
    names = [mutant.name for mutant in mutants("def f(x):\n    y = x * x\n    z = y + x\n    return z\n")]
    assert "f: (nothing) => return y" in names


def test_a_branch_is_always_or_never_taken():
    source = "def f(x, n):\n    if n > 3:\n        return x\n    return n\n"
    assert {"if True:", "if False:"} <= {new.split(" return")[0] for new in changed(source)}


def test_detached_output():
    assert "return x.detach()" in changed("def f(x) -> Tensor:\n    return x\n")
    assert "return x.detach()" not in changed("def f(x) -> float:\n    return x\n")


def test_what_is_not_behaviour_is_left_alone():
    source = (
        '"""Module 1."""\nimport torch\n\n\ndef f(x: Literal[1]) -> Literal[2]:\n    """Doc 1."""\n'
        '    raise ValueError(f"got {1 + 2} and " + "3")\n'
    )
    for mutant in mutants(source):
        tree = ast.parse(mutant.source)
        function = tree.body[-1]
        assert ast.get_docstring(tree) == "Module 1." and ast.get_docstring(function) == "Doc 1."
        assert ast.unparse(function.args) == "x: Literal[1]" and ast.unparse(function.returns) == "Literal[2]"
    assert len(mutants(source)) == 2  # the raise removed, and of another class


def test_each_is_another_program_in_valid_python_with_a_name_of_its_own():
    source = "def f(x: Tensor, k: Tensor):\n    é = x + 1\n    if x > k:\n        é = é + 1  # shape\n    return é * (x + 1)\n"
    made = mutants(source)
    programs = {ast.dump(ast.parse(mutant.source)) for mutant in made}
    assert len(programs) == len(made) and ast.dump(ast.parse(source)) not in programs
    assert len({mutant.name for mutant in made}) == len(made)
    assert all(name.startswith("f: ") and "# shape" not in name for name in (mutant.name for mutant in made))


def test_diff_shows_the_changed_line():
    source = "def f(x):\n    a = x\n    return a + 1\n"
    mutant = next(m for m in mutants(source) if m.name == "f: return a + 1 => return a + 2")
    assert diff(source, mutant, "f.py").splitlines()[2:] == [
        "@@ -2,2 +2,2 @@", "     a = x", "-    return a + 1", "+    return a + 2",
    ]  # fmt: skip
