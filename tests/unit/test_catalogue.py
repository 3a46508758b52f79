"""The catalogue: reading drills, naming what is broken, finding what a learner means."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_pack import change, make_drill, make_pack

from drills.catalogue import AmbiguousTopic, BadPack, BrokenDrill, Catalogue, Problem, UnknownTopic


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "toys", "toy_sum", "toy_mean")


def problems_of(catalogue: Catalogue, slug: str) -> str:
    return "\n".join(str(problem) for problem in catalogue.broken[slug])


def test_the_built_in_course_is_in_order() -> None:
    catalogue = Catalogue.load()
    assert catalogue.broken == {}
    assert {"scaling", "masking", "rmsnorm"} <= {drill.slug for drill in catalogue.drills}
    assert [problem for drill in catalogue.drills for problem in drill.verify()] == []


def test_what_the_course_rules_out_is_ruled_out_in_every_drill(pack: Path) -> None:
    drill = Catalogue.load([pack]).find("toy_sum")
    assert "torch.nn.functional.scaled_dot_product_attention" in drill.forbidden
    assert "torch.nn.Transformer*" in drill.forbidden
    assert "math.fsum" in drill.forbidden
    assert "aten::scaled_dot_product_attention" in drill.operators


def test_a_packs_own_course_file_decides_what_it_rules_out(pack: Path) -> None:
    course = "forbidden = []\n" + COURSE.format(drills=["toy_sum", "toy_mean"])
    (pack / "drills" / "course.toml").write_text(course, encoding="utf-8")
    drill = Catalogue.load([pack]).find("toy_sum")
    assert drill.forbidden == ("math.fsum",)
    assert drill.operators == ()


def test_a_name_ruled_out_twice_is_listed_once(pack: Path) -> None:
    change(pack / "drills/toy_sum/drill.toml", '["math.fsum"]', '["torch.nn.attention", "math.fsum"]')
    forbidden = Catalogue.load([pack]).find("toy_sum").forbidden
    assert forbidden.count("torch.nn.attention") == 1


def test_a_drill_has_what_its_files_say(pack: Path) -> None:
    drill = Catalogue.load([pack]).find("toy_sum")
    assert (drill.slug, drill.pack, drill.difficulty) == ("toy_sum", "toys", 2)
    assert (drill.title, drill.title_zh) == ("Adding toy_sum", "加法")
    assert drill.questions == ("why-add", "what-sum")
    assert drill.references[0].url == "https://example.org/peano"
    assert (drill.limits.check_seconds, drill.limits.run_seconds, drill.limits.memory_mb) == (1.5, 20.0, 1024)
    assert drill.task == "Add two numbers.\n\nReturn their sum."
    assert drill.stub_source.startswith('"""Add two numbers.')
    assert drill.solution == pack / "solutions" / "toy_sum.py"
    assert drill.verify() == []


def test_hints_are_in_order_without_their_numbers(pack: Path) -> None:
    hints = Catalogue.load([pack]).find("toy_sum").hints()
    assert [hint.title for hint in hints] == ["Think", "Write"]
    assert hints[0].text == "Of an operator."
    assert hints[1].text == "```python\n## not a heading\na + b\n```"


@pytest.mark.parametrize(
    ("lang", "title", "answer"), [("en", "Why add?", "To have more."), ("zh", "为什么相加？", "为了更多。")]
)
def test_questions_in_both_languages(pack: Path, lang: str, title: str, answer: str) -> None:
    first, second = Catalogue.load([pack]).find("toy_sum").qa(lang)
    assert (first.id, first.title, first.sources) == ("why-add", title, ("notes-1", "notes-2"))
    assert first.text.endswith(answer)
    assert "notes-1" not in first.text
    assert (second.id, second.sources) == ("what-sum", ())


@pytest.mark.parametrize("text", ["toy_sum", "TOY-SUM", "toy-s", " Toy_Su ", "toys:toy_sum", "toys:toy_s"])
def test_find_by_what_people_type(pack: Path, text: str) -> None:
    assert Catalogue.load([pack]).find(text).slug == "toy_sum"


def test_find_prefers_the_whole_name_to_a_longer_one(pack: Path) -> None:
    make_drill(pack, "toy_sum_twice")
    catalogue = Catalogue.load([pack])
    assert catalogue.find("toy-sum").slug == "toy_sum"
    assert catalogue.find("toys:toy-sum").slug == "toy_sum"


def test_find_tells_the_candidates_of_a_short_prefix(pack: Path) -> None:
    with pytest.raises(AmbiguousTopic) as caught:
        Catalogue.load([pack]).find("toy")
    assert sorted(caught.value.candidates) == ["toy_mean", "toy_sum"]


