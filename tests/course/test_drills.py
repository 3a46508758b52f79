"""Every drill of the course is proved, as `grader validate` does it: nothing wrong passes, nothing right fails."""

from __future__ import annotations

import pytest

from drills.catalogue import Catalogue
from grader.authoring import read_stand_ins
from grader.checking import run
from grader.validation import prove, stand_in_request

CATALOGUE = Catalogue.load()


def test_no_drill_is_broken():
    assert not CATALOGUE.broken and len(CATALOGUE.drills) >= 9


@pytest.mark.parametrize("drill", CATALOGUE.drills, ids=lambda drill: drill.slug)
def test_proved(drill):
    """The reference on ten seeds, the stub, each mistake rejected and named, equivalents accepted, mutants rejected."""
    assert len(read_stand_ins(drill.folder / "mistakes.py")) >= 15
    assert len(read_stand_ins(drill.folder / "equivalents.py")) >= 8
    proof = prove(drill)
    assert proof.holes == [] and proof.checks >= 10
    assert {p.kind for p in proof.proofs} == {"folder", "reference", "stub", "mistake", "equivalent", "mutant"}


@pytest.mark.parametrize("drill", CATALOGUE.drills, ids=lambda drill: drill.slug)
def test_mistakes_are_rejected_and_named_behind_the_wall(drill):
    """The proof tries them without a wall; a learner meets it, and the drill's limit of memory."""
    mistakes = read_stand_ins(drill.folder / "mistakes.py")
    for mistake in (mistakes[0], mistakes[len(mistakes) // 2], mistakes[-1]):
        result = run(stand_in_request(drill, mistake), True, lambda event: None)
        assert result.verdict == "failed" and mistake.name in [found.mistake for found in result.diagnosis]
