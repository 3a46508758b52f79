"""Wrong answers to RMSNorm that candidates give."""

import torch
from torch import Tensor, nn

from grader.authoring import mistake, solution


def widened(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


@mistake(
    replaces="rms_norm",
    tells="The mean is subtracted first: that is LayerNorm without its bias. RMSNorm does not centre.",
    question="rmsnorm-vs-layernorm",
)
def subtracts_the_mean(x, weight=None, eps=1e-6):
    wide = widened(x)
    centred = wide - wide.mean(-1, keepdim=True)
    y = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The divisor is the standard deviation, which has the mean taken out. Use the root of mean(x**2):"
    " a constant vector has variance 0 but not a root mean square of 0.",
    question="rmsnorm-vs-layernorm",
)
def divides_by_the_standard_deviation(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.var(-1, keepdim=True, unbiased=False) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The squares are summed, not averaged: that is the L2 norm, too large by sqrt(E). Use the mean.",
    question="rmsnorm-vs-layernorm",
)
def l2_norm(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().sum(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The divisor is the mean of |x|. Square, average, then take the root.",
    question="rmsnorm-vs-layernorm",
)
def mean_absolute_value(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide / (wide.abs().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The root is missing: x is divided by its mean square. Divide by sqrt(mean(x**2) + eps).",
    question="rmsnorm-vs-layernorm",
)
def forgets_the_root(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide / (wide.square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The squares are divided by E - 1, as for a sample variance. No mean was estimated, so the mean"
    " over all E is meant.",
    question="rmsnorm-vs-layernorm",
)
def divides_by_one_less(x, weight=None, eps=1e-6):
    wide = widened(x)
    mean_square = wide.square().sum(-1, keepdim=True) / max(x.shape[-1] - 1, 1)
    y = wide * torch.rsqrt(mean_square + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="eps is added after the root. It belongs to the mean square, inside the root.",
    question="eps-and-precision",
)
def eps_outside_the_root(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide / (wide.square().mean(-1, keepdim=True).sqrt() + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="eps is not used, so a vector of zeros becomes 0/0. Add it to the mean square.",
    question="eps-and-precision",
)
def no_eps(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True))
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="eps is written into the formula as 1e-6 and the argument is ignored. Checkpoints differ in it.",
    question="eps-and-precision",
)
def eps_hard_coded(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="eps=0.0 is replaced by the default because 0.0 is false (`eps or ...`). Zero is a legal eps: use it.",
    question="eps-and-precision",
)
def zero_eps_taken_for_missing(x, weight=None, eps=1e-6):
    return solution.rms_norm(x, weight, eps or 1e-6)


@mistake(
    replaces="rms_norm",
    tells="eps is used as a lower bound of the mean square. It is added to it.",
    question="eps-and-precision",
)
def eps_as_a_lower_bound(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True).clamp(min=eps))
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="eps is added to the sum of squares, so it counts for only eps / E. Take the mean first, then add eps.",
    question="eps-and-precision",
)
def eps_added_to_the_sum(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt((wide.square().sum(-1, keepdim=True) + eps) / x.shape[-1])
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="eps becomes a tensor of x's dtype. In float16 1e-8 is 0 and 1e-7 is 1.2e-7: leave it a Python float, or"
    " make it float32.",
    question="eps-and-precision",
)
def eps_in_the_dtype_of_x(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + x.new_tensor(eps))
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The default eps is 1e-5, LayerNorm's in torch. Here it is 1e-6.",
    question="eps-and-precision",
)
def default_eps_of_layernorm(x, weight=None, eps=1e-5):
    return solution.rms_norm(x, weight, eps)


