"""What holds for the code as a whole: types, style, the rooms and what each may import, the documents."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from grader.identity import fingerprint

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "pytest", "_pytest", "numpy")


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_style():
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")


def test_types():
    run(sys.executable, "-m", "mypy")


def test_import_contracts():
    run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from drills.cli import main; main(['--help'], standalone_mode=False)", (*HEAVY, "textual", "rich")),
        ("from drills.cli import main; main(['list'], standalone_mode=False)", (*HEAVY, "textual", "rich")),
        ("from drills.cli import main; main(['next'], standalone_mode=False)", (*HEAVY, "textual", "rich")),
        ("from grader.cli import main; main(['--help'], standalone_mode=False)", (*HEAVY, "textual", "rich")),
        ("from grader.cli import main\ntry: main(['check', 'rmsnorm', '--solution'])\nexcept SystemExit: pass",
         (*HEAVY, "textual", "rich")),
        ("import tui.app", ("torch", "pytest", "_pytest", "tree_sitter", "fsrs")),
        ("import drills.catalogue", (*HEAVY, "textual", "rich", "grader", "tui")),
        ("import grader.client", (*HEAVY, "textual", "rich")),
    ],
)  # fmt: skip
def test_a_command_imports_only_what_it_needs(code, absent):
    """In a fresh process, and by looking at what is there afterwards."""
    script = f"{code}\nimport sys, json\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    loaded = {name.split(".")[0] for name in modules}
    assert not loaded & set(absent)


def test_the_zygote_knows_no_secret():
    """What the parent of all runners has imported holds neither tests nor solutions nor pytest."""
    script = "import grader.engine.zygote, sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "torch" in loaded
    secret = {"pytest", "solutions", "drills", "grader.testing", "grader.engine.judge", "grader.engine.impl"}
    assert not loaded & secret and not any(name.startswith(("drills.", "solutions.")) for name in loaded)


def test_a_change_of_any_module_of_the_engine_restarts_it():
    script = "import grader.engine.judge, grader.engine.server, grader.engine.zygote, grader.testing, sys, json\n"
    script += "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'grader']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = json.loads(done.stdout)
    assert str(ROOT / "grader" / "measuring.py") in loaded
    assert [file for file in loaded if f"{file}:" not in fingerprint()] == []


def test_the_engine_knows_no_topic_by_name():
    topics = {path.parent.name for path in ROOT.glob("drills/*/drill.toml")}
    assert topics
    for file in [*ROOT.glob("grader/**/*.py"), *ROOT.glob("tui/**/*.py")]:
        strings = {
            node.value
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & topics, file


def test_ci_runs_the_readmes_command():
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("drills start") and commands[1].endswith("-m pytest")
    assert commands[1] in (ROOT / "CONTRIBUTING.md").read_text()
    pattern = "sed -n '/^## Develop/,/^```$/p' README.md | grep '^python3 -m venv'"
    assert pattern in (ROOT / ".ci/run").read_text()
    shown = subprocess.run(["bash", "-c", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == commands[1]


def test_dependencies_are_pinned():
    pinned = {
        re.split(r"[=\[]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    declared = re.findall(r'^  "([A-Za-z0-9_-]+)[\[>=;]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(declared) > 10 and {name.lower().replace("_", "-") for name in declared} <= pinned
