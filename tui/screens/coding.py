"""The practice screen where code is written in the app: saving, and never losing what was typed or read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from textual import work

from drills.catalogue import Drill
from grader.errors import BadInput
from tui.editor import content
from tui.screens.choice import Choice, ChoiceScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.desk import Desk
from tui.widgets.code import CodePane

if TYPE_CHECKING:
    from tui.widgets.editor import Editor

KEEP = [Choice("m", "Keep mine", "mine"), Choice("t", "Take theirs", "theirs")]
LEAVE = [Choice("s", "Save", "save"), Choice("d", "Discard", "discard")]


class Coding(Desk):
    """Has the editors' files written, and asks where two texts want to be in one file."""

    def check(self, slug: str, *, stay: bool | None = None) -> None:
        """Check the file of a drill as it is. stay: leave learners where they are, as happens to who is typing."""
        if not self.checker.check(slug):
            return
        if self.workbench.code_pane.typing if stay is None else stay:
            self.workbench.show_beside("result")
        else:
            self.workbench.show("result", focus=self.focused is not self.course)

    def on_code_pane_asked(self, message: CodePane.Asked) -> None:
        message.stop()
        if message.slug:
            self.save_and_check(message.slug, message.stay)

    @work(exclusive=True, group="saving")
    async def save_and_check(self, slug: str, stay: bool) -> None:
        """Save what was typed, and check it. Where saves are not checked, staying is only to save."""
        if not await self.save(slug):
            return
        if stay and not self.app.settings.watch:
            self.checker.look(slug)
            self.notify("It is not checked: checks on save are off.", title=f"{slug} is saved", markup=False)
            return
        if not stay:
            self.workbench.show("result", focus=True)
        self.check(slug, stay=stay)

    def editor_of(self, slug: str) -> Editor | None:
        """The editor with unsaved changes to a drill's file."""
        return next((editor for editor in self.workbench.code_pane.unsaved if editor.slug == slug), None)

    async def save(self, slug: str) -> bool:
        """Write what was typed, if anything is not saved. False if that cannot be, or the learner thinks it over."""
        editor = self.editor_of(slug)
        if editor is None:
            return True
        self.workbench.code_pane.look(slug)
        if editor.theirs is None:
            return self.write(editor)
        question = f"Which text is to be in {editor.file.name}?"
        explanation = "It was changed by somebody else while you typed. The other text is kept among your attempts."
        answer = await self.app.push_screen_wait(ChoiceScreen(question, explanation, KEEP))
        if answer == "mine":
            return self.write(editor)
        return answer == "theirs" and self._take_theirs(editor)

    def _take_theirs(self, editor: Editor) -> bool:
        theirs = editor.theirs
        if theirs is None or not self._put_by(editor.slug, editor.content):
            return False
        editor.take(theirs)
        self.workbench.code_pane.look(editor.slug)
        return True

    def write(self, editor: Editor) -> bool:
        """Write what was typed; what somebody else wrote there is put by. False, with a notice, if that cannot be."""
        now = content(editor.file)
        if now is None and os.path.lexists(editor.file):
            return self._not_saved(editor, "What is there cannot be read, so it cannot be kept")
        if now not in (None, editor.source.content, editor.content) and not self._put_by(editor.slug, now or b""):
            return False
        try:
            editor.save()
        except (OSError, ValueError) as error:
            return self._not_saved(editor, (isinstance(error, OSError) and error.strerror) or str(error))
        self.workbench.code_pane.look(editor.slug)
        return True

    def _not_saved(self, editor: Editor, reason: str) -> bool:
        text = f"{reason}. What you typed is still in the editor."
        self.notify(text, title=f"{editor.file.name} cannot be saved", severity="error", markup=False, timeout=8)
        return False

    def _put_by(self, slug: str, content: bytes) -> bool:
        try:
            kept = self.app.workspace.put_by(slug, content)
        except BadInput as error:
            self.notify(error.advice, title=error.message, severity="error", markup=False, timeout=8)
            return False
        text = f"The other text is kept as {kept.relative_to(self.app.workspace.root)}"
        self.notify(text, title=slug, markup=False, timeout=8)
        return True

    @work(exclusive=True, group="reset")
    async def action_reset(self) -> None:
        drill = self.drill
        if drill is None:
            return
        question = f"Start {drill.slug} again from the stub?"
        unsaved = self.editor_of(drill.slug) is not None
        explanation = "Your attempt is kept, and so is what is not saved." if unsaved else "Your attempt is kept."
        if not await self.app.push_screen_wait(ConfirmScreen(question, explanation, "Reset")):
            return
        self.checker.cancel()
        if not self.reset_file(drill):
            return
        self.checker.look(drill.slug)
        self.checker.runs.latest.pop(drill.slug, None)
        await self.workbench.result_pane.show(self.run, self.around())
        self.show_doing()

    def reset_file(self, drill: Drill) -> bool:
        """Put the stub back; what is in the file and what was typed are kept. False, with a notice, if not."""
        editor = self.editor_of(drill.slug)
        try:
            typed = self.app.workspace.put_by(drill.slug, editor.content) if editor else None
            kept = self.app.workspace.reset(drill)
        except BadInput as error:
            self.notify(error.advice, title=error.message, severity="error", markup=False)
            return False
        if editor is not None:
            editor.forget()
        self.workbench.code_pane.look(drill.slug)
        names = " and ".join(str(each.relative_to(self.app.workspace.root)) for each in (kept, typed) if each)
        text = f"Your attempt is kept as {names}" if names else ""
        self.notify(text, title=f"{drill.slug} is the stub again", markup=False)
        return True

    @work(exclusive=True, group="leaving")
    async def leave(self) -> None:
        """Leave the app; first ask what is to become of what is not saved."""
        unsaved = self.workbench.code_pane.unsaved
        names = ", ".join(editor.file.name for editor in unsaved)
        explanation = "Where somebody else changed a file meanwhile, their text is kept among your attempts."
        for editor in unsaved:
            self.workbench.code_pane.look(editor.slug)
        if not any(editor.theirs for editor in unsaved):
            explanation = "What you typed there is in no file yet."
        answer = await self.app.push_screen_wait(ChoiceScreen(f"Save {names}?", explanation, LEAVE))
        if answer == "discard" or (answer == "save" and self._write_all(unsaved)):
            self.app.exit()

    def _write_all(self, editors: list[Editor]) -> bool:
        written = [self.write(editor) for editor in editors]  # one that cannot be must not cost the others
        return all(written)
