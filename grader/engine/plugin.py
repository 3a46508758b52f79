"""The judge's pytest plugin: fixtures for hidden tests, and one outcome for each.

It runs in the trusted process. The learner's code is behind `impl`; what is classified here is what became of each
hidden test.
"""

from __future__ import annotations

import ast
import inspect
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch
from _pytest.runner import runtestprotocol

from grader.engine.impl import Impl


class Ending(NamedTuple):
    """How one hidden test ended: the exception that left it, or None, and the phase it was in."""

    error: BaseException | None
    phase: str
    seconds: float


class Title(NamedTuple):
    id: str
    title: str
    hint: str


def titles(item: pytest.Item) -> Title:
    """A check's id, title and hint, from its test function's name and docstring."""
    doc = inspect.getdoc(getattr(item, "obj", None)) or item.name
    title, _, hint = doc.partition("\n")
    suffix = item.name[len(getattr(item, "originalname", None) or item.name) :]
    return Title(item.name, title.strip().rstrip(".") + (f" {suffix}" if suffix else ""), " ".join(hint.split()))


class Plugin:
    """Hands the collected tests to `loop`, and gives each test the `impl` that `loop` has set."""

    def __init__(self, seed: int, loop: Callable[[list[pytest.Item], Plugin], None]) -> None:
        self.seed_of_run = seed
        self._loop = loop
        self._ending = Ending(None, "setup", 0.0)
        self.make_impl: Callable[[], Impl] | None = None
        self.current: Impl | None = None
        self.collection_errors: list[str] = []
        self.error: BaseException | None = None  # what ended the loop

    # -- fixtures ------------------------------------------------------------------------------------------------

    @pytest.fixture
    def impl(self) -> Any:
        """The learner's module."""
        assert self.make_impl is not None
        self.current = self.make_impl()
        return self.current.module

    @pytest.fixture
    def seed(self, request: pytest.FixtureRequest) -> int:
        """An integer that depends on the run's seed and on the check."""
        return check_seed(self.seed_of_run, request.node.name)

    @pytest.fixture
    def gen(self, seed: int) -> torch.Generator:
        """The source of all random inputs."""
        return torch.Generator().manual_seed(seed)

    # -- hooks ---------------------------------------------------------------------------------------------------

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.collection_errors.append(str(report.longrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if not self.collection_errors:
            try:
                self._loop(session.items, self)
            except BaseException as error:  # pytest would report it and go on to its end
                self.error = error
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Keep the exception. pytest's own report would render a traceback, which takes longer than the check."""
        if call.excinfo is not None and self._ending.error is None:
            self._ending = Ending(call.excinfo.value, call.when, 0.0)
        outcome: Literal["passed", "failed"] = "passed" if call.excinfo is None else "failed"
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, call.when)  # type: ignore[arg-type]

    def run(self, item: pytest.Item, other: pytest.Item | None, make_impl: Callable[[], Impl]) -> Ending:
        """Run one test from setup to teardown. `other`: a test of the same module, which keeps the module set up."""
        self._ending = Ending(None, "call", 0.0)
        self.make_impl, self.current = make_impl, None
        torch.default_generator.manual_seed(check_seed(self.seed_of_run, item.name))
        started = time.perf_counter()
        runtestprotocol(item, log=False, nextitem=other)
        return self._ending._replace(seconds=time.perf_counter() - started)


def check_seed(seed: int, check: str) -> int:
    return zlib.crc32(f"{seed}:{check}".encode())


def arguments(path: str) -> list[str]:
    """pytest's arguments: no configuration, plugin, conftest or cache from anywhere but here."""
    disabled = (
        "cacheprovider", "terminal", "junitxml", "pastebin", "nose", "doctest", "stepwise", "faulthandler", "logging",
        "legacypath", "unittest", "setuponly", "setupplan", "debugging", "capture", "recwarn", "tmpdir", "monkeypatch",
        "threadexception", "unraisableexception", "warnings", "reports", "subtests",
    )  # fmt: skip
    flags = [f"-pno:{name}" for name in disabled]
    folder = str(Path(path).parent)  # and nothing above it: the drill may lie in a package, whose code is not asked for
    return [
        path, "-c", "/dev/null", "--rootdir", folder, "--confcutdir", folder, "--noconftest",
        "--import-mode=importlib", "--disable-plugin-autoload", *flags,
    ]  # fmt: skip


def public_names(source: str) -> set[str]:
    """The names that a stub asks for."""
    return {n.name for n in ast.parse(source).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
