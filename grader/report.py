"""What `grader check` prints in a terminal: a line a check as it finishes, then what the learner needs to act on."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from itertools import groupby

import click

from drills.catalogue import BrokenDrill, Drill
from grader.results import Check, Diagnosis, Outcome, Result

IN_FULL = 2  # failures shown with all they have to say; the others are one line each above
OUTPUT_LINES = 12
MARKS: dict[Outcome, tuple[str, str]] = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "crashed": ("☠", "red"),
    "timeout": ("⧖", "red"),
    "forbidden": ("⊘", "red"),
    "not_run": ("·", "yellow"),
}


def width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, 100)


def check_line(check: Check) -> str:
    """One check as it finishes."""
    mark, colour = MARKS[check.outcome]
    word = "" if check.outcome in ("passed", "failed") else f"  {check.outcome.replace('_', ' ')}"
    line = f"{click.style(mark, fg=colour)} {check.title}{click.style(word, fg=colour)}"
    return f"{line}{click.style(f'  {check.duration_ms:.0f} ms', dim=True)}" if check.duration_ms >= 1 else line


def summary(drill: Drill, result: Result, filename: str) -> Iterator[str]:
    """Everything after the last check: verdict, reasons, likely mistake, question, what to do."""
    yield ""
    yield _verdict(drill, result)
    if result.verdict == "error":
        yield from _error(result)
        return
    if result.problem:
        yield ""
        yield from _block(result.problem)
    else:
        yield from _failures(result.failures)
    yield from _diagnoses(drill, result.diagnosis)
    yield from _output(result)
    yield from _advice(drill, result, filename)


def _verdict(drill: Drill, result: Result) -> str:
    total, failed = len(result.checks), len(result.failures)
    facts = f"{result.duration_ms / 1000:.2f} s, seed {result.seed}, isolation {result.isolation}"
    if result.verdict == "passed":
        text = click.style(f"{drill.slug}: passed, all {total} checks", fg="green", bold=True)
    elif result.verdict == "error":
        text = click.style(f"{drill.slug}: the grader could not judge", fg="yellow", bold=True)
    elif all(check.outcome == "not_run" for check in result.checks):
        text = click.style(f"{drill.slug}: failed, no check could run", fg="red", bold=True)
    else:
        text = click.style(f"{drill.slug}: failed, {failed} of {total} checks", fg="red", bold=True)
    return f"{text}  {click.style(f'({facts})', dim=True)}"


def _error(result: Result) -> Iterator[str]:
    yield from _block(result.problem)
    yield "This is the grader's fault, not yours. `grader doctor` looks for the cause; the verdict is not counted."


def _failures(failures: list[Check]) -> Iterator[str]:
    """The first failures in full; those that say the same are counted, not repeated."""
    shown: list[Check] = []
    for check in failures:
        if check.message not in {other.message for other in shown}:
            shown.append(check)
    for check in shown[:IN_FULL]:
        same = sum(other.message == check.message for other in failures) - 1
        yield ""
        yield click.style(f"{MARKS[check.outcome][0]} {check.title}", fg="red", bold=True)
        yield from _block(check.message)
        if check.hint and check.outcome == "failed" and len(shown) > 1 - same:
            yield from _block(f"Hint: {check.hint}", style="cyan")
        if same:
            yield from _block(f"{same} more check{'s end' if same > 1 else ' ends'} the same way.", style="dim")
    rest = len(shown) - IN_FULL
    if rest > 0:
        yield ""
        yield from _block(f"{rest} more to look at once this is mended (`--verbose` shows all).", style="dim")


def all_failures(result: Result) -> Iterator[str]:
    """Every failure in full."""
    for check in result.failures:
        yield ""
        yield click.style(f"{MARKS[check.outcome][0]} {check.title}", fg="red", bold=True)
        yield from _block(check.message)
        if check.hint:
            yield from _block(f"Hint: {check.hint}", style="cyan")


def _diagnoses(drill: Drill, diagnoses: list[Diagnosis]) -> Iterator[str]:
    questions = _questions(drill) if diagnoses else {}
    for found in diagnoses:
        yield ""
        yield click.style(f"Likely mistake: {found.mistake.replace('_', ' ')}", fg="yellow", bold=True)
        yield from _block(found.message)
        if found.question:
            title = questions.get(found.question, found.question)
            yield from _block(f"The question behind it: {title}")
            yield from _block(f"drills show {drill.slug} --question {found.question}", style="cyan")


def _questions(drill: Drill) -> dict[str, str]:
    try:
        return {question.id: question.title for question in drill.qa("en")}
    except BrokenDrill:
        return {}


def _output(result: Result) -> Iterator[str]:
    if not result.output.strip():
        return
    lines = [
        line if count == 1 else f"{line}  (×{count})"
        for line, count in ((line, len(list(same))) for line, same in groupby(result.output.rstrip().splitlines()))
    ]
    yield ""
    yield click.style("Your code printed:", bold=True)
    for line in lines[:OUTPUT_LINES]:
        yield "  " + line[: width() - 2]
    if len(lines) > OUTPUT_LINES:
        yield click.style(f"  … {len(lines) - OUTPUT_LINES} more lines", dim=True)


def _advice(drill: Drill, result: Result, filename: str) -> Iterator[str]:
    yield ""
    if result.solution:
        return
    if result.verdict == "passed":
        yield f"Now say it aloud: drills show {drill.slug}    Then go on: drills next"
    else:
        yield f"Next: edit {filename}, then: grader check {drill.slug}"
        yield f"Stuck? drills hint {drill.slug}"


def _block(text: str, style: str = "") -> Iterator[str]:
    """Indented text, long lines folded, columns kept."""
    for line in text.splitlines() or [""]:
        indent = len(line) - len(line.lstrip())
        folded = textwrap.wrap(
            line.strip(), max(20, width() - 2 - indent), break_long_words=False, break_on_hyphens=False
        )
        for part in folded or [""]:
            out = "  " + " " * indent + (part if len(folded) > 1 else line.strip())
            yield click.style(out, dim=True) if style == "dim" else click.style(out, fg=style or None)
