"""Every figure of every drill's evidence, against a closed form, plain arithmetic, or NumPy with draws of its own.

Random figures are compared with what is expected of them, at tolerances of five standard errors or more.
"""

from __future__ import annotations

import cmath
import functools
import math
import re
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch

from drills.catalogue import Catalogue
from grader.computing import Computed, compute

CATALOGUE = Catalogue.load()
WITH_EVIDENCE = [drill for drill in CATALOGUE.drills if drill.evidence.is_file()]

LARGE = (0.05, math.inf)  # not rounding


@functools.cache
def evidence_of(slug: str) -> dict[str, Computed]:
    found, problems = compute(CATALOGUE.find(slug))
    assert problems == []
    return {one.name: one for one in found}


def rounding(bound: float = 1e-12) -> tuple[float, float]:
    return (0.0, bound)


def about(value: float, relative: float = 0.0, absolute: float = 0.0) -> tuple[float, float]:
    slack = max(abs(value) * relative, absolute)
    return (value - slack, value + slack)


# Independent computations.


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@functools.cache
def draw_scores(size: int) -> np.ndarray:
    """1000 rows of 64 scores, with keys of their own for each row, so that no set of keys decides."""
    rng = np.random.default_rng(size)
    q = rng.standard_normal((1000, size))
    return np.stack([rng.standard_normal((64, size)) @ row for row in q])


def saturated(size: int) -> float:
    return 100 * float((softmax(draw_scores(size)).max(-1) > 0.99).mean())


def median_gradient(size: int, scale: float) -> float:
    weights = softmax(scale * draw_scores(size))
    gradient = np.random.default_rng(1).standard_normal(weights.shape)
    through = [(np.diag(p) - np.outer(p, p)) @ g for p, g in zip(weights, gradient, strict=True)]
    return float(np.median(np.linalg.norm(through, axis=-1)))


