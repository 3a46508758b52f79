"""Hidden tests of the learning-rate schedules.

Expected values are written down, where they can be read off the definition, or computed in another way than one
would write the schedule: straight lines in exact fractions, the half cosine as the square of a quarter one, the
inverse square root on either side of its peak separately.
"""

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from grader.testing import Mismatch, assert_close, describe

# assert_close holds numbers to 76 roundoffs of float64. Times this it is 19 of float32, 1.1e-6 of the peak: a
# 0-dim float32 tensor is a fair answer, and half a cosine with pi in float32 is off by up to 8. Being one step
# off moves a ramp or a decay of n steps by 1/n of the peak, so it shows up to n = 800,000.
FLOAT32 = 2.0**27


def assert_rate(actual, expected: float, size: float, what: str) -> None:
    """A number, to float32's precision of `size`. One without dimensions may come from torch or from NumPy."""
    if isinstance(actual, Tensor | np.generic | np.ndarray):
        if actual.ndim:
            raise Mismatch(f"{what}: expected a number or a 0-dim tensor, got {describe(actual)}")
        actual = actual.item()
    assert_close(actual, expected, magnitude=size * FLOAT32, what=what)


def call(name: str, args: tuple, options: dict) -> str:
    """A call as one writes it."""
    return f"{name}({', '.join([*map(repr, args), *(f'{key}={value!r}' for key, value in options.items())])})"


def assert_schedule(impl, name: str, rest: tuple, expected: dict[int, float], size: float, **options) -> None:
    """The schedule gives these learning rates at these steps, to float32's precision of `size`.

    All steps are asked for before the first is judged.
    """
    found = {step: getattr(impl, name)(step, *rest, **options) for step in expected}
    for step, value in expected.items():
        assert_rate(found[step], value, size, call(name, (step, *rest), options))


def assert_one_of(actual, allowed: tuple[float, ...], size: float, what: str) -> None:
    """One of several values, where the choice is the learner's."""
    for value in allowed:
        try:
            return assert_rate(actual, value, size, what)
        except Mismatch as error:
            last = error
    choices = " or ".join(f"{value:g}" for value in allowed)
    raise Mismatch(f"{last}; {choices} is right here") from None


def exact_ramp(step: int, warmup: int, peak: float) -> float:
    """In exact fractions, rounded once."""
    return float(Fraction(peak) * min(Fraction(step, warmup), 1))


def exact_line(step: int, warmup: int, total: int, peak: float) -> float:
    """The lower one of two straight lines, the x axis above nothing, in exact fractions. 0 < warmup < total."""
    return float(Fraction(peak) * max(min(Fraction(step, warmup), Fraction(total - step, total - warmup)), 0))


def exact_cosine(step: int, warmup: int, total: int, peak: float, low: float) -> float:
    """The decay by cos(a / 2)**2 = (1 + cos(a)) / 2. 0 < warmup < total."""
    if step < warmup:
        return exact_ramp(step, warmup, peak)
    share = math.cos(math.pi * min(step - warmup, total - warmup) / (2 * (total - warmup))) ** 2
    return share * peak + (1 - share) * low


def exact_noam(step: int, d_model: int, warmup: int, factor: float) -> float:
    """One arm before the peak, the other after it."""
    step = step or 1
    return factor * (step / warmup / math.sqrt(d_model * warmup) if step < warmup else 1 / math.sqrt(d_model * step))


def test_warmup_rises_to_the_peak(impl):
    """Warm-up: a straight line from 0 to the peak, then the peak for good

    The first update has learning rate 0, half way through the warm-up it is half the peak, and at step =
    warmup_steps the whole. Steps count from 0, so there are warmup_steps equal rises, and none after them.
    """
    expected = {0: 0.0, 1: 0.5, 2: 1.0, 3: 1.5, 4: 2.0, 5: 2.0, 1_000_000: 2.0}
    assert_schedule(impl, "linear_warmup", (4, 2.0), expected, 2.0)
    assert_schedule(impl, "linear_warmup", (10_000, 1e-4), {1: 1e-8, 5000: 5e-5, 9999: 9.999e-5}, 1e-4)
    assert_schedule(impl, "linear_warmup", (1, 0.5), {0: 0.0, 1: 0.5}, 0.5)


