"""`impl` looks like the learner's module, though every call goes to another, locked-down process."""

from __future__ import annotations

import copy
import os

import numpy as np
import pytest
import torch
from torch import nn

from grader.engine.impl import Missing, NotSendable, RemoteError
from grader.engine.remote import RunnerFault
from grader.testing import Mismatch, largest_tensor, seeded, unchanged

HEAD = "import torch\nfrom torch import nn\n"


def test_runs_in_another_process(behind):
    assert behind("import os\ndef pid(): return os.getpid()").pid() != os.getpid()


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(2**63), 2**200, 1.5, float("inf"), 1 - 2j, "ü\0", b"\xff", (1, (2,)), [1, [2]], {"a": {1: 2}},
        {1, 2}, frozenset("ab"), slice(1, None, 2), ..., torch.float16, torch.device("cpu"), torch.Size((2, 3)),
        np.float32(1.5), np.int64(7), np.float64(0.1),
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values_come_back_as_they_went(behind, value):
    got = behind("def same(x): return x").same(value)
    assert got == value and type(got) is (float if isinstance(value, np.float64) else type(value))


def test_nan_comes_back(behind):
    got = behind("def same(x): return x").same(float("nan"))
    assert got != got


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64,
                                   torch.int64, torch.int32, torch.uint8, torch.bool])  # fmt: skip
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_tensors_come_back_to_the_bit(behind, dtype, shape):
    x = torch.randn(shape).mul(3).to(dtype)
    got = behind("def same(x): return x").same(x)
    assert got.dtype == dtype and got.shape == x.shape and torch.equal(got, x)


def test_strides_of_inputs_are_kept(behind):
    module = behind("def look(x): return x.stride(), x.is_contiguous(), float(x.double().sum())")
    base = torch.arange(24.0).reshape(2, 3, 4)
    for x in (base, base.transpose(0, 2), base[:, ::2, 1:], torch.ones(1).expand(5, 6), base[1, 2, 3]):
        assert module.look(x) == (x.stride(), x.is_contiguous(), x.double().sum().item())


def test_a_single_element_of_a_larger_tensor_comes_and_goes(behind):
    module = behind("def f(x): return x * 2, x.stride()")
    x = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)[1:2, 1:]  # contiguous, with a last stride of 1 or not
    assert torch.equal(module.f(x)[0], x * 2) and torch.equal(module.f(x.T)[0], x * 2)
    assert module.f(torch.ones(4)[::3][:1]) == (torch.tensor([2.0]), (3,))


ODD_STRIDES = (
    HEAD
    + """
class One(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4)[::3][:1].clone().as_strided((1,), (7,)))
    def forward(self, x): return x * self.weight
def one(): return torch.arange(8.0).as_strided((1, 1), (5, 3), 6)
def none(): return torch.empty(0, dtype=torch.int64).as_strided((0,), (2,))
"""
)


def test_one_element_or_none_may_have_any_stride(behind):
    module = behind(ODD_STRIDES)
    assert module.one().tolist() == [[6.0]]
    assert module.none().shape == (0,) and module.none().dtype == torch.int64
    assert module.One()(torch.full((1,), 3.0)).tolist() == [3.0]
    behind("def f(x): return x.numel()").f(torch.empty(0).as_strided((0,), (0,)))


def test_strides_of_dense_outputs_are_kept(behind):
    got = behind(HEAD + "def f(x): return x.transpose(1, 2)").f(torch.arange(24.0).reshape(2, 3, 4))
    assert not got.is_contiguous() and torch.equal(got, torch.arange(24.0).reshape(2, 3, 4).transpose(1, 2))


def test_the_same_tensor_twice_is_one_object(behind):
    x = torch.ones(2)
    module = behind("def same(a, b): return a is b")
    assert module.same(x, x) is True and module.same(x, x.clone()) is False