@pytest.mark.parametrize(("text", "nearest"), [("toy_smu", "toy_sum"), ("tomean", "toy_mean")])
def test_find_tells_the_nearest_names(pack: Path, text: str, nearest: str) -> None:
    with pytest.raises(UnknownTopic) as caught:
        Catalogue.load([pack]).find(text)
    assert caught.value.nearest[0] == nearest


@pytest.mark.parametrize("text", ["", "toys:", ":", "other:toy_sum"])
def test_find_does_not_guess(pack: Path, text: str) -> None:
    with pytest.raises(UnknownTopic):
        Catalogue.load([pack]).find(text)


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: change(folder / name, old, new)


SHALLOW = {
    "no drill.toml": (drop("drill.toml"), "drill.toml: the file is missing. Write drill.toml"),
    "no stub": (drop("stub.py"), "stub.py: the file is missing"),
    "no Chinese": (drop("qa.zh.md"), "qa.zh.md: the file is missing"),
    "no solution": (drop("../../solutions/toy_sum.py"), "toy_sum.py: the file is missing"),
    "not TOML": (edit("drill.toml", "difficulty = 2", "difficulty = "), "drill.toml: is not TOML"),
    "no title": (edit("drill.toml", 'title = "Adding toy_sum"\n', ""), "`title` is missing"),
    "empty title": (edit("drill.toml", "Adding toy_sum", " "), "`title` is empty"),
    "too hard": (
        edit("drill.toml", "difficulty = 2", "difficulty = 6"),
        "`difficulty` is 6. Make it a number from 1",
    ),
    "not a number": (edit("drill.toml", "difficulty = 2", 'difficulty = "2"'), "`difficulty` is '2'"),
    "true is no number": (edit("drill.toml", "difficulty = 2", "difficulty = true"), "`difficulty` is True"),
    "misspelt key": (edit("drill.toml", "forbidden =", "forbiden ="), "unknown key `forbiden`"),
    "misspelt limit": (
        edit("drill.toml", "check_seconds", "check_second"),
        "unknown key `limits.check_second`",
    ),
    "no limit at all": (edit("drill.toml", "1.5", "1e9"), "`limits.check_seconds` is 1000000000.0"),
    "a name for a list": (edit("drill.toml", '["math.fsum"]', '"math.fsum"'), "make it a list of strings"),
    "a reference without address": (edit("drill.toml", "url", "link"), "`references[0].url` is missing"),
    "question twice": (edit("drill.toml", '"what-sum"', '"why-add"'), "`questions` lists why-add twice"),
    "no prerequisite": (
        edit("drill.toml", "prerequisites = []", 'prerequisites = ["nowhere"]'),
        "nowhere does not",
    ),
    "its own prerequisite": (
        edit("drill.toml", "prerequisites = []", 'prerequisites = ["toy_sum"]'),
        "make a circle: toy_sum -> toy_sum",
    ),
}


@pytest.mark.parametrize("case", SHALLOW)
def test_a_broken_drill_is_named_and_takes_no_other_down(pack: Path, case: str) -> None:
    harm, told = SHALLOW[case]
    harm(pack / "drills" / "toy_sum")
    catalogue = Catalogue.load([pack])
    assert told.lower() in problems_of(catalogue, "toy_sum").lower()
    assert all(problem.file.name in str(problem) and problem.fix for problem in catalogue.broken["toy_sum"])
    assert catalogue.find("toy_mean").verify() == []
    with pytest.raises(BrokenDrill) as caught:
        catalogue.find("toy_s")
    assert caught.value.problems == catalogue.broken["toy_sum"]


def test_all_faults_of_a_drill_are_told_at_once(pack: Path) -> None:
    folder = pack / "drills" / "toy_sum"
    change(folder / "drill.toml", "difficulty = 2", "difficulty = 0")
    change(folder / "drill.toml", 'title = "Adding toy_sum"\n', "")
    (folder / "hints.md").unlink()
    assert len(Catalogue.load([pack]).broken["toy_sum"]) == 3


def test_every_drill_of_a_circle_is_named(tmp_path: Path) -> None:
    make_drill(tmp_path / "ring", "ring_a", ("ring_c",))
    make_drill(tmp_path / "ring", "ring_b", ("ring_a",))
    make_drill(tmp_path / "ring", "ring_c", ("ring_b",))
    make_drill(tmp_path / "ring", "ring_outside", ("ring_a",))
    catalogue = Catalogue.load([tmp_path / "ring"])
    assert {"ring_a", "ring_b", "ring_c"} <= set(catalogue.broken)
    assert "ring_a -> ring_c -> ring_b -> ring_a" in problems_of(catalogue, "ring_a")
    assert catalogue.find("ring_outside").prerequisites == ("ring_a",)


