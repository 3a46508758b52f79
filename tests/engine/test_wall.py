"""What the learner's code may not do, tried by code that does it, and looked at from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from checks import process_ends

from grader.engine import sandbox
from grader.engine.judge import terms_of
from grader.engine.remote import OUTPUT_CAP, RunnerFault
from grader.results import Limits, Request

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="these layers are Linux's")


def test_every_layer_is_active_on_linux(wall):
    wall.load("")
    if sys.platform == "linux":
        assert set(wall.layers) == set(sandbox.LINUX_LAYERS)
    assert {name: state for name, state in wall.layers.items() if state != "active"} == {}


def test_a_missing_layer_lowers_the_level():
    layers = dict.fromkeys(sandbox.LINUX_LAYERS, "active")
    assert sandbox.summary(layers) == "full"
    for name in sandbox.LINUX_LAYERS:
        lower = sandbox.summary({**layers, name: "inactive: tried"})
        assert lower == ("none" if name in sandbox.PORTABLE_LAYERS else "partial")
        assert sandbox.summary({k: v for k, v in layers.items() if k != name}) == lower


ATTEMPT = """
import os, socket, ctypes, resource, signal, threading
def attempt(code):
    try:
        return "did it: %r" % (eval(code),)
    except BaseException as error:
        return type(error).__name__
