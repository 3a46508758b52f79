"""Progress taken along: two histories become one, whichever came first; and what is no export changes nothing."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.document import encode
from grader.errors import BadInput
from grader.incoming import decode
from grader.progress import Progress

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SLUGS = st.sampled_from(["scaling", "masking"])
# Few moments and few sources, so that two machines often do the same at the same time.
MOMENTS = st.integers(0, 40).map(lambda days: START + timedelta(days=days))
EVENTS = st.one_of(
    st.tuples(
        st.just("attempt"),
        SLUGS,
        MOMENTS,
        st.sampled_from(["passed", "failed", "error"]),
        st.integers(0, 1),
        st.sampled_from([b"a", b"\xff"]),
        st.sampled_from(["", "printed"]),
    ),
    st.tuples(st.just("hint"), SLUGS, st.integers(1, 3)),
    st.tuples(st.just("look"), SLUGS, MOMENTS),
    st.tuples(
        st.just("answer"),
        SLUGS,
        st.sampled_from(["q1", "q2"]),
        MOMENTS,
        st.sampled_from(["again", "hard", "good", "easy"]),
        st.sets(st.integers(1, 3)),
        st.sampled_from(["", "typed 汉字"]),
    ),
)
HISTORIES = st.lists(EVENTS, max_size=12)


def do(progress: Progress, event: tuple[Any, ...]) -> None:
    match event:
        case "attempt", slug, at, verdict, seed, source, output:
            checks = [{"id": "test_a", "outcome": "passed" if verdict == "passed" else "failed"}]
            told = {"verdict": verdict, "seed": seed, "checks": checks, "diagnosis": [], "output": output}
            progress.record_attempt(slug, told, source, at)
        case "hint", slug, shown:
            progress.record_hint(slug, shown)
        case "look", slug, at:
            progress.record_solution_seen(slug, at)
        case "answer", slug, question, at, rating, points, text:
            progress.record_answer(slug, question, rating, points=tuple(points), points_total=3, text=text, at=at)


def machine(folder: Path, name: str, *histories: list[tuple[Any, ...]]) -> Progress:
    progress = Progress(folder / f"{name}.db")
    for history in histories:
        for event in history:
            do(progress, event)
    return progress


def taken(progress: Progress) -> bytes:
    return encode(progress.export())


def merged(folder: Path, name: str, *documents: bytes) -> bytes:
    """What a new machine has after importing these."""
    with Progress(folder / f"{name}.db") as progress:
        for document in documents:
            progress.merge(decode(document, "x"))
        return taken(progress)


def attempts(document: bytes) -> set[tuple[Any, ...]]:
    return {
        (each["drill"], each["at"], each["result"]["verdict"], each["result"]["seed"], str(each["source"]))
        for each in json.loads(document)["attempts"]
    }


@settings(max_examples=25, deadline=None)
@given(HISTORIES, HISTORIES, HISTORIES)
def test_the_order_of_merging_makes_no_difference(one: list[Any], two: list[Any], three: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            machine(folder, "a", one) as first,
            machine(folder, "b", two) as second,
            machine(folder, "c", three) as third,
        ):
            a, b, c = taken(first), taken(second), taken(third)
            both = merged(folder, "ab", a, b)
            assert merged(folder, "ba", b, a) == both
            assert merged(folder, "abab", a, b, a, both, b) == both
            assert merged(folder, "(ab)c", both, c) == merged(folder, "a(bc)", a, merged(folder, "bc", c, b))
            first.merge(decode(b, "x"))  # on top of what was recorded there
            second.merge(decode(a, "x"))
            assert taken(first) == taken(second) == both
            assert attempts(both) == attempts(a) | attempts(b)
            assert first.states(START) == second.states(START)


@settings(max_examples=25, deadline=None)
@given(HISTORIES)
def test_what_is_exported_is_all_there_is(history: list[Any]) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        machine(Path(name), "a", history) as here,
        Progress(Path(name) / "b.db") as there,
    ):
        document = taken(here)
        there.merge(decode(document, "x"))
        assert taken(there) == document
        for moment in (START, START + timedelta(days=15), START + timedelta(days=60)):
            assert there.states(moment) == here.states(moment)
            assert there.stats(moment) == here.stats(moment)
        assert there.answers() == here.answers()
        assert there.question_cards() == here.question_cards()
        plain = [(each.slug, each.at, each.verdict, each.source, each.result) for each in here.attempts("scaling", -1)]
        assert [
            (each.slug, each.at, each.verdict, each.source, each.result) for each in there.attempts("scaling", -1)
        ] == plain
        again = there.merge(decode(document, "x"))
        assert (again.attempts, again.answers, again.hints, again.solutions_seen) == (0, 0, 0, 0)


@settings(max_examples=25, deadline=None)
@given(HISTORIES, st.integers(0, 11))
def test_practice_that_went_on_elsewhere_is_one_history(history: list[Any], cut: int) -> None:
    """A machine that imports the first half and goes on ends where one machine would have."""
    with (
        tempfile.TemporaryDirectory() as name,
        machine(Path(name), "whole", history) as whole,
        machine(Path(name), "half", history[:cut]) as half,
        Progress(Path(name) / "other.db") as other,
    ):
        other.merge(decode(taken(half), "x"))
        for event in history[cut:]:
            do(other, event)
        half.merge(decode(taken(other), "x"))
        assert taken(other) == taken(whole) == taken(half)


def test_two_attempts_at_the_same_moment_stay_two(tmp_path: Path) -> None:
    told = {"verdict": "failed", "seed": 1, "checks": []}
    with Progress(tmp_path / "a.db") as here, Progress(tmp_path / "b.db") as there:
        for _ in range(2):
            here.record_attempt("scaling", told, b"x", START)
        there.record_attempt("scaling", told, b"x", START)
        assert there.merge(here.export()).attempts == 1
        assert here.merge(there.export()).attempts == 0
        assert len(here.attempts("scaling")) == len(there.attempts("scaling")) == 2


def test_two_records_of_one_attempt_that_differ_become_the_same_one(tmp_path: Path) -> None:
    """As they may after somebody changed an export by hand."""
    one = ("attempt", "scaling", START, "passed", 1, b"x", "printed")
    other = ("attempt", "scaling", START, "passed", 1, b"x", "")
    thought = ("answer", "scaling", "q1", START, "good", {1}, "so")
    also = ("answer", "scaling", "q1", START, "good", {2}, "so")
    with machine(tmp_path, "a", [one, thought]) as here, machine(tmp_path, "b", [other, also]) as there:
        theirs, ours = there.export(), here.export()
        assert here.merge(theirs).attempts == there.merge(ours).attempts == 0
        assert taken(here) == taken(there)
        assert len(here.attempts("scaling")) == len(here.answers()) == 1


def test_a_review_on_each_machine_is_two_reviews(tmp_path: Path) -> None:
    """Passed here on the first day and there on the tenth: there it was due again, and it was on time."""
    told = {"verdict": "passed", "seed": 1, "checks": []}
    with Progress(tmp_path / "a.db") as here, Progress(tmp_path / "b.db") as there, Progress(tmp_path / "c.db") as one:
        here.record_attempt("scaling", told, b"", START)
        there.record_attempt("scaling", told, b"", START + timedelta(days=10))
        for day in (0, 10):
            one.record_attempt("scaling", told, b"", START + timedelta(days=day))
        there.merge(here.export())
        assert there.states(START) == one.states(START)


@pytest.fixture
def sound(tmp_path: Path) -> dict[str, Any]:
    """A document with one of everything."""
    history: list[tuple[Any, ...]] = [
        ("attempt", "scaling", START, "failed", 1, b"a", "printed"),
        ("hint", "scaling", 2),
        ("look", "scaling", START),
        ("answer", "scaling", "q1", START, "good", {1, 2}, "typed"),
    ]
    with machine(tmp_path, "sound", history) as progress:
        document = json.loads(taken(progress))
    assert all(document[part] for part in ("attempts", "hints", "solutions_seen", "answers"))
    return dict(document)


def refused(content: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        decode(content, "progress.json")
    assert caught.value.message.startswith("progress.json ")
    assert caught.value.advice
    return caught.value.message


def test_a_sound_document_is_read(sound: dict[str, Any]) -> None:
    assert json.loads(encode(decode(json.dumps(sound).encode(), "x"))) == sound


def change(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def done(document: dict[str, Any]) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        inner: Any = document
        for step in way:
            inner = inner[step]
        inner[last] = value

    return done


DEEP: list[Any] = []
for _ in range(100):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (change("llm-drills", 2), "written by a newer"),
        (change("llm-drills", 0), "is not an export"),
        (change("llm-drills", "1"), "is not an export"),
        (change("llm-drills", None), "is not an export"),
        (change("attempts", {}), "attempts"),
        (change("attempts.0.at", "yesterday"), "attempts[0].at"),
        (change("attempts.0.at", "2026-03-02T09:30:00"), "attempts[0].at"),  # in no time zone
        (change("attempts.0.clock", "0001-01-01T00:00:00+14:00"), "attempts[0].clock"),
        (change("attempts.0.clock", "9999-12-31T23:59:59-14:00"), "attempts[0].clock"),
        (change("attempts.0.turn", -1), "attempts[0].turn"),
        (change("attempts.0.hints_used", 10**400), "attempts[0].hints_used"),
        (change("attempts.0.drill", ""), "attempts[0].drill"),
        (change("attempts.0.drill", "a\nb"), "attempts[0].drill"),
        (change("attempts.0.drill", "ab\n"), "attempts[0].drill"),
        (change("attempts.0.note", "what is this"), "note"),
        (change("attempts.0.source", {"base64": "no base64!"}), "attempts[0].source"),
        (change("attempts.0.source", {"base64": base64.b64encode(b"x" * (2 << 20)).decode()}), "larger than 1 MiB"),
        (change("attempts.0.source", "x" * (2 << 20)), "larger than 1 MiB"),
        (change("attempts.0.result", []), "attempts[0].result"),
        (change("attempts.0.result.verdict", "great"), "attempts[0].result"),
        (change("attempts.0.result.seed", 2**64), "attempts[0].result"),
        (change("attempts.0.result.checks", [{"id": 1}]), "attempts[0].result"),
        (change("attempts.0.result.output", DEEP), "nested too deeply"),
        (change("attempts.0.result.output", "x" * (9 << 20)), "larger than 8 MiB"),
        (change("hints.0.since", "x"), "hints[0].since"),
        (change("hints.0.shown", 1.5), "hints[0].shown"),
        (change("solutions_seen.0.at", "x"), "solutions_seen[0].at"),
        (change("answers.0.rating", "brilliant"), "answers[0].rating"),
        (change("answers.0.points", [0]), "answers[0].points"),
        (change("answers.0.answer", None), "answers[0].answer"),
    ],
)
def test_a_part_that_is_not_sound_is_named(
    sound: dict[str, Any], damage: Callable[[dict[str, Any]], None], told: str
) -> None:
    damage(sound)
    assert told in refused(json.dumps(sound).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\xff\xfe{}",
        b"[]",
        b"{}",
        b"null",
        b'"llm-drills"',
        b'{"llm-drills": NaN}',
        b'{"llm-drills": 1, "attempts": [[],[],[]]}',
        b'{"llm-drills": 1' + b"0" * 5000 + b"}",
        b"[" * 10**6,
        b'{"llm-drills": 1, "attempts": ' + b"[" * 10**6 + b"]" * 10**6 + b"}",
        b'{"llm-drills": 1, "reviews": ' + b'{"a":' * 10**6 + b"1" + b"}" * 10**6 + b"}",
        b"SQLite format 3\x00",
        b"PK\x03\x04",
    ],
)
def test_what_is_no_document_is_refused(content: bytes) -> None:
    refused(content)


def test_numbers_that_are_too_large(sound: dict[str, Any]) -> None:
    """1e400 is JSON, and no float."""
    content = json.dumps(sound).encode().replace(b'"seed": 1', b'"seed": 1, "extra": 1e400')
    assert b"1e400" in content
    document = decode(content, "x")
    assert json.loads(encode(document))["attempts"][0]["result"]["extra"] is None
    assert "duration_ms" in refused(content.replace(b"extra", b"duration_ms"))


def test_a_document_cut_anywhere_is_refused(sound: dict[str, Any]) -> None:
    content = json.dumps(sound).encode()
    for length in range(0, len(content), 7):
        refused(content[:length])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_document_changed_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever it says, the store can take it, or BadInput says why not; nothing else is ever raised."""
    with tempfile.TemporaryDirectory() as name:
        history = data.draw(HISTORIES)
        with machine(Path(name), "a", history) as progress:
            content = bytearray(taken(progress))
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        try:
            document = decode(bytes(content), "x")
        except BadInput:
            return
        with Progress(Path(name) / "b.db") as other:
            other.merge(document)
            other.states()
            other.stats()
            decode(taken(other), "x")


def test_a_merge_that_fails_half_way_leaves_nothing(
    sound: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grader import rounds

    with Progress(tmp_path / "b.db") as progress:
        progress.record_attempt("masking", {"verdict": "passed", "checks": []}, b"mine", START)
        before = taken(progress)

        def broken(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(rounds, "rebuild_question", broken)
        with pytest.raises(KeyboardInterrupt):
            progress.merge(decode(json.dumps(sound).encode(), "x"))
        assert taken(progress) == before
