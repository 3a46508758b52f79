"""What the app remembers from one time to the next."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

Language = Literal["en", "zh"]


class Settings(msgspec.Struct, kw_only=True):
    """The learner's choices. A file that is missing, damaged or cannot be written costs nothing but them."""

    language: Language = "en"
    watch: bool = True  # check on every save
    theme: str = "textual-dark"
    file: str = ""  # where they are kept; not kept without

    @classmethod
    def load(cls, file: Path) -> Self:
        """The settings in `file`, or the usual ones."""
        settings = cls()
        with suppress(OSError, ValueError, msgspec.MsgspecError):
            settings = msgspec.json.decode(file.read_bytes(), type=cls)
        settings.file = str(file)
        return settings

    def change(self, **choices: Any) -> None:
        """Change some, and keep all."""
        for name, value in choices.items():
            setattr(self, name, value)
        if not self.file:
            return
        kept = {name: getattr(self, name) for name in ("language", "watch", "theme")}
        draft = Path(f"{self.file}.{os.getpid()}")
        with suppress(OSError):
            draft.write_bytes(msgspec.json.encode(kept) + b"\n")
            draft.replace(self.file)
