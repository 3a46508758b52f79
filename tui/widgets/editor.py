"""The editor of the Code tab: one a drill, so that each keeps its cursor, its undo and what is not saved."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from tui.keys import CODE_KEYS
from tui.source import Source, typable, write_source

MOST_COLOURED = 1 << 16  # characters; every key has the whole text coloured anew


class Editor(TextArea):
    """A learner's file, and what was typed since it was read."""

    BINDINGS: ClassVar[list[BindingType]] = [*CODE_KEYS]

    class Asked(Message):
        """The learner wants it saved; `stay`: without being shown the result."""

        def __init__(self, stay: bool) -> None:
            super().__init__()
            self.stay = stay

    class Left(Message):
        """The learner wants the keys of the screen back."""

    def __init__(self, slug: str, file: Path, source: Source) -> None:
        super().__init__(
            source.text,
            language=_language(source.text),
            theme="css",
            soft_wrap=False,
            tab_behavior="indent",
            read_only=bool(source.locked),
            show_line_numbers=True,
            compact=True,
        )
        self.slug = slug
        self.file = file
        self.source = source  # what was last read or written
        self.theirs: Source | None = None  # what somebody else wrote, while there are changes that are not saved

    def on_mount(self) -> None:
        self.register_theme(_light_theme())
        self.watch(self.app, "theme", self._choose_theme)
        self.watch(self, "read_only", self._stop_blinking)

    def _choose_theme(self) -> None:
        self.theme = "css" if self.app.current_theme.dark else "light"

    def _stop_blinking(self, read_only: bool) -> None:
        self.cursor_blink = not read_only

    @property
    def unsaved(self) -> bool:
        """Is there anything that the file does not have?"""
        return self.text != self.source.text

    @property
    def content(self) -> bytes:
        """The bytes that saving would write."""
        return self.source.encode(self.text)

    def take(self, source: Source) -> None:
        """Hold what is in the file now. The text before can be had back by undo."""
        place = self.cursor_location
        self.source, self.theirs = source, None
        self.read_only = bool(source.locked)
        if source.text != self.text:
            self.replace(source.text, (0, 0), self.document.end)
            self.move_cursor(self.clamp_visitable(place))
            self.history.checkpoint()

    def save(self) -> None:
        """Write the file. Raises OSError, and ValueError for a text that has no bytes."""
        content, text = self.content, self.text
        write_source(self.file, content)
        self.source = Source(content, text, self.source.newline, self.source.bom)
        self.theirs = None

    def forget(self) -> None:
        """Count what is not saved as gone: it is kept elsewhere."""
        self.source = Source(b"", self.text, self.source.newline, self.source.bom)
        self.theirs = None

    def action_save(self, stay: bool) -> None:
        self.post_message(self.Asked(stay))

    def action_leave(self) -> None:
        self.post_message(self.Left())

    async def _on_key(self, event: events.Key) -> None:
        """Beyond what a text area does: esc leaves it, enter keeps the indent, shift+tab takes one away."""
        if event.key == "escape":
            event.prevent_default()  # there is a binding
        elif event.key == "shift+tab" and not self.read_only:
            event.stop()
            event.prevent_default()
            self._outdent()
        elif event.key == "enter" and not self.read_only:
            event.stop()
            event.prevent_default()
            self._new_line()

    async def _on_paste(self, event: events.Paste) -> None:
        event.text = typable(event.text)  # the text area does the rest

    def _new_line(self) -> None:
        start, end = sorted(self.selection)
        before = self.document.get_line(start[0])[: start[1]]
        indent = before[: len(before) - len(before.lstrip(" \t"))]
        if before.rstrip().endswith(":"):
            indent += " " * self.indent_width
        self.replace(f"\n{indent}", start, end, maintain_selection_offset=False)
        self.scroll_cursor_visible()

    def _outdent(self) -> None:
        row, _ = self.cursor_location
        line = self.document.get_line(row)
        spaces = len(line) - len(line.lstrip(" "))
        taken = (spaces - 1) % self.indent_width + 1 if spaces else 0
        if taken:
            self.delete((row, 0), (row, taken))


def _light_theme() -> TextAreaTheme:
    """Colours for a light ground; those of textual's own theme for types and constants can hardly be read there."""
    known = TextAreaTheme.get_builtin_theme("github_light")
    dark = dict.fromkeys(("type", "type.class", "type.builtin", "boolean", "constant.builtin"), Style(color="#0550ae"))
    return TextAreaTheme("light", syntax_styles={**(known.syntax_styles if known else {}), **dark})


def _language(text: str) -> str | None:
    """Python, where the packages that colour it are installed."""
    if len(text) > MOST_COLOURED or find_spec("tree_sitter") is None or find_spec("tree_sitter_python") is None:
        return None
    return "python"
