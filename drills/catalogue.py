"""The catalogue: every drill of the course and of the packs, read from their folders.

A drill that cannot be read is told with file and fix, and takes no other down. Nothing here imports torch, or
anything of the grader: the catalogue is the lowest room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from drills.drill import BrokenDrill, CatalogueError, Drill, Limits, Reference, Ruled
from drills.packs import BUILTIN, COURSE_FILE, BadPack, Course, Group, find_packs, read_course
from drills.questions import Hint, Question
from drills.table import Problem

__all__ = [
    "BUILTIN",
    "AmbiguousTopic",
    "BadPack",
    "BrokenDrill",
    "Catalogue",
    "CatalogueError",
    "Drill",
    "Group",
    "Hint",
    "Limits",
    "Problem",
    "Question",
    "Reference",
    "UnknownTopic",
]


class UnknownTopic(CatalogueError):
    """No drill has this name; `nearest` are the names most like it, the likeliest first."""

    def __init__(self, text: str, nearest: list[str]) -> None:
        self.text = text
        self.nearest = nearest
        super().__init__(f"there is no drill named {text!r}")


class AmbiguousTopic(CatalogueError):
    """The beginning of several drills' names."""

    def __init__(self, text: str, candidates: list[str]) -> None:
        self.text = text
        self.candidates = candidates
        super().__init__(f"{text!r} may be any of: {', '.join(candidates)}")


class _Name(NamedTuple):
    pack: str
    topic: str  # the folder's name
    slug: str  # the same, or `pack:topic` where another pack has that name already


@dataclass(frozen=True)
class Catalogue:
    """All drills, in the order of the course; first the built-in ones, then each pack's."""

    drills: tuple[Drill, ...]
    groups: tuple[Group, ...]  # without broken drills, and none that is empty
    broken: Mapping[str, tuple[Problem, ...]]  # by slug; `course.toml` or `pack:` for what concerns a whole pack
    warnings: tuple[str, ...]  # e.g. two packs with a drill of the same name
    _names: tuple[_Name, ...]

    @classmethod
    def load(cls, packs: Sequence[Path] = ()) -> Catalogue:
        """Read the built-in drills, the installed packs and the folders `packs`.

        Raises BadPack for a folder that is no pack; what is wrong with a drill is in `broken`.
        """
        found, broken = find_packs(packs)
        courses: list[Course] = []
        for pack in found:
            courses.append(read_course(pack, courses[0].ruled if courses else Ruled()))
        return _merge(courses, broken)

    def find(self, text: str) -> Drill:
        """The drill that a learner means: a slug, the beginning of one, or `pack:topic`.

        Upper case and `-` for `_` make no difference. Where two packs have a drill of that name, the plain
        name is the first one's. Raises UnknownTopic, AmbiguousTopic or BrokenDrill.
        """
        wanted = _normal(text)
        pack, _, topic = wanted.rpartition(":")
        names = [name for name in self._names if pack in ("", name.pack) and name.topic.startswith(topic)]
        if not topic or not names:
            raise UnknownTopic(text, self._nearest(topic))
        exact = [name for name in names if name.slug == wanted]
        chosen = exact or [name for name in names if name.topic == topic] or names
        if len(chosen) > 1:
            raise AmbiguousTopic(text, [name.slug for name in chosen])
        return self._drill(chosen[0].slug)

    def _drill(self, slug: str) -> Drill:
        if slug in self.broken:
            raise BrokenDrill(slug, self.broken[slug])
        return next(drill for drill in self.drills if drill.slug == slug)

    def _nearest(self, topic: str) -> list[str]:
        from difflib import get_close_matches  # wanted only after a slip of the pen

        slugs = {name.topic: name.slug for name in reversed(self._names)}
        return [slugs[near] for near in get_close_matches(topic, slugs, n=3, cutoff=0.5)]


def _normal(text: str) -> str:
    return text.strip().casefold().replace("-", "_")


def _merge(courses: Sequence[Course], broken: dict[str, list[Problem]]) -> Catalogue:
    names, warnings = _give_names(courses)
    slugs = {(name.pack, name.topic): name.slug for name in names}
    good: dict[str, Drill] = {}
    for course in courses:
        if course.problems:
            mine = course.pack.name == BUILTIN
            broken[COURSE_FILE if mine else f"{course.pack.name}:{COURSE_FILE}"] = list(course.problems)
        for topic, read in course.drills.items():
            slug = slugs[course.pack.name, topic]
            drill = read if isinstance(read, list) else _with_prerequisites(read, slug, slugs)
            if isinstance(drill, list):
                broken[slug] = drill
            else:
                good[slug] = drill
    for slug, problem in _circles(good):
        del good[slug]
        broken[slug] = [problem]
    return Catalogue(
        drills=tuple(good.values()),
        groups=tuple(_groups(courses, slugs, good)),
        broken={slug: tuple(problems) for slug, problems in broken.items()},
        warnings=tuple(warnings),
        _names=tuple(names),
    )


def _give_names(courses: Sequence[Course]) -> tuple[list[_Name], list[str]]:
    """A slug for every drill. The first pack that has a name gets it plain."""
    names: list[_Name] = []
    warnings: list[str] = []
    taken: dict[str, str] = {}
    for course in courses:
        pack = course.pack.name
        for topic in course.drills:
            owner = taken.setdefault(topic, pack)
            slug = topic if owner == pack else f"{pack}:{topic}"
            names.append(_Name(pack, topic, slug))
            if owner != pack:
                warnings.append(f"the packs {owner} and {pack} both have a drill {topic}; {pack}'s is {slug}")
    return names, warnings


def _with_prerequisites(drill: Drill, slug: str, slugs: Mapping[tuple[str, str], str]) -> Drill | list[Problem]:
    """The drill under its slug, its prerequisites looked up in its own pack, then in the built-in drills."""
    file = drill.folder / "drill.toml"
    found, problems = [], []
    for text in drill.prerequisites:
        topic = _normal(text)
        known = slugs.get((drill.pack, topic)) or slugs.get((BUILTIN, topic))
        if known is not None:
            found.append(known)
        else:
            fix = "Name a drill that exists or take it out of `prerequisites`"
            problems.append(Problem(file, f"the prerequisite {text} does not exist", fix))
    return problems or replace(drill, slug=slug, prerequisites=tuple(found))


def _circles(drills: Mapping[str, Drill]) -> list[tuple[str, Problem]]:
    """Every drill that is, through others, its own prerequisite."""
    found = []
    for slug, drill in drills.items():
        path = _path_back(slug, drills)
        if path:
            message = f"the prerequisites make a circle: {' -> '.join(path)}"
            found.append((slug, Problem(drill.folder / "drill.toml", message, "Take one of them out")))
    return found


def _path_back(start: str, drills: Mapping[str, Drill]) -> list[str]:
    """The way from `start` along prerequisites to itself, or nothing."""
    paths, visited = [[start]], set()
    while paths:
        path = paths.pop()
        for slug in drills[path[-1]].prerequisites if path[-1] in drills else ():
            if slug == start:
                return [*path, slug]
            if slug not in visited:
                visited.add(slug)
                paths.append([*path, slug])
    return []


def _groups(
    courses: Sequence[Course], slugs: Mapping[tuple[str, str], str], good: Mapping[str, Drill]
) -> Iterator[Group]:
    for course in courses:
        for group in course.groups:
            members = [slugs[course.pack.name, topic] for topic in group.drills]
            if shown := tuple(slug for slug in members if slug in good):
                yield replace(group, drills=shown)
