"""What the answers of this drill claim, computed."""

import math

import torch
from torch import Tensor

from grader.authoring import solution
from grader.evidence import Finding, evidence


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def attend(x: Tensor, mask: Tensor | None, query: Tensor | None = None) -> Tensor:
    """Self-attention without projections, x of (..., L, D): what is tested here needs none."""
    scores = (x if query is None else query) @ x.transpose(-2, -1) / math.sqrt(x.size(-1))
    return solution.masked_softmax(scores, mask) @ x


@evidence(
    question="mask-padding-scores",
    claim="Multiplying scores by 0 hides a key.",
    zh="把分数乘以 0 就能挡住一个 key。",
    wrong=True,
)
def zero_is_a_mask():
    scores = torch.randn(200, 4096, generator=generator(), dtype=torch.float64)
    hidden = torch.arange(4096) % 2 == 1  # half of the keys
    leaked = 100 * (scores * ~hidden).softmax(-1)[:, hidden].sum(-1).mean().item()
    expected = 100 / (1 + math.exp(0.5))
    return Finding(
        leaked < 1,
        "weight on the hidden half of 4096 keys: {:.1f}%,  1/(1 + e^0.5) = {:.1f}%",
        leaked,
        expected,
        zh="4096 个 key 挡住一半，被挡的一半分到的权重：{:.1f}%，1/(1 + e^0.5) = {:.1f}%",
    )


@evidence(
    question="mask-padding-scores",
    claim="Adding -1000 to the scores of hidden keys is enough.",
    zh="给要挡住的分数加上 -1000 就够了。",
    wrong=True,
)
def minus_1000_is_enough():
    scores = torch.tensor([-1200.0, 0.0, 5.0], dtype=torch.float64)  # only the first key is visible
    weights = (scores + torch.tensor([0.0, -1000.0, -1000.0])).softmax(-1).tolist()
    figure = "scores -1200, 0, 5, the first one visible: weights {:.3f}, {:.3f}, {:.3f}"
    figure_zh = "分数 -1200、0、5，只有第一个可见：权重 {:.3f}、{:.3f}、{:.3f}"
    return Finding(weights[0] > 0.99, figure, *weights, zh=figure_zh)


@evidence(
    question="mask-padding-scores",
    claim="In a row with every key hidden, -inf gives NaN, and an added constant hides nothing.",
    zh="整行 key 都被挡住时，-inf 得到 NaN，而加一个常数等于什么都没挡。",
)
def fully_masked_rows():
    scores = torch.randn(4, generator=generator(2))
    nans = int(torch.full((4,), -math.inf).softmax(-1).isnan().sum())
    off = ((scores - 1000).softmax(-1) - scores.softmax(-1)).abs().max().item()
    flat = (scores - 1e9).softmax(-1).max().item()
    return Finding(
        nans == 4 and off < 1e-4 and flat == 0.25,
        "4 keys: -inf gives {} NaN; -1000 is {:.0e} from no mask; -1e9 gives {:.2f} to each",
        nans,
        off,
        flat,
        zh="4 个 key：-inf 得到 {} 个 NaN；-1000 与不加 mask 只差 {:.0e}；-1e9 变成各占 {:.2f}",
    )


@evidence(
    question="attention-mask-shape",
    claim="A mask of shape (batch, heads, length) applies to scores of shape (batch, heads, length, length).",
    zh="形状为 (batch, heads, length) 的 mask 可以用在形状为 (batch, heads, length, length) 的分数上。",
    wrong=True,
)
def mask_with_heads():
    try:
        torch.zeros(2, 3, 5, 5).masked_fill(torch.zeros(2, 3, 5, dtype=torch.bool), -math.inf)
        refused = False
    except RuntimeError:
        refused = True
    real = solution.padding_mask(torch.tensor([4, 4, 4, 2]))  # (4, 4); the last sample is half padding
    scores = torch.randn(4, 4, 4, 4, generator=generator(3))
    weights = scores.masked_fill(~real[:, None].expand(4, 4, 4), -math.inf).softmax(-1)
    leaked = 100 * weights[3, :, :, 2:].sum(-1).mean().item()
    return Finding(
        not refused and leaked == 0,
        "generic sizes: {} error; batch = heads = length = 4: none, and {:.0f}% of the weight on padding",
        int(refused),
        leaked,
        zh="一般的尺寸：{} 个报错；batch = heads = length = 4：不报错，padding 却分到 {:.0f}% 的权重",
    )


