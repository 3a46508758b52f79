"""Submissions that try to pass without being right, or to take the grader down: through the real command.

After each: the right verdict, no process left of it, and the next check as it should be.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from checks import ROOT, check_source, grader, solution

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the wall is Linux's")

WRONG = "\ndef rms_norm(x, weight=None, eps=1e-6): return x\n"
CALL = "\ndef rms_norm(x, weight=None, eps=1e-6):\n    "

# name: (what is put behind the reference solution, the outcomes that may come)
FORGED = {
    "patches allclose": ("import torch.testing\ntorch.allclose = lambda *a, **k: True\ntorch.equal = torch.allclose\n"
                         "torch.testing.assert_close = lambda *a, **k: None" + WRONG, {"failed", "passed"}),
    "patches builtins": ("import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.isinstance = lambda *a: True" + WRONG, None),
    "exits with 0 when called": (CALL + "import os; os._exit(0)", {"crashed"}),
    "exits with 0 when loaded": ("import os; os._exit(0)", {"crashed"}),
    "sys.exit when called": (CALL + "import sys; sys.exit(0)", {"crashed"}),
    "sys.exit when loaded": ("import sys; sys.exit(0)", None),
    "atexit": ("import atexit, os; atexit.register(os._exit, 0)" + WRONG, {"failed", "passed"}),
    "skips": (CALL + "import pytest; pytest.skip('not today')", {"failed"}),
    "raises a class named Skipped": ("class Skipped(BaseException): pass\nSkipped.__module__ = 'builtins'" + CALL
                                     + "raise Skipped('not today')", {"crashed"}),
    "always equal": ("class Same:\n    def __eq__(self, o): return True\n    def __getattr__(self, n): return self\n"
                     "    def __call__(self, *a, **k): return self\n    def __bool__(self): return True" + CALL + "return Same()",
                     {"failed"}),
    "tensor subclass": ("class T(torch.Tensor):\n    @classmethod\n"
                        "    def __torch_function__(cls, f, t, a=(), k=None): return True" + CALL + "return x.as_subclass(T)",
                        None),
    "reads the hidden tests": (CALL + f"return open({str(ROOT / 'drills/rmsnorm/hidden_tests.py')!r}).read()", {"failed"}),
    "reads the solution": (CALL + f"exec(open({str(ROOT / 'solutions/rmsnorm.py')!r}).read()); return x", {"failed"}),
    "imports the solution": (CALL + "import importlib; return importlib.import_module('solu' + 'tions.rmsnorm').rms_norm(x)",
                             {"forbidden"}),
    "looks through memory": (CALL + "import gc\n    t = [o for o in gc.get_objects() if isinstance(o, torch.Tensor) and o is not x]\n"
                             "    return next((o for o in t if o.shape == x.shape), x)", {"failed", "passed"}),
    "kills its parent": (CALL + "import os, signal; os.kill(os.getppid(), signal.SIGKILL)", {"failed"}),
    "kills everybody": (CALL + "import os, signal; os.kill(-1, signal.SIGKILL)", {"failed"}),
    "writes to every descriptor": (CALL + "import os\n    for fd in range(3, 100):\n        try: os.write(fd, b'passed' * 50)\n"
                                   "        except OSError: pass\n    return x", {"crashed"}),
    "calls the library": (CALL + "return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps)", {"forbidden"}),
    "calls it by another name": (CALL + "return getattr(torch, 'rms' + '_norm')(x, x.shape[-1:], weight, eps)", {"forbidden"}),
}  # fmt: skip

HARMFUL = {
    "loops for ever": (CALL + "while True: pass", {"timeout"}),
    "loops for ever when loaded": ("while True: pass", {"timeout"}),
    "sleeps": (CALL + "import time; time.sleep(10_000)", {"timeout"}),
    "allocates 64 GB": (CALL + "return torch.empty(16 * 1024**3)", {"failed"}),
    "grows a list": (CALL + "a = [0]\n    while True: a += a", {"failed", "crashed", "timeout"}),
    "segmentation fault": (CALL + "import ctypes; ctypes.string_at(0)", {"crashed"}),
    "forks": (CALL + "import os\n    while True: os.fork()", {"failed"}),
    "threads": (CALL + "import threading, time\n    while True: threading.Thread(target=time.sleep, args=(9999,)).start()",
                {"failed", "crashed", "timeout"}),
    "recursion": ("import sys; sys.setrecursionlimit(10**9)\ndef r(n): return r(n + 1)" + CALL + "return r(0)",
                  {"crashed", "failed", "timeout"}),
    "prints without end": (CALL + "while True: print('x' * 10_000)", {"timeout"}),
    "escapes": (CALL + "print('\\x1b]0;title\\x07\\x1b[2J\\x1b[31mred\\x9b5m', flush=True); return x", {"failed", "passed"}),
    "nested parentheses": ("(" * 5000 + ")" * 5000, None),
    "constant folding": ("x = 'a' * 10**12", None),
    "huge power": ("x = 9**9**9", None),
    "catches everything": (CALL + "\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
                           {"timeout"}),
}  # fmt: skip


def processes() -> set[int]:
    return {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()}


def runners() -> set[int]:
    """Processes under a seccomp filter: on this machine, runners."""
    found = set()
    for pid in processes():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if "Seccomp:\t2" in status and "State:\tZ" not in status:
            found.add(pid)
    return found


@pytest.mark.parametrize("name", FORGED)
def test_nothing_forged_passes(tmp_path, name):
    source, outcomes = FORGED[name]
    ran = check_source(tmp_path, "rmsnorm", solution("rmsnorm") + "\n" + source)
    assert ran.code == 1 and ran.result["verdict"] == "failed", ran.out
    if outcomes is not None:
        assert set(ran.outcomes.values()) <= outcomes | {"passed"} and outcomes & set(ran.outcomes.values())
        assert outcomes == {"failed", "passed"} or "passed" not in list(ran.outcomes.values())[:1]


@pytest.mark.parametrize("name", HARMFUL)
def test_nothing_harmful_costs_more_than_its_check(tmp_path, name):
    source, outcomes = HARMFUL[name]
    marker = f"# {name} {os.getpid()}\n"
    started = time.monotonic()
    ran = check_source(tmp_path, "rmsnorm", marker + solution("rmsnorm") + "\n" + source)
    took = time.monotonic() - started
    assert ran.code == 1 and ran.result["verdict"] == "failed", ran.out
    if outcomes is not None:
        assert set(ran.outcomes.values()) <= outcomes | {"passed"}
        assert outcomes & set(ran.outcomes.values())
    assert took < 60  # the allowance of a run is 20 s of computing; a busy machine stretches it
    assert "\x1b" not in ran.out and "\\u001b" not in ran.out and "\\u009b" not in ran.out
    assert len(ran.result["output"]) < 10_000


BEFORE = processes()  # another warm server's runners may wait on this machine


def test_nothing_is_left_and_the_next_check_is_right(tmp_path):
    """After all of the above: no runner but those that wait in the pool, and a right answer passes."""
    ran = check_source(tmp_path, "rmsnorm", solution("rmsnorm"))
    assert ran.code == 0
    for pid in set(runners()) - BEFORE:
        # A runner in the pool waits in recv and has used next to no time; one that was forgotten would not.
        cpu = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert int(cpu[11]) + int(cpu[12]) < 200, f"process {pid} is busy or was"


def test_a_file_refused_while_it_is_loaded_does_not_lower_the_isolation(tmp_path):
    ran = check_source(tmp_path, "rmsnorm", "import solutions.rmsnorm\n")
    assert ran.code == 1 and set(ran.outcomes.values()) == {"forbidden"}
    assert ran.result["isolation"] == grader("check", "rmsnorm", "--solution", "--json").result["isolation"]
