"""Right answers to RMSNorm of other shapes."""

import torch
from torch import nn

from grader.authoring import equivalent


@equivalent(replaces="rms_norm")
def rounds_before_the_weight(x, weight=None, eps=1e-6):
    """LLaMA's order: back to x.dtype first, then times weight, which costs a second rounding."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    y = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).type_as(x)
    return y if weight is None else (weight * y).type_as(x)


@equivalent(replaces="rms_norm")
def square_root_and_division(x, weight=None, eps=1e-6):
    """sqrt and a division instead of rsqrt and a product; a weight of ones instead of no weight."""
    if weight is None:
        weight = torch.ones(x.shape[-1])
    wide = x.float() if x.element_size() == 2 else x
    rms = torch.sqrt(torch.mean(wide * wide, dim=-1, keepdim=True) + eps)
    return (weight * (wide / rms)).to(x.dtype)


@equivalent(replaces="rms_norm")
def float64_inside(x, weight=None, eps=1e-6):
    """Everything in float64, for every dtype."""
    wide = x.double()
    y = wide / (wide.square().sum(-1, keepdim=True) / x.size(-1) + eps) ** 0.5
    if weight is not None:
        y = y * weight.double()
    return y.to(x.dtype)


@equivalent(replaces="rms_norm")
def vector_norm(x, weight=None, eps=1e-6):
    """The mean square from the L2 norm, whose slope at 0 torch defines as 0."""
    wide = x.float() if x.dtype in {torch.half, torch.bfloat16} else x
    norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    y = wide / (norm**2 / wide.shape[-1] + eps).sqrt()
    return (y if weight is None else y * weight).to(x.dtype)


@equivalent(replaces="rms_norm")
def eps_as_one_more_feature(x, weight=None, eps=1e-6):
    """The L2 norm of [x / sqrt(E), sqrt(eps)] is the divisor."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    extra = torch.full_like(wide[..., :1], eps**0.5)
    rms = torch.cat([wide / wide.shape[-1] ** 0.5, extra], dim=-1).norm(dim=-1, keepdim=True)
    y = wide / rms
    return (y if weight is None else y * weight).to(x.dtype)


@equivalent(replaces="rms_norm")
def einsum(x, weight=None, eps=1e-6):
    """The sum of squares as an einsum, no keepdim."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean_square = torch.einsum("...e,...e->...", wide, wide) / x.shape[-1]
    factor = (mean_square + eps).pow(-0.5)
    y = torch.einsum("...e,...->...e", wide, factor)
    if weight is not None:
        y = torch.einsum("...e,e->...e", y, weight.to(y.dtype))
    return y.to(x.dtype)


@equivalent(replaces="rms_norm")
def loop_over_vectors(x, weight=None, eps=1e-6):
    """One vector after the other, each mean a dot product."""
    rows = []
    for row in x.reshape(-1, x.shape[-1]):
        wide = row.float() if row.dtype in (torch.float16, torch.bfloat16) else row
        normed = wide / (torch.dot(wide, wide) / len(wide) + eps).sqrt()
        rows.append((normed if weight is None else normed * weight).to(x.dtype))
    return torch.stack(rows).reshape(x.shape)


@equivalent(replaces="rms_norm")
def weight_times_x_first(x, weight=None, eps=1e-6):
    """The gain multiplies x before the division; the statistic is still x's own."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    scaled = wide if weight is None else wide * weight
    return (scaled / (wide.square().mean(-1, keepdim=True) + eps).sqrt()).to(x.dtype)


@equivalent(replaces="rms_norm")
def variance_plus_squared_mean(x, weight=None, eps=1e-6):
    """mean(x**2) as var(x) + mean(x)**2."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, dim=-1, correction=0, keepdim=True)
    y = wide * torch.rsqrt(variance + mean**2 + eps)
    return (y if weight is None else y * weight).to(x.dtype)


@equivalent(replaces="rms_norm")
def features_first(x, weight=None, eps=1e-6):
    """Moves the features to the front and the result back; strides differ from x's."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32)).movedim(-1, 0)  # (E, ...)
    y = (wide / torch.sqrt((wide**2).mean(0) + eps)).movedim(0, -1)
    return (y if weight is None else y * weight).to(x.dtype)


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        factor = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, factor)
        return (wide * factor * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, cotangent):
        x, weight, factor = ctx.saved_tensors
        normed = x.to(factor.dtype) * factor
        scaled = cotangent.to(factor.dtype) * weight
        dx = (scaled - normed * (scaled * normed).mean(-1, keepdim=True)) * factor
        dw = (cotangent.to(factor.dtype) * normed).reshape(-1, x.shape[-1]).sum(0)
        return dx.to(x.dtype), dw.to(weight.dtype), None


@equivalent(replaces="rms_norm")
def backward_by_hand(x, weight=None, eps=1e-6):
    """An autograd.Function with the closed form of the gradient, as a fused kernel has it."""
    if weight is None:
        weight = torch.ones(x.shape[-1], dtype=x.dtype)
    return _Backward.apply(x, weight, eps)


@equivalent(replaces="RMSNorm")
class LlamaLayout(nn.Module):
    """The norm in a method of the module, converted before the weight, as in LLaMA's own code."""

    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        wide = x if x.dtype == torch.float64 else x.float()
        return (self._norm(wide).type_as(x) * self.weight).type_as(x)


@equivalent(replaces="RMSNorm")
class ResetsItsParameters(nn.Module):
    """torch's own layout: an empty parameter filled by reset_parameters, and float64 throughout."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.dim, self.variance_epsilon = dim, eps
        self.register_parameter("weight", nn.Parameter(torch.empty(dim)))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.ones_(self.weight)

    def forward(self, x):
        wide = x.to(torch.float64)
        mean_square = (wide**2).sum(dim=-1, keepdim=True).div(self.dim)
        return self.weight.double().mul(wide).div(mean_square.add(self.variance_epsilon).sqrt()).to(x.dtype)
