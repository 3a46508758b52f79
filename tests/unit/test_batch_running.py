"""A batch without an engine: what is graded, what is known already, and what the reports make of it."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from drills.catalogue import Catalogue, Drill
from grader.batch.collecting import Collected, Submission, Unused
from grader.batch.engines import Task
from grader.batch.marking import Rules
from grader.batch.reports import page_names, write_reports
from grader.batch.running import Outcome, run_batch
from grader.batch.store import Store, output_folder
from grader.batch.summary import Summary, summarise
from grader.errors import BadInput
from grader.results import Check, Diagnosis, Result, error_result

AT = datetime(2026, 11, 1, tzinfo=UTC)
DRILLS: dict[str, Drill] = {drill.slug: drill for drill in Catalogue.load().drills if drill.slug in ("masking", "rope")}
NASTY = "<script>alert(1)</script> & 'co' \"x\""


def submission(learner: str, topic: str, source: str) -> Submission:
    return Submission(learner, topic, source.encode(), f"class/{learner}/{topic}.py", AT)


class FakeEngine:
    """Says of each source what was agreed, and remembers what it was asked."""

    def __init__(self, **verdicts: str) -> None:
        self.asked: list[bytes] = []
        self._verdicts = verdicts

    def grade(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        for task in tasks:
            source = task.request.source.decode()
            self.asked.append(task.request.source)
            yield task, result_of(task, self._verdicts.get(source, "passed"))

    def close(self) -> None:
        pass


def result_of(task: Task, verdict: str) -> Result:
    drill, seed = task.request.drill, task.request.seed
    if verdict == "error":
        return error_result(drill, seed, "the engine is tired")
    checks = [
        Check(id="test_a", title="It holds", outcome="passed", duration_ms=2.0),
        Check(id="test_b", title=f"Title {NASTY}", outcome="passed" if verdict != "failed" else "failed",
              message="" if verdict != "failed" else f"expected {NASTY}\x1b\0", hint="Look again.", duration_ms=3.0),
    ]  # fmt: skip
    found = [Diagnosis(mistake="no_mask", message=f"Said {NASTY}", question="q")] if verdict == "failed" else []
    level = "partial" if verdict == "weak" else "full"
    return Result(
        drill=drill, verdict="failed" if verdict == "failed" else "passed", seed=seed, duration_ms=5.0, isolation=level,
        checks=checks, diagnosis=found,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


def run(file: Path, engine: FakeEngine, *submissions: Submission, regrade: bool = False) -> Outcome:
    with Store.open(file) as store:
        seed = store.seed(7)
        return run_batch(Collected(list(submissions), []), DRILLS, store, engine, seed, least="full", regrade=regrade)


ANN, BOB = submission("ann", "masking", "a"), submission("bob", "masking", "b")


def test_the_same_content_is_graded_once(file):
    engine = FakeEngine()
    outcome = run(file, engine, ANN, BOB, submission("cem", "masking", "a"), submission("ann", "rope", "a"))
    assert sorted(engine.asked) == [b"a", b"a", b"b"] and outcome.fresh == 3
    assert [(g.submission.learner, g.result.drill, g.alike) for g in outcome.graded] == [
        ("ann", "masking", 2), ("bob", "masking", 1), ("cem", "masking", 2), ("ann", "rope", 1),
    ]  # fmt: skip


def test_what_is_known_is_not_graded_again_unless_asked_for(file):
    run(file, FakeEngine(), ANN)
    again = FakeEngine()
    assert run(file, again, ANN, BOB).fresh == 1 and again.asked == [b"b"]
    everything = FakeEngine(a="failed")
    outcome = run(file, everything, ANN, BOB, regrade=True)
    assert sorted(everything.asked) == [b"a", b"b"] and outcome.graded[0].result.verdict == "failed"
    assert run(file, FakeEngine(), ANN).graded[0].result.verdict == "failed", "the newer result is kept"


def test_a_batch_that_is_broken_off_goes_on_where_it_was(file):
    class Broken(FakeEngine):
        def grade(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
            yield next(iter(super().grade(tasks)))
            raise KeyboardInterrupt

    broken, rest = Broken(), FakeEngine()
    with pytest.raises(KeyboardInterrupt):
        run(file, broken, ANN, BOB)
    run(file, rest, ANN, BOB)
    assert sorted(broken.asked + rest.asked) == [b"a", b"b"]


def test_what_could_not_be_judged_is_tried_again(file):
    assert run(file, FakeEngine(a="error"), ANN).graded[0].result.verdict == "error"
    assert run(file, FakeEngine(), ANN).graded[0].result.verdict == "passed"


def test_a_verdict_from_behind_a_weaker_wall_than_promised_is_none(file):
    (graded,) = run(file, FakeEngine(a="weak"), ANN).graded
    assert graded.result.verdict == "error" and "weaker wall" in graded.result.problem
    assert run(file, FakeEngine(), ANN).fresh == 1


def test_a_changed_drill_is_graded_again(file, tmp_path, monkeypatch):
    run(file, FakeEngine(), ANN)
    solution = tmp_path / "masking.py"
    solution.write_text("# another\n")
    from dataclasses import replace

    monkeypatch.setitem(DRILLS, "masking", replace(DRILLS["masking"], solution=solution))
    assert run(file, FakeEngine(), ANN).fresh == 1


def test_the_seed_stays_with_the_batch(file):
    with Store.open(file) as store:
        assert store.seed(5) == 5
    with Store.open(file) as store:
        assert store.seed(6) == 5


def test_one_batch_at_a_time(file):
    with Store.open(file) as store:
        store.seed(1)
        with pytest.raises(BadInput, match="in use by another batch"), Store.open(file):
            pass


def test_a_file_that_is_something_else(file):
    file.write_bytes(b"nothing of ours" * 100)
    with pytest.raises(BadInput, match="not the database of a batch"), Store.open(file):
        pass


def test_results_go_beside_the_folder_and_never_into_it(tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    assert output_folder(folder, None) == tmp_path / "class-results"
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        output_folder(folder, tmp_path / "taken")


# -- reports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def summary(file: Path) -> Summary:
    engine = FakeEngine(b="failed", c="error")
    people = [
        ANN,
        BOB,
        submission("=cmd()", "rope", "c"),
        submission("=cmd()", "masking", "b"),
        submission(NASTY, "rope", "d"),
    ]
    outcome = run(file, engine, *people)
    unused = [Unused("class/x.txt", f"is no {NASTY}"), Unused("class/zoe/masking.py", "is empty", "zoe")]
    return summarise(outcome.graded, unused, list(DRILLS.values()), Rules(), 7, "full")


@pytest.fixture
def written(tmp_path: Path, summary: Summary) -> Path:
    write_reports(tmp_path / "out", f"class {NASTY}", summary, gradescope=True)
    return tmp_path / "out"


def test_the_summary_counts_as_one_would_by_hand(summary):
    totals = {learner.name: learner.total for learner in summary.learners}
    assert totals == {"ann": 50.0, "bob": 25.0, "=cmd()": 25.0, NASTY: 50.0, "zoe": 0.0}
    assert summary.median == 25.0 and summary.distribution == [1, 0, 2, 0, 0, 2, 0, 0, 0, 0]
    masking = next(drill for drill in summary.drills if drill.drill == "masking")
    assert (masking.handed_in, masking.passed, masking.errors) == (3, 1, 0)
    assert [(rate.check, rate.failed, rate.answers) for rate in masking.checks] == [("test_b", 2, 3), ("test_a", 0, 3)]
    assert [(m.mistake, m.count) for m in masking.mistakes] == [("no_mask", 2)]


def test_the_table_holds_no_formula(written):
    rows = list(csv.DictReader(io.StringIO((written / "results.csv").read_bytes().decode())))
    assert {row["learner"] for row in rows} == {"ann", "bob", "'=cmd()", NASTY, "zoe"}
    assert [row["mark"] for row in rows if row["learner"] == "bob"] == ["50.00", "25.00"]
    assert all(not (cell or "").startswith(("=", "+", "@")) for row in rows for cell in row.values())


def test_the_json_is_the_summary(written, summary):
    document = json.loads((written / "results.json").read_text())
    assert document["schema"] == 1 and [each["name"] for each in document["learners"]] == [
        each.name for each in summary.learners
    ]


def test_junit_is_xml_whatever_was_printed(written):
    root = ET.fromstring((written / "junit.xml").read_bytes())
    suites = {suite.get("name"): suite for suite in root}
    assert suites["bob: masking"].get("failures") == "1" and suites["ann: masking"].get("failures") == "0"
    assert suites["=cmd(): rope"].get("errors") == "1"
    (failure,) = suites["bob: masking"].iter("failure")
    assert failure.get("message", "").startswith(f"expected {NASTY}")


class Page(HTMLParser):
    """The tags and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_pages_hold_no_script_and_ask_for_nothing(written):
    pages = [written / "report.html", *(written / "learners").iterdir()]
    assert len(pages) == 6
    for path in pages:
        page = Page(path.read_text())
        assert not page.tags & {"script", "img", "link", "iframe", "object", "form"}
        assert all((path.parent / address).resolve().is_file() for address in map(unquoted, page.addresses))


def unquoted(address: str) -> str:
    from urllib.parse import unquote

    return unquote(address)


def test_a_learners_page_names_nobody_else(written):
    page = (written / "learners" / "bob.html").read_text()
    assert "bob" in page and "ann" not in page.replace("Nothing was handed in", "") and "zoe" not in page
    assert "expected &lt;script&gt;" in page and "Likely mistake" in page and "Look again." in page


def test_gradescope_gets_its_form(written):
    told = json.loads((written / "gradescope" / "bob" / "results.json").read_text())
    assert told["score"] == 25.0 and [test["status"] for test in told["tests"]] == ["passed", "failed"]
    assert "Said" in told["output"]


def test_the_same_text_from_several_people_is_told(written):
    page = (written / "report.html").read_text()
    assert re.search(r"<td>masking</td><td>bob, =cmd\(\)</td>|<td>masking</td><td>=cmd\(\), bob</td>", page)


def test_no_two_learners_share_a_page():
    names = page_names(["Ann", "ann", "a/nn", "../..", "", "a nn", "安", "x" * 300])
    assert len({name.casefold() for name in names.values()}) == 8
    assert all(re.fullmatch(r"[\w.@+-]+\.html", name) and not name.startswith(".") for name in names.values())
