"""What a right answer to the multi-head attention drill has to hold.

split_heads and merge_heads are compared with their definition index by index, to the last bit. The module is
compared with closed forms, with a loop over Python floats (`by_hand`), with torch's own attention (ruled out
for the learner only) and with `exact`: float64, each head with its own rows of w_q, w_k, w_v and its own
columns of w_o, as the paper writes it, so that nothing is ever split or merged.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from grader.testing import Mismatch, assert_close, assert_equal, assert_tensor, describe, noncontiguous, unchanged

F64, F32, F16, BF16 = torch.float64, torch.float32, torch.float16, torch.bfloat16
LAYERS = ("w_q", "w_k", "w_v", "w_o")
Weights = dict[str, Tensor]


def normal(gen: torch.Generator, *shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.randn(shape, generator=gen, dtype=F64).to(dtype)


def random_mask(gen: torch.Generator, *shape: int) -> Tensor:
    """Every row has an allowed key and a masked one."""
    mask = torch.rand(shape, generator=gen) < 0.5
    some, other = torch.randperm(shape[-1], generator=gen)[:2].tolist()
    mask[..., some] = True
    mask[..., other] = False
    return mask


def random_weights(gen: torch.Generator, d_model: int, bias: bool = True, dtype: torch.dtype = F32) -> Weights:
    weights = {f"{name}.weight": normal(gen, d_model, d_model) / math.sqrt(d_model) for name in LAYERS}
    if bias:
        weights |= {f"{name}.bias": normal(gen, d_model) for name in LAYERS}
    return {name: weight.to(dtype) for name, weight in weights.items()}


def identities(d_model: int, dtype: torch.dtype = F32) -> Weights:
    """Four layers that do nothing."""
    weights = {f"{name}.weight": torch.eye(d_model, dtype=dtype) for name in LAYERS}
    return weights | {f"{name}.bias": torch.zeros(d_model, dtype=dtype) for name in LAYERS}


def build(impl, weights: Weights, num_heads: int):
    """A module of the learner's with these weights, in their dtype."""
    d_model = len(weights["w_o.weight"])
    module = impl.MultiHeadAttention(d_model, num_heads, bias="w_o.bias" in weights)
    if weights["w_o.weight"].dtype != F32:
        module.to(weights["w_o.weight"].dtype)
    module.load_state_dict(weights, strict=False)  # buffers of the learner's own are no mistake
    return module


def project(weights: Weights, name: str, x: Tensor) -> Tensor:
    y = x.double() @ weights[f"{name}.weight"].double().T
    return y + weights[f"{name}.bias"].double() if f"{name}.bias" in weights else y


def project_by_head(weights: Weights, name: str, x: Tensor, num_heads: int) -> Tensor:
    """Every head's own matrix applied to x: (B, L, E) -> (B, H, L, D)."""
    weight = weights[f"{name}.weight"].double().unflatten(0, (num_heads, -1))  # (H, D, E)
    y = torch.einsum("ble,hde->bhld", x.double(), weight)
    if f"{name}.bias" in weights:
        y = y + weights[f"{name}.bias"].double().reshape(num_heads, 1, -1)
    return y


def exact(
    weights: Weights, num_heads: int, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, float]:
    """The sum over the heads of head_i W_o_i, in float64, and the size that rounding errors are relative to.

    A weight is exp(score) over the sum of the allowed ones; where none is allowed it is 0 over 1.
    """
    q = project_by_head(weights, "w_q", query, num_heads)
    k = project_by_head(weights, "w_k", key, num_heads)
    v = project_by_head(weights, "w_v", value, num_heads)
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.shape[-1])
    shares = (scores - scores.detach().amax(-1, keepdim=True)).exp()
    if mask is not None:
        shares = shares * mask
    sums = shares.sum(-1, keepdim=True)
    heads = torch.einsum("bhij,bhjd->bhid", shares / torch.where(sums == 0, 1.0, sums), v)
    columns = weights["w_o.weight"].double().unflatten(1, (num_heads, -1))  # (E, H, D)
    output = torch.einsum("bhid,ehd->bie", heads, columns)
    if "w_o.bias" in weights:
        output = output + weights["w_o.bias"].double()
    largest = max(float(t.detach().abs().max()) for t in (v, output))
    return output, (1.0 + 2.0 * float(scores.detach().abs().max())) * largest


