"""What came out of a check, in words."""

from __future__ import annotations

from textual.content import Content

from grader.results import Diagnosis, Result
from tui.runs import Run

Parts = list[str | tuple[str, str]]


def progress_line(run: Run) -> tuple[str, str]:
    """How far a run has come, and in which style."""
    if run.cancelled:
        return "Cancelled: nothing was recorded", "$text-muted"
    if not run.titles:
        return "Starting the check…", "$text-primary"
    failed = sum(check.outcome != "passed" for check in run.checks.values())
    so_far = f", {failed} failed" if failed else ""
    return f"Checking… {len(run.checks)} of {len(run.titles)}{so_far}", "$text-primary"


def verdict_line(result: Result) -> tuple[str, str]:
    """The verdict, and its style."""
    total, failed = len(result.checks), len(result.failures)
    if result.verdict == "passed":
        return f"✓ Passed: all {total} checks", "bold $text-success"
    if result.verdict == "error":
        return "! The grader could not judge", "bold $text-warning"
    if all(check.outcome == "not_run" for check in result.checks):
        return "✗ Failed: no check could run", "bold $text-error"
    return f"✗ Failed: {failed} of {total} checks", "bold $text-error"


def verdict(result: Result, file: str, following: str) -> Content:
    """The verdict with its facts, and what to do. `following`: the drill to go on with."""
    facts = f"{result.duration_ms / 1000:.2f} s · seed {result.seed} · isolation {result.isolation}"
    parts: Parts = [verdict_line(result), "\n", (facts, "$text-muted"), "\n\n"]
    return Content.assemble(*parts, *_advice(result, file, following))


def _advice(result: Result, file: str, following: str) -> Parts:
    if result.verdict == "error":
        return [
            "This is the grader's fault, not yours, and is not counted. ",
            "Press ",
            _key("g"),
            " to try again; `grader doctor` looks for the cause.",
        ]
    if result.verdict == "passed":
        parts: Parts = ["Now say it aloud: ", _key("2"), " has the questions."]
        return [*parts, " Then go on: ", _key("n"), f" opens {following}."] if following else parts
    return [_key("e"), f" edits {file}; saving checks again. Stuck? ", _key("h"), " gives a hint."]


def diagnosis(found: Diagnosis, question: str) -> Content:
    """A likely mistake, and the question behind it."""
    parts: Parts = [
        ("Likely mistake  ", "bold $text-warning"),
        (found.mistake.replace("_", " "), "bold"),
        f"\n{found.message}",
    ]
    if question:
        parts += ["\nThe question behind it: ", (question, "italic"), "  ", _key("a"), " opens it"]
    return Content.assemble(*parts)


def output(text: str) -> Content:
    """What the learner's code printed: plain text, whatever it holds."""
    return Content.assemble(("Your code printed\n", "bold"), Content(text.rstrip()))


def _key(name: str) -> tuple[str, str]:
    return name, "bold $text-accent"
