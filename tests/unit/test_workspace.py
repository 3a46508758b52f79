"""The learner's folder: found, made, and never a file of the learner's lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from people import shared_folder, without_rights
from tiny_pack import STUB, make_drill, make_pack

from drills.catalogue import Catalogue
from grader.errors import BadInput
from grader.workspace import Workspace


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "toys", "toy_sum", "toy_mean")


@pytest.fixture
def catalogue(pack: Path) -> Catalogue:
    return only(pack)


def only(pack: Path) -> Catalogue:
    """A catalogue without the built-in drills."""
    whole = Catalogue.load([pack])
    return replace(whole, drills=tuple(drill for drill in whole.drills if drill.pack == pack.name))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No workspace of the machine's is in reach."""
    (tmp_path / "home").mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DRILLS_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path / "cwd")


def test_where_a_workspace_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Workspace.locate().root == tmp_path / "home" / "llm-drills"
    (tmp_path / "cwd" / ".drills").mkdir()
    deep = tmp_path / "cwd" / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert Workspace.locate().root == tmp_path / "cwd"
    (tmp_path / "cwd" / "a" / ".drills").mkdir()
    assert Workspace.locate().root == tmp_path / "cwd" / "a"
    monkeypatch.setenv("DRILLS_WORKSPACE", "~/mine")
    assert Workspace.locate().root == tmp_path / "home" / "mine"
    assert Workspace.locate(Path("here")).root == deep / "here"
    monkeypatch.setenv("DRILLS_WORKSPACE", "")
    assert Workspace.locate().root == tmp_path / "cwd" / "a"


def test_a_current_folder_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Workspace.locate().root == tmp_path / "home" / "llm-drills"


def test_create_puts_a_stub_for_every_drill(tmp_path: Path, catalogue: Catalogue) -> None:
    workspace = Workspace(tmp_path / "deep" / "ws")
    assert not workspace.exists
    made = workspace.create(catalogue)
    assert workspace.exists
    assert sorted(file.name for file in made) == ["toy_mean.py", "toy_sum.py"]
    assert workspace.file("toy_sum").read_text() == STUB
    assert sorted(item.name for item in workspace.inner.iterdir()) == ["workspace.toml"]
    assert "version = 1" in (workspace.inner / "workspace.toml").read_text()
    umask = os.umask(0)
    os.umask(umask)
    assert workspace.file("toy_sum").stat().st_mode & 0o777 == 0o666 & ~umask


