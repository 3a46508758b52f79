"""Errors that end a command: one sentence that says what is wrong, one that says what to do, an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from drills.catalogue import AmbiguousTopic, BadPack, BrokenDrill, UnknownTopic
from grader.plain import plain


class GraderError(click.ClickException):
    """The command cannot go on. Never raised for what is wrong with a learner's answer."""

    exit_code = 3

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

    def show(self, file: IO[Any] | None = None) -> None:
        """Print message and advice on standard error."""
        click.echo(f"Error: {plain(self.format_message())}", err=file is None, file=file)
        if self.advice:
            click.echo(plain(self.advice), err=file is None, file=file)


class BadInput(GraderError):
    """The command was given something that it cannot use: a topic, a file, a workspace."""

    exit_code = 2


class GraderFault(GraderError):
    """The grader itself failed, which is never the learner's fault."""

    exit_code = 3


class ProgressUnavailable(Exception):
    """Progress cannot be read or written; the text is for the learner. A warning: the command goes on."""


@contextmanager
def catalogue_errors() -> Iterator[None]:
    """Inside, what the catalogue raises (an unknown topic, a broken drill, a bad pack) is BadInput."""
    try:
        yield
    except UnknownTopic as error:
        nearest = " or ".join(error.nearest)
        advice = f"Did you mean {nearest}?" if nearest else "`drills list` shows all of them."
        raise BadInput(f"{error}.", advice) from None
    except AmbiguousTopic as error:
        raise BadInput(f"{error}.", "Type a little more of the name.") from None
    except BrokenDrill as error:
        told = "\n".join(f"  {problem}" for problem in error.problems)
        raise BadInput(f"The drill {error.slug} is broken.", told) from None
    except BadPack as error:
        advice = "A pack is a folder with the folders `drills` and `solutions` in it."
        raise BadInput(f"{error}.", advice) from None


def refuse_native_windows() -> None:
    """Raise BadInput on Windows outside WSL: the wall around the learner's code is built of Unix parts."""
    platform: str = sys.platform
    if platform == "win32":
        raise BadInput(
            "Code is graded under Linux and macOS only.",
            "On Windows, install WSL (`wsl --install` in PowerShell) and run the same command there.",
        )
