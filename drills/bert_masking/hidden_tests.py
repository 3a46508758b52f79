"""Hidden tests of BERT's masking.

Two honest answers draw different numbers, so nothing is compared with another answer's result. What must hold of
every draw (labels, special tokens, shapes) is compared exactly; what holds on average is compared with the
probability that the definition gives.

How often chance alone fails a right answer. `assert_chance` looks at a count X of n independent trials of
probability p. Chernoff's bound (Hoeffding 1963, theorem 1) holds for every n and p, without any approximation:

    P(X/n >= x) <= exp(-n KL(x, p)) for x > p,  and likewise P(X/n <= x) for x < p,
    KL(x, p) = x ln(x/p) + (1-x) ln((1-x)/(1-p)).

So n KL(X/n, p) exceeds ln(2 / FALSE_ALARM) with a probability below FALSE_ALARM = 1e-9. All checks together
make 277 comparisons, so one run fails a right answer with a probability below 277 * 1e-9 < 2.8e-7. In
standard deviations, the limit is at about sqrt(2 * 21.4) = 6.5; samples are large enough to put the known wrong
answers well beyond that.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from grader.testing import Mismatch, assert_equal, assert_tensor, describe, noncontiguous, seeded, unchanged

FALSE_ALARM = 1e-9  # of one comparison
LIMIT = math.log(2 / FALSE_ALARM)
VOCAB, MASK = 1000, 103  # where nothing depends on them


def relative_entropy(x: Tensor, p: Tensor) -> Tensor:
    """KL(x, p) of two coins."""
    return torch.xlogy(x, x / p) + torch.xlogy(1 - x, (1 - x) / (1 - p))


def assert_chance(
    counts: Tensor | int, trials: Tensor | int, p: Tensor | float, what: str, names: Sequence[str] = ()
) -> None:
    """Each count is plausible for so many independent trials of probability p. `names`: what each count is of."""
    counts, trials, p = torch.broadcast_tensors(
        *(torch.as_tensor(value, dtype=torch.float64).reshape(-1) for value in (counts, trials, p))
    )
    surprise = trials * relative_entropy(counts / trials, p)
    worst = int(surprise.argmax())
    if float(surprise[worst]) <= LIMIT:
        return
    count, n = int(counts[worst]), int(trials[worst])
    plausible = (n * relative_entropy(torch.arange(n + 1) / n, p[worst]) <= LIMIT).nonzero().flatten().tolist()
    raise Mismatch(
        f"{what}{f': {names[worst]}' if names else ''}\n"
        f"  expected about {n * float(p[worst]):.0f} of {n} ({float(p[worst]):.2%}), by chance"
        f" {plausible[0]} to {plausible[-1]}\n"
        f"  got      {count} ({count / n:.2%})"
    )


def share(p: float, counts: int, trials: int) -> float:
    """Probability of exactly so many successes."""
    return math.comb(trials, counts) * p**counts * (1 - p) ** (trials - counts)


def fresh(gen: torch.Generator) -> torch.Generator:
    """A generator for the learner; what is left of it has no influence on the test's own numbers."""
    return torch.Generator().manual_seed(int(torch.randint(2**31, (), generator=gen)))


def random_ids(gen: torch.Generator, *shape: int, vocab: int = VOCAB) -> Tensor:
    return torch.randint(vocab, shape, generator=gen)


def copied(ids: Tensor) -> Tensor:
    """The same ids with the same strides: an answer that writes to them spoils no expected value."""
    return torch.empty_strided(ids.shape, ids.stride(), dtype=ids.dtype).copy_(ids)


def mask(
    impl,
    ids: Tensor,
    *probability: float,
    rng: torch.Generator | None,
    vocab: int = VOCAB,
    mask_id: int = MASK,
    special: Sequence[int] = (),
    what: str = "mask_tokens",
) -> tuple[Tensor, Tensor]:
    """The learner's (inputs, labels), known to be two tensors of the right shape and dtype."""
    shape, dtype = tuple(ids.shape), ids.dtype
    result = impl.mask_tokens(copied(ids), vocab, mask_id, special, *probability, generator=rng)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Mismatch(f"{what}: expected (inputs, labels), got {describe(result)}")
    for name, tensor in zip(("inputs", "labels"), result, strict=True):
        assert_tensor(tensor, shape=shape, dtype=dtype, what=f"{what}: {name}")
    return result[0], result[1]