@mistake(
    replaces="rms_norm",
    tells="The mean runs over the tokens instead of the features, so one token changes another. Reduce the"
    " last dimension only.",
    question="which-axis",
)
def over_the_sequence(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(-2 if x.dim() > 1 else -1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The mean runs over all dimensions, so all tokens of the batch share one divisor. Reduce the last"
    " dimension only, with keepdim.",
    question="which-axis",
)
def over_everything(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean() + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The features are taken to be dimension 2. Name the last dimension -1, so that x may have any"
    " number of leading dimensions.",
    question="which-axis",
)
def always_dimension_two(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(2, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The mean runs over the first 512 features only. A statistic of a part (pRMSNorm in the paper) is another"
    " norm: average over all of the last dimension.",
    question="rmsnorm-vs-layernorm",
)
def statistic_of_a_part(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide[..., :512].square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="With four dimensions, two of the leading ones are exchanged, and reshape() to x's shape does not exchange"
    " them back: tokens end up in each other's place. Leave leading dimensions alone.",
    question="which-axis",
)
def exchanges_heads_and_tokens(x, weight=None, eps=1e-6):
    y = solution.rms_norm(x, weight, eps)
    return y.transpose(1, 2).reshape(x.shape) if x.dim() == 4 else y


@mistake(
    replaces="rms_norm",
    tells="x is squared in half precision: 300 squared is infinite in float16. Convert x to float32 first.",
    question="eps-and-precision",
)
def squares_in_half(x, weight=None, eps=1e-6):
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The mean is taken in float32, but of squares computed in half precision, where they have"
    " overflowed already. Convert x before squaring.",
    question="eps-and-precision",
)
def averages_half_squares_in_float32(x, weight=None, eps=1e-6):
    accumulate = torch.float64 if x.dtype == torch.float64 else torch.float32
    mean_square = x.square().mean(-1, keepdim=True, dtype=accumulate)
    y = widened(x) * torch.rsqrt(mean_square + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The root mean square is rounded to x's dtype before the division, which scales whole vectors wrongly, in"
    " bfloat16 by up to 0.4%. Divide in float32 and round the result.",
    question="eps-and-precision",
)
def rounds_the_root_mean_square(x, weight=None, eps=1e-6):
    rms = torch.sqrt(widened(x).square().mean(-1, keepdim=True) + eps).to(x.dtype)
    y = x / rms
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="Only float16 is widened. bfloat16 does not overflow, but with 8 bits its mean square is off by"
    " up to 0.4%: compute it in float32 too.",
    question="eps-and-precision",
)
def widens_float16_only(x, weight=None, eps=1e-6):
    wide = x.float() if x.dtype == torch.float16 else x
    y = wide / torch.sqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="float64 is narrowed to float32 as well, which loses half of its digits. Convert half precision only.",
    question="eps-and-precision",
)
def narrows_float64(x, weight=None, eps=1e-6):
    wide = x.float()
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The result stays in float32 where x is half precision. Convert it back to x.dtype.",
    question="eps-and-precision",
)
def returns_float32(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return y if weight is None else y * weight.to(y.dtype)


@mistake(
    replaces="rms_norm",
    tells="The last step multiplies a half precision x by a wider weight, and type promotion widens the"
    " result. Convert to x.dtype after the weight as well.",
    question="eps-and-precision",
)
def promoted_by_the_weight(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)
    return y if weight is None else y * weight


@mistake(
    replaces="rms_norm",
    tells="The features are multiplied by 1 + weight. Gemma does so, with weights that start at 0; here"
    " weight starts at 1 and multiplies.",
    question="eps-and-precision",
)
def one_plus_weight(x, weight=None, eps=1e-6):
    return solution.rms_norm(x, None if weight is None else 1.0 + weight, eps)


@mistake(
    replaces="rms_norm",
    tells="weight is not used. Multiply the normalised features by it.",
    question="rmsnorm-vs-layernorm",
)
def weight_forgotten(x, weight=None, eps=1e-6):
    return solution.rms_norm(x, None, eps)


@mistake(
    replaces="rms_norm",
    tells="weight is multiplied in before the mean square is taken, so the norm takes part of it out again."
    " Normalise first.",
    question="rmsnorm-vs-layernorm",
)
def weight_before_the_norm(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide if weight is None else wide * weight
    return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="The root mean square is detached, so the gradient misses its dependence on x and is no longer"
    " orthogonal to x. Let autograd see it.",
    question="eps-and-precision",
)
def detached_root_mean_square(x, weight=None, eps=1e-6):
    wide = widened(x)
    y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps).detach()
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="weight is detached, or rebuilt from its numbers, inside rms_norm: it gets no gradient. Multiply by weight"
    " itself.",
    question="add-to-a-model",
)
def detached_weight(x, weight=None, eps=1e-6):
    return solution.rms_norm(x, None if weight is None else weight.detach(), eps)


