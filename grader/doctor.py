"""`grader doctor`: what this machine offers, found by trying it, and what to do about what it lacks."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import click

from grader import __version__, client, identity
from grader.checking import run
from grader.errors import GraderError
from grader.requests import request_for
from grader.results import SCHEMA, Result
from grader.session import Session

Level = Literal["ok", "warning", "fault"]
_MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "fault": ("✗", "red"),
}
TORCH_NEEDED = (2, 5)

# What each layer of the wall keeps the graded code from, and what to do where it is missing.
LAYERS = {
    "process": ("its own process and session, ended with the grader", "This should work on every Unix."),
    "descriptors": ("nothing inherited is open", "This should work on every Unix."),
    "no_new_privileges": ("no gaining of rights by running programs", "Needs Linux 3.5 or later."),
    "capabilities": ("no rights of root", "Needs Linux."),
    "rlimits": (
        "bounds on memory, CPU time and files",
        "A lower hard limit may be set already: see `ulimit -aH`.",
    ),
    "landlock_files": (
        "no files but Python's and torch's",
        "Needs Linux 5.13 or later with Landlock enabled.",
    ),
    "landlock_network": ("no TCP", "Needs Linux 6.7 or later with Landlock enabled."),
    "landlock_scope": (
        "no signals or sockets to other processes",
        "Needs Linux 6.12 or later with Landlock enabled.",
    ),
    "seccomp": ("no new processes, sockets, or changes of files' modes", "Needs Linux on x86_64 or aarch64."),
}


class Finding(NamedTuple):
    """One thing looked at: how it is, and what to do if that is not well."""

    name: str
    level: Level
    text: str
    advice: str = ""


def examine(workspace: Path | None, *, as_json: bool) -> int:
    """Look at everything and print it; 0 where grading works, 3 where it does not."""
    findings = list(_findings(workspace))
    if as_json:
        entries = [finding._asdict() for finding in findings]
        click.echo(json.dumps({"schema": SCHEMA, "findings": entries}, ensure_ascii=False))
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.level]
            click.echo(f"{click.style(mark, fg=colour)} {finding.name:<20} {finding.text}")
            if finding.level != "ok" and finding.advice:
                click.echo(f"  {'':<20} {click.style(finding.advice, fg='cyan')}")
    return 3 if any(finding.level == "fault" for finding in findings) else 0


def _findings(workspace: Path | None) -> Iterator[Finding]:
    yield Finding("llm-drills", "ok", f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield _torch()
    try:
        session = Session.open(workspace, ())
    except GraderError as error:
        yield Finding("workspace", "fault", error.message, error.advice)
        return
    yield from _course(session)
    yield _workspace(session)
    yield _editor()
    yield from _grading(session)
    yield _server()


def _torch() -> Finding:
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return Finding("torch", "fault", "not installed", "Install it: pip install torch")
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdigit())
    if numbers < TORCH_NEEDED:
        return Finding("torch", "fault", version, "The traps for forbidden calls need torch 2.5 or later.")
    return Finding("torch", "ok", version)


def _course(session: Session) -> Iterator[Finding]:
    catalogue = session.catalogue
    yield Finding("course", "ok", f"{len(catalogue.drills)} drills in {len(catalogue.groups)} groups")
    for slug, problems in catalogue.broken.items():
        for problem in problems:
            yield Finding(slug, "warning", str(problem))


def _workspace(session: Session) -> Finding:
    root = session.workspace.root
    if not session.workspace.exists:
        return Finding("workspace", "warning", f"none at {root}", "`drills start` makes one.")
    if not os.access(root, os.W_OK):
        return Finding("workspace", "warning", f"{root} is read-only", "Grading works; progress is not recorded.")
    return Finding("workspace", "ok", str(root))


def _editor() -> Finding:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    found = editor or next((name for name in ("nano", "vim", "vi") if shutil.which(name)), None)
    if found is None:
        return Finding("editor", "warning", "none found", "Set EDITOR, for example: export EDITOR=nano")
    return Finding("editor", "ok", found)


def _grading(session: Session) -> Iterator[Finding]:
    """Grade a reference solution for real, and look at the wall that it ran behind."""
    if not session.catalogue.drills:
        yield Finding("grading", "fault", "there is no drill to try it with")
        return
    drill = session.catalogue.drills[0]
    request = request_for(drill, drill.solution_source.encode(), str(drill.solution), diagnose=False)
    result = run(request, True, lambda event: None)
    if result.verdict == "passed":
        text = f"the reference of {drill.slug} passed in {result.duration_ms / 1000:.2f} s"
        yield Finding("grading", "ok", text)
    else:
        reason = result.problem or next((check.message for check in result.failures), "")
        advice = "Please report this, with what stands above."
        yield Finding("grading", "fault", f"the reference of {drill.slug}: {result.verdict}. {reason}", advice)
    if result.verdict != "error":  # else it came to no wall
        yield from _isolation(result)


def _isolation(result: Result) -> Iterator[Finding]:
    meaning = {
        "full": "every layer of the wall is active",
        "partial": "some layers are missing: fine for your own code, not for grading other people's",
        "none": "the graded code runs without a wall",
    }
    level: Level = "ok" if result.isolation == "full" else "warning"
    yield Finding("isolation", level, f"{result.isolation}: {meaning[result.isolation]}")
    for layer, (what, need) in LAYERS.items():
        state = result.layers.get(layer, f"inactive: not built for {sys.platform}")
        if state == "active":
            yield Finding(f"  {layer}", "ok", what)
        else:
            yield Finding(f"  {layer}", "warning", state, need)


def _server() -> Finding:
    if not client.server_allowed():
        return Finding("warm server", "ok", "not used, as CI is set; every command starts its own engine")
    try:
        status = client.status()
        where = identity.socket_path()
    except identity.UnsafeDirectory as error:
        return Finding("warm server", "warning", str(error), "Until then every command starts its own engine.")
    if status is None:
        return Finding(
            "warm server",
            "warning",
            "not running",
            f"It is started on demand; see {where.with_suffix('.log')}",
        )
    memory = status.memory_mb + status.zygote_memory_mb
    return Finding("warm server", "ok", f"process {status.pid}, {status.graded} graded, {memory:.0f} MB, at {where}")
