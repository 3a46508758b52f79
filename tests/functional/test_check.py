"""`grader check` as a learner and as a program meet it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from checks import GRADER, ROOT, check_source, grader, solution

from grader.progress import Progress

TOPICS = ["masking", "scaling", "rmsnorm"]
OUTCOMES = {"passed", "failed", "crashed", "timeout", "forbidden", "not_run"}
MISTAKE = """

def rms_norm(x, weight=None, eps=1e-6):
    wide = x.double()
    y = wide / (wide.square().mean(-1, keepdim=True).sqrt() + eps)
    return (y if weight is None else y * weight).to(x.dtype)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "ws"
    done = subprocess.run(
        [sys.executable, "-m", "drills", "start", "--no-tui", "--workspace", root],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    return root


@pytest.mark.parametrize("topic", TOPICS)
def test_the_stub_fails_every_check(topic, workspace):
    ran = grader("check", topic, "--json", "--workspace", workspace)
    assert ran.code == 1 and ran.result["verdict"] == "failed"
    assert len(ran.outcomes) >= 10 and set(ran.outcomes.values()) == {"failed"}


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("engine", [[], ["--no-server"]], ids=["server", "no server"])
def test_the_reference_passes(topic, engine):
    ran = grader("check", topic, "--solution", "--json", *engine)
    assert ran.code == 0 and ran.result["verdict"] == "passed", ran.out
    assert set(ran.outcomes.values()) == {"passed"}
    if sys.platform == "linux":
        assert ran.result["isolation"] == "full"


def test_the_json_is_the_contracts(tmp_path):
    ran = check_source(tmp_path, "rmsnorm", "print('hello')\n" + solution("rmsnorm") + MISTAKE)
    result = ran.result
    assert ran.code == 1 and ran.err == ""
    assert {"drill", "verdict", "seed", "duration_ms", "isolation", "checks", "diagnosis", "output"} <= set(result)
    assert result["drill"] == "rmsnorm" and result["output"].startswith("hello\n")
    assert isinstance(result["seed"], int) and result["duration_ms"] > 0
    for check in result["checks"]:
        assert {"id", "title", "outcome", "message", "hint", "duration_ms"} <= set(check)
        assert check["outcome"] in OUTCOMES and check["id"].startswith("test_") and check["title"]
        assert bool(check["message"]) == (check["outcome"] != "passed")
    assert [d["mistake"] for d in result["diagnosis"]] == ["eps_outside_the_root"]
    assert result["diagnosis"][0]["message"] and result["diagnosis"][0]["question"]


def test_the_seed_repeats_a_run(tmp_path):
    source = solution("rmsnorm") + MISTAKE
    runs = [check_source(tmp_path, "rmsnorm", source, "--seed", seed).result for seed in ("7", "7", "8")]
    messages = [[check["message"] for check in run["checks"]] for run in runs]
    assert [run["seed"] for run in runs] == [7, 7, 8]
    assert messages[0] == messages[1] != messages[2]


def test_the_screen_says_what_is_needed(tmp_path):
    path = tmp_path / "answer.py"
    path.write_text(solution("rmsnorm") + MISTAKE)
    ran = grader("check", "rms", "--file", path, "--seed", "5")
    assert ran.code == 1 and "\x1b" not in ran.out, "plain text when piped"
    for part in ("✓ ", "✗ ", "rmsnorm: failed, ", "expected ", "got ", "allowed ", "shape ", "worst", "Hint: ",
                 "Likely mistake: eps outside", "drills show rmsnorm --question", "grader check rmsnorm",
                 "drills hint rmsnorm", "seed 5", "isolation"):  # fmt: skip
        assert part in ran.out, part
    assert ran.out.index("rmsnorm: failed") > ran.out.index("✓ "), "the verdict comes last, where the eye is"


def test_colour_in_a_terminal_and_none_with_no_color():
    import pty

    def colours(**env: str) -> bool:
        main, other = pty.openpty()
        process = subprocess.Popen(
            [*GRADER, "check", "rmsnorm", "--solution"], stdout=other, stderr=other, stdin=other,
            env={**os.environ, "TERM": "xterm-256color", **env},
        )  # fmt: skip
        os.close(other)
        seen = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:  # how Linux tells the end of a terminal
                break
            if not chunk:
                break
            seen += chunk
        os.close(main)
        assert process.wait() == 0
        return b"\x1b[" in seen

    assert colours() and not colours(NO_COLOR="1")


def test_several_topics_and_all(tmp_path):
    ran = grader("check", "--all", "--solution", "--json")
    results = json.loads(ran.out)["results"]
    assert ran.code == 0 and {r["drill"] for r in results} >= set(TOPICS)
    assert all(r["verdict"] == "passed" for r in results)
    again = grader("check", "masking", "rmsnorm", "--solution")
    assert again.code == 0 and "2 of 2 drills passed" in again.out


def test_progress_is_recorded_for_the_workspace_and_not_for_a_file(workspace, tmp_path):
    file = workspace / "rmsnorm.py"
    file.write_text(solution("rmsnorm") + MISTAKE)
    assert grader("check", "rmsnorm", "--workspace", workspace).code == 1
    file.write_text(solution("rmsnorm"))
    assert grader("check", "rmsnorm", "--workspace", workspace).code == 0
    assert grader("check", "rmsnorm", "--file", file, "--workspace", workspace).code == 0
    assert grader("check", "rmsnorm", "--solution", "--workspace", workspace).code == 0
    with Progress(workspace / ".drills/progress.db") as progress:
        attempts = progress.attempts("rmsnorm")
        assert [a.verdict for a in attempts] == ["passed", "failed"]
        assert attempts[0].source == file.read_bytes()
        assert attempts[1].mistakes == ("eps_outside_the_root",)
        assert progress.states()["rmsnorm"].state == "passed"


def test_progress_that_cannot_be_written_is_a_warning(workspace):
    database = workspace / ".drills/progress.db"
    database.unlink(missing_ok=True)
    database.mkdir()
    (workspace / "rmsnorm.py").write_text(solution("rmsnorm"))
    ran = grader("check", "rmsnorm", "--workspace", workspace, "--json")
    assert ran.code == 0 and ran.result["verdict"] == "passed" and "Warning" in ran.err


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "rmsnrom", "--solution"], "rmsnorm"),
        (["check"], "Name the drills"),
        (["check", "--all", "rmsnorm"], "--all"),
        (["check", "rmsnorm", "masking", "--file", "x.py"], "exactly one"),
        (["check", "rmsnorm", "--file", "/nowhere/x.py"], "no file"),
        (["check", "rmsnorm", "--workspace", "/nowhere"], "drills start"),
        (["check", "rmsnorm", "--seed", "many"], "--seed"),
        (["check", "rmsnorm", "--pack", "/nowhere", "--solution"], "pack"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_usage(arguments, words):
    ran = grader(*arguments)
    assert ran.code == 2 and words in ran.err and ran.out == "" and "Traceback" not in ran.err


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


@pytest.mark.parametrize(
    "make",
    [
        _folder, _fifo,
        lambda p: p.symlink_to("/dev/zero"), lambda p: p.symlink_to("/dev/tty"), lambda p: p.symlink_to(p),
        lambda p: p.write_bytes(b"#" * (2**20 + 1)), lambda p: p.write_bytes(b"x = '\xff\xfe'"),
        lambda p: p.write_bytes(b"x = 1\0"), lambda p: p.write_bytes(b"# coding: klingon\n"),
        lambda p: p.write_bytes("# coding: ascii\nx = 'ü'\n".encode()),
    ],
    ids=["folder", "fifo", "device", "terminal", "symlink loop", "large", "not UTF-8", "null byte", "unknown encoding",
         "another encoding"],
)  # fmt: skip
def test_what_is_no_python_file_is_refused_in_one_sentence(make, tmp_path):
    path = tmp_path / "answer.py"
    make(path)
    ran = grader("check", "rmsnorm", "--file", path, timeout=30)
    assert ran.code == 2 and ran.out == "" and ran.err.startswith("Error: ")
    assert "Traceback" not in ran.err and len(ran.err.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    "spell",
    [
        lambda s: "\ufeff" + s,
        lambda s: s.replace("\n", "\r\n"),
        lambda s: "# -*- coding: latin-1 -*-\nNAME = 'Müller'\n" + s.encode("ascii", "ignore").decode(),
        lambda s: "print('loaded')\n" + s + "\nif __name__ == '__main__':\n    raise SystemExit(3)\n",
        lambda s: "from __future__ import annotations\n" + s,
        lambda s: s + "\n\nimport torch\nif __name__ == '__main__':\n    print(torch.rms_norm(torch.ones(3), (3,)))\n",
        lambda s: "import sys, os, math, warnings\nwarnings.warn('careful')\nsys.setrecursionlimit(5000)\n" + s,
        lambda s: "import torch\ntorch.set_num_threads(4)\ntorch.set_default_dtype(torch.float32)\n" + s,
    ],
    ids=["BOM", "CRLF", "latin-1", "prints and main", "future", "compares in main", "warns", "threads"],
)  # fmt: skip
def test_oddities_of_right_answers_pass(spell, tmp_path):
    text = spell(solution("rmsnorm").replace("from __future__ import annotations\n", ""))
    source = text.encode("latin-1" if "latin-1" in text[:40] else "utf-8")
    ran = check_source(tmp_path, "rmsnorm", source)
    assert ran.code == 0, ran.out


def test_a_syntax_error_is_shown_with_its_place(tmp_path):
    ran = check_source(tmp_path, "rmsnorm", "import torch\n\ndef rms_norm(x, weight=None, eps=1e-6)\n    return x\n")
    assert ran.code == 1 and set(ran.outcomes.values()) == {"not_run"}
    problem = ran.result["problem"].splitlines()
    assert problem[0].startswith("SyntaxError: ") and "answer.py, line 3" in problem[1]
    assert problem[2].strip().startswith("def rms_norm") and problem[3].strip() == "^"
    assert problem[3].index("^") == problem[2].index(")") + 1  # Python points behind the parenthesis


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import numpyy", "ModuleNotFoundError: No module named 'numpyy'"),
        ("import torch\nx = torch.ones(2) @ torch.ones(3)", "line 2"),
        ("raise ValueError('at home')", "ValueError: at home"),
    ],
)
def test_a_file_that_cannot_be_loaded(tmp_path, source, words):
    ran = check_source(tmp_path, "rmsnorm", source)
    assert ran.code == 1 and set(ran.outcomes.values()) == {"not_run"} and words in ran.result["problem"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def other(): pass", "defines no `rms_norm`"),
        ("def rms_norm(): return 1", "TypeError: rms_norm() takes 0 positional arguments but 1 was given"),
        ("def rms_norm(x, weight=None, eps=1e-6): return None", "expected a tensor, got None"),
        ("def rms_norm(x, weight=None, eps=1e-6): return [1, 2]", "expected a tensor, got list"),
        ("def rms_norm(x, weight=None, eps=1e-6): return type('Odd', (), {})()", "Odd"),
        ("def rms_norm(x, weight=None, eps=1e-6): raise NotImplementedError", "Not written yet"),
        ("def rms_norm(x, weight=None, eps=1e-6): return undefined", "NameError"),
        ("rms_norm = 3", "int"),
    ],
)
def test_what_is_wrong_is_said_as_such(tmp_path, source, words):
    ran = check_source(tmp_path, "rmsnorm", source)
    assert ran.code == 1 and ran.result["verdict"] == "failed"
    assert words in ran.result["checks"][0]["message"], ran.result["checks"][0]["message"]


