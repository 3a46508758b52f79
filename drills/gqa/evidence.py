"""What the answers of this drill claim, computed. Sizes are counted on tensors without data (device "meta")."""

import math

import torch

from grader.authoring import solution
from grader.counting import Count
from grader.evidence import Finding, evidence

KIB, GIB = 2**10, 2**30
# Llama 2 70B (Touvron et al., 2023): the published model has 8 key/value heads for 64 query heads.
LAYERS, HEADS, GROUPS, D_HEAD = 80, 64, 8, 128
CACHED = 512  # tokens, where the arithmetic of decoding is counted


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cache_bytes(batch: int, length: int, kv_heads: int) -> int:
    """Of the tensors themselves, in half precision."""
    layer = torch.empty(2, batch, kv_heads, length, D_HEAD, dtype=torch.float16, device="meta")
    return LAYERS * layer.nbytes


@evidence(
    question="kv-cache-size",
    claim="With the shape of Llama 2 70B, 8 KV heads instead of 64 make the cache 8 times smaller.",
    zh="按 Llama 2 70B 的配置，KV 头从 64 个减到 8 个，缓存小到原来的 1/8。",
)
def cache_of_70b():
    token = [cache_bytes(1, 1, heads) / KIB for heads in (HEADS, GROUPS)]
    text = [cache_bytes(1, 4096, heads) / GIB for heads in (HEADS, GROUPS)]
    return Finding(
        token[0] == 8 * token[1],
        "64 and 8 KV heads: {:.0f} and {:.0f} KiB a token, {:.2f} and {:.2f} GiB for 4096 tokens",
        *token,
        *text,
        zh="64 个和 8 个 KV 头：每个 token {:.0f} 和 {:.0f} KiB，4096 个 token {:.2f} 和 {:.2f} GiB",
    )


@evidence(
    question="kv-cache-size",
    claim="What GQA saves is mainly the weights of the K and V projections.",
    zh="GQA 省下的主要是 K、V 投影的参数。",
    wrong=True,
)
def weights_are_the_saving():
    saved = HEADS - GROUPS
    weights = LAYERS * torch.empty(2, saved * D_HEAD, HEADS * D_HEAD, dtype=torch.float16, device="meta").nbytes / GIB
    cache = cache_bytes(32, 4096, saved) / GIB
    figure = "70B shape, 32 sequences of 4096: {:.1f} GiB of weights, {:.0f} GiB of cache"
    figure_zh = "70B 的配置，32 条长 4096 的序列：参数省 {:.1f} GiB，缓存省 {:.0f} GiB"
    return Finding(weights > cache, figure, weights, cache, zh=figure_zh)


def decoding_flops(kv_heads: int) -> int:
    """Scores and output of one new token, CACHED tokens before it, 64 query heads."""
    q, k = torch.zeros(1, HEADS, 1, D_HEAD), torch.zeros(1, kv_heads, CACHED, D_HEAD)
    with Count() as count:
        solution.grouped_query_attention(q, k, k)
    return count.flops


@evidence(
    question="what-is-mqa",
    claim="Sharing key and value heads saves arithmetic in the scores.",
    zh="共享 KV 头能减少打分的计算量。",
    wrong=True,
)
def sharing_saves_arithmetic():
    found = [decoding_flops(kv_heads) / 1e6 for kv_heads in (HEADS, GROUPS, 1)]
    figure = "one token, 512 cached, MFLOPs with 64, 8, 1 KV heads: {:.0f}, {:.0f}, {:.0f}"
    figure_zh = "解码一个 token，缓存 512 个，64、8、1 个 KV 头的 MFLOPs：{:.0f}、{:.0f}、{:.0f}"
    return Finding(found[2] < found[0], figure, *found, zh=figure_zh)


@evidence(
    question="kv-cache-size",
    claim="Per byte of cache that it reads in half precision, decoding does H / G operations.",
    zh="半精度下，解码每读一个字节的缓存，只做 H / G 次运算。",
)
def operations_per_byte():
    groups = (64, 8, 1)
    found = [decoding_flops(kv_heads) * LAYERS / cache_bytes(1, CACHED, kv_heads) for kv_heads in groups]
    figure = "H = 64, G = 64, 8, 1: {:.0f}, {:.0f}, {:.0f} a byte"
    figure_zh = "H = 64，G = 64、8、1：每字节 {:.0f}、{:.0f}、{:.0f} 次"
    return Finding(found == [HEADS / kv_heads for kv_heads in groups], figure, *found, zh=figure_zh)


