"""`drills show TOPIC --evidence`: the claims of a drill's answers, and what computing them gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from drills.catalogue import Drill, Problem
from drills.reports import SCHEMA
from drills.shell import print_json, print_lines
from grader.errors import BadInput

if TYPE_CHECKING:
    from grader.computing import Computed

WORDS = {
    "en": {
        True: "holds",
        False: "refuted",
        "title": "what the answers say, computed",
        "none": "No claim here is computed.",
    },
    "zh": {True: "成立", False: "不成立", "title": "答案里的说法，算给你看", "none": "这里还没有可以计算的说法。"},
}


def show_evidence(drill: Drill, question: str | None, lang: str, as_json: bool) -> None:
    """Compute and print the claims, those of one question if it is given.

    What could be computed is printed; BadInput then tells what is wrong with the rest.
    """
    from grader.computing import compute  # decodes what the computing process says: not for every command

    found, problems = compute(drill)
    found = [one for one in found if question in (None, one.question)]
    if as_json:
        print_json(evidence_object(drill, found, problems, lang))
    else:
        print_lines(evidence_lines(drill, found, lang))
    if problems:
        raise BadInput(f"Not all evidence of {drill.slug} is in order.", "\n".join(f"  {one}" for one in problems))


def evidence_object(drill: Drill, found: Sequence[Computed], problems: Sequence[Problem], lang: str) -> dict[str, Any]:
    """`drills show TOPIC --evidence --json`."""
    return {
        "schema": SCHEMA,
        "drill": drill.slug,
        "lang": lang,
        "evidence": [
            {
                "id": one.name,
                "question": one.question,
                "claim": one.claim_zh if lang == "zh" else one.claim,
                "figure": one.figure_zh if lang == "zh" else one.figure,
                "values": one.values,
                "verdict": one.verdict,
            }
            for one in found
        ],
        "problems": [{"file": str(one.file), "message": one.message, "fix": one.fix} for one in problems],
    }


def evidence_lines(drill: Drill, found: Sequence[Computed], lang: str) -> Iterator[str]:
    """Each claim with its verdict, the figure, and the question that it belongs to."""
    words = WORDS[lang]
    title = drill.title_zh if lang == "zh" else drill.title
    yield click.style(f"{title}: {words['title']}" if lang == "en" else f"{title}：{words['title']}", bold=True)
    if not found:
        yield words["none"]
    for one in found:
        glyph, colour = ("✓", "green") if one.holds else ("✗", "red")
        claim, figure = (one.claim_zh, one.figure_zh) if lang == "zh" else (one.claim, one.figure)
        yield ""
        yield f"{click.style(f'{glyph} {words[one.holds]}', fg=colour)}  {claim}"
        yield f"  {figure}"
        yield click.style(f"  drills show {drill.slug} --question {one.question}", dim=True)
