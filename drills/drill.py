"""One drill: its folder and its reference solution, read and typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drills.questions import Hint, Question, parse_hints, parse_questions
from drills.table import Problem, Table, read_table

QA_FILES = {"en": "qa.md", "zh": "qa.zh.md"}
FILES = ("stub.py", "hidden_tests.py", "mistakes.py", "equivalents.py", "hints.md", *QA_FILES.values())
_SLUG = re.compile(r"[a-z][a-z0-9_]*")


class CatalogueError(Exception):
    """What was asked of the catalogue cannot be given."""


class BrokenDrill(CatalogueError):
    """The drill is there, but its files are not in order."""

    def __init__(self, slug: str, problems: Sequence[Problem]) -> None:
        self.slug = slug
        self.problems = tuple(problems)
        super().__init__(f"the drill {slug} is broken: " + " ".join(map(str, problems)))


@dataclass(frozen=True)
class Limits:
    """What the learner's code may use: seconds for one check, seconds for all, memory."""

    check_seconds: float = 2.0
    run_seconds: float = 20.0
    memory_mb: int = 1024


@dataclass(frozen=True)
class Reference:
    """A paper or a page worth reading."""

    title: str
    url: str


@dataclass(frozen=True)
class Drill:
    """One drill. Its texts are read from the folder when asked for, which may raise BrokenDrill."""

    slug: str
    pack: str
    group: str  # the id of its group in the course
    folder: Path
    solution: Path
    title: str
    title_zh: str
    summary: str
    summary_zh: str
    difficulty: int  # 1-5
    prerequisites: tuple[str, ...]  # slugs
    questions: tuple[str, ...]  # ids, in the order of qa.md
    notes: tuple[str, ...]  # words by which the learner's own notes are known to belong here; `a + b`: both
    forbidden: tuple[str, ...]  # dotted names, the course's and its own; a trailing * stands for any ending
    operators: tuple[str, ...]  # the operators under them, `aten::...`
    references: tuple[Reference, ...]
    limits: Limits

    @property
    def stub_source(self) -> str:
        """What the learner starts from."""
        return self._read(self.folder / "stub.py")

    @property
    def solution_source(self) -> str:
        """The reference solution."""
        return self._read(self.solution)

    @property
    def task(self) -> str:
        """What is to be written and why: the stub's docstring."""
        import ast  # the texts of a drill are wanted by few commands

        try:
            text = ast.get_docstring(ast.parse(self.stub_source))
        except SyntaxError as error:
            message = f"is not Python: line {error.lineno}"
            problem = Problem(self.folder / "stub.py", message, "Mend the syntax there")
            raise BrokenDrill(self.slug, [problem]) from None
        return text or ""

    @property
    def evidence(self) -> Path:
        """Claims of the answers with the computations that decide them. A drill need not have this file."""
        return self.folder / "evidence.py"

    def hints(self) -> list[Hint]:
        """The hints, from gentle to explicit."""
        return parse_hints(self._read(self.folder / "hints.md"))

    def qa(self, lang: str = "en") -> list[Question]:
        """The interview questions with their answers; `lang` is "en" or "zh"."""
        return parse_questions(self._read(self.folder / QA_FILES[lang]))

    def verify(self) -> list[Problem]:
        """Look closely: signatures, titles of checks, question ids. Nothing of the drill is run."""
        from drills.verify import verify  # parses five files: not for every start

        return verify(self)

    def _read(self, file: Path) -> str:
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problem = Problem(file, "is not UTF-8", "Save it as UTF-8")
        except OSError as error:
            problem = Problem(file, f"cannot be read ({error.strerror})", "Put the file back, readable")
        raise BrokenDrill(self.slug, [problem])


@dataclass(frozen=True)
class Ruled:
    """What a course rules out in every drill."""

    forbidden: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()


def read_drill(folder: Path, solution: Path, pack: str, group: str, ruled: Ruled) -> Drill | list[Problem]:
    """The drill in `folder`, or everything that keeps it from being read.

    Its prerequisites are still as written; the catalogue looks them up.
    """
    if not _SLUG.fullmatch(folder.name):
        fix = "Rename the folder: lower-case letters, digits and _, a letter first"
        return [Problem(folder, "the folder's name is no topic", fix)]
    problems = [
        Problem(file, "the file is missing", f"Write {file.name} in {file.parent}")
        for file in (*(folder / name for name in FILES), solution)
        if not file.is_file()
    ]
    table = read_table(folder / "drill.toml")
    if isinstance(table, Problem):
        return [table, *problems]
    drill = _from_table(table, folder, solution, pack, group, ruled)
    problems = table.problems + problems
    return problems or drill


def _from_table(table: Table, folder: Path, solution: Path, pack: str, group: str, ruled: Ruled) -> Drill:
    drill = Drill(
        slug=folder.name,
        pack=pack,
        group=group,
        folder=folder,
        solution=solution,
        title=table.text("title"),
        title_zh=table.text("title_zh"),
        summary=table.text("summary"),
        summary_zh=table.text("summary_zh"),
        difficulty=table.whole("difficulty", 1, 5),
        prerequisites=table.names("prerequisites"),
        questions=table.names("questions"),
        notes=table.words("notes"),
        forbidden=tuple(dict.fromkeys(ruled.forbidden + table.names("forbidden"))),
        operators=tuple(dict.fromkeys(ruled.operators + table.names("operators"))),
        references=tuple(_reference(entry) for entry in table.tables("references")),
        limits=_limits(table.table("limits")),
    )
    table.finish()
    return drill


def _reference(table: Table) -> Reference:
    reference = Reference(table.text("title"), table.text("url"))
    table.finish()
    return reference


def _limits(table: Table) -> Limits:
    usual = Limits()
    limits = Limits(
        check_seconds=table.number("check_seconds", 0.1, 600, usual.check_seconds),
        run_seconds=table.number("run_seconds", 0.1, 3600, usual.run_seconds),
        memory_mb=table.whole("memory_mb", 32, 65536, usual.memory_mb),
    )
    table.finish()
    return limits
