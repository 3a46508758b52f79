"""What the answers of this drill claim, computed. Memory and traffic are counted in numbers, never in time."""

import math
from itertools import permutations

import torch
from torch import Tensor

from grader.authoring import solution
from grader.evidence import Finding, evidence
from grader.measuring import LargestTensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(length: int, size: int, seed: int = 0) -> Tensor:
    """q, k and v: (3, length, size), float64."""
    return torch.randn(3, length, size, generator=generator(seed), dtype=torch.float64)


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.T / math.sqrt(q.size(-1))).softmax(-1) @ v


def blocks(q: Tensor, k: Tensor, v: Tensor, size: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The partial results m, l, o of each block of keys."""
    return [solution.attend_block(q, *kv) for kv in zip(k.split(size), v.split(size), strict=True)]


@evidence(
    question="flash-goals",
    claim="FlashAttention is an approximation of attention.",
    zh="FlashAttention 是对注意力的近似。",
    wrong=True,
)
def an_approximation():
    q, k, v = inputs(200, 32)
    found = [(solution.flash_attention(q, k, v, size)[0] - plain(q, k, v)).abs().max().item() for size in (1, 7, 64)]
    figure = "blocks of 1, 7, 64 keys, float64: off by {:.0e}, {:.0e}, {:.0e}"
    figure_zh = "每块 1、7、64 个 key，float64：相差 {:.0e}、{:.0e}、{:.0e}"
    return Finding(max(found) > 1e-12, figure, *found, zh=figure_zh)


@evidence(
    question="flash-goals",
    claim="Its memory grows with the length, where plain attention's grows with the square of it.",
    zh="它的显存随长度线性增长，普通注意力则随长度的平方增长。",
)
def memory_is_linear():
    def largest(attend, length: int) -> int:
        q, k, v = inputs(length, 16).float()
        with LargestTensor() as seen:
            attend(q, k, v)
        return seen.elements

    short, long = ([largest(f, n) for f in (plain, solution.flash_attention)] for n in (512, 2048))
    return Finding(
        long[0] == 16 * short[0] and long[1] == 4 * short[1],
        "largest tensor from 512 to 2048 tokens: {:,} to {:,} plainly, {:,} to {:,} in blocks of 64",
        short[0],
        long[0],
        short[1],
        long[1],
        zh="长度从 512 到 2048，最大的张量：普通写法 {:,} 到 {:,}，每块 64 个 key 时 {:,} 到 {:,}",
    )


@evidence(
    question="merge-blocks",
    claim="Blocks may be merged in any order.",
    zh="各块可以按任意顺序合并。",
)
def any_order():
    q, k, v = inputs(40, 8, seed=1)
    exact, worst = plain(q, k, v), 0.0
    for a, b, c, d in permutations(blocks(q, k, v, 10)):
        merge = solution.merge_blocks
        for _, total, output in (merge(merge(merge(a, b), c), d), merge(merge(a, b), merge(c, d))):
            worst = max(worst, (output / total[:, None] - exact).abs().max().item())
    figure = "4 blocks, 24 orders, in a row and as a tree: off by {:.0e} at most"
    return Finding(worst < 1e-12, figure, worst, zh="4 个块、24 种顺序，逐个合并和按树合并：最多相差 {:.0e}")


@evidence(
    question="merge-blocks",
    claim="When a later block has a larger score, rescaling the sum l is enough; o may stay as it is.",
    zh="后面的块出现更大的分数时，只缩放 l 就行，o 可以不动。",
    wrong=True,
)
def rescaling_the_sum_is_enough():
    q, k, v = inputs(40, 8, seed=2)
    order = (q[0] @ k.T).argsort()  # the scores of the first query rise

    def off(order: Tensor) -> float:
        (m_a, l_a, o_a), (m_b, l_b, o_b) = blocks(q[:1], k[order], v[order], 20)
        m = torch.maximum(m_a, m_b)
        total = (m_a - m).exp() * l_a + (m_b - m).exp() * l_b
        return ((o_a + (m_b - m).exp() * o_b) / total - plain(q[:1], k, v)).abs().max().item()

    rising, falling = off(order), off(order.flip(0))
    figure = "scores rising: off by {:.1f}; falling, where nothing shows: {:.0e}"
    figure_zh = "分数递增：误差 {:.1f}；递减时看不出来：{:.0e}"
    return Finding(rising < 1e-12, figure, rising, falling, zh=figure_zh)


@evidence(
    question="merge-blocks",
    claim="The outputs of two blocks' own softmax may be averaged.",
    zh="把两个块各自做完 softmax 的输出取平均就行。",
    wrong=True,
)
def averaging_outputs():
    q, k, v = inputs(40, 8, seed=3)
    exact = plain(q, k, v)
    halves = [plain(q, *kv) for kv in zip(k.split(20), v.split(20), strict=True)]
    weights = torch.stack([m + total.log() for m, total, _ in blocks(q, k, v, 20)]).softmax(0)  # (2, 40)
    off = ((halves[0] + halves[1]) / 2 - exact).abs().max().item()
    weighted = (weights[0, :, None] * halves[0] + weights[1, :, None] * halves[1] - exact).abs().max().item()
    figure = "off by {:.1f}; weighted by exp(lse): {:.0e}"
    return Finding(off < 1e-12, figure, off, weighted, zh="相差 {:.1f}；按 exp(lse) 加权则为 {:.0e}")


@evidence(
    question="merge-blocks",
    claim="The running maximum may start at 0.",
    zh="运行中的最大值 m 可以从 0 开始。",
    wrong=True,
)
def maximum_from_zero():
    scores = torch.tensor([-1000.0, -1001.0])
    from_zero = (scores - 0).exp().sum().item()
    own = (scores - scores.max()).exp().sum().item()
    figure = "scores -1000 and -1001: l = {:.0f}; l = {:.3f} with m = -1000"
    figure_zh = "分数 -1000 和 -1001：l = {:.0f}；m = -1000 时 l = {:.3f}"
    return Finding(from_zero > 0, figure, from_zero, own, zh=figure_zh)


@evidence(
    question="why-hbm",
    claim="Tiles save traffic to main memory: some 7 times at N = 4096, d = 64 and 192 KB on chip.",
    zh="分块能省显存读写：N = 4096、d = 64、片上 192 KB 时约省 7 倍。",
)
def traffic_to_main_memory():
    length, size, chip = 4096, 64, 192 * 1024 // 2  # in float16 numbers
    rows = chip // (4 * size)  # of a block of keys and values
    inputs_and_output = 4 * length * size
    standard = inputs_and_output + 4 * length * length  # S written and read, P written and read
    tiled = 0
    for start in range(0, length, rows):
        tiled += 2 * (min(start + rows, length) - start) * size  # this block's K and V, once
        tiled += 3 * length * size  # for each block Q is read, O read and written
    figure = "numbers moved: {:.1f} million against {:.1f} million, a factor of {:.1f}"
    figure_zh = "搬运的数：{:.1f} 百万对 {:.1f} 百万，相差 {:.1f} 倍"
    values = (standard / 1e6, tiled / 1e6, standard / tiled)
    return Finding(5 < values[2] < 10, figure, *values, zh=figure_zh)


@evidence(
    question="flash-backward",
    claim="Besides Q, K and V, the backward pass needs only the output and one log-sum-exp a row.",
    zh="除了 Q、K、V，反向传播只需要输出和每行一个 log-sum-exp。",
)
def output_and_lse_suffice():
    q, k, v = (x.clone().requires_grad_() for x in inputs(30, 8, seed=4))
    gradient = torch.randn(30, 8, generator=generator(5), dtype=torch.float64)
    expected = torch.autograd.grad(plain(q, k, v), (q, k, v), gradient)
    with torch.no_grad():
        output, lse = solution.flash_attention(q, k, v, 8)
        p = (q @ k.T / math.sqrt(8) - lse[:, None]).exp()  # recomputed
        d_scores = p * (gradient @ v.T - (gradient * output).sum(-1, keepdim=True)) / math.sqrt(8)
        found = (d_scores @ k, d_scores.T @ q, p.T @ gradient)
    off = max((a - b).abs().max().item() for a, b in zip(found, expected, strict=True))
    figure = "dQ, dK, dV against autograd: off by {:.0e} at most"
    return Finding(off < 1e-12, figure, off, zh="dQ、dK、dV 与 autograd 相比：最多相差 {:.0e}")