def test_create_again_adds_what_is_new_and_changes_nothing(tmp_path: Path, pack: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.create(only(pack))
    workspace.file("toy_sum").write_text("mine\n")
    make_drill(pack, "toy_max")
    assert workspace.create(only(pack)) == [workspace.file("toy_max")]
    assert workspace.file("toy_sum").read_text() == "mine\n"


def test_files_that_were_there_before_are_kept(tmp_path: Path, catalogue: Catalogue) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    (root / "toy_sum.py").write_text("mine\n")
    (root / "toy_mean.py").symlink_to(tmp_path / "elsewhere.py")
    assert Workspace(root).create(catalogue) == []
    assert (root / "toy_sum.py").read_text() == "mine\n"
    assert not (tmp_path / "elsewhere.py").exists()


def test_a_file_saved_just_before_the_stub_is_put_is_kept(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "ws")
    real = Path.hardlink_to

    def save_first(self: Path, target: Path) -> None:
        if self.name == "toy_sum.py":
            self.write_text("mine\n")
        real(self, target)

    monkeypatch.setattr(Path, "hardlink_to", save_first)
    assert workspace.create(catalogue) == [workspace.file("toy_mean")]
    assert workspace.file("toy_sum").read_text() == "mine\n"


def test_a_file_system_without_hard_links(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    workspace = Workspace(tmp_path / "ws")
    assert len(workspace.create(catalogue)) == 2
    assert workspace.file("toy_sum").read_text() == STUB
    workspace.file("toy_sum").write_text("mine\n")
    assert workspace.create(catalogue) == []
    assert workspace.file("toy_sum").read_text() == "mine\n"


CREATE = """
import sys
from pathlib import Path
from drills.catalogue import Catalogue
from grader.workspace import Workspace
catalogue = Catalogue.load([Path(sys.argv[1])])
print("ready", flush=True)
sys.stdin.readline()
made = Workspace(Path(sys.argv[2])).create(catalogue)
print(*(file.name for file in made))
"""


def test_two_commands_make_one_workspace(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "many", *(f"toy_{number}" for number in range(30)))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", CREATE, str(pack), str(tmp_path / "ws")]
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    made = [name for process in processes for name in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    toys = [name for name in made if name.startswith("toy_")]
    assert sorted(toys) == sorted(f"toy_{number}.py" for number in range(30))
    assert all((tmp_path / "ws" / name).read_text() == STUB for name in toys)
    assert [item.name for item in (tmp_path / "ws" / ".drills").iterdir()] == ["workspace.toml"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version = 2\n", "made by a newer llm-drills"),
        ("version = 'x'\n", "names no version"),
        ("[", "cannot be read"),
    ],
)
def test_a_workspace_of_another_kind_is_refused(tmp_path: Path, catalogue: Catalogue, text: str, told: str) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.inner.mkdir(parents=True)
    (workspace.inner / "workspace.toml").write_text(text)
    for use in (
        lambda: workspace.create(catalogue),
        workspace.require,
        lambda: workspace.reset(catalogue.drills[0]),
    ):
        with pytest.raises(BadInput, match=told) as caught:
            use()
        assert caught.value.advice
    assert sorted(item.name for item in workspace.root.iterdir()) == [".drills"]


def test_reset_keeps_the_attempt(tmp_path: Path, catalogue: Catalogue) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.create(catalogue)
    drill = catalogue.find("toy_sum")
    kept = []
    for text in ("first\n", "second\n", "third\n"):
        workspace.file("toy_sum").write_text(text)
        kept.append(workspace.reset(drill))
        assert workspace.file("toy_sum").read_text() == STUB
    assert [file.read_text() for file in kept if file] == ["first\n", "second\n", "third\n"]
    assert len(set(kept)) == 3
    for file in kept:
        assert file is not None
        assert file.parent == workspace.inner / "attempts"
        assert re.fullmatch(r"toy_sum-\d{8}T\d{6}Z-\d+\.py", file.name)


def test_reset_without_a_file_only_puts_the_stub(tmp_path: Path, catalogue: Catalogue) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.create(catalogue)
    workspace.file("toy_sum").unlink()
    assert workspace.reset(catalogue.find("toy_sum")) is None
    assert workspace.file("toy_sum").read_text() == STUB


def test_reset_needs_a_workspace(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(BadInput, match="no workspace"):
        Workspace(tmp_path / "ws").reset(catalogue.find("toy_sum"))


def test_reset_of_a_broken_drill_leaves_the_file(tmp_path: Path, catalogue: Catalogue) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.create(catalogue)
    workspace.file("toy_sum").write_text("mine\n")
    drill = catalogue.find("toy_sum")
    (drill.folder / "stub.py").unlink()
    with pytest.raises(Exception, match=r"stub\.py"):
        workspace.reset(drill)
    assert workspace.file("toy_sum").read_text() == "mine\n"


def test_a_drill_that_names_its_pack_has_a_file_that_can_be_imported(tmp_path: Path) -> None:
    assert Workspace(tmp_path).file("others:toy_sum") == tmp_path / "others__toy_sum.py"


def test_a_file_where_the_workspace_should_be(tmp_path: Path, catalogue: Catalogue) -> None:
    (tmp_path / "ws").write_text("")
    with pytest.raises(BadInput, match="there is a file where a folder should be"):
        Workspace(tmp_path / "ws").create(catalogue)


def test_a_folder_that_may_not_be_written(catalogue: Catalogue) -> None:
    with shared_folder() as folder:
        pack = make_pack(folder / "toys", "toy_sum")
        drill = Catalogue.load([pack]).find("toy_sum")
        workspace = Workspace(folder / "ws")
        workspace.create(only(pack))
        workspace.file("toy_sum").write_text("mine\n")
        closed = [workspace.root, workspace.inner]
        for place in closed:
            place.chmod(0o555)
        with without_rights():
            assert workspace.exists
            assert workspace.create(only(pack)) == []  # all is there: nothing to write
            with pytest.raises(BadInput, match="cannot be written: Permission denied"):
                workspace.reset(drill)
            with pytest.raises(BadInput, match="cannot be written: Permission denied"):
                Workspace(workspace.root / "new").create(only(pack))
        for place in closed:
            place.chmod(0o755)
        assert workspace.file("toy_sum").read_text() == "mine\n"


def test_texts_put_by_stand_beside_each_other(tmp_path: Path, catalogue: Catalogue) -> None:
    workspace = Workspace(tmp_path / "w")
    workspace.create(catalogue)
    kept = [workspace.put_by("toy_sum", content) for content in (b"one", b"two", b"\xff")]
    assert [each.read_bytes() for each in kept] == [b"one", b"two", b"\xff"]
    assert {each.parent for each in kept} == {workspace.inner / "attempts"}
    assert workspace.file("toy_sum").read_text() == STUB


def test_a_text_that_cannot_be_put_by_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        Workspace(tmp_path / "nowhere").put_by("toy_sum", b"one")
