"""When a drill or a question is to be practised again, by the FSRS scheduler, and what to practise next.

A review of a drill is the first pass of a drill, or an attempt at a drill that is due. Its rating says how it went:

- Again: a fail of a drill that is due; a pass after a look at the solution
- Hard: a pass with two or more hints
- Good: a pass with one hint, or after failed attempts
- Easy: a pass at the first attempt without a hint

Every answer to a question is a review. Learners rate it themselves; what is suggested to them follows from the share of
the key points that they named:

- Again: less than a third
- Hard: a third or more
- Good: two thirds or more; also where a question has no key points
- Easy: all

A drill takes half an hour, so the scheduler's steps of minutes are left out: the shortest interval is a day.
Its random fuzz is off, so the same history gives the same dates.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import fsrs

    from drills.catalogue import Catalogue, Drill
    from grader.progress import DrillState

Rating = Literal["again", "hard", "good", "easy"]
RATINGS: tuple[Rating, ...] = get_args(Rating)  # from the worst to the best
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # a clock beyond it would leave no room for an interval


def rate(*, passed: bool, fails: int, hints: int, solution_seen: bool) -> Rating:
    """The rating of a review. `fails` and `hints` count since the review before."""
    if not passed or solution_seen:
        return "again"
    if hints >= 2:
        return "hard"
    return "good" if hints or fails else "easy"


def suggest(named: int, points: int) -> Rating:
    """The rating to suggest for an answer that named so many of a question's key points."""
    if not points:
        return "good"
    if named >= points:
        return "easy"
    if 3 * named >= 2 * points:
        return "good"
    return "hard" if 3 * named >= points else "again"


def _scheduler() -> fsrs.Scheduler:
    import fsrs

    return fsrs.Scheduler(enable_fuzzing=False, learning_steps=(), relearning_steps=())


def schedule(card: str | None, rating: Rating, at: datetime) -> tuple[str, datetime]:
    """The card (JSON) after a review at `at`, and when the next is due. No card: the first review.

    A review that seems to come before the last one, because the clock was set back, counts as of the last one.
    """
    import fsrs

    moment = min(at.astimezone(UTC), _LATEST)
    before = fsrs.Card(card_id=0, due=moment) if card is None else fsrs.Card.from_json(card)
    if before.last_review is not None:
        moment = max(moment, before.last_review)
    after, _ = _scheduler().review_card(before, fsrs.Rating[rating.capitalize()], moment)
    return after.to_json(), after.due


def retrievability(card: str, now: datetime) -> float:
    """How likely it is, by the scheduler's prediction, that what the card stands for is recalled now: 0 to 1."""
    import fsrs

    return _scheduler().get_card_retrievability(fsrs.Card.from_json(card), now.astimezone(UTC))


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