def test_numpy_arrays(behind):
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    got = behind("def f(a): return a.T * 2").f(a)
    assert isinstance(got, np.ndarray) and got.dtype == np.float32 and np.array_equal(got, a.T * 2)


def test_keyword_arguments_and_defaults(behind):
    module = behind("def f(a, /, b=2, *rest, c, **more): return a, b, rest, c, more")
    assert module.f(1, c=3, d=4) == (1, 2, (), 3, {"d": 4})
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'c'"):
        module.f(1)


# -- in-place changes and random numbers ------------------------------------------------------------------------------


def test_in_place_changes_of_inputs_are_visible(behind):
    module = behind(
        """
        def tensor(x): x.mul_(2)
        def sly(x): x.data[0] = 9
        def by_numpy(x): x.numpy()[1] = 7
        def array(a): a[0] = 5
        def then_raise(x):
            x.zero_()
            raise ValueError
        """
    )
    base = torch.ones(4, 4)
    module.tensor(base[1:3, ::2])
    expected = torch.ones(4, 4)
    expected[1:3, ::2] = 2
    assert torch.equal(base, expected)
    x = torch.zeros(3)
    module.sly(x)
    module.by_numpy(x)
    assert x.tolist() == [9, 7, 0]
    with pytest.raises(ValueError):
        module.then_raise(x)
    assert x.tolist() == [0, 0, 0]
    a = np.zeros(2)
    module.array(a)
    assert a.tolist() == [5, 0]


def test_changing_a_leaf_that_requires_grad_is_refused_as_at_home(behind):
    module = behind("def f(x): return x.mul_(2)")
    with pytest.raises(RuntimeError, match="leaf Variable"):
        module.f(torch.ones(2, requires_grad=True))
    inner = torch.ones(2, requires_grad=True) * 1
    module.f(inner)
    assert inner.tolist() == [2, 2]


def test_a_generator_arrives_seeded_the_same_and_moves_on(behind):
    module = behind(HEAD + "def draw(n, generator): return torch.randn(n, generator=generator)")
    here, there = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    for _ in range(3):
        assert torch.equal(module.draw(5, generator=there), torch.randn(5, generator=here))


def test_global_random_numbers_depend_on_the_seed_alone(wall):
    source = (
        HEAD + "import random, numpy\ndef draw(): return torch.rand(1).item(), random.random(), numpy.random.rand()"
    )
    first, again, other = (wall.load(source, seed=seed).draw() for seed in (3, 3, 4))
    assert first == again and all(a != b for a, b in zip(first, other, strict=True))


# -- exceptions -------------------------------------------------------------------------------------------------------


def test_exceptions_are_of_the_same_builtin_class(behind):
    module = behind(
        """
        class Mine(KeyError): pass
        def value(): raise ValueError("bad input")
        def mine(): raise Mine("k")
        def unicode(): b"\\xff".decode()
        """
    )
    with pytest.raises(ValueError, match="bad input") as caught:
        module.value()
    assert [(frame.line, frame.function) for frame in caught.value.frames] == [(3, "value")]
    with pytest.raises(KeyError) as caught:
        module.mine()
    assert type(caught.value).__name__ == "Mine" and not isinstance(caught.value, ValueError)
    with pytest.raises(UnicodeDecodeError, match="invalid start byte"):
        module.unicode()


def test_the_traceback_holds_the_learners_frames_only(behind):
    module = behind(HEAD + "def f(x):\n    return g(x)\ndef g(x):\n    return torch.cat([x, 3])\n")
    with pytest.raises(TypeError) as caught:
        module.f(torch.ones(1))
    assert [(frame.line, frame.function) for frame in caught.value.frames] == [(4, "f"), (6, "g")]


