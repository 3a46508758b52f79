"""What the answers of this drill claim, computed. Operations are counted on tensors without data (device "meta")."""

import torch
from torch import Tensor, nn

from grader.authoring import solution
from grader.counting import Count
from grader.evidence import Finding, evidence


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@evidence(
    question="more-heads",
    claim="More heads mean more parameters.",
    zh="头越多，参数越多。",
    wrong=True,
)
def more_heads_more_parameters():
    counts = [
        sum(p.numel() for p in nn.MultiheadAttention(512, heads, device="meta").parameters()) for heads in (1, 4, 8, 16)
    ]
    figure = "nn.MultiheadAttention(512, h), h = 1, 4, 8, 16: {:,}, {:,}, {:,}, {:,}"
    return Finding(counts == sorted(set(counts)), figure, *counts)


def count_flops(heads: int, width: int) -> int:
    """Of self-attention over 128 tokens of 512 features, heads of the given width: multiplications and additions."""
    x = torch.empty(1, 128, 512, device="meta")
    w_q, w_k, w_v = torch.empty(3, 512, heads * width, device="meta")
    with Count() as count:
        q, k, v = ((x @ w).view(1, 128, heads, width).transpose(1, 2) for w in (w_q, w_k, w_v))
        output = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        output.transpose(1, 2).reshape(1, 128, -1) @ torch.empty(heads * width, 512, device="meta")
    return count.flops


@evidence(
    question="why-reduce-dim",
    claim="More heads cost more FLOPs.",
    zh="头越多，FLOPs 越多。",
    wrong=True,
)
def more_heads_more_flops():
    reduced = [count_flops(heads, 512 // heads) / 1e6 for heads in (1, 8, 16)]
    full = count_flops(16, 512) / 1e6
    figure = "n = 128, d = 512, MFLOPs: {:.0f}, {:.0f}, {:.0f} for h = 1, 8, 16; {:.0f} for 16 heads of full width"
    figure_zh = "n = 128、d = 512，单位 MFLOPs：h = 1、8、16 时 {:.0f}、{:.0f}、{:.0f}；16 个全宽头 {:.0f}"
    return Finding(reduced[0] < reduced[1] < reduced[2], figure, *reduced, full, zh=figure_zh)


@evidence(
    question="what-is-split",
    claim="A head receives a slice of the word's embedding.",
    zh="每个头拿到的是词向量的一段。",
    wrong=True,
)
def a_head_gets_a_slice():
    w = torch.randn(24, 24, generator=generator())
    jacobian = torch.autograd.functional.jacobian(
        lambda x: solution.split_heads(x @ w, 4)[0, 0, 0], torch.ones(1, 1, 24)
    )
    read = int((jacobian[:, 0, 0] != 0).any(0).sum())  # input features on which the first of 4 heads depends
    figure = "24 features, 4 heads: one head depends on {} of them"
    return Finding(read == 6, figure, read, zh="24 维、4 个头：一个头依赖其中 {} 维")


@evidence(
    question="shapes",
    claim="A split into heads is a view and a transpose: no number is copied or changed.",
    zh="拆头就是一次 view 加一次转置：既不复制，也不改动任何数。",
)
def split_is_a_view():
    x = torch.randn(2, 6, 12, generator=generator(1))
    heads = x.view(2, 6, 3, 4).transpose(1, 2)
    same = int(heads.data_ptr() == x.data_ptr())
    off = max((heads[:, h] - x[..., 4 * h : 4 * h + 4]).abs().max().item() for h in range(3))
    figure = "memory shared: {}; head h less features 4h to 4h + 3: {:.0f}"
    figure_zh = "共用内存：{}；第 h 个头与第 4h 到 4h + 3 维之差：{:.0f}"
    return Finding(same and off == 0, figure, same, off, zh=figure_zh)


@evidence(
    question="shapes",
    claim="view(B, H, L, D) splits into heads as well.",
    zh="直接 view(B, H, L, D) 也能拆头。",
    wrong=True,
)
def view_alone_will_do():
    tokens = torch.arange(6).view(1, 6, 1).expand(1, 6, 12).contiguous()  # every number says which token it is from
    in_head = tokens.view(1, 3, 6, 4)[0, 0].unique().numel()
    right = solution.split_heads(tokens, 3)[0, 0].unique().numel()
    figure = "6 tokens, 3 heads: the first head holds {} of the tokens; {} after view and transpose"
    figure_zh = "6 个 token、3 个头：第一个头里只有 {} 个 token；先 view 再转置则有 {} 个"
    return Finding(in_head == 6, figure, in_head, right, zh=figure_zh)


@evidence(
    question="shapes",
    claim="Merging without the transpose back mixes tokens, and no shape tells.",
    zh="合并时不先转置回来，token 就串了，而形状上看不出来。",
)
def merging_mixes_tokens():
    x = torch.zeros(1, 6, 12)
    x[0, 2] = 1.0  # one token of six

    def touched(merged: Tensor) -> int:
        assert merged.shape == x.shape
        return int((merged != 0).any(-1).sum())

    heads = solution.split_heads(x, 3)
    right, wrong = touched(solution.merge_heads(heads)), touched(heads.reshape(1, 6, 12))
    figure = "one token set: it is found in {} position; in {} without the transpose"
    return Finding(right == 1 < wrong, figure, right, wrong, zh="只设一个 token：出现在 {} 个位置；不转置则是 {} 个")


@evidence(
    question="head-dim-tradeoff",
    claim="The scores of a head have at most rank head_dim.",
    zh="一个头的分数矩阵，秩不超过 head_dim。",
)
def rank_of_the_scores():
    gen = generator(2)
    x = torch.randn(64, 256, generator=gen, dtype=torch.float64)
    w_q, w_k = torch.randn(2, 256, 256, generator=gen, dtype=torch.float64)
    ranks = []
    for heads in (1, 4, 8, 32):
        q, k = (solution.split_heads((x @ w)[None], heads)[0, 0] for w in (w_q, w_k))
        ranks.append(int(torch.linalg.matrix_rank(q @ k.T)))
    figure = "64 tokens, width 256, head_dim 256, 64, 32, 8: rank {}, {}, {}, {}"
    figure_zh = "64 个 token、宽度 256，head_dim 为 256、64、32、8：秩 {}、{}、{}、{}"
    return Finding(all(r <= 256 // h for r, h in zip(ranks, (1, 4, 8, 32), strict=True)), figure, *ranks, zh=figure_zh)


@evidence(
    question="attention-dropout",
    claim="After dropout a row of weights still sums to 1.",
    zh="dropout 之后，一行权重加起来仍是 1。",
    wrong=True,
)
def rows_still_sum_to_one():
    keep = torch.rand(50_000, 10, generator=generator(3)) >= 0.1
    sums = (keep / 10 / 0.9).sum(-1)  # ten equal weights, p = 0.1
    mean, spread = sums.mean().item(), sums.std().item()
    figure = "10 equal weights, p = 0.1: mean {:.3f}, standard deviation {:.3f}"
    figure_zh = "10 个相等的权重，p = 0.1：均值 {:.3f}，标准差 {:.3f}"
    return Finding(spread < 1e-3, figure, mean, spread, zh=figure_zh)
