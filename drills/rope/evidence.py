"""What the answers of this drill claim, computed."""

import math

import torch
from torch import Tensor

from grader.authoring import solution
from grader.evidence import Finding, evidence


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vectors(size: int, seed: int) -> Tensor:
    """A query and a key: (2, size), float64."""
    return torch.randn(2, size, generator=generator(seed), dtype=torch.float64)


def turned(x: Tensor, position: int, interleaved: bool = False) -> Tensor:
    return solution.apply_rope(x[None], torch.tensor([position]), interleaved=interleaved)[0]


@evidence(
    question="why-rope",
    claim="The score of a turned query and key depends on the difference of their positions only, its sign included.",
    zh="旋转之后，q 和 k 的分数只取决于两者的位置差，而且分正负。",
)
def scores_are_relative():
    q, k = vectors(64, 0)
    found = [(turned(q, m) @ turned(k, n)).item() for m, n in ((7, 3), (104, 100), (3, 7))]
    figure = "score at (7, 3) {:.6f}, at (104, 100) {:.6f}, at (3, 7) {:.6f}"
    figure_zh = "位置 (7, 3) 的分数 {:.6f}，(104, 100) 的 {:.6f}，(3, 7) 的 {:.6f}"
    return Finding(abs(found[0] - found[1]) < 1e-9 < abs(found[0] - found[2]), figure, *found, zh=figure_zh)


@evidence(
    question="rotation-by-hand",
    claim="The rotation keeps the length of every vector, and is the identity at position 0.",
    zh="旋转不改变向量的长度，在位置 0 上是恒等变换。",
)
def lengths_are_kept():
    x = torch.randn(1000, 64, generator=generator(1), dtype=torch.float64)
    y = solution.apply_rope(x, torch.arange(1000))
    longer = (y.norm(dim=-1) / x.norm(dim=-1) - 1).abs().max().item()
    at_zero = (y[0] - x[0]).abs().max().item()
    figure = "1000 positions: lengths change by {:.0e} at most; position 0 by {:.0f}"
    figure_zh = "1000 个位置：长度的相对变化最多 {:.0e}；位置 0 的变化为 {:.0f}"
    return Finding(longer < 1e-12 and at_zero == 0, figure, longer, at_zero, zh=figure_zh)


@evidence(
    question="rotation-by-hand",
    claim="For a head of 128 and base 10000, wavelengths run from 2 pi to about 54,000 positions.",
    zh="头维 128、base 为 10000 时，波长从 2π 到约 54,000 个位置。",
)
def wavelengths():
    step = solution.rope_angles(torch.tensor([1]), 128).double()[0]  # radians a position, of each pair
    shortest, longest = 2 * math.pi / step[0].item(), 2 * math.pi / step[-1].item()
    return Finding(abs(longest / 54_000 - 1) < 0.01, "{:.3f} … {:,.0f}", shortest, longest)


@evidence(
    question="pairing-layouts",
    claim="Interleaved and half-split pairs differ by a fixed permutation of the channels.",
    zh="相邻配对和前后半配对，只差一个固定的通道置换。",
)
def layouts_are_a_permutation():
    x = torch.randn(50, 64, generator=generator(2), dtype=torch.float64)
    order = torch.cat([torch.arange(0, 64, 2), torch.arange(1, 64, 2)])  # neighbours (2i, 2i + 1) to (i, i + 32)
    at = torch.arange(50)
    permuted = solution.apply_rope(x[:, order], at)
    off = (permuted - solution.apply_rope(x, at, interleaved=True)[:, order]).abs().max().item()
    unlike = (solution.apply_rope(x, at) - solution.apply_rope(x, at, interleaved=True)).abs().max().item()
    figure = "largest difference: {:.0e} with the permutation, {:.1f} without"
    return Finding(off < 1e-12 < unlike, figure, off, unlike, zh="最大差：置换之后 {:.0e}，不置换 {:.1f}")


@evidence(
    question="pairing-layouts",
    claim="Queries in one layout and keys in the other still score by their distance.",
    zh="q 用一种配对、k 用另一种，分数照样只看距离。",
    wrong=True,
)
def layouts_may_be_mixed():
    q, k = vectors(64, 0)
    found = [(turned(q, m, interleaved=True) @ turned(k, n)).item() for m, n in ((7, 3), (104, 100))]
    figure = "score at (7, 3) {:.2f}, at (104, 100) {:.2f}"
    figure_zh = "位置 (7, 3) 的分数 {:.2f}，(104, 100) 的 {:.2f}"
    return Finding(abs(found[0] - found[1]) < 1e-9, figure, *found, zh=figure_zh)


@evidence(
    question="precision-and-positions",
    claim="bfloat16 is precise enough for positions and angles.",
    zh="位置和角度用 bfloat16 算，精度就够了。",
    wrong=True,
)
def angles_in_bfloat16():
    positions = torch.arange(8192)
    inexact = positions.to(torch.bfloat16).long() != positions
    first, share = int(positions[inexact][0]), 100 * inexact.double().mean().item()
    figure = "the first position that is rounded is {}; of 8192, {:.0f}% are"
    figure_zh = "从位置 {} 起开始被舍入；8192 个位置中有 {:.0f}% 不准"
    return Finding(share == 0, figure, first, share, zh=figure_zh)


@evidence(
    question="length-extrapolation",
    claim="Beyond the training length RoPE meets no angle that it has not seen.",
    zh="超出训练长度之后，RoPE 不会遇到没见过的角度。",
    wrong=True,
)
def no_unseen_angles():
    last = solution.rope_angles(torch.tensor([4095]), 128).double()[0]  # the furthest angle of each pair in training
    unfinished = int((last < 2 * math.pi).sum())
    figure = "d = 128, base 10000, trained on 4096 positions: {} of 64 pairs have not made one turn"
    figure_zh = "d = 128、base 10000、训练长度 4096：64 对中有 {} 对还没转满一圈"
    return Finding(unfinished == 0, figure, unfinished, zh=figure_zh)


@evidence(
    question="position-schemes",
    claim="Without a mask, shuffled tokens give shuffled outputs; with a causal mask or RoPE they do not.",
    zh="没有 mask 时，打乱输入只会把输出同样打乱；有 causal mask 或 RoPE 就不是这样。",
)
def attention_ignores_order():
    x = torch.randn(10, 16, generator=generator(4), dtype=torch.float64)
    order = torch.randperm(10, generator=generator(5))

    def attend(x: Tensor, causal: bool, rope: bool) -> Tensor:
        q = solution.apply_rope(x, torch.arange(10)) if rope else x
        scores = q @ q.T / 4
        if causal:
            scores = scores.masked_fill(torch.ones(10, 10, dtype=torch.bool).triu(1), -math.inf)
        return scores.softmax(-1) @ x

    def off(causal: bool, rope: bool) -> float:
        return (attend(x, causal, rope)[order] - attend(x[order], causal, rope)).abs().max().item()

    plain, causal, rope = off(False, False), off(True, False), off(False, True)
    figure = "shuffled outputs differ by {:.0e}; by {:.1f} with a causal mask, by {:.1f} with RoPE"
    figure_zh = "打乱前后的输出相差 {:.0e}；有 causal mask 时 {:.1f}，有 RoPE 时 {:.1f}"
    return Finding(plain < 1e-12 < min(causal, rope), figure, plain, causal, rope, zh=figure_zh)
