"""`drills show TOPIC --evidence`, and what becomes of evidence that is not in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_pack import make_pack

from drills.catalogue import Catalogue, Drill
from drills.cli import main
from grader.computing import compute
from grader.errors import GraderFault
from grader.validation import prove_folder

HEADER = """\
from fractions import Fraction

from grader.authoring import solution
from grader.evidence import Finding, evidence


"""

RIGHT = """\
@evidence(question="why-add", claim="One and two are three.", zh="一加二等于三。")
def one_and_two():
    print("said by the file")
    return Finding(solution.add(1, 2) == 3, "1 + 2 = {}", solution.add(1, 2))


"""

WRONG = """\
@evidence(question="what-sum", claim="A sum is larger than its parts.", zh="和总是比各个加数大。", wrong=True)
def larger():
    return Finding(solution.add(2, -1) > 2, "{} plus {} is {:.1f}", 2, -1, Fraction(1), zh="{} 加 {} 得 {:.1f}")


"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "toys", "toy_sum", "toy_mean")


def write(pack: Path, text: str) -> Drill:
    """Give toy_sum this evidence."""
    drill = Catalogue.load([pack]).find("toy_sum")
    drill.evidence.write_text(text, encoding="utf-8")
    return drill


def show(pack: Path, *arguments: str) -> Result:
    where = ["--pack", str(pack), "--workspace", str(pack.parent / "ws")]
    return CliRunner().invoke(main, ["show", *arguments, "--evidence", *where])


def test_claims_are_shown_with_verdict_and_figure(pack: Path) -> None:
    write(pack, HEADER + RIGHT + WRONG)
    result = show(pack, "toy-s")
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines()]
    place = lines.index("✓ holds  One and two are three.")
    assert lines[place + 1 : place + 3] == ["1 + 2 = 3", "drills show toy_sum --question why-add"]
    place = lines.index("✗ refuted  A sum is larger than its parts.")
    assert lines[place + 1] == "2 plus -1 is 1.0"
    assert "said by the file" not in result.stdout


def test_claims_are_shown_in_chinese(pack: Path) -> None:
    write(pack, HEADER + RIGHT + WRONG)
    shown = show(pack, "toy_sum", "--lang", "zh").stdout
    assert "✓ 成立  一加二等于三。\n  1 + 2 = 3\n" in shown  # a figure without words needs no translation
    assert "✗ 不成立  和总是比各个加数大。\n  2 加 -1 得 1.0\n" in shown
    assert "holds" not in shown and "refuted" not in shown


def test_claims_as_an_object(pack: Path) -> None:
    write(pack, HEADER + RIGHT + WRONG)
    value = json.loads(show(pack, "toy_sum", "--json", "--lang", "zh").stdout)
    assert (value["schema"], value["drill"], value["lang"], value["problems"]) == (1, "toy_sum", "zh", [])
    assert value["evidence"][1] == {
        "id": "larger",
        "question": "what-sum",
        "claim": "和总是比各个加数大。",
        "figure": "2 加 -1 得 1.0",
        "values": [2, -1, 1.0],
        "verdict": "refuted",
    }
    assert [one["verdict"] for one in value["evidence"]] == ["holds", "refuted"]


def test_the_claims_of_one_question(pack: Path) -> None:
    write(pack, HEADER + RIGHT + WRONG)
    shown = show(pack, "toy_sum", "--question", "why-add").stdout
    assert "One and two" in shown and "larger" not in shown
    unknown = show(pack, "toy_sum", "--question", "why")
    assert unknown.exit_code == 2 and "why-add, what-sum" in unknown.stderr


@pytest.mark.parametrize(("lang", "told"), [("en", "No claim here is computed."), ("zh", "这里还没有可以计算的说法")])
def test_a_drill_without_evidence_says_so(pack: Path, lang: str, told: str) -> None:
    result = show(pack, "toy_mean", "--lang", lang)
    assert result.exit_code == 0 and told in result.stdout
    assert json.loads(show(pack, "toy_mean", "--json").stdout)["evidence"] == []


def test_an_unknown_topic_is_wrong_usage(pack: Path) -> None:
    result = show(pack, "toy_smu")
    assert result.exit_code == 2 and "Did you mean toy_sum" in result.stderr and result.stdout == ""


