"""The learner's notes: added, looked at, removed, and read for a drill."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from drills.catalogue import Catalogue
from grader.errors import BadInput
from grader.notes.parsing import Notes, Section, parse_notes
from grader.notes.placing import Index
from grader.notes.reading import Text, find_notes, read_notes
from grader.notes.store import Source, Store
from grader.workspace import Workspace

Standing = Literal["unchanged", "changed", "missing", "unreadable"]


class Note(NamedTuple):
    """A section of the learner's notes, beside a drill. Its text is verbatim, and nobody has checked it."""

    title: str
    text: str
    file: str
    line: int


class Placed(NamedTuple):
    """A section and the slugs of the drills that it belongs to."""

    section: Section
    drills: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """A source as it reads now."""

    source: Source
    standing: Standing
    notes: Notes
    placed: tuple[Placed, ...]
    trouble: str = ""  # why it cannot be read, and what to do

    def of(self, slug: str) -> list[Section]:
        """The sections that belong to a drill; a part only where what it is part of does not."""
        found: list[Section] = []
        end = 0  # of the last one that was taken
        for each in self.placed:
            if slug in each.drills and each.section.line > end:
                found.append(each.section)
                end = each.section.end
        return found


class Addition(NamedTuple):
    """What became of a file that was to be added."""

    path: Path
    change: Literal["added", "updated", "known", "refused"]
    document: Document | None = None
    refusal: BadInput | None = None


class Additions(NamedTuple):
    """What became of all of them; `skipped` counts the files in folders that are no notes."""

    files: list[Addition]
    skipped: int


class Library:
    """The notes of one workspace, for the drills of one catalogue. Reading twice costs one look at the files."""

    def __init__(self, workspace: Workspace, catalogue: Catalogue, warn: Callable[[str], None]) -> None:
        self._store = Store(workspace, warn)
        self._warn = warn
        self._told: set[str] = set()
        self._catalogue = catalogue
        self._index: Index | None = None
        self._read: dict[tuple[str, int, int], tuple[str, Notes, tuple[Placed, ...]]] = {}

    def add(self, paths: Sequence[Path], *, copy: bool = False) -> Additions:
        """Add files, and the notes in folders. One that cannot be used does not keep out the others."""
        additions: list[Addition] = []
        skipped = 0
        with self._store.changing() as sources:
            for path in paths:
                try:
                    files, others = find_notes(path) if path.is_dir() else ([path], 0)
                except BadInput as refusal:
                    additions.append(Addition(path, "refused", refusal=refusal))
                    continue
                skipped += others
                additions += [self._add(file, sources, copy) for file in files]
        return Additions(additions, skipped)

    def _add(self, path: Path, sources: list[Source], copy: bool) -> Addition:
        try:
            text = read_notes(path)
            where = os.path.realpath(path)
        except BadInput as refusal:
            return Addition(path, "refused", refusal=refusal)
        known = next((place for place, source in enumerate(sources) if _same(source, where, text)), None)
        name = sources[known].name if known is not None else _free_name(where, sources)
        made = Source(name=name, path=where, size=text.size, mtime_ns=text.mtime_ns, digest=text.digest)
        if known is not None and sources[known].digest == text.digest and _is_there(sources[known]):
            return Addition(path, "known", self.document(sources[known]))
        if copy or (known is not None and sources[known].copied_from):
            made = self._copy(made, text)
        if known is None:
            sources.append(made)
        else:
            sources[known] = made
        return Addition(path, "added" if known is None else "updated", self.document(made))

    def _copy(self, made: Source, text: Text) -> Source:
        self._store.copies.mkdir(exist_ok=True)
        target = self._store.copies / made.name.replace("/", "__")
        self._store.put(target, text.content)
        mtime = target.stat().st_mtime_ns
        return Source(
            name=made.name,
            path=str(target),
            size=made.size,
            mtime_ns=mtime,
            digest=made.digest,
            copied_from=made.path,
        )

    def remove(self, name: str) -> Source:
        """Forget a source, and delete the copy of it that was made; the learner's own file stays. BadInput."""
        with self._store.changing() as sources:
            source = next((each for each in sources if name in (each.name, each.path, each.copied_from)), None)
            if source is None:
                known = ", ".join(each.name for each in sources)
                advice = f"There are: {known}" if known else "None were added so far: drills sources add FILE"
                raise BadInput(f"There are no notes named {name!r}.", advice)
            sources.remove(source)
        if source.copied_from:
            Path(source.path).unlink(missing_ok=True)
        return source

    def documents(self) -> list[Document]:
        """All sources as they read now."""
        return [self.document(source) for source in self._store.read()]

    def document(self, source: Source) -> Document:
        """A source as it reads now. A file that has changed is read anew, one that is gone has no sections."""
        path = Path(source.path)
        try:
            digest, notes, placed = self._look(path)
        except BadInput as refusal:
            missing = not os.path.lexists(path)
            advice = f"Put it back, or forget it: drills sources remove {source.name}" if missing else refusal.advice
            standing: Standing = "missing" if missing else "unreadable"
            return Document(source, standing, Notes((), (), ()), (), f"{refusal.message} {advice}")
        same = digest == source.digest
        return Document(source, "unchanged" if same else "changed", notes, placed)

    def notes_for(self, slug: str) -> list[Note]:
        """What the learner's notes say on a drill, in the order in which they were added.

        Of notes that cannot be read, a warning tells once.
        """
        documents = self.documents()
        for trouble in [each.trouble for each in documents if each.trouble and each.trouble not in self._told]:
            self._told.add(trouble)
            self._warn(trouble)
        return [
            Note(_title(section), section.text, document.source.path, section.line)
            for document in documents
            for section in document.of(slug)
        ]

    def _look(self, path: Path) -> tuple[str, Notes, tuple[Placed, ...]]:
        """Its digest and what is in it; read unless it is known: the same size and time of change."""
        try:
            status = path.stat()
            known = self._read.get((str(path), status.st_size, status.st_mtime_ns))
        except (OSError, ValueError):
            known = None  # told by the reading below
        if known is not None:
            return known
        text = read_notes(path)
        notes = parse_notes(text.text)
        if self._index is None:
            self._index = Index(self._catalogue.drills)
        index = self._index
        placed = tuple(Placed(section, index.place(section)) for section in notes.sections)
        self._read = {key: value for key, value in self._read.items() if key[0] != str(path)}
        self._read[str(path), text.size, text.mtime_ns] = (text.digest, notes, placed)
        return text.digest, notes, placed


def _title(section: Section) -> str:
    """A question speaks for itself; another title is told with the one above it."""
    return section.title if section.kind == "question" else " › ".join((*section.path[-1:], section.title))


def _same(source: Source, where: str, text: Text) -> bool:
    """Is it the same file, or the same text?"""
    return where in (source.path, source.copied_from) or source.digest == text.digest


def _is_there(source: Source) -> bool:
    return os.path.lexists(source.path)


def _free_name(where: str, sources: Sequence[Source]) -> str:
    """The file's name, with as much of its path as tells it from the others."""
    taken = {source.name for source in sources}
    parts = Path(where).parts[1:]
    names = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
    free = next((name for name in names if name not in taken), None)
    number = 2
    while free is None or free in taken:
        free, number = f"{parts[-1]} {number}", number + 1
    return free