DEEP = {
    "syntax of the stub": (edit("stub.py", "class Adder:", "class Adder"), "stub.py: line 12 is not Python"),
    "syntax of the solution": (
        edit("../../solutions/toy_sum.py", "return a + b", "return a +"),
        "toy_sum.py: line 5 is not Python",
    ),
    "no task": (
        edit("stub.py", '"""Add two numbers.\n\nReturn their sum.\n"""', ""),
        "stub.py: has no docstring",
    ),
    "parameter renamed": (
        edit("stub.py", "add(a: float", "add(x: float"),
        "stub.py: add is `def add(x: float",
    ),
    "default changed": (edit("stub.py", "b: float = 1.0", "b: float = 2.0"), "add is `def add"),
    "kind changed": (edit("stub.py", "a: float, b", "a: float, *, b"), "add is `def add"),
    "annotation changed": (edit("stub.py", "b: float =", "b: int ="), "add is `def add"),
    "result changed": (edit("stub.py", "= 1.0) -> float", "= 1.0) -> int"), "add is `def add"),
    "method lost": (
        edit("stub.py", "    def forward(self, x: float) -> float:\n        raise NotImplementedError\n", ""),
        "the stub lacks Adder.forward",
    ),
    "constructor changed": (edit("stub.py", "amount: float)", "amount: float, n: int)"), "Adder.__init__ is"),
    "function of the stub alone": (
        edit("stub.py", "class Adder:", "def more() -> None: ...\n\n\nclass Adder:"),
        "the stub has more, which the solution lacks",
    ),
    "no tests": (edit("hidden_tests.py", "def test_adds", "def check_adds"), "has no function test_"),
    "test without title": (
        edit("hidden_tests.py", '"""Adds\n\n    Look at the operator.\n    """', ""),
        "test_adds has no",
    ),
    "question of no mistake": (
        edit("mistakes.py", "why-add", "why-ad"),
        "mistakes.py: subtracts names the question",
    ),
    "mistake for nothing": (
        edit("mistakes.py", 'replaces="add"', 'replaces="ad"'),
        "subtracts replaces 'ad'",
    ),
    "equivalent of nothing": (
        edit("equivalents.py", 'replaces="add"', 'replaces="ad"'),
        "swapped replaces 'ad'",
    ),
    "question lost": (edit("qa.zh.md", " {#what-sum}", ""), "qa.zh.md: lacks the question what-sum"),
    "question unknown": (edit("qa.md", "{#what-sum}", "{#what}"), "qa.md: has the question what, which"),
    "question without answer": (edit("qa.md", "### Answer\nA total.", ""), "question what-sum has no answer"),
    "no hints": (
        edit("hints.md", "## 1. Think\n\nOf an operator.\n\n## 2. Write", "Nothing"),
        "hints.md: has no hint",
    ),
}


@pytest.mark.parametrize("case", DEEP)
def test_verify_names_file_and_fault(pack: Path, case: str) -> None:
    harm, told = DEEP[case]
    harm(pack / "drills" / "toy_sum")
    catalogue = Catalogue.load([pack])
    problems = catalogue.find("toy_sum").verify()
    assert any(told in str(problem) for problem in problems), problems
    assert all(problem.fix for problem in problems)
    assert catalogue.find("toy_mean").verify() == []


def test_two_tests_of_one_name_are_told(pack: Path) -> None:
    file = pack / "drills/toy_sum/hidden_tests.py"
    file.write_text(file.read_text() * 2)
    problems = Catalogue.load([pack]).find("toy_sum").verify()
    assert [problem.message for problem in problems] == ["there are two test_adds, and only the last is run"]


def test_questions_in_another_order_are_told(pack: Path) -> None:
    change(pack / "drills/toy_sum/drill.toml", '["why-add", "what-sum"]', '["what-sum", "why-add"]')
    problems = Catalogue.load([pack]).find("toy_sum").verify()
    assert [problem.file.name for problem in problems] == ["qa.md", "qa.zh.md"]


def test_a_file_that_is_gone_breaks_only_what_needs_it(pack: Path) -> None:
    drill = Catalogue.load([pack]).find("toy_sum")
    (drill.folder / "hints.md").unlink()
    with pytest.raises(BrokenDrill, match=r"hints\.md: cannot be read"):
        drill.hints()
    assert drill.qa("en")
    assert [problem.file.name for problem in drill.verify()] == ["hints.md"]


