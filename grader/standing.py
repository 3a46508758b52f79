"""How much of the course is held: what is due, what the scheduler predicts, and which share is mastered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from grader.review import retrievability

if TYPE_CHECKING:
    from drills.catalogue import Catalogue, Drill
    from grader.progress import DrillState, QuestionCard

HELD = 0.9  # a question that is recalled with this probability is mastered; it is what the scheduler aims at

QuestionCards = Mapping[tuple[str, str], "QuestionCard"]


@dataclass(frozen=True)
class DueQuestion:
    """A question that is to be answered again."""

    drill: str
    question: str
    due_at: datetime


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    mastered: int
    total: int


@dataclass(frozen=True)
class Mastery:
    """Of one group of the course. A drill is mastered that was passed without the solution, and is not due."""

    group: str
    title: str
    title_zh: str
    drills: Share
    questions: Share


@dataclass(frozen=True)
class Standing:
    """Of drills and questions that are in the catalogue. Retention: the mean of the predictions, None without any."""

    due_drills: tuple[str, ...]  # longest due first
    due_questions: tuple[DueQuestion, ...]  # longest due first
    drill_retention: float | None
    question_retention: float | None
    groups: tuple[Mastery, ...]


def due_drills(catalogue: Catalogue, states: Mapping[str, DrillState], now: datetime) -> tuple[str, ...]:
    """The drills to practise again, longest due first."""
    due = [drill.slug for drill in catalogue.drills if drill.slug in states and states[drill.slug].state == "due"]
    return tuple(sorted(due, key=lambda slug: states[slug].due_at or now))


def due_questions(drills: Iterable[Drill], cards: QuestionCards, now: datetime) -> tuple[DueQuestion, ...]:
    """The questions of these drills to answer again, longest due first."""
    found = [
        DueQuestion(drill.slug, question, cards[drill.slug, question].due_at)
        for drill in drills
        for question in drill.questions
        if (drill.slug, question) in cards and cards[drill.slug, question].due_at <= now
    ]
    return tuple(sorted(found, key=lambda each: each.due_at))


def standing(
    catalogue: Catalogue,
    states: Mapping[str, DrillState],
    drill_cards: Mapping[str, str],
    question_cards: QuestionCards,
    now: datetime,
) -> Standing:
    """All of it, as of now."""
    drills = {drill.slug: drill for drill in catalogue.drills}
    recalled = {
        (slug, question): retrievability(known.card, now)
        for (slug, question), known in question_cards.items()
        if slug in drills and question in drills[slug].questions
    }
    return Standing(
        due_drills=due_drills(catalogue, states, now),
        due_questions=due_questions(catalogue.drills, question_cards, now),
        drill_retention=_mean(retrievability(card, now) for slug, card in drill_cards.items() if slug in drills),
        question_retention=_mean(recalled.values()),
        groups=tuple(
            Mastery(
                group=group.id,
                title=group.title,
                title_zh=group.title_zh,
                drills=Share(
                    sum(slug in states and states[slug].state == "passed" for slug in group.drills),
                    len(group.drills),
                ),
                questions=Share(
                    sum(
                        recalled.get((slug, question), 0.0) >= HELD
                        for slug in group.drills
                        for question in drills[slug].questions
                    ),
                    sum(len(drills[slug].questions) for slug in group.drills),
                ),
            )
            for group in catalogue.groups
        ),
    )


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None