def is_special(ids: Tensor, special: Sequence[int]) -> Tensor:
    return torch.isin(ids, torch.tensor(special, dtype=ids.dtype))


def assert_all_selected(ids: Tensor, special: Sequence[int], drawn: tuple[Tensor, Tensor], what: str) -> None:
    """As it has to be with mask_probability = 1: every token but the special ones."""
    inputs, labels = drawn
    hidden = is_special(ids, special)
    assert_equal(labels, ids.masked_fill(hidden, -100), what=f"{what}: labels")
    assert_equal(inputs[hidden], ids[hidden], what=f"{what}: inputs at the special tokens")


def assert_split(inputs: Tensor, ids: Tensor, selected: Tensor, vocab: int, mask_id: int, what: str) -> None:
    """80/10/10 among the selected; none of ids is mask_id. A random id is [MASK] or the original 1 time in vocab."""
    n = int(selected.sum())
    if not n:
        raise Mismatch(f"{what}: no token is selected")
    masked, kept = (inputs == mask_id) & selected, (inputs == ids) & selected
    counts = torch.stack([masked.sum(), kept.sum(), n - masked.sum() - kept.sum()])
    p = torch.tensor([0.8 + 0.1 / vocab, 0.1 + 0.1 / vocab, 0.1 - 0.2 / vocab], dtype=torch.float64)
    names = ("became [MASK]", "stayed the same", "became another id")
    assert_chance(counts, n, p, f"{what}: of the selected tokens", names)


def test_shape_and_dtype(impl, gen):
    """Both results have the shape and dtype of input_ids

    A batch (B, L), one sequence (L,) and more dimensions all work alike. Mind what torch draws by itself:
    integers are int64, so mixing them into int32 ids changes the dtype or raises.
    """
    for shape in ((3, 8), (8,), (1, 1), (2, 3, 4)):
        ids = random_ids(gen, *shape)
        mask(impl, ids, 0.5, rng=fresh(gen), special=[0, 1], what=f"mask_tokens of ids {shape}")
    ids = random_ids(gen, 3, 8)
    impl.mask_tokens(
        input_ids=ids, vocab_size=VOCAB, mask_token_id=MASK, special_token_ids=[0], mask_probability=0.5, generator=None
    )
    for shape in ((4, 16), (32,)):
        ids = random_ids(gen, *shape).int()
        mask(impl, ids, 0.5, rng=fresh(gen), special=[0, 1], what=f"mask_tokens of int32 ids {shape}")


def test_labels_are_the_originals(impl, gen):
    """Labels are the original ids where selected, -100 elsewhere

    The label is what the model has to predict: the id before the corruption, of every selected token,
    whether it became [MASK], a random id or stayed. -100 is the value that cross entropy ignores; 0 is an
    ordinary id.
    """
    ids = random_ids(gen, 32, 16, vocab=6)
    inputs, labels = mask(impl, ids, 0.5, rng=fresh(gen), vocab=6, mask_id=5, special=[2])
    selected = labels != -100
    assert_equal(labels[selected], ids[selected], what="labels of the selected tokens")
    if not 0 < int(selected.sum()) < int((ids != 2).sum()):
        raise Mismatch(f"labels: {int(selected.sum())} of {ids.numel()} are not -100, with mask_probability=0.5")
    lost = (inputs != ids) & ~selected
    if lost.any():
        at = lost.nonzero()[0].tolist()
        raise Mismatch(f"labels{at} is -100, but the input there has changed: the model would never learn of it")
    kept = selected & (inputs == ids)
    if not kept.any():
        raise Mismatch("labels: every selected token has changed; the 10% that stay need their label too")


def test_unselected_tokens_stay(impl, gen):
    """Tokens that are not selected are left as they are

    One selection decides everything. If [MASK], random and unchanged are drawn without it, tokens change of
    which no label tells.
    """
    ids = random_ids(gen, 64, 48)
    for p in (0.15, 0.6):
        inputs, labels = mask(impl, ids, p, rng=fresh(gen))
        rest = labels == -100
        assert_equal(inputs[rest], ids[rest], what=f"inputs where labels are -100, mask_probability={p}")