COURSE = '[[groups]]\nid = "basics"\ntitle = "Basics"\ntitle_zh = "基础"\ndrills = {drills}\n'


def test_a_course_file_gives_groups_and_order(pack: Path) -> None:
    (pack / "drills/course.toml").write_text(COURSE.format(drills=["toy_sum", "toy_mean"]), encoding="utf-8")
    catalogue = Catalogue.load([pack])
    assert catalogue.groups[-1].title_zh == "基础"
    assert catalogue.groups[-1].drills == ("toy_sum", "toy_mean")
    assert [drill.slug for drill in catalogue.drills][-2:] == ["toy_sum", "toy_mean"]
    assert catalogue.find("toy_sum").group == "basics"


def test_course_file_and_folders_must_agree(pack: Path) -> None:
    (pack / "drills/course.toml").write_text(COURSE.format(drills=["toy_sum", "toy_lost"]), encoding="utf-8")
    catalogue = Catalogue.load([pack])
    assert "course.toml: there is no folder toy_lost" in problems_of(catalogue, "toy_lost")
    assert "course.toml: the drill toy_mean is in no group" in problems_of(catalogue, "toy_mean")
    assert catalogue.groups[-1].drills == ("toy_sum",)


def test_a_course_file_that_cannot_be_read_loses_no_drill(pack: Path) -> None:
    (pack / "drills/course.toml").write_text("[[groups")
    catalogue = Catalogue.load([pack])
    assert "is not TOML" in problems_of(catalogue, "toys:course.toml")
    assert catalogue.find("toy_sum").verify() == []


def test_folders_that_are_no_drills_are_left_alone(pack: Path) -> None:
    (pack / "drills" / "__pycache__").mkdir()
    (pack / "drills" / "__pycache__" / "catalogue.pyc").touch()
    (pack / "drills" / "removed" / "__pycache__").mkdir(parents=True)
    (pack / "drills" / ".git").mkdir()
    catalogue = Catalogue.load([pack])
    assert not {"__pycache__", "removed", ".git"} & set(catalogue.broken)


def test_a_folder_whose_name_is_no_topic_is_told(pack: Path) -> None:
    make_drill(pack, "Toy-Max")
    assert "Rename the folder" in problems_of(Catalogue.load([pack]), "Toy-Max")


def test_two_packs_with_one_name_are_told_and_qualified(tmp_path: Path, pack: Path) -> None:
    other = make_pack(tmp_path / "Others", "toy_sum")
    make_drill(other, "toy_last", ("toy_sum",))
    catalogue = Catalogue.load([pack, other])
    assert catalogue.find("toy_sum").pack == "toys"
    assert catalogue.find("others:toy-sum").slug == "others:toy_sum"
    assert catalogue.find("others:toy-sum").folder == other / "drills" / "toy_sum"
    assert catalogue.find("toy_last").prerequisites == ("others:toy_sum",)
    assert any("others:toy_sum" in warning for warning in catalogue.warnings)


def test_a_pack_that_comes_twice_counts_once(pack: Path) -> None:
    catalogue = Catalogue.load([pack, pack / "drills" / ".."])
    assert [drill.slug for drill in catalogue.drills].count("toy_sum") == 1
    assert catalogue.warnings == ()


def test_a_folder_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadPack, match="has no folder `drills`"):
        Catalogue.load([tmp_path])


def test_two_packs_of_one_name_are_refused(tmp_path: Path) -> None:
    packs = [make_pack(tmp_path / where / "week1", f"toy_{where}") for where in ("a", "b")]
    with pytest.raises(BadPack, match="two packs are named week1"):
        Catalogue.load(packs)


def install(site: Path, module: str) -> None:
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[drills.packs]\nAcme-Pack = {module}\n")


def test_an_installed_pack_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    make_pack(site / "acme_pack", "acme_sum")
    (site / "acme_pack" / "__init__.py").write_text("raise SystemExit('imported')\n")
    install(site, "acme_pack")
    monkeypatch.syspath_prepend(site)
    drill = Catalogue.load().find("acme_pack:acme-sum")
    assert drill.folder == site / "acme_pack" / "drills" / "acme_sum"
    assert "acme_pack" not in sys.modules


def test_an_installed_pack_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "acme_gone")
    monkeypatch.syspath_prepend(tmp_path / "site")
    problem = Catalogue.load().broken["acme_pack:"][0]
    assert isinstance(problem, Problem)
    assert "Reinstall or remove" in problem.fix
