"""Notes cut into sections: every shape that people write, and nothing lost of any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notes_shapes import LONG_ANSWER, SHAPES

from grader.notes.parsing import parse_notes


@pytest.mark.parametrize("case", SHAPES)
def test_the_questions_of_a_shape_are_found(case: str) -> None:
    shape = SHAPES[case]
    notes = parse_notes(shape.text)
    assert [(each.kind, each.line, each.title) for each in notes.sections] == shape.found
    assert list(notes.loose) == shape.loose


def text_of(case: str, line: int) -> str:
    (section,) = [each for each in parse_notes(SHAPES[case].text).sections if each.line == line]
    return section.text


def test_a_text_is_verbatim() -> None:
    code = text_of("code, front matter and comments", 8)
    assert code.startswith("```python\n# What is this?\n## no heading\n- Q1 neither?\n```\n\n$$\n# not this\n$$\n")
    assert text_of("a table in an answer", 1) == "| rye | wheat |\n| --- | ----- |\n| no? | yes?  |"
    assert text_of("items ask, quotes answer", 5) == "> 形成面筋。\n>\n> - 这里有人问：多久？"
    assert text_of("labels with and without bullets", 3) == "    - 1 Gluten\n        - It is made of two proteins."
    assert text_of("bold lines and headings, numbered", 29).endswith("![](image/crust.png)\n\n可以看到颜色不同。")


def test_what_a_title_cannot_show_stands_in_the_text() -> None:
    assert text_of("headings ask", 14).startswith("## [How hot must the oven be?](https://example.org/oven), and")


def test_a_question_without_an_answer_has_no_text() -> None:
    assert text_of("items ask, quotes answer", 11) == ""
    assert text_of("headings ask", 19) == ""


def test_an_answer_in_the_line_below_the_question_belongs_to_it() -> None:
    assert text_of("plain lines", 1) == "面粉为 100。"
    assert text_of("pairs of Q and A", 6) == "A: For taste."
    assert text_of("a numbered list", 1) == "   The last rise."


def test_a_section_knows_the_titles_above_it() -> None:
    paths = {each.title: each.path for each in parse_notes(SHAPES["chapters of prose"].text).sections}
    assert paths["Heat"] == ("Chapter 1", "Why bake?")
    assert paths["吸水"] == ("Chapter 1", "Why bake?", "为什么要醒面")


def test_a_remark_below_a_sentence_is_a_part_and_one_below_a_title_is_not() -> None:
    sentence = "面团要在温暖的地方放一个小时以上，直到体积变成原来的两倍为止，再去整形"
    notes = parse_notes(f"## 怎么发酵？\n\n- {sentence}\n    - 烤箱：预热到高温\n\n- 温度\n    - 烤箱：高\n")
    assert [(each.kind, each.line, each.title) for each in notes.sections[1:]] == [("part", 4, "烤箱")]


def test_the_outline_of_a_long_answer_gives_its_points_and_that_of_a_short_one_none() -> None:
    long = parse_notes(LONG_ANSWER).sections
    assert [(each.kind, each.title) for each in long[1:3]] == [("part", "第1步"), ("part", "第2步")]
    assert len(long) == 7
    assert long[1].text == "\n".join(f"    - 细节 {line} 说明一句话." for line in range(12))
    short = "\n".join(LONG_ANSWER.splitlines()[:40])
    assert [each.kind for each in parse_notes(short).sections] == ["question"]


@pytest.mark.parametrize(
    ("before", "introduction", "parts"),
    [("Long. " * 40, "It looks so", [5]), ("Short.", "It looks so", []), ("Long. " * 40, "It looks so:", [])],
)
def test_the_paragraph_before_a_figure_begins_a_passage_unless_little_is_before_it(
    before: str, introduction: str, parts: list[int]
) -> None:
    notes = parse_notes(f"# Bread\n\n{before}\n\n{introduction}\n\n![](loaf.png)\n")
    assert [each.line for each in notes.sections if each.kind == "part"] == parts


def test_odd_numbers_and_repeated_questions_are_told() -> None:
    notes = parse_notes("Q1 why?\n\nQ2 how?\n\nQ2 what?\n\nQ4 When?\n\nQ9 when?\n")
    assert notes.notices == (
        "line 5: question 2 comes twice",
        "line 7: there is no question 3",
        "line 9: asks the same as line 7",
        "line 9: there are no questions 5 to 8",
    )


def test_a_code_block_without_an_end_is_told() -> None:
    notes = parse_notes("# Why?\n\n```\n# How?\n")
    assert [each.title for each in notes.sections] == ["Why?"]
    assert notes.notices == ("line 3: the code block that begins here is never closed",)


def test_a_formula_without_an_end_swallows_no_question() -> None:
    notes = parse_notes("# Why?\n\n$$\na = b\n\n# How?\n\n\\[ x\n\n# When?\nnow\n")
    assert [each.line for each in notes.sections] == [1, 6, 10]


LINES = st.sampled_from(
    ["# Why?", "## A & B", "A is", "**bold?**", "**1.2 b**", "Q1 x", "- Q: y?", "- a?", "  - b: c", "1. t:", "   u", "text",
     "> q", "| a | b |", "$$", "\\[", "```", "---", "===", "", "", "![](i)", "<!--", "-->", "\t- 1 z", "*" * 9, "[a](b)?"]
)  # fmt: skip


@given(st.lists(LINES, max_size=60) | st.text(max_size=200).map(lambda text: text.split("\n")))
def test_nothing_is_lost_of_any_text(lines: list[str]) -> None:
    """Every line is in a section, is a title, or is told as unused; what is in a section is word for word."""
    notes = parse_notes("\n".join(lines))
    whole = [each for each in notes.sections if each.kind != "part"]
    told = {number for first, last in notes.loose for number in range(first, last + 1)}
    for each in whole:
        assert not told & set(range(each.line, each.end + 1))
        told |= set(range(each.line, each.end + 1))
    for each in notes.sections:
        assert 1 <= each.line <= each.end <= len(lines)
        kept = each.text.split("\n") if each.text else []
        assert kept == lines[each.end - len(kept) : each.end] if kept else True
    if len(whole) > 1:
        assert [each.line for each in whole] == sorted({each.line for each in whole})
    for number, line in enumerate(lines, 1):
        title = line.startswith(("#", "**")) or not set(line.strip()) - set("=-*_ ")  # with nothing below; rules
        assert number in told or not line.strip() or title or _in_matter(lines, number)


def _in_matter(lines: list[str], number: int) -> bool:
    """May the line be front matter, a comment, or a heading over another one?"""
    before = "\n".join(lines[:number])
    return before.startswith("---") or "<!--" in before or lines[number : number + 1] in (["---"], ["==="])
