"""Answers to questions as reviews, what is held of the course, and clocks that go wrong."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsrs
import pytest

from drills.catalogue import Catalogue
from drills.questions import parse_questions
from drills.quizzing import read_points
from grader.progress import Progress
from grader.quiz import choose
from grader.review import Rating, retrievability, schedule, suggest
from grader.standing import standing

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)

QA = """\
## Why? {#why}

Sources: notes-1

### Answer
Because.

```
### Key points
- code, and no point
```

### Key points
- the first,
  which goes on
- the second: **bold**
* the third
1. the fourth

### Follow-ups
- **And then?** Nothing.

## Bare? {#bare}
Only a text.
"""


@pytest.fixture
def progress(tmp_path: Path) -> Iterator[Progress]:
    with Progress(tmp_path / "progress.db") as opened:
        yield opened


def result(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "seed": 1, "checks": [], "diagnosis": []}


def due(progress: Progress, slug: str = "scaling") -> datetime | None:
    return progress.states(START)[slug].due_at


def library(*reviews: tuple[str, datetime]) -> fsrs.Card:
    scheduler = fsrs.Scheduler(enable_fuzzing=False, learning_steps=(), relearning_steps=())
    card = fsrs.Card(card_id=0)
    for rating, at in reviews:
        card, _ = scheduler.review_card(card, fsrs.Rating[rating], at)
    return card


# Questions.


def test_parts_of_an_answer() -> None:
    why, bare = parse_questions(QA)
    assert why.answer.startswith("Because.")
    assert "code, and no point" in why.answer
    assert why.key_points == ("the first, which goes on", "the second: **bold**", "the third", "the fourth")
    assert why.beyond == "### Follow-ups\n- **And then?** Nothing."
    assert (bare.answer, bare.key_points, bare.beyond) == ("Only a text.", (), "")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_question_of_the_course_has_an_answer_and_key_points(lang: str) -> None:
    for drill in Catalogue.load().drills:
        for question in drill.qa(lang):
            assert 2 <= len(question.key_points) <= 9, (drill.slug, question.id)  # 9: keys of the app
            assert "###" not in question.answer, (drill.slug, question.id)


def test_key_points_are_as_many_in_both_languages() -> None:
    """The points that were named are kept by number."""
    for drill in Catalogue.load().drills:
        english, chinese = ([len(question.key_points) for question in drill.qa(lang)] for lang in ("en", "zh"))
        assert english == chinese, drill.slug


@pytest.mark.parametrize(
    ("named", "points", "rating"),
    [
        (0, 0, "good"),
        (0, 4, "again"),
        (1, 4, "again"),
        (2, 4, "hard"),
        (3, 4, "good"),
        (4, 4, "easy"),
        (1, 3, "hard"),
        (2, 3, "good"),
        (3, 5, "hard"),
        (4, 5, "good"),
        (1, 1, "easy"),
    ],
)
def test_the_suggested_rating(named: int, points: int, rating: Rating) -> None:
    assert suggest(named, points) == rating


@pytest.mark.parametrize(
    ("text", "points"),
    [("", ()), ("1 3", (1, 3)), ("3,1，1", (1, 3)), ("2-4", (2, 3, 4)), (" ALL ", (1, 2, 3, 4, 5)), ("5", (5,))],
)
def test_points_as_they_are_typed(text: str, points: tuple[int, ...]) -> None:
    assert read_points(text, 5) == points


@pytest.mark.parametrize("text", ["0", "6", "4-2", "x", "1 x", "-1", "1-", "٣", "9" * 100])
def test_points_that_there_are_not(text: str) -> None:
    import click

    with pytest.raises(click.BadParameter):
        read_points(text, 5)


def test_an_answer_is_kept_whole(progress: Progress) -> None:
    progress.record_answer(
        "scaling", "q1", "good", points=(3, 1, 3), points_total=4, lang="zh", text="汉\ud800", at=START
    )
    (kept,) = progress.answers()
    assert (kept.slug, kept.question, kept.at, kept.rating) == ("scaling", "q1", START, "good")
    assert (kept.points, kept.points_total, kept.lang, kept.text) == ((1, 3), 4, "zh", "汉?")
    assert progress.question_cards()["scaling", "q1"].due_at == library(("Good", START)).due
    assert progress.states() == {}  # nothing is known of the drill


def test_each_answer_is_a_review(progress: Progress) -> None:
    reviews = [("Good", 0), ("Again", 2), ("Hard", 3), ("Easy", 9)]
    for rating, day in reviews:
        progress.record_answer("scaling", "q1", rating.lower(), at=START + day * DAY)  # type: ignore[arg-type]
    progress.record_answer("scaling", "q2", "easy", at=START)
    cards = progress.question_cards()
    expected = library(*((rating, START + day * DAY) for rating, day in reviews))
    assert cards["scaling", "q1"].due_at == expected.due
    assert fsrs.Card.from_json(cards["scaling", "q1"].card) == expected
    assert cards["scaling", "q2"].due_at == library(("Easy", START)).due
    assert [kept.rating for kept in progress.answers()] == ["easy", "hard", "again", "good", "easy"]


def test_due_questions_come_first_then_new_ones_in_the_order_of_the_course(progress: Progress) -> None:
    drills = Catalogue.load().drills[:2]
    first, second = drills
    progress.record_answer(second.slug, second.questions[0], "again", at=START)
    progress.record_answer(first.slug, first.questions[1], "again", at=START + timedelta(hours=1))
    progress.record_answer(first.slug, first.questions[0], "easy", at=START)
    progress.record_answer(first.slug, "taken-out-of-the-course", "again", at=START)
    cards = progress.question_cards()
    quiz = choose(drills, cards, START + 2 * DAY, "en")
    asked = [(each.drill.slug, each.question.id) for each in quiz.asked]
    new = [(drill.slug, name) for drill in drills for name in drill.questions]
    answered = [(second.slug, second.questions[0]), (first.slug, first.questions[1])]
    assert asked[:2] == answered
    assert asked[2:] == [name for name in new if name not in (*answered, (first.slug, first.questions[0]))]
    assert (quiz.due, quiz.new, quiz.next_due_at) == (2, len(asked) - 2, library(("Easy", START)).due)
    assert len(choose(drills, cards, START + 2 * DAY, "zh", 3).asked) == 3
    assert choose(drills, cards, START, "en", 1).asked[0].due_at is None


def test_what_is_held(progress: Progress) -> None:
    course = Catalogue.load()
    group = course.groups[0]
    first = next(drill for drill in course.drills if drill.slug == group.drills[0])
    nothing = standing(course, {}, {}, {}, START)
    assert (nothing.drill_retention, nothing.question_retention, nothing.due_drills) == (None, None, ())
    progress.record_attempt(group.drills[0], result("passed"), b"", START)
    progress.record_solution_seen(group.drills[1], START)
    progress.record_attempt(group.drills[1], result("passed"), b"", START)
    progress.record_attempt("not_in_the_course", result("passed"), b"", START)
    progress.record_answer(first.slug, first.questions[0], "easy", at=START)
    progress.record_answer(first.slug, first.questions[1], "hard", at=START)
    progress.record_answer(first.slug, "not-in-the-course", "hard", at=START)
    now = START + 5 * DAY
    found = standing(course, progress.states(now), progress.drill_cards(), progress.question_cards(), now)
    assert found.due_drills == (group.drills[1],)  # rated Again: after a day
    assert [each.question for each in found.due_questions] == [first.questions[1]]
    scheduler = fsrs.Scheduler()
    recalled = {
        rating: scheduler.get_card_retrievability(library((rating, START)), now) for rating in ("Easy", "Hard", "Again")
    }
    assert found.drill_retention == pytest.approx((recalled["Easy"] + recalled["Again"]) / 2)
    assert found.question_retention == pytest.approx((recalled["Easy"] + recalled["Hard"]) / 2)
    assert recalled["Hard"] < 0.9 < recalled["Easy"]
    mastery = found.groups[0]
    assert (mastery.drills.mastered, mastery.drills.total) == (1, len(group.drills))
    assert mastery.questions.mastered == 1
    assert mastery.questions.total > 10


# Clocks.


def test_a_review_before_the_last_one_counts_as_of_the_last(progress: Progress) -> None:
    card, _ = schedule(None, "good", START)
    clamped, next_due = schedule(card, "good", START - 1000 * DAY)
    assert (clamped, next_due) == schedule(card, "good", START)
    assert next_due > START
    assert retrievability(card, START - 1000 * DAY) == 1.0


def test_a_date_set_back_loses_nothing(progress: Progress) -> None:
    progress.record_attempt("scaling", result("passed"), b"1", START)
    set_back = START - 20000 * DAY  # to a time before the machine was built
    progress.record_attempt("scaling", result("failed"), b"2", set_back)
    progress.record_attempt("scaling", result("passed"), b"3", set_back + DAY)
    assert [(kept.source, kept.at) for kept in progress.attempts("scaling")] == [
        (b"3", set_back + DAY),
        (b"2", set_back),
        (b"1", START),
    ]
    now = progress.states(START)["scaling"]
    assert (now.state, now.due_at, now.last_verdict) == ("passed", library(("Easy", START)).due, "passed")
    later = START + 9 * DAY  # the clock is right again
    progress.record_attempt("scaling", result("passed"), b"4", later)
    assert due(progress) == library(("Easy", START), ("Good", later)).due  # Good: there was a fail


def test_a_date_set_back_between_answers(progress: Progress) -> None:
    for days in (0, -20000, 5):
        progress.record_answer("scaling", "q1", "good", at=START + days * DAY)
    expected = library(("Good", START), ("Good", START), ("Good", START + 5 * DAY))
    assert progress.question_cards()["scaling", "q1"].due_at == expected.due
    assert [kept.at - START for kept in progress.answers()] == [5 * DAY, -20000 * DAY, 0 * DAY]


def test_a_look_with_the_clock_set_back_is_no_look_before_the_pass(progress: Progress) -> None:
    progress.record_attempt("scaling", result("passed"), b"", START)
    progress.record_solution_seen("scaling", START - 5 * DAY)
    progress.record_attempt("scaling", result("failed"), b"", START + DAY)
    assert progress.states(START)["scaling"].state == "passed"
    assert due(progress) == library(("Easy", START)).due


def test_a_pass_with_the_clock_set_back_comes_after_the_look(progress: Progress) -> None:
    progress.record_solution_seen("scaling", START)
    progress.record_attempt("scaling", result("passed"), b"", START - 5 * DAY)
    assert progress.states(START)["scaling"].state == "seen"


def test_days_of_practice_with_a_clock_ahead(progress: Progress) -> None:
    for day in (0, 1, 400):
        progress.record_attempt("scaling", result("failed"), b"", START + day * DAY)
    stats = progress.stats(START + DAY)
    assert stats.streak_days == 2
    assert list(stats.days) == ["2026-03-02", "2026-03-03"]
    assert stats.attempts == 3


def test_a_clock_at_the_end_of_time(progress: Progress) -> None:
    end = datetime(9998, 12, 31, 23, 59, tzinfo=UTC)
    for _ in range(2):
        progress.record_attempt("scaling", result("passed"), b"", end)
        progress.record_answer("scaling", "q1", "easy", at=end)
    assert progress.states(end)["scaling"].attempts == 2
    assert progress.stats(end).streak_days == 1


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Los_Angeles", "Pacific/Kiritimati", "UTC"])
def test_all_times_are_utc_in_the_store(progress: Progress, tmp_path: Path, zone: str, monkeypatch: Any) -> None:
    """Also those that are told in another zone, or by a machine that is in one."""
    monkeypatch.setitem(os.environ, "TZ", zone)
    time.tzset()
    try:
        elsewhere = timezone(timedelta(hours=-11))
        progress.record_attempt("scaling", result("passed"), b"", START.astimezone(elsewhere))
        progress.record_answer("scaling", "q1", "good", at=START.astimezone(elsewhere))
        progress.record_solution_seen("masking", START.astimezone())
        assert due(progress) == START + 8 * DAY
    finally:
        monkeypatch.undo()
        time.tzset()
    with closing(sqlite3.connect(tmp_path / "progress.db")) as database:
        columns = ["attempts.at", "attempts.clock", "answers.at", "answers.clock", "looks.at", "reviews.passed_at"]
        for name in columns:
            table, column = name.split(".")
            ((kept,),) = database.execute(f"SELECT {column} FROM {table}").fetchall()
            assert kept == "2026-03-02T09:30:00.000+00:00"
        for table in ("reviews", "question_cards"):
            ((kept,),) = database.execute(f"SELECT due FROM {table}").fetchall()
            assert kept.endswith("T09:30:00.000+00:00")