def terms(query: Tensor, key: Tensor) -> int:
    """The lengths of the sums behind one output: two projections, a score, a weighted mean."""
    return 3 * query.shape[-1] + key.shape[1]


def check(module, weights, num_heads, query, key=None, value=None, mask=None, *, what: str) -> None:
    """What the module gives for these arguments; those that are None are left out."""
    given = {"key": key, "value": value, "mask": mask}
    key = query if key is None else key
    value = key if value is None else value
    expected, size = exact(weights, num_heads, query, key, value, mask)
    output = module(query, **{name: t for name, t in given.items() if t is not None})
    assert_close(output, expected, terms=terms(query, key), magnitude=size, dtype=query.dtype, what=what)


def check_masks(module, weights, num_heads, query, key, masks: dict[str, Tensor]) -> None:
    """What the module gives for each mask; the expected outputs are computed as one large batch."""
    full = (len(query), num_heads, query.shape[1], key.shape[1])
    repeat = [t.repeat(len(masks), 1, 1) for t in (query, key, key)]
    stacked = torch.cat([mask.expand(full) for mask in masks.values()])
    expected, size = exact(weights, num_heads, *repeat, stacked)
    for (what, mask), want in zip(masks.items(), expected.split(len(query)), strict=True):
        output = module(query, key, mask=mask)
        assert_close(output, want, terms=terms(query, key), magnitude=size, what=f"output, {what}")


def check_gradients(module, parameters, weights, num_heads, inputs, mask, gen, *, what: str) -> dict[str, Tensor]:
    """The vector-Jacobian product for every input and every parameter, for a random cotangent."""
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    output = module(**leaves, mask=mask)
    exact_leaves = {name: x.double().requires_grad_() for name, x in inputs.items()}
    exact_weights = {name: weights[name].double().requires_grad_() for name in parameters}
    expected, size = exact({**weights, **exact_weights}, num_heads, **exact_leaves, mask=mask)
    length = terms(inputs["query"], inputs["key"])
    dtype = inputs["query"].dtype
    assert_close(output, expected.detach(), terms=length, magnitude=size, dtype=dtype, what=f"output, {what}")
    if not output.requires_grad:
        raise Mismatch(f"output, {what}: no gradient flows through it (detached, or rebuilt from numbers?)")
    cotangent = normal(gen, *output.shape, dtype=output.dtype)
    tensors = leaves | parameters
    found = torch.autograd.grad(output, list(tensors.values()), cotangent, allow_unused=True)
    wanted = torch.autograd.grad(expected, [*exact_leaves.values(), *exact_weights.values()], cotangent.double())

    size = 4.0 * max(float(grad.abs().max()) for grad in wanted)
    gradients = {}
    for name, tensor, grad, want in zip(tensors, tensors.values(), found, wanted, strict=True):
        gradients[name] = torch.zeros_like(tensor) if grad is None else grad
        label = f"gradient of {name}, {what}"
        assert_close(gradients[name], want, terms=length, magnitude=size, dtype=tensor.dtype, what=label)
    return gradients


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def split_by_hand(x: Tensor, num_heads: int) -> Tensor:
    """Element by element: head h, feature c of token t is its feature h*D + c."""
    batch, length, d_model = x.shape
    d_head = d_model // num_heads
    rows = x.detach().tolist()
    heads = [
        [[[rows[b][t][h * d_head + c] for c in range(d_head)] for t in range(length)] for h in range(num_heads)]
        for b in range(batch)
    ]
    return torch.tensor(heads, dtype=x.dtype)


