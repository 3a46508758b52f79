"""Marks, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grader.batch.marking import LateRule, Mark, Rules, mark, read_rules, total, unknown_checks
from grader.errors import BadInput
from grader.results import Check, Result

DUE = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
TOML = """
[drills.masking]
weight = 3
due = 2026-11-21T00:00:00+08:00
[drills.rope]
all_or_nothing = true
[checks.masking]
test_a = 2
[late]
grace_minutes = 15
per_day = 0.25
most_days = 2
"""


def result(drill: str, *outcomes: str) -> Result:
    checks = [Check(id=f"test_{n}", title=n, outcome=o) for n, o in zip("abcd", outcomes, strict=False)]  # type: ignore[arg-type]
    verdict = "passed" if set(outcomes) == {"passed"} else "failed"
    return Result(drill=drill, verdict=verdict, seed=1, duration_ms=1, isolation="full", checks=checks)  # type: ignore[arg-type]


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    (tmp_path / "rules.toml").write_text(TOML)
    return read_rules(tmp_path / "rules.toml", {"masking", "rope", "gqa"})


def test_checks_count_by_their_weight(rules):
    assert mark(rules, result("masking", "passed", "failed", "failed"), DUE).share == 2 / 4
    assert mark(rules, result("gqa", "passed", "failed", "failed", "crashed"), DUE).share == 1 / 4
    assert mark(rules, result("masking", "passed", "passed"), DUE).share == 1.0


def test_all_or_nothing(rules):
    assert mark(rules, result("rope", "passed", "failed"), DUE).share == 0.0
    assert mark(rules, result("rope", "passed", "passed"), DUE).share == 1.0


@pytest.mark.parametrize(
    ("late", "days", "kept"),
    [
        (timedelta(days=-3), 0, 1.0), (timedelta(0), 0, 1.0), (timedelta(minutes=15), 0, 1.0),
        (timedelta(minutes=15, seconds=1), 1, 0.75), (timedelta(days=1, minutes=15), 1, 0.75),
        (timedelta(days=1, minutes=16), 2, 0.5), (timedelta(days=2, minutes=16), 3, 0.0),
    ],
)  # fmt: skip
def test_each_day_begun_costs_its_share(rules, late, days, kept):
    found = mark(rules, result("masking", "passed"), DUE + late)
    assert (found.days_late, found.final) == (days, kept)


def test_lateness_never_gives_less_than_nothing():
    rules = Rules(late=LateRule(per_day=0.4, most_days=9))
    assert mark(rules, result("masking", "passed"), DUE + timedelta(days=5)).final == 1.0, (
        "without a date nothing is late"
    )


def test_what_could_not_be_loaded_is_worth_nothing(rules):
    assert mark(rules, result("masking", "not_run", "not_run"), DUE).final == 0.0
    empty = Result(drill="masking", verdict="error", seed=1, duration_ms=0, isolation="none")
    assert mark(rules, empty, DUE).final == 0.0


def test_the_total_is_weighted_and_what_is_missing_counts(rules):
    marks = {"masking": Mark(share=1, days_late=0, final=0.5), "gqa": Mark(share=1, days_late=0, final=1.0)}
    assert total(rules, ["masking", "rope", "gqa"], marks) == pytest.approx(100 * (3 * 0.5 + 0 + 1) / 5)


def test_a_weight_of_a_check_that_is_not_there_is_told(rules):
    assert unknown_checks(rules, [result("masking", "passed")]) == []
    assert unknown_checks(Rules(checks={"gqa": {"test_x": 1.0}}), [result("gqa", "passed")]) == ["gqa: test_x"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[drills.masking]\nwieght = 1", "wieght"), ("[drills.nowhere]\nweight = 1", "nowhere"), ("weight", "not in order"),
        ("[drills.masking]\nweight = -1", "weight"), ("[drills.masking]\nweight = nan", "weight"),
        ("[late]\nper_day = 2", "per_day"), ("[drills.masking]\ndue = 2026-11-21T00:00:00", "time zone"),
        ("[checks.masking]\ntest_a = 'x'", r"under \[checks\]"), ("\xff", "not in order"),
    ],
)  # fmt: skip
def test_rules_that_are_not_in_order(tmp_path, text, says):
    (tmp_path / "rules.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=says):
        read_rules(tmp_path / "rules.toml", {"masking"})


def test_no_rules_and_no_file(tmp_path):
    assert read_rules(None, set()) == Rules()
    with pytest.raises(BadInput, match="cannot be read"):
        read_rules(tmp_path / "nowhere.toml", set())
