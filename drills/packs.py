"""Where drills come from: this package, folders given with `--pack`, installed packages that announce one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drills.drill import CatalogueError, Drill, Ruled, read_drill
from drills.table import Problem, read_table

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

BUILTIN = "builtin"
ENTRY_POINT_GROUP = "drills.packs"
COURSE_FILE = "course.toml"


class BadPack(CatalogueError):
    """A folder given as a pack is none."""


@dataclass(frozen=True)
class Pack:
    """A folder of drills and the folder of their solutions."""

    name: str
    drills: Path
    solutions: Path


@dataclass(frozen=True)
class Group:
    """A chapter of the course; `drills` are slugs, in order."""

    id: str
    title: str
    title_zh: str
    drills: tuple[str, ...]


@dataclass(frozen=True)
class Course:
    """What one pack holds, under its own names: nothing of other packs is looked at yet."""

    pack: Pack
    groups: tuple[Group, ...]
    ruled: Ruled
    drills: dict[str, Drill | list[Problem]]  # by the folder's name, in the order of the course
    problems: tuple[Problem, ...]  # with the course file itself


def find_packs(folders: Sequence[Path]) -> tuple[list[Pack], dict[str, list[Problem]]]:
    """The built-in drills, the installed packs, then `folders`; one that comes twice counts once.

    Raises BadPack for a folder of `folders` that is no pack; an installed one is reported by name instead.
    """
    here = Path(__file__).resolve().parent
    packs = [Pack(BUILTIN, here, here.parent / "solutions")]
    broken: dict[str, list[Problem]] = {}
    for name, root in _installed():
        try:
            _add(packs, name, root)
        except BadPack as error:
            fix = f"Reinstall or remove the package that brings the pack {name}"
            broken[f"{name}:"] = [Problem(root, str(error), fix)]
    for folder in folders:
        root = folder.resolve()
        _add(packs, root.name.lower().replace("-", "_"), root)
    return packs, broken


def _add(packs: list[Pack], name: str, root: Path) -> None:
    drills = root / "drills"
    if not drills.is_dir():
        raise BadPack(f"{root} is no pack: it has no folder `drills`")
    if not os.access(drills, os.R_OK | os.X_OK):
        raise BadPack(f"{drills} may not be read")
    if any(pack.drills == drills for pack in packs):
        return
    namesake = next((pack for pack in packs if pack.name == name), None)
    if namesake is not None:
        raise BadPack(f"two packs are named {name}: {namesake.drills.parent} and {root}; rename one folder")
    packs.append(Pack(name, drills, root / "solutions"))


def _installed() -> list[tuple[str, Path]]:
    """(name, folder) of the packs that installed packages announce; the packages are not imported."""
    if not any(_announced(entry) for entry in sys.path):
        return []
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    found = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        name = point.name.lower().replace("-", "_")
        try:
            spec = find_spec(point.module)
        except Exception:  # a dotted name imports its parents, which may do anything
            spec = None
        found.append((name, _folder(spec) if spec else Path(point.module)))
    return found


def _folder(spec: ModuleSpec) -> Path:
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin or "").resolve().parent


def _announced(entry: str) -> bool:
    """Does a package installed in this folder of the path announce a pack?

    Asking importlib.metadata takes half as long as all the rest of the start; most machines have no pack.
    """
    try:
        with os.scandir(entry or ".") as items:
            places = [item.path for item in items if item.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return False
    for place in places:
        try:
            if ENTRY_POINT_GROUP.encode() in Path(place, "entry_points.txt").read_bytes():
                return True
        except OSError:
            continue
    return False


def read_course(pack: Pack, inherited: Ruled) -> Course:
    """Read every drill of a pack. One without `course.toml` is one group, in alphabetical order.

    inherited: what is ruled out where the pack's own `course.toml` says nothing of it.
    """
    topics = _topics(pack.drills)
    groups, ruled, problems = _read_course_file(pack, topics, inherited)
    group_of = {topic: group.id for group in groups for topic in group.drills}
    drills: dict[str, Drill | list[Problem]] = {}
    for topic in dict.fromkeys([*group_of, *topics]):
        if topic not in topics:
            fix = f"Write the drill or take {topic} out of {COURSE_FILE}"
            drills[topic] = [Problem(pack.drills / COURSE_FILE, f"there is no folder {topic}", fix)]
        elif topic not in group_of:
            fix = f'Add "{topic}" to the drills of a group'
            drills[topic] = [Problem(pack.drills / COURSE_FILE, f"the drill {topic} is in no group", fix)]
        else:
            solution = pack.solutions / f"{topic}.py"
            drills[topic] = read_drill(pack.drills / topic, solution, pack.name, group_of[topic], ruled)
    return Course(pack, groups, ruled, drills, problems)


def _topics(folder: Path) -> list[str]:
    """The drill folders. One that holds nothing but caches is what a removed drill left behind."""
    return sorted(
        item.name
        for item in folder.iterdir()
        if item.is_dir()
        and not item.name.startswith((".", "_"))
        and any(not inside.name.startswith((".", "_")) for inside in item.iterdir())
    )


def _read_course_file(
    pack: Pack, topics: list[str], inherited: Ruled
) -> tuple[tuple[Group, ...], Ruled, tuple[Problem, ...]]:
    file = pack.drills / COURSE_FILE
    whole = (Group(pack.name, pack.name, pack.name, tuple(topics)),)
    if not file.exists() and pack.name != BUILTIN:
        return whole, inherited, ()
    table = read_table(file)
    if isinstance(table, Problem):
        return whole, inherited, (table,)
    forbidden, operators = table.names("forbidden"), table.names("operators")
    ruled = Ruled(forbidden, operators) if table.has("forbidden") or table.has("operators") else inherited
    groups: list[Group] = []
    placed: set[str] = set()
    for entry in table.tables("groups"):
        group = Group(entry.text("id"), entry.text("title"), entry.text("title_zh"), entry.names("drills"))
        entry.finish()
        twice = placed.intersection(group.drills)
        table.problems += [Problem(file, f"{topic} is in two groups", "Keep one") for topic in sorted(twice)]
        drills = tuple(topic for topic in group.drills if topic not in placed)
        groups.append(Group(group.id, group.title, group.title_zh, drills))
        placed.update(group.drills)
    table.finish()
    return tuple(groups), ruled, tuple(table.problems)