# -- our own fault ----------------------------------------------------------------------------------------------------


def _broken_pack(tmp_path: Path, hidden_tests: str) -> Path:
    pack = tmp_path / "pack"
    shutil.copytree(ROOT / "drills/rmsnorm", pack / "drills/broken")
    (pack / "solutions").mkdir()
    shutil.copy(ROOT / "solutions/rmsnorm.py", pack / "solutions/broken.py")
    (pack / "drills/broken/hidden_tests.py").write_text(hidden_tests)
    text = (pack / "drills/broken/drill.toml").read_text()
    (pack / "drills/broken/drill.toml").write_text(text)
    (pack / "drills/course.toml").write_text('[[groups]]\nid = "g"\ntitle = "G"\ntitle_zh = "G"\ndrills = ["broken"]\n')
    return pack


@pytest.mark.parametrize(
    "hidden_tests",
    [
        "def test_a(impl):\n    '''Title'''\n    undefined_name\n",
        "import nothing_of_the_sort\ndef test_a(impl):\n    '''Title'''\n",
        "def test_a(impl:\n",
        "import pytest\ndef test_a(impl):\n    '''Title'''\n    pytest.skip('later')\n",
        "def test_a(impl, no_such_fixture):\n    '''Title'''\n",
        "def test_a(impl):\n    '''Title'''\n    impl.rms_norm(object())\n",
        "# no test at all\n",
    ],
)
def test_a_broken_hidden_test_is_the_graders_fault_and_never_a_verdict(tmp_path, hidden_tests):
    pack = _broken_pack(tmp_path, hidden_tests)
    ran = grader("check", "broken", "--pack", pack, "--file", ROOT / "solutions/rmsnorm.py", "--json")
    assert ran.code == 3 and ran.result["verdict"] == "error" and ran.result["problem"]


def test_junit_for_continuous_integration(tmp_path):
    """A failing answer: a case for each check, and exit code 1, which is what a forge looks at."""
    file = tmp_path / "junit.xml"
    ran = check_source(tmp_path, "rmsnorm", solution("rmsnorm") + MISTAKE, "--junit", str(file))
    (suite,) = ET.fromstring(file.read_bytes())
    failed = [check for check in ran.result["checks"] if check["outcome"] != "passed"]
    assert (
        ran.code == 1
        and suite.get("tests") == str(len(ran.result["checks"]))
        and suite.get("failures") == str(len(failed))
    )
    assert [case.get("name") for case in suite if len(case)] == [check["id"] for check in failed]
    refused = check_source(tmp_path, "rmsnorm", solution("rmsnorm"), "--junit", str(tmp_path))
    assert refused.code == 2 and "cannot be written" in refused.err
