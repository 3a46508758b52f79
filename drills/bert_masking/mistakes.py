"""Wrong answers to BERT's masking that candidates give.

A diagnosis compares values, and the same mistake draws other ones if the rest of the answer draws its numbers
differently. So the usual mistakes stand here twice: with two coins for the kinds, and at the end with one number.
"""

import torch
from torch import Tensor

from grader.authoring import mistake

Result = tuple[Tensor, Tensor]
DRAWS = {"one number for the kind": False}


def ordinary(input_ids, special_token_ids) -> Tensor:
    """True where a token may be selected."""
    return ~torch.isin(input_ids, torch.tensor(special_token_ids, dtype=input_ids.dtype))


def coin(input_ids, probability, generator) -> Tensor:
    return torch.rand(input_ids.shape, generator=generator) < probability


def select(input_ids, special_token_ids, mask_probability, generator) -> Tensor:
    return coin(input_ids, mask_probability, generator) & ordinary(input_ids, special_token_ids)


def words(input_ids, vocab_size, generator) -> Tensor:
    return torch.randint(vocab_size, input_ids.shape, generator=generator, dtype=input_ids.dtype)


def kinds(input_ids, generator) -> tuple[Tensor, Tensor]:
    """Where a selected token becomes [MASK], and where a random id."""
    if DRAWS["one number for the kind"]:
        u = torch.rand(input_ids.shape, generator=generator)
        return u < 0.8, (u >= 0.8) & (u < 0.9)
    masked = coin(input_ids, 0.8, generator)
    return masked, ~masked & coin(input_ids, 0.5, generator)


def corrupt(input_ids, selected, vocab_size, mask_token_id, generator) -> Tensor:
    """80/10/10 of the selected tokens, done right."""
    masked, replaced = kinds(input_ids, generator)
    inputs = input_ids.masked_fill(selected & masked, mask_token_id)
    return torch.where(selected & replaced, words(input_ids, vocab_size, generator), inputs)


# -- the three kinds ---------------------------------------------------------------------------------------------------


