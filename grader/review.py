"""When a drill is to be practised again, by the FSRS scheduler, and what to practise next.

A review is the first pass of a drill, or an attempt at a drill that is due. Its rating says how it went:

- Again: a fail of a drill that is due; a pass after a look at the solution
- Hard: a pass with two or more hints
- Good: a pass with one hint, or after failed attempts
- Easy: a pass at the first attempt without a hint

A drill takes half an hour, so the scheduler's steps of minutes are left out: the shortest interval is a day.
Its random fuzz is off, so the same history gives the same dates.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from drills.catalogue import Catalogue, Drill
    from grader.progress import DrillState

Rating = Literal["again", "hard", "good", "easy"]


def rate(*, passed: bool, fails: int, hints: int, solution_seen: bool) -> Rating:
    """The rating of a review. `fails` and `hints` count since the review before."""
    if not passed or solution_seen:
        return "again"
    if hints >= 2:
        return "hard"
    return "good" if hints or fails else "easy"


def schedule(card: str | None, rating: Rating, at: datetime) -> tuple[str, datetime]:
    """The card (JSON) after a review at `at`, and when the drill is due next. No card: the first review."""
    import fsrs

    scheduler = fsrs.Scheduler(enable_fuzzing=False, learning_steps=(), relearning_steps=())
    moment = at.astimezone(UTC)
    before = fsrs.Card(card_id=0, due=moment) if card is None else fsrs.Card.from_json(card)
    after, _ = scheduler.review_card(before, fsrs.Rating[rating.capitalize()], moment)
    return after.to_json(), after.due


def next_drill(
    catalogue: Catalogue, states: Mapping[str, DrillState], now: datetime | None = None
) -> tuple[Drill, str] | None:
    """What is best practised next, and why. None only where there are no drills.

    What is due comes first, longest due before the others; then what was tried and not passed; then what is
    new and has its prerequisites passed, in the order of the course; with all passed, what is due soonest.
    """
    return (
        _due(catalogue, states, now or datetime.now(UTC))
        or _tried(catalogue, states)
        or _new(catalogue, states)
        or _soonest(catalogue, states)
    )


def _state_of(states: Mapping[str, DrillState], slug: str) -> str:
    return states[slug].state if slug in states else "new"


def _due(catalogue: Catalogue, states: Mapping[str, DrillState], now: datetime) -> tuple[Drill, str] | None:
    due = [drill for drill in catalogue.drills if _state_of(states, drill.slug) == "due"]
    if not due:
        return None
    drill = min(due, key=lambda drill: states[drill.slug].due_at or now)
    if states[drill.slug].last_verdict == "failed":
        return drill, "failed when it was due again"
    days = (now - (states[drill.slug].due_at or now)).days
    return drill, f"due for {days} day{'s' if days > 1 else ''}" if days else "due today"


def _tried(catalogue: Catalogue, states: Mapping[str, DrillState]) -> tuple[Drill, str] | None:
    for drill in catalogue.drills:
        if _state_of(states, drill.slug) == "tried":
            return drill, "tried, not passed yet"
    return None


def _new(catalogue: Catalogue, states: Mapping[str, DrillState]) -> tuple[Drill, str] | None:
    new = [drill for drill in catalogue.drills if _state_of(states, drill.slug) == "new"]
    present = {drill.slug for drill in catalogue.drills}  # a broken prerequisite must not bar the way
    for drill in new:
        needed = present.intersection(drill.prerequisites)
        if all(_state_of(states, slug) not in ("new", "tried") for slug in needed):
            return drill, "new, its prerequisites passed" if needed else "new"
    return None


def _soonest(catalogue: Catalogue, states: Mapping[str, DrillState]) -> tuple[Drill, str] | None:
    dated = [(states[drill.slug].due_at, drill) for drill in catalogue.drills if drill.slug in states]
    passed = [(due_at, drill) for due_at, drill in dated if due_at is not None]
    if not passed:
        return None
    due_at, drill = min(passed, key=lambda pair: pair[0])
    return drill, f"all passed; this one is due first, on {due_at.astimezone():%Y-%m-%d}"
