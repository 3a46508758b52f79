"""How long a verdict takes: `python tests/benchmarks/verdicts.py [--rounds N] [--json] [TOPIC...]`.

Every figure is a ratio of medians, measured alternately in this one run, because seconds differ between machines and
between two minutes on the same one. The answers are the reference solutions, graded by `grader check TOPIC --file`.

warm       `grader check` as a whole process, its server running, against the same hidden tests in one cold pytest
           process without a wall
no server  the same check with --no-server, against the same
floor      the warm check against starting Python with click plus the bare bodies of the tests in a warm process
list, help `drills list` and `grader --help` against `python -c "import click"`
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
WANTED = {"warm": 1 / 15, "no server": 1.3, "floor": 2.0, "list": 2.5, "help": 2.5}


def command(*args: str, **environment: str) -> Callable[[], float]:
    """Something that runs a command as a whole process and tells its seconds."""

    def run() -> float:
        started = time.perf_counter()
        done = subprocess.run(
            [PYTHON, *args], cwd=ROOT, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return time.perf_counter() - started

    return run


def medians(rounds: int, **measured: Callable[[], float]) -> dict[str, float]:
    """The median seconds of each, all of them once a round, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in measured}
    for round_ in range(rounds + 1):
        for name, run in measured.items():
            seconds = run()
            if round_:
                taken[name].append(seconds)
    return {name: statistics.median(values) for name, values in taken.items()}


def bodies(topic: str) -> float:
    """Seconds of CPU that the test functions alone take in a warm process, the least of five runs."""
    code = (Path(__file__).with_name("bodies.py")).read_text(encoding="utf-8")
    done = subprocess.run([PYTHON, "-c", code, topic], cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=True)
    return float(done.stdout)


def topic_figures(topic: str, rounds: int) -> dict[str, float]:
    """The ratios of one topic, and the seconds behind them."""
    solution, tests = ROOT / "solutions" / f"{topic}.py", ROOT / "drills" / topic / "hidden_tests.py"
    check = ("-c", GRADER, "check", topic, "--file", str(solution))
    plain = ("-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-p", "plain")
    seconds = medians(
        rounds,
        warm=command(*check),
        plain=command(*plain, str(tests), ANSWER=str(solution), PYTHONPATH=f"{Path(__file__).parent}"),
        no_server=command(*check, "--no-server"),
        click=command("-c", "import click"),
    )
    body = bodies(topic)
    return {
        "warm": seconds["warm"] / seconds["plain"],
        "no server": seconds["no_server"] / seconds["plain"],
        "floor": seconds["warm"] / (seconds["click"] + body),
        "warm_s": seconds["warm"],
        "plain_s": seconds["plain"],
        "bodies_s": body,
    }


def start_figures(rounds: int) -> dict[str, float]:
    seconds = medians(
        3 * rounds,
        list=command("-c", DRILLS, "list"),
        help=command("-c", GRADER, "--help"),
        click=command("-c", "import click"),
    )
    return {"list": seconds["list"] / seconds["click"], "help": seconds["help"] / seconds["click"]}


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "")
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores {model}, Python {platform.python_version()}"
    )


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


GRADER = "from grader.cli import main; main()"
DRILLS = "from drills.cli import main; main()"
ENVIRONMENT: dict[str, str] = {}


@click.command()
@click.argument("topics", nargs=-1)
@click.option("--rounds", default=7, show_default=True, help="How often each command is run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def main(topics: tuple[str, ...], rounds: int, as_json: bool) -> None:
    """Measure how long a verdict takes, as ratios."""
    with tempfile.TemporaryDirectory() as home:
        kept = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
        ENVIRONMENT.update(kept | {"DRILLS_WORKSPACE": home, "DRILLS_RUNTIME_DIR": f"{home}/run"})
        chosen = topics or tuple(sorted(path.parent.name for path in ROOT.glob("drills/*/hidden_tests.py")))
        figures: dict[str, Any] = {"machine": machine(), "rounds": rounds, "topics": {}}
        try:
            if not as_json:
                click.echo(figures["machine"])
                click.echo(
                    f"{'':18}{'warm':>8}{'no server':>11}{'floor':>8}{'warm s':>9}{'plain s':>9}{'bodies s':>10}"
                )
            for topic in chosen:
                row = figures["topics"][topic] = topic_figures(topic, rounds)
                if not as_json:
                    click.echo(
                        f"{topic:18}{row['warm']:8.3f}{row['no server']:11.2f}{row['floor']:8.2f}"
                        f"{row['warm_s']:9.3f}{row['plain_s']:9.2f}{row['bodies_s']:10.3f}"
                    )
            figures["start"] = start_figures(rounds)
        finally:
            subprocess.run([PYTHON, "-c", GRADER, "server", "stop"], env=ENVIRONMENT, capture_output=True, check=False)
    _print(figures, as_json)


def _print(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures))
        return
    rows = figures["topics"].values()
    for name in ("warm", "no server", "floor"):
        values = [row[name] for row in rows]
        click.echo(
            f"{name}: median {statistics.median(values):.3f}, worst {max(values):.3f} (wanted {WANTED[name]:.3f})"
        )
    for name, value in figures["start"].items():
        click.echo(f"{name}: {value:.2f} (wanted {WANTED[name]})")


if __name__ == "__main__":
    main()