"""


@LINUX
@pytest.mark.parametrize(
    "code",
    [
        f"open({str(ROOT / 'drills/rmsnorm/hidden_tests.py')!r}).read()",
        f"open({str(ROOT / 'solutions/rmsnorm.py')!r}).read()",
        f"os.listdir({str(ROOT)!r})",
        f"os.listdir({str(Path(pytest.__file__).parent)!r})",
        "open('/etc/passwd').read()",
        "open('/proc/self/maps').read()",
        "open('/proc/%d/environ' % os.getppid()).read()",
        "os.listdir('/')",
        "open('/tmp/llm-drills-wall-test', 'w')",
        "os.mkdir('/tmp/llm-drills-wall-test')",
        "os.memfd_create('x')",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.kill(os.getppid(), 0)",
        "os.kill(-1, 0)",
        "os.killpg(os.getpgid(os.getppid()), 0)",
        "os.setsid()",
        "os.setpgid(0, 0)",
        "os.nice(-1)",
        "os.sched_setaffinity(0, {0})",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_UNIX)",
        "os.chmod('/dev/null', 0o666)",
        "os.utime('/dev/null')",
        "os.chown('/dev/null', -1, -1)",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))",
        "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (10, 10))",
        "__import__('pytest')",
        "__import__('subprocess').run(['true'])",
        "__import__('multiprocessing').Process(target=print).start()",
    ],
)
def test_the_kernel_refuses(behind, code):
    expected = {"PermissionError", "ModuleNotFoundError"}
    if "setrlimit" in code:
        expected = {"ValueError"}  # how Python tells EPERM there
    assert behind(ATTEMPT).attempt(code) in expected
    assert not Path("/tmp/llm-drills-wall-test").exists()


@pytest.mark.parametrize("name", ["solutions.rmsnorm", "drills.catalogue", "tui.app"])
def test_the_courses_own_rooms_are_ruled_out(behind, name):
    module = behind(f"def f():\n    try: import {name}\n    except BaseException: return 1\n")
    with pytest.raises(RunnerFault, match=name.split(".")[0]) as caught:
        module.f()
    assert caught.value.outcome == "forbidden"


@LINUX
def test_system_calls_that_python_does_not_wrap(behind):
    module = behind(
        """
        import ctypes, os, platform
        libc = ctypes.CDLL(None, use_errno=True)
        def call(*arguments):
            ctypes.set_errno(0)
            result = libc.syscall(*arguments)
            return result, ctypes.get_errno()
        def parent(): return os.getppid()
        """
    )
    parent = module.parent()
    numbers = {"ptrace": 101, "process_vm_readv": 310, "io_uring_setup": 425, "bpf": 321, "unshare": 272,
               "clone3": 435, "shmget": 29, "userfaultfd": 323, "keyctl": 250} if os.uname().machine == "x86_64" else {
               "ptrace": 117, "process_vm_readv": 270, "io_uring_setup": 425, "bpf": 280, "unshare": 97,
               "clone3": 435, "shmget": 194, "userfaultfd": 282, "keyctl": 219}  # fmt: skip
    refused = {name: module.call(number, 16, parent, 0, 0, 0, 0) for name, number in numbers.items()}
    assert all(result == -1 and error in (1, 38) for result, error in refused.values()), refused


@LINUX
def test_a_thread_is_allowed_and_a_process_by_clone_is_not(behind):
    module = behind(
        """
        import threading
        def f():
            seen = []
            t = threading.Thread(target=lambda: seen.append(1)); t.start(); t.join()
            return seen
        """
    )
    assert module.f() == [1]


def test_ordinary_imports_work(behind):
    module = behind(
        """
        import collections, dataclasses, functools, itertools, json, math, random, re, typing, warnings, logging
        import numpy as np, torch, torch.nn.functional as F
        from torch import nn, einsum
        from torch.func import vmap
        def f(x): return vmap(torch.sin)(x).T, einsum("ij->i", x)
        """
    )
    import torch

    a, b = module.f(torch.ones(2, 3))
    assert a.shape == (3, 2) and b.tolist() == [3, 3]


# -- limits -----------------------------------------------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize(
    "body",
    [
        "torch.empty(16 * 1024**3)",
        "bytearray(64 << 30)",
        "[0] * (8 << 30)",
        "__import__('mmap').mmap(-1, 8 << 30)",
    ],
)
def test_memory_is_bounded(behind, body):
    with pytest.raises((MemoryError, RuntimeError, OSError)):
        behind(f"import torch\ndef f(): return len({body})").f()


@LINUX
def test_half_of_the_allowance_can_be_used(behind):
    assert behind("import torch\ndef f(): return torch.ones(128 * 1024**2).sum().item()", memory_mb=1024).f() == 2**27


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("while True: pass", 0.5),
        ("import time; time.sleep(1000)", 0.5),
        ("import signal, os; os.kill(os.getpid(), signal.SIGSTOP)", 0.5),
        ("import threading; threading.Lock().acquire() and None; l = threading.Lock(); l.acquire(); l.acquire()", 0.5),
        ("import re; re.match('(a+)+$', 'a' * 40 + 'b')", 0.5),
        ("import signal\n    for s in range(1, 32):\n        try: signal.signal(s, signal.SIG_IGN)\n"
         "        except (OSError, ValueError): pass\n    while True: pass", 0.5),
    ],
    ids=["loop", "sleep", "stop", "deadlock", "regex", "ignores signals"],
)  # fmt: skip
def test_a_hang_is_a_timeout_in_time(wall, body, limit):
    module = wall.load(f"def f():\n    {body}\n", seconds=10.0)
    runner = wall.runners[-1]
    runner.allow(limit)
    started = time.monotonic()
    with pytest.raises(RunnerFault) as caught:
        module.f()
    assert caught.value.outcome == "timeout"
    assert time.monotonic() - started < 30  # generous: the machine may be busy; without a limit it never ends
    with pytest.raises(RunnerFault):  # it is gone, and answers no more
        module.f()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os.abort()", "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import os; os._exit(0)", "exit status 0"),
        ("import os; os._exit(7)", "exit status 7"),
    ],
)
def test_a_crash_is_told_with_its_signal(behind, body, words):
    with pytest.raises(RunnerFault, match=words) as caught:
        behind(f"def f(): {body}").f()
    assert caught.value.outcome == "crashed"


def test_input_finds_nothing_to_read(behind):
    with pytest.raises(EOFError):
        behind("def f(): return input()").f()


# -- output -----------------------------------------------------------------------------------------------------------


def test_a_gigabyte_of_output_is_read_away_and_capped(wall):
    module = wall.load("def f():\n    line = 'x' * 1023 + '\\n'\n    for _ in range(50_000): print(line)\n    return 5")
    assert module.f() == 5
    runner = wall.runners[-1]
    assert len(runner.output) == OUTPUT_CAP and runner.printed > 50_000_000


# -- forged answers ---------------------------------------------------------------------------------------------------

FORGE = """
import os, socket, struct
def everywhere(data):
    for fd in range(3, 64):
        try: os.write(fd, data)
        except OSError: pass
def write(data): everywhere(data)
def close():
    for fd in range(3, 64):
        try: os.close(fd)
        except OSError: pass
    while True: pass
