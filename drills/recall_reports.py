"""What is due, how much is held, and how attempts went: as text for people and as objects for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from drills.display import pad, width
from drills.reports import SCHEMA

if TYPE_CHECKING:
    from drills.catalogue import Drill
    from grader.progress import Attempt, DrillState
    from grader.quiz import Asked, Quiz
    from grader.session import Session
    from grader.standing import Standing
    from grader.stats import Stats

Object = dict[str, Any]


def read_standing(session: Session) -> tuple[dict[str, DrillState], Stats, Standing]:
    """The states, the totals and the standing, all as of now; with a warning, those of a beginner."""
    from grader.standing import standing
    from grader.stats import Stats

    now = datetime.now(UTC)
    states, stats, drill_cards, question_cards = session.read(
        lambda progress: (progress.states(now), progress.stats(), progress.drill_cards(), progress.question_cards()),
        ({}, Stats(), {}, {}),
    )
    return states, stats, standing(session.catalogue, states, drill_cards, question_cards, now)


def standing_object(found: Standing) -> Object:
    """Part of `drills next --json` and `drills stats --json`."""
    return {
        "due": {
            "drills": list(found.due_drills),
            "questions": [
                {"drill": each.drill, "question": each.question, "due_at": each.due_at.isoformat()}
                for each in found.due_questions
            ],
        },
        "retention": {"drills": found.drill_retention, "questions": found.question_retention},
        "mastery": [asdict(group) for group in found.groups],
    }


def due_line(found: Standing) -> str:
    """What is due, in a few words."""
    return f"{_count(len(found.due_drills), 'drill')}, {_count(len(found.due_questions), 'question')}"


def retention_line(found: Standing) -> str:
    """What the scheduler predicts, in a few words; empty where it has nothing to go by."""
    known = {"drills": found.drill_retention, "questions": found.question_retention}
    return ", ".join(f"{name} {share:.0%}" for name, share in known.items() if share is not None)


def next_lines(found: Standing) -> Iterator[str]:
    """What `drills next` adds to its proposal."""
    if found.due_drills or found.due_questions:
        yield f"Due: {due_line(found)}"
    if found.due_questions:
        yield "Questions: drills quiz"
    if retention := retention_line(found):
        yield f"Predicted to be recalled now: {retention}"
    if mastered := [group for group in found.groups if group.drills.mastered or group.questions.mastered]:
        yield "Mastered: " + "; ".join(
            f"{group.title} {group.drills.mastered}/{group.drills.total}, "
            f"questions {group.questions.mastered}/{group.questions.total}"
            for group in mastered
        )


def standing_lines(found: Standing) -> Iterator[str]:
    """What `drills stats` adds, once there is anything to tell."""
    retention = retention_line(found)
    if not retention:
        return
    yield f"Due now            {due_line(found)}"
    yield f"Recalled now       {retention}, as predicted"
    yield ""
    columns = max((width(group.title) for group in found.groups), default=0)
    yield click.style(f"  {pad('Mastered', columns)}  Drills    Questions", bold=True)
    for group in found.groups:
        drills = f"{group.drills.mastered} of {group.drills.total}"
        yield (
            f"  {pad(group.title, columns)}  {pad(drills, 8)}  {group.questions.mastered} of {group.questions.total}"
        )


def fresh_start(session: Session, drill: Drill, states: Mapping[str, DrillState]) -> str:
    """The command that puts the stub of a due drill back, where there is anything but the stub; else nothing."""
    if drill.slug not in states or states[drill.slug].state != "due":
        return ""
    return f"drills reset {drill.slug}" if session.workspace.differs(drill) else ""


def attempt_object(number: int, attempt: Attempt) -> Object:
    """One attempt of `drills history --json`."""
    checks = attempt.result.get("checks", [])
    return {
        "number": number,
        "at": attempt.at.isoformat(),
        "verdict": attempt.verdict,
        "checks_passed": sum(check["outcome"] == "passed" for check in checks),
        "checks_total": len(checks),
        "hints": attempt.hints_used,
        "seed": attempt.seed,
        "duration_ms": attempt.duration_ms,
        "failed_checks": list(attempt.failed_checks),
        "mistakes": list(attempt.mistakes),
    }


def history_lines(attempts: Sequence[Object]) -> Iterator[str]:
    """A line an attempt, the oldest first."""
    yield click.style(f"{'':>4}  {'when':16}  {'verdict':7}  {'checks':>7}  hints", bold=True)
    for each in attempts:
        at = datetime.fromisoformat(each["at"]).astimezone()
        checks = f"{each['checks_passed']}/{each['checks_total']}"
        colour = {"passed": "green", "failed": "red"}.get(each["verdict"])
        verdict = click.style(f"{each['verdict']:7}", fg=colour)
        yield f"{each['number']:>4}  {at:%Y-%m-%d %H:%M}  {verdict}  {checks:>7}  {each['hints']:>5}"


def source_text(source: bytes) -> str:
    """A source for the screen: what is not UTF-8 is replaced."""
    return source.decode(errors="replace")


def diff_lines(before: str, after: str, names: tuple[str, str]) -> list[str]:
    """The change from one source to another, as `diff -u` tells it."""
    import difflib

    lines = (text.splitlines() for text in (before, after))
    return list(difflib.unified_diff(*lines, *names, lineterm=""))


def styled_diff(lines: Sequence[str]) -> Iterator[str]:
    """A diff in colours, for a terminal."""
    for line in lines:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        yield click.style(line, fg=colour, bold=line.startswith(("+++", "---")))


def quiz_object(found: Quiz, lang: str) -> Object:
    """`drills quiz --json`."""
    return {
        "schema": SCHEMA,
        "lang": lang,
        "due": found.due,
        "new": found.new,
        "next_due_at": found.next_due_at.isoformat() if found.next_due_at else None,
        "questions": [_asked_object(each) for each in found.asked],
    }


def _asked_object(asked: Asked) -> Object:
    return {
        "drill": asked.drill.slug,
        "id": asked.question.id,
        "title": asked.question.title,
        "due_at": asked.due_at.isoformat() if asked.due_at else None,
        "answer": asked.question.answer,
        "key_points": list(asked.question.key_points),
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