BAD = '@evidence(question="why-add", claim="Bad.", zh="坏的。")\ndef bad():\n    '
HARMS = {
    "an error": (BAD + "return 1 / 0\n", "bad failed: line 15: ZeroDivisionError"),
    "no finding": (BAD + "return True\n", "bad failed: AttributeError"),
    "an exit": (BAD + "raise SystemExit(3)\n", "bad failed: line 15: SystemExit: 3"),
    "the end of the process": (BAD + "import os\n    os._exit(0)\n", "bad ended the process (exit code 0)"),
    "a figure that lacks a value": (BAD + 'return Finding(True, "{} {}", 1)\n', "bad failed: line 15: IndexError"),
    "not a number": (BAD + 'return Finding(True, "{}", float("nan"))\n', "bad failed: ValueError: a value is not"),
    "a false claim": (BAD + 'return Finding(False, "0")\n', "bad refuted, and is meant to be true"),
    "a true mistake": (
        BAD.replace("zh=", "wrong=True, zh=") + 'return Finding(True, "0")\n',
        "bad holds, and is meant to be refuted",
    ),
}


@pytest.mark.parametrize("case", HARMS)
def test_a_broken_computation_costs_its_own_claim(pack: Path, case: str) -> None:
    text, told = HARMS[case]
    drill = write(pack, HEADER + RIGHT + text)
    result = show(pack, "toy_sum", "--json")
    assert result.exit_code == 2
    assert f"{drill.evidence}: {told}" in result.stderr
    value = json.loads(result.stdout)
    assert value["evidence"][0]["id"] == "one_and_two"
    (problem,) = value["problems"]
    assert problem["file"] == str(drill.evidence) and problem["fix"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def :\n", "cannot be loaded: line 1: SyntaxError"),
        ("import nowhere\n", "cannot be loaded: line 1: ModuleNotFoundError"),
        ("import os\nos._exit(0)\n", "the file ended the process (exit code 0)"),
    ],
)
def test_a_broken_file_takes_no_drill_down(pack: Path, text: str, told: str) -> None:
    drill = write(pack, text)
    result = show(pack, "toy_sum")
    assert result.exit_code == 2 and f"{drill.evidence}: {told}" in result.stderr
    assert Catalogue.load([pack]).broken == {}
    shown = CliRunner().invoke(main, ["show", "toy_sum", "--pack", str(pack)])
    assert shown.exit_code == 0 and "Add two numbers." in shown.stdout


def test_a_computation_that_hangs_is_ended_and_named(pack: Path) -> None:
    drill = write(pack, HEADER + RIGHT + BAD + "import threading\n    threading.Event().wait()\n")
    found, (problem,) = compute(drill, seconds=6)
    assert [one.name for one in found] == ["one_and_two"]
    assert problem.message == "bad did not finish within 6 s"


def test_a_process_that_cannot_start_is_the_graders_fault(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drill = write(pack, HEADER + RIGHT)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(GraderFault, match="could not be started"):
        compute(drill)


STATIC = {
    "unknown question": (RIGHT.replace("why-add", "why-ad"), "one_and_two names the question 'why-ad'"),
    "no Chinese": (RIGHT.replace("一加二等于三。", " "), "one_and_two has no claim in Chinese"),
    "no English": (RIGHT.replace("One and two are three.", ""), "one_and_two has no claim in English"),
    "twice": (RIGHT + RIGHT, "there are two one_and_two"),
    "nothing marked": ("def one():\n    return 1\n", "evidence.py: has no claim"),
    "syntax": ("def one(:\n", "line 7 is not Python"),
}


@pytest.mark.parametrize("case", STATIC)
def test_verify_reads_evidence_without_running_it(pack: Path, case: str) -> None:
    text, told = STATIC[case]
    problems = write(pack, HEADER + text).verify()
    assert [told in str(problem) for problem in problems] == [True]
    assert problems[0].file.name == "evidence.py" and problems[0].fix


def test_sound_evidence_is_sound(pack: Path) -> None:
    assert write(pack, HEADER + RIGHT + WRONG).verify() == []


def test_validate_runs_the_computations(pack: Path) -> None:
    drill = write(pack, HEADER + RIGHT + BAD + "return 1 / 0\n")
    (hole,) = prove_folder(drill)
    assert hole.name == "evidence.py" and "ZeroDivisionError" in hole.problem
    (proof,) = prove_folder(write(pack, HEADER + RIGHT + WRONG))
    assert (proof.name, proof.problem) == ("toy_sum", "")
