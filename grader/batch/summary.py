"""What a class did: marks, how often each check and mistake came up, who was slowest, what crashed. For all reports."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from drills.catalogue import Drill
from grader.batch.collecting import Unused
from grader.batch.marking import Mark, Rules, mark, total
from grader.batch.running import Graded
from grader.results import SCHEMA, Isolation, Result

BINS = 10  # of the distribution of marks
SLOWEST = 10


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One person's answer to one drill."""

    learner: str
    drill: str
    origin: str
    at: str
    mark: Mark
    text: str  # SHA-256 of it
    alike: int  # people who handed in the very same, this one included
    result: Result


class Learner(msgspec.Struct, frozen=True, kw_only=True):
    """One person: the total over all drills of the batch, 0 to 100."""

    name: str
    total: float
    answers: list[Answer]
    unused: list[str]


class CheckRate(msgspec.Struct, frozen=True, kw_only=True):
    """How a check of a drill went for the class."""

    check: str
    title: str
    failed: int
    answers: int


class MistakeRate(msgspec.Struct, frozen=True, kw_only=True):
    """How many people made a known mistake."""

    mistake: str
    message: str
    question: str
    count: int


class DrillSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One drill for the class."""

    drill: str
    title: str
    handed_in: int
    passed: int
    errors: int
    checks: list[CheckRate]  # the most failed first
    mistakes: list[MistakeRate]  # the most frequent first


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole batch."""

    schema: int = SCHEMA
    seed: int
    isolation: Isolation
    learners: list[Learner]
    drills: list[DrillSummary]
    median: float
    distribution: list[int]  # people by total mark: 0 to 10, ..., 90 to 100
    slowest: list[Answer]
    crashed: list[Answer]
    unused: list[dict[str, str]]


def summarise(
    graded: Sequence[Graded],
    unused: Sequence[Unused],
    drills: Sequence[Drill],
    rules: Rules,
    seed: int,
    level: Isolation,
) -> Summary:
    """Everything that the reports say."""
    answers = [_answer(each, rules) for each in graded]
    topics = [drill.slug for drill in drills]
    learners = _learners(answers, unused, topics, rules)
    totals = [learner.total for learner in learners]
    return Summary(
        seed=seed,
        isolation=level,
        learners=learners,
        drills=[_drill(drill, [a for a in answers if a.drill == drill.slug]) for drill in drills],
        median=statistics.median(totals) if totals else 0.0,
        distribution=[sum(min(BINS - 1, int(t * BINS / 100)) == place for t in totals) for place in range(BINS)],
        slowest=sorted(answers, key=lambda a: (-a.result.duration_ms, a.learner, a.drill))[:SLOWEST],
        crashed=[a for a in answers if any(c.outcome in ("crashed", "timeout") for c in a.result.checks)],
        unused=[each._asdict() for each in unused],
    )


def _answer(graded: Graded, rules: Rules) -> Answer:
    submission = graded.submission
    return Answer(
        learner=submission.learner,
        drill=submission.topic,
        origin=submission.origin,
        at=submission.at.isoformat(timespec="seconds"),
        mark=mark(rules, graded.result, submission.at),
        text=hashlib.sha256(submission.source).hexdigest(),
        alike=graded.alike,
        result=graded.result,
    )


def _learners(answers: Sequence[Answer], unused: Sequence[Unused], topics: list[str], rules: Rules) -> list[Learner]:
    """Everybody who handed in anything, be it of use or not."""
    theirs: dict[str, list[Answer]] = defaultdict(list)
    refused: dict[str, list[str]] = defaultdict(list)
    for answer in answers:
        theirs[answer.learner].append(answer)
    for each in unused:
        if each.learner:
            refused[each.learner].append(f"{each.origin}: {each.reason}")
    return [
        Learner(
            name=name,
            total=round(total(rules, topics, {a.drill: a.mark for a in theirs[name]}), 2),
            answers=theirs[name],
            unused=refused[name],
        )
        for name in sorted({*theirs, *refused})
    ]


def _drill(drill: Drill, answers: Sequence[Answer]) -> DrillSummary:
    titles: dict[str, str] = {}
    failed: Counter[str] = Counter()
    run: Counter[str] = Counter()
    mistakes: dict[str, MistakeRate] = {}
    for answer in answers:
        for check in answer.result.checks:
            titles[check.id] = check.title
            run[check.id] += 1
            failed[check.id] += check.outcome != "passed"
        for found in answer.result.diagnosis:
            before = mistakes[found.mistake].count if found.mistake in mistakes else 0
            mistakes[found.mistake] = MistakeRate(
                mistake=found.mistake, message=found.message, question=found.question, count=before + 1
            )
    rates = [CheckRate(check=c, title=titles[c], failed=failed[c], answers=run[c]) for c in titles]
    return DrillSummary(
        drill=drill.slug,
        title=drill.title,
        handed_in=len(answers),
        passed=sum(a.result.verdict == "passed" for a in answers),
        errors=sum(a.result.verdict == "error" for a in answers),
        checks=sorted(rates, key=lambda rate: -rate.failed),
        mistakes=sorted(mistakes.values(), key=lambda rate: (-rate.count, rate.mistake)),
    )
