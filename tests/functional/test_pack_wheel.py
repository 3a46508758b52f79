"""A pack as a wheel: installed by pip, announced by its entry point, practised, checked and proved like the course."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from checks import ROOT, Ran, grader

from grader.scaffold import make_drill

NAME = "acme_drills"


def build_wheel(folder: Path) -> Path:
    """A wheel of a package with two drills in it; one has the name of a drill of the course."""
    package = folder / NAME
    make_drill(package, "acme_first")
    make_drill(package, "masking")
    (package / "__init__.py").write_text('raise RuntimeError("a pack is found without being imported")\n')
    info = f"{NAME}-1.0.dist-info"
    files = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(package.rglob("*")) if file.is_file()}
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[drills.packs]\nacme = {NAME}\n".encode(),
    }
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    wheel = folder / f"{NAME}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine that has the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--target", str(folder / "site"), "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(build_wheel(folder))], check=True)
    return {"PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]), "HOME": str(folder)}


def drills(env: dict[str, str], *arguments: str) -> Ran:
    command = [sys.executable, "-m", "drills", *arguments]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def test_it_is_listed_with_its_name(installed):
    listed = drills(installed, "list", "--json")
    assert listed.code == 0 and "acme's is acme:masking" in listed.err
    slugs = [drill["slug"] for group in json.loads(listed.out)["groups"] for drill in group["drills"]]
    assert "acme_first" in slugs and "masking" in slugs and "acme:masking" in slugs
    assert "acme_first" not in drills({"HOME": installed["HOME"]}, "list", "--json").out


def test_it_is_checked_and_proved(installed):
    ran = grader("check", "acme_first", "--solution", "--json", env=installed)
    assert ran.code == 0 and ran.result["verdict"] == "passed"
    proved = grader("validate", "acme", "--seeds", "1", "--no-mutants", "--json", env=installed)
    assert proved.code == 0 and len(json.loads(proved.out)["drills"]) == 2


def test_a_clash_of_names_is_told_apart(installed):
    assert grader("check", "acme:masking", "--solution", "--json", env=installed).result["drill"] == "acme:masking"
    assert len(grader("check", "masking", "--solution", "--json", env=installed).result["checks"]) > 10