def own_weight(length: int) -> float:
    """Of a token on itself, Q = K, size 64, scaled."""
    rng, found = np.random.default_rng(length), []
    for _ in range(max(1, 2000 // length)):
        x = rng.standard_normal((length, 64))
        rows = np.arange(min(length, 400))
        found += list(softmax(x[rows] @ x.T / 8)[rows, rows])
    return float(np.mean(found))


def flops(n: int, d: int, heads: int, width: int) -> float:
    projections = 4 * n * d * heads * width
    return 2 * (projections + 2 * n * n * heads * width) / 1e6


def score(seed: int, m: int, n: int, q_neighbours: bool = False) -> float:
    """RoPE by complex multiplication, on the evidence's own vectors; pairs are halves unless neighbours."""
    gen = torch.Generator().manual_seed(seed)
    q, k = torch.randn(2, 64, generator=gen, dtype=torch.float64).tolist()
    at = [0.0] * 64
    turned = {}
    for name, x, position, neighbours in (("q", q, m, q_neighbours), ("k", k, n, False)):
        y = list(at)
        for i in range(32):
            a, b = (2 * i, 2 * i + 1) if neighbours else (i, i + 32)
            z = complex(x[a], x[b]) * cmath.exp(1j * position * 10000 ** (-2 * i / 64))
            y[a], y[b] = z.real, z.imag
        turned[name] = y
    return math.fsum(a * b for a, b in zip(turned["q"], turned["k"], strict=True))


def fits_bfloat16(n: int) -> bool:
    """Whether its 8 significant bits hold a whole number."""
    return n == 0 or n // (n & -n) < 256


def adam_sizes() -> Iterator[float]:
    """Mean |update| in lr of Adam on noise at steps 1, 5, 10, 50, 200, from the sums that define m and v."""
    rng = np.random.default_rng(0)
    g = rng.standard_normal((200, 5000))
    for t in (1, 5, 10, 50, 200):
        ages = np.arange(t)[::-1, None]
        m = (0.1 * 0.9**ages * g[:t]).sum(0) / (1 - 0.9**t)
        v = (0.001 * 0.999**ages * g[:t] ** 2).sum(0) / (1 - 0.999**t)
        yield float(np.abs(m / np.sqrt(v)).mean())


def spread_of_v(t: int) -> float:
    """Relative standard deviation of the bias-corrected second moment of t unit Gaussians: Var(g²) = 2."""
    b = 0.999
    return math.sqrt(2 * (1 - b) / (1 + b) * (1 + b**t) / (1 - b**t))


def masking() -> dict[str, list]:
    total = 1 + math.exp(-5)  # scores -1000 and -995, and next to nothing for -1200
    share = 100 / (1 + math.exp(0.5))
    return {
        "zero_is_a_mask": [about(share, absolute=0.5), share],
        "minus_1000_is_enough": [rounding(), math.exp(-5) / total, 1 / total],
        "fully_masked_rows": [4, rounding(1e-4), 0.25],
        "mask_with_heads": [1, about(100 * 3 / 4 / 2, absolute=12)],  # 3 heads of 4, half of the keys
        "padding_still_has_an_output": [0, LARGE],
        "one_pass_is_decoding": [rounding(), LARGE],
        "hiding_the_diagonal": [0, LARGE, math.sqrt(8), LARGE],  # a residual alone: the norm of the identity
        "look_ahead_adds_up": [4 * 3, 32 // 4 * 4 + 3 - 32],  # the end of the chunk that 32 begins
    }


def scaling() -> dict[str, list]:
    sizes = (64, 256, 1024)
    return {
        "variance_is_d_k": [about(size, 0.06) for size in (16, 64, 256)],
        "variance_needs_no_gaussian": [about(64, 0.08)] * 3,
        "softmax_saturates": [*(about(saturated(s), absolute=8) for s in sizes), rounding(0.5)],
        "gradients_explode": [
            *(about(median_gradient(s, 1.0), r) for s, r in zip(sizes, (0.3, 0.5, 0.9), strict=True)),
            *(about(median_gradient(s, s**-0.5), 0.1) for s in sizes),
        ],
        "only_sqrt_will_do": [about(1, 0.04)],
        "both_matrices_carry_the_factor": [about(1 / 64, 0.04), 1 / 64],
        "additive_keeps_activations": [48 * 32 * 64, 0],
        "shared_projection_is_the_identity": [about(own_weight(n), absolute=0.04) for n in (10, 128, 4096)],
    }


def mha_splitting() -> dict[str, list]:
    flat = [(token, feature) for token in range(6) for feature in range(12)]
    viewed = {token for token, _ in flat[: 6 * 4]}  # the first L * D numbers in memory
    heads = [(t, f) for h in range(3) for t in range(6) for f in range(4 * h, 4 * h + 4)]
    wrong = {place // 12 for place, (token, _) in enumerate(heads) if token == 2}
    return {
        "more_heads_more_parameters": [4 * 512 * 512 + 4 * 512] * 4,
        "more_heads_more_flops": [*(flops(128, 512, h, 512 // h) for h in (1, 8, 16)), flops(128, 512, 16, 512)],
        "a_head_gets_a_slice": [24],
        "split_is_a_view": [1, 0],
        "view_alone_will_do": [len(viewed), 6],
        "merging_mixes_tokens": [1, len(wrong)],
        "rank_of_the_scores": [min(64, 256 // h) for h in (1, 4, 8, 32)],
        "rows_still_sum_to_one": [about(1, 0.004), about(math.sqrt(0.1 / (0.9 * 10)), 0.03)],
    }


def gqa() -> dict[str, list]:
    token = [2 * 80 * heads * 128 * 2 for heads in (64, 8)]
    scores_and_output = 2 * 64 * 512 * 128 * 2 / 1e6
    return {
        "cache_of_70b": [*(t / 1024 for t in token), *(t * 4096 / 1024**3 for t in token)],
        "weights_are_the_saving": [
            80 * 2 * 56 * 128 * 8192 * 2 / 1024**3,
            32 * 4096 * (token[0] - token[1]) / 1024**3,
        ],
        "sharing_saves_arithmetic": [scores_and_output] * 3,
        "operations_per_byte": [64 // 64, 64 // 8, 64 // 1],
        "repeat_keeps_groups_together": [*(h % 2 for h in range(8)), *(h // 4 for h in range(8))],
        "one_formula_for_three": [rounding()] * 2,
        "mean_is_closest": [about(1 - 1 / 4, 0.01), about(2 * 3 / 4, 0.01)],  # Var of x - mean; of x - y for 3 of 4
        "pooling_keeps_the_function": [(10, 200), rounding(1e-9)],
    }


def rmsnorm() -> dict[str, list]:
    return {
        "divides_by_the_deviation": [about(1, 1e-6), about(7 / math.sqrt(1e-6), 1e-6)],
        "equal_for_mean_zero": [rounding(), rounding(), LARGE],
        "invariances": [rounding(), rounding(1e-4), LARGE, rounding()],
        # x², mean, times 1/rms, times gain; with mean, minus mean and plus bias besides
        "cost_in_counts": [4096, 2 * 4096, 4, 4 + 3],
        "tokens_move_each_other": [0, 0, LARGE],
        "eps_anywhere": [about(1e-4 / math.sqrt(1e-8 + 1e-6), 1e-9), about(1e-4 / (1e-4 + 1e-6), 1e-9)],
        "squares_in_float16": [0, 1],  # 300² > 65504
        "statistics_in_bfloat16": [about(100 * 2**-9, 0.3), about(100 * 2**-25, 0.3)],  # half the unit roundoff
    }


def rope() -> dict[str, list]:
    rounded = [n for n in range(8192) if not fits_bfloat16(n)]
    unfinished = sum(4095 * 10000 ** (-2 * i / 128) < 2 * math.pi for i in range(64))
    return {
        "scores_are_relative": [about(score(0, m, n), 1e-9) for m, n in ((7, 3), (104, 100), (3, 7))],
        "lengths_are_kept": [rounding(), 0],
        "wavelengths": [2 * math.pi, about(2 * math.pi * 10000 ** (126 / 128), 1e-5)],
        "layouts_are_a_permutation": [rounding(), LARGE],
        "layouts_may_be_mixed": [about(score(0, m, n, q_neighbours=True), 1e-9) for m, n in ((7, 3), (104, 100))],
        "angles_in_bfloat16": [rounded[0], 100 * len(rounded) / 8192],
        "no_unseen_angles": [unfinished],
        "attention_ignores_order": [rounding(), LARGE, LARGE],
    }


def flash_attention() -> dict[str, list]:
    n, d, rows = 4096, 64, 192 * 1024 // 2 // (4 * 64)
    standard = 4 * n * d + 4 * n * n
    tiled = 2 * n * d + math.ceil(n / rows) * 3 * n * d
    return {
        "an_approximation": [rounding()] * 3,
        "memory_is_linear": [512 * 512, 2048 * 2048, 512 * 64, 2048 * 64],
        "any_order": [rounding()],
        "rescaling_the_sum_is_enough": [LARGE, rounding()],
        "averaging_outputs": [LARGE, rounding()],
        "maximum_from_zero": [0, about(1 + math.exp(-1), 1e-6)],
        "traffic_to_main_memory": [standard / 1e6, tiled / 1e6, standard / tiled],
        "output_and_lse_suffice": [rounding()],
    }


def bert_masking() -> dict[str, list]:
    kept = 1 - float(Fraction(2, 3)) ** 40
    return {
        "fifteen_percent_become_mask": [about(15, absolute=0.2), about(12, absolute=0.2)]
        + [about(1.5, absolute=0.08)] * 2,
        "visible_words_are_predicted": [about(100 * 0.03 / 0.88, absolute=0.12), about(50, absolute=2)],
        "a_random_word_may_be_the_original": [about(11, absolute=0.45), 11],
        "a_second_coin_of_a_tenth": [about(2, absolute=0.1), about(10, absolute=0.2)],
        "neighbours_left": [about(100 * (1 - rate) ** 2, absolute=0.5) for rate in (0.15, 0.4, 0.8)],
        "seeding_inside": [100, about(15, absolute=0.5)],
        "a_replaced_word_is_gone": [0, LARGE],
        "stopping_needs_a_symbol": [40, kept],
    }


def warmup() -> dict[str, list]:
    return {
        "noam_peaks_at_warmup": [1 / math.sqrt(512 * 4000), 4000],
        "multiply_by_the_drop_rate": [about(0.9, absolute=0.004), 0.1, 0.9],
        "first_step_is_the_rate": [1, 1, 1],
        "early_updates_are_large": [about(size, 0.06) for size in adam_sizes()],
        "early_second_moment_is_noisy": [about(spread_of_v(t), 0.12) for t in (1, 10, 100, 1000)],
        "without_bias_correction": [0.1 / math.sqrt(0.001)],
        "progress_from_step_zero": [0.9, (1 + math.cos(0.1 * math.pi)) / 2, 1, 1],
        "gradients_near_the_output": [(0.5, 2), (0.5, 2), (0.3, 0.7), (0.15, 0.45)],
    }


EXPECTED = {
    expected.__name__: expected
    for expected in (masking, scaling, mha_splitting, gqa, rmsnorm, rope, flash_attention, bert_masking, warmup)
}


@pytest.mark.parametrize("drill", WITH_EVIDENCE, ids=lambda drill: drill.slug)
def test_figures_are_what_they_should_be(drill):
    expected, found = EXPECTED[drill.slug](), evidence_of(drill.slug)
    assert list(found) == list(expected)
    for name, numbers in expected.items():
        values = found[name].values
        assert len(values) == len(numbers), name
        for value, number in zip(values, numbers, strict=True):
            low, high = number if isinstance(number, tuple) else about(number, 1e-9)
            assert low <= value <= high, (name, values, numbers)


@pytest.mark.parametrize("drill", CATALOGUE.drills, ids=lambda drill: drill.slug)
def test_every_drill_has_the_most_telling_claims_in_two_languages(drill):
    found = evidence_of(drill.slug).values()
    assert 3 <= len(found) <= 8 and any(one.wrong for one in found)
    for one in found:
        assert re.search("[一-鿿]", one.claim_zh) and not re.search("[一-鿿]", one.claim + one.figure)
        assert one.claim.endswith(".") and one.claim_zh.endswith("。")
        assert one.figure == one.figure_zh or re.search("[一-鿿]", one.figure_zh)  # words are translated
