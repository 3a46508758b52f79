"""What the tests of the app start from: the toy course, and a workspace with a stub for each of its drills."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_course import make_course

from drills.catalogue import Catalogue
from grader.workspace import Workspace


@pytest.fixture
def course(tmp_path: Path) -> Catalogue:
    return make_course(tmp_path / "toys")


@pytest.fixture
def workspace(tmp_path: Path, course: Catalogue) -> Workspace:
    made = Workspace(tmp_path / "answers")
    made.create(course)
    return made
