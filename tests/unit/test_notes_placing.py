"""Which drill a section belongs to: by the words that the drill names, and by the questions that it asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_pack import change, make_pack

from drills.catalogue import Catalogue
from grader.notes.parsing import Section
from grader.notes.placing import Index


@pytest.fixture(scope="module")
def index() -> Index:
    return Index(Catalogue.load().drills)


def section(title: str, text: str = "", *path: str) -> Section:
    return Section("question", title, path, 1, 2, text)


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Why divide by the square root of the head dimension?", "scaling"),
        ("为什么点积之后还要除一个根号 d？", "scaling"),
        ("How do you hide the padding of a batch from attention?", "masking"),
        ("解码器里的因果 mask 长什么样？", "masking"),
        ("What do the different heads of multi-head attention learn?", "mha_splitting"),
        ("多头注意力的参数量怎么算", "mha_splitting"),
        ("LLaMA 2 70B uses GQA: how much smaller is its KV cache?", "gqa"),
        ("分组查询注意力省了什么", "gqa"),
        ("Root mean square normalisation: where is the mean gone?", "rmsnorm"),
        ("手写一个 RMSNorm", "rmsnorm"),
        ("Rotary embeddings: derive the relative property", "rope"),
        ("旋转位置编码为什么只和相对距离有关？", "rope"),
        ("Flash-Attention 2: what changed in the loops?", "flash_attention"),
        ("FlashAttention 的 tiling 怎么做", "flash_attention"),
        ("BERT's masked language model: what is 80/10/10 for?", "bert_masking"),
        ("BERT 预训练时怎么 mask token？", "bert_masking"),
        ("Why is the learning rate warmed up?", "warmup"),
        ("学习率预热多少步合适？", "warmup"),
    ],
)
def test_a_question_goes_to_its_drill(index: Index, title: str, slug: str) -> None:
    assert index.place(section(title))[:1] == (slug,)


@pytest.mark.parametrize(
    "title",
    [
        "What is a convolution?",
        "如何评估一个推荐系统？",
        "Explain LoRA",
        "什么是 TF-IDF？",
        "Why Adam and not SGD?",
        "",
        "???",
        "Summary",
    ],
)
def test_a_question_of_another_subject_goes_nowhere(index: Index, title: str) -> None:
    assert index.place(section(title)) == ()


def test_a_word_in_passing_places_nothing_and_a_text_full_of_them_does(index: Index) -> None:
    assert index.place(section("How is LLaMA built?", "It has RMSNorm, among other things.")) == ()
    text = "RMSNorm divides by the root mean square. RMSNorm has no mean. RMSNorm has a gain; its 均方根 is taken in float32."
    assert index.place(section("Some more on this", text, "RMSNorm")) == ("rmsnorm",)


def test_a_subject_that_is_only_touched_is_not_named_beside_the_main_one(index: Index) -> None:
    assert index.place(section("GQA, MQA and the KV cache against MHA")) == ("gqa",)
    assert set(index.place(section("How do padding mask and causal mask enter FlashAttention?"))) == {
        "masking",
        "flash_attention",
    }


def test_a_word_is_found_in_any_writing_but_not_inside_another(index: Index) -> None:
    for title in ("FlashAttention", "flash attention", "flash-attention!", "关于FlashAttention的问题"):
        assert index.place(section(title)) == ("flash_attention",), title
    assert index.place(section("unmasked balls, europe, mhairi")) == ()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "toys", "toy_sum", "toy_mean")


def test_a_pack_places_by_its_own_words(pack: Path) -> None:
    change(pack / "drills/toy_sum/drill.toml", "difficulty = 2", 'difficulty = 2\nnotes = ["abacus", "珠 + 算盘"]')
    made = Index([drill for drill in Catalogue.load([pack]).drills if drill.pack == "toys"])
    assert made.place(section("What is an abacus?")) == ("toy_sum",)
    assert made.place(section("算盘上有多少珠？")) == ("toy_sum",)
    assert made.place(section("算盘多少钱？")) == ()
    assert set(made.place(section("What is a sum?"))) == {"toy_sum", "toy_mean"}  # both ask so


@pytest.mark.parametrize("word", ["", " ", "+", "a +", "。"])
def test_a_word_that_says_nothing_is_told(pack: Path, word: str) -> None:
    change(pack / "drills/toy_sum/drill.toml", "difficulty = 2", f'difficulty = 2\nnotes = ["{word}"]')
    (problem,) = Catalogue.load([pack]).broken["toy_sum"]
    assert "says nothing" in problem.message
    assert problem.file.name == "drill.toml"


def test_no_drills_no_places() -> None:
    assert Index([]).place(section("What is attention?")) == ()