def test_a_missing_name_says_so(behind):
    module = behind("def rmsnorm(): pass")
    with pytest.raises(Missing, match=r"answer.py defines no `rms_norm`"):
        module.rms_norm(1)
    assert not hasattr(module, "rms_norm") and hasattr(module, "rmsnorm")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import sys; sys.exit(0)", "sys.exit"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("raise BaseException('x')", "raised BaseException"),
        ("raise GeneratorExit", "raised GeneratorExit"),
    ],
)
def test_leaving_is_a_crash_and_never_an_exception_of_the_test(behind, body, words):
    module = behind(f"def f(): {body}")
    with pytest.raises(RunnerFault, match=words) as caught:
        module.f()
    assert caught.value.outcome == "crashed" and not isinstance(caught.value, Exception)


def test_an_exception_whose_text_fails_or_is_huge(behind):
    module = behind(
        """
        class Bad(ValueError):
            def __str__(self): raise RuntimeError("no")
        def bad(): raise Bad
        def huge(): raise ValueError("x" * 200_000_000)
        """
    )
    with pytest.raises(ValueError, match="whose __str__ raised RuntimeError"):
        module.bad()
    with pytest.raises(ValueError) as caught:
        module.huge()
    assert len(str(caught.value)) <= 4000


def test_syntax_errors_carry_line_and_column(wall):
    with pytest.raises(SyntaxError, match="expected ':'"):
        wall.load("def f()\n    return 1\n")


# -- objects ----------------------------------------------------------------------------------------------------------

MODULE = (
    HEAD
    + """
class Scale(nn.Module):
    def __init__(self, dim, gain=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim,), gain))
        self.inner = nn.Linear(dim, 2, bias=False)
        self.register_buffer("seen", torch.zeros(()))
    def forward(self, x):
        self.seen += 1
        return self.inner(x * self.weight)
class Plain:
    size = 3
    def __init__(self): self.items = [1, 2, 3]
    def __len__(self): return 5
    def __getitem__(self, i): return self.items[i]
    def __iter__(self): return iter(self.items)
    def __contains__(self, x): return x == 4
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __bool__(self): return True
    def __float__(self): return 1.0
    def twice(self, x): return 2 * x
def counting():
    yield from range(3)
def adder(n):
    def add(x): return x + n
    return add
def same(x): return x
"""
)


def test_instances_of_modules(behind):
    impl = behind(MODULE)
    m = impl.Scale(4, gain=3.0)
    assert isinstance(m, nn.Module) and isinstance(m, impl.Scale) and not isinstance(m, impl.Plain)
    assert [(n, tuple(p.shape)) for n, p in m.named_parameters()] == [
        ("weight", (4,)),
        ("inner.weight", (2, 4)),
    ]
    assert isinstance(m.weight, nn.Parameter) and m.weight.tolist() == [3.0] * 4
    x = torch.randn(5, 4)
    assert torch.allclose(m(x), (x * m.weight) @ m.inner.weight.T)
    assert m.seen.item() == 1.0
    m.eval()
    assert m.training is False


def test_parameters_follow_changes_on_either_side(behind):
    m = behind(MODULE).Scale(3)
    x = torch.randn(2, 3)
    with torch.no_grad():
        m.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert m.state_dict()["weight"].tolist() == [1.0, 2.0, 3.0]
    m.weight.data[0] = 9.0  # does not count as a change of version
    assert m.state_dict()["weight"].tolist() == [9.0, 2.0, 3.0]
    m.load_state_dict({"weight": torch.zeros(3), "inner.weight": torch.ones(2, 3), "seen": torch.zeros(())})
    assert m.weight.tolist() == [0.0] * 3 and torch.equal(m(x), torch.zeros(2, 2))
    m.double()
    assert m.weight.dtype == torch.float64 and m(x.double()).dtype == torch.float64
    m.weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
    assert torch.allclose(m(x.double()), x.double().sum(-1, keepdim=True).expand(2, 2))


