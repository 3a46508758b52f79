"""What the commands of `drills` share: their common options, consent, and how they print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from grader.errors import BadInput
from grader.session import Session

LANGUAGES = click.Choice(["en", "zh"])


def with_session(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for workspace and packs, and what they name as its first argument."""

    @click.option("--workspace", metavar="DIR", type=click.Path(path_type=Path), help="Your folder of answers.")
    @click.option("--pack", "packs", metavar="DIR", multiple=True, type=click.Path(path_type=Path), help="More drills.")
    @wraps(command)
    def opened(workspace: Path | None, packs: tuple[Path, ...], **arguments: Any) -> None:
        command(Session.open(workspace, packs), **arguments)

    return opened


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def confirm(question: str, yes: bool) -> None:
    """Raises click.Abort for a no, BadInput where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("This needs your consent, and there is no terminal to ask at.", "Consent with --yes")
    click.confirm(question, abort=True, err=True)


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def print_json(value: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(value, indent=2))


def print_markdown(text: str) -> None:
    """Rendered in a terminal, as it is written elsewhere."""
    context = click.get_current_context()
    if not sys.stdout.isatty() or context.color is False:
        click.echo(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=min(100, Console().width)).print(Markdown(text))
