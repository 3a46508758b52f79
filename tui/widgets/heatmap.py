"""A year of practice: a column a week, a row a day of the week, and a shade for how much there was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import ClassVar

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from drills.display import pad, width
from tui.settings import Language

STEPS = (1, 2, 4, 8)  # attempts in a day from which a shade is the next one
PLAIN = "·░▒▓█"  # where there is no colour
CELL = 2  # columns
MARGIN = 4  # columns of the names of days
WEEKS = 53  # the most that are shown
DAYS: dict[Language, tuple[str, ...]] = {
    "en": ("Mon", "", "Wed", "", "Fri", "", "Sun"),
    "zh": ("一", "", "三", "", "五", "", "日"),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SCALE: dict[Language, tuple[str, str]] = {"en": ("less", "more"), "zh": ("少", "多")}


def shade(count: int) -> int:
    """0 for nothing, up to 4."""
    return sum(count >= step for step in STEPS)


def first_day(today: date, weeks: int) -> date:
    """The Monday that begins so many weeks, of which this one is the last."""
    return today - timedelta(today.weekday() + 7 * (weeks - 1))


def month_line(first: date, weeks: int, language: Language) -> str:
    """The names of the months, each above the week in which it begins, as far as they do not run into one another."""
    line = ""
    for week in range(weeks):
        monday = first + timedelta(7 * week)
        sunday = monday + timedelta(6)
        name = f"{sunday.month}月" if language == "zh" else MONTHS[sunday.month - 1]
        if sunday.day <= 7 and width(line) <= CELL * week and CELL * (weeks - week) >= width(name):
            line = pad(line, CELL * week) + name + " "
    return line.rstrip()


class Heatmap(Widget):
    """As many weeks as fit, up to a year."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"heatmap--{level}" for level in range(5)}
    DEFAULT_CSS = "Heatmap { height: 9; }"

    def __init__(self) -> None:
        super().__init__()
        self._days: Mapping[str, int] = {}
        self._today = date.min
        self._language: Language = "en"

    def show(self, days: Mapping[str, int], today: date, language: Language) -> None:
        """days: attempts by ISO date."""
        self._days, self._today, self._language = days, today, language
        self.refresh()

    @property
    def weeks(self) -> int:
        """How many are shown."""
        return max(1, min(WEEKS, (self.size.width - MARGIN) // CELL))

    def render(self) -> Content:
        if self._today == date.min:
            return Content()
        weeks, language = self.weeks, self._language
        first = first_day(self._today, weeks)
        lines = [Content(" " * MARGIN + month_line(first, weeks, language))]
        for weekday, name in enumerate(DAYS[language]):
            cells = [self._cell(first + timedelta(7 * week + weekday)) for week in range(weeks)]
            lines.append(Content.assemble(pad(name, MARGIN), *cells))
        less, more = SCALE[language]
        scale = [self._mark(level) for level in range(5)]
        lines.append(Content.assemble(" " * MARGIN, f"{less} ", *scale, more))
        return Content("\n").join(lines)

    def _cell(self, day: date) -> Content:
        if day > self._today:
            return Content(" " * CELL)
        return self._mark(shade(self._days.get(day.isoformat(), 0)))

    def _mark(self, level: int) -> Content:
        if self.app.no_color or self.app.console.color_system is None:
            return Content(PLAIN[level] + " ")
        colour = self.get_component_styles(f"heatmap--{level}").color
        return Content("■ ").stylize(Style(foreground=colour))
