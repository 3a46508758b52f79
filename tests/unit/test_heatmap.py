"""A year of practice as a heat map: which day is where."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.display import width
from tui.widgets.heatmap import CELL, first_day, month_line, shade

NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DATES = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@pytest.mark.parametrize(("count", "level"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (500, 4)])
def test_shades(count: int, level: int):
    assert shade(count) == level


@given(today=DATES, weeks=st.integers(1, 53))
def test_the_last_week_is_this_one(today: date, weeks: int):
    first = first_day(today, weeks)
    assert first.weekday() == 0
    assert 0 <= (today - first).days - 7 * (weeks - 1) < 7


@given(today=DATES, weeks=st.integers(2, 53), language=st.sampled_from(["en", "zh"]))
def test_months_stand_above_their_first_day(today: date, weeks: int, language: str):
    first = first_day(today, weeks)
    line = month_line(first, weeks, language)
    assert width(line) <= CELL * weeks
    for match in re.finditer(r"\S+", line):
        number = int(match[0][:-1]) if language == "zh" else NAMES.index(match[0]) + 1
        week = width(line[: match.start()]) // CELL
        days = [first + timedelta(7 * week + day) for day in range(7)]
        assert any((day.month, day.day) == (number, 1) for day in days)


def test_a_year_by_hand():
    # 2026-05-18 is a Monday; 53 weeks begin on 2025-05-19, and June 1, a Sunday, ends the second of them.
    first = first_day(date(2026, 5, 20), 53)
    assert first == date(2025, 5, 19)
    assert month_line(first, 53, "en").index("Jun") == CELL
