"""A quiz in a plain terminal: a question, an answer if one likes, the model answer, its key points, a rating."""

from __future__ import annotations

import re
from dataclasses import dataclass

import click

from drills.shell import print_markdown
from grader.quiz import Asked
from grader.review import RATINGS, Rating, suggest
from grader.session import Session


@dataclass(frozen=True)
class Given:
    """What the learner gave."""

    text: str
    points: tuple[int, ...]
    rating: Rating


def ask_all(session: Session, asked: list[Asked], lang: str) -> bool:
    """Ask one after the other; each is recorded as soon as it is rated. False where the learner broke off."""
    done = 0
    try:
        for number, each in enumerate(asked, 1):
            given = ask(each, f"{number} of {len(asked)}")
            _record(session, each, given, lang)
            done = number
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"\nStopped. {done} of {len(asked)} answered; what was rated is recorded.")
        return False
    click.echo(f"\n{done} of {len(asked)} answered. `drills stats` shows where you stand.")
    return True


def ask(asked: Asked, place: str) -> Given:
    """Ask one question. Raises click.Abort for Ctrl-C or the end of input."""
    question = asked.question
    click.echo(f"\n{place} · {asked.drill.slug} · {'due again' if asked.due_at else 'new'}")
    click.secho(question.title, bold=True)
    click.echo("Say or type your answer. An empty line shows the model answer; Ctrl-C ends the quiz.")
    text = _typed()
    print_markdown(f"### Model answer\n\n{question.answer}\n")
    points = _named(question.key_points)
    suggested = suggest(len(points), len(question.key_points))
    rating: Rating = click.prompt(
        "How was it? again, hard, good or easy", default=suggested, value_proc=_rating, show_default=True
    )
    click.echo(f"More about it: drills show {asked.drill.slug} --question {question.id}")
    return Given(text, points, rating)


def _typed() -> str:
    lines: list[str] = []
    while True:
        line = click.prompt("", prompt_suffix="> ", default="", show_default=False)
        if not line.strip():
            return "\n".join(lines)
        lines.append(line)


def _named(points: tuple[str, ...]) -> tuple[int, ...]:
    if not points:
        return ()
    click.secho("Key points", bold=True)
    for number, point in enumerate(points, 1):
        click.echo(f"  {number}  {point}")
    return click.prompt(
        "Which did you name? Numbers, `all`, or Enter for none",
        default="",
        show_default=False,
        value_proc=lambda text: read_points(text, len(points)),
    )


def read_points(text: str, total: int) -> tuple[int, ...]:
    """The numbers in a line such as `1 3`, `1,3`, `2-4` or `all`. Raises click.BadParameter."""
    words = [word for word in re.split(r"[\s,;，、]+", text.strip().casefold()) if word]
    if words == ["all"]:
        return tuple(range(1, total + 1))
    named: set[int] = set()
    for word in words:
        match = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= total:
            raise click.BadParameter(f"{word!r} is none of 1 to {total}.")
        named.update(range(first, last + 1))
    return tuple(sorted(named))


def _rating(text: str) -> Rating:
    word = text.strip().casefold()
    for rating in RATINGS:
        if word and rating.startswith(word):
            return rating
    raise click.BadParameter("Answer with again, hard, good or easy, or with the first letter.")


def _record(session: Session, asked: Asked, given: Given, lang: str) -> None:
    session.record(
        lambda progress: progress.record_answer(
            asked.drill.slug,
            asked.question.id,
            given.rating,
            points=given.points,
            points_total=len(asked.question.key_points),
            lang=lang,
            text=given.text,
        )
    )
