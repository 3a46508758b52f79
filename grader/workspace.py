"""The learner's folder: one file a drill, and `.drills/` with what the project keeps there.

Nothing here ever overwrites a file of the learner's: a stub is only put where no file is, and an old attempt
is moved, not copied.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from drills.catalogue import BrokenDrill, Catalogue, Drill
from grader.errors import BadInput

VERSION = 1
ENVIRONMENT = "DRILLS_WORKSPACE"
INNER = ".drills"
_WORKSPACE_TOML = f"""\
# This folder is an llm-drills workspace. The other files in {INNER} are yours to keep, not to edit.
version = {VERSION}
"""


@dataclass(frozen=True)
class Workspace:
    """A workspace, which may not exist yet."""

    root: Path

    @classmethod
    def locate(cls, explicit: Path | None = None) -> Workspace:
        """The workspace that a command means; it need not exist.

        That is the option, else $DRILLS_WORKSPACE, else the nearest folder upwards that is one, else
        ~/llm-drills.
        """
        if explicit is None and os.environ.get(ENVIRONMENT):
            explicit = Path(os.environ[ENVIRONMENT])
        try:
            if explicit is not None:
                return cls(explicit.expanduser().absolute())
            with suppress(OSError):  # the current folder is gone, or one above it closed to us
                here = Path.cwd()
                for folder in (here, *here.parents):
                    if (folder / INNER).is_dir():
                        return cls(folder)
            return cls(Path.home() / "llm-drills")
        except (RuntimeError, OSError):
            raise BadInput("No place for a workspace is known.", "Name one: --workspace DIR") from None

    @property
    def inner(self) -> Path:
        """The folder of what the project keeps: progress, old attempts."""
        return self.root / INNER

    @property
    def progress_file(self) -> Path:
        """The database of attempts and reviews."""
        return self.inner / "progress.db"

    @property
    def exists(self) -> bool:
        return os.access(self.inner / "workspace.toml", os.F_OK)

    def file(self, slug: str) -> Path:
        """The learner's file of a drill; a slug that names its pack (`pack:topic`) gives `pack__topic.py`."""
        return self.root / f"{slug.replace(':', '__')}.py"

    def require(self) -> None:
        """Raise BadInput where there is no workspace, or one of a newer version than this program knows."""
        if not self.exists:
            raise BadInput(f"There is no workspace at {self.root}.", "`drills start` makes one.")
        self._refuse_newer()

    def create(self, catalogue: Catalogue) -> list[Path]:
        """Make the workspace where it does not exist, and a stub for every drill that has no file yet.

        Returns the stubs that were put there. Two commands may do this at once. Raises BadInput for a folder
        that cannot be written or belongs to a newer version.
        """
        with self._writing():
            self.inner.mkdir(parents=True, exist_ok=True)
            if not self.exists:
                self._put(self.inner / "workspace.toml", _WORKSPACE_TOML)
        self._refuse_newer()
        return [file for drill in catalogue.drills if (file := self._put_stub(drill)) is not None]

    def differs(self, drill: Drill) -> bool:
        """Is there a file of the drill that is anything but the stub?"""
        try:
            return self.file(drill.slug).read_bytes() != drill.stub_source.encode()
        except (OSError, BrokenDrill):
            return False

    def reset(self, drill: Drill) -> Path | None:
        """Put the stub back. Returns where the attempt went that was in its place, if any."""
        self.require()
        stub = drill.stub_source  # read first: a broken drill must not cost the learner their file
        file = self.file(drill.slug)
        with self._writing():
            kept = self._keep(file) if os.path.lexists(file) else None
            self._put(file, stub)
        return kept

    def _put_stub(self, drill: Drill) -> Path | None:
        file = self.file(drill.slug)
        if os.path.lexists(file):
            return None
        try:
            stub = drill.stub_source
        except BrokenDrill:
            return None  # told by the catalogue's own check; the other drills still get theirs
        with self._writing():
            return file if self._put(file, stub) else None

    def put_by(self, slug: str, content: bytes) -> Path:
        """Keep a text of the learner's among the old attempts, where its file is to hold another. Returns its file."""
        with self._writing():
            kept = self._reserve(self.file(slug).stem)
            kept.write_bytes(content)
        return kept

    def _keep(self, file: Path) -> Path | None:
        """Move a file among the old attempts, under a name that no other has."""
        kept = self._reserve(file.stem)
        try:
            file.replace(kept)
        except OSError as error:
            kept.unlink(missing_ok=True)
            if isinstance(error, FileNotFoundError):  # another command was faster
                return None
            raise
        return kept

    def _reserve(self, stem: str) -> Path:
        """An empty file for an old attempt: it reserves the name, for os.replace would overwrite another attempt."""
        from datetime import UTC, datetime

        attempts = self.inner / "attempts"
        attempts.mkdir(exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        number = 1
        while True:
            kept = attempts / f"{stem}-{stamp}-{number}.py"
            try:
                os.close(os.open(kept, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
                return kept
            except FileExistsError:
                number += 1

    def _put(self, file: Path, text: str) -> bool:
        """Write a file where none is, all of it or nothing. False if there is one."""
        draft = self.inner / f"draft-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            _write_new(draft, text)
            try:
                file.hardlink_to(draft)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                return _write_new(file, text)
            return True
        finally:
            draft.unlink(missing_ok=True)

    def _refuse_newer(self) -> None:
        file = self.inner / "workspace.toml"
        advice = "Remove it; `drills start` writes a new one."
        try:
            version = tomllib.loads(file.read_text(encoding="utf-8")).get("version")
        except (OSError, ValueError) as error:
            raise BadInput(f"{file} cannot be read: {error}.", advice) from None
        if not isinstance(version, int) or version < 1:
            raise BadInput(f"{file} names no version.", advice)
        if version > VERSION:
            advice = "Upgrade llm-drills, or choose another folder with --workspace DIR."
            raise BadInput(f"The workspace {self.root} was made by a newer llm-drills.", advice)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Inside, a failure to write is BadInput."""
        try:
            yield
        except (FileExistsError, NotADirectoryError):
            message = f"{self.root} cannot be a workspace: there is a file where a folder should be."
            raise BadInput(message, "Choose another folder: --workspace DIR") from None
        except OSError as error:
            message = f"The workspace {self.root} cannot be written: {error.strerror}."
            raise BadInput(message, "Make it writable, or choose another folder: --workspace DIR") from None


def _write_new(file: Path, text: str) -> bool:
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except OSError:
        file.unlink(missing_ok=True)  # half a stub would stay for good
        raise
    return True
