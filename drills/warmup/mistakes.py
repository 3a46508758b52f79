import math

import torch

from grader.authoring import mistake, solution

# --- the way up


@mistake(
    replaces="linear_warmup",
    tells="The ramp counts steps from 1: (step + 1) / warmup_steps. Here step 0 has rate 0 and the peak comes at "
    "step = warmup_steps: use step / warmup_steps.",
    question="bert-warmup",
)
def counts_from_one(step, warmup_steps, peak_lr):
    if step + 1 >= warmup_steps:
        return peak_lr
    return peak_lr * (step + 1) / warmup_steps


@mistake(
    replaces="linear_warmup",
    tells="The ramp is divided by warmup_steps - 1, so the peak comes one step early, and a warm-up of one step "
    "divides by 0. There are warmup_steps equal rises from step 0 to step warmup_steps.",
    question="bert-warmup",
)
def ramp_one_step_short(step, warmup_steps, peak_lr):
    if step >= warmup_steps:
        return peak_lr
    return peak_lr * step / (warmup_steps - 1)


@mistake(
    replaces="linear_warmup",
    tells="The rate starts at the peak and falls during the warm-up. Warm-up is the other way round: small steps "
    "first, while Adam's statistics and the network are at their worst.",
    question="why-warmup",
)
def starts_high_and_falls(step, warmup_steps, peak_lr):
    if step >= warmup_steps:
        return 0.0
    return peak_lr * (1 - step / warmup_steps)


@mistake(
    replaces="linear_warmup",
    tells="step // warmup_steps is 0 during the whole warm-up. Divide with /.",
    question="bert-warmup",
)
def integer_division(step, warmup_steps, peak_lr):
    if step >= warmup_steps:
        return peak_lr
    return step // warmup_steps * peak_lr


@mistake(
    replaces="linear_warmup",
    tells="Divides by warmup_steps before asking whether it is 0. Without a warm-up the rate is peak_lr at once.",
    question="bert-warmup",
)
def divides_by_no_warmup(step, warmup_steps, peak_lr):
    return min(step / warmup_steps, 1.0) * peak_lr


@mistake(
    replaces="linear_warmup",
    tells="max(1, warmup_steps) avoids the division by 0 and turns no warm-up into one of one step: the first "
    "update has rate 0. With warmup_steps = 0 step 0 has the peak.",
    question="bert-warmup",
)
def no_warmup_starts_at_zero(step, warmup_steps, peak_lr):
    return min(step / max(1, warmup_steps), 1.0) * peak_lr


@mistake(
    replaces="linear_warmup",
    tells="The ramp is not cut off: after warmup_steps the rate goes on rising beyond the peak.",
    question="bert-warmup",
)
def ramp_without_an_end(step, warmup_steps, peak_lr):
    return peak_lr * step / warmup_steps if warmup_steps else peak_lr


@mistake(
    replaces="linear_warmup",
    tells="There is no warm-up: the rate is the peak from the first step.",
    question="why-warmup",
)
def never_warms_up(step, warmup_steps, peak_lr):
    return peak_lr


@mistake(
    replaces="linear_warmup",
    tells="The rate falls to 0 after the warm-up. linear_warmup alone stays at the peak.",
    question="bert-warmup",
)
def off_after_warmup(step, warmup_steps, peak_lr):
    return peak_lr * step / warmup_steps if step < warmup_steps else peak_lr * (step == warmup_steps)


@mistake(
    replaces="linear_warmup",
    tells="What is returned is the share of the peak, as for LambdaLR. Multiply it by peak_lr.",
    question="bert-warmup",
)
def returns_the_share(step, warmup_steps, peak_lr):
    return 1.0 if step >= warmup_steps else step / warmup_steps


@mistake(
    replaces="linear_warmup",
    tells="The ramp is multiplied into the rate of the step before, so it compounds. Each rate follows from its step "
    "alone: step / warmup_steps * peak_lr.",
    question="bert-warmup",
)
def multiplies_cumulatively(step, warmup_steps, peak_lr):
    rate = peak_lr
    for past in range(1, min(step, warmup_steps) + 1):
        rate *= past / warmup_steps
    return rate


