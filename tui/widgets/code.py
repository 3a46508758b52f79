"""The Code tab: the learner's file, edited in the app. Nothing of an editor is built before it is first shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from grader.errors import BadInput
from tui.keys import CODE_KEYS
from tui.source import read_source
from tui.widgets.pane import Pane

if TYPE_CHECKING:
    from textual.widgets import TextArea

    from tui.widgets.editor import Editor

OUTSIDE = "The file was changed by somebody else, and you have changes that are not saved: ctrl+s asks which to keep."
GONE = " What you typed is still here; ctrl+s writes it."


class CodePane(Pane):
    """The editor of the drill that is open, and a line above it where there is anything to tell."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(replace(key, show=False) for key in CODE_KEYS if key.action.startswith("save")),
        Binding("enter", "type", "Type", show=False, tooltip="Type in the editor"),
    ]

    class Asked(Message):
        """The learner wants the file saved, and checked; `stay`: without being shown the result."""

        def __init__(self, slug: str, *, stay: bool) -> None:
            super().__init__()
            self.slug = slug
            self.stay = stay

    class Marked(Message):
        """Whether there is anything unsaved may be another thing than before."""

    def __init__(self) -> None:
        super().__init__(id="code")
        self.editors: dict[str, Editor] = {}  # by slug
        self._slug = ""
        self._file = Path()
        self._appeared = False

    def compose(self) -> ComposeResult:
        yield Static(id="code-notice")

    def on_mount(self) -> None:
        self.watch(self.app, "app_focus", self._come_back, init=False)

    def _come_back(self) -> None:
        """The learner was in another window, perhaps in another editor."""
        self.look(self._slug)

    @property
    def editor(self) -> Editor | None:
        """The editor of the drill that is open, if it has been built."""
        return self.editors.get(self._slug)

    @property
    def unsaved(self) -> list[Editor]:
        """The editors, of all drills, with something that their files do not have."""
        return [editor for editor in self.editors.values() if editor.unsaved]

    @property
    def typing(self) -> bool:
        """Does the editor get the keys?"""
        return self.editor is not None and self.editor.has_focus

    def open(self, slug: str, file: Path) -> None:
        """Hold the file of this drill. What is not saved of another is kept until one comes back to it."""
        typing = self.typing
        self._slug, self._file = slug, file
        if self._appeared:
            self._show(focus=typing)

    def appear(self) -> None:
        self._appeared = True
        self._show()

    def focus(self, scroll_visible: bool = True) -> CodePane:
        """Give the focus to the editor, where there is one."""
        if self.editor is not None and self.editor.display:
            self.editor.focus(scroll_visible)
        else:
            super().focus(scroll_visible)
        return self

    def look(self, slug: str) -> None:
        """Have the editor of a drill follow its file, unless that would cost what is not saved."""
        if slug == self._slug and self._appeared:
            self._show()
        elif slug in self.editors:
            self._follow(self.editors[slug])

    def _show(self, *, focus: bool = False) -> None:
        """Show the editor of the drill that is open, as far as its file can be read."""
        problem = self._follow(self.editor) if self.editor else self._build()
        for slug, editor in self.editors.items():
            shown = slug == self._slug and (editor.unsaved or not problem)
            if editor.has_focus and not shown:
                Pane.focus(self)
            editor.display = shown
        if focus:
            self.focus()
        self._tell(problem)

    def _build(self) -> str:
        """Build the editor of the drill that is open; returns why it cannot be."""
        if not self._slug:
            return ""
        try:
            source = read_source(self._file)
        except BadInput as error:
            return f"{error.message} {error.advice}"
        from tui.widgets.editor import Editor  # with the packages that colour it

        self.editors[self._slug] = editor = Editor(self._slug, self._file, source)
        self.mount(editor)
        return ""

    def _follow(self, editor: Editor) -> str:
        """Bring an editor up to date with its file; returns why it cannot be."""
        try:
            source = read_source(editor.file)
        except BadInput as error:
            return error.message + GONE if editor.unsaved else f"{error.message} {error.advice}"
        if source.content == editor.source.content and source.locked == editor.source.locked:
            editor.theirs = None
        elif not editor.unsaved or source.text == editor.text:
            editor.take(source)
        else:
            editor.theirs = source
        return ""

    def _tell(self, problem: str) -> None:
        text, editor = problem, self.editor
        if not text and editor is not None:
            text = OUTSIDE if editor.theirs else editor.source.locked
        notice = self.query_one("#code-notice", Static)
        notice.update(Content(text))
        notice.display = bool(text)
        self.post_message(self.Marked())

    def saved(self) -> None:
        """Show that something was saved."""
        self._tell("")

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.post_message(self.Marked())

    def on_editor_asked(self, event: Editor.Asked) -> None:
        event.stop()
        self.action_save(event.stay)

    def on_editor_left(self, event: Editor.Left) -> None:
        event.stop()
        Pane.focus(self)

    def action_type(self) -> None:
        self.focus()

    def action_save(self, stay: bool) -> None:
        self.post_message(self.Asked(self._slug, stay=stay))