def test_gradients_reach_parameters(behind):
    m = behind(MODULE).Scale(3)
    x = torch.randn(4, 3, requires_grad=True)
    m(x).square().sum().backward()
    w, v = m.weight.detach().clone().requires_grad_(), m.inner.weight.detach().clone().requires_grad_()
    z = x.detach().clone().requires_grad_()
    ((z * w) @ v.T).square().sum().backward()
    for got, want in ((m.weight, w), (m.inner.weight, v), (x, z)):
        assert torch.allclose(got.grad, want.grad)
    m.zero_grad()
    assert m.weight.grad is None
    m.requires_grad_(False)
    assert not m.weight.requires_grad and m(x).requires_grad


def test_an_optimiser_trains_the_learners_module(behind):
    m = behind(MODULE).Scale(2)
    optimiser = torch.optim.SGD(m.parameters(), lr=0.1)
    x = torch.ones(1, 2)
    before = m(x).square().sum().item()
    for _ in range(5):
        optimiser.zero_grad()
        m(x).square().sum().backward()
        optimiser.step()
    assert m(x).square().sum().item() < before


def test_a_deep_copy_is_another_object(behind):
    m = behind(MODULE).Scale(2)
    other = copy.deepcopy(m)
    with torch.no_grad():
        other.weight.fill_(5.0)
    assert other.state_dict()["weight"].tolist() == [5.0, 5.0] and m.state_dict()["weight"].tolist() == [
        1.0,
        1.0,
    ]


def test_plain_objects_functions_and_iterators(behind):
    impl = behind(MODULE)
    p = impl.Plain()
    assert len(p) == 5 and p[1] == 2 and list(p) == [1, 2, 3] and 4 in p and 5 not in p
    assert p.twice(4) == 8 and p.size == 3
    p.size = 7
    assert p.size == 7
    assert list(impl.counting()) == [0, 1, 2] and impl.adder(2)(3) == 5
    assert impl.same(p) is p


def test_a_learners_object_never_equals_or_stands_for_a_value(behind):
    """Comparison, truth and conversion are not forwarded: an always-equal object must not pass for a number."""
    p = behind(MODULE).Plain()
    assert p != 3 and not p == torch.ones(1)  # noqa: SIM201
    with pytest.raises(AssertionError, match="an object of class Plain where a value was expected"):
        bool(p)
    with pytest.raises(TypeError):
        float(p)


def test_what_cannot_cross_the_wall_is_the_drills_fault(behind):
    with pytest.raises(NotSendable):
        behind("def f(x): return x").f(object())


# -- autograd ---------------------------------------------------------------------------------------------------------


def test_gradcheck_works_through_the_wall(behind):
    impl = behind(HEAD + "def f(x, w, *, p=2): return (x ** p).mean(-1, keepdim=True).rsqrt() * x * w, x.sum()")
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: impl.f(x, w), (x, w))


def test_a_wrong_backward_is_seen(behind):
    impl = behind(
        HEAD
        + """
class Sly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return 2 * x
    @staticmethod
    def backward(ctx, g): return 3 * g
def f(x): return Sly.apply(x)
def detached(x): return 2 * x.detach()
def half(x): return x.detach() + x
"""
    )
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(torch.autograd.grad(impl.f(x).sum(), x)[0], torch.full((3,), 3.0, dtype=torch.float64))
    assert not impl.detached(x).requires_grad
    assert torch.equal(torch.autograd.grad(impl.half(x).sum(), x)[0], torch.ones(3, dtype=torch.float64))


def test_nested_outputs_chains_and_unused_inputs(behind):
    impl = behind(HEAD + "def f(x, y): return {'a': [x * 2, (x.sum(), 5)], 'b': y.argmax()}")
    x, y = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    out = impl.f(impl.f(x, y)["a"][0], y)
    loss = out["a"][0].sum() + 4 * out["a"][1][0]
    gx, gy = torch.autograd.grad(loss, (x, y), allow_unused=True)
    assert torch.equal(gx, torch.full((3,), 12.0)) and gy is None and not out["b"].requires_grad


def test_no_grad_holds_on_the_other_side(behind):
    impl = behind(HEAD + "def f(x): return x * 2, torch.is_grad_enabled()")
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        y, enabled = impl.f(x)
    assert not y.requires_grad and enabled is False and impl.f(x)[1] is True


