"""Faults of the grader's own surroundings: each ends in a sentence that says what happened and what to do, with exit 3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from checks import ROOT


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with everything in it but torch."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (folder / "first").mkdir()
    (folder / "first" / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    packages = Path(msgspec.__file__).parents[1]
    (site / "all_but_torch.pth").write_text(f"{folder / 'first'}\n{packages}\n{ROOT}\n")
    return folder / "venv" / "bin" / "python"


@pytest.mark.parametrize("options", [[], ["--no-server"]], ids=["server", "no server"])
def test_without_torch_a_check_says_what_to_install(without_torch, options):
    command = [without_torch, "-m", "grader.cli", "check", "rmsnorm", "--solution", *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = " ".join(ran.stdout.split())
    assert ran.returncode == 3 and "No module named 'torch' (`pip install torch`)" in said and "Traceback" not in said
    assert "the grader's fault, not yours" in said


def test_without_torch_the_doctor_says_so(without_torch):
    ran = subprocess.run(
        [without_torch, "-m", "grader.cli", "doctor"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 3 and "pip install torch" in ran.stdout and "landlock" not in ran.stdout


def test_without_torch_the_course_can_be_read(without_torch):
    ran = subprocess.run(
        [without_torch, "-m", "drills", "list"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0 and "rmsnorm" in ran.stdout