@evidence(
    question="gqa-head-order",
    claim="x.repeat gives consecutive query heads the same key/value head.",
    zh="用 x.repeat 可以让相邻的 query 头读同一个 KV 头。",
    wrong=True,
)
def repeat_keeps_groups_together():
    x = torch.arange(2).view(1, 2, 1, 1)  # two KV heads, each filled with its number
    tiled = x.repeat(1, 4, 1, 1).flatten().tolist()
    grouped = solution.repeat_kv(x, 4).flatten().tolist()
    figure = "KV head of query heads 0 to 7: repeat {}{}{}{}{}{}{}{}, repeat_interleave {}{}{}{}{}{}{}{}"
    figure_zh = "query 头 0 到 7 读的 KV 头：repeat {}{}{}{}{}{}{}{}，repeat_interleave {}{}{}{}{}{}{}{}"
    return Finding(tiled == grouped, figure, *tiled, *grouped, zh=figure_zh)


@evidence(
    question="what-is-gqa",
    claim="G = H is multi-head attention, and G = 1 multi-query attention: one formula for all three.",
    zh="G = H 就是 MHA，G = 1 就是 MQA，三者是同一个公式。",
)
def one_formula_for_three():
    q = torch.randn(1, 8, 5, 16, generator=generator(), dtype=torch.float64)
    k, v = torch.randn(2, 1, 8, 5, 16, generator=generator(1), dtype=torch.float64)

    def off(groups: int, kv_head) -> float:
        """From attention head by head, query head h with KV head kv_head(h)."""
        output = solution.grouped_query_attention(q, k[:, :groups], v[:, :groups])
        heads = [(q[0, h] @ k[0, kv_head(h)].T / math.sqrt(16)).softmax(-1) @ v[0, kv_head(h)] for h in range(8)]
        return (output[0] - torch.stack(heads)).abs().max().item()

    found = [off(8, lambda h: h), off(1, lambda h: 0)]
    figure = "largest difference: {:.0e} from MHA, {:.0e} from MQA"
    return Finding(max(found) < 1e-12, figure, *found, zh="最大差：与 MHA {:.0e}，与 MQA {:.0e}")


@evidence(
    question="mha-to-gqa",
    claim="The mean of a group's projections is closer to them than any one of them is.",
    zh="一组投影的均值，比其中任何一个头都更接近这组投影。",
)
def mean_is_closest():
    weight = torch.randn(8 * 64, 512, generator=generator(2))  # independent heads of variance 1
    pooled = solution.mean_pool_kv_heads(weight, 8, 2).view(2, 1, -1)
    heads = weight.view(2, 4, -1)  # (G, H/G, D*E)
    mean, *single = ((heads - x).square().mean().item() for x in (pooled, *heads.split(1, dim=1)))
    figure = "groups of 4, variance 1, mean squared distance: {:.2f} from the mean, {:.2f} from the best single head"
    figure_zh = "每组 4 个头、方差 1，均方距离：到均值 {:.2f}，到最好的单个头 {:.2f}"
    return Finding(mean < min(single), figure, mean, min(single), zh=figure_zh)


@evidence(
    question="mha-to-gqa",
    claim="Mean pooling alone leaves the model's function as it was.",
    zh="只做均值池化，模型的函数不变。",
    wrong=True,
)
def pooling_keeps_the_function():
    gen = generator(3)
    x, w_q = (torch.randn(*shape, generator=gen, dtype=torch.float64) for shape in ((1, 6, 32), (32, 32)))

    def change(w_k: torch.Tensor) -> float:
        """How much the output moves when the K and V projection w_k of 8 heads is pooled into 2."""
        pooled = solution.mean_pool_kv_heads(w_k, 8, 2)
        q, k, few = ((x @ w.T).view(1, 6, -1, 4).transpose(1, 2) for w in (w_q, w_k, pooled))
        before, after = (solution.grouped_query_attention(q, kv, kv) for kv in (k, few))
        return ((before - after).norm() / before.norm()).item()

    different = change(torch.randn(32, 32, generator=gen, dtype=torch.float64))
    equal = change(torch.randn(2, 1, 4, 32, generator=gen, dtype=torch.float64).expand(2, 4, 4, 32).reshape(32, 32))
    figure = "the output moves by {:.0f}%; by {:.0f}% if the heads of each group were equal"
    figure_zh = "输出变化 {:.0f}%；若每组的头本来就相同，则为 {:.0f}%"
    return Finding(different < 0.01, figure, 100 * different, 100 * equal, zh=figure_zh)
