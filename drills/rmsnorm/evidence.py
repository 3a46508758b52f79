"""What the answers of this drill claim, computed. Cost is counted in elements and parameters, never in time."""

import torch
from torch import Tensor, nn

from grader.authoring import solution
from grader.counting import Count
from grader.evidence import Finding, evidence

EPS = 1e-6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer_norm(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(x, x.shape[-1:], eps=EPS)


@evidence(
    question="rmsnorm-vs-layernorm",
    claim="RMSNorm divides by the standard deviation of the features.",
    zh="RMSNorm 除以的是各特征的标准差。",
    wrong=True,
)
def divides_by_the_deviation():
    sevens = torch.full((8,), 7.0, dtype=torch.float64)
    norm = solution.rms_norm(sevens, eps=EPS)[0].item()
    deviation = (sevens / (sevens.var(unbiased=False) + EPS).sqrt())[0].item()
    figure = "a vector of sevens: {:.0f} after RMSNorm, {:.0f} when divided by the standard deviation"
    figure_zh = "全是 7 的向量：RMSNorm 得 {:.0f}，除以标准差得 {:.0f}"
    return Finding(abs(norm - deviation) < 1, figure, norm, deviation, zh=figure_zh)


@evidence(
    question="rmsnorm-vs-layernorm",
    claim="The mean square is the variance plus the squared mean, so for vectors of mean 0 both norms agree.",
    zh="均方等于方差加均值的平方，所以对均值为 0 的向量，两种归一化结果相同。",
)
def equal_for_mean_zero():
    x = torch.randn(100, 64, generator=generator(), dtype=torch.float64) + 0.5
    identity = (x.square().mean(-1) - x.var(-1, unbiased=False) - x.mean(-1) ** 2).abs().max().item()
    centred = x - x.mean(-1, keepdim=True)
    found = [(solution.rms_norm(y, eps=EPS) - layer_norm(y)).abs().max().item() for y in (centred, x)]
    figure = "identity off by {:.0e}; norms differ by {:.0e} for mean 0, by {:.1f} otherwise"
    figure_zh = "恒等式误差 {:.0e}；均值为 0 时两者相差 {:.0e}，否则相差 {:.1f}"
    return Finding(max(identity, found[0]) < 1e-12, figure, identity, *found, zh=figure_zh)


@evidence(
    question="rmsnorm-vs-layernorm",
    claim="Both norms ignore the scale of a vector; only LayerNorm ignores a constant added to all features.",
    zh="两种归一化都与向量的缩放无关；只有 LayerNorm 与整体加一个常数无关。",
)
def invariances():
    x = torch.randn(100, 64, generator=generator(1), dtype=torch.float64)

    def moved(norm) -> list[float]:
        return [(norm(y) - norm(x)).abs().max().item() for y in (10 * x, x + 3)]

    (rms_scale, rms_shift), (layer_scale, layer_shift) = (
        moved(lambda y: solution.rms_norm(y, eps=0.0)),
        moved(layer_norm),
    )
    figure = "change by 10x: RMSNorm {:.0e}, LayerNorm {:.0e}; by x + 3: {:.1f} and {:.0e}"
    figure_zh = "换成 10x 的变化：RMSNorm {:.0e}，LayerNorm {:.0e}；换成 x + 3：{:.1f} 和 {:.0e}"
    holds = max(rms_scale, layer_scale, layer_shift) < 1e-4 and rms_shift > 0.1
    return Finding(holds, figure, rms_scale, layer_scale, rms_shift, layer_shift, zh=figure_zh)


@evidence(
    question="why-not-layernorm",
    claim="RMSNorm needs half of LayerNorm's parameters, and fewer elementwise steps.",
    zh="RMSNorm 的参数只有 LayerNorm 的一半，逐元素的步骤也更少。",
)
def cost_in_counts():
    x, weight, bias = torch.ones(3, 4096)
    with Count() as rms:
        x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight
    with Count() as layer:
        centred = x - x.mean(-1, keepdim=True)
        centred * (centred.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight + bias
    passes = [round(counted.elements / 4096) for counted in (rms, layer)]
    parameters = [sum(p.numel() for p in norm.parameters()) for norm in (solution.RMSNorm(4096), nn.LayerNorm(4096))]
    figure = "width 4096: {:,} and {:,} parameters; {} and {} passes over the vector, written plainly"
    figure_zh = "宽度 4096：参数 {:,} 和 {:,}；按公式直接写，要过 {} 遍和 {} 遍向量"
    holds = passes[0] < passes[1] and 2 * parameters[0] == parameters[1]
    return Finding(holds, figure, *parameters, *passes, zh=figure_zh)


@evidence(
    question="which-axis",
    claim="The statistics run over the sequence, so one token moves the others.",
    zh="统计量沿整个序列计算，所以一个 token 会影响其他 token。",
    wrong=True,
)
def tokens_move_each_other():
    x = torch.randn(2, 6, 16, generator=generator(2))
    changed = x.clone()
    changed[0, 3] *= 5

    def others(norm) -> float:
        moved = (norm(changed) - norm(x)).abs().amax(-1)
        moved[0, 3] = 0
        return moved.max().item()

    batch = nn.BatchNorm1d(16, affine=False, track_running_stats=False)
    found = [others(solution.rms_norm), others(layer_norm), others(lambda y: batch(y.transpose(1, 2)).transpose(1, 2))]
    figure = "one token changed, the others move by: RMSNorm {:.0f}, LayerNorm {:.0f}, BatchNorm {:.1f}"
    figure_zh = "改动一个 token，其余的变化：RMSNorm {:.0f}，LayerNorm {:.0f}，BatchNorm {:.1f}"
    return Finding(max(found[:2]) > 0, figure, *found, zh=figure_zh)


@evidence(
    question="eps-and-precision",
    claim="It makes no difference whether eps is added inside the root or outside.",
    zh="eps 加在根号里面还是外面，没有区别。",
    wrong=True,
)
def eps_anywhere():
    x = torch.full((8,), 1e-4, dtype=torch.float64)
    inside = solution.rms_norm(x, eps=EPS)[0].item()
    outside = (x / (x.square().mean().sqrt() + EPS))[0].item()
    figure = "features of 1e-4, eps 1e-6: {:.4f} inside, {:.2f} outside"
    figure_zh = "特征全为 1e-4、eps 为 1e-6：加在里面 {:.4f}，加在外面 {:.2f}"
    return Finding(abs(inside / outside - 1) < 0.01, figure, inside, outside, zh=figure_zh)


@evidence(
    question="eps-and-precision",
    claim="In float16 the squares may be computed in the dtype of the input.",
    zh="float16 下，平方直接用输入的精度算就行。",
    wrong=True,
)
def squares_in_float16():
    x = torch.full((8,), 300.0, dtype=torch.float16)
    in_half = (x * (x.square().mean() + EPS).rsqrt())[0].item()
    widened = solution.rms_norm(x, eps=EPS)[0].item()
    figure = "features of 300: {:.0f}; {:.0f} when the squares are float32"
    figure_zh = "特征全为 300：得 {:.0f}；平方用 float32 时得 {:.0f}"
    return Finding(in_half == widened, figure, in_half, widened, zh=figure_zh)


@evidence(
    question="eps-and-precision",
    claim="A mean square rounded to bfloat16 shifts the scale of a vector, a thousand times more than float32 does.",
    zh="均方舍入到 bfloat16，整个向量的尺度都会偏，比 float32 大一千倍以上。",
)
def statistics_in_bfloat16():
    x = torch.randn(1000, 256, generator=generator(3), dtype=torch.float64)
    exact = x.square().mean(-1)

    def shift(dtype: torch.dtype) -> float:
        """The worst relative error of the divisor, in percent."""
        return 100 * ((exact.to(dtype).double() / exact).sqrt() - 1).abs().max().item()

    half, single = shift(torch.bfloat16), shift(torch.float32)
    figure = "worst of 1000 vectors: {:.2f}% in bfloat16, {:.6f}% in float32"
    figure_zh = "1000 个向量里最差的：bfloat16 {:.2f}%，float32 {:.6f}%"
    return Finding(half > 1000 * single, figure, half, single, zh=figure_zh)