@mistake(
    replaces="mask_tokens",
    tells="All selected tokens become [MASK]. Only 80% do; 10% become a random id and 10% stay.",
    question="three-kinds",
)
def masks_all_selected(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    return input_ids.masked_fill(selected, mask_token_id), input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="No selected token stays: what is not [MASK] becomes random. Half of these 20% must keep their id.",
    question="three-kinds",
)
def none_stays(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    masked = selected & coin(input_ids, 0.8, generator)
    inputs = torch.where(selected, words(input_ids, vocab_size, generator), input_ids)
    return inputs.masked_fill(masked, mask_token_id), input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="No token becomes a random id. Half of the selected tokens that are not [MASK] are to be replaced.",
    question="three-kinds",
)
def none_is_random(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    masked = selected & coin(input_ids, 0.8, generator)
    return input_ids.masked_fill(masked, mask_token_id), input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="A tenth of what is left after [MASK] becomes random: that is 2% of the selected tokens. 10% of all"
    " selected is half of the remaining 20%.",
    question="three-kinds",
)
def a_tenth_of_the_rest(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    masked = selected & coin(input_ids, 0.8, generator)
    replaced = selected & ~masked & coin(input_ids, 0.1, generator)
    inputs = input_ids.masked_fill(masked, mask_token_id)
    inputs = torch.where(replaced, words(input_ids, vocab_size, generator), inputs)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The random 10% is drawn from all selected tokens and overwrites [MASK]s: 72% [MASK], 10% random, 18%"
    " unchanged. Draw it from the tokens that are not [MASK], with probability 1/2.",
    question="three-kinds",
)
def random_overwrites_the_mask(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = input_ids.masked_fill(selected & coin(input_ids, 0.8, generator), mask_token_id)
    replaced = selected & coin(input_ids, 0.1, generator)
    inputs = torch.where(replaced, words(input_ids, vocab_size, generator), inputs)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The coin of 1/2 falls on all selected tokens, the [MASK]s included: half of them end as random ids."
    " Leave out those that are [MASK] already.",
    question="three-kinds",
)
def half_of_all_selected_random(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = input_ids.masked_fill(selected & coin(input_ids, 0.8, generator), mask_token_id)
    replaced = selected & coin(input_ids, 0.5, generator)
    inputs = torch.where(replaced, words(input_ids, vocab_size, generator), inputs)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The bounds 0.12 and 0.135 are 80% and 90% of 0.15 only. Multiply mask_probability, or draw the kind"
    " separately from the selection.",
    question="three-kinds",
)
def bounds_of_fifteen_percent(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    u = torch.rand(input_ids.shape, generator=generator)
    u = u.masked_fill(~ordinary(input_ids, special_token_ids), 2.0)
    inputs = torch.where(u < 0.135, words(input_ids, vocab_size, generator), input_ids)
    return inputs.masked_fill(u < 0.12, mask_token_id), input_ids.masked_fill(u >= mask_probability, -100)


@mistake(
    replaces="mask_tokens",
    tells="One number decides for the whole batch whether its selected tokens become [MASK], random, or stay."
    " '80% of the time' is meant for each token.",
    question="three-kinds",
)
def one_kind_for_the_batch(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    u = torch.rand(1, generator=generator).item()
    inputs = input_ids
    if u < 0.8:
        inputs = input_ids.masked_fill(selected, mask_token_id)
    elif u < 0.9:
        inputs = torch.where(selected, words(input_ids, vocab_size, generator), input_ids)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The selected positions are cut at 80% and 90% in their order, so the first rows hold all [MASK]s. Draw"
    " the kind of each token.",
    question="three-kinds",
)
def cuts_positions_in_order(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    where = selected.nonzero()  # (n, dims)
    first, second = int(0.8 * len(where)), int(0.9 * len(where))
    inputs = input_ids.clone()
    inputs[tuple(where[:first].t())] = mask_token_id
    random = torch.randint(vocab_size, (second - first,), generator=generator, dtype=input_ids.dtype)
    inputs[tuple(where[first:second].t())] = random
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The selected positions are shuffled and cut at 80% and 90%: every batch has exactly these shares. Each"
    " token is to be decided on its own.",
    question="three-kinds",
)
def cuts_shuffled_positions(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    where = selected.nonzero()
    where = where[torch.randperm(len(where), generator=generator)]
    first, second = int(0.8 * len(where)), int(0.9 * len(where))
    inputs = input_ids.clone()
    inputs[tuple(where[:first].t())] = mask_token_id
    random = torch.randint(vocab_size, (second - first,), generator=generator, dtype=input_ids.dtype)
    inputs[tuple(where[first:second].t())] = random
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="[MASK], random and unchanged are drawn independently of each other, so they overlap and add up to less"
    " than mask_probability. Select first, then choose one kind for each selected token.",
    question="three-kinds",
)
def three_independent_draws(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    masked = select(input_ids, special_token_ids, 0.8 * mask_probability, generator)
    replaced = select(input_ids, special_token_ids, 0.1 * mask_probability, generator)
    kept = select(input_ids, special_token_ids, 0.1 * mask_probability, generator)
    inputs = torch.where(replaced, words(input_ids, vocab_size, generator), input_ids)
    labels = input_ids.masked_fill(~(masked | replaced | kept), -100)
    return inputs.masked_fill(masked, mask_token_id), labels


# -- labels ------------------------------------------------------------------------------------------------------------


@mistake(
    replaces="mask_tokens",
    tells="Only [MASK] positions are labelled. The random and the unchanged tokens are predicted as well: the loss"
    " covers everything selected.",
    question="three-kinds",
)
def labels_only_masks(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected | (inputs != mask_token_id), -100)


@mistake(
    replaces="mask_tokens",
    tells="Labels stand where the input has changed. A selected token that stayed is predicted too; otherwise"
    " leaving it would do nothing.",
    question="three-kinds",
)
def labels_only_changes(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(inputs == input_ids, -100)


@mistake(
    replaces="mask_tokens",
    tells="The labels are taken after the corruption, so the model is to predict [MASK]. Take them from the"
    " original ids.",
    question="three-kinds",
)
def labels_from_the_corrupted(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, inputs.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="All tokens are labelled, so the loss is mostly about copying. Set the labels of tokens that are not"
    " selected to -100.",
    question="three-kinds",
)
def labels_everything(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    return corrupt(input_ids, selected, vocab_size, mask_token_id, generator), input_ids.clone()


@mistake(
    replaces="mask_tokens",
    tells="0 marks what is not predicted, but 0 is an id. Use -100, which cross entropy ignores.",
    question="three-kinds",
)
def ignores_with_zero(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    return corrupt(input_ids, selected, vocab_size, mask_token_id, generator), input_ids * selected


@mistake(
    replaces="mask_tokens",
    tells="Labels are -100 at the selected tokens and ids elsewhere: the condition is the wrong way round.",
    question="three-kinds",
)
def labels_the_unselected(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    labels = input_ids.masked_fill(selected, -100)
    return corrupt(input_ids, selected, vocab_size, mask_token_id, generator), labels


@mistake(
    replaces="mask_tokens",
    tells="Inputs and labels come from two selections: tokens change without a label, labels stand where nothing"
    " happened. Draw the selection once.",
    question="three-kinds",
)
def selects_twice(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


# -- which tokens ------------------------------------------------------------------------------------------------------


@mistake(
    replaces="mask_tokens",
    tells="Special tokens are selected like words. Take the ids in special_token_ids out of the selection.",
    question="special-tokens",
)
def selects_special_tokens(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = coin(input_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Special tokens get no label, but they are still replaced. Take them out of the selection, from which"
    " both inputs and labels follow.",
    question="special-tokens",
)
def special_tokens_only_unlabelled(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = coin(input_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~(selected & ordinary(input_ids, special_token_ids)), -100)


@mistake(
    replaces="mask_tokens",
    tells="Only the last id of special_token_ids counts: each comparison replaces the one before. Combine them"
    " with `|`, or use torch.isin.",
    question="special-tokens",
)
def only_the_last_special_id(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    special = torch.zeros(input_ids.shape, dtype=torch.bool)
    for token in special_token_ids:
        special = input_ids == token
    selected = coin(input_ids, mask_probability, generator) & ~special
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The first and the last position of a row are taken for [CLS] and [SEP]. Which tokens are special,"
    " special_token_ids says; they may stand anywhere.",
    question="special-tokens",
)
def special_by_position(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = coin(input_ids, mask_probability, generator)
    selected[..., :1] = False
    selected[..., -1:] = False
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="0 is treated as padding although it is not listed. Only the ids in special_token_ids are special.",
    question="special-tokens",
)
def zero_is_padding(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator) & (input_ids != 0)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="A [MASK] that the text contains is never selected. It is a token like others unless"
    " special_token_ids lists it.",
    question="special-tokens",
)
def mask_token_is_special(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    special = [*special_token_ids, mask_token_id]
    selected = select(input_ids, special, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The rate is 15% of all tokens, padding included, taken from the words. mask_probability is the"
    " probability of each ordinary token.",
    question="why-15-percent",
)
def makes_up_for_padding(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    share = ordinary(input_ids, special_token_ids).float().mean().item()
    probability = mask_probability / share if share else 0.0
    selected = select(input_ids, special_token_ids, probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="15% is hard-coded. Use mask_probability.",
    question="why-15-percent",
)
def always_fifteen_percent(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, 0.15, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="`mask_probability or 0.15` turns 0.0 into 15%. The default is in the signature already.",
    question="why-15-percent",
)
def zero_means_default(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability or 0.15, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Every row has exactly the same number of selected tokens. 15% is each token's probability, so the"
    " number varies.",
    question="why-15-percent",
)
def fixed_number_a_row(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    may = ordinary(input_ids, special_token_ids)
    order = torch.rand(input_ids.shape, generator=generator).masked_fill(~may, 2.0)
    rank = order.argsort(-1).argsort(-1)  # (..., L)
    selected = (rank < (may.sum(-1, keepdim=True) * mask_probability).round()) & may
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Every batch has exactly the same number of selected tokens (randperm). 15% is each token's"
    " probability, so the number varies.",
    question="why-15-percent",
)
def fixed_number_a_batch(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    candidates = ordinary(input_ids, special_token_ids).flatten().nonzero().flatten()
    chosen = candidates[torch.randperm(len(candidates), generator=generator)]
    selected = torch.zeros(input_ids.numel(), dtype=torch.bool)
    selected[chosen[: round(len(candidates) * mask_probability)]] = True
    selected = selected.reshape(input_ids.shape)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="A row in which nothing was selected gets one token after all. That makes its tokens depend on each"
    " other and raises the rate in short rows.",
    question="why-15-percent",
)
def at_least_one_a_row(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    may = ordinary(input_ids, special_token_ids)
    u = torch.rand(input_ids.shape, generator=generator).masked_fill(~may, 2.0)
    selected = u < mask_probability
    if mask_probability > 0 and input_ids.numel():
        selected |= (u == u.amin(-1, keepdim=True)) & may
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="One pattern of positions is used for every row of the batch. Draw numbers of the full shape of input_ids.",
    question="why-15-percent",
)
def one_pattern_for_all_rows(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    columns = torch.rand(input_ids.shape[-1:], generator=generator) < mask_probability  # (L,)
    selected = columns & ordinary(input_ids, special_token_ids)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Whole rows are selected or not. Draw one number for each token.",
    question="why-15-percent",
)
def selects_whole_rows(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    rows = torch.rand((*input_ids.shape[:-1], 1), generator=generator) < mask_probability  # (..., 1)
    selected = rows & ordinary(input_ids, special_token_ids)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Spans are selected, as in SpanBERT: a token's neighbours go with it. BERT decides every token alone.",
    question="why-15-percent",
)
def selects_spans(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    # A token is selected if a span of 3 starts at it or up to two tokens before: the rate is right.
    starts = coin(input_ids, 1 - (1 - mask_probability) ** (1 / 3), generator)
    selected = starts.clone()
    selected[..., 1:] |= starts[..., :-1]
    selected[..., 2:] |= starts[..., :-2]
    selected &= ordinary(input_ids, special_token_ids)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Ids are selected, not tokens: all occurrences of an id share one decision. Draw one number for each"
    " position.",
    question="why-15-percent",
)
def selects_ids(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    chosen = torch.rand(vocab_size, generator=generator) < mask_probability  # (V,)
    selected = chosen[input_ids] & ordinary(input_ids, special_token_ids)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The selection is drawn for the last two dimensions and repeated along the others. Draw numbers of the full"
    " shape of input_ids.",
    question="why-15-percent",
)
def one_selection_for_all_batches(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    chosen = torch.rand(input_ids.shape[-2:], generator=generator) < mask_probability
    selected = chosen & ordinary(input_ids, special_token_ids)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="mask_probability is rounded to whole percents: a number below 100 is drawn and compared. Draw uniform"
    " numbers from 0 to 1.",
    question="why-15-percent",
)
def draws_whole_percents(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    percents = torch.randint(100, input_ids.shape, generator=generator)
    selected = (percents < 100 * mask_probability) & ordinary(input_ids, special_token_ids)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


# -- the random ids ----------------------------------------------------------------------------------------------------


def with_words(input_ids, mask_token_id, special_token_ids, mask_probability, generator, draw) -> Result:
    """All right but for the random ids, which `draw()` gives."""
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    masked, replaced = kinds(input_ids, generator)
    inputs = torch.where(selected & replaced, draw().to(input_ids.dtype), input_ids)
    return inputs.masked_fill(selected & masked, mask_token_id), input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Random ids start at 1. randint(vocab_size, ...) starts at 0, which is an id like others.",
    question="three-kinds",
)
def random_ids_from_one(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    return with_words(
        input_ids, mask_token_id, special_token_ids, mask_probability, generator,
        lambda: torch.randint(1, vocab_size, input_ids.shape, generator=generator),
    )  # fmt: skip


@mistake(
    replaces="mask_tokens",
    tells="The last id is never drawn: randint excludes its upper bound already, so vocab_size - 1 is one too few.",
    question="three-kinds",
)
def random_ids_without_the_last(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    return with_words(
        input_ids, mask_token_id, special_token_ids, mask_probability, generator,
        lambda: torch.randint(0, vocab_size - 1, input_ids.shape, generator=generator),
    )  # fmt: skip


@mistake(
    replaces="mask_tokens",
    tells="vocab_size itself can be drawn, which no embedding has. randint excludes its upper bound: no + 1.",
    question="three-kinds",
)
def random_ids_beyond_the_last(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    return with_words(
        input_ids, mask_token_id, special_token_ids, mask_probability, generator,
        lambda: torch.randint(0, vocab_size + 1, input_ids.shape, generator=generator),
    )  # fmt: skip


@mistake(
    replaces="mask_tokens",
    tells="Random ids never are special ids. The task asks for all of 0..vocab_size-1, as in BERT's own code.",
    question="three-kinds",
)
def random_ids_are_never_special(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    def draw():
        banned = {mask_token_id, *special_token_ids}
        allowed = torch.tensor([i for i in range(vocab_size) if i not in banned] or [mask_token_id])
        return allowed[torch.randint(len(allowed), input_ids.shape, generator=generator)]

    return with_words(input_ids, mask_token_id, special_token_ids, mask_probability, generator, draw)


@mistake(
    replaces="mask_tokens",
    tells="A random id is never the original: it is shifted to another one. All ids have the same chance, the"
    " original included.",
    question="three-kinds",
)
def random_ids_differ_from_the_original(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    def draw():
        shift = torch.randint(1, vocab_size, input_ids.shape, generator=generator)
        return (input_ids + shift) % vocab_size

    return with_words(input_ids, mask_token_id, special_token_ids, mask_probability, generator, draw)


@mistake(
    replaces="mask_tokens",
    tells="One random id is drawn and put everywhere. Draw one for each token.",
    question="three-kinds",
)
def one_random_id(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    return with_words(
        input_ids, mask_token_id, special_token_ids, mask_probability, generator,
        lambda: torch.randint(vocab_size, (1,), generator=generator),
    )  # fmt: skip


@mistake(
    replaces="mask_tokens",
    tells="Random ids are taken from the batch, so frequent words are drawn more often and most of the"
    " vocabulary never. Draw them from 0..vocab_size-1.",
    question="three-kinds",
)
def random_ids_from_the_batch(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    def draw():
        return input_ids.flatten()[torch.randperm(input_ids.numel(), generator=generator)].reshape(input_ids.shape)

    return with_words(input_ids, mask_token_id, special_token_ids, mask_probability, generator, draw)


@mistake(
    replaces="mask_tokens",
    tells="The range of the random ids ends at the largest id of the batch. It is vocab_size's.",
    question="three-kinds",
)
def random_ids_up_to_the_largest(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    def draw():
        largest = int(input_ids.max()) if input_ids.numel() else 0
        return torch.randint(largest + 1, input_ids.shape, generator=generator)

    return with_words(input_ids, mask_token_id, special_token_ids, mask_probability, generator, draw)


# -- randomness, dtype, inputs -----------------------------------------------------------------------------------------


@mistake(
    replaces="mask_tokens",
    tells="The generator is never used: all draws come from the global state. Pass generator= to each of them.",
    question="dynamic-masking",
)
def ignores_the_generator(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, None)
    return corrupt(input_ids, selected, vocab_size, mask_token_id, None), input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The random ids come from the global state: their randint lacks generator=.",
    question="dynamic-masking",
)
def random_ids_without_the_generator(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    return with_words(
        input_ids, mask_token_id, special_token_ids, mask_probability, generator,
        lambda: torch.randint(vocab_size, input_ids.shape),
    )  # fmt: skip


@mistake(
    replaces="mask_tokens",
    tells="The kind of replacement comes from the global state: only the selection takes the generator.",
    question="dynamic-masking",
)
def kinds_without_the_generator(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    return corrupt(input_ids, selected, vocab_size, mask_token_id, None), input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The global state is seeded with the generator's initial seed, so every call gives the same masks, and"
    " other code's random numbers are disturbed. Pass the generator to the draws instead.",
    question="dynamic-masking",
)
def seeds_the_global_state(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    if generator is not None:
        torch.default_generator.manual_seed(generator.initial_seed())
    selected = select(input_ids, special_token_ids, mask_probability, None)
    return corrupt(input_ids, selected, vocab_size, mask_token_id, None), input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="Without a generator a new torch.Generator() is made in each call. It always starts from the same"
    " default seed, so every batch gets the same mask. Pass None on to the draws.",
    question="dynamic-masking",
)
def new_generator_each_call(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    generator = generator or torch.Generator()
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The draws use a copy of the generator, so the caller's never moves on and the next call gives the same"
    " mask. Use the generator itself.",
    question="dynamic-masking",
)
def copies_the_generator(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    if generator is not None:
        generator = torch.Generator().set_state(generator.get_state())
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="input_ids is changed in place, so the next epoch starts from corrupted text. Write to a clone.",
    question="dynamic-masking",
)
def changes_the_input(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    labels = input_ids.masked_fill(~selected, -100)
    masked, replaced = kinds(input_ids, generator)
    random = words(input_ids, vocab_size, generator)
    input_ids[selected & masked] = mask_token_id
    input_ids[selected & replaced] = random[selected & replaced]
    return input_ids, labels


@mistake(
    replaces="mask_tokens",
    tells="labels is input_ids under another name, so writing -100 to it changes the batch. Clone it first.",
    question="dynamic-masking",
)
def labels_are_the_input(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    inputs = corrupt(input_ids, selected, vocab_size, mask_token_id, generator)
    input_ids[~selected] = -100
    return inputs, input_ids


@mistake(
    replaces="mask_tokens",
    tells="Random ids are int64 and turn int32 inputs into int64. Draw them with dtype=input_ids.dtype.",
    question="three-kinds",
)
def random_ids_change_the_dtype(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    masked, replaced = kinds(input_ids, generator)
    random = torch.randint(vocab_size, input_ids.shape, generator=generator)
    inputs = torch.where(selected & replaced, random, input_ids.masked_fill(selected & masked, mask_token_id))
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="The corruption is written to a flattened copy when input_ids is not contiguous, and is lost. Use a mask"
    " of input_ids' own shape instead of flat positions.",
    question="three-kinds",
)
def writes_to_a_flat_copy(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    inputs = input_ids.clone()  # keeps the strides
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    masked = selected & coin(input_ids, 0.8, generator)
    replaced = selected & ~masked & coin(input_ids, 0.5, generator)
    random = words(input_ids, vocab_size, generator)
    flat = inputs.flatten() if not inputs.is_contiguous() else inputs.view(-1)
    flat[masked.flatten()] = mask_token_id
    flat[replaced.flatten()] = random[replaced]
    return inputs, input_ids.masked_fill(~selected, -100)


@mistake(
    replaces="mask_tokens",
    tells="BERT's own numbers are hard-coded, 103 for [MASK] and 30522 for the vocabulary. Use the arguments.",
    question="three-kinds",
)
def numbers_of_bert_base(
    input_ids, vocab_size, mask_token_id, special_token_ids, mask_probability=0.15, generator=None
) -> Result:
    selected = select(input_ids, special_token_ids, mask_probability, generator)
    return corrupt(input_ids, selected, 30522, 103, generator), input_ids.masked_fill(~selected, -100)


# -- the same, drawn otherwise -----------------------------------------------------------------------------------------


def told(other) -> str:
    """What another mistake tells its author."""
    return other.__drill_stand_in__.tells


def one_number(other, *args, **kwargs) -> Result:
    """Another mistake where one uniform number for each token, cut at 0.8 and 0.9, decides about the kind."""
    DRAWS["one number for the kind"] = True
    try:
        return other(*args, **kwargs)
    finally:
        DRAWS["one number for the kind"] = False


@mistake(replaces="mask_tokens", tells=told(labels_only_masks), question="three-kinds")
def labels_only_masks_one_number(*args, **kwargs) -> Result:
    return one_number(labels_only_masks, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(labels_only_changes), question="three-kinds")
def labels_only_changes_one_number(*args, **kwargs) -> Result:
    return one_number(labels_only_changes, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(labels_from_the_corrupted), question="three-kinds")
def labels_from_the_corrupted_one_number(*args, **kwargs) -> Result:
    return one_number(labels_from_the_corrupted, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(labels_everything), question="three-kinds")
def labels_everything_one_number(*args, **kwargs) -> Result:
    return one_number(labels_everything, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(ignores_with_zero), question="three-kinds")
def ignores_with_zero_one_number(*args, **kwargs) -> Result:
    return one_number(ignores_with_zero, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(selects_special_tokens), question="special-tokens")
def selects_special_tokens_one_number(*args, **kwargs) -> Result:
    return one_number(selects_special_tokens, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(special_tokens_only_unlabelled), question="special-tokens")
def special_tokens_only_unlabelled_one_number(*args, **kwargs) -> Result:
    return one_number(special_tokens_only_unlabelled, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(special_by_position), question="special-tokens")
def special_by_position_one_number(*args, **kwargs) -> Result:
    return one_number(special_by_position, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(zero_is_padding), question="special-tokens")
def zero_is_padding_one_number(*args, **kwargs) -> Result:
    return one_number(zero_is_padding, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(mask_token_is_special), question="special-tokens")
def mask_token_is_special_one_number(*args, **kwargs) -> Result:
    return one_number(mask_token_is_special, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(fixed_number_a_row), question="why-15-percent")
def fixed_number_a_row_one_number(*args, **kwargs) -> Result:
    return one_number(fixed_number_a_row, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(fixed_number_a_batch), question="why-15-percent")
def fixed_number_a_batch_one_number(*args, **kwargs) -> Result:
    return one_number(fixed_number_a_batch, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(one_pattern_for_all_rows), question="why-15-percent")
def one_pattern_for_all_rows_one_number(*args, **kwargs) -> Result:
    return one_number(one_pattern_for_all_rows, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(one_selection_for_all_batches), question="why-15-percent")
def one_selection_for_all_batches_one_number(*args, **kwargs) -> Result:
    return one_number(one_selection_for_all_batches, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(random_ids_without_the_last), question="three-kinds")
def random_ids_without_the_last_one_number(*args, **kwargs) -> Result:
    return one_number(random_ids_without_the_last, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(one_random_id), question="three-kinds")
def one_random_id_one_number(*args, **kwargs) -> Result:
    return one_number(one_random_id, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(ignores_the_generator), question="dynamic-masking")
def ignores_the_generator_one_number(*args, **kwargs) -> Result:
    return one_number(ignores_the_generator, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(random_ids_without_the_generator), question="dynamic-masking")
def random_ids_without_the_generator_one_number(*args, **kwargs) -> Result:
    return one_number(random_ids_without_the_generator, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(kinds_without_the_generator), question="dynamic-masking")
def kinds_without_the_generator_one_number(*args, **kwargs) -> Result:
    return one_number(kinds_without_the_generator, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(new_generator_each_call), question="dynamic-masking")
def new_generator_each_call_one_number(*args, **kwargs) -> Result:
    return one_number(new_generator_each_call, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(changes_the_input), question="dynamic-masking")
def changes_the_input_one_number(*args, **kwargs) -> Result:
    return one_number(changes_the_input, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(labels_are_the_input), question="dynamic-masking")
def labels_are_the_input_one_number(*args, **kwargs) -> Result:
    return one_number(labels_are_the_input, *args, **kwargs)


@mistake(replaces="mask_tokens", tells=told(random_ids_change_the_dtype), question="three-kinds")
def random_ids_change_the_dtype_one_number(*args, **kwargs) -> Result:
    return one_number(random_ids_change_the_dtype, *args, **kwargs)
