"""Calls that a drill rules out are stopped however they are reached, and remembered if the stop is swallowed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

from grader.engine.remote import RunnerFault

COURSE = tomllib.loads((Path(__file__).parents[2] / "drills/course.toml").read_text())
TERMS = {
    "forbidden": [*COURSE["forbidden"], "torch.nn.RMSNorm", "torch.rms_norm", "torch.nn.functional.rms_norm"],
    "operators": COURSE["operators"],
}
HEAD = "import torch, importlib\nimport torch.nn.functional as F\nfrom torch import nn\n"
Q = torch.randn(1, 2, 3, 4)


@pytest.mark.parametrize(
    "expression",
    [
        "F.scaled_dot_product_attention(x, x, x)",
        "getattr(F, 'scaled_dot' + '_product_attention')(x, x, x)",
        "torch._C._nn.scaled_dot_product_attention(x, x, x)",
        "torch.ops.aten.scaled_dot_product_attention(x, x, x)",
        "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(x, x, x)",
        "torch.ops.aten._scaled_dot_product_attention_math(x, x, x)",
        "nn.MultiheadAttention(4, 2)(x[0], x[0], x[0])",
        "vars(nn)['Multihead' + 'Attention'](4, 2)",
        "nn.modules.activation.MultiheadAttention(4, 2)",
        "type('Mine', (nn.MultiheadAttention,), {})(4, 2)",
        "F.multi_head_attention_forward(x[0], x[0], x[0], 4, 2, None, None, None, None, False, 0.0, None, None)",
        "nn.TransformerEncoderLayer(4, 2)(x[0])",
        "nn.Transformer(4, 2)",
        "torch.rms_norm(x, (4,))",
        "F.rms_norm(x, (4,))",
        "nn.RMSNorm(4)(x)",
        "torch.ops.aten.rms_norm(x, (4,))",
        "torch.func.vmap(lambda y: torch.rms_norm(y, (4,)))(x)",
        "importlib.import_module('torch.nn.attention.flex_attention')",
    ],
)
def test_stopped(behind, expression):
    with pytest.raises(RunnerFault) as caught:
        behind(HEAD + f"def f(x): return {expression}", **TERMS).f(Q)
    assert caught.value.outcome == "forbidden"


def test_stopped_in_torchscript(behind):
    script = "def g(x):\\n return torch.ops.aten.rms_norm(x, [4], None, 1e-6)\\n"
    source = HEAD + f"def f(x): return torch.jit.CompilationUnit('{script}').g(x)"
    with pytest.raises(RunnerFault) as caught:
        behind(source, **TERMS).f(Q)
    assert caught.value.outcome == "forbidden"


def test_swallowed_is_remembered(behind):
    source = HEAD + "def f(x):\n    try: return torch.rms_norm(x, (4,))\n    except BaseException: return x\n"
    with pytest.raises(RunnerFault, match="rms_norm") as caught:
        behind(source, **TERMS).f(Q)
    assert caught.value.outcome == "forbidden"


def test_while_loading(wall):
    runner = wall.runner(**TERMS)
    from grader.engine.messages import Load

    runner.start_load(Load((HEAD + "Y = torch.rms_norm(torch.ones(4), (4,))").encode(), "answer.py", "answer", 1))
    with pytest.raises(RunnerFault) as caught:
        runner.finish_load()
    assert caught.value.outcome == "forbidden"


def test_everything_else_still_works(behind):
    source = HEAD + (
        "def f(x):\n    lin = nn.Linear(4, 4)\n    y = F.layer_norm(lin(x), (4,)).softmax(-1) @ x.mT\n"
        "    return F.gelu(y), nn.LayerNorm(4)(x), F.softmax(x, -1), torch.einsum('bhid->bhd', x), F.dropout(x, 0.0)\n"
    )
    x = Q.clone().requires_grad_()
    out = behind(source, **TERMS).f(x)
    torch.autograd.grad(out[0].sum() + out[1].sum(), x)
    assert torch.allclose(out[2], torch.softmax(Q, -1))


def test_other_terms_are_not_touched(behind):
    """A drill that does not rule RMSNorm out may use it, whatever other drills' runners come from the same parent."""
    behind(HEAD + "def f(x): return x", **TERMS).f(Q)
    got = behind(HEAD + "def f(x): return nn.RMSNorm(4, eps=1e-6)(x).detach()", forbidden=COURSE["forbidden"]).f(Q)
    assert torch.allclose(got, Q * (Q.square().mean(-1, keepdim=True) + 1e-6).rsqrt())
