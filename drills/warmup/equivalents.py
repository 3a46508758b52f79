import cmath
import math
from fractions import Fraction

import numpy as np
import torch

from grader.authoring import equivalent, solution


@equivalent(replaces="linear_warmup")
def ramp_by_minimum(step, warmup_steps, peak_lr):
    """The smaller one of the share done and 1; the missing warm-up asked for first."""
    if warmup_steps == 0:
        return peak_lr
    return peak_lr * min(1.0, step / warmup_steps)


@equivalent(replaces="linear_warmup")
def ramp_in_steps(step, warmup_steps, peak_lr):
    """So many equal rises, and no more than there are."""
    rise = peak_lr / max(1, warmup_steps)
    return rise * min(step, warmup_steps) if warmup_steps > 0 else peak_lr


@equivalent(replaces="linear_warmup")
def ramp_in_a_tensor(step, warmup_steps, peak_lr):
    """A 0-dim float32 tensor: 0/0 becomes 1."""
    share = torch.tensor(float(step)) / torch.tensor(float(warmup_steps))
    return torch.nan_to_num(share, nan=1.0).clamp(max=1.0) * peak_lr


@equivalent(replaces="linear_schedule")
def line_as_a_multiplier(step, warmup_steps, total_steps, peak_lr):
    """As for LambdaLR in common libraries: a share of the peak, the warm-up asked for first."""
    if step < warmup_steps:
        share = float(step) / float(max(1, warmup_steps))
    else:
        share = max(0.0, float(total_steps - step) / float(max(1, total_steps - warmup_steps)))
    return share * peak_lr


@equivalent(replaces="linear_schedule")
def line_by_interpolation(step, warmup_steps, total_steps, peak_lr):
    """Three corners and numpy.interp, which is flat outside of them."""
    if warmup_steps == total_steps:
        return solution.linear_warmup(step, warmup_steps, peak_lr) * (step <= total_steps)
    if warmup_steps == 0:
        return np.float32(np.interp(step, [0, total_steps], [peak_lr, 0]))
    return np.interp(step, [0, warmup_steps, total_steps], [0.0, peak_lr, 0.0])


@equivalent(replaces="linear_schedule")
def line_in_fractions(step, warmup_steps, total_steps, peak_lr):
    """Exact fractions, and the integer 0 at the end; the corner belongs to the ramp."""
    if 0 < step <= warmup_steps or step < warmup_steps:
        return float(Fraction(step, warmup_steps) * Fraction(peak_lr))
    if step >= total_steps:
        return 0
    return float((1 - Fraction(step - warmup_steps, total_steps - warmup_steps)) * Fraction(peak_lr))


@equivalent(replaces="linear_schedule")
def line_in_a_tensor(step, warmup_steps, total_steps, peak_lr):
    """float32 throughout: torch.lerp on the way up and on the way down."""
    zero, peak = torch.tensor(0.0), torch.tensor(peak_lr, dtype=torch.float32)
    if step < warmup_steps:
        return torch.lerp(zero, peak, step / warmup_steps)
    length = total_steps - warmup_steps
    return torch.lerp(peak, zero, min(1.0, (step - warmup_steps) / length) if length else 1.0)


@equivalent(replaces="cosine_schedule")
def cosine_squared(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    """cos(a / 2)**2 = (1 + cos(a)) / 2, with the end among the values of the formula."""
    if step < warmup_steps:
        return step / warmup_steps * peak_lr
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return min_lr + (peak_lr - min_lr) * math.cos(math.pi * progress / 2) ** 2


@equivalent(replaces="cosine_schedule")
def cosine_as_a_sine(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    """Centre and amplitude, and a sine that falls from the left of the middle to its right."""
    if step >= total_steps:
        return min_lr
    if step < warmup_steps:
        return solution.linear_warmup(step, warmup_steps, peak_lr)
    middle, amplitude = (peak_lr + min_lr) / 2, (peak_lr - min_lr) / 2
    offset = (step - (warmup_steps + total_steps) / 2) / (total_steps - warmup_steps)
    return middle - amplitude * math.sin(math.pi * offset)


@equivalent(replaces="cosine_schedule")
def cosine_mixed(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    """A mixture of both ends, weighted by the real part of a point on the unit circle."""
    if step < warmup_steps:
        return peak_lr / warmup_steps * step
    left = max(0, total_steps - step) / (total_steps - warmup_steps) if total_steps > warmup_steps else 0.0
    share = (1 - cmath.exp(1j * math.pi * left).real) / 2
    return share * peak_lr + (1 - share) * min_lr


@equivalent(replaces="cosine_schedule")
def cosine_in_a_tensor(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    """float32 tensors, pi included, and a float where nothing is to be computed."""
    if step < warmup_steps:
        return peak_lr * torch.tensor(step) / warmup_steps
    if step >= total_steps:
        return min_lr
    progress = torch.tensor((step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + 0.5 * (peak_lr - min_lr) * (torch.cos(torch.tensor(torch.pi) * progress) + 1)


@equivalent(replaces="noam_schedule")
def noam_in_two_arms(step, d_model, warmup_steps, factor=1.0):
    """No minimum: which arm it is follows from the step."""
    step = step or 1
    peak = factor / math.sqrt(d_model * warmup_steps)
    return peak * step / warmup_steps if step < warmup_steps else peak * math.sqrt(warmup_steps / step)


@equivalent(replaces="noam_schedule")
def noam_over_a_root(step, d_model, warmup_steps, factor=1.0):
    """One root for all: 1 over the larger one of two numbers."""
    step = 1 if step == 0 else step
    return factor / math.sqrt(d_model * max(step, warmup_steps**3 / step**2))


@equivalent(replaces="noam_schedule")
def noam_in_logarithms(step, d_model, warmup_steps, factor=1.0):
    """Sums of logarithms; exp at the end."""
    log_step, log_warmup = math.log(max(1, step)), math.log(warmup_steps)
    return factor * math.exp(min(-0.5 * log_step, log_step - 1.5 * log_warmup) - 0.5 * math.log(d_model))


@equivalent(replaces="noam_schedule")
def noam_in_a_tensor(step, d_model, warmup_steps, factor=1.0):
    """float32 tensors: rsqrt and torch.minimum."""
    step, warmup_steps = torch.tensor(float(step)).clamp(min=1.0), torch.tensor(float(warmup_steps))
    arms = torch.rsqrt(step), step * torch.rsqrt(warmup_steps) / warmup_steps
    return torch.minimum(*arms) * factor / torch.tensor(d_model).sqrt()
