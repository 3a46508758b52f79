"""Right answers to BERT's masking of other shapes."""

import random

import numpy as np
import torch

from grader.authoring import equivalent


@equivalent(replaces="mask_tokens")
def probability_matrix(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """A matrix of probabilities, 0 at special tokens, and three Bernoulli draws; indexed assignment to a clone."""
    inputs, labels = input_ids.clone(), input_ids.clone()
    probabilities = torch.full(labels.shape, mask_probability)
    for token in special_token_ids:
        probabilities.masked_fill_(labels == token, value=0.0)
    masked_indices = torch.bernoulli(probabilities, generator=generator).bool()
    labels[~masked_indices] = -100
    replaced = torch.bernoulli(torch.full(labels.shape, 0.8), generator=generator).bool() & masked_indices
    inputs[replaced] = mask_token_id
    half = torch.bernoulli(torch.full(labels.shape, 0.5), generator=generator).bool()
    replaced = half & masked_indices & ~replaced
    words = torch.randint(vocab_size, labels.shape, dtype=labels.dtype, generator=generator)
    inputs[replaced] = words[replaced]
    return inputs, labels


@equivalent(replaces="mask_tokens")
def one_uniform_draw(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """One uniform number a token decides everything: its range is cut at 0.8 p, 0.9 p and p."""
    u = torch.rand(input_ids.shape, generator=generator)
    special = torch.isin(input_ids, torch.tensor(special_token_ids))
    u = torch.where(special, torch.inf, u)
    words = torch.randint(0, vocab_size, input_ids.shape, generator=generator).to(input_ids)
    inputs = torch.where(u < 0.9 * mask_probability, words, input_ids)
    inputs = torch.where(u < 0.8 * mask_probability, mask_token_id, inputs)
    labels = torch.where(u < mask_probability, input_ids, -100)
    return inputs, labels


@equivalent(replaces="mask_tokens")
def token_by_token(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """A loop over the tokens, each with draws of its own, as many as it needs."""
    inputs, labels = [], []
    for token in input_ids.flatten().tolist():
        new, label = token, -100
        if token not in special_token_ids and torch.rand(1, generator=generator).item() < mask_probability:
            label = token
            u = torch.rand((), generator=generator).item()
            if u < 0.8:
                new = mask_token_id
            elif u < 0.9:
                new = torch.randint(vocab_size, (1,), generator=generator).item()
        inputs.append(new)
        labels.append(label)
    shape, dtype = input_ids.shape, input_ids.dtype
    return torch.tensor(inputs, dtype=dtype).reshape(shape), torch.tensor(labels, dtype=dtype).reshape(shape)


@equivalent(replaces="mask_tokens")
def nested_loops_in_place(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
):
    """Row by row: index into clones of the rows, the kind drawn as one of ten numbers."""
    rows = input_ids.reshape(-1, input_ids.shape[-1]) if input_ids.numel() else input_ids.new_empty(0, 0)
    inputs, labels = rows.clone(), torch.full_like(rows, -100)
    for i in range(rows.shape[0]):
        picks = (torch.rand(rows.shape[1], generator=generator) < mask_probability).nonzero().flatten()
        for j in picks.tolist():
            token = int(rows[i, j])
            if token in set(special_token_ids):
                continue
            labels[i, j] = token
            kind = int(torch.randint(10, (1,), generator=generator))
            if kind > 1:
                inputs[i, j] = mask_token_id
            elif kind == 1:
                inputs[i, j] = torch.randint(vocab_size, (1,), generator=generator)[0]
    return inputs.reshape(input_ids.shape), labels.reshape(input_ids.shape)


@equivalent(replaces="mask_tokens")
def multinomial_kinds(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """The four fates of a token from one multinomial draw; a list of what each would be, then gather."""
    p = mask_probability
    fates = torch.tensor([1 - p, 0.8 * p, 0.1 * p, 0.1 * p])
    n = input_ids.numel()
    if n == 0:
        return input_ids.clone(), input_ids.clone()
    fate = torch.multinomial(fates, n, replacement=True, generator=generator).reshape(input_ids.shape)
    for token in special_token_ids:
        fate[input_ids == token] = 0
    words = torch.randint(vocab_size, input_ids.shape, generator=generator, dtype=input_ids.dtype)
    options = torch.stack([input_ids, torch.full_like(input_ids, mask_token_id), words, input_ids])
    inputs = options.gather(0, fate[None])[0]
    labels = input_ids.clone()
    labels[fate == 0] = -100
    return inputs, labels


@equivalent(replaces="mask_tokens")
def only_the_selected(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """Positions of the selected tokens; kinds and random ids are drawn for these alone."""
    lookup = torch.zeros(vocab_size, dtype=torch.bool)
    lookup[list(special_token_ids)] = True
    chosen = torch.empty(input_ids.shape).uniform_(generator=generator) < mask_probability
    where = (chosen & ~lookup[input_ids.long()]).nonzero(as_tuple=True)
    inputs, labels = input_ids.clone(), torch.full_like(input_ids, -100)
    originals = input_ids[where]  # (n,)
    labels[where] = originals
    kind = torch.rand(len(originals), generator=generator, dtype=torch.float64)
    new = originals.masked_fill(kind < 0.8, mask_token_id)
    drawn = (kind >= 0.8) & (kind < 0.9)
    new[drawn] = torch.randint(vocab_size, (int(drawn.sum()),), generator=generator, dtype=input_ids.dtype)
    inputs[where] = new
    return inputs, labels


@equivalent(replaces="mask_tokens")
def numpy_seeded_by_the_generator(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
):
    """NumPy draws everything; its seed comes from the generator, which moves on by that."""
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    ids = input_ids.numpy()
    selected = (rng.random(ids.shape) < mask_probability) & ~np.isin(ids, list(special_token_ids))
    kind = rng.choice(3, size=ids.shape, p=[0.8, 0.1, 0.1])
    words = rng.integers(vocab_size, size=ids.shape)
    new = np.choose(kind, [np.full_like(ids, mask_token_id), words, ids])
    inputs = np.where(selected, new, ids).astype(ids.dtype)
    labels = np.where(selected, ids, -100).astype(ids.dtype)
    return torch.from_numpy(inputs), torch.from_numpy(labels)


@equivalent(replaces="mask_tokens")
def python_seeded_by_the_generator(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
):
    """random.Random, seeded by one draw from the generator."""
    rng = random.Random(torch.randint(2**31, (), generator=generator).item())
    special = frozenset(special_token_ids)

    def fate(token):
        if token in special or rng.random() >= mask_probability:
            return token, -100
        return rng.choices((mask_token_id, rng.randrange(vocab_size), token), (8, 1, 1))[0], token

    pairs = torch.tensor([fate(t) for t in input_ids.flatten().tolist()], dtype=input_ids.dtype)
    pairs = pairs.reshape(*input_ids.shape, 2)
    return pairs[..., 0], pairs[..., 1]


@equivalent(replaces="mask_tokens")
def cumulative_bounds(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """A categorical draw by inversion: bucketize a uniform number in the cumulative probabilities."""
    special = sum((input_ids == token for token in special_token_ids), torch.zeros_like(input_ids)).bool()
    selected = ~special & torch.rand(input_ids.shape, generator=generator).lt(mask_probability)
    bounds = torch.tensor([0.1, 0.1, 0.8], dtype=torch.float64).cumsum(0)[:2]
    u = torch.rand(input_ids.shape, generator=generator, dtype=torch.float64)
    kind = torch.bucketize(u, bounds)  # 0 stays, 1 random, 2 [MASK]
    words = (torch.rand(input_ids.shape, generator=generator, dtype=torch.float64) * vocab_size).floor()
    inputs = input_ids.clone()
    inputs = torch.where(selected & (kind == 1), words.type_as(inputs), inputs)
    inputs = inputs.masked_fill(selected & (kind == 2), mask_token_id)
    return inputs, input_ids.masked_fill(selected.logical_not(), -100)


@equivalent(replaces="mask_tokens")
def exceptions_first(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """20% are exceptions to [MASK], and half of the exceptions are random; arithmetic on 0 and 1 instead of where."""
    one = torch.ones(input_ids.shape, dtype=input_ids.dtype)
    selected = (one * 0).bernoulli_(mask_probability, generator=generator)
    for token in special_token_ids:
        selected = selected * (input_ids != token)
    exception = (one * 0).bernoulli_(0.2, generator=generator)
    rand = exception * (one * 0).bernoulli_(0.5, generator=generator)
    words = (one * 0).random_(0, vocab_size, generator=generator)
    replacement = (1 - exception) * mask_token_id + rand * words + (exception - rand) * input_ids
    inputs = selected * replacement + (1 - selected) * input_ids
    labels = selected * input_ids - 100 * (1 - selected)
    return inputs.to(input_ids.dtype), labels.to(input_ids.dtype)


@equivalent(replaces="mask_tokens")
def a_forked_generator(input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None):
    """A generator of the call's own, seeded by one draw from the given one; draws in another order."""
    own = torch.Generator().manual_seed(torch.randint(2**63 - 1, (1,), generator=generator).item())
    words = torch.randint(vocab_size, input_ids.shape, generator=own, dtype=input_ids.dtype)
    coin = torch.rand((2, *input_ids.shape), generator=own)
    may = torch.ones_like(input_ids, dtype=torch.bool)
    for token in special_token_ids:
        may &= input_ids.ne(token)
    hidden = may & (coin[0] >= 1 - mask_probability)
    new = torch.where(coin[1] > 0.2, mask_token_id, torch.where(coin[1] > 0.1, words, input_ids))
    return torch.where(hidden, new, input_ids).to(input_ids.dtype), torch.where(hidden, input_ids, -100)
