"""`drills new`: the beginning of a drill."""

from __future__ import annotations

import re
from pathlib import Path

import click

from grader.errors import BadInput


@click.command()
@click.argument("topic")
@click.option("--pack", metavar="DIR", type=click.Path(path_type=Path), help="The pack it goes into; made if need be.")
@click.option(
    "--from", "origin", metavar="FILE.py:NAME", help="Take signature, docstring and solution from existing code."
)
def new(topic: str, pack: Path | None, origin: str | None) -> None:
    """Begin a drill of your own.

    Writes a small drill that passes `grader validate` as it is, with comments that explain each file. With --from it is
    about code of yours, and what only you can write is marked TODO.
    """
    from grader.scaffold import make_drill
    from grader.scaffold.existing import take

    slug = topic.lower().replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
        raise BadInput(f"{topic!r} is no topic.", "Use lower-case letters, digits and _, a letter first.")
    root = pack or Path()
    if pack is None and not (root / "drills").is_dir():
        raise BadInput("There is no folder `drills` here.", "Name the pack it goes into: --pack DIR")
    taken = take(origin) if origin else None
    for file in make_drill(root, slug, taken):
        click.echo(f"New: {file}")
    course = root / "drills" / "course.toml"
    if course.exists():
        click.echo(f'Add "{slug}" to the drills of a group in {course}')
    option = f" --pack {pack}" if pack else ""
    click.echo(f"Next: grader validate {slug}{option}" + (", which tells what is still to be written" if taken else ""))
