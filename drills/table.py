"""A TOML table read key by key. What is wrong with it is collected, so that one look shows every fault."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

V = TypeVar("V", str, int, float)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a drill or a course: the file, the fault in one sentence, and how to mend it."""

    file: Path
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}. {self.fix}."


class Table:
    """The values of one TOML file or of a table in it; `problems` is shared with the tables inside."""

    def __init__(
        self, values: dict[str, Any], file: Path, where: str = "", problems: list[Problem] | None = None
    ) -> None:
        self._values = dict(values)
        self._known: list[str] = []
        self._file = file
        self._where = where
        self.problems: list[Problem] = [] if problems is None else problems

    def text(self, key: str, default: str | None = None) -> str:
        """A string; required, and not blank, where no default is given."""
        value = self._take(key, str, default, "a string in quotes")
        if default is None and not value.strip() and key in self._values:
            self._complain(f"`{self._where}{key}` is empty", f"write {key} in {self._file.name}")
        return value

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        value = self._take(key, int, default, f"a whole number from {least} to {most}")
        return self._within(key, value, least, most)

    def number(self, key: str, least: float, most: float, default: float) -> float:
        """A number from `least` to `most`."""
        value = self._take(key, float, default, f"a number from {least:g} to {most:g}")
        return self._within(key, value, least, most)

    def names(self, key: str) -> tuple[str, ...]:
        """A list of strings, empty where the key is absent."""
        values = self._list(key, str, "a list of strings")
        for twice in sorted({value for value in values if values.count(value) > 1}):
            self._complain(f"`{self._where}{key}` lists {twice} twice", "keep one of them")
        return tuple(values)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of strings to look for, each with a letter or a digit on both sides of a `+`."""
        values = self.names(key)
        for value in values:
            if not all(any(map(str.isalnum, part)) for part in value.split("+")):
                self._complain(f"`{self._where}{key}` lists {value!r}, which says nothing", "write a word there")
        return values

    def table(self, key: str) -> Table:
        """The table `[key]`, empty where it is absent."""
        self._known.append(key)
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            self._complain(f"`{self._where}{key}` is not a table", f"write it as [{key}]")
            value = {}
        return Table(value, self._file, f"{self._where}{key}.", self.problems)

    def tables(self, key: str) -> list[Table]:
        """A list of tables, empty where the key is absent."""
        values = self._list(key, dict, f"a list of tables ([[{key}]])")
        return [
            Table(value, self._file, f"{self._where}{key}[{place}].", self.problems)
            for place, value in enumerate(values)
        ]

    def finish(self) -> None:
        """Complain of keys that nobody asked for: mostly a misspelt one."""
        for key in self._values:
            if key not in self._known:
                known = ", ".join(self._known)
                self._complain(f"unknown key `{self._where}{key}`", f"remove it or use one of: {known}")

    def has(self, key: str) -> bool:
        return key in self._values

    def _take(self, key: str, kind: type[V], default: V | None, meant: str) -> V:
        self._known.append(key)
        if key not in self._values and default is not None:
            return default
        if key not in self._values:
            self._complain(f"`{self._where}{key}` is missing", f"write {key} = {meant}")
            return default if default is not None else kind()
        value = self._values[key]
        fits = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
        if not fits or isinstance(value, bool):
            self._complain(f"`{self._where}{key}` is {value!r}", f"make it {meant}")
            return default if default is not None else kind()
        return kind(value)

    def _within(self, key: str, value: V, least: V, most: V) -> V:
        if key in self._values and not least <= value <= most:
            self._complain(f"`{self._where}{key}` is {value}", f"make it a number from {least} to {most}")
            return least
        return value

    def _list(self, key: str, kind: type[Any], meant: str) -> list[Any]:
        self._known.append(key)
        values = self._values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            self._complain(f"`{self._where}{key}` is {values!r}", f"make it {meant}")
            return []
        return values

    def _complain(self, message: str, fix: str) -> None:
        self.problems.append(Problem(self._file, message, fix[:1].upper() + fix[1:]))


def read_table(file: Path) -> Table | Problem:
    """The top table of a TOML file, or why it cannot be read."""
    try:
        with file.open("rb") as stream:
            return Table(tomllib.load(stream), file)
    except FileNotFoundError:
        return Problem(file, "the file is missing", f"Write {file.name}")
    except OSError as error:
        return Problem(file, f"cannot be read ({error.strerror})", "Make it readable")
    except UnicodeDecodeError:
        return Problem(file, "is not UTF-8", "Save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        return Problem(file, f"is not TOML: {error}", "Mend the syntax there")
