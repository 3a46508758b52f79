"""The learner's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

USUAL = ("nano", "vim", "vi")


class EditorTrouble(Exception):
    """The editor cannot be used; the text is for the learner."""


def editor_command() -> list[str]:
    """The command in $VISUAL or $EDITOR, else the first of the usual editors. Raises EditorTrouble."""
    for name in ("VISUAL", "EDITOR"):
        text = os.environ.get(name, "")
        try:
            command = shlex.split(text)
        except ValueError as error:
            raise EditorTrouble(f"${name} is {text!r}, which is no command: {error}.") from None
        if command:
            if shutil.which(command[0]) is None:
                raise EditorTrouble(f"${name} names {command[0]}, which is not installed.")
            return command
    for name in USUAL:
        if shutil.which(name):
            return [name]
    raise EditorTrouble("No editor is known. Set $EDITOR, for instance: export EDITOR=nano")


def edit(command: list[str], file: Path) -> None:
    """Run the editor on a file, and wait for it to end. Raises EditorTrouble."""
    try:
        ended = subprocess.run([*command, str(file)], check=False)
    except OSError as error:
        raise EditorTrouble(f"{command[0]} does not start: {error.strerror}.") from None
    if ended.returncode:
        raise EditorTrouble(f"{command[0]} ended with the code {ended.returncode}.")


def content(file: Path) -> bytes | None:
    """What is in a file; None where it cannot be read."""
    try:
        return file.read_bytes() if file.is_file() else None
    except OSError:
        return None
