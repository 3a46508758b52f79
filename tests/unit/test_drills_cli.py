"""The `drills` command, as people and programs meet it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_pack import SOLUTION, STUB, change, make_drill, make_pack

from drills.cli import main
from drills.display import cut, pad, width
from grader.progress import Progress
from grader.workspace import Workspace


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "toys", "toy_sum", "toy_mean")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ws"


@pytest.fixture
def made(root: Path, pack: Path) -> Path:
    """A workspace with the toys in it."""
    assert drills("start", "--no-tui", root=root, pack=pack).exit_code == 0
    return root


def drills(*arguments: str, root: Path, pack: Path, given: str | None = None) -> Result:
    command = [*arguments, "--workspace", str(root), "--pack", str(pack)]
    return CliRunner().invoke(main, command, input=given, env={"NO_COLOR": None, "TERM": "xterm"})


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    assert value["schema"] == 1
    return dict(value)


def record(root: Path, slug: str, verdict: str) -> None:
    outcome = "passed" if verdict == "passed" else "failed"
    checks = [{"id": "test_first", "outcome": "passed"}, {"id": "test_adds", "outcome": outcome}]
    with Progress(Workspace(root).progress_file) as progress:
        progress.record_attempt(slug, {"verdict": verdict, "seed": 1, "checks": checks, "diagnosis": []}, b"")


def toys(value: dict[str, Any]) -> dict[str, Any]:
    return {drill["slug"]: drill for group in value["groups"] if group["id"] == "toys" for drill in group["drills"]}


def test_start_makes_the_workspace_and_says_what_next(root: Path, pack: Path) -> None:
    result = drills("start", "toy-sum", "--no-tui", root=root, pack=pack)
    assert result.exit_code == 0
    assert str(root) in result.stdout
    assert f"edit {root / 'toy_sum.py'}" in result.stdout
    assert "grader check toy_sum" in result.stdout
    assert (root / "toy_sum.py").read_text() == STUB


def test_start_without_a_terminal_says_what_to_run(root: Path, pack: Path) -> None:
    result = drills("start", root=root, pack=pack)
    assert result.exit_code == 2
    assert "needs a terminal" in result.stderr
    assert "drills start --no-tui" in result.stderr
    assert result.stdout == ""
    assert not root.exists()


def test_start_at_an_unknown_topic_makes_nothing(root: Path, pack: Path) -> None:
    result = drills("start", "toy-sun", "--no-tui", root=root, pack=pack)
    assert result.exit_code == 2
    assert "Did you mean toy_sum" in result.stderr
    assert not root.exists()


def test_native_windows_is_sent_to_wsl(root: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    result = drills("start", "--no-tui", root=root, pack=pack)
    assert result.exit_code == 2
    assert "WSL" in result.stderr
    assert not root.exists()


def test_list_shows_state_by_word_and_glyph(made: Path, pack: Path) -> None:
    record(made, "toy_sum", "passed")
    record(made, "toy_mean", "failed")
    lines = drills("list", root=made, pack=pack).stdout.splitlines()
    (passed,) = [line for line in lines if "toy_sum" in line]
    (tried,) = [line for line in lines if "toy_mean" in line]
    assert passed.split()[0] == "✓"
    assert passed.split()[-1] == "passed"
    assert tried.split()[0] == "~"
    assert tried.split()[-1] == "tried"
    assert any(line.startswith("1 of ") for line in lines)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_list_is_aligned_and_fits_the_terminal(made: Path, pack: Path, lang: str) -> None:
    change(pack / "drills/toy_sum/drill.toml", "Adding toy_sum", "Adding " + "very " * 30 + "long")
    change(pack / "drills/toy_sum/drill.toml", "加法", "注意力" * 40)
    make_drill(pack, "toy_with_a_longer_name")
    rows = [line for line in drills("list", "--lang", lang, root=made, pack=pack).stdout.splitlines() if "/5" in line]
    assert len(rows) >= 3
    assert all(width(row) <= 80 for row in rows)
    assert len({width(row[: row.rindex(" ")]) for row in rows}) == 1  # the states stand in one column
    assert any("…" in row for row in rows)


def test_list_names_broken_drills_at_the_end_and_goes_on(made: Path, pack: Path) -> None:
    (pack / "drills/toy_sum/hints.md").unlink()
    result = drills("list", root=made, pack=pack)
    assert result.exit_code == 0
    before, _, after = result.stdout.partition("Broken")
    assert "toy_mean" in before
    assert "toy_sum" not in before
    assert f"{pack / 'drills/toy_sum/hints.md'}: the file is missing. Write hints.md" in after


def test_list_as_an_object(made: Path, pack: Path) -> None:
    record(made, "toy_sum", "passed")
    make_drill(pack, "toy_bad").joinpath("stub.py").unlink()
    value = told(drills("list", "--json", root=made, pack=pack))
    assert value["workspace"] == str(made)
    assert toys(value)["toy_sum"]["state"] == "passed"
    assert toys(value)["toy_sum"]["title_zh"] == "加法"
    assert toys(value)["toy_mean"]["state"] == "new"
    (broken,) = [entry for entry in value["broken"] if entry["drill"] == "toy_bad"]
    assert broken["problems"][0]["file"].endswith("toy_bad/stub.py")
    assert broken["problems"][0]["fix"]


def test_list_without_a_workspace_makes_none(root: Path, pack: Path) -> None:
    value = told(drills("list", "--json", root=root, pack=pack))
    assert value["workspace"] is None
    assert toys(value)["toy_sum"]["state"] == "new"
    assert not root.exists()


def test_show_prints_task_and_answers(root: Path, pack: Path) -> None:
    shown = drills("show", "toy-s", root=root, pack=pack).stdout
    assert "Add two numbers.\n\nReturn their sum." in shown
    assert "Why add?" in shown
    assert "A total." in shown
    in_chinese = drills("show", "toy-s", "--lang", "zh", root=root, pack=pack).stdout
    assert "# 加法" in in_chinese
    assert "为了更多。" in in_chinese


def test_show_one_question(root: Path, pack: Path) -> None:
    shown = drills("show", "toy_sum", "--question", "what-sum", root=root, pack=pack).stdout
    assert "A total." in shown
    assert "Why add?" not in shown
    unknown = drills("show", "toy_sum", "--question", "what", root=root, pack=pack)
    assert unknown.exit_code == 2
    assert "why-add, what-sum" in unknown.stderr


def test_show_as_an_object(made: Path, pack: Path) -> None:
    value = told(drills("show", "toy_sum", "--json", "--lang", "zh", root=made, pack=pack))
    assert value["drill"]["slug"] == "toy_sum"
    assert value["task"].startswith("Add two numbers.")
    assert [question["id"] for question in value["questions"]] == ["why-add", "what-sum"]
    assert value["questions"][0]["sources"] == ["notes-1", "notes-2"]


def test_a_broken_drill_is_told_with_file_and_fix(root: Path, pack: Path) -> None:
    (pack / "drills/toy_sum/hints.md").unlink()
    result = drills("hint", "toy_sum", root=root, pack=pack)
    assert result.exit_code == 2
    assert "hints.md: the file is missing. Write hints.md" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("topic", "advice"), [("toy", "toy_sum"), ("toy_smu", "Did you mean toy_sum"), ("xyz", "drills list")]
)
@pytest.mark.parametrize("command", ["show", "hint", "solution", "reset", "start"])
def test_a_topic_that_is_not_clear_is_wrong_usage(
    root: Path, pack: Path, command: str, topic: str, advice: str
) -> None:
    result = drills(command, topic, root=root, pack=pack)
    assert result.exit_code == 2
    assert advice in result.stderr
    assert result.stdout == ""


def test_next_says_which_and_why(made: Path, pack: Path) -> None:
    record(made, "toy_sum", "failed")
    shown = drills("next", root=made, pack=pack).stdout
    assert "toy_sum: Adding toy_sum (tried, not passed yet)" in shown
    assert "drills start toy_sum" in shown
    value = told(drills("next", "--json", root=made, pack=pack))
    assert (value["drill"], value["reason"]) == ("toy_sum", "tried, not passed yet")


def test_stats(made: Path, pack: Path) -> None:
    assert "No attempt yet" in drills("stats", root=made, pack=pack).stdout
    for verdict in ("failed", "failed", "failed", "passed"):
        record(made, "toy_sum", verdict)
    shown = drills("stats", root=made, pack=pack).stdout
    assert "25% passed" in shown
    assert "3  toy_sum  test_adds" in shown
    value = told(drills("stats", "--json", root=made, pack=pack))
    assert (value["attempts"], value["passes"], value["pass_rate"], value["streak_days"]) == (4, 1, 0.25, 1)
    assert list(value["days"].values()) == [4]
    assert value["weakest_checks"] == [{"slug": "toy_sum", "name": "test_adds", "count": 3}]


def test_hints_come_one_by_one(made: Path, pack: Path) -> None:
    first = drills("hint", "toy_sum", root=made, pack=pack).stdout
    assert "Hint 1 of 2: Think" in first
    assert "Write" not in first
    assert "Hint 2 of 2: Write" in drills("hint", "toy_sum", root=made, pack=pack).stdout
    last = drills("hint", "toy_sum", root=made, pack=pack).stdout
    assert "all 2 hints" in last
    assert "drills hint toy_sum --all" in last
    again = drills("hint", "toy_sum", "--all", root=made, pack=pack).stdout
    assert again.index("Hint 1 of 2") < again.index("Hint 2 of 2")
    assert toys(told(drills("list", "--json", root=made, pack=pack)))["toy_sum"]["hints"] == 2


def test_a_hint_without_a_workspace_is_not_recorded_and_says_so(root: Path, pack: Path) -> None:
    result = drills("hint", "toy_sum", root=root, pack=pack)
    assert result.exit_code == 0
    assert "Hint 1 of 2" in result.stdout
    assert "Not recorded" in result.stderr
    assert not root.exists()


def test_progress_that_cannot_be_used_is_a_warning(made: Path, pack: Path) -> None:
    Workspace(made).progress_file.mkdir()
    for command in (["list"], ["next"], ["stats"], ["hint", "toy_sum"], ["solution", "toy_sum", "--yes"]):
        result = drills(*command, root=made, pack=pack)
        assert result.exit_code == 0
        assert "Warning: Progress is not available" in result.stderr
        assert result.stdout


def test_a_damaged_store_is_told(made: Path, pack: Path) -> None:
    Workspace(made).progress_file.write_bytes(b"no database" * 100)
    result = drills("list", root=made, pack=pack)
    assert result.exit_code == 0
    assert "Warning: The progress database was damaged. It is kept as " in result.stderr


def test_the_solution_is_asked_for_and_recorded(made: Path, pack: Path) -> None:
    refused = drills("solution", "toy_sum", root=made, pack=pack, given="y\n")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert refused.stdout == ""
    assert drills("solution", "toy_sum", "--yes", root=made, pack=pack).stdout == SOLUTION
    record(made, "toy_sum", "passed")
    assert toys(told(drills("list", "--json", root=made, pack=pack)))["toy_sum"]["state"] == "seen"


def test_reset_is_asked_for_and_tells_where_the_attempt_went(made: Path, pack: Path) -> None:
    (made / "toy_sum.py").write_text("mine\n")
    refused = drills("reset", "toy_sum", root=made, pack=pack)
    assert refused.exit_code == 2
    assert (made / "toy_sum.py").read_text() == "mine\n"
    result = drills("reset", "toy_sum", "--yes", root=made, pack=pack)
    kept = Path(result.stdout.split("kept as ")[1].strip())
    assert kept.read_text() == "mine\n"
    assert (made / "toy_sum.py").read_text() == STUB


def test_reset_without_a_workspace_says_what_to_do(root: Path, pack: Path) -> None:
    result = drills("reset", "toy_sum", "--yes", root=root, pack=pack)
    assert result.exit_code == 2
    assert "drills start" in result.stderr


def test_a_bad_pack_is_wrong_usage(tmp_path: Path, root: Path) -> None:
    result = drills("list", root=root, pack=tmp_path / "nothing")
    assert result.exit_code == 2
    assert "has no folder `drills`" in result.stderr


def test_a_newer_workspace_is_refused_by_every_command(made: Path, pack: Path) -> None:
    (made / ".drills/workspace.toml").write_text("version = 99\n")
    for command in (
        ["list"],
        ["next"],
        ["stats"],
        ["show", "toy_sum"],
        ["hint", "toy_sum"],
        ["start", "--no-tui"],
    ):
        result = drills(*command, root=made, pack=pack)
        assert result.exit_code == 2
        assert "newer llm-drills" in result.stderr


# Real processes: the terminal, pipes, what is imported.


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drills", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def on_a_terminal(command: Sequence[str], answer: str = "", **environment: str) -> tuple[int, str]:
    """Run a command on a terminal of its own: its exit code and what stands there."""
    ours, theirs = pty.openpty()
    surroundings = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
    if "NO_COLOR" not in environment:
        surroundings.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings)
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that nobody has the other end open
            part = b""
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(), shown.decode()


def test_the_command_runs(root: Path, pack: Path) -> None:
    result = run("list", "--workspace", str(root), "--pack", str(pack))
    assert result.returncode == 0
    assert result.stderr == ""
    assert "toy_sum" in result.stdout
    assert "\x1b" not in result.stdout
    assert run("--version").stdout.startswith("drills, version ")


def test_colour_on_a_terminal_only_and_not_where_it_is_unwanted(root: Path, pack: Path) -> None:
    command = [sys.executable, "-m", "drills", "list", "--workspace", str(root), "--pack", str(pack)]
    assert "\x1b[1m" in on_a_terminal(command)[1]
    code, plain = on_a_terminal(command, NO_COLOR="1")
    assert code == 0
    assert "toy_sum" in plain
    assert "\x1b" not in plain
    assert "\x1b" not in on_a_terminal(command, TERM="dumb")[1]


def test_markdown_is_rendered_on_a_terminal(root: Path, pack: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "drills",
        "show",
        "toy_sum",
        "--workspace",
        str(root),
        "--pack",
        str(pack),
    ]
    code, shown = on_a_terminal(command)
    assert code == 0
    assert "Return their sum." in shown
    assert "## Why add?" not in shown
    assert "## Why add?" in on_a_terminal(command, NO_COLOR="1")[1]


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_consent_is_asked_on_a_terminal(made: Path, pack: Path, answer: str, code: int) -> None:
    (made / "toy_sum.py").write_text("mine\n")
    command = [
        sys.executable,
        "-m",
        "drills",
        "reset",
        "toy_sum",
        "--workspace",
        str(made),
        "--pack",
        str(pack),
    ]
    assert on_a_terminal(command, answer)[0] == code
    assert (made / "toy_sum.py").read_text() == ("mine\n" if code else STUB)


APP = """
import sys, types
app = types.ModuleType("tui.app")
def run(*, catalogue, workspace, topic):
    print("app", workspace.exists, workspace.root.name, topic, catalogue.find("toy_sum").title)
    return 7