"""


@pytest.mark.parametrize(
    "data",
    [b"\0" * 100, b"DRL1" + b"\xff" * 12, os.urandom(4096), b"DRL1\x02\0\0\0" + b"\0" * 8 + b"\x92\x00"],
)
def test_bytes_written_to_the_judges_socket_are_a_fault(behind, data):
    with pytest.raises(RunnerFault) as caught:
        behind(FORGE).write(data)
    assert caught.value.outcome == "crashed"


def test_closing_the_socket_is_a_fault(behind):
    with pytest.raises(RunnerFault) as caught:
        behind(FORGE).close()
    assert caught.value.outcome == "crashed"


def test_an_answer_written_ahead_of_time_is_not_taken(behind):
    """A frame in perfect order, but without the nonce of the question."""
    module = behind(
        """
        import os, msgspec
        from grader.engine.messages import Ok, ReplyFrame
        def f():
            body = msgspec.msgpack.encode(ReplyFrame(12345, Ok(42)))
            frame = b"DRL1" + len(body).to_bytes(4, "little") + (0).to_bytes(8, "little") + body
            for fd in range(3, 64):
                try: os.write(fd, frame)
                except OSError: pass
            return 1
        """
    )
    with pytest.raises(RunnerFault, match="not asked"):
        module.f()


# -- what is left -----------------------------------------------------------------------------------------------------


@LINUX
def test_runners_end_with_their_judge(wall):
    pid = wall.load("import os\ndef pid(): return os.getpid()").pid()
    os.kill(pid, 0)
    wall.close()
    assert process_ends(pid)


@LINUX
def test_runners_end_with_the_zygote():
    """kill -9 of the parent of all runners leaves none of them."""
    from grader.engine.messages import Load, Terms
    from grader.engine.remote import Runner, Zygote

    ours, theirs = socket.socketpair()
    command = [sys.executable, "-I", "-m", "grader.engine.zygote", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    line = Zygote.open(ours, Terms())
    runner = Runner(line, 10.0, None)
    runner.start_load(Load(b"", "answer.py", "answer", 1))
    ready, _ = runner.finish_load()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process_ends(ready.pid)
    runner.close()
    line.close()
    ours.close()


@LINUX
def test_the_memory_that_a_runner_took_is_seen(wall):
    module = wall.load("import torch\ndef f(): global x; x = torch.ones(64 * 2**20); return 1")
    runner = wall.runners[-1]
    before = runner.memory_mb
    module.f()
    assert before < 32 and 240 < runner.memory_mb - before < 300  # 64 Mi float32 are 256 MiB


@pytest.mark.parametrize(
    "body",
    [
        "torch.func.grad(lambda a: (a * a).sum())(x)",
        "torch.utils.checkpoint.checkpoint(lambda a: 2 * a, x.requires_grad_(), use_reentrant=False).detach()",
        "(lambda p: torch.optim.Adam([p]) and 2 * p.detach())(torch.nn.Parameter(x))",
    ],
)
def test_what_needs_torchs_compiler_works_in_little_memory(wall, body):
    """torch imports it (800 modules, 70 MiB) when the first of these is used: too late behind the wall."""
    module = wall.load(
        f"import torch, torch.utils.checkpoint\ndef f(x):\n    return {body}", memory_mb=32, compiler=True
    )
    assert module.f(torch.tensor([1.0, 3.0])).tolist() == [2.0, 6.0]


def test_a_source_that_needs_torchs_compiler_is_noticed(tmp_path):
    def asked(source: bytes, **options: object) -> bool:
        limits = Limits()
        return terms_of(
            Request(drill="d", folder="", solution="", source=source, filename="", seed=1, limits=limits, **options)
        ).compiler

    assert asked(b"import torch\ntorch.func.vmap(f)") and asked(b"from torch.utils.checkpoint import checkpoint")
    assert asked(b"from torch import func, nn") and asked(b"from torch import optim")
    assert not asked(b"import torch.nn.functional as F\nimport re\nre.compile('optimal')")
    stand_ins = tmp_path / "equivalents.py"
    stand_ins.write_text("from torch.utils.checkpoint import checkpoint")
    assert asked(b"", stand_in=(str(stand_ins), "checkpointed"))


def test_memory_that_is_free_does_not_count(wall):
    """A few kilobytes kept from each of 200 steps, between tiles of 340 KB that are let go."""
    source = """
        import torch
        def f():
            kept = []
            for step in range(200):
                scores = torch.ones(1328, 64).masked_fill(torch.arange(64) > torch.arange(1328)[:, None], 0.0)
                kept.append((scores.amax(-1), scores.exp().sum(-1), scores @ torch.ones(64, 2)))
            return len(kept)
    """
    assert wall.load(source, memory_mb=32).f() == 200


def test_threads_work_in_little_memory(wall):
    source = """
        import torch
        from concurrent.futures import ThreadPoolExecutor
        def f(n):
            with ThreadPoolExecutor(n) as pool:
                parts = pool.map(lambda i: torch.ones(4096) * i, range(4 * n))
                return sum(float(part[0]) for part in parts)
    """
    assert wall.load(source, memory_mb=32).f(8) == sum(range(32))