@mistake(
    replaces="rms_norm",
    tells="The root is taken before eps is added and squared again: at a vector of zeros its slope is"
    " infinite and the gradient NaN. Add eps to the mean square and take the root once.",
    question="eps-and-precision",
)
def root_of_zero(x, weight=None, eps=1e-6):
    wide = widened(x)
    rms = wide.square().mean(-1, keepdim=True).sqrt()
    y = wide / (rms.square() + eps).sqrt()
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="Vectors of zeros are skipped by a where() around 0/0: the value is right, but the gradient of"
    " the branch not taken is NaN and gets through. eps inside the root needs no special case.",
    question="eps-and-precision",
)
def where_around_zero_over_zero(x, weight=None, eps=1e-6):
    wide = widened(x)
    norm = wide.square().sum(-1, keepdim=True).sqrt()
    ratio = (1.0 + eps * x.shape[-1] / norm.square()).rsqrt()
    y = torch.where(norm == 0, torch.zeros_like(wide), wide / norm * ratio * x.shape[-1] ** 0.5)
    return (y if weight is None else y * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="x is changed in place: .float() returns x itself when it is float32 already, and the caller"
    " still needs it for the residual. Write the result to a new tensor.",
    question="eps-and-precision",
)
def changes_its_input(x, weight=None, eps=1e-6):
    wide = widened(x.detach())  # still x's memory unless x was half
    wide.mul_(torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps))
    return (wide if weight is None else wide * weight).to(x.dtype)


@mistake(
    replaces="rms_norm",
    tells="view() needs contiguous memory and fails on a transposed x. Reduce the last dimension directly,"
    " or use reshape.",
    question="which-axis",
)
def views_as_rows(x, weight=None, eps=1e-6):
    return solution.rms_norm(x.view(-1, x.shape[-1]), weight, eps).view(x.shape)


@mistake(
    replaces="RMSNorm",
    tells="The module has a bias. RMSNorm has the gain alone.",
    question="rmsnorm-vs-layernorm",
)
class AddsABias(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return (solution.rms_norm(x, self.weight, self.eps) + self.bias).to(x.dtype)


@mistake(
    replaces="RMSNorm",
    tells="weight is a plain tensor: no optimizer finds it and no checkpoint holds it. Wrap it in nn.Parameter.",
    question="add-to-a-model",
)
class PlainTensorWeight(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = torch.ones(dim)

    def forward(self, x):
        return solution.rms_norm(x, self.weight, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="weight starts at 0, so the module returns zeros. With y * weight it starts at 1.",
    question="eps-and-precision",
)
class StartsAtZero(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return solution.rms_norm(x, self.weight, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="The parameter is called gamma. Checkpoints look for `weight`.",
    question="add-to-a-model",
)
class CalledGamma(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return solution.rms_norm(x, self.gamma, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="weight is one number for all features. There is one gain a feature: shape (dim,).",
    question="rmsnorm-vs-layernorm",
)
class OneGainForAll(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return solution.rms_norm(x, self.weight, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="The eps given to the module never reaches the norm, which uses its default. Store it and pass it on.",
    question="eps-and-precision",
)
class ForgetsItsEps(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return solution.rms_norm(x, self.weight)


@mistake(
    replaces="RMSNorm",
    tells="forward uses weight.data, numbers without a history: weight gets no gradient. Use self.weight itself.",
    question="add-to-a-model",
)
class WeightWithoutGradient(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return solution.rms_norm(x, self.weight.data, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="forward does not use self.weight at all, so training it changes nothing. Pass it to rms_norm.",
    question="rmsnorm-vs-layernorm",
)
class NeverUsesItsWeight(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return solution.rms_norm(x, None, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="eps is a buffer, so it turns up in the state_dict (and checkpoints without it do not load) and"
    " .to() rounds it. Keep it as a plain float.",
    question="add-to-a-model",
)
class EpsAsABuffer(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.register_buffer("eps", torch.tensor(eps))
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return solution.rms_norm(x, self.weight, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="x is converted to the weight's dtype first: a float64 x loses its digits and the result has the"
    " wrong dtype. The result follows x.",
    question="eps-and-precision",
)
class FollowsItsWeight(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return solution.rms_norm(x.to(self.weight.dtype), self.weight, self.eps)


@mistake(
    replaces="RMSNorm",
    tells="After eval() the statistic of an earlier call is used again for any x of the same shape. It belongs to the"
    " vectors at hand: compute it in every call.",
    question="which-axis",
)
class KeepsItsStatistic(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.factor = None

    def forward(self, x):
        wide = widened(x)
        if self.training or self.factor is None or self.factor.shape[:-1] != x.shape[:-1]:
            self.factor = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * self.factor * self.weight).to(x.dtype)


@mistake(
    replaces="RMSNorm",
    tells="After eval() a copy of weight is kept, and goes stale when load_state_dict writes new numbers into the"
    " parameter. Use self.weight in every call.",
    question="add-to-a-model",
)
class KeepsACopyOfItsWeight(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.copy = None

    def forward(self, x):
        if self.training:
            return solution.rms_norm(x, self.weight, self.eps)
        if self.copy is None:
            self.copy = self.weight.detach().clone()
        return solution.rms_norm(x, self.copy, self.eps)