def test_linear_schedule_goes_up_and_down(impl):
    """Linear: up to the peak, then down a straight line to 0

    With 2 of 6 steps for the warm-up, 4 are left for the decay: it falls by a quarter of the peak each step.
    BERT's own numbers are 10,000 of 1,000,000 and a peak of 1e-4.
    """
    expected = {0: 0.0, 1: 0.5, 2: 1.0, 3: 0.75, 4: 0.5, 5: 0.25, 6: 0.0}
    assert_schedule(impl, "linear_schedule", (2, 6, 1.0), expected, 1.0)
    bert = {5000: 5e-5, 10_000: 1e-4, 505_000: 5e-5, 1_000_000: 0.0}
    assert_schedule(impl, "linear_schedule", (10_000, 1_000_000, 1e-4), bert, 1e-4)


def test_linear_decay_starts_at_the_peak(impl):
    """Linear: no jump where the decay takes over

    The decay is measured from warmup_steps, where all of it is still to come, to total_steps. Measured from
    step 0, some of it is gone already when the warm-up ends.
    """
    late = {39: 0.975, 40: 1.0, 41: 0.9, 49: 0.1}
    assert_schedule(impl, "linear_schedule", (40, 50, 1.0), late, 1.0)
    early = {5: 1.0, 6: 0.96, 29: 0.04}
    assert_schedule(impl, "linear_schedule", (5, 30, 1.0), early, 1.0)
    assert_schedule(impl, "linear_schedule", (1, 2, 1.0), {0: 0.0, 1: 1.0, 2: 0.0}, 1.0)


def test_linear_schedule_ends_at_zero(impl):
    """Linear: exactly 0 at total_steps and ever after

    A straight line does not stop at 0 by itself: past total_steps it is negative, and a negative learning rate
    climbs the loss. The steps just before still have their share.
    """
    # 0.5 over 8 steps: exact in binary, in whatever order it is computed, so exactness is not asked too much.
    steps = (12, 13, 20, 28, 1_000_000)
    found = [impl.linear_schedule(step, 4, 12, 0.5) for step in (10, 11, *steps)]
    assert_rate(found[0], 0.125, 0.5, "linear_schedule(10, 4, 12, 0.5)")
    assert_rate(found[1], 0.0625, 0.5, "linear_schedule(11, 4, 12, 0.5)")
    for step, value in zip(steps, found[2:], strict=True):
        assert_rate(value, 0.0, 0.0, f"linear_schedule({step}, 4, 12, 0.5)")


def test_cosine_schedule_worked_example(impl):
    """Cosine: half a cosine from the peak to 0, half the peak midway

    One half period: (1 + cos(a)) / 2 for a from 0 to pi. A quarter of the way down it is 0.854 of the peak, at
    the middle 0.5, at three quarters 0.146; the warm-up before is a straight line.
    """
    root = math.sqrt(0.5)
    expected = {0: 0.0, 2: 0.5, 4: 1.0, 7: (1 + root) / 2, 8: 0.75, 10: 0.5, 13: (1 - root) / 2, 16: 0.0}
    assert_schedule(impl, "cosine_schedule", (4, 16, 1.0), expected, 1.0)


def test_cosine_decay_starts_at_the_peak(impl):
    """Cosine: no jump where the decay takes over

    Progress runs from 0 at warmup_steps to 1 at total_steps. step / total_steps is 0 at step 0 only: the cosine
    would be entered in mid-fall.
    """
    root = math.sqrt(0.75)
    expected = {29: 2.9e-4, 30: 3e-4, 31: 1.5e-4 * (1 + root), 32: 2.25e-4, 35: 1.5e-4 * (1 - root), 36: 0.0}
    assert_schedule(impl, "cosine_schedule", (30, 36, 3e-4), expected, 3e-4)


def test_cosine_ends_at_min_lr(impl):
    """Cosine: the decay goes from peak_lr to min_lr, midway between both

    min_lr is where the curve ends, not something added to it or a floor that cuts it off: the cosine is squeezed
    into the room between the two. Midway it is (peak_lr + min_lr) / 2.
    """
    root = math.sqrt(0.5)
    expected = {4: 1.0, 7: 0.6 + 0.4 * root, 10: 0.6, 12: 0.4, 13: 0.6 - 0.4 * root, 16: 0.2}
    assert_schedule(impl, "cosine_schedule", (4, 16, 1.0), expected, 1.0, min_lr=0.2)