def merge_by_hand(x: Tensor) -> Tensor:
    """Element by element: feature e of token t is feature e % D of head e // D."""
    batch, num_heads, length, d_head = x.shape
    heads = x.detach().tolist()
    rows = [
        [[heads[b][e // d_head][t][e % d_head] for e in range(num_heads * d_head)] for t in range(length)]
        for b in range(batch)
    ]
    return torch.tensor(rows, dtype=x.dtype)


def by_hand(weights: Weights, num_heads: int, query: Tensor, context: Tensor) -> Tensor:
    """One sequence, one Python float at a time."""
    numbers = {name: weight.double().tolist() for name, weight in weights.items()}

    def dot(a: Iterable[float], b: Iterable[float]) -> float:
        return math.fsum(x * y for x, y in zip(a, b, strict=True))

    def layer(name: str, rows: list[list[float]]) -> list[list[float]]:
        pairs = list(zip(numbers[f"{name}.weight"], numbers[f"{name}.bias"], strict=True))
        return [[dot(w, row) + b for w, b in pairs] for row in rows]

    q, k, v = layer("w_q", query.tolist()), layer("w_k", context.tolist()), layer("w_v", context.tolist())
    d_head = len(q[0]) // num_heads
    tokens: list[list[float]] = [[] for _ in q]
    for h in range(num_heads):
        part = slice(h * d_head, (h + 1) * d_head)
        for i, row in enumerate(q):
            exps = [math.exp(dot(row[part], other[part]) / math.sqrt(d_head)) for other in k]
            shares = [e / math.fsum(exps) for e in exps]
            tokens[i] += [dot(shares, [other[c] for other in v]) for c in range(part.start, part.stop)]
    return torch.tensor(layer("w_o", tokens), dtype=F64)


def in_torch(weights: Weights, num_heads: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """torch's own multi-head attention in float64; the sequence is its first dim."""
    w = {name: weight.double() for name, weight in weights.items()}
    biases = [w[f"{name}.bias"] for name in LAYERS[:3] if "w_o.bias" in w]
    output, _ = F.multi_head_attention_forward(
        *(x.double().transpose(0, 1) for x in (query, key, value)),
        embed_dim_to_check=query.shape[-1],
        num_heads=num_heads,
        in_proj_weight=torch.cat([w[f"{name}.weight"] for name in LAYERS[:3]]),
        in_proj_bias=torch.cat(biases) if biases else None,
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=w["w_o.weight"],
        out_proj_bias=w.get("w_o.bias"),
        need_weights=False,
    )
    return output.transpose(0, 1)


def test_split_gives_each_head_its_features(impl):
    """split_heads gives head h the features h*D to (h+1)*D - 1

    Of every token, in the order of the heads: result[b, h, t] is x[b, t, h*D : (h+1)*D]. A result of the
    right shape can still mix up tokens or take every H-th feature; follow one row of the input on paper.
    """
    for batch, length, num_heads, d_head in ((2, 5, 3, 4), (1, 4, 2, 3), (3, 3, 3, 3)):
        x = torch.arange(float(batch * length * num_heads * d_head)).reshape(batch, length, num_heads * d_head)
        what = f"split_heads of x {tuple(x.shape)} into {num_heads}"
        assert_equal(impl.split_heads(x, num_heads), split_by_hand(x, num_heads), what=what)


def test_merge_puts_heads_side_by_side(impl):
    """merge_heads concatenates the heads of every token, head 0 first

    Concatenated, not averaged, and for each token by itself: result[b, t] is x[b, 0, t], then x[b, 1, t], and
    so on. It undoes split_heads, so both have to agree on the order.
    """
    for shape in ((2, 3, 5, 4), (1, 2, 4, 3), (3, 3, 3, 3), (2, 1, 3, 4), (2, 4, 3, 1), (2, 3, 1, 4)):
        x = torch.arange(float(math.prod(shape))).reshape(shape)
        assert_equal(impl.merge_heads(x), merge_by_hand(x), what=f"merge_heads of x {shape}")


def test_split_and_merge_keep_every_bit(impl, gen):
    """Splitting and merging keep every bit, for any strides and dtype

    Both move numbers and compute nothing; one head, or one feature a head, is no special case. Moving a dim
    does not move memory, and `view` needs dims that lie next to each other.
    """
    for num_heads, dtype in ((3, F32), (1, F64), (6, F16), (2, BF16)):
        x, heads = normal(gen, 2, 4, 6, dtype=dtype), normal(gen, 2, num_heads, 4, 6 // num_heads, dtype=dtype)
        layouts = [("every second element of a larger tensor", noncontiguous(x), noncontiguous(heads))]
        if dtype == F32:
            transposed = normal(gen, 4, 2, 6).transpose(0, 1), normal(gen, 2, 4, 3, 2).transpose(1, 2)
            layouts.append(("a transposed view", *transposed))
            layouts.append(("expanded", x[:1].expand(3, 4, 6), heads[:, :1].expand(2, 3, 4, 2)))
        for layout, whole, parts in layouts:
            with unchanged(x=whole):
                split = impl.split_heads(whole, num_heads)
            what = f"split_heads of {short(dtype)} x {tuple(whole.shape)} into {num_heads}, {layout}"
            assert_equal(split, split_by_hand(whole, num_heads), what=what)
            with unchanged(x=parts):
                merged = impl.merge_heads(parts)
            what = f"merge_heads of {short(dtype)} x {tuple(parts.shape)}, {layout}"
            assert_equal(merged, merge_by_hand(parts), what=what)


def test_split_and_merge_pass_gradients(impl, gen):
    """split_heads and merge_heads pass gradients back to where x came from

    Both are permutations, so the gradient is the inverse permutation of what arrives. Nothing may be rebuilt
    from numbers.
    """
    x, heads = normal(gen, 2, 4, 6, dtype=F64), normal(gen, 2, 3, 4, 2, dtype=F64)
    for name, call, given, backwards in (
        ("split_heads", lambda t: impl.split_heads(t, 3), x, merge_by_hand),
        ("merge_heads", impl.merge_heads, heads, lambda t: split_by_hand(t, 3)),
    ):
        leaf = given.clone().requires_grad_()
        result = call(leaf)
        assert_tensor(result, shape=(heads if given is x else x).shape, dtype=F64, what=name)
        if not result.requires_grad:
            raise Mismatch(f"{name}: no gradient flows through it (detached, or rebuilt from numbers?)")
        cotangent = normal(gen, *result.shape, dtype=F64)
        (grad,) = torch.autograd.grad(result, leaf, cotangent)
        assert_equal(grad, backwards(cotangent), what=f"gradient through {name}")


def test_module_has_four_layers(impl, gen):
    """w_q, w_k, w_v and w_o are d_model x d_model, all with a bias or none

    Each is a layer of its own: two that share a weight are one layer, and a separate layer for each head
    needs other names. `d_head` and `num_heads` are attributes, and nothing else is trainable.
    """
    for made, bias, d_model, num_heads in (
        (impl.MultiHeadAttention(6, 3), True, 6, 3),
        (impl.MultiHeadAttention(d_model=8, num_heads=2, bias=False), False, 8, 2),
    ):
        what = f"MultiHeadAttention({d_model}, {num_heads}{'' if bias else ', bias=False'})"
        weights = random_weights(gen, d_model, bias)
        made.load_state_dict(weights, strict=False)
        state = made.state_dict(keep_vars=True)
        found = {name: tensor for name, tensor in state.items() if tensor.requires_grad}
        if sorted(found) != sorted(weights):
            missing, extra = sorted(set(weights) - set(found)), sorted(set(found) - set(weights))
            raise Mismatch(f"trainable parameters of {what}: missing {missing}, not expected {extra}")
        for name, weight in weights.items():
            assert_equal(found[name].detach(), weight, what=f"{what}: {name} after load_state_dict")
        for name, want in (("d_head", d_model // num_heads), ("num_heads", num_heads)):
            got = getattr(made, name)
            if not isinstance(got, int | float) or got != want:
                raise Mismatch(f"{what}: {name}: expected {want}, got {describe(got)}")


def test_heads_must_divide_the_features(impl):
    """A number of heads that does not divide the features is a ValueError

    From split_heads, and from the module when it is made, not when it is first used. An error of torch's from
    deep inside, or a result without the last features, does not tell the caller what was wrong.
    """
    for size, num_heads in ((10, 4), (6, 12), (7, 3)):
        calls = {
            f"split_heads of x (2, 3, {size}) into {num_heads}": lambda size=size, heads=num_heads: impl.split_heads(
                torch.zeros(2, 3, size), heads
            ),
            f"MultiHeadAttention({size}, {num_heads})": lambda size=size, heads=num_heads: impl.MultiHeadAttention(
                size, heads, bias=heads != 3
            ),
        }
        for what, call in calls.items():
            try:
                result = call()
            except ValueError:
                continue
            raise Mismatch(f"{what}: expected a ValueError, got {describe(result)}")


def test_scores_are_scaled_by_the_head_size(impl):
    """Scores are divided by sqrt(d_head)

    A score sums over the features of one head, so their number decides its variance, not d_model. Here all
    layers are identities; the first key is t in every feature, the second 0, so the weights are known.
    """
    for d_model, num_heads in ((16, 4), (18, 2)):
        d_head = d_model // num_heads
        module = build(impl, identities(d_model), num_heads)
        sizes = torch.tensor([0.5, -0.25, 0.75])  # t
        key = torch.stack([sizes[:, None].expand(3, d_model), torch.zeros(3, d_model)], dim=1)
        value = torch.tensor([1.0, 0.0])[:, None].expand(3, 2, d_model)
        output = module(torch.ones(3, 1, d_model), key, value)
        share = torch.sigmoid(sizes.double() * math.sqrt(d_head))
        what = f"weight of the first key, d_model = {d_model}, {num_heads} heads"
        expected = share[:, None, None].expand(3, 1, d_model)
        assert_close(output, expected, terms=d_model, magnitude=4.0, what=what)


def test_heads_own_consecutive_features(impl, gen):
    """Head h works on the features h*D to (h+1)*D - 1 of the projections

    Here head h may see key h alone, so it copies that key's projected value. All heads read the whole token,
    for what is split is the projection, not the input. And w_o mixes what they found.
    """
    num_heads, d_head = 3, 4
    d_model = num_heads * d_head
    mask = torch.eye(num_heads, dtype=torch.bool)[:, None, :]  # (H, 1, Lk)
    query, context = normal(gen, 2, 5, d_model), normal(gen, 2, num_heads, d_model)
    weights = identities(d_model)
    module = build(impl, weights, num_heads)
    for layers in ("identities", "only w_v is random", "w_v and w_o are random"):
        if layers != "identities":
            other = random_weights(gen, d_model)
            names = ("w_v",) if layers == "only w_v is random" else ("w_v", "w_o")
            weights |= {name: other[name] for name in weights if name.startswith(names)}
            module.load_state_dict(weights, strict=False)
        value = project(weights, "w_v", context)
        copied = torch.cat([value[:, h : h + 1, h * d_head : (h + 1) * d_head] for h in range(num_heads)], dim=-1)
        expected = project(weights, "w_o", copied).expand(2, 5, d_model)
        output = module(query, context, mask=mask)
        size = 4.0 * float(expected.abs().max())
        assert_close(output, expected, terms=2 * d_model, magnitude=size, what=f"output when {layers}")


def test_small_example_by_hand(impl, gen):
    """Two heads on a few tokens equal a calculation number by number

    Project, split, attend in every head, merge, project. Each sequence of a batch has an answer of its own,
    whatever stands beside it.
    """
    weights = random_weights(gen, 4)
    module = build(impl, weights, 2)
    query, context = normal(gen, 3, 2, 4), normal(gen, 3, 5, 4)
    for what, key in (("self-attention", query), ("attention to another sequence", context)):
        expected = torch.stack([by_hand(weights, 2, q, k) for q, k in zip(query, key, strict=True)])
        _, size = exact(weights, 2, query, key, key)
        output = module(query) if key is query else module(query, key, key)
        assert_close(output, expected, terms=terms(query, key), magnitude=size, what=what)


def test_any_number_of_heads(impl, gen):
    """Any number of heads, any lengths, float32 and float64, with and without bias

    From one head to one feature a head, with as many queries as keys or not. float64 keeps float64 accuracy, so
    nothing on the way may be float32.
    """
    for batch, num_heads, d_head, n_queries, n_keys, bias, dtype in (
        (2, 3, 7, 4, 5, True, F64),
        (3, 1, 4, 2, 5, True, F32),
        (1, 5, 1, 3, 4, False, F64),
        (3, 4, 3, 1, 6, False, F32),
    ):
        d_model = num_heads * d_head
        weights = random_weights(gen, d_model, bias, dtype)
        module = build(impl, weights, num_heads)
        query, key, value = (normal(gen, batch, n, d_model, dtype=dtype) for n in (n_queries, n_keys, n_keys))
        expected = in_torch(weights, num_heads, query, key, value)
        _, size = exact(weights, num_heads, query, key, value)
        case = f"B = {batch}, H = {num_heads}, d_head = {d_head}, Lq = {n_queries}, Lk = {n_keys}, {short(dtype)}"
        output = module(query, key, value)
        assert_close(output, expected, terms=terms(query, key), magnitude=size, dtype=dtype, what=f"output, {case}")


def test_key_and_value_defaults(impl, gen):
    """key defaults to query, value to key, each by itself

    A key without a value is attention to another sequence. A value without a key is unusual, but the defaults
    say what it means: queries and keys from the first sequence, values from the other.
    """
    weights = random_weights(gen, 6)
    module = build(impl, weights, 3)
    query, key, value = normal(gen, 2, 4, 6), normal(gen, 2, 4, 6), normal(gen, 2, 4, 6)
    longer, others, mask = normal(gen, 2, 5, 6), normal(gen, 2, 5, 6), random_mask(gen, 2, 1, 4, 4)
    for what, arguments in (
        ("query alone", {}),
        ("query and mask", {"mask": mask}),
        ("query and key", {"key": key}),
        ("query and a longer key", {"key": longer}),
        ("query and value", {"value": value}),
        ("query, key and value", {"key": longer, "value": others}),
        ("query, key and mask", {"key": key, "mask": mask}),
    ):
        check(module, weights, 3, query, **arguments, what=what)
    expected, size = exact(weights, 3, query, query, query, mask)
    output = module(query, None, None, mask)
    assert_close(output, expected, terms=22, magnitude=size, what="(query, None, None, mask) by position")


def test_masks_of_every_broadcastable_shape(impl, gen):
    """A mask of any shape that broadcasts is respected, True = may attend

    For all heads or for each, for a sequence, for a key or complete: dims line up from the last one. Keys
    that are masked take no share from the others, so they leave before the softmax.
    """
    num_heads, batch, n_queries, n_keys, d_head = 3, 2, 4, 5, 7
    weights = random_weights(gen, num_heads * d_head)
    module = build(impl, weights, num_heads)
    query, key = (normal(gen, batch, n, num_heads * d_head) for n in (n_queries, n_keys))
    shapes = [(4, 5), (5,), (3, 4, 5), (3, 1, 5), (2, 1, 1, 5), (2, 1, 4, 5), (1, 3, 4, 5)]
    masks = {f"mask {shape}": random_mask(gen, *shape) for shape in [*shapes, (2, 3, 4, 5)]}
    masks["mask (4, 5), all True"] = torch.ones(4, 5, dtype=torch.bool)
    check_masks(module, weights, num_heads, query, key, masks)

    # All sizes equal: only the position of a dim tells what it is.
    weights = random_weights(gen, 9)
    module, query = build(impl, weights, 3), normal(gen, 3, 3, 9)
    shapes = [(3,), (3, 3), (3, 1, 3), (3, 3, 3), (3, 1, 1, 3)]
    masks = {f"3 sequences of 3 tokens in 3 heads, mask {shape}": random_mask(gen, *shape) for shape in shapes}
    masks["3 sequences of 3 tokens in 3 heads, causal mask (3, 3)"] = torch.ones(3, 3, dtype=torch.bool).tril()
    check_masks(module, weights, 3, query, query, masks)
    module.eval()
    check(
        module,
        weights,
        3,
        query,
        mask=masks["3 sequences of 3 tokens in 3 heads, mask (3, 3)"],
        what="output in eval()",
    )


def test_extreme_scores(impl):
    """Large scores do not overflow, and masked keys have no say

    A softmax depends on the differences between scores alone. A masked key may have the largest score of all,
    and the visible ones may have very small scores: is there one that your fill value would not be far below?
    """
    share = 1 / (1 + math.exp(-1.0))
    scores = torch.tensor([[3000.0, 2999.0, -3000.0], [-3000.0, -3001.0, -6000.0]])[:, :, None]
    value = torch.tensor([[1.0], [0.0], [5.0]]).expand(2, 3, 2)
    output = build(impl, identities(2), 2)(torch.ones(2, 1, 2), scores.expand(2, 3, 2), value)
    assert_close(output, torch.full((2, 1, 2), share), magnitude=3e3, what="float32 scores of 3000 and -3000")

    cases = (
        ("masked scores of 2e6, visible ones near 0", [2e6, 0.5, -0.5, 2e6]),
        ("visible scores of -2e6, masked ones near 0", [0.5, -2e6, -2e6 - 1, 0.0]),
        ("visible scores of 2e6, masked ones of -2e6", [-2e6, 2e6, 2e6 - 1, -2e6]),
    )
    scores = torch.tensor([row for _, row in cases], dtype=F64)[:, :, None]
    key = torch.cat([scores, torch.zeros(3, 4, 1, dtype=F64)], dim=-1)  # the second of two heads sees zeros
    value = torch.tensor([[5.0, 7.0], [1.0, 0.0], [0.0, 1.0], [6.0, 8.0]], dtype=F64).expand(3, 4, 2)
    module = build(impl, identities(2, F64), 2)
    mask = torch.tensor([False, True, True, False])
    output = module(torch.ones(3, 1, 2, dtype=F64), key, value, mask)
    assert_tensor(output, shape=(3, 1, 2), dtype=F64)
    for row, (what, _) in zip(output, cases, strict=True):
        # 2e6: a logarithm of the sum is rounded relative to the scores.
        expected = torch.tensor([[share, 0.5]], dtype=F64)
        assert_close(row, expected, magnitude=2e6, dtype=F64, what=what)


def test_rows_that_see_nothing_give_the_bias(impl, gen):
    """A query that may attend to nothing gives zeros in that head

    Where no head sees anything, w_o gets zeros and its bias is left: 0 without one. A softmax over nothing
    but masked scores is NaN, or uniform with a finite fill value. Other rows are as always.
    """
    batch, num_heads, n_queries, n_keys, d_model = 2, 3, 4, 5, 6
    rows = random_mask(gen, n_queries, n_keys)
    rows[0] = rows[2] = False
    padding = random_mask(gen, batch, 1, 1, n_keys)
    padding[1] = False
    heads = random_mask(gen, batch, num_heads, n_queries, n_keys)
    heads[0, 1, 3] = heads[1, 0] = heads[1, 2, 0] = False
    masks = {
        "mask (4, 5), rows 0 and 2 all False": rows,
        "mask (2, 1, 1, 5), one sequence all padding": padding,
        "mask (2, 3, 4, 5), some heads see nothing": heads,
        "mask (4, 1), queries 1 and 3 see nothing": torch.tensor([[True], [False], [True], [False]]),
        "mask (5,), all False": torch.zeros(n_keys, dtype=torch.bool),
    }
    for bias in (True, False):
        weights = random_weights(gen, d_model, bias)
        module = build(impl, weights, num_heads)
        query, key = normal(gen, batch, n_queries, d_model), normal(gen, batch, n_keys, d_model)
        named = masks if bias else {"mask (4, 5), rows 0 and 2 all False, bias=False": rows}
        check_masks(module, weights, num_heads, query, key, named)


def test_rows_that_see_nothing_have_zero_gradient(impl, gen):
    """A query that may attend to nothing has zero gradient, never NaN

    A NaN that is hidden from the result can still sit in the backward pass: 0 times NaN is NaN. Keys and
    values get what the other queries send, and the layers learn from those alone.
    """
    weights = random_weights(gen, 6, dtype=F64)
    module = build(impl, weights, 3)
    inputs = {name: normal(gen, 2, n, 6, dtype=F64) for name, n in (("query", 4), ("key", 5), ("value", 5))}
    rows = random_mask(gen, 4, 5)
    rows[0] = rows[2] = False
    heads = random_mask(gen, 2, 3, 1, 5)
    heads[0, 1] = heads[1] = False
    for what, mask in (
        ("mask (4, 5) with rows all False", rows),
        ("mask (2, 3, 1, 5) with heads all False", heads),
    ):
        gradients = check_gradients(module, {}, weights, 3, inputs, mask, gen, what=what)
        sees_nothing = ~mask.expand(2, 3, 4, 5).any(-1).any(1)  # (B, Lq)
        empty = gradients["query"][sees_nothing]
        assert_equal(empty, torch.zeros_like(empty), what=f"gradient of the queries that see nothing, {what}")


def test_gradients(impl, gen):
    """Gradients reach query, key, value and every weight and bias

    In any dtype, with a mask and without. The layers have to be used as they are now: a copy made earlier,
    or numbers taken out of them, never learns.
    """
    module = impl.MultiHeadAttention(6, 3)
    parameters = dict(module.named_parameters())
    for dtype in (F32, F64, F16):
        weights = random_weights(gen, 6, dtype=dtype)
        missing = sorted(set(weights) - set(parameters))
        if missing:
            raise Mismatch(f"parameters of the module: missing {missing}")
        if dtype != F32:
            module.to(dtype)
        with torch.no_grad():
            for name, weight in weights.items():
                parameters[name].copy_(weight)
        inputs = {name: normal(gen, 2, n, 6, dtype=dtype) for name, n in (("query", 4), ("key", 5), ("value", 5))}
        mask = None if dtype == F32 else random_mask(gen, 2, 1, 4, 5)
        if dtype == F16:
            mask[1, 0, 2] = False
        known = {name: parameters[name] for name in weights}
        what = f"{short(dtype)}, {'no mask' if mask is None else 'with a mask'}"
        check_gradients(module, known, weights, 3, inputs, mask, gen, what=what)


def test_half_precision(impl, gen):
    """Half precision modules keep the dtype and accumulate in float32

    64 products of 40 * 40 are beyond float16's range, divided by 8 they are 12800; and 4096 + 1 is 4096 in
    bfloat16. Compute scores, softmax and weighted sum in float32, convert once, and let w_o have its dtype.
    """
    # Small, so that roundings to half precision on the way are within the tolerance.
    weights = {name: weight.div(2).to(BF16) for name, weight in random_weights(gen, 6).items()}
    query, key = normal(gen, 2, 4, 6).div(2).to(BF16), normal(gen, 2, 5, 6).div(2).to(BF16)
    mask = random_mask(gen, 4, 5)
    mask[1] = False
    module = build(impl, weights, 3)
    check(module, weights, 3, query, key, mask=mask, what="bfloat16 output with a mask, row 1 all False")

    for dtype, entry in ((F16, 40.0), (BF16, 300.0)):
        name = short(dtype)
        module = build(impl, identities(64, dtype), 1)
        query, key = torch.full((2, 1, 64), entry, dtype=dtype), torch.full((2, 3, 64), entry, dtype=dtype)
        value = torch.tensor([[1.0], [2.0], [7.0]], dtype=dtype).expand(2, 3, 64)
        key[0, 2] = -entry
        # The second score is the same but for 62 ones between two products of 4096: 8254 / 8 against 8192 / 8.
        query[1] = 1.0
        query[1, 0, 0] = query[1, 0, -1] = 64.0
        key[1] = 0.0
        key[1, 0] = query[1, 0]
        key[1, 1, 0] = 128.0
        expected = torch.tensor([1.5, 1.0], dtype=F64)[:, None, None].expand(2, 1, 64)
        output = module(query, key, value)
        assert_tensor(output, shape=(2, 1, 64), dtype=dtype, what=f"{name} output")
        what = f"{name} and scores of {8 * entry * entry:g}"
        assert_close(output[0], expected[0], magnitude=4.0, dtype=dtype, what=what)
        what = f"{name} and scores of 1031.75 and 1024"
        assert_close(output[1], expected[1], magnitude=2.0, dtype=dtype, what=what)

        key, value = torch.zeros(1, 1024, 64, dtype=dtype), torch.zeros(1, 1024, 64, dtype=dtype)
        value[..., :2] = (torch.rand(1, 1024, 2, generator=gen) + 0.5).to(dtype)
        means = value.double().mean(1, keepdim=True)
        output = module(torch.zeros(1, 1, 64, dtype=dtype), key, value)
        assert_close(output, means, terms=1024, dtype=dtype, what=f"{name} mean of 1024 values")

    # 1 + 3/1024 is a float16 number; bfloat16 has no bits for the 3/1024.
    fine = torch.full((1, 4, 6), 1 + 3 / 1024, dtype=F16)
    for what, result, shape in (
        ("split_heads", impl.split_heads(fine, 3), (1, 3, 4, 2)),
        ("merge_heads", impl.merge_heads(fine[:, None]), (1, 4, 6)),
        ("output", build(impl, identities(6, F16), 3)(fine), (1, 4, 6)),
    ):
        want = torch.full(shape, 1 + 3 / 1024, dtype=F64)
        assert_close(result, want, terms=4, dtype=F16, what=f"{what}, float16 values of 1 + 3/1024")


def test_inputs_are_left_as_they_were(impl, gen):
    """Inputs of any strides are read, and not changed in place

    The residual connection reads the query again after the attention, and the next layer the mask. A
    transposed or expanded input is as good as a contiguous one.
    """
    weights = random_weights(gen, 6)
    module = build(impl, weights, 3)
    query, key, value = normal(gen, 2, 4, 6), normal(gen, 2, 5, 6), normal(gen, 2, 5, 6)
    mask = random_mask(gen, 2, 1, 4, 5)
    mask[1, 0, 2] = False
    for what, q, k, v, m in (
        ("contiguous inputs", query, key, value, mask),
        ("strided inputs", *map(noncontiguous, (query, key, value)), mask.expand(2, 3, 4, 5)),
    ):
        with unchanged(query=q, key=k, value=v, mask=m):
            check(module, weights, 3, q, k, v, m, what=what)
    with unchanged(query=query):
        check(module, weights, 3, query, what="self-attention")
    transposed = normal(gen, 4, 2, 6).transpose(0, 1)
    check(module, weights, 3, transposed, transposed[:1].expand(2, 4, 6), what="transposed query, expanded key")