app.run = run
sys.modules["tui.app"] = app
from drills.cli import main
main()
"""


@pytest.mark.parametrize(("topic", "opened"), [([], "None"), (["toy-m"], "toy_mean")])
def test_start_opens_the_app(root: Path, pack: Path, topic: list[str], opened: str) -> None:
    command = [sys.executable, "-c", APP, "start", *topic, "--workspace", str(root), "--pack", str(pack)]
    code, shown = on_a_terminal(command)
    assert shown.strip() == f"app True ws {opened} Adding toy_sum"
    assert code == 7


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path, root: Path) -> None:
    pack = make_pack(tmp_path / "many", *(f"toy_{number}" for number in range(60)))
    command = [
        sys.executable,
        "-m",
        "drills",
        "list",
        "--json",
        "--workspace",
        str(root),
        "--pack",
        str(pack),
    ]
    reader, writer = os.pipe()
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    os.close(reader)
    assert process.communicate(timeout=60)[1] == ""


def test_a_terminal_without_the_glyphs_shows_something_else(made: Path, pack: Path) -> None:
    record(made, "toy_sum", "passed")
    result = run("list", "--workspace", str(made), "--pack", str(pack), PYTHONIOENCODING="latin-1")
    assert result.returncode == 0
    assert "? toy_sum" in result.stdout


IMPORTED = """
import json, sys
from drills.cli import main
try:
    main(sys.argv[1:])
