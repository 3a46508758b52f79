"""# Learning-rate warm-up

Four schedules, each a plain function from a step to a learning rate. `step`
counts from 0: the first update asks for step 0.

- `linear_warmup`: step / warmup_steps * peak_lr, then peak_lr for good.
- `linear_schedule`, as in the BERT paper: up from 0 to peak_lr at
  warmup_steps, then down a straight line to 0 at total_steps.
- `cosine_schedule`: the same way up, then half a cosine from peak_lr down
  to min_lr at total_steps.
- `noam_schedule`, from the Transformer paper:
  factor * d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)

Rules

- The peak is reached exactly at step = warmup_steps, and the decay starts
  there: no jump, and total_steps counts from step 0, warm-up included.
- warmup_steps = 0 means no warm-up: step 0 has peak_lr already.
- From total_steps on, the linear schedule is exactly 0, never negative, and
  the cosine stays at min_lr.
- min_lr, at most peak_lr, is where the decay ends. The warm-up still starts
  at 0.
- warmup_steps may equal total_steps: all warm-up, no decay. What comes at
  that one step, the peak or the end, is yours to choose; an error is not.
- In noam_schedule step 0 counts as step 1, and warmup_steps is at least 1.
- The result depends on the arguments alone. Steps may be asked for in any
  order, and more than once.
- Return a number; a 0-dim tensor will do, one of shape (1,) will not.
- Not allowed: `torch.optim.lr_scheduler`.

Papers

- Vaswani et al. 2017, Attention Is All You Need, section 5.3
- Devlin et al. 2019, BERT, appendix A.2
- Loshchilov & Hutter 2017, SGDR
"""


def linear_warmup(step: int, warmup_steps: int, peak_lr: float) -> float:
    """step / warmup_steps * peak_lr, and peak_lr from step = warmup_steps on.

    step: 0, 1, 2, ... warmup_steps: 0 or more; 0 means no warm-up. Raises nothing for these.
    """
    raise NotImplementedError


def linear_schedule(step: int, warmup_steps: int, total_steps: int, peak_lr: float) -> float:
    """Up from 0 to peak_lr at warmup_steps, then linearly down to 0 at total_steps, exactly 0 from there on.

    step: 0, 1, 2, ... 0 <= warmup_steps <= total_steps. Raises nothing for these.
    """
    raise NotImplementedError


def cosine_schedule(step: int, warmup_steps: int, total_steps: int, peak_lr: float, min_lr: float = 0.0) -> float:
    """Up from 0 to peak_lr at warmup_steps, then half a cosine down to min_lr at total_steps, min_lr from there on.

    step: 0, 1, 2, ... 0 <= warmup_steps <= total_steps. Raises nothing for these.
    min_lr: the end of the decay, 0 <= min_lr <= peak_lr; the warm-up starts at 0 whatever it is.
    """
    raise NotImplementedError


def noam_schedule(step: int, d_model: int, warmup_steps: int, factor: float = 1.0) -> float:
    """factor * d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5).

    step: 0, 1, 2, ...; 0 counts as 1. warmup_steps: 1 or more. Raises nothing for these.
    """
    raise NotImplementedError