def test_cosine_warmup_ignores_min_lr(impl):
    """Cosine: the warm-up starts at 0 whatever min_lr is

    min_lr belongs to the decay. On the way up the rate is below min_lr for a while, and that is right.
    """
    expected = {0: 0.0, 1: 0.25, 3: 0.75, 4: 1.0}
    assert_schedule(impl, "cosine_schedule", (4, 16, 1.0, 0.4), expected, 1.0)


def test_cosine_stays_at_the_end(impl):
    """Cosine: min_lr at total_steps and ever after

    A cosine rises again after half a period. From total_steps on nothing moves any more, and the value is min_lr,
    which is 0 only if nothing else was asked for.
    """
    steps = (12, 13, 16, 20, 28, 1_000_000)
    assert_schedule(impl, "cosine_schedule", (4, 12, 0.5), dict.fromkeys(steps, 0.03), 0.5, min_lr=0.03)
    assert_schedule(impl, "cosine_schedule", (4, 12, 0.5), dict.fromkeys((12, 20), 0.0), 0.5)


def test_no_warmup(impl):
    """warmup_steps = 0: no warm-up, step 0 has the peak

    Nothing to rise through, so nothing may be divided by it. max(1, warmup_steps) avoids the error and still
    gives 0 at step 0.
    """
    assert_schedule(impl, "linear_warmup", (0, 0.3), {0: 0.3, 1: 0.3}, 0.3)
    assert_schedule(impl, "linear_schedule", (0, 4, 0.3), {0: 0.3, 1: 0.225, 2: 0.15, 4: 0.0}, 0.3)
    root = math.sqrt(0.5)
    expected = {0: 0.3, 1: 0.2 + 0.1 * root, 2: 0.2, 3: 0.2 - 0.1 * root, 4: 0.1}
    assert_schedule(impl, "cosine_schedule", (0, 4, 0.3), expected, 0.3, min_lr=0.1)


def test_nothing_but_warmup(impl):
    """warmup_steps = total_steps: no decay, and no division by 0

    The whole run is warm-up. Before the end that is the ramp, after it the end of the decay, although the decay
    has no length that one could divide by.
    """
    for name, low, options in (("linear_schedule", 0.0, {}), ("cosine_schedule", 0.05, {"min_lr": 0.05})):
        schedule = getattr(impl, name)
        assert_schedule(impl, name, (4, 4, 0.8), {3: 0.6, 5: low, 9: low}, 0.8, **options)
        for end in (4, 0):
            what = call(name, (end, end, end, 0.8), options)
            assert_one_of(schedule(end, end, end, 0.8, **options), (0.8, low), 0.8, what)
        assert_schedule(impl, name, (0, 0, 0.8), {1: low}, 0.8, **options)


def test_noam_worked_example(impl):
    """Noam: 6.98771e-4 at its peak, for d_model 512 and 4000 steps

    Before the peak step * warmup_steps**-1.5 is the smaller one and grows by the same amount each step; after it
    step**-0.5 is, and four times as many steps halve it. They meet at warmup_steps.
    """
    peak = 6.987712429686843e-4
    steps = {1: peak / 4000, 2000: peak / 2, 3999: peak * 3999 / 4000, 4000: peak}
    steps |= {4001: peak * math.sqrt(4000 / 4001), 16_000: peak / 2, 100_000: peak / 5, 10**9: peak / 500}
    found = {step: impl.noam_schedule(step, 512, 4000) for step in steps}
    for step, value in steps.items():
        assert_rate(found[step], value, value, call("noam_schedule", (step, 512, 4000), {}))


def test_noam_model_width_and_factor(impl):
    """Noam: 4 times the width halves it, factor multiplies it

    Wider models get smaller rates, by 1/sqrt(d_model). factor scales the whole curve, before and after the
    peak, and does not move it.
    """
    for step, rate in ((4, 1 / 16), (64, 1 / 8)):
        cases = (
            ((64, 16), rate / 8),
            ((256, 16), rate / 16),
            ((64, 16, 2.0), rate / 4),
            ((64, 16, 0.3), 0.3 * rate / 8),
        )
        found = [impl.noam_schedule(step, *rest) for rest, _ in cases]
        for value, (rest, expected) in zip(found, cases, strict=True):
            assert_rate(value, expected, expected, call("noam_schedule", (step, *rest), {}))


