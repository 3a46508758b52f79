"""Learning-rate schedules with warm-up: a step, counted from 0, in; a learning rate out.

Linear: Devlin et al., 2019, BERT, appendix A.2. Cosine: Loshchilov & Hutter, 2017, SGDR, equation 5, one period.
Inverse square root ("noam"): Vaswani et al., 2017, Attention Is All You Need, section 5.3, equation 3.
"""

import math


def linear_warmup(step: int, warmup_steps: int, peak_lr: float) -> float:
    """step / warmup_steps * peak_lr, and peak_lr from step = warmup_steps on. warmup_steps = 0 means none."""
    if step >= warmup_steps:  # always so for warmup_steps = 0, so nothing is divided by 0
        return peak_lr
    return peak_lr * step / warmup_steps


def linear_schedule(step: int, warmup_steps: int, total_steps: int, peak_lr: float) -> float:
    """Up from 0 to peak_lr at warmup_steps, then down a straight line to 0 at total_steps, 0 from there on."""
    if step >= total_steps:
        return 0.0
    if step < warmup_steps:
        return linear_warmup(step, warmup_steps, peak_lr)
    return peak_lr * (total_steps - step) / (total_steps - warmup_steps)  # what is left of the decay


def cosine_schedule(step: int, warmup_steps: int, total_steps: int, peak_lr: float, min_lr: float = 0.0) -> float:
    """Up from 0 to peak_lr at warmup_steps, then half a cosine down to min_lr at total_steps, min_lr from there on.

    min_lr is the end of the decay and has no part in the warm-up.
    """
    if step >= total_steps:
        return min_lr
    if step < warmup_steps:
        return linear_warmup(step, warmup_steps, peak_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)  # 0 at the peak, 1 at the end
    return min_lr + (peak_lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * progress))


def noam_schedule(step: int, d_model: int, warmup_steps: int, factor: float = 1.0) -> float:
    """factor * d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5); step 0 counts as 1.

    The two arms meet at step = warmup_steps, in the peak factor / sqrt(d_model * warmup_steps). warmup_steps >= 1.
    """
    step = max(step, 1)  # 0**-0.5 is not a number
    return factor * d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)
