"""What the answers of this drill claim, computed."""

import torch
from torch import Tensor

from grader.authoring import solution
from grader.evidence import Finding, evidence


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def adam(gradients: Tensor, corrected: bool = True) -> Tensor:
    """The updates of Adam (Kingma & Ba, 2015, algorithm 1) for lr 1, beta 0.9 and 0.999, eps 0: (steps, weights)."""
    m, v, updates = torch.zeros_like(gradients[0]), torch.zeros_like(gradients[0]), []
    for step, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat, v_hat = (m / (1 - 0.9**step), v / (1 - 0.999**step)) if corrected else (m, v)
        updates.append(m_hat / v_hat.sqrt())
    return torch.stack(updates)


@evidence(
    question="transformer-lr",
    claim="The original Transformer's rate peaks at the end of the warm-up, at 1 / sqrt(d_model · warmup).",
    zh="原版 Transformer 的学习率在 warm-up 结束时达到峰值 1 / sqrt(d_model · warmup)。",
)
def noam_peaks_at_warmup():
    rates = torch.tensor([solution.noam_schedule(step, 512, 4000) for step in range(20_000)], dtype=torch.float64)
    step, peak = int(rates.argmax()), rates.max().item()
    figure = "d_model 512, 4000 steps: peak {:.5e} at step {}"
    figure_zh = "d_model 512、warm-up 4000 步：峰值 {:.5e}，在第 {} 步"
    return Finding(step == 4000 and abs(peak * (512 * 4000) ** 0.5 - 1) < 1e-12, figure, peak, step, zh=figure_zh)


@evidence(
    question="transformer-lr",
    claim="At test time, what dropout leaves out in training is made up for by multiplying with the drop rate.",
    zh="训练时 dropout 丢掉的部分，测试时乘以丢弃率来补偿。",
    wrong=True,
)
def multiply_by_the_drop_rate():
    kept = (torch.rand(200_000, generator=generator(1)) >= 0.1).double()  # an input of 1, p = 0.1
    mean = kept.mean().item()
    figure = "input 1, p = 0.1: mean in training {:.2f}; times p {:.2f}, times 1 - p {:.2f}"
    figure_zh = "输入为 1、p = 0.1：训练时均值 {:.2f}；乘 p 得 {:.2f}，乘 1 - p 得 {:.2f}"
    return Finding(abs(mean - 0.1) < 0.01, figure, mean, 0.1, 0.9, zh=figure_zh)


@evidence(
    question="why-warmup",
    claim="Adam's first update is the full learning rate for every weight, however small its gradient.",
    zh="Adam 的第一步，不管梯度多小，每个权重都会移动整整一个学习率。",
)
def first_step_is_the_rate():
    sizes = torch.tensor([1e-6, 1.0, 1e6], dtype=torch.float64)
    updates = adam(sizes[None])[0].tolist()
    figure = "gradients 1e-6, 1, 1e6: updates of {:.3f}, {:.3f}, {:.3f} lr"
    figure_zh = "梯度为 1e-6、1、1e6：更新量 {:.3f}、{:.3f}、{:.3f} 倍学习率"
    return Finding(all(abs(update - 1) < 1e-9 for update in updates), figure, *updates, zh=figure_zh)


@evidence(
    question="why-warmup",
    claim="For gradients that are pure noise, Adam's first updates are several times as large as later ones.",
    zh="梯度纯是噪声时，Adam 头几步的更新量是后来的好几倍。",
)
def early_updates_are_large():
    noise = torch.randn(200, 20_000, generator=generator(2))
    sizes = adam(noise).abs().mean(-1)
    found = [sizes[step - 1].item() for step in (1, 5, 10, 50, 200)]
    figure = "mean update in lr at steps 1, 5, 10, 50, 200: {:.2f}, {:.2f}, {:.2f}, {:.2f}, {:.2f}"
    figure_zh = "第 1、5、10、50、200 步的平均更新量（以学习率计）：{:.2f}、{:.2f}、{:.2f}、{:.2f}、{:.2f}"
    return Finding(found[0] > 4 * found[-1], figure, *found, zh=figure_zh)


