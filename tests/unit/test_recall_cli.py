"""`drills quiz`, `history`, `export`, `import`, and what `next` and `stats` say of reviews."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_drills_cli import drills, told
from tiny_pack import STUB, change, make_pack

from grader.progress import Progress
from grader.workspace import Workspace

DAY = timedelta(days=1)
POINTS = "### Answer\nTo have more.\n\n### Key points\n- one\n- two\n- three\n"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    made = make_pack(tmp_path / "toys", "toy_sum", "toy_mean")
    change(made / "drills/toy_sum/qa.md", "### Answer\nTo have more.\n", POINTS)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ws"


@pytest.fixture
def made(root: Path, pack: Path) -> Path:
    assert drills("start", "--no-tui", root=root, pack=pack).exit_code == 0
    return root


def store(root: Path) -> Progress:
    return Progress(Workspace(root).progress_file)


def record(root: Path, slug: str, verdict: str, source: bytes = b"", days_ago: float = 0) -> None:
    outcome = "passed" if verdict == "passed" else "failed"
    checks = [{"id": "test_first", "outcome": "passed"}, {"id": "test_adds", "outcome": outcome}]
    result = {"verdict": verdict, "seed": 1, "checks": checks, "diagnosis": []}
    with store(root) as progress:
        progress.record_attempt(slug, result, source, datetime.now(UTC) - days_ago * DAY)


# History.


def test_history_lists_attempts_the_oldest_first(made: Path, pack: Path) -> None:
    assert "No attempt at toy_sum yet" in drills("history", "toy_sum", root=made, pack=pack).stdout
    with store(made) as progress:
        progress.record_hint("toy_sum", 2)
    record(made, "toy_sum", "failed", days_ago=1)
    record(made, "toy_sum", "passed")
    record(made, "toy_mean", "passed")
    lines = drills("history", "toy-sum", root=made, pack=pack).stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert [line.split()[3:] for line in lines] == [["failed", "1/2", "2"], ["passed", "2/2", "2"]]
    value = told(drills("history", "toy_sum", "--json", root=made, pack=pack))
    assert value["drill"] == "toy_sum"
    first, second = value["attempts"]
    assert (first["number"], first["verdict"], first["checks_passed"], first["checks_total"]) == (1, "failed", 1, 2)
    assert (first["failed_checks"], second["hints"]) == (["test_adds"], 2)


def test_history_of_many_attempts(made: Path, pack: Path) -> None:
    for _ in range(23):
        record(made, "toy_sum", "failed")
    lines = drills("history", "toy_sum", root=made, pack=pack).stdout.splitlines()
    assert "latest 20 of 23" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == [str(number) for number in range(4, 24)]
    assert len(drills("history", "toy_sum", "--all", root=made, pack=pack).stdout.splitlines()) == 24
    assert len(told(drills("history", "toy_sum", "--json", root=made, pack=pack))["attempts"]) == 23


def test_history_tells_what_changed(made: Path, pack: Path) -> None:
    record(made, "toy_sum", "failed", STUB.replace("raise NotImplementedError", "return a", 1).encode())
    record(made, "toy_sum", "passed", STUB.replace("raise NotImplementedError", "return a + b", 1).encode())
    latest = drills("history", "toy_sum", "--diff", root=made, pack=pack).stdout.splitlines()
    assert latest[:2] == ["--- attempt 1", "+++ attempt 2"]
    assert [line for line in latest[2:] if line[0] in "+-"] == ["-    return a", "+    return a + b"]
    first = drills("history", "toy_sum", "--diff", "1", root=made, pack=pack).stdout.splitlines()
    assert first[:2] == ["--- stub", "+++ attempt 1"]
    assert [line for line in first[2:] if line[0] in "+-"] == ["-    raise NotImplementedError", "+    return a"]
    value = told(drills("history", "toy_sum", "--diff", "--json", root=made, pack=pack))
    assert (value["number"], value["diff"]) == (2, latest)


def test_history_shows_a_source(made: Path, pack: Path) -> None:
    record(made, "toy_sum", "failed", b"x = '\xff'\n")
    assert drills("history", "toy_sum", "--show", "1", root=made, pack=pack).stdout == "x = '\ufffd'\n"
    record(made, "toy_sum", "failed", b"x = '\xff'\n")
    assert drills("history", "toy_sum", "--diff", root=made, pack=pack).stdout == "No change.\n"


@pytest.mark.parametrize("options", [("--show", "2"), ("--diff", "2"), ("--show", "1", "--diff"), ("--show", "0")])
def test_history_of_an_attempt_that_there_is_not(made: Path, pack: Path, options: tuple[str, ...]) -> None:
    record(made, "toy_sum", "failed")
    result = drills("history", "toy_sum", *options, root=made, pack=pack)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr


def test_a_diff_without_attempts(made: Path, pack: Path) -> None:
    result = drills("history", "toy_sum", "--diff", root=made, pack=pack)
    assert result.exit_code == 2
    assert "0 attempts" in result.stderr


# What is due.


def test_next_and_stats_tell_what_is_due(made: Path, pack: Path) -> None:
    before = told(drills("next", "--json", root=made, pack=pack))
    assert before["due"] == {"drills": [], "questions": []}
    assert before["retention"] == {"drills": None, "questions": None}
    record(made, "toy_sum", "passed", days_ago=9)
    with store(made) as progress:
        progress.record_answer("toy_sum", "what-sum", "again", at=datetime.now(UTC) - 3 * DAY)
        progress.record_answer("toy_sum", "why-add", "easy", at=datetime.now(UTC) - 3 * DAY)
    value = told(drills("next", "--json", root=made, pack=pack))
    assert (value["drill"], value["reason"], value["reset"]) == ("toy_sum", "due for 1 day", None)
    assert value["due"]["drills"] == ["toy_sum"]
    assert [each["question"] for each in value["due"]["questions"]] == ["what-sum"]
    (toys,) = [group for group in value["mastery"] if group["group"] == "toys"]
    assert toys["drills"] == {"mastered": 0, "total": 2}
    assert toys["questions"] == {"mastered": 1, "total": 4}
    assert 0 < value["retention"]["drills"] < 0.9
    stats = told(drills("stats", "--json", root=made, pack=pack))
    assert all(stats[part] == value[part] for part in ("due", "mastery"))
    assert (stats["attempts"], stats["passes"]) == (1, 1)
    assert "Due: 1 drill, 1 question" in drills("next", root=made, pack=pack).stdout
    shown = drills("stats", root=made, pack=pack).stdout
    assert "Due now            1 drill, 1 question" in shown
    assert any(line.split() == ["toys", "0", "of", "2", "1", "of", "4"] for line in shown.splitlines())


def test_a_due_drill_may_start_from_a_blank_stub(made: Path, pack: Path) -> None:
    (made / "toy_sum.py").write_text("mine\n")
    record(made, "toy_sum", "passed")
    assert told(drills("next", "--json", root=made, pack=pack))["reset"] is None
    record(made, "toy_mean", "passed", days_ago=9)
    (made / "toy_mean.py").write_text("mine\n")
    assert "drills reset toy_mean" in drills("next", root=made, pack=pack).stdout
    assert told(drills("next", "--json", root=made, pack=pack))["reset"] == "drills reset toy_mean"
    assert "drills reset toy_mean" in drills("start", "toy_mean", "--no-tui", root=made, pack=pack).stdout
    assert "reset" not in drills("start", "toy_sum", "--no-tui", root=made, pack=pack).stdout
    assert (made / "toy_mean.py").read_text() == "mine\n"
    assert drills("reset", "toy_mean", "--yes", root=made, pack=pack).exit_code == 0
    assert "drills reset" not in drills("next", root=made, pack=pack).stdout


@pytest.mark.parametrize(("command", "loaded"), [("list", False), ("stats", True)])
def test_the_scheduler_is_loaded_where_it_is_asked(made: Path, pack: Path, command: str, loaded: bool) -> None:
    record(made, "toy_sum", "passed", days_ago=9)
    script = (
        "import sys; from drills.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False); print('fsrs' in sys.modules)\n"
    )
    arguments = [command, "--workspace", str(made), "--pack", str(pack)]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(loaded)


# The quiz.


def test_a_quiz_without_a_terminal_says_what_to_run(made: Path, pack: Path) -> None:
    result = drills("quiz", root=made, pack=pack)
    assert result.exit_code == 2
    assert "needs a terminal" in result.stderr
    assert "drills quiz --json" in result.stderr


def test_questions_as_an_object(made: Path, pack: Path) -> None:
    with store(made) as progress:
        progress.record_answer("toy_mean", "what-sum", "again", at=datetime.now(UTC) - 2 * DAY)
        progress.record_answer("toy_sum", "what-sum", "easy")
    value = told(drills("quiz", "toy_sum", "--json", root=made, pack=pack))
    (asked,) = value["questions"]
    assert (asked["drill"], asked["id"], asked["title"], asked["due_at"]) == ("toy_sum", "why-add", "Why add?", None)
    assert (asked["answer"], asked["key_points"]) == ("To have more.", ["one", "two", "three"])
    assert (value["due"], value["new"]) == (0, 1)
    assert value["next_due_at"] > datetime.now(UTC).isoformat()
    whole = told(drills("quiz", "--json", "--lang", "zh", "--count", "2", root=made, pack=pack))
    assert [each["due_at"] is None for each in whole["questions"]] == [False, True]
    assert whole["questions"][0]["title"] == "什么是和？"
    assert whole["due"] == 1
    assert whole["new"] > 50  # the course's own
    every = told(drills("quiz", "--json", root=made, pack=pack))["questions"]
    assert len(every) == whole["due"] + whole["new"]


def test_questions_of_a_broken_drill_are_left_out(root: Path, pack: Path) -> None:
    (pack / "drills/toy_sum/qa.md").write_bytes(b"\xff")
    result = drills("quiz", "toy_sum", "--json", root=root, pack=pack)
    assert "qa.md: is not UTF-8" in result.stderr
    assert json.loads(result.stdout)["questions"] == []
    assert not root.exists()


class Terminal:
    """A command on a terminal of its own, which Ctrl-C reaches."""

    def __init__(self, arguments: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        command = [sys.executable, "-m", "drills", *arguments]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.shown = ""
        self._read = 0

    def wait_for(self, text: str) -> None:
        """Read until the text is there, after what was waited for before."""
        while (place := self.shown.find(text, self._read)) < 0:
            part = self._more()
            assert part, f"{text!r} never came: {self.shown}"
        self._read = place + len(text)

    def rest(self) -> str:
        while self._more():
            pass
        os.close(self._ours)
        self.process.wait()
        return self.shown[self._read :]

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def _more(self) -> str:
        try:
            part = os.read(self._ours, 65536).decode(errors="replace")
        except OSError:
            part = ""
        self.shown += part
        return part


@contextmanager
def quiz(root: Path, pack: Path, *options: str) -> Iterator[Terminal]:
    terminal = Terminal(["quiz", *options, "--workspace", str(root), "--pack", str(pack)])
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()


def test_a_quiz_from_end_to_end(made: Path, pack: Path) -> None:
    with quiz(made, pack, "toy_sum") as terminal:
        terminal.wait_for("1 of 2 · toy_sum · new")
        terminal.wait_for("Why add?")
        terminal.wait_for("> ")
        terminal.type("to have 更多\n")
        terminal.wait_for("> ")
        terminal.type("of it\n")
        terminal.wait_for("> ")
        assert "To have more." not in terminal.shown  # nothing is revealed before the answer is given
        terminal.type("\n")
        terminal.wait_for("To have more.")
        terminal.wait_for("Which did you name?")
        terminal.type("1 9\n")
        terminal.wait_for("'9' is none of 1 to 3")
        terminal.wait_for("Which did you name?")
        terminal.type("1,3\n")
        terminal.wait_for("[good]: ")
        terminal.type("perhaps\n")
        terminal.wait_for("[good]: ")
        terminal.type("\n")
        terminal.wait_for("2 of 2")
        terminal.wait_for("> ")
        terminal.type("\n")
        terminal.wait_for("[good]: ")  # no key points: nothing to tick
        terminal.type("h\n")
        assert "2 of 2 answered" in terminal.rest()
        assert terminal.process.returncode == 0
    with store(made) as progress:
        second, first = progress.answers()
    assert (first.question, first.rating, first.points, first.points_total) == ("why-add", "good", (1, 3), 3)
    assert first.text == "to have 更多\nof it"
    assert (second.question, second.rating, second.points, second.text) == ("what-sum", "hard", (), "")
    with quiz(made, pack, "toy_sum") as terminal:
        assert "Nothing is due. The next question is, on 20" in terminal.rest()
        assert terminal.process.returncode == 0


@pytest.mark.parametrize("moment", ["Why add?", "> ", "Which did you name?", "[again]: "])
@pytest.mark.parametrize("how", ["interrupt", "end of input"])
def test_breaking_off_loses_nothing_that_was_rated(made: Path, pack: Path, moment: str, how: str) -> None:
    with store(made) as progress:  # asked first, for it is due
        progress.record_answer("toy_sum", "what-sum", "again", at=datetime.now(UTC) - 2 * DAY)
    with quiz(made, pack, "toy_sum") as terminal:
        for expected, typed in (("> ", "\n"), ("[good]: ", "e\n")):
            terminal.wait_for(expected)
            terminal.type(typed)
        for expected, typed in (("Why add?", ""), ("> ", "\n"), ("Which did you name?", "\n"), ("[again]: ", "")):
            terminal.wait_for(expected)
            if expected == moment:
                break
            terminal.type(typed)
        if how == "interrupt":
            terminal.process.send_signal(signal.SIGINT)
            terminal.type("\n")  # the signal may come before the command waits for input, and is seen when that ends
        else:
            terminal.type("\x04")
        shown = terminal.rest()
        assert "Stopped. 1 of 2 answered; what was rated is recorded." in shown
        assert "Traceback" not in shown
        assert terminal.process.returncode == 130
    with store(made) as progress:
        assert [(kept.question, kept.rating) for kept in progress.answers()] == [
            ("what-sum", "easy"),
            ("what-sum", "again"),
        ]


def test_a_quiz_without_a_workspace_asks_nothing(root: Path, pack: Path) -> None:
    with quiz(root, pack) as terminal:
        assert "`drills start` makes one" in terminal.rest()
        assert terminal.process.returncode == 2
    assert not root.exists()


# Taking it along.


def test_progress_is_taken_to_another_machine(made: Path, pack: Path, tmp_path: Path) -> None:
    record(made, "toy_sum", "failed", b"mine\n", days_ago=2)
    record(made, "toy_sum", "passed", b"better\n", days_ago=1)
    with store(made) as progress:
        progress.record_hint("toy_mean", 1)
        progress.record_solution_seen("toy_mean")
        progress.record_answer("toy_sum", "why-add", "good", text="so")
    file = tmp_path / "progress.json"
    assert drills("export", str(file), root=made, pack=pack).stdout == ""
    assert drills("export", root=made, pack=pack).stdout == file.read_text()
    there = tmp_path / "there"
    drills("start", "--no-tui", root=there, pack=pack)
    imported = drills("import", str(file), root=there, pack=pack)
    assert imported.stdout == "New: attempts 2, answers 1, hints 1, solutions seen 1\n"
    assert drills("import", str(file), root=there, pack=pack).stdout == "Nothing was new.\n"
    value = told(drills("import", str(file), "--json", root=there, pack=pack))
    assert value["added"] == {"attempts": 0, "answers": 0, "hints": 0, "solutions_seen": 0}
    assert drills("export", root=there, pack=pack).stdout == file.read_text()
    assert drills("history", "toy_sum", "--show", "1", root=there, pack=pack).stdout == "mine\n"
    for command in ("list", "next", "stats"):
        here, other = (told(drills(command, "--json", root=root, pack=pack)) for root in (made, there))
        here.pop("workspace", None), other.pop("workspace", None)
        assert here == other


def test_an_export_replaces_no_file_unasked(made: Path, pack: Path, tmp_path: Path) -> None:
    file = tmp_path / "thesis.json"
    file.write_text("all I have")
    refused = drills("export", str(file), root=made, pack=pack)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert file.read_text() == "all I have"
    assert drills("export", str(file), "--force", root=made, pack=pack).exit_code == 0
    assert json.loads(file.read_text())["llm-drills"] == 1
    nowhere = drills("export", str(tmp_path / "no" / "folder.json"), root=made, pack=pack)
    assert nowhere.exit_code == 2
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_without_a_workspace_nothing_is_taken_along(root: Path, pack: Path, tmp_path: Path) -> None:
    for command in ("export", "import"):
        result = drills(command, str(tmp_path / "x.json"), root=root, pack=pack)
        assert result.exit_code == 2
        assert "drills start" in result.stderr
    assert not root.exists()


def gigabyte(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(1 << 30)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (gigabyte, "is larger than 128 MiB"),
        (device, "is larger than 128 MiB"),
        (lambda file: file.mkdir(), "Is a directory"),
        (lambda file: None, "No such file"),
        (lambda file: file.write_text('{"llm-drills": 2, "attempts": "secret"}'), "by a newer llm-drills"),
        (lambda file: file.write_text('{"llm-drills": 1, "attempts": [{}]}'), "is damaged"),
        (lambda file: file.write_text("print('hello')"), "is not an export"),
    ],
)
def test_what_is_no_export_changes_nothing(made: Path, pack: Path, tmp_path: Path, make: Any, said: str) -> None:
    record(made, "toy_sum", "failed", b"mine\n")
    before = drills("export", root=made, pack=pack).stdout
    make(tmp_path / "file.json")
    result = drills("import", str(tmp_path / "file.json"), root=made, pack=pack)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert drills("export", root=made, pack=pack).stdout == before


def test_an_import_from_standard_input(made: Path, pack: Path, tmp_path: Path) -> None:
    record(made, "toy_sum", "failed", b"mine\n")
    document = drills("export", root=made, pack=pack).stdout
    there = tmp_path / "there"
    drills("start", "--no-tui", root=there, pack=pack)
    assert "attempts 1" in drills("import", "-", root=there, pack=pack, given=document).stdout


def test_progress_that_cannot_be_used_ends_export_and_import(made: Path, pack: Path, tmp_path: Path) -> None:
    document = tmp_path / "progress.json"
    document.write_text('{"llm-drills": 1}')
    Workspace(made).progress_file.mkdir()
    for command in (["export"], ["import", str(document)]):
        result = drills(*command, root=made, pack=pack)
        assert result.exit_code == 2
        assert "Progress is not available" in result.stderr
        assert result.stdout == ""
