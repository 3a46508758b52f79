"""Which questions to ask: those that are due, longest due first, then new ones in the order of the course."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from drills.catalogue import BrokenDrill
from grader.standing import QuestionCards, due_questions

if TYPE_CHECKING:
    from drills.catalogue import Drill, Question

USUAL_COUNT = 10  # questions at one sitting


@dataclass(frozen=True)
class Asked:
    """A question to ask; one without a date is new."""

    drill: Drill
    question: Question
    due_at: datetime | None


@dataclass
class Quiz:
    """What there is to ask, and how much of it is not asked this time."""

    asked: list[Asked] = field(default_factory=list)
    due: int = 0
    new: int = 0
    next_due_at: datetime | None = None  # of the questions that are neither


def choose(
    drills: Sequence[Drill],
    cards: QuestionCards,
    now: datetime,
    lang: str,
    count: int | None = None,
    on_broken: Callable[[str], None] = lambda _: None,
) -> Quiz:
    """A quiz of up to `count` questions. on_broken: told of a drill whose questions cannot be read."""
    texts = _texts(drills, lang, on_broken)
    due = [
        Asked(*texts[each.drill, each.question], each.due_at)
        for each in due_questions(drills, cards, now)
        if (each.drill, each.question) in texts
    ]
    new = [Asked(*text, None) for key, text in texts.items() if key not in cards]
    later = [cards[key].due_at for key in texts if key in cards and cards[key].due_at > now]
    return Quiz((due + new)[:count], len(due), len(new), min(later, default=None))


def _texts(
    drills: Sequence[Drill], lang: str, on_broken: Callable[[str], None]
) -> dict[tuple[str, str], tuple[Drill, Question]]:
    texts = {}
    for drill in drills:
        try:
            questions = drill.qa(lang)
        except BrokenDrill as error:
            on_broken(str(error))
            continue
        texts.update({(drill.slug, question.id): (drill, question) for question in questions if question.id})
    return texts