finally:
    names = {name.partition(".")[0] for name in sys.modules}
    print("imported:", json.dumps(sorted(names)), file=sys.stderr)
"""
HEAVY = {"torch", "numpy", "textual", "pytest", "_pytest", "watchfiles", "platformdirs"}
LAZY = {"rich", "sqlite3", "fsrs", "msgspec", "difflib"}


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["list"], {"sqlite3"}),
        (["list", "--json"], {"sqlite3"}),
        (["show", "toy_sum"], {"sqlite3"}),
        (["show", "toy_sum", "--evidence"], {"msgspec"}),
        (["next"], {"sqlite3"}),
        (["stats"], {"sqlite3"}),
        (["hint", "toy_sum"], {"sqlite3"}),
        (["solution", "toy_sum", "--yes"], {"sqlite3"}),
        (["reset", "toy_sum", "--yes"], set()),
        (["start", "--no-tui"], {"sqlite3"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_commands_import_only_what_they_need(made: Path, pack: Path, command: list[str], needed: set[str]) -> None:
    record(made, "toy_sum", "failed")
    where = [] if command[0].startswith("--") else ["--workspace", str(made), "--pack", str(pack)]
    process = subprocess.run(
        [sys.executable, "-c", IMPORTED, *command, *where],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = set(json.loads(process.stderr.split("imported:")[1]))
    assert "click" in imported
    assert imported & HEAVY == set()
    assert imported & LAZY <= needed


# Columns.


@pytest.mark.parametrize(("text", "columns"), [("", 0), ("abc", 3), ("注意力", 6), ("a力", 3), ("e\u0301", 1)])
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(pad(text, 10)) == 10


@pytest.mark.parametrize(
    ("text", "columns", "short"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("注意力", 6, "注意力"),
        ("注意力", 5, "注意…"),
        ("注意力", 4, "注…"),
    ],
)
def test_cut(text: str, columns: int, short: str) -> None:
    assert cut(text, columns) == short
