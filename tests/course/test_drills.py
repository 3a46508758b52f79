"""Every drill of the course is proved, as `grader validate` does it: nothing wrong passes, nothing right fails."""

from __future__ import annotations

import pytest

from drills.catalogue import Catalogue
from grader.authoring import read_stand_ins
from grader.validation import prove

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