def test_noam_counts_step_zero_as_one(impl):
    """Noam: step 0 counts as 1, and only step 0

    0**-0.5 is an error, and at step 0 a scheduler asks for the first rate. Shifting all steps by one would move
    the peak. With warmup_steps = 1 there is no ramp at all.
    """
    assert_schedule(impl, "noam_schedule", (16, 4), {0: 1 / 32, 1: 1 / 32, 2: 1 / 16, 4: 1 / 8}, 1 / 32)
    assert_schedule(impl, "noam_schedule", (16, 1), {0: 0.25, 1: 0.25, 4: 0.125}, 0.125)


def test_any_numbers(impl, gen):
    """Any numbers: other steps, lengths, widths and peaks

    Numbers drawn at random, none of them round, with a tiny peak and one above 1. Is a number built in that worked
    for the examples? Is something rounded to some decimals, held above 1e-8 or below 1?
    """

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=gen))

    for unit in (1e-9, 1.0):
        peak, low = unit * draw(21, 99) / 7, unit * draw(1, 19) / 7
        warmup = draw(11, 60)
        total = warmup + draw(13, 90)
        d_model, factor = draw(20, 900), draw(12, 90) / 11
        up, down = draw(1, warmup - 1), draw(warmup + 1, total - 1)
        ramp = {step: exact_ramp(step, warmup, peak) for step in (0, up, down)}
        line = {step: exact_line(step, warmup, total, peak) for step in (up, down)}
        curve = {step: exact_cosine(step, warmup, total, peak, low) for step in (up, down)}
        noam = {step: exact_noam(step, d_model, warmup, factor) for step in (up, down)}
        assert_schedule(impl, "linear_warmup", (warmup, peak), ramp, peak)
        assert_schedule(impl, "linear_schedule", (warmup, total, peak), line, peak)
        assert_schedule(impl, "cosine_schedule", (warmup, total, peak, low), curve, peak)
        for step, value in noam.items():  # each to its own precision: early in the warm-up they are small
            assert_schedule(impl, "noam_schedule", (d_model, warmup, factor), {step: value}, value)


def test_no_memory_of_earlier_calls(impl):
    """The same step gives the same rate, in any order, however often

    Checkpoints are resumed in mid-run and curves are plotted: the rate has to follow from the arguments, from all of
    them, not from the calls before. Two schedules may run side by side, with the same lengths too.
    """
    cases = (
        ("linear_warmup", ((8, 1.0), {0: 0.0, 6: 0.75}), ((12, 1.0), {6: 0.5}), ((8, 2.0), {6: 1.5})),
        (
            "linear_schedule",
            ((4, 8, 1.0), {6: 0.5, 1: 0.25}),
            ((4, 12, 1.0), {6: 0.75}),
            ((4, 8, 2.0), {6: 1.0, 1: 0.5}),
        ),
        (
            "cosine_schedule",
            ((4, 8, 1.0), {6: 0.5, 1: 0.25}),
            ((4, 10, 1.0), {6: 0.75}),
            ((4, 8, 2.0), {6: 1.0, 1: 0.5}),
            ((4, 8, 1.0, 0.5), {6: 0.75, 9: 0.5}),
        ),
        ("noam_schedule", ((16, 4), {16: 0.0625, 1: 0.03125}), ((64, 4), {16: 0.03125}), ((16, 4, 2.0), {16: 0.125})),
    )
    for name, first, *others in cases:
        for rest, expected in (first, *others, first):
            assert_schedule(impl, name, rest, expected, 1.0)


def test_arguments_by_name(impl):
    """Every argument can be given by its name

    A training script writes them out, in an order of its own. The names are those of the signatures that you were
    given.
    """
    warmup = impl.linear_warmup(peak_lr=2.0, warmup_steps=8, step=2)
    linear = impl.linear_schedule(peak_lr=2.0, total_steps=20, warmup_steps=4, step=16)
    cosine = impl.cosine_schedule(min_lr=0.5, peak_lr=2.5, total_steps=20, warmup_steps=4, step=12)
    noam = impl.noam_schedule(factor=3.0, warmup_steps=4, d_model=16, step=1)
    for name, value, expected in (
        ("linear_warmup", warmup, 0.5),
        ("linear_schedule", linear, 0.5),
        ("cosine_schedule", cosine, 1.5),
        ("noam_schedule", noam, 3 / 32),
    ):
        assert_rate(value, expected, 2.5, f"{name} with keyword arguments")
