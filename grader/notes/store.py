"""Which files of notes the learner has added: `<workspace>/.drills/sources.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from grader.errors import BadInput
from grader.workspace import Workspace

VERSION = 1


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file of notes, as it was when it was added."""

    name: str  # by which the learner removes it
    path: str  # absolute; of the copy, where there is one
    size: int
    mtime_ns: int
    digest: str  # SHA-256
    copied_from: str = ""  # where the original was, of a copy


class _Stored(msgspec.Struct):
    version: int
    sources: tuple[Source, ...] = ()


class Store:
    """The list of sources. It is read at every use, and written whole or not at all."""

    def __init__(self, workspace: Workspace, warn: Callable[[str], None]) -> None:
        self._folder = workspace.inner
        self._warn = warn

    @property
    def copies(self) -> Path:
        """The folder of the notes that were copied."""
        return self._folder / "notes"

    @property
    def file(self) -> Path:
        return self._folder / "sources.json"

    def read(self) -> tuple[Source, ...]:
        """All sources. A damaged list is kept aside, with a warning. Raises BadInput for a newer version's."""
        try:
            content = self.file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise BadInput(f"{self.file} cannot be read: {error.strerror}.", "Make it readable.") from None
        try:
            # Not msgspec's decoder: the name of a file need not be UTF-8, and it refuses what stands for the rest.
            value = json.loads(content)
            version = value["version"]
            if isinstance(version, int) and version > VERSION:
                advice = "Upgrade llm-drills to use them."
                raise BadInput("Your notes were added by a newer llm-drills.", advice)
            return msgspec.convert(value, _Stored).sources
        except (ValueError, KeyError, TypeError, RecursionError, msgspec.MsgspecError):
            self._set_aside(content)
            return ()

    @contextmanager
    def changing(self) -> Iterator[list[Source]]:
        """The sources, to be changed; written at the end. No other process changes them meanwhile."""
        import fcntl  # not on Windows, where no workspace is made

        try:
            with (self._folder / "sources.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                sources = list(self.read())
                before = tuple(sources)
                yield sources
                if tuple(sources) != before:
                    value = msgspec.to_builtins(_Stored(VERSION, tuple(sources)))
                    self.put(self.file, json.dumps(value, indent=1).encode() + b"\n")
        except OSError as error:
            raise BadInput(f"{self._folder} cannot be written: {error.strerror}.", "Make it writable.") from None

    def put(self, file: Path, content: bytes) -> None:
        """Write a file, all of it or nothing."""
        draft = self._folder / f"draft-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            with draft.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    def _set_aside(self, content: bytes) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        number = 1
        while (kept := self.file.with_name(f"sources-damaged-{stamp}-{number}.json")).exists():
            number += 1
        try:
            if self.file.read_bytes() == content:  # else another process was faster
                self.file.rename(kept)
        except OSError as error:
            self._warn(f"The list of your notes is damaged, and cannot be put aside: {error.strerror} ({self.file}).")
            return
        self._warn(f"The list of your notes was damaged. It is kept as {kept}; add them again: drills sources add FILE")
