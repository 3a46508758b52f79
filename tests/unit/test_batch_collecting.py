"""What people hand in, found and refused: folders, files, archives, and things that pretend to be one of them."""

from __future__ import annotations

import os
import stat
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader.batch.collecting import MAX_MEMBERS, Collected, collect
from grader.errors import BadInput

TOPICS = ["masking", "bert_masking", "rmsnorm"]
SOURCE = b"x = 1\n"


def put(path: Path, content: bytes = SOURCE, at: float = 1e9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


def archive(
    path: Path, members: dict[str, bytes], at: tuple[int, int, int, int, int, int] = (2001, 9, 9, 1, 46, 40)
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(zipfile.ZipInfo(name, at), content)
    return path


def found(collected: Collected) -> set[tuple[str, str]]:
    return {(each.learner, each.topic) for each in collected.submissions}


def reason(collected: Collected) -> str:
    (each,) = collected.unused
    return each.reason


def test_every_layout(tmp_path):
    put(tmp_path / "ann" / "masking.py")
    put(tmp_path / "ann" / "bert-masking.py")
    put(tmp_path / "ann" / "notes.txt")
    put(tmp_path / "bob_masking.py")
    put(tmp_path / "bob_bert_masking.py")
    put(tmp_path / "Eve van Dyk - RMSNorm.py")
    archive(
        tmp_path / "cem.zip", {"homework/masking.py": SOURCE, "__MACOSX/rmsnorm.py": b"junk", "homework/other.py": b""}
    )
    archive(tmp_path / "dan" / "all.zip", {"rmsnorm.py": SOURCE})
    collected = collect(tmp_path, TOPICS)
    assert found(collected) == {
        ("ann", "masking"), ("ann", "bert_masking"), ("bob", "masking"), ("bob", "bert_masking"),
        ("Eve van Dyk", "rmsnorm"), ("cem", "masking"), ("dan", "rmsnorm"),
    }  # fmt: skip
    assert collected.unused == [] and {each.source for each in collected.submissions} == {SOURCE}
    assert collected.submissions[0].at == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)


def test_only_the_topics_asked_for(tmp_path):
    put(tmp_path / "ann" / "masking.py")
    put(tmp_path / "ann" / "rmsnorm.py")
    assert found(collect(tmp_path, ["rmsnorm"])) == {("ann", "rmsnorm")}


def test_of_two_answers_the_one_changed_last_counts(tmp_path):
    put(tmp_path / "ann" / "masking.py", b"old = 1\n", at=1e9)
    put(tmp_path / "ann_masking.py", b"new = 1\n", at=1e9 + 60)
    collected = collect(tmp_path, TOPICS)
    assert [each.source for each in collected.submissions] == [b"new = 1\n"]
    assert "there is a newer one" in reason(collected) and "ann_masking.py" in reason(collected)


@pytest.mark.parametrize("content", [b"\0", b"\xff\xfe\xfd", b"x" * (1 << 20) + b"x"], ids=["null", "no text", "large"])
def test_what_is_no_python_is_told_and_stops_nobody(tmp_path, content):
    put(tmp_path / "ann" / "masking.py", content)
    archive(tmp_path / "bob.zip", {"masking.py": content})
    put(tmp_path / "cem" / "masking.py")
    collected = collect(tmp_path, TOPICS)
    assert found(collected) == {("cem", "masking")}
    assert sorted(each.learner for each in collected.unused) == ["ann", "bob"] and all(
        each.reason for each in collected.unused
    )


def test_a_link_to_somebody_elses_work_is_refused(tmp_path):
    put(tmp_path / "ann" / "masking.py")
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "masking.py").symlink_to(tmp_path / "ann" / "masking.py")
    (tmp_path / "cem").symlink_to(tmp_path / "ann")
    collected = collect(tmp_path, TOPICS)
    assert found(collected) == {("ann", "masking")}
    assert len(collected.unused) == 2 and all("link" in each.reason for each in collected.unused)


def test_a_pipe_does_not_hang(tmp_path):
    (tmp_path / "ann").mkdir()
    os.mkfifo(tmp_path / "ann" / "masking.py")
    assert "named pipe" in reason(collect(tmp_path, TOPICS))


@pytest.mark.parametrize("name", ["../masking.py", "/etc/masking.py", "a/../../masking.py", "..\\masking.py"])
def test_names_that_lead_out_of_an_archive(tmp_path, name):
    archive(tmp_path / "ann.zip", {name: SOURCE})
    collected = collect(tmp_path, TOPICS)
    assert not collected.submissions and "out of the archive" in reason(collected)


def test_a_link_in_an_archive(tmp_path):
    info = zipfile.ZipInfo("masking.py")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "ann.zip", "w") as made:
        made.writestr(info, "/etc/passwd")
    assert "is a link" in reason(collect(tmp_path, TOPICS))


def test_a_bomb_in_an_archive_is_read_no_further_than_an_answer_may_be_long(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "ann.zip", "w", zipfile.ZIP_DEFLATED) as made,
        made.open("masking.py", "w") as member,
    ):
        for _ in range(200):
            member.write(b"#" * (1 << 20))
    assert "1 MiB" in reason(collect(tmp_path, TOPICS))


def test_archives_that_are_none(tmp_path):
    put(tmp_path / "ann.zip", b"PK\x03\x04 and then nothing")
    put(tmp_path / "bob.zip", b"")
    made = archive(tmp_path / "cem.zip", {"masking.py": SOURCE * 100})
    damaged = bytearray(made.read_bytes())
    damaged[45:60] = b"\xff" * 15
    made.write_bytes(damaged)
    archive(tmp_path / "dan.zip", {f"{i}/masking.py": SOURCE for i in range(MAX_MEMBERS + 1)})
    collected = collect(tmp_path, TOPICS)
    assert not collected.submissions and sorted(each.learner for each in collected.unused) == [
        "ann",
        "bob",
        "cem",
        "dan",
    ]


def test_names_that_say_nothing(tmp_path):
    put(tmp_path / "masking.py")
    put(tmp_path / "readme.md")
    put(tmp_path / "ann" / "solution.py")
    collected = collect(tmp_path, TOPICS)
    assert not collected.submissions and len(collected.unused) == 3


def test_a_folder_that_is_none(tmp_path):
    for place in (tmp_path / "nowhere", put(tmp_path / "file.py")):
        with pytest.raises(BadInput, match="cannot be read"):
            collect(place, TOPICS)


def test_a_name_cannot_steer_a_terminal(tmp_path):
    put(tmp_path / "a\x1b[31mnn" / "masking.py")
    (each,) = collect(tmp_path, TOPICS).submissions
    assert each.learner == "ann" and "\x1b" not in each.origin