@mistake(
    replaces="linear_warmup",
    tells="The rate depends on how often the function was called, not on `step`. A resumed run, or a second look at "
    "the same step, gets another rate.",
    question="bert-warmup",
)
def counts_its_calls(step, warmup_steps, peak_lr):
    if step == 0:
        counts_its_calls.calls = 0
    calls = getattr(counts_its_calls, "calls", 0)
    counts_its_calls.calls = calls + 1
    return solution.linear_warmup(calls, warmup_steps, peak_lr)


@mistake(
    replaces="linear_warmup",
    tells="The ramp rises like a square root, or another curve. Linear warm-up grows by the same amount every step.",
    question="bert-warmup",
)
def ramp_is_a_root(step, warmup_steps, peak_lr):
    return peak_lr if step >= warmup_steps else peak_lr * math.sqrt(step / warmup_steps)


# --- down a straight line


@mistake(
    replaces="linear_schedule",
    tells="After the warm-up nothing decays. BERT's schedule goes down linearly to 0 at total_steps.",
    question="bert-warmup",
)
def no_decay(step, warmup_steps, total_steps, peak_lr):
    return solution.linear_warmup(step, warmup_steps, peak_lr) if step < total_steps else 0.0


@mistake(
    replaces="linear_schedule",
    tells="The decay is counted from step 0, as in the released BERT code: when the warm-up ends the rate drops by "
    "warmup_steps / total_steps of the peak. Divide what is left by total_steps - warmup_steps.",
    question="bert-warmup",
)
def decays_from_step_zero(step, warmup_steps, total_steps, peak_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * max(0.0, 1 - step / total_steps) if total_steps else 0.0


@mistake(
    replaces="linear_schedule",
    tells="Ramp and decay are multiplied with each other, so the peak is never reached. They take turns: the decay "
    "begins where the ramp ends.",
    question="bert-warmup",
)
def ramp_times_decay(step, warmup_steps, total_steps, peak_lr):
    ramp = min(step / warmup_steps, 1.0) if warmup_steps else 1.0
    return peak_lr * ramp * max(0.0, 1 - step / total_steps) if total_steps else 0.0


@mistake(
    replaces="linear_schedule",
    tells="total_steps is taken as the length of the decay, so it ends warmup_steps too late. total_steps counts "
    "from step 0, warm-up included.",
    question="bert-warmup",
)
def decay_lasts_total_steps(step, warmup_steps, total_steps, peak_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    left = warmup_steps + total_steps - step
    return peak_lr * max(0.0, left / total_steps) if total_steps else 0.0


@mistake(
    replaces="linear_schedule",
    tells="The line reaches 0 one step after total_steps. What is left at a step is total_steps - step, without a 1.",
    question="bert-warmup",
)
def decay_one_step_long(step, warmup_steps, total_steps, peak_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * max(0.0, (total_steps + 1 - step) / (total_steps + 1 - warmup_steps))


@mistake(
    replaces="linear_schedule",
    tells="The line reaches 0 one step before total_steps. The decay has total_steps - warmup_steps steps.",
    question="bert-warmup",
)
def decay_one_step_short(step, warmup_steps, total_steps, peak_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * max(0.0, (total_steps - 1 - step) / max(1, total_steps - 1 - warmup_steps))


@mistake(
    replaces="linear_schedule",
    tells="Past total_steps the line goes on below 0, and a negative rate climbs the loss. Stop at 0.",
    question="bert-warmup",
)
def negative_after_the_end(step, warmup_steps, total_steps, peak_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * (total_steps - step) / max(1, total_steps - warmup_steps)


@mistake(
    replaces="linear_schedule",
    tells="abs() hides the sign: past total_steps the rate rises again. It stays at 0.",
    question="bert-warmup",
)
def rises_after_the_end(step, warmup_steps, total_steps, peak_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * abs(total_steps - step) / max(1, total_steps - warmup_steps)


@mistake(
    replaces="linear_schedule",
    tells="With warmup_steps = total_steps the decay has no steps to be divided by. Ask whether step >= total_steps "
    "before dividing.",
    question="bert-warmup",
)
def divides_by_no_decay(step, warmup_steps, total_steps, peak_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return max(0.0, peak_lr * (total_steps - step) / (total_steps - warmup_steps))


@mistake(
    replaces="linear_schedule",
    tells="Divides by warmup_steps without asking whether it is 0. Without a warm-up the decay begins at step 0.",
    question="bert-warmup",
)
def line_divides_by_no_warmup(step, warmup_steps, total_steps, peak_lr):
    if step >= total_steps:
        return 0.0
    decay = (total_steps - step) / (total_steps - warmup_steps) if step > warmup_steps else 1.0
    return peak_lr * min(step / warmup_steps, decay)


@mistake(
    replaces="linear_schedule",
    tells="The decay is an inverse square root, which never ends: that is the Transformer's schedule. BERT's is a "
    "straight line to 0.",
    question="which-decay",
)
def inverse_root_decay(step, warmup_steps, total_steps, peak_lr):
    if step >= total_steps:
        return 0.0
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * math.sqrt(max(1, warmup_steps) / max(1, step))


@mistake(
    replaces="linear_schedule",
    tells="The decay is a power of the line, not the line itself. Polynomial decay has power 1 here.",
    question="which-decay",
)
def squared_decay(step, warmup_steps, total_steps, peak_lr):
    if step >= total_steps:
        return 0.0
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * ((total_steps - step) / (total_steps - warmup_steps)) ** 2


@mistake(
    replaces="linear_schedule",
    tells="The decay returns how much of it is done, not how much is left: the rate jumps to 0 where the warm-up ends "
    "and rises again. Use 1 - progress.",
    question="bert-warmup",
)
def decay_upside_down(step, warmup_steps, total_steps, peak_lr):
    if step >= total_steps:
        return 0.0
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * (step - warmup_steps) / (total_steps - warmup_steps)


@mistake(
    replaces="linear_schedule",
    tells="The decay divides integers with //: it is 0 as soon as one step has gone. Divide with /.",
    question="bert-warmup",
)
def integer_decay(step, warmup_steps, total_steps, peak_lr):
    if step >= total_steps:
        return 0.0
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return peak_lr * ((total_steps - step) // (total_steps - warmup_steps))


@mistake(
    replaces="linear_schedule",
    tells="The warm-up is missing: the line falls from step 0.",
    question="why-warmup",
)
def line_without_warmup(step, warmup_steps, total_steps, peak_lr):
    return peak_lr * max(0.0, (total_steps - step) / max(1, total_steps))


@mistake(
    replaces="linear_schedule",
    tells="total_steps and warmup_steps are the wrong way round. The order is (step, warmup_steps, total_steps, "
    "peak_lr).",
    question="bert-warmup",
)
def lengths_swapped(step, total_steps, warmup_steps, peak_lr):
    return solution.linear_schedule(step, warmup_steps, total_steps, peak_lr)


@mistake(
    replaces="linear_schedule",
    tells="Steps are counted from 1, so everything comes one step early. step is 0 at the first update.",
    question="bert-warmup",
)
def line_counts_from_one(step, warmup_steps, total_steps, peak_lr):
    return solution.linear_schedule(step + 1, warmup_steps, total_steps, peak_lr)


@mistake(
    replaces="linear_schedule",
    tells="The rate is rounded to some decimals. Common peaks are 1e-4 and less: do not round at all.",
    question="bert-warmup",
)
def rounds_the_rate(step, warmup_steps, total_steps, peak_lr):
    return round(solution.linear_schedule(step, warmup_steps, total_steps, peak_lr), 6)


# --- down half a cosine


@mistake(
    replaces="cosine_schedule",
    tells="The cosine runs through a whole period: the rate is at its lowest midway and back at the peak at the end. "
    "Half a period goes from 1 to -1: pi, not 2 pi.",
    question="which-decay",
)
def whole_cosine(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(2 * math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="The cosine runs through a quarter of a period, from 1 to 0: it leaves the peak flat and arrives steeply. "
    "Half a period is flat at both ends: (1 + cos(pi * progress)) / 2.",
    question="which-decay",
)
def quarter_cosine(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (peak_lr - min_lr) * math.cos(math.pi / 2 * progress)


@mistake(
    replaces="cosine_schedule",
    tells="cos(pi * progress) goes from 1 to -1, and half the time the rate is negative. Shift and halve it: (1 + cos) "
    "/ 2 goes from 1 to 0.",
    question="which-decay",
)
def cosine_not_shifted(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (peak_lr - min_lr) * math.cos(math.pi * progress)


@mistake(
    replaces="cosine_schedule",
    tells="1 + cos goes from 2 to 0 and is not halved: the decay starts at twice the peak.",
    question="which-decay",
)
def cosine_not_halved(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (peak_lr - min_lr) * (1 + math.cos(math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="The angle is in degrees; math.cos takes radians. Half a turn is math.pi.",
    question="which-decay",
)
def cosine_in_degrees(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(180 * progress))


@mistake(
    replaces="cosine_schedule",
    tells="1 - cos rises: the rate jumps to the end value where the warm-up ends, and climbs back. It is 1 + cos.",
    question="which-decay",
)
def cosine_upside_down(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 - math.cos(math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="Progress is step / total_steps, counted from step 0: where the warm-up ends, part of the cosine is already "
    "gone and the rate jumps. Count from warmup_steps.",
    question="which-decay",
)
def cosine_from_step_zero(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * step / total_steps))


@mistake(
    replaces="cosine_schedule",
    tells="Progress is divided by total_steps instead of the length of the decay: at total_steps the cosine is not yet "
    "at its end, and the rate drops. Divide by total_steps - warmup_steps.",
    question="which-decay",
)
def cosine_too_slow(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / total_steps
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="The cosine arrives at min_lr one step before total_steps. The decay has total_steps - warmup_steps steps: "
    "nothing is to be taken off.",
    question="which-decay",
)
def cosine_one_step_short(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps)
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="The cosine arrives at min_lr one step after total_steps, so the rate drops at the end. The decay has "
    "total_steps - warmup_steps steps: nothing is to be added.",
    question="which-decay",
)
def cosine_one_step_long(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps + 1 - warmup_steps)
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="min_lr is added on top of a cosine that already starts at the peak: the decay begins at peak_lr + min_lr. "
    "Only peak_lr - min_lr is left for the cosine.",
    question="which-decay",
)
def min_lr_on_top(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps:
        return min_lr
    return min_lr * (step >= warmup_steps) + solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr)


@mistake(
    replaces="cosine_schedule",
    tells="min_lr cuts off a cosine that goes to 0: midway the rate is half the peak, and the last part is flat. The "
    "cosine goes from peak_lr to min_lr.",
    question="which-decay",
)
def min_lr_as_a_floor(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    rate = solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr)
    return max(rate, min_lr) if step >= warmup_steps else rate


@mistake(
    replaces="cosine_schedule",
    tells="The floor holds during the warm-up too. The warm-up starts at 0 and passes min_lr on its way.",
    question="which-decay",
)
def floor_under_the_warmup(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    return max(solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr), min_lr)


@mistake(
    replaces="cosine_schedule",
    tells="The warm-up rises from min_lr. It rises from 0: min_lr is where the decay ends.",
    question="which-decay",
)
def warms_up_from_min_lr(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step < warmup_steps:
        return min_lr + (peak_lr - min_lr) * step / warmup_steps
    return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)


@mistake(
    replaces="cosine_schedule",
    tells="After total_steps the rate is 0. It stays at min_lr, where the cosine arrived.",
    question="which-decay",
)
def zero_after_the_end(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step > total_steps:
        return 0.0
    return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)


@mistake(
    replaces="cosine_schedule",
    tells="Past total_steps the cosine is followed further, and rises again. Stop at progress 1.",
    question="which-decay",
)
def cosine_goes_on(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="After total_steps the decay starts again at the peak. A warm restart was not asked for: stay at min_lr.",
    question="which-decay",
)
def cosine_restarts(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step > total_steps > warmup_steps:
        step = warmup_steps + (step - warmup_steps) % (total_steps - warmup_steps)
    return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)


@mistake(
    replaces="cosine_schedule",
    tells="min_lr is ignored: the cosine goes down to 0.",
    question="which-decay",
)
def ignores_min_lr(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr)


@mistake(
    replaces="cosine_schedule",
    tells="min_lr is taken as a share of the peak. It is a learning rate itself.",
    question="which-decay",
)
def min_lr_as_a_share(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr * peak_lr)


@mistake(
    replaces="cosine_schedule",
    tells="The cosine goes to 0, and only after the end the rate is min_lr: it jumps up there. Squeeze the cosine "
    "between peak_lr and min_lr.",
    question="which-decay",
)
def min_lr_only_at_the_end(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps:
        return min_lr
    return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr)


@mistake(
    replaces="cosine_schedule",
    tells="The decay is a straight line. A cosine is flat at both ends and steepest midway.",
    question="which-decay",
)
def line_for_a_cosine(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step >= total_steps or step < warmup_steps:
        return solution.cosine_schedule(step, warmup_steps, total_steps, peak_lr, min_lr)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return peak_lr + (min_lr - peak_lr) * progress


@mistake(
    replaces="cosine_schedule",
    tells="With warmup_steps = total_steps the decay has no steps to be divided by. Ask whether step >= total_steps "
    "before dividing.",
    question="which-decay",
)
def cosine_divides_by_no_decay(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + (peak_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


@mistake(
    replaces="cosine_schedule",
    tells="The warm-up is missing: the cosine starts at step 0.",
    question="why-warmup",
)
def cosine_without_warmup(step, warmup_steps, total_steps, peak_lr, min_lr=0.0):
    return solution.cosine_schedule(step, 0, total_steps, peak_lr, min_lr)


# --- the inverse square root


@mistake(
    replaces="noam_schedule",
    tells="max instead of min: the larger arm is taken, so the rate falls until warmup_steps and then rises for ever.",
    question="transformer-lr",
)
def max_for_min(step, d_model, warmup_steps, factor=1.0):
    step = max(step, 1)
    return factor * d_model**-0.5 * max(step**-0.5, step * warmup_steps**-1.5)


@mistake(
    replaces="noam_schedule",
    tells="The exponent of warmup_steps is -1.5, not -0.5: with -0.5 the arms cross almost at once, and there is no "
    "warm-up.",
    question="transformer-lr",
)
def warmup_to_minus_half(step, d_model, warmup_steps, factor=1.0):
    step = max(step, 1)
    return factor * d_model**-0.5 * min(step**-0.5, step * warmup_steps**-0.5)


@mistake(
    replaces="noam_schedule",
    tells="The ramp is step / warmup_steps, which ends at 1 and not where step**-0.5 begins. It is step * "
    "warmup_steps**-1.5: another 1/sqrt(warmup_steps).",
    question="transformer-lr",
)
def warmup_to_minus_one(step, d_model, warmup_steps, factor=1.0):
    step = max(step, 1)
    return factor * d_model**-0.5 * min(step**-0.5, step / warmup_steps)


@mistake(
    replaces="noam_schedule",
    tells="The rate grows with the width: d_model**0.5. Wider models get smaller rates: d_model**-0.5.",
    question="transformer-lr",
)
def grows_with_the_width(step, d_model, warmup_steps, factor=1.0):
    return d_model * solution.noam_schedule(step, d_model, warmup_steps, factor)


@mistake(
    replaces="noam_schedule",
    tells="The rate is divided by d_model instead of its square root.",
    question="transformer-lr",
)
def divides_by_the_width(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(step, d_model, warmup_steps, factor) / math.sqrt(d_model)


@mistake(
    replaces="noam_schedule",
    tells="d_model has no effect. The whole curve is multiplied by d_model**-0.5.",
    question="transformer-lr",
)
def ignores_the_width(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(step, 1, warmup_steps, factor)


@mistake(
    replaces="noam_schedule",
    tells="d_model of the base model, 512, is built in.",
    question="transformer-lr",
)
def width_built_in(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(step, 512, warmup_steps, factor)


@mistake(
    replaces="noam_schedule",
    tells="The paper's 4000 warm-up steps are built in.",
    question="transformer-lr",
)
def warmup_built_in(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(step, d_model, 4000, factor)


@mistake(
    replaces="noam_schedule",
    tells="factor is ignored. It multiplies the whole curve.",
    question="transformer-lr",
)
def ignores_the_factor(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(step, d_model, warmup_steps)


@mistake(
    replaces="noam_schedule",
    tells="factor multiplies the ramp only, or stands inside the min, so it moves the peak. It multiplies the whole.",
    question="transformer-lr",
)
def factor_on_the_ramp_only(step, d_model, warmup_steps, factor=1.0):
    step = max(step, 1)
    return d_model**-0.5 * min(step**-0.5, factor * step * warmup_steps**-1.5)


@mistake(
    replaces="noam_schedule",
    tells="0**-0.5 is a ZeroDivisionError, and step 0 is the first step there is. It counts as 1.",
    question="transformer-lr",
)
def fails_at_step_zero(step, d_model, warmup_steps, factor=1.0):
    return factor * d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)


@mistake(
    replaces="noam_schedule",
    tells="The rate at step 0 is 0, so the first update changes nothing. Step 0 counts as 1 here.",
    question="transformer-lr",
)
def zero_at_step_zero(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(step, d_model, warmup_steps, factor) if step else 0.0


@mistake(
    replaces="noam_schedule",
    tells="Every step is shifted by one to avoid step 0, and the peak with it. Only step 0 counts as 1.",
    question="transformer-lr",
)
def shifts_every_step(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(step + 1, d_model, warmup_steps, factor)


@mistake(
    replaces="noam_schedule",
    tells="The ramp is missing: step**-0.5 alone has its largest rate at the first step.",
    question="transformer-lr",
)
def inverse_root_alone(step, d_model, warmup_steps, factor=1.0):
    return factor * d_model**-0.5 * max(step, 1) ** -0.5


@mistake(
    replaces="noam_schedule",
    tells="After the warm-up the rate stays at the peak. It falls with 1/sqrt(step).",
    question="transformer-lr",
)
def noam_without_decay(step, d_model, warmup_steps, factor=1.0):
    return solution.noam_schedule(min(step, warmup_steps), d_model, warmup_steps, factor)


@mistake(
    replaces="noam_schedule",
    tells="The decay is 1/step instead of 1/sqrt(step): four times as many steps should halve the rate, not quarter "
    "it.",
    question="transformer-lr",
)
def decays_with_one_over_step(step, d_model, warmup_steps, factor=1.0):
    step = max(step, 1)
    peak = factor * (d_model * warmup_steps) ** -0.5
    return peak * min(warmup_steps / step, step / warmup_steps)


@mistake(
    replaces="noam_schedule",
    tells="The rate comes in a tensor with a dimension, shape (1,). A learning rate is a number: without the brackets, "
    "or .item().",
    question="transformer-lr",
)
def noam_in_a_list_of_one(step, d_model, warmup_steps, factor=1.0):
    return torch.tensor([solution.noam_schedule(step, d_model, warmup_steps, factor)])
