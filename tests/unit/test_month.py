"""A month of practice by the calendar. What is due each day is what the fsrs library says, asked without our code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsrs
import pytest
from tiny_pack import make_drill

from drills.catalogue import Catalogue
from grader.progress import Progress
from grader.quiz import choose
from grader.standing import standing

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Do = Callable[[Progress, datetime], object]


def graded(slug: str, verdict: str) -> Do:
    told: dict[str, Any] = {"verdict": verdict, "seed": 1, "checks": [], "diagnosis": []}
    return lambda progress, at: progress.record_attempt(slug, told, b"", at)


def passes(slug: str) -> Do:
    return graded(slug, "passed")


def fails(slug: str) -> Do:
    return graded(slug, "failed")


def hint(slug: str, shown: int) -> Do:
    return lambda progress, at: progress.record_hint(slug, shown)


def looks(slug: str) -> Do:
    return lambda progress, at: progress.record_solution_seen(slug, at)


def answers(slug: str, question: str, rating: str) -> Do:
    return lambda progress, at: progress.record_answer(slug, question, rating, at=at)  # type: ignore[arg-type]


# (day, what is done in that order an hour apart, the reviews which that is: of what, rated how; as the rules say)
SCRIPT: list[tuple[int, list[Do], dict[str, str]]] = [
    (0, [fails("toy_a"), passes("toy_a")], {"toy_a": "Good"}),  # after a fail
    (0, [answers("toy_a", "why-add", "easy")], {"toy_a/why-add": "Easy"}),
    (0, [answers("toy_a", "what-sum", "again")], {"toy_a/what-sum": "Again"}),
    (1, [answers("toy_a", "what-sum", "good")], {"toy_a/what-sum": "Good"}),
    (1, [passes("toy_a")], {}),  # ahead of time
    (2, [passes("toy_b")], {"toy_b": "Easy"}),
    (3, [passes("toy_a")], {"toy_a": "Easy"}),  # due since day 2
    (4, [hint("toy_c", 1), hint("toy_c", 2), fails("toy_c")], {}),
    (5, [passes("toy_c")], {"toy_c": "Hard"}),  # two hints
    (6, [looks("toy_c")], {}),  # due again, and looked up
    (7, [passes("toy_c")], {"toy_c": "Again"}),
    (7, [answers("toy_b", "why-add", "hard")], {"toy_b/why-add": "Hard"}),
    (8, [passes("toy_c")], {"toy_c": "Easy"}),
    (9, [answers("toy_b", "why-add", "good")], {"toy_b/why-add": "Good"}),
    (13, [fails("toy_b")], {"toy_b": "Again"}),  # failed when due
    (14, [fails("toy_b"), hint("toy_b", 1)], {}),  # it stays due
    (16, [passes("toy_b")], {}),  # rated already, as the fail
    (16, [answers("toy_a", "why-add", "again")], {"toy_a/why-add": "Again"}),
    (20, [answers("toy_a", "why-add", "easy")], {"toy_a/why-add": "Easy"}),
    (22, [hint("toy_b", 1), passes("toy_b")], {"toy_b": "Good"}),  # one hint
    (27, [passes("toy_c")], {"toy_c": "Easy"}),
    (29, [answers("toy_a", "what-sum", "easy")], {"toy_a/what-sum": "Easy"}),
]


class Library:
    """The library's own scheduler, driven by the ratings of the script."""

    def __init__(self) -> None:
        self.scheduler = fsrs.Scheduler(enable_fuzzing=False, learning_steps=(), relearning_steps=())
        self.cards: dict[str, fsrs.Card] = {}
        self.lapsed: set[str] = set()

    def review(self, name: str, rating: str, at: datetime) -> None:
        card = self.cards.get(name) or fsrs.Card(card_id=0)
        self.cards[name], _ = self.scheduler.review_card(card, fsrs.Rating[rating], at)

    def due(self, now: datetime, *, questions: bool) -> set[str]:
        return {
            name
            for name, card in self.cards.items()
            if ("/" in name) == questions and (card.due <= now or name in self.lapsed)
        }

    def recalled(self, now: datetime, *, questions: bool) -> dict[str, float]:
        known = {name: card for name, card in self.cards.items() if ("/" in name) == questions}
        return {name: self.scheduler.get_card_retrievability(card, now) for name, card in known.items()}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    for slug in ("toy_a", "toy_b", "toy_c"):
        make_drill(tmp_path / "toys", slug)
    return Catalogue.load([tmp_path / "toys"])


def test_a_month(tmp_path: Path, catalogue: Catalogue) -> None:
    library = Library()
    ever_due = 0
    with Progress(tmp_path / "progress.db") as progress:
        for day in range(31):
            now = START + day * DAY
            for on, actions, reviews in SCRIPT:
                if on != day:
                    continue
                for action in actions:
                    now += HOUR
                    action(progress, now)
                for name, rating in reviews.items():
                    library.review(name, rating, now)
                if day == 13:
                    library.lapsed.add("toy_b")
                if day == 16:
                    library.lapsed.discard("toy_b")
            evening = START + day * DAY + 14 * HOUR
            ever_due += compare(progress, catalogue, library, evening)
    assert ever_due > 20  # or nothing was compared


def compare(progress: Progress, catalogue: Catalogue, library: Library, now: datetime) -> int:
    states, cards = progress.states(now), progress.question_cards()
    drills = library.due(now, questions=False)
    questions = library.due(now, questions=True)
    assert {slug for slug, known in states.items() if known.state == "due"} == drills
    assert {slug: known.due_at for slug, known in states.items() if known.due_at} == {
        name: card.due for name, card in library.cards.items() if "/" not in name
    }
    found = standing(catalogue, states, progress.drill_cards(), cards, now)
    assert set(found.due_drills) == drills
    assert [f"{each.drill}/{each.question}" for each in found.due_questions] == sorted(
        questions, key=lambda name: library.cards[name].due
    )
    toys = [drill for drill in catalogue.drills if drill.pack == "toys"]
    asked = choose(toys, cards, now, "en").asked
    assert {f"{each.drill.slug}/{each.question.id}" for each in asked if each.due_at} == questions
    assert {f"{each.drill.slug}/{each.question.id}" for each in asked if not each.due_at} == {
        f"{drill.slug}/{question}" for drill in toys for question in drill.questions
    } - set(library.cards)
    compare_shares(found, library, now)
    return len(drills) + len(questions)


def compare_shares(found: Any, library: Library, now: datetime) -> None:
    drills, questions = library.recalled(now, questions=False), library.recalled(now, questions=True)
    assert found.drill_retention == pytest.approx(sum(drills.values()) / len(drills))
    assert found.question_retention == pytest.approx(sum(questions.values()) / len(questions))
    (toys,) = [group for group in found.groups if group.group == "toys"]
    assert (toys.questions.mastered, toys.questions.total) == (sum(r >= 0.9 for r in questions.values()), 6)
    assert toys.drills.total == 3
