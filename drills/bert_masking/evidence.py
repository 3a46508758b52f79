"""What the answers of this drill claim, computed. Shares are of a million tokens, and every verdict leaves them
five standard errors of room or more."""

import math
from fractions import Fraction

import torch
from torch import Tensor

from grader.authoring import solution
from grader.evidence import Finding, evidence

MASK, VOCABULARY = 0, 1000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def masked(seed: int, vocabulary: int = VOCABULARY, rate: float = 0.15) -> tuple[Tensor, Tensor, Tensor]:
    """A million tokens: the ids, what the model sees, and which are selected."""
    gen = generator(seed)
    ids = torch.randint(1, vocabulary, (1000, 1000), generator=gen)
    seen, labels = solution.mask_tokens(ids, vocabulary, MASK, [], rate, gen)
    return ids, seen, labels != -100


def percent(which: Tensor, of: Tensor | None = None) -> float:
    return 100 * (which if of is None else which[of]).double().mean().item()


@evidence(
    question="three-kinds",
    claim="15% of the tokens become [MASK].",
    zh="有 15% 的 token 被换成 [MASK]。",
    wrong=True,
)
def fifteen_percent_become_mask():
    ids, seen, selected = masked(0)
    kinds = (seen == MASK, selected & (seen != MASK) & (seen != ids), selected & (seen == ids))
    shares = [percent(selected), *map(percent, kinds)]
    figure = "selected {:.1f}%: [MASK] {:.1f}%, another word {:.1f}%, unchanged {:.1f}% of all tokens"
    figure_zh = "选中 {:.1f}%：其中 [MASK] {:.1f}%、换成别的词 {:.1f}%、不变 {:.1f}%（占全部 token）"
    return Finding(abs(shares[1] - 15) < 0.5, figure, *shares, zh=figure_zh)


@evidence(
    question="three-kinds",
    claim="Of the tokens that the model sees as words, some 3.4% are predicted, and half of these are wrong.",
    zh="模型看到的普通词里约 3.4% 要预测，而这些词有一半是错的。",
)
def visible_words_are_predicted():
    ids, seen, selected = masked(1)
    visible = seen != MASK
    shares = percent(selected, visible), percent(seen != ids, visible & selected)
    figure = "predicted: {:.2f}% of the visible tokens; of these {:.0f}% are another word"
    figure_zh = "可见的 token 中 {:.2f}% 要预测；其中 {:.0f}% 是别的词"
    return Finding(abs(shares[0] - 100 * 3 / 88) < 0.2 and abs(shares[1] - 50) < 3, figure, *shares, zh=figure_zh)


@evidence(
    question="three-kinds",
    claim="A word drawn at random from V is the original once in V times, so a little more than 10% stay.",
    zh="从 V 个词里随机抽，有 1/V 的可能抽回原词，所以不变的比 10% 略多。",
)
def a_random_word_may_be_the_original():
    ids, seen, selected = masked(2, vocabulary=10)
    unchanged = percent(seen == ids, selected)
    figure = "V = 10: {:.1f}% of the selected are unchanged;  10% + 10% / V = {:.1f}%"
    figure_zh = "V = 10：选中的 token 有 {:.1f}% 不变；10% + 10% / V = {:.1f}%"
    return Finding(abs(unchanged - 11) < 0.5, figure, unchanged, 11.0, zh=figure_zh)


@evidence(
    question="three-kinds",
    claim="A coin of 1/10, thrown for what did not become [MASK], makes 10% of the selected random.",
    zh="对没有变成 [MASK] 的部分再掷一次 1/10 的硬币，就有 10% 换成随机词。",
    wrong=True,
)
def a_second_coin_of_a_tenth():
    gen = generator(3)
    become_mask = torch.rand(1_000_000, generator=gen) < 0.8
    coin = torch.rand(1_000_000, generator=gen)
    tenth, half = (percent(~become_mask & (coin < p)) for p in (0.1, 0.5))
    figure = "random: {:.1f}% of the selected; {:.1f}% with a coin of 1/2"
    figure_zh = "换成随机词的占选中的 {:.1f}%；硬币取 1/2 时是 {:.1f}%"
    return Finding(abs(tenth - 10) < 1, figure, tenth, half, zh=figure_zh)