@evidence(
    question="how-masking-works",
    claim="Padding hidden as a key still has an output; what it contains moves no real token.",
    zh="padding 作为 key 被挡住，自己照样有输出；它的内容影响不到真实 token。",
)
def padding_still_has_an_output():
    mask = solution.padding_mask(torch.tensor([6]), 8)[:, None]  # (1, 1, 8)
    x = torch.randn(1, 8, 16, generator=generator(4), dtype=torch.float64)
    changed = x.clone()
    changed[:, 6:] += 1
    output = attend(x, mask)
    moved = (attend(changed, mask) - output).abs().amax((0, 2))
    real, size = moved[:6].max().item(), output[:, 6:].norm(dim=-1).min().item()
    figure = "6 of 8 tokens real: they move by {:.0f}; the outputs at padding have norm {:.1f} or more"
    figure_zh = "8 个 token 中 6 个是真的：它们的变化为 {:.0f}；padding 处输出的范数至少 {:.1f}"
    return Finding(real == 0 and size > 0, figure, real, size, zh=figure_zh)


@evidence(
    question="parallel-training",
    claim="One pass under a causal mask gives what decoding token by token gives.",
    zh="带 causal mask 的一次前向，和逐个 token 解码得到的结果一样。",
)
def one_pass_is_decoding():
    x = torch.randn(12, 16, generator=generator(5), dtype=torch.float64)
    at_once = attend(x, solution.causal_mask(12))
    one_by_one = torch.stack([attend(x[: t + 1], None)[-1] for t in range(12)])
    without = attend(x, None)
    off, leak = (at_once - one_by_one).abs().max().item(), (without - one_by_one).abs().max().item()
    figure = "largest difference over 12 tokens: {:.0e} with the mask, {:.1f} without"
    figure_zh = "12 个 token 上的最大差：有 mask {:.0e}，没有 mask {:.1f}"
    return Finding(off < 1e-12 < leak, figure, off, leak, zh=figure_zh)


@evidence(
    question="why-bert-does-not-mask-scores",
    claim="Hiding the diagonal of the scores keeps a token from seeing itself.",
    zh="只要挡住分数的对角线，一个 token 就看不到自己了。",
    wrong=True,
)
def hiding_the_diagonal():
    x = torch.randn(6, 8, generator=generator(6), dtype=torch.float64)
    positions = torch.randn(6, 8, generator=generator(7), dtype=torch.float64)
    others = ~torch.eye(6, dtype=torch.bool)

    def leak(layer) -> float:
        """How much output 2 depends on input 2."""
        jacobian = torch.autograd.functional.jacobian(lambda y: layer(y)[2], x)  # (8, 6, 8)
        return jacobian[:, 2].norm().item()

    found = [
        leak(lambda y: attend(y, others, positions)),
        leak(lambda y: attend(y, others)),
        leak(lambda y: y + attend(y, others, positions)),
        leak(lambda y: attend(attend(y, others, positions), others, positions)),
    ]
    return Finding(
        max(found) == 0,
        "derivative of an output by its own token: {:.0f}; {:.1f} with its query, {:.1f} with a residual, "
        "{:.1f} after two layers",
        *found,
        zh="输出对自身 token 的导数：{:.0f}；query 来自该 token 时 {:.1f}，有残差时 {:.1f}，两层之后 {:.1f}",
    )


@evidence(
    question="streaming-masks",
    claim="Look-ahead by an offset adds up over the layers; look-ahead to the end of a chunk does not.",
    zh="按偏移往后看，会逐层累加；看到块尾为止，则不会。",
)
def look_ahead_adds_up():
    i, j = torch.arange(64)[:, None], torch.arange(64)

    def ahead(sees: Tensor) -> int:
        """How many frames ahead output 32 reads after four layers."""
        reads = torch.linalg.matrix_power(sees.double(), 4) > 0
        return int(reads[32].nonzero().max()) - 32

    offset, chunks = ahead(j <= i + 3), ahead(j // 4 <= i // 4)
    figure = "4 layers, 3 frames ahead in each: {} in all; chunks of 4 frames: {}"
    figure_zh = "4 层、每层往后看 3 帧：一共 {} 帧；每块 4 帧：{} 帧"
    return Finding(offset == 4 * 3 and chunks == 3, figure, offset, chunks, zh=figure_zh)
