"""What the `drills` commands show, each as text for people and as an object for programs (`--json`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from drills.display import MARKS, WIDTH, cut, pad, width
from grader.progress import DrillState
from grader.session import Session

if TYPE_CHECKING:
    from drills.catalogue import Drill, Problem, Question
    from grader.stats import Stats, Weakness

SCHEMA = 1

Object = dict[str, Any]


def drill_object(drill: Drill, state: DrillState) -> Object:
    """A drill and the learner's state in it."""
    return {
        "slug": drill.slug,
        "pack": drill.pack,
        "group": drill.group,
        "title": drill.title,
        "title_zh": drill.title_zh,
        "summary": drill.summary,
        "summary_zh": drill.summary_zh,
        "difficulty": drill.difficulty,
        "prerequisites": list(drill.prerequisites),
        "questions": list(drill.questions),
        "state": state.state,
        "attempts": state.attempts,
        "last_verdict": state.last_verdict,
        "passed_at": _iso(state.passed_at),
        "due_at": _iso(state.due_at),
        "hints": state.hints,
    }


def course_object(session: Session, states: Mapping[str, DrillState]) -> Object:
    """`drills list --json`."""
    drills = {drill.slug: drill_object(drill, _of(states, drill)) for drill in session.catalogue.drills}
    return {
        "schema": SCHEMA,
        "workspace": str(session.workspace.root) if session.workspace.exists else None,
        "groups": [
            {**asdict(group), "drills": [drills[slug] for slug in group.drills]} for group in session.catalogue.groups
        ],
        "broken": [
            {
                "drill": slug,
                "problems": [{**asdict(problem), "file": str(problem.file)} for problem in problems],
            }
            for slug, problems in session.catalogue.broken.items()
        ],
    }


def course_lines(session: Session, states: Mapping[str, DrillState], lang: str) -> Iterator[str]:
    """`drills list`: a line a drill under its group, then what is broken."""
    catalogue = session.catalogue
    drills = {drill.slug: drill for drill in catalogue.drills}
    slug_columns = max((width(slug) for slug in drills), default=0)
    for group in catalogue.groups:
        yield click.style(group.title_zh if lang == "zh" else group.title, bold=True)
        for slug in group.drills:
            yield _course_line(drills[slug], _of(states, drills[slug]), slug_columns, lang)
        yield ""
    passed = sum(_of(states, drill).state in ("passed", "due", "seen") for drill in catalogue.drills)
    yield f"{passed} of {len(drills)} passed."
    yield from _broken_lines(catalogue.broken)


def _course_line(drill: Drill, state: DrillState, slug_columns: int, lang: str) -> str:
    mark = MARKS[state.state]
    title_columns = max(10, WIDTH - slug_columns - len("  x   5/5    passed"))
    title = cut(drill.title_zh if lang == "zh" else drill.title, title_columns)
    columns = f"{pad(drill.slug, slug_columns)}  {drill.difficulty}/5  {pad(title, title_columns)}"
    return f"  {click.style(mark.glyph, fg=mark.colour)} {columns} {click.style(state.state, fg=mark.colour)}"


def _broken_lines(broken: Mapping[str, Sequence[Problem]]) -> Iterator[str]:
    if broken:
        yield ""
        yield click.style("Broken, and left out:", fg="red")
    for slug, problems in broken.items():
        yield f"  ✗ {slug}"
        for problem in problems:
            yield f"      {problem}"


def drill_markdown(drill: Drill, state: DrillState, task: str, questions: Sequence[Question], lang: str) -> str:
    """`drills show`: the task, then the questions with their answers."""
    title, summary = (drill.title_zh, drill.summary_zh) if lang == "zh" else (drill.title, drill.summary)
    facts = [f"`{drill.slug}`", f"difficulty {drill.difficulty}/5", state.state]
    if drill.prerequisites:
        facts.append("after " + ", ".join(f"`{slug}`" for slug in drill.prerequisites))
    parts = [f"# {title}", summary, " · ".join(facts), task, *map(question_markdown, questions)]
    return "\n\n".join(parts)


def question_markdown(question: Question) -> str:
    """One question with its answer."""
    return f"## {question.title}\n\n(`{question.id}`)\n\n{question.text}"


def show_object(drill: Drill, state: DrillState, task: str, questions: Sequence[Question], lang: str) -> Object:
    """`drills show --json`."""
    return {
        "schema": SCHEMA,
        "drill": drill_object(drill, state),
        "references": [asdict(reference) for reference in drill.references],
        "forbidden": list(drill.forbidden),
        "task": task,
        "lang": lang,
        "questions": [asdict(question) for question in questions],
    }


def stats_object(stats: Stats) -> Object:
    """`drills stats --json`."""
    return {"schema": SCHEMA, **asdict(stats), "pass_rate": stats.pass_rate}


def stats_lines(stats: Stats, drills: int, now: datetime) -> Iterator[str]:
    """`drills stats`."""
    if not stats.attempts:
        yield "No attempt yet. `drills start` opens the first drill."
        return
    at_once = stats.first_try_passes
    yield f"Drills passed      {stats.drills_passed} of {drills}, {at_once} at the first attempt"
    yield f"Attempts           {stats.attempts}, {stats.pass_rate:.0%} passed"
    yield f"Days in a row      {stats.streak_days}"
    week = [now.date() - timedelta(6 - day) for day in range(7)]
    counts = "  ".join(f"{day:%a} {stats.days.get(day.isoformat(), 0)}" for day in week)
    yield f"Attempts this week {counts}"
    yield from _weak_lines("Checks that failed most", stats.weakest_checks)
    yield from _weak_lines("Mistakes diagnosed most", stats.mistakes)


def _weak_lines(title: str, weak: Sequence[Weakness]) -> Iterator[str]:
    if weak:
        yield ""
        yield click.style(title, bold=True)
    columns = max((width(spot.slug) for spot in weak), default=0)
    for spot in weak:
        yield f"  {spot.count:>3}  {pad(spot.slug, columns)}  {cut(spot.name, WIDTH - columns - 9)}"


def _of(states: Mapping[str, DrillState], drill: Drill) -> DrillState:
    return states.get(drill.slug) or DrillState()


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