def test_special_tokens_are_never_touched(impl, gen):
    """Special tokens are neither selected nor altered, wherever they are

    [CLS], [SEP] and [PAD] carry no words to predict. Compare with every id in special_token_ids, and keep
    the comparison in force for the selection and for the replacement.
    """
    vocab = 12
    ids = random_ids(gen, 8, 24, vocab=vocab)
    for special in ([0, 4, 11], (11, 7), [5], list(range(1, vocab))):
        what = f"mask_probability=1.0, special_token_ids={special}"
        drawn = mask(impl, ids, 1.0, rng=fresh(gen), vocab=vocab, mask_id=5, special=special, what=what)
        assert_all_selected(ids, special, drawn, what)
    special = [0, 4, 11]
    inputs, labels = mask(impl, ids, 0.5, rng=fresh(gen), vocab=vocab, mask_id=4, special=special)
    hidden = is_special(ids, special)
    assert_equal(inputs[hidden], ids[hidden], what="inputs at the special tokens, mask_probability=0.5")
    assert_equal(labels[hidden], torch.full_like(ids[hidden], -100), what="labels of the special tokens")


def test_only_listed_ids_are_special(impl, gen):
    """No id and no position is special unless it is listed

    0 is not always padding, the first token not always [CLS], and [MASK] itself, where the text contains it,
    is a token like others. special_token_ids may be empty, a list or a tuple.
    """
    ids = random_ids(gen, 16, 8, vocab=4)
    for mask_id, special in ((3, []), (0, ()), (0, [2])):
        what = f"mask_probability=1.0, mask_token_id={mask_id}, special_token_ids={special}"
        drawn = mask(impl, ids, 1.0, rng=fresh(gen), vocab=4, mask_id=mask_id, special=special, what=what)
        assert_all_selected(ids, special, drawn, what)


def test_nothing_to_select(impl, gen):
    """mask_probability = 0, a batch of special tokens, no tokens at all

    With nothing selected the inputs are the ids and the labels all -100. 0.0 is a probability, not a missing
    argument.
    """
    ids = random_ids(gen, 8, 16)
    padding = torch.full((2, 5), 7)
    for what, given, p in (
        ("mask_probability=0.0", ids, (0.0,)),
        ("nothing but special tokens", padding, ()),
        ("nothing but special tokens, mask_probability=1.0", padding, (1.0,)),
        ("no tokens, shape (2, 0)", ids[:2, :0], ()),
        ("no tokens, shape (0,)", ids[0, :0], (0.5,)),
    ):
        inputs, labels = mask(impl, given, *p, rng=fresh(gen), special=[7], what=what)
        assert_equal(inputs, given, what=f"{what}: inputs")
        assert_equal(labels, torch.full_like(given, -100), what=f"{what}: labels")


def test_inputs_are_left_alone(impl, gen):
    """input_ids are not changed in place

    The same batch is masked again in the next epoch, from the originals. Work on a copy, or make new tensors.
    """
    for ids in (random_ids(gen, 16, 8), random_ids(gen, 64), random_ids(gen, 16, 8).int()):
        with unchanged(input_ids=ids):
            impl.mask_tokens(ids, VOCAB, MASK, [0, 1], 0.7, generator=fresh(gen))


def test_any_strides(impl, gen):
    """Transposed and strided ids are masked like any others

    `view` refuses such tensors, and `flatten` gives a copy, so that what is written to it is lost.
    """
    special = [3]
    for what, ids in (
        ("transposed ids", random_ids(gen, 48, 16).t()),
        ("strided ids", noncontiguous(random_ids(gen, 16, 48))),
    ):
        drawn = mask(impl, ids, 1.0, rng=fresh(gen), special=special, what=what)
        assert_all_selected(ids, special, drawn, what)
        ordinary = (ids != 3) & (ids != MASK)
        assert_split(drawn[0], ids, ordinary, VOCAB, MASK, what)


