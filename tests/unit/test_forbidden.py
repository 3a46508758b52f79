"""Reading a source for what a drill rules out: every way of naming it, and nothing that only looks like it."""

from __future__ import annotations

import pytest

from grader.forbidden import find_uses

FORBIDDEN = [
    "torch.nn.functional.scaled_dot_product_attention", "torch.nn.attention", "torch.nn.MultiheadAttention",
    "torch.nn.Transformer*", "torch.rms_norm", "torch.nn.functional.rms_norm", "torch.nn.RMSNorm",
    "torch.optim.lr_scheduler",
]  # fmt: skip
OPERATORS = ["aten::scaled_dot_product_attention", "aten::_scaled_dot_product_flash_attention"]
PUBLIC = {"rms_norm", "RMSNorm", "f"}


def uses(source: str) -> list[str]:
    return [use.name for use in find_uses(source.encode(), FORBIDDEN, OPERATORS, PUBLIC)]


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ndef f(x): return torch.rms_norm(x, (3,))",
        "import torch.nn.functional as F\ndef f(x): return F.rms_norm(x, (3,))",
        "from torch.nn import functional as G\ndef f(x): return G.scaled_dot_product_attention(x, x, x)",
        "from torch.nn.functional import scaled_dot_product_attention as sdpa\ndef f(x): return sdpa(x, x, x)",
        "from torch.nn.functional import *\ndef f(x): return scaled_dot_product_attention(x, x, x)",
        "import torch\nfn = torch.nn.functional\ndef f(x): return fn.rms_norm(x, (3,))",
        "import torch\nnorm = torch.rms_norm\ndef f(x): return norm(x, (3,))",
        "import torch\ndef f(x): return getattr(torch, 'rms_norm')(x, (3,))",
        "import torch\ndef f(x): return getattr(torch.nn, 'functional').rms_norm(x, (3,))",
        "import importlib\ndef f(x): return importlib.import_module('torch.nn.functional').rms_norm(x, (3,))",
        "def f(x): return __import__('torch').rms_norm(x, (3,))",
        "from torch import nn\nclass RMSNorm(nn.Module):\n def __init__(s): s.inner = nn.RMSNorm(3)",
        "from torch import nn\nclass RMSNorm(nn.RMSNorm): pass",
        "from torch import nn\ndef f(x): return nn.TransformerEncoderLayer(8, 2)(x)",
        "import torch\ndef f(x): return torch.ops.aten._scaled_dot_product_flash_attention(x, x, x)",
        "import torch\ndef f(x): return torch._C._nn.scaled_dot_product_attention(x, x, x)",
        "from torch.nn.modules.activation import MultiheadAttention\ndef f(x): return MultiheadAttention(8, 2)(x)",
        "import torch\ndef f(x):\n    def inner(): return torch.rms_norm(x, (3,))\n    return inner()",
        "import torch\ndef helper(x): return torch.rms_norm(x, (3,))\ndef f(x): return helper(x)",
        "import torch\ndef a(x): return b(x)\ndef b(x): return torch.rms_norm(x, (3,))\nf = a",
        "import torch\nTABLE = {'norm': torch.rms_norm}\ndef f(x): return TABLE['norm'](x, (3,))",
        "from torch.optim import lr_scheduler\ndef f(o): return lr_scheduler.LinearLR(o)",
        "import solutions.rmsnorm\n",
        "from solutions.rmsnorm import rms_norm",
        "import drills.catalogue",
        "import importlib\nm = importlib.import_module('solutions.rmsnorm')",
    ],
)
def test_found(source):
    assert uses(source)


@pytest.mark.parametrize(
    "source",
    [
        "def rms_norm(x): return x\ndef f(x): return rms_norm(x)",
        "from torch.nn import RMSNorm\nclass RMSNorm: pass\ndef f(): return RMSNorm()",
        "class T:\n    def rms_norm(self): pass\ndef f(): return T().rms_norm()",
        "'''torch.rms_norm is what this writes'''\ndef f(): pass  # not torch.rms_norm",
        "import torch\ndef f(x): return x\nif __name__ == '__main__':\n    print(torch.rms_norm(f(1), (3,)))",
        "import torch\ndef f(x): return x\ndef _compare(x): assert torch.rms_norm(x, (3,)) is f(x)",
        "import torch\nclass TransformerBlock(torch.nn.Module): pass\ndef f(): return TransformerBlock()",
        "from torch.nn.functional import rms_norm as library\ndef f(x): return x",
        "import torch.nn.functional as F\ndef f(x): return F.softmax(F.linear(x, x), -1)",
        "from torch import nn\ndef f(): return nn.LayerNorm(3), nn.Linear(3, 4)",
        "name = 'scaled_dot_product_attention'\ndef f(): return name",
        "def f(:",
        "",
        "\ufeffdef f(): pass",
    ],
)
def test_not_found(source):
    assert uses(source) == []


def test_the_line_is_the_calls():
    source = b"import torch\n\n\ndef f(x):\n    y = x\n    return torch.rms_norm(y, (3,))\n"
    assert [(use.name, use.line) for use in find_uses(source, FORBIDDEN, OPERATORS, PUBLIC)] == [("torch.rms_norm", 6)]


def test_a_source_made_to_break_the_reader_breaks_nothing():
    for source in ("(" * 5000 + ")" * 5000, "-" * 100_000 + "1", "x = " + "a." * 50_000 + "b", "\0"):
        assert uses(source) == []
