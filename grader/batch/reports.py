"""The files that a batch leaves: CSV, JSON, JUnit XML, HTML for the class and for each learner, Gradescope's JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from grader.batch.summary import Answer, Learner, Summary
from grader.errors import BadInput
from grader.junit import junit_text

if TYPE_CHECKING:
    import jinja2

GLYPHS = {
    "passed": "✓", "failed": "✗", "crashed": "☠", "timeout": "⧖", "forbidden": "⊘", "not_run": "–", "error": "?",
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def write_reports(folder: Path, name: str, summary: Summary, *, gradescope: bool) -> list[Path]:
    """Write all of them into the folder, each whole or not at all; their paths. Raises BadInput."""
    pages = page_names([learner.name for learner in summary.learners])
    answers = list(chain.from_iterable(learner.answers for learner in summary.learners))
    files = {
        "results.csv": csv_text(summary),
        "results.json": msgspec.json.format(msgspec.json.encode(summary), indent=1).decode() + "\n",
        "junit.xml": junit_text((f"{each.learner}: {each.drill}", each.result) for each in answers),
        "report.html": class_page(name, summary, pages),
    }
    for learner in summary.learners:
        files[f"learners/{pages[learner.name]}"] = learner_page(learner, summary)
        if gradescope:
            stem = pages[learner.name].removesuffix(".html")
            files[f"gradescope/{stem}/results.json"] = gradescope_text(learner, summary)
    try:
        return [_put(folder / file, text) for file, text in files.items()]
    except OSError as error:
        raise BadInput(
            f"{error.filename} cannot be written: {error.strerror}.", "Make room, and run it again."
        ) from None


def _put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8", newline="")
    draft.replace(path)
    return path


def page_names(learners: list[str]) -> dict[str, str]:
    """A file name for each learner: theirs, as far as a file may be called that, and no two alike."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for learner in learners:
        stem = re.sub(r"[^\w.@+-]+", "_", learner).strip("._")[:100] or "learner"
        name, number = f"{stem}.html", 2
        while name.casefold() in taken:
            name, number = f"{stem}-{number}.html", number + 1
        taken.add(name.casefold())
        names[learner] = name
    return names


def csv_text(summary: Summary) -> str:
    """A line for each answer, and one with the total of each learner at the end of theirs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        ["learner", "drill", "mark", "verdict", "checks_passed", "checks", "days_late", "before_lateness",
         "likely_mistakes", "failed_checks", "handed_in_at", "file"]
    )  # fmt: skip
    for learner in summary.learners:
        for answer in learner.answers:
            writer.writerow(map(_cell, _row(answer)))
        writer.writerow(map(_cell, [learner.name, "(all)", f"{learner.total:.2f}", *[""] * 9]))
    return out.getvalue()


def _row(answer: Answer) -> list[Any]:
    checks = answer.result.checks
    failed = [check.id for check in checks if check.outcome != "passed"]
    return [
        answer.learner, answer.drill, f"{100 * answer.mark.final:.2f}", answer.result.verdict,
        len(checks) - len(failed), len(checks), answer.mark.days_late, f"{100 * answer.mark.share:.2f}",
        " ".join(found.mistake for found in answer.result.diagnosis), " ".join(failed), answer.at, answer.origin,
    ]  # fmt: skip


def _cell(value: object) -> str:
    """A learner's name must not be a formula of the instructor's spreadsheet."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def gradescope_text(learner: Learner, summary: Summary) -> str:
    """`results.json` as Gradescope's autograder reads it: a test for each check, the mark as the score."""
    tests = [
        {
            "name": f"{answer.drill}: {check.title}",
            "status": "passed" if check.outcome == "passed" else "failed",
            "output": "" if check.outcome == "passed" else "\n".join(filter(None, (check.message, check.hint))),
        }
        for answer in learner.answers
        for check in answer.result.checks
    ]
    notes = [f"{answer.drill}: {found.message}" for answer in learner.answers for found in answer.result.diagnosis]
    notes += [f"{a.drill}: {a.result.problem}" for a in learner.answers if a.result.problem]
    told = {"score": learner.total, "output": "\n".join([*notes, *learner.unused]), "tests": tests}
    return json.dumps({**told, "extra_data": {"seed": summary.seed}}, ensure_ascii=False, indent=1) + "\n"


def class_page(name: str, summary: Summary, pages: dict[str, str]) -> str:
    """The report for the instructor."""
    return (
        _templates()
        .get_template("class.html")
        .render(
            name=name,
            summary=summary,
            pages=pages,
            glyph=GLYPHS,
            most=max([*summary.distribution, 1]),
            by_drill={each.name: {a.drill: a for a in each.answers} for each in summary.learners},
            same=list(_same(summary)),
        )
    )


def _same(summary: Summary) -> Iterator[tuple[str, list[str]]]:
    """Who handed in the very same text, by drill."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for answer in chain.from_iterable(learner.answers for learner in summary.learners):
        if answer.alike > 1:
            groups[answer.drill, answer.text].append(answer.learner)
    yield from ((drill, names) for (drill, _), names in sorted(groups.items()) if len(names) > 1)


def learner_page(learner: Learner, summary: Summary) -> str:
    """The page for one person: nothing of anybody else's is on it."""
    titles = {drill.drill: drill.title for drill in summary.drills}
    return (
        _templates()
        .get_template("learner.html")
        .render(
            learner=learner,
            titles=titles,
            drills=list(titles),
            handed_in={answer.drill for answer in learner.answers},
            glyph=GLYPHS,
        )
    )


def _templates() -> jinja2.Environment:
    import jinja2  # not for every command

    return jinja2.Environment(
        loader=jinja2.PackageLoader("grader.batch"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