def test_selection_rate(impl, gen):
    """15% of the ordinary tokens are selected, or whatever mask_probability says

    The probability is that of each ordinary token. Padding must not use up part of the 15%, nor must the
    others make up for it. And selected means predicted: with all 80/10/10, not only with [MASK]. Any probability
    will do: 0.003 is not a whole number of percents.
    """
    padded = random_ids(gen, 160, 128)
    padded[:, 96:] = 0
    for ids, probability in (
        (padded, ()),
        (random_ids(gen, 64, 64), (0.4,)),
        # Far from 0% and from 1%, to which whole percents would round it: with 20,480 tokens, fewer than one run in
        # 10**10 would not tell which.
        (random_ids(gen, 160, 128), (0.003,)),
        (random_ids(gen, 32, 64), (0.85,)),
    ):
        what = "the default mask_probability" if not probability else f"mask_probability={probability[0]}"
        inputs, labels = mask(impl, ids, *probability, rng=fresh(gen), special=[0])
        counts, trials = int((labels != -100).sum()), int((ids != 0).sum())
        assert_chance(counts, trials, *(probability or (0.15,)), f"{what}: selected tokens")
        assert_equal(inputs[ids == 0], ids[ids == 0], what=f"{what}: inputs at the special tokens")


def test_eighty_ten_ten(impl, gen):
    """Of the selected, 80% become [MASK], 10% another id, 10% stay

    All three shares are of the selected tokens, whatever mask_probability is. Half of the 20% that are left
    after [MASK] is 10%; a tenth of them is 2%. And a random id must not overwrite a [MASK].
    """
    for rows, probability in ((240, (1.0,)), (80, ())):  # 82/9/9 is 8.8 standard deviations away in 240 rows
        ids = torch.full((rows, 128), 17)
        inputs, labels = mask(impl, ids, *probability, rng=fresh(gen))
        what = f"mask_probability={probability[0]}" if probability else "the default mask_probability"
        assert_split(inputs, ids, labels != -100, VOCAB, MASK, what)


def test_random_ids_cover_the_vocabulary(impl, gen):
    """A random id is any of 0..vocab_size-1 with the same chance

    All means all: 0, the last one, special ids, [MASK], and the original itself. That is why in a tiny
    vocabulary slightly more than 80% end as [MASK] and more than 10% as they were.
    """
    vocab, original, special, mask_id = 4, 0, 1, 3
    ids = torch.full((128, 128), original)
    inputs, _ = mask(impl, ids, 1.0, rng=fresh(gen), vocab=vocab, mask_id=mask_id, special=[special])
    what = f"vocab_size={vocab}, all tokens {original}, special id {special}, [MASK] {mask_id}, mask_probability=1.0"
    outside = (inputs < 0) | (inputs >= vocab)
    if outside.any():
        raise Mismatch(f"{what}: the id {int(inputs[outside][0])} is not in 0..{vocab - 1}")
    counts = torch.bincount(inputs.flatten(), minlength=vocab)
    p = torch.full((vocab,), 0.1 / vocab, dtype=torch.float64)
    p[mask_id] += 0.8
    p[original] += 0.1
    assert_chance(counts, ids.numel(), p, what, [f"inputs that are {i}" for i in range(vocab)])
    visible = int(counts[special] + counts[2])
    assert_chance(visible, ids.numel(), 0.2 / vocab, f"{what} (inputs that are {special} or 2)")


