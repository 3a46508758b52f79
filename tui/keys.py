"""The keys of the practice screen: what the footer and the help screen show."""

from __future__ import annotations

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding("g,f5,ctrl+g", "check", "Grade", key_display="g", tooltip="Check your file (also F5, ctrl+g)"),
    Binding("escape", "cancel", "Cancel", key_display="esc", tooltip="Give up the check that is running"),
    Binding("e", "edit", "Edit", tooltip="Open your file in $VISUAL or $EDITOR; a change is checked at once"),
    Binding("h", "hint", "Hint", tooltip="Show the next hint"),
    Binding("a", "question", "Question", tooltip="Go to the question behind the likely mistake"),
    Binding("n", "next", "Next", tooltip="Open the drill that is best practised next"),
    Binding("l", "language", "中/EN", tooltip="Questions and answers in English or Chinese"),
    Binding("w", "watch", "Watch", tooltip="Check on every save, or not"),
    Binding("r", "reset", "Reset", tooltip="Start the drill again from the stub; your attempt is kept"),
    Binding("z", "quiz(False)", "Quiz", tooltip="Answer questions: those that are due, then new ones"),
    Binding("Z", "quiz(True)", "Quiz here", show=False, tooltip="Answer questions of this drill"),
    Binding("o", "home", "Home", show=False, tooltip="What is due, how you stand, a year of practice"),
    Binding("1", "pane('task')", "Task", show=False, tooltip="What is to be written"),
    Binding("2", "pane('questions')", "Q&A", show=False, tooltip="Interview questions with answers"),
    Binding("3", "pane('result')", "Result", show=False, tooltip="What the last check said"),
    Binding("4", "pane('hints')", "Hints", show=False, tooltip="The hints shown so far"),
    Binding("5", "pane('code')", "Code", show=False, tooltip="Your file, to edit here"),
    Binding("j", "item(1)", "Next item", show=False, tooltip="Next question, or next check that failed"),
    Binding("k", "item(-1)", "Item before", show=False, tooltip="The one before"),
    Binding("c", "course", "Course", show=False, tooltip="Go to the course; once more hides it"),
    Binding("question_mark", "help", "Help", key_display="?", tooltip="All keys"),
]
# Of the editor in the Code tab, where the keys above are letters.
CODE_KEYS: list[Binding] = [
    Binding("ctrl+s", "save(True)", "Save", tooltip="In the code: save and grade, and go on typing"),
    Binding("f5,ctrl+g", "save(False)", "Grade", key_display="f5", tooltip="In the code: save, grade, show the result"),
    Binding("escape", "leave", "Leave", key_display="esc", tooltip="In the code: back to the keys above; enter types"),
]
