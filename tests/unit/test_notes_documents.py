"""Real notes, where they are at hand: DRILLS_NOTES names their folder, `questions.tsv` beside it lists what they ask.

The list is independent of the parser: a person wrote down each question with its line, and the drill it belongs to.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from drills.catalogue import Catalogue
from grader.notes.parsing import Section, parse_notes
from grader.notes.placing import Index
from grader.notes.reading import read_notes

FOLDER = Path(os.environ.get("DRILLS_NOTES", ""))
DOCUMENTS = sorted(FOLDER.glob("*.txt")) if os.environ.get("DRILLS_NOTES") else []

pytestmark = pytest.mark.skipif(not DOCUMENTS, reason="DRILLS_NOTES names no folder of notes")


class Row(NamedTuple):
    identity: str
    line: int
    main: str
    drills: set[str]  # the main one, and the related ones


def rows_of(document: Path) -> list[Row]:
    with (FOLDER.parent / "questions.tsv").open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row["id"],
                int(re.search(r"@L(\d+)", row["locator"])[1]),
                row["drill"],
                {row["drill"], *row["related_drills"].split(",")} - {""},
            )
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["source"] == document.name
        ]


def matched(document: Path) -> Iterator[tuple[Row | None, Section | None]]:
    """Each row with the innermost section around its line; then the sections without a row."""
    sections = parse_notes(read_notes(document).text).sections
    taken = []
    for row in rows_of(document):
        around = [each for each in sections if each.line <= row.line <= each.end]
        section = max(around, key=lambda each: each.line, default=None)
        taken.append(section)
        yield row, section
    yield from ((None, each) for each in sections if each not in taken)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem[:3])
def test_every_question_has_a_section_of_its_own(document: Path) -> None:
    pairs = list(matched(document))
    owners = [section for row, section in pairs if row is not None]
    shared = [row.identity for row, section in pairs if row and (section is None or owners.count(section) > 1)]
    assert shared == []


def starts_at(section: Section, line: int) -> bool:
    """At its title, or at the first line of its text."""
    return line in (section.line, section.end - section.text.count("\n"))


def test_sections_start_where_the_questions_do_and_few_are_no_question() -> None:
    pairs = [pair for document in DOCUMENTS for pair in matched(document)]
    within = [row.identity for row, section in pairs if row and not starts_at(section, row.line)]
    extra = [section.title for row, section in pairs if row is None]
    assert len(within) <= 5, within
    assert len(extra) <= 4, extra


def test_a_line_of_a_section_is_a_line_of_the_document() -> None:
    for document in DOCUMENTS:
        lines = read_notes(document).text.split("\n")
        for section in parse_notes("\n".join(lines)).sections:
            text = section.text.split("\n") if section.text else []
            assert text == lines[section.end - len(text) : section.end] or not text


def test_questions_are_placed_with_their_drills() -> None:
    catalogue = Catalogue.load()
    slugs = {drill.slug for drill in catalogue.drills}
    index = Index(catalogue.drills)
    missed, wrong, mains, right = [], [], 0, 0
    for document in DOCUMENTS:
        for row, section in matched(document):
            placed = set(index.place(section))
            if row is not None and row.main in slugs:
                mains += 1
                missed += [row.identity] if row.main not in placed else []
            fitting = placed & (row.drills if row else set())
            right += len(fitting)
            wrong += [(section.title[:40], slug) for slug in placed - fitting]
    assert mains and len(missed) <= 0.05 * mains, missed
    assert right >= 0.8 * (right + len(wrong)), wrong