def test_each_random_id_is_its_own_draw(impl, gen):
    """Every random id is drawn anew from the whole vocabulary

    Not one draw for the batch, a row or an id, and not from the ids that happen to be in the batch. The
    range is vocab_size's, whatever the largest id in the batch is. All ids have the same chance: numbers below
    65536 modulo vocab_size, or ids from half precision, have not.
    """
    vocab, original = 40_000, 9
    ids = torch.full((4, 32, 128), original)
    inputs, _ = mask(impl, ids, 1.0, rng=fresh(gen), vocab=vocab, mask_id=vocab - 1)
    inputs, ids = inputs.flatten(0, 1), ids.flatten(0, 1)  # (128, 128)
    drawn = (inputs != vocab - 1) & (inputs != original)  # (128, 128), a random id that shows
    if not drawn.any():
        raise Mismatch(f"inputs: none of {ids.numel()} tokens has become a random id, with mask_probability=1.0")
    found, n = inputs[drawn], int(drawn.sum())
    eighths = [(i * vocab // 8, (i + 1) * vocab // 8) for i in range(8)]
    ranges = [*eighths, (0, vocab // 2), (0, 2**16 - vocab)]  # the last one has two chances in a number below 2**16
    counts = torch.stack([((found >= low) & (found < high)).sum() for low, high in ranges])
    shown = [high - low - (low <= original < high) - (high == vocab) for low, high in ranges]  # without [MASK]
    p = torch.tensor(shown, dtype=torch.float64) / (vocab - 2)
    names = [f"from {low} to {high - 1}" for low, high in ranges]
    assert_chance(counts, n, p, f"vocab_size={vocab}: random ids", names)
    for where, a, b in (
        ("to the right", (slice(None), slice(0, None, 2)), (slice(None), slice(1, None, 2))),
        ("below", (slice(0, None, 2), slice(None)), (slice(1, None, 2), slice(None))),
        ("in the other half of the batch", (slice(0, 64), slice(None)), (slice(64, None), slice(None))),
    ):
        both = drawn[a] & drawn[b]
        pairs, equal = int(both.sum()), int(((inputs[a] == inputs[b]) & both).sum())
        what = f"vocab_size={vocab}: random ids equal to the random id {where}"
        if pairs:
            assert_chance(equal, pairs, 1 / (vocab - 2), what)
    # The k-th repeats one of k - 1 with a chance of at most (k - 1) / (vocab - 2), whatever came before. So the bound
    # with their average, (n - 1) / 2 / (vocab - 2), holds for too many repetitions; too few are not looked for.
    repeated, chance = n - len(found.unique()), (n - 1) / 2 / (vocab - 2)
    if repeated > n * chance:
        assert_chance(repeated, n, chance, f"vocab_size={vocab}: random ids that were drawn before")


def test_no_position_and_no_id_is_preferred(impl, gen):
    """Every position and every ordinary id is selected equally often

    The first and the last token, id 0 and [MASK] have the same 15% as others. And the same id is decided
    anew at each of its places.
    """
    vocab, mask_id, special = 8, 5, 2
    ids = random_ids(gen, 1024, 16, vocab=vocab)
    _, labels = mask(impl, ids, rng=fresh(gen), vocab=vocab, mask_id=mask_id, special=[special])
    ordinary, selected = ids != special, (labels != -100)
    positions = [f"position {i} of 16" for i in range(16)]
    assert_chance(selected.sum(0), ordinary.sum(0), 0.15, "selected tokens", positions)
    kinds = [i for i in range(vocab) if i != special]
    counts = torch.stack([(selected & (ids == i)).sum() for i in kinds])
    trials = torch.stack([(ids == i).sum() for i in kinds])
    assert_chance(counts, trials, 0.15, "selected tokens", [f"id {i}, [MASK] is {mask_id}" for i in kinds])


def test_tokens_are_independent(impl, gen):
    """What happens to a token says nothing about any other token

    Neither its neighbours nor the same column of other rows: no spans, no pattern shared by the rows of a
    batch, no draw broadcast over a dimension, be it the first of three. Draw numbers of the full shape of
    input_ids, for the selection and for the kind of replacement.
    """
    p, rows, columns = 0.4, 128, 128
    ids = torch.full((4, rows // 4, columns), 17)
    inputs, labels = mask(impl, ids, p, rng=fresh(gen))
    names = ("not selected", "[MASK]", "random", "unchanged")
    q = torch.tensor(
        [1 - p, p * (0.8 + 0.1 / VOCAB), p * (0.1 - 0.2 / VOCAB), p * (0.1 + 0.1 / VOCAB)], dtype=torch.float64
    )
    fate = torch.where(inputs == MASK, 1, torch.where(inputs == ids, 3, 2)).where(labels != -100, 0)
    fate = fate.flatten(0, 1)  # (rows, columns)
    # Pairs of tokens of which none belongs to two pairs: these are independent trials.
    every, even, odd = slice(None), slice(0, None, 2), slice(1, None, 2)
    halves = slice(0, columns // 2), slice(columns // 2, None)
    paired = {
        "a token and the next one": ((every, even), (every, odd)),
        "a token and the one before": ((every, slice(2, None, 2)), (every, slice(1, -1, 2))),
        "a token and the next but one": ((every, slice(0, None, 4)), (every, slice(2, None, 4))),
        "a token and the one half a row on": ((every, halves[0]), (every, halves[1])),
        "the same column of rows 2i and 2i+1": ((even, every), (odd, every)),
        "the same column of rows 2i and 2i-1": ((slice(2, None, 2), every), (slice(1, -1, 2), every)),
        "the same place of the batch's halves": ((halves[0], every), (halves[1], every)),
        "a token and the next one of the next row": ((even, slice(0, -1)), (odd, slice(1, None))),
        "a token and the one before of the next row": ((even, slice(1, None)), (odd, slice(0, -1))),
    }
    joint = [f"{a}, {b}" for a in names for b in names]
    for what, (a, b) in paired.items():
        counts = torch.bincount((4 * fate[a] + fate[b]).flatten(), minlength=16)
        assert_chance(counts, fate[a].numel(), torch.outer(q, q), what, joint)
    for what, a, b in (
        ("a token and its mirror image in the row", fate[:, halves[0]], fate[:, halves[1]]),
        ("a token and its mirror image in the batch's other half", fate[halves[0]], fate[halves[1]]),
    ):
        counts = torch.bincount((4 * a + b.flip(1)).flatten(), minlength=16)
        assert_chance(counts, a.numel(), torch.outer(q, q), what, joint)
    # Two rows of 128 are alike with probability 0.52**128 < 1e-36.
    for what, lines in (("rows", fate), ("columns", fate.t())):
        alike = len(lines) - len(torch.unique(lines > 0, dim=0))
        if alike:
            raise Mismatch(f"{alike} of {len(lines)} {what} have the same selection as another one")


def test_counts_vary_from_row_to_row(impl, gen):
    """The number selected varies from row to row as that of coin tosses

    15% is each token's chance, not a quota: of 16 tokens, none is selected in 7% of the rows, one or four in
    others. A fixed count per row, or at least one, makes tokens depend on each other.
    """
    rows, length = 512, 16
    ids = torch.full((rows, length), 17)
    _, labels = mask(impl, ids, rng=fresh(gen))
    inputs, _ = mask(impl, ids, 1.0, rng=fresh(gen))
    for what, chosen, p in (
        ("rows of 16 by the number selected", labels != -100, 0.15),
        ("rows of 16 by the number that became [MASK], mask_probability=1.0", inputs == MASK, 0.8 + 0.1 / VOCAB),
    ):
        counts = torch.bincount(chosen.sum(1), minlength=length + 1)
        shares = torch.tensor([share(p, k, length) for k in range(length + 1)], dtype=torch.float64)
        assert_chance(counts, rows, shares, what, [f"{k}" for k in range(length + 1)])


def test_counts_vary_from_call_to_call(impl, gen):
    """The numbers in a batch vary from call to call as those of coin tosses

    "80% of the selected" is each token's chance, too. Cutting a shuffled list of positions at 80% and 90%
    gives the same numbers in every batch.
    """
    calls, n, p, to_mask = 24, 400, 0.5, 0.8 + 0.1 / VOCAB
    ids, rng = torch.full((20, 20), 17), fresh(gen)
    close_selected = close_masked = 0
    chance_masked = 0.0
    for _ in range(calls):
        inputs, labels = mask(impl, ids, p, rng=rng)
        selected, masked = int((labels != -100).sum()), int((inputs == MASK).sum())
        close_selected += abs(selected - n * p) <= 1
        # Given the number selected, that of [MASK] is binomial. Trials of unequal p have the average p in the bound.
        near = [k for k in range(selected + 1) if abs(k - 0.8 * selected) <= 1]
        close_masked += masked in near
        chance_masked += sum(share(to_mask, k, selected) for k in near) / calls
    chance = sum(share(p, k, n) for k in (199, 200, 201))
    assert_chance(close_selected, calls, chance, "calls that select 199 to 201 of 400 tokens, mask_probability=0.5")
    assert_chance(close_masked, calls, chance_masked, "calls that turn exactly 80% of the selected tokens into [MASK]")


def test_same_seed_same_result(impl, gen):
    """The same seed gives the same result, another seed another one

    Every draw takes the generator: the selection, the kind of replacement, the random ids. A single one from
    the global state is enough to spoil a comparison of two runs.
    """
    ids, start = random_ids(gen, 24, 64), fresh(gen)
    seed = start.initial_seed()
    first = mask(impl, ids, 0.5, rng=start, special=[0])
    mask(impl, ids, 0.5, rng=None, special=[0])  # where this draws from must not matter
    again = mask(impl, ids, 0.5, rng=torch.Generator().manual_seed(seed), special=[0])
    for name, a, b in zip(("inputs", "labels"), first, again, strict=True):
        assert_equal(b, a, what=f"{name} of two calls with the same seed")
    other = mask(impl, ids, 0.5, rng=fresh(gen), special=[0])
    if torch.equal(other[1], first[1]):
        raise Mismatch("labels: two different seeds give the same selection")


def test_next_call_masks_anew(impl, gen):
    """The next call with the same generator draws everything anew

    A new mask for every epoch, RoBERTa's dynamic masking, comes by itself if the draws advance the
    generator. Seeding something with the generator's initial seed starts again and again at the same point. And
    nothing is kept from an earlier call: neither the selection nor the kinds nor the random ids.
    """
    ids, rng = random_ids(gen, 24, 64), fresh(gen)
    first = mask(impl, ids, 0.5, rng=rng)
    between = rng.get_state()
    second = mask(impl, ids, 0.5, rng=rng)
    if torch.equal(second[1], first[1]):
        raise Mismatch("labels: two calls with the same generator give the same selection")
    alike = (first[1] != -100) == (second[1] != -100)
    assert_chance(int(alike.sum()), ids.numel(), 0.5, "tokens of which two calls with one generator decide alike")
    rng.set_state(between)
    again = mask(impl, ids, 0.5, rng=rng)
    for name, a, b in zip(("inputs", "labels"), second, again, strict=True):
        assert_equal(b, a, what=f"{name} of two calls with a generator in the same state")
    # Everything selected, so that the kinds and the random ids of two calls can be compared at many places.
    vocab, ids = 30_000, torch.full((48, 64), 17)
    (one, _), (two, _) = (mask(impl, ids, 1.0, rng=rng, vocab=vocab) for _ in range(2))
    kinds = [torch.where(inputs == MASK, 0, torch.where(inputs == ids, 1, 2)) for inputs in (one, two)]
    chance = (0.8 + 0.1 / vocab) ** 2 + (0.1 + 0.1 / vocab) ** 2 + (0.1 - 0.2 / vocab) ** 2
    what = "tokens to which two calls with one generator do the same, mask_probability=1.0"
    assert_chance(int((kinds[0] == kinds[1]).sum()), ids.numel(), chance, what)
    both = (kinds[0] == 2) & (kinds[1] == 2)
    if both.any():
        equal = int((one[both] == two[both]).sum())
        what = "random ids that the next call with the same generator repeats in the same place"
        assert_chance(equal, int(both.sum()), 1 / (vocab - 2), what)


def test_works_without_a_generator(impl, gen):
    """Without a generator the global state is used, and only then

    The masks differ from call to call; a new torch.Generator() would start from the same seed each time, and
    after one that seeds itself torch.manual_seed makes no run repeatable. A call with a generator must not touch
    the global state: dropout would repeat itself, or come out differently.
    """
    ids, seed = torch.full((48, 64), 17), fresh(gen).initial_seed()
    results = []
    for _ in range(2):
        results.append(mask(impl, ids, 0.5, rng=None, what="mask_tokens without a generator"))
        mask(impl, ids, 0.5, rng=torch.Generator().manual_seed(seed))
        results.append(mask(impl, ids, 0.5, rng=None, what="mask_tokens without a generator"))
    for i, (_, labels) in enumerate(results):
        if any(torch.equal(labels, other) for _, other in results[:i]):
            after = " after one with a generator" if i == 3 else ""
            raise Mismatch(f"labels: a call without a generator{after} repeats the selection of an earlier one")
    inputs, labels = results[0]
    what = "without a generator, mask_probability=0.5"
    assert_chance(int((labels != -100).sum()), ids.numel(), 0.5, f"{what}: selected tokens")
    assert_split(inputs, ids, labels != -100, VOCAB, MASK, what)
    seed %= 2**31
    rest = VOCAB, MASK, (), 0.5
    (first, after), (again, _) = (seeded(seed, impl.mask_tokens, copied(ids), *rest, generator=None) for _ in range(2))
    for name, a, b in zip(("inputs", "labels"), first, again, strict=True):
        assert_equal(b, a, what=f"{name} of two calls without a generator, from the same global state")
    untouched = torch.Generator().manual_seed(seed).get_state()
    if torch.equal(after, untouched):
        raise Mismatch("without a generator: the global random state has not moved on, so nothing was drawn from it")
    _, after = seeded(seed, impl.mask_tokens, copied(ids), *rest, generator=fresh(gen))
    if not torch.equal(after, untouched):
        raise Mismatch("with a generator: the global random state has changed")