@evidence(
    question="why-15-percent",
    claim="A higher rate costs context: at 80% hardly any word keeps both of its neighbours.",
    zh="比例越高，上下文越少：取 80% 时，几乎没有哪个词的左右邻居都完好。",
)
def neighbours_left():
    found = []
    for rate in (0.15, 0.4, 0.8):
        _, _, selected = masked(4, rate=rate)
        found.append(percent(~(selected[:, :-2] | selected[:, 2:])))
    figure = "both neighbours untouched at 15%, 40%, 80%: {:.0f}%, {:.0f}%, {:.0f}%"
    figure_zh = "左右邻居都没动的比例，15%、40%、80% 时：{:.0f}%、{:.0f}%、{:.0f}%"
    return Finding(found[0] > found[1] > found[2] and found[2] < 10, figure, *found, zh=figure_zh)


@evidence(
    question="dynamic-masking",
    claim="A function that seeds its own generator still gives a new mask in every epoch.",
    zh="函数内部自己设种子，每个 epoch 的 mask 照样是新的。",
    wrong=True,
)
def seeding_inside():
    ids = torch.randint(1, VOCABULARY, (1000, 1000), generator=generator(5))

    def select(gen: torch.Generator) -> Tensor:
        return solution.mask_tokens(ids, VOCABULARY, MASK, [], generator=gen)[1] != -100

    gen = generator(6)
    first, second = select(gen), select(gen)
    again = percent(select(generator(6)), first)
    moving = percent(second, first)
    figure = "of the first epoch's selection the second selects {:.0f}% again; {:.0f}% when the generator moves on"
    figure_zh = "第一轮选中的，第二轮又选中 {:.0f}%；生成器接着往下走时是 {:.0f}%"
    return Finding(again < 50, figure, again, moving, zh=figure_zh)


@evidence(
    question="why-corrupt-the-input",
    claim="A corrupted input leaks nowhere: whatever the word was, no output of a deep network can tell.",
    zh="破坏输入就无处可漏：不管原来是什么词，再深的网络也看不出来。",
)
def a_replaced_word_is_gone():
    gen = generator(7)
    embeddings = torch.randn(20, 16, generator=gen, dtype=torch.float64)
    layers = torch.randn(4, 16, 16, generator=gen, dtype=torch.float64) / 4
    others = ~torch.eye(8, dtype=torch.bool)

    def outputs(ids: Tensor, mask: Tensor | None) -> Tensor:
        x = embeddings[ids]
        for w in layers:
            scores = x @ w @ x.T / math.sqrt(16)
            scores = scores if mask is None else scores.masked_fill(~mask, -math.inf)
            x = x + scores.softmax(-1) @ x
        return x

    a = torch.tensor([3, 4, 5, 6, 7, 8, 9, 10])
    b = torch.where(torch.arange(8) == 2, 11, a)  # another word in place 2
    hidden = torch.arange(8) == 2
    by_scores = (outputs(a, others) - outputs(b, others))[2].abs().max().item()
    by_input = (outputs(a.where(~hidden, MASK), None) - outputs(b.where(~hidden, MASK), None)).abs().max().item()
    figure = "4 layers, one word exchanged: outputs differ by {:.0f}; by {:.1f} if only the diagonal is hidden"
    figure_zh = "4 层，换掉一个词：输出相差 {:.0f}；只挡对角线时相差 {:.1f}"
    return Finding(by_input == 0 < by_scores, figure, by_input, by_scores, zh=figure_zh)


@evidence(
    question="special-tokens",
    claim="Without EOS the strings of every length have probability 1 in sum; with it, all lengths together have.",
    zh="没有 EOS，每个长度的字符串概率之和都是 1；有了 EOS，所有长度加起来才是 1。",
)
def stopping_needs_a_symbol():
    lengths = range(40)
    without = [2**n * Fraction(1, 2) ** n for n in lengths]  # two letters, equally likely
    with_eos = [2**n * Fraction(1, 3) ** n * Fraction(1, 3) for n in lengths]  # two letters and EOS
    sums = float(sum(without)), float(sum(with_eos))
    figure = "lengths 0 to 39, two letters: {:.0f} in sum without EOS, {:.7f} with it"
    figure_zh = "两个字母、长度 0 到 39：没有 EOS 时总和 {:.0f}，有 EOS 时 {:.7f}"
    return Finding(set(without) == {1} and sum(with_eos) == 1 - Fraction(2, 3) ** 40, figure, *sums, zh=figure_zh)
