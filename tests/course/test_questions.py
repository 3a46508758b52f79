"""Every interview question of the course is answered in both languages, in full, and short enough to be spoken."""

from __future__ import annotations

import re

import pytest

from drills.catalogue import Catalogue
from drills.questions import Question

CATALOGUE = Catalogue.load()
QUESTIONS = [(drill, identity) for drill in CATALOGUE.drills for identity in drill.questions]

SECTIONS = {
    "en": ("Answer", "Key points", "Follow-ups", "Where printed answers go wrong", "References"),
    "zh": ("回答", "要点", "追问", "常见说法错在哪里", "参考"),
}
OPTIONAL = 3  # the place of the one section that a question need not have
HAN = "[一-鿿]"


def entry(drill, identity: str, lang: str) -> Question:
    (question,) = [one for one in drill.qa(lang) if one.id == identity]
    return question


def sections(question: Question) -> dict[str, str]:
    parts = re.split(r"^### (.+)$", question.text, flags=re.MULTILINE)
    assert parts[0].strip() == "", "text before the first section"
    assert len(parts[1::2]) == len(set(parts[1::2])), "a section comes twice"
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def bullets(text: str) -> list[str]:
    return re.findall(r"^- (.+)$", text, re.MULTILINE)


def spoken(text: str, lang: str) -> int:
    """Words in English; characters in Chinese, where a Latin word or a number counts as one."""
    return len(text.split()) if lang == "en" else len(re.findall(HAN + r"|[A-Za-z0-9_.]+", text))


@pytest.mark.parametrize(("drill", "identity"), QUESTIONS, ids=lambda value: getattr(value, "slug", value))
def test_a_question_is_whole_in_both_languages(drill, identity):
    english, chinese = entry(drill, identity, "en"), entry(drill, identity, "zh")
    found = {"en": sections(english), "zh": sections(chinese)}
    shapes = []
    for lang, names in SECTIONS.items():
        optional = names[OPTIONAL]
        assert tuple(found[lang]) in (names, tuple(name for name in names if name != optional))
        texts = [found[lang].get(name, "") for name in names]
        points, follow_ups, references = bullets(texts[1]), bullets(texts[2]), bullets(texts[4])
        assert len(points) >= 3 and len(follow_ups) >= 2 and references
        assert all(re.match(r"\*\*.+[?？.。]\*\* \S", follow_up) for follow_up in follow_ups), "**Question?** answer"
        shapes.append((len(points), len(follow_ups), len(references), bool(texts[3])))
    assert shapes[0] == shapes[1], "the languages have different numbers of points"
    assert english.sources == chinese.sources
    assert 75 <= spoken(found["en"]["Answer"], "en") <= 170
    assert 120 <= spoken(found["zh"]["回答"], "zh") <= 320


@pytest.mark.parametrize(("drill", "identity"), QUESTIONS, ids=lambda value: getattr(value, "slug", value))
def test_each_language_is_written_in_its_own(drill, identity):
    english, chinese = entry(drill, identity, "en"), entry(drill, identity, "zh")
    assert not re.search(HAN, english.title + english.text)
    assert re.search(HAN, chinese.title)
    for name, body in sections(chinese).items():
        if name != "参考":
            assert re.search(HAN, body)
            assert not re.search(r"(?:[A-Za-z]{2,} ){6}", body), "a sentence left in English"


def test_no_question_is_asked_twice():
    for lang in SECTIONS:
        titles = [question.title for drill in CATALOGUE.drills for question in drill.qa(lang)]
        assert len(titles) == len(set(titles)) >= 50