def test_an_exception_in_a_backward_is_the_learners(behind):
    impl = behind(
        HEAD
        + """
class Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 1
    @staticmethod
    def backward(ctx, g): raise ValueError("in backward")
def f(x): return Broken.apply(x)
"""
    )
    with pytest.raises(ValueError, match="in backward") as caught:
        impl.f(torch.ones(2, requires_grad=True)).sum().backward()
    assert isinstance(caught.value, RemoteError)


SIZES = """
import torch
def masked(x):
    mask = torch.ones(len(x), len(x), dtype=torch.bool).tril()
    return x * mask.sum(-1)
def tiled(x, block):
    return torch.cat([x[i : i + block, None].mul(x[i : i + block]).sum(-1) for i in range(0, len(x), block)])
def expanded(x):
    return x.expand(100, len(x))[3]
def mapped(x):
    return torch.vmap(lambda row: row * x)(x[:, None]).sum(-1)
def refuses(x):
    raise ValueError("no")
"""


def test_the_largest_tensor_made_is_told(behind):
    impl, x = behind(SIZES), torch.arange(12.0)
    assert largest_tensor(impl.masked, x)[1] == 144  # also as a mask of one byte each
    value, largest = largest_tensor(impl.tiled, x, block=4)
    assert torch.equal(value, impl.tiled(x, 4)) and largest == 16
    assert largest_tensor(impl.expanded, x)[1] == 12  # 1200 elements by shape, 12 in memory
    assert largest_tensor(impl.mapped, x)[1] == 144  # 12 at a time, for all of vmap's batch
    with pytest.raises(ValueError, match="no"):
        largest_tensor(impl.refuses, x)


def test_the_largest_tensor_of_code_in_this_process_is_told():
    namespace = {}
    exec(SIZES, namespace)
    assert largest_tensor(namespace["tiled"], torch.arange(12.0), 4)[1] == 16


def test_a_modules_own_method_of_a_usual_name_is_called(behind):
    source = (
        HEAD + "class M(nn.Module):\n    def eval(self): return 'mine'\n    def forward(self): return self.training"
    )
    assert behind(source).M().eval() == "mine" and behind(source).M()() is True


DRAWS = """
import torch
def draws(n): return torch.rand(n)
def draws_from(n, generator): return torch.rand(n, generator=generator)
"""


def test_the_global_random_state_is_seeded_and_told(behind):
    impl, fresh = behind(DRAWS), torch.Generator().manual_seed(5)
    untouched = fresh.get_state()
    first, after = seeded(5, impl.draws, 3)
    assert torch.equal(first, torch.rand(3, generator=fresh)) and torch.equal(after, fresh.get_state())
    assert torch.equal(seeded(5, impl.draws, 3)[0], first)
    own = torch.Generator().manual_seed(1)
    assert torch.equal(seeded(5, impl.draws_from, 3, own)[1], untouched)
    assert not torch.equal(own.get_state(), torch.Generator().manual_seed(1).get_state())


def test_the_global_random_state_in_this_process():
    state = torch.default_generator.get_state()
    try:
        value, after = seeded(5, lambda: torch.rand(2))
        assert torch.equal(value, torch.rand(2, generator=torch.Generator().manual_seed(5)))
        assert torch.equal(after, torch.default_generator.get_state())
    finally:
        torch.default_generator.set_state(state)


@pytest.mark.parametrize(
    "t",
    [torch.arange(8.0).as_strided((1, 1), (5, 3)), torch.empty(0).as_strided((0,), (2,)), torch.tensor(3.0)],
    ids=["one element", "none", "no dims"],
)
def test_inputs_of_any_stride_can_be_watched_for_changes(t):
    with unchanged(t=t):
        pass
    if t.numel():
        with pytest.raises(Mismatch), unchanged(t=t):
            t.add_(1.0)
