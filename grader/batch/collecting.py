"""Finding what people handed in: folders, single files, and zip archives, which are read and never unpacked.

    FOLDER/<learner>/<topic>.py         FOLDER/<learner>/anything.zip  with <topic>.py in it
    FOLDER/<learner>_<topic>.py         FOLDER/<learner>.zip           with <topic>.py in it

Whatever cannot be used is told with the reason; it never stops the others.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from grader.errors import BadInput
from grader.plain import plain
from grader.submission import MAX_BYTES, check_submission, read_submission

MAX_ARCHIVE = 50_000_000  # bytes of a zip archive
MAX_MEMBERS = 1000
_JUNK = ("__MACOSX", "__pycache__")


class Submission(NamedTuple):
    """One answer. `origin`: where it was found, for people; `at`: when it was last changed."""

    learner: str
    topic: str
    source: bytes
    origin: str
    at: datetime


class Unused(NamedTuple):
    """Something that was not graded, and why."""

    origin: str
    reason: str
    learner: str = ""


class Collected(NamedTuple):
    """Everything that a folder holds, in the order of its names."""

    submissions: list[Submission]
    unused: list[Unused]


def collect(folder: Path, topics: Sequence[str]) -> Collected:
    """What was handed in for these topics. Raises BadInput if there is no such folder."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        reason = f"{folder} cannot be read: {error.strerror}."
        raise BadInput(reason, "Name the folder that holds what people handed in.") from None
    found: list[Submission | Unused] = []
    for entry in entries:
        if not entry.name.startswith("."):
            found += _entry(entry, _Topics(topics))
    return _newest(found)


class _Topics:
    """The names that a file may have."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics
        names = "|".join(sorted((re.escape(t).replace("_", "[-_]") for t in topics), key=len, reverse=True))
        # The longest topic that the name ends with: `ann_bert_masking` is no answer to `masking`.
        self._flat = re.compile(rf"(?P<learner>.+?)[-_. ]+(?P<topic>{names})", re.IGNORECASE)

    def of(self, stem: str) -> str | None:
        """The topic that a file of this name answers."""
        slug = stem.lower().replace("-", "_")
        return slug if slug in self._topics else None

    def split(self, stem: str) -> tuple[str, str] | None:
        """(learner, topic) of a file that says both."""
        match = self._flat.fullmatch(stem)
        return (match["learner"], match["topic"].lower().replace("-", "_")) if match else None


def _entry(path: Path, topics: _Topics) -> Iterator[Submission | Unused]:
    """One entry of the folder."""
    kind = _kind(path)
    if kind == "link":
        yield Unused(plain(str(path)), "is a link, which may lead to somebody else's work: hand in the file itself")
    elif kind == "folder":
        yield from _learners_folder(path, topics)
    elif path.suffix.lower() == ".zip":
        yield from _archive(path, path.stem, topics)
    elif path.suffix.lower() == ".py":
        named = topics.split(path.stem)
        if named is None:
            yield Unused(plain(str(path)), "is not named <learner>_<topic>.py, with a topic of the course")
        else:
            yield _file(path, *named)
    else:
        yield Unused(plain(str(path)), "is neither a folder nor a .py or .zip file")


def _kind(path: Path) -> str:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return "gone"
    return "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "file"


def _learners_folder(folder: Path, topics: _Topics) -> Iterator[Submission | Unused]:
    """The files of one person; other files than answers are nobody's business."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield Unused(plain(str(folder)), f"cannot be read: {error.strerror}", folder.name)
        return
    for path in entries:
        topic = topics.of(path.stem) if path.suffix.lower() == ".py" else None
        is_archive = path.suffix.lower() == ".zip"
        if (topic or is_archive) and _kind(path) == "link":
            yield Unused(plain(str(path)), "is a link: hand in the file itself", folder.name)
        elif topic:
            yield _file(path, folder.name, topic)
        elif is_archive:
            yield from _archive(path, folder.name, topics)
        elif path.suffix.lower() == ".py":
            yield Unused(plain(str(path)), "is not named after a topic of the course", folder.name)


def _file(path: Path, learner: str, topic: str) -> Submission | Unused:
    origin = plain(str(path))
    try:
        source = read_submission(path)
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except BadInput as error:
        return Unused(origin, plain(f"{error.message} {error.advice}"), learner)
    except (OSError, OverflowError) as error:
        return Unused(origin, str(error), learner)
    return Submission(plain(learner), topic, source, origin, at)


def _archive(path: Path, learner: str, topics: _Topics) -> Iterator[Submission | Unused]:
    """The answers in a zip archive. A member is read up to the size that an answer may have, whatever it claims."""
    origin = plain(str(path))
    try:
        if path.stat().st_size > MAX_ARCHIVE:
            yield Unused(origin, f"is larger than {MAX_ARCHIVE // 1_000_000} MB", learner)
            return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                yield Unused(origin, f"holds more than {MAX_MEMBERS} files", learner)
                return
            for member in members:
                yield from _member(archive, member, origin, learner, topics)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, EOFError, RuntimeError) as error:
        yield Unused(origin, f"is no zip archive that can be read: {plain(str(error))}", learner)


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, origin: str, learner: str, topics: _Topics
) -> Iterator[Submission | Unused]:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    where = f"{origin}: {plain(member.filename)}"
    topic = topics.of(name.stem) if name.suffix.lower() == ".py" else None
    if member.is_dir() or topic is None or set(_JUNK) & set(name.parts) or name.name.startswith("."):
        return
    if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
        yield Unused(where, "has a name that leads out of the archive, or is a link", learner)
        return
    if member.flag_bits & 1:
        yield Unused(where, "is encrypted: hand it in without a password", learner)
        return
    with archive.open(member) as stream:
        source = stream.read(MAX_BYTES + 1)
    try:
        check_submission(Path(name.name), source)
    except BadInput as error:
        yield Unused(where, plain(f"{error.message} {error.advice}"), learner)
        return
    yield Submission(plain(learner), topic, source, where, _stamp(member))


def _stamp(member: zipfile.ZipInfo) -> datetime:
    """When it was changed, as the archive tells: in the local time of whoever made it, which is taken for ours."""
    try:
        return datetime(*member.date_time).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _newest(found: Sequence[Submission | Unused]) -> Collected:
    """Of several answers by one person to one topic, the one that was changed last."""
    unused = [each for each in found if isinstance(each, Unused)]
    kept: dict[tuple[str, str], Submission] = {}
    for each in (each for each in found if isinstance(each, Submission)):
        other = kept.get((each.learner, each.topic))
        if other is None:
            kept[each.learner, each.topic] = each
            continue
        older, newer = sorted((other, each), key=lambda one: (one.at, one.origin))
        kept[each.learner, each.topic] = newer
        unused.append(Unused(older.origin, f"there is a newer one: {newer.origin}", each.learner))
    return Collected(sorted(kept.values(), key=lambda one: (one.learner, one.topic)), unused)
