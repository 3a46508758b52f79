"""How fast a class is graded: `grader batch` on generated answers, against plain pytest, one cold process an answer.

    python tests/benchmarks/classes.py [--answers 300] [--sample 6] [--json]

A third of the answers are right, a third are wrong (automatic mutants of the reference that `grader validate` knows to be
rejected), a third are hostile. Each verdict is compared with what is due. The batch is killed half-way and gone on with;
what plain pytest takes is measured on a sample of the right answers.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from drills.catalogue import Catalogue, Drill  # noqa: E402
from grader import client  # noqa: E402
from grader.mutants import mutants  # noqa: E402
from grader.validation import equivalent_mutants  # noqa: E402

HOSTILE = (
    "import os\nos._exit(0)\n",
    "while True: pass\n",
    "import ctypes\nctypes.string_at(0)\n",
    "raise SystemExit(0)\n",
    "import torch\ntorch.allclose = lambda *a, **k: True\ndef {name}(*a, **k): return None\n",
    "def {name}(*a, **k):\n    import os, signal\n    os.kill(os.getppid(), signal.SIGKILL)\n",
    "def {name}(*a, **k):\n    while True: pass\n",
    "def {name}(*a, **k):\n    return open('/etc/passwd').read()\n",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=300)
    parser.add_argument("--sample", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drills-class-") as name:
        folder = Path(name)
        os.environ["DRILLS_RUNTIME_DIR"] = str(folder / "run")
        os.environ.pop("CI", None)
        try:
            figures = measure(folder, options.answers, options.sample)
        finally:
            client.stop()
    if options.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:42} {value}")
    return 1 if figures["verdicts not as due"] or figures["killed and resumed: another report"] else 0


def measure(folder: Path, answers: int, sample: int) -> dict[str, Any]:
    drills = Catalogue.load().drills
    due = make_class(folder / "class", drills, answers)
    warm_up(drills[0])
    before, started = children_cpu(), time.monotonic()
    run_batch(folder, "whole", "5")
    wall, cpu = time.monotonic() - started, children_cpu() - before
    memory = client.status()
    found = verdicts(folder / "whole")
    plain = statistics.median(
        plain_seconds(drill) for drill in random.Random(2).sample(drills, min(sample, len(drills)))
    )
    killed_half_way(folder, wall)
    same = (folder / "whole" / "results.csv").read_bytes() == (folder / "broken" / "results.csv").read_bytes()
    wrong = sorted(f"{who} {topic}: {found.get((who, topic))}, due {verdict}" for (who, topic), verdict in due.items()
                   if found.get((who, topic)) != verdict)  # fmt: skip
    return {
        "answers": len(due),
        "verdicts not as due": wrong,
        "seconds": round(wall, 1),
        "answers a second": round(len(due) / wall, 2),
        "plain pytest, seconds an answer": round(plain, 2),
        "times faster than plain pytest": round(plain * len(due) / wall, 1),
        "command's own CPU seconds": round(cpu, 1),
        "server and zygote, MB of their own": round(memory.memory_mb + memory.zygote_memory_mb, 1) if memory else None,
        "killed and resumed: another report": not same,
        "cores": os.cpu_count(),
    }


def make_class(folder: Path, drills: tuple[Drill, ...], answers: int) -> dict[tuple[str, str], str]:
    """Write the answers; {(learner, topic): the verdict that is due}."""
    chance, due = random.Random(1), {}
    wrong = {drill.slug: rejected_mutants(drill) for drill in drills}
    for number in range(answers):
        drill = drills[number % len(drills)]
        learner, kind = f"learner{number // len(drills):03}", chance.choice(["right", "wrong", "hostile"])
        name = next(line[4:].split("(")[0] for line in drill.solution_source.splitlines() if line.startswith("def "))
        source = {
            "right": drill.solution_source,
            "wrong": chance.choice(wrong[drill.slug]),
            "hostile": drill.solution_source + "\n\n" + chance.choice(HOSTILE).format(name=name),
        }[kind]
        (folder / learner).mkdir(parents=True, exist_ok=True)
        (folder / learner / f"{drill.slug}.py").write_text(f"{source}\n# {number}\n")
        due[learner, drill.slug] = "passed" if kind == "right" else "failed"
    return due


def rejected_mutants(drill: Drill) -> list[str]:
    listed = equivalent_mutants(drill)
    return [mutant.source for mutant in mutants(drill.solution_source) if mutant.name not in listed]


def command(folder: Path, out: str, seed: str) -> list[str]:
    root = ["--allow-root"] if os.geteuid() == 0 else []
    options = ["--out", str(folder / out), "--seed", seed, *root]
    return [sys.executable, "-m", "grader.cli", "batch", str(folder / "class"), *options]


def run_batch(folder: Path, out: str, seed: str) -> None:
    subprocess.run(command(folder, out, seed), check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def killed_half_way(folder: Path, wall: float) -> None:
    """Kill it after half of the time that the whole took, then go on."""
    process = subprocess.Popen(command(folder, "broken", "5"), stdout=subprocess.DEVNULL, cwd=ROOT)
    try:
        process.wait(wall / 2)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    run_batch(folder, "broken", "5")


def verdicts(out: Path) -> dict[tuple[str, str], str]:
    with (out / "results.csv").open(newline="") as file:
        return {(row["learner"], row["drill"]): row["verdict"] for row in csv.DictReader(file)}


def warm_up(drill: Drill) -> None:
    done = [sys.executable, "-m", "grader.cli", "check", drill.slug, "--solution"]
    subprocess.run(done, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def plain_seconds(drill: Drill) -> float:
    """The same hidden tests on the reference, in one cold pytest process without a wall."""
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{ROOT}", "ANSWER": str(drill.solution)}
    arguments = ["-q", "-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-p", "plain"]
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(drill.folder / "hidden_tests.py")],
        check=True, stdout=subprocess.DEVNULL, env=env, cwd=ROOT,
    )  # fmt: skip
    return time.monotonic() - started


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
