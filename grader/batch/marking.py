"""From results to marks: weights, due dates and what lateness costs, from a TOML file.

[drills.masking]
weight = 2                          # among the drills; 1 unless told
due = 2026-11-20T23:59:00+08:00     # by when the file was last changed
all_or_nothing = false              # true: part of the checks is worth nothing

[checks.masking]
test_causal_mask = 3                # among the drill's checks; 1 unless told

[late]
grace_minutes = 15
per_day = 0.1                       # of the mark, for each day begun
most_days = 3                       # after that nothing is left
"""

from __future__ import annotations

import math
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from grader.errors import BadInput
from grader.results import Result


class DrillRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one drill counts."""

    weight: float = 1.0
    due: datetime | None = None
    all_or_nothing: bool = False


class LateRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lateness costs."""

    grace_minutes: float = 0.0
    per_day: float = 0.0
    most_days: int = 7


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of the file."""

    drills: dict[str, DrillRule] = {}
    checks: dict[str, dict[str, float]] = {}
    late: LateRule = LateRule()


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is worth: `share` of a full mark, before and after what lateness costs."""

    share: float
    days_late: int
    final: float


def read_rules(file: Path | None, topics: set[str]) -> Rules:
    """The rules of a file; those of no file count all alike. Raises BadInput, naming what is wrong."""
    if file is None:
        return Rules()
    try:
        rules = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Rules, strict=False)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        told = re.sub(r"at `\$\.(\w+).*`", r"somewhere under [\1]", str(error))  # the library names no keys of tables
        raise BadInput(f"{file} is not in order: {told}.", "The README shows what may stand there.") from None
    for slug in (*rules.drills, *rules.checks):
        if slug not in topics:
            raise BadInput(
                f"{file} has rules for {slug}, which is no drill.", f"There are: {', '.join(sorted(topics))}"
            )
    _refuse_odd_numbers(file, rules)
    return rules


def _refuse_odd_numbers(file: Path, rules: Rules) -> None:
    weights = [rule.weight for rule in rules.drills.values()]
    weights += [weight for checks in rules.checks.values() for weight in checks.values()]
    if any(not math.isfinite(weight) or weight < 0 for weight in weights):
        raise BadInput(f"{file}: a weight is a number from 0 up.")
    late = rules.late
    if not (0 <= late.per_day <= 1 and 0 <= late.grace_minutes < math.inf and late.most_days >= 0):
        raise BadInput(f"{file}: [late] takes per_day from 0 to 1, grace_minutes and most_days from 0 up.")
    naive = [slug for slug, rule in rules.drills.items() if rule.due is not None and rule.due.tzinfo is None]
    if naive:
        raise BadInput(
            f"{file}: the due date of {naive[0]} has no time zone.", "Write it as 2026-11-20T23:59:00+08:00, or with Z."
        )


def mark(rules: Rules, result: Result, at: datetime) -> Mark:
    """The mark of one answer, which was last changed `at`."""
    rule = rules.drills.get(result.drill, DrillRule())
    weights = rules.checks.get(result.drill, {})
    worth = {check.id: weights.get(check.id, 1.0) for check in result.checks}
    total = sum(worth.values())
    gained = sum(worth[check.id] for check in result.checks if check.outcome == "passed")
    share = 1.0 if result.verdict == "passed" else gained / total if total else 0.0
    if rule.all_or_nothing and result.verdict != "passed":
        share = 0.0
    days = _days_late(rules.late, rule.due, at)
    kept = 0.0 if days > rules.late.most_days else max(0.0, 1.0 - rules.late.per_day * days)
    return Mark(share=share, days_late=days, final=share * kept)


def _days_late(late: LateRule, due: datetime | None, at: datetime) -> int:
    if due is None:
        return 0
    over = at.astimezone(UTC) - due.astimezone(UTC) - timedelta(minutes=late.grace_minutes)
    return max(0, math.ceil(over / timedelta(days=1)))


def unknown_checks(rules: Rules, results: list[Result]) -> list[str]:
    """Checks that have a weight and do not exist."""
    there = {(result.drill, check.id) for result in results for check in result.checks}
    graded = {result.drill for result in results if result.checks}
    return [
        f"{slug}: {check}"
        for slug, checks in rules.checks.items()
        for check in checks
        if slug in graded and (slug, check) not in there
    ]


def total(rules: Rules, topics: list[str], marks: dict[str, Mark]) -> float:
    """The mark of a person over all topics, from 0 to 100; what was not handed in is worth nothing."""
    weights = {slug: rules.drills.get(slug, DrillRule()).weight for slug in topics}
    whole = sum(weights.values())
    gained = sum(weights[slug] * marks[slug].final for slug in topics if slug in marks)
    return 100.0 * gained / whole if whole else 0.0
