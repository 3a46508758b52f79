"""The course: a group a branch, a drill a leaf, each with the learner's state by glyph and colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from drills.catalogue import Catalogue, Group
from drills.display import MARKS
from grader.progress import DrillState
from tui.settings import Language

PASSED = ("passed", "due", "seen")


class CourseTree(Tree[str]):
    """Drills to choose from. A leaf's data is the drill's slug."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"course--{state}" for state in MARKS} | {"course--open"}

    class Chosen(Message):
        """The learner chose a drill."""

        def __init__(self, slug: str) -> None:
            super().__init__()
            self.slug = slug

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__("Course", id="course")
        self.show_root = False
        self.show_guides = False
        self.guide_depth = 2
        self.auto_expand = False
        self._groups: dict[TreeNode[str], Group] = {}
        self._leaves: dict[str, TreeNode[str]] = {}
        self._states: Mapping[str, DrillState] = {}
        self._open = ""
        self._language: Language = "en"
        for group in catalogue.groups:
            branch = self.root.add(group.title, expand=True)
            self._groups[branch] = group
            for slug in group.drills:
                self._leaves[slug] = branch.add_leaf(slug, slug)

    def show_states(self, states: Mapping[str, DrillState]) -> None:
        """Show how the learner stands with each drill."""
        self._states = states
        self._redraw()

    def show_language(self, language: Language) -> None:
        """Name the groups in this language."""
        self._language = language
        self._redraw()

    def show_open(self, slug: str) -> None:
        """Mark the drill that is open, and put the cursor on it."""
        self._open = slug
        self._redraw()
        if slug in self._leaves:
            self.move_cursor(self._leaves[slug])

    def state(self, slug: str) -> str:
        """The state that is shown for a drill."""
        return self._states[slug].state if slug in self._states else "new"

    def _redraw(self) -> None:
        for node, group in self._groups.items():
            passed = sum(self.state(slug) in PASSED for slug in group.drills)
            title = group.title_zh if self._language == "zh" else group.title
            node.set_label(Text(f"{title} {passed}/{len(group.drills)}"))
        self._invalidate()
        self.refresh()

    def render_label(self, node: TreeNode[str], base_style: Style, style: Style) -> Text:
        """A leaf's state in front of its name, in the state's colour; the open drill stands out."""
        if node.data is None:
            return super().render_label(node, base_style, style)
        state = self.state(node.data)
        label = Text.assemble((f"{MARKS[state].glyph} ", self._colour(f"course--{state}")), node.data)
        if node.data == self._open:
            label.stylize(self._colour("course--open"), 2)
        label.stylize(style)
        return label

    def _colour(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        event.stop()
        if event.node.data is None:
            event.node.toggle()
        else:
            self.post_message(self.Chosen(event.node.data))