@evidence(
    question="why-warmup",
    claim="The second-moment estimate that Adam divides by is very noisy in the first steps.",
    zh="Adam 用来做除数的二阶矩估计，头几步噪声很大。",
)
def early_second_moment_is_noisy():
    squares, v, found = torch.randn(1000, 4_000, generator=generator(3)).square(), torch.zeros(4_000), []
    for step, square in enumerate(squares, start=1):
        v = 0.999 * v + 0.001 * square
        if step in (1, 10, 100, 1000):
            found.append((v / (1 - 0.999**step)).std().item())  # its mean is 1
    figure = "standard deviation relative to the mean after 1, 10, 100, 1000 gradients: {:.2f}, {:.2f}, {:.2f}, {:.2f}"
    figure_zh = "1、10、100、1000 个梯度之后，相对标准差：{:.2f}、{:.2f}、{:.2f}、{:.2f}"
    return Finding(found[0] > 10 * found[-1], figure, *found, zh=figure_zh)


@evidence(
    question="why-warmup",
    claim="Leaving out Adam's bias correction, as BERT's code does, makes the first step small enough.",
    zh="像 BERT 的代码那样去掉 Adam 的偏差修正，第一步就够小了。",
    wrong=True,
)
def without_bias_correction():
    update = adam(torch.ones(1, 1, dtype=torch.float64), corrected=False).item()
    return Finding(update < 1, "first update: {:.2f} lr", update, zh="第一步的更新量：{:.2f} 倍学习率")


@evidence(
    question="which-decay",
    claim="The progress of the decay may be measured from step 0.",
    zh="衰减的进度可以从第 0 步算起。",
    wrong=True,
)
def progress_from_step_zero():
    total, warm = 1000, 100  # the rate when the warm-up ends, in peaks
    linear, cosine = (f(warm, 0, total, 1.0) for f in (solution.linear_schedule, solution.cosine_schedule))
    right = solution.linear_schedule(warm, warm, total, 1.0), solution.cosine_schedule(warm, warm, total, 1.0)
    figure = "10% warm-up, rate at its end: line {:.3f}, cosine {:.3f} of the peak; {:.0f} and {:.0f} from there"
    figure_zh = (
        "warm-up 占 10%，结束时的学习率：线性 {:.3f}、余弦 {:.3f} 倍峰值；从 warm-up 结束处算则为 {:.0f} 和 {:.0f}"
    )
    return Finding(min(linear, cosine) > 0.999, figure, linear, cosine, *right, zh=figure_zh)


@evidence(
    question="norm-and-warmup",
    claim="At initialisation, post-norm's gradients near the output are large at any depth; pre-norm's shrink with it.",
    zh="初始化时，post-norm 靠近输出处的梯度不管多深都很大；pre-norm 的则随深度变小。",
)
def gradients_near_the_output():
    width = 64

    def gradient(depth: int, pre: bool, seed: int) -> float:
        """Norm of the gradient of the last feed-forward matrix, under a random classifier."""
        gen = generator(seed)
        x = torch.randn(32, width, generator=gen)
        target = torch.randint(width, (32,), generator=gen)
        *layers, last = torch.randn(depth + 1, 2, width, width, generator=gen) / width**0.5
        layers[-1].requires_grad_()
        for w_in, w_out in layers:
            branch = ((norm(x) if pre else x) @ w_in).relu() @ w_out
            x = x + branch if pre else norm(x + branch)
        logits = (norm(x) if pre else x) @ last[0]
        torch.nn.functional.cross_entropy(logits, target).backward()
        return layers[-1].grad[1].norm().item()

    post, pre = ([sum(gradient(n, kind, s) for s in range(8)) / 8 for n in (6, 24)] for kind in (False, True))
    figure = "6 and 24 layers: post-norm {:.2f} and {:.2f}, pre-norm {:.2f} and {:.2f}"
    figure_zh = "6 层和 24 层：post-norm {:.2f} 和 {:.2f}，pre-norm {:.2f} 和 {:.2f}"
    holds = post[1] > 0.8 * post[0] and pre[1] < 0.75 * pre[0] and post[1] > 1.5 * pre[1]
    return Finding(holds, figure, *post, *pre, zh=figure_zh)


def norm(x: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])
