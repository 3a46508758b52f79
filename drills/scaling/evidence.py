"""What the answers of this drill claim, computed. Sizes are such that another seed gives the same verdicts."""

import torch
from torch import Tensor

from grader.evidence import Finding, evidence

HEADS = (64, 256, 1024)  # sizes of a head


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@evidence(
    question="why-sqrt",
    claim="For independent components of mean 0 and variance 1, q.k has variance d_k, not 1.",
    zh="各分量独立、均值 0、方差 1 时，q·k 的方差是 d_k，而不是 1。",
)
def variance_is_d_k():
    sizes, gen = (16, 64, 256), generator()
    found = []
    for size in sizes:  # 20,000 products: the standard error of a variance is about 1%
        q, k = torch.randn(2, 20_000, size, generator=gen)
        found.append((q * k).sum(-1).var().item())
    holds = all(abs(variance / size - 1) < 0.08 for variance, size in zip(found, sizes, strict=True))
    return Finding(holds, "Var(q·k) = {:.1f}, {:.1f}, {:.1f};  d_k = 16, 64, 256", *found)


@evidence(
    question="why-sqrt",
    claim="The variance is d_k for any distribution of the components, not for Gaussian ones only.",
    zh="分量服从什么分布都一样，方差都是 d_k，并不限于高斯分布。",
)
def variance_needs_no_gaussian():
    size, gen = 64, generator(1)
    uniform = torch.rand(2, 20_000, size, generator=gen)
    draws = {
        "uniform": (uniform - 0.5) * 12**0.5,
        "sign": (torch.rand(2, 20_000, size, generator=gen) < 0.5) * 2.0 - 1.0,
        "exponential": torch.empty(2, 20_000, size).exponential_(generator=gen) - 1.0,
    }
    found = [(q * k).sum(-1).var().item() for q, k in draws.values()]
    return Finding(
        all(abs(variance / size - 1) < 0.1 for variance in found),
        "Var(q·k) at d_k = 64: uniform {:.1f}, ±1 {:.1f}, shifted exponential {:.1f}",
        *found,
        zh="d_k = 64 时 Var(q·k)：均匀分布 {:.1f}，±1 {:.1f}，平移后的指数分布 {:.1f}",
    )


def random_scores(size: int) -> Tensor:
    """Unscaled scores of 100 sets of 64 keys with 40 queries each: (4000, 64)."""
    gen = generator(size)
    pairs = ((torch.randn(40, size, generator=gen), torch.randn(64, size, generator=gen)) for _ in range(100))
    return torch.cat([q @ k.T for q, k in pairs])


@evidence(
    question="why-sqrt",
    claim="Without the scale the softmax saturates as d_k grows; with it, practically never.",
    zh="不缩放，d_k 越大 softmax 越饱和；缩放之后几乎不会饱和。",
)
def softmax_saturates():
    def share(scores: Tensor) -> float:
        return 100 * (scores.softmax(-1).amax(-1) > 0.99).float().mean().item()

    raw = [share(random_scores(size)) for size in HEADS]
    scaled = [share(random_scores(size) / size**0.5) for size in HEADS]
    figure = "rows with a weight over 0.99, d_k = 64, 256, 1024: {:.0f}%, {:.0f}%, {:.0f}% unscaled; {:.1f}% scaled"
    figure_zh = "最大权重超过 0.99 的行，d_k = 64、256、1024：不缩放 {:.0f}%、{:.0f}%、{:.0f}%；缩放后 {:.1f}%"
    return Finding(5 < raw[0] < raw[1] < raw[2] and max(scaled) < 1, figure, *raw, max(scaled), zh=figure_zh)


@evidence(
    question="why-sqrt",
    claim="Without the scale, gradients through the softmax explode.",
    zh="不缩放的话，经过 softmax 的梯度会爆炸。",
    wrong=True,
)
def gradients_explode():
    def median_norm(scores: Tensor) -> float:
        gradient = torch.randn(scores.shape, generator=generator(2))
        weights = scores.softmax(-1)
        return (weights * (gradient - (weights * gradient).sum(-1, keepdim=True))).norm(dim=-1).median().item()

    raw = [median_norm(random_scores(size)) for size in HEADS]
    scaled = [median_norm(random_scores(size) / size**0.5) for size in HEADS]
    figure = "median gradient of a row of scores: {:.2f}, {:.3f}, {:.5f} unscaled; {:.2f}, {:.2f}, {:.2f} scaled"
    figure_zh = "每行分数的梯度范数（中位数）：不缩放 {:.2f}、{:.3f}、{:.5f}；缩放后 {:.2f}、{:.2f}、{:.2f}"
    return Finding(raw[0] < raw[1] < raw[2] and raw[2] > scaled[2], figure, *raw, *scaled, zh=figure_zh)


