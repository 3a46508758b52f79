"""Trials: variants of a drill's own reference, each in a process of its own, without a wall."""

from __future__ import annotations

import msgspec
import pytest

from drills.catalogue import Catalogue
from grader.authoring import read_stand_ins
from grader.checking import run
from grader.requests import request_for
from grader.results import Result, Trial, Tried

DRILL = Catalogue.load().find("rmsnorm")
RIGHT = DRILL.solution_source
EPS_OUTSIDE = (str(DRILL.folder / "mistakes.py"), "eps_outside_the_root")


def try_all(*trials: Trial, drill=DRILL) -> tuple[list[Tried], Result]:
    tried: list[Tried] = []
    request = request_for(drill, b"", "answer.py", seed=1)
    result = run(
        msgspec.structs.replace(request, trials=list(trials)),
        True,
        lambda event: tried.append(event) if isinstance(event, Tried) else None,
    )
    return tried, result


def trial(source: str = "", **options) -> Trial:
    return Trial(source=(RIGHT + source).encode(), seed=1, **options)


def test_right_and_wrong_variants_are_told_apart():
    assert "eps_outside_the_root" in [mistake.name for mistake in read_stand_ins(DRILL.folder / "mistakes.py")]
    (right, wrong, named), result = try_all(
        trial(), trial(stand_in=EPS_OUTSIDE), trial(stand_in=EPS_OUTSIDE, diagnose=True)
    )
    assert result.verdict == "passed"
    assert (right.index, right.verdict, len(right.passed)) == (0, "passed", 18)
    assert (wrong.index, wrong.verdict, wrong.check, wrong.named) == (1, "failed", "test_eps_inside_the_root", [])
    assert wrong.message and len(wrong.passed) == 5  # it is left at the first check that rejects it
    assert (named.index, named.named) == (2, ["eps_outside_the_root"]) and len(named.passed) > 5


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\n\ndef rms_norm(x, weight=None, eps=1e-6):\n    while True: pass\n", "raised OutOfTime"),
        ("\n\nimport os\ndef rms_norm(x, weight=None, eps=1e-6):\n    os._exit(0)\n", "exit status 0"),
        ("\n\nimport os\ndef rms_norm(x, weight=None, eps=1e-6):\n    os.abort()\n", "ended by SIGABRT"),
        ("\n\nraise SystemExit\n", "left with sys.exit()"),
        ("\n\ndef rms_norm(x, weight=None, eps=1e-6): return torch.zeros(10**12)\n", "allocate"),
        ("\n\nthis is no Python", "invalid syntax"),
    ],
)
def test_whatever_a_variant_does_it_is_rejected_and_the_next_is_tried(source, message):
    (wrong, right), _ = try_all(trial(source), trial())
    assert wrong.verdict == "failed" and message in wrong.message
    assert right.verdict == "passed"


def test_a_seed_is_that_of_the_trial():
    """A wrong answer that only one draw of inputs shows: both draws are tried."""
    source = "\n\nimport random\nif random.random() < 0.5:\n    del rms_norm\n"
    seeds = [Trial(source=(RIGHT + source).encode(), seed=seed) for seed in range(12)]
    tried, _ = try_all(*seeds)
    again, _ = try_all(*seeds)
    assert {found.verdict for found in tried} == {"passed", "failed"}
    assert [found.verdict for found in again] == [found.verdict for found in tried]


def test_hidden_tests_that_cannot_be_run_are_an_error(tmp_path):
    (tmp_path / "hidden_tests.py").write_text("def test_a(impl:\n")
    request = request_for(DRILL, b"", "answer.py", seed=1)
    result = run(msgspec.structs.replace(request, folder=str(tmp_path), trials=[trial()]), True, lambda event: None)
    assert result.verdict == "error" and "cannot be run" in result.problem


def test_a_check_that_fails_by_itself_is_an_error(tmp_path):
    (tmp_path / "hidden_tests.py").write_text("def test_a(impl):\n    '''Title'''\n    undefined\n")
    request = request_for(DRILL, b"", "answer.py", seed=1)
    tried: list[Tried] = []
    run(
        msgspec.structs.replace(request, folder=str(tmp_path), trials=[trial()]),
        True,
        lambda event: tried.append(event) if isinstance(event, Tried) else None,
    )
    assert [found.verdict for found in tried] == ["error"] and "undefined" in tried[0].message


def test_a_mistake_over_which_the_test_itself_stumbles_is_named():
    """A weight of another size makes the test's own copy_ fail: the reference is run to see whose fault that is."""
    place = (str(DRILL.folder / "mistakes.py"), "OneGainForAll")
    (tried,), _ = try_all(trial(stand_in=place, diagnose=True))
    assert tried.named == ["OneGainForAll"]


def test_a_mistake_that_hangs_in_one_check_is_named_by_the_others():
    """Behind the wall a lack of memory may end what takes long here."""
    folder = DRILL.folder.parent / "flash_attention"
    drill = Catalogue.load().find(folder.name)
    one = Trial(
        source=drill.solution_source.encode(),
        seed=1,
        stand_in=(str(folder / "mistakes.py"), "keeps_the_last_dim"),
        diagnose=True,
    )
    (tried,), _ = try_all(one, drill=drill)
    assert tried.named == ["keeps_the_last_dim"]