def t5_scores(query_variance: float, key_variance: float, seed: int) -> float:
    """The variance of unscaled scores, d_model 512, a head of 64: 40 pairs of matrices, 256 products each."""
    gen, total = generator(seed), 0.0
    for _ in range(40):
        x, y = torch.randn(2, 256, 512, generator=gen)
        w_q, w_k = torch.randn(2, 512, 64, generator=gen)
        total += ((x @ w_q) * (y @ w_k)).sum(-1).square().mean().item() * query_variance * key_variance
    return total / 40


@evidence(
    question="must-be-sqrt",
    claim="Only a division by sqrt(d_k) gives scores of variance 1.",
    zh="只有除以 sqrt(d_k) 才能让分数的方差为 1。",
    wrong=True,
)
def only_sqrt_will_do():
    variance = t5_scores(1 / (512 * 64), 1 / 512, 3)
    return Finding(
        abs(variance - 1) > 0.1,
        "scale 1, std(W_q) = (d_model d_head)^-0.5, as in T5: Var(q·k) = {:.2f}",
        variance,
        zh="不缩放，W_q 的标准差取 (d_model d_head)^-0.5（T5 的做法）：Var(q·k) = {:.2f}",
    )


@evidence(
    question="t5-init",
    claim="T5 divides the initial variances of both W_q and W_k by the head size, which gives scores of variance 1.",
    zh="T5 把 W_q 和 W_k 的初始方差都除以头维，这样分数的方差就是 1。",
    wrong=True,
)
def both_matrices_carry_the_factor():
    variance = t5_scores(1 / (512 * 64), 1 / (512 * 64), 4)
    return Finding(abs(variance - 1) < 0.1, "Var(q·k) = {:.4f},  1/64 = {:.4f}", variance, 1 / 64)


@evidence(
    question="dot-or-additive",
    claim="For its backward pass additive attention keeps n·m·d activations more, dot-product attention none.",
    zh="为了反向传播，加性注意力要多存 n·m·d 个激活，点积注意力一个也不用。",
)
def additive_keeps_activations():
    n, m, d = 48, 32, 64
    q, k = torch.randn(n, d, requires_grad=True), torch.randn(m, d, requires_grad=True)
    v = torch.randn(d, requires_grad=True)

    def kept(score) -> int:
        """Numbers kept for the backward pass, inputs apart."""
        storages = {}
        inputs = {x.untyped_storage().data_ptr() for x in (q, k, v)}

        def keep(x: Tensor) -> Tensor:
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes() // 4
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            output = score()
        assert output.shape == (n, m)
        return sum(size for place, size in storages.items() if place not in inputs)

    additive = kept(lambda: torch.tanh(q[:, None] + k) @ v)
    product = kept(lambda: q @ k.T)
    figure = "n = 48, m = 32, d = 64: {:,} against {:,}"
    return Finding(
        additive == n * m * d and product == 0, figure, additive, product, zh=figure.replace("against", "对")
    )


@evidence(
    question="shared-qk",
    claim="With Q = K, attention is close to the identity.",
    zh="Q = K 时，注意力接近单位阵。",
    wrong=True,
)
def shared_projection_is_the_identity():
    lengths, found = (10, 128, 4096), []
    for length in lengths:
        x = torch.randn(length, 64, generator=generator(length))
        rows = torch.arange(min(length, 512))
        weights = (x[rows] @ x.T / 8).softmax(-1)  # (512, length)
        found.append(weights[rows, rows].mean().item())
    figure = "mean weight of a token on itself, d_k = 64, n = 10, 128, 4096: {:.2f}, {:.2f}, {:.2f}"
    figure_zh = "token 给自己的平均权重，d_k = 64，n = 10、128、4096：{:.2f}、{:.2f}、{:.2f}"
    return Finding(min(found) > 0.9, figure, *found, zh=figure_zh)
