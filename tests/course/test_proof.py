"""The proof itself: it finds what an instructor overlooks, and library implementations get the right numbers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from drills.catalogue import Catalogue
from grader.authoring import read_stand_ins
from grader.checking import run
from grader.errors import BadInput
from grader.requests import request_for
from grader.validation import Plan, prove, stand_in_request
from tests.checks import grader, solution

CATALOGUE = Catalogue.load()


def pack_of(tmp_path: Path, topic: str) -> Path:
    """A pack with a scratch copy of one drill, under a name of its own."""
    drill, slug = CATALOGUE.find(topic), f"my_{topic}"
    shutil.copytree(drill.folder, tmp_path / "drills" / slug)
    (tmp_path / "solutions").mkdir()
    shutil.copy(drill.solution, tmp_path / "solutions" / f"{slug}.py")
    toml = tmp_path / "drills" / slug / "drill.toml"
    toml.write_text(re.sub(r"(?m)^prerequisites = .*$", "prerequisites = []", toml.read_text()))
    course = f'[[groups]]\nid = "mine"\ntitle = "Mine"\ntitle_zh = "我的"\ndrills = ["{slug}"]\n'
    (tmp_path / "drills" / "course.toml").write_text(course)
    return tmp_path


def without_test(file: Path, name: str) -> None:
    text = file.read_text()
    shortened = re.sub(rf"(?ms)^def {name}\(.*?(?=^def |\Z)", "", text)
    assert shortened != text
    file.write_text(shortened)


def test_a_deleted_test_is_missed(tmp_path):
    """Without the check of the module's gradients, validate names the mistake that slips through, and exits 1."""
    pack = pack_of(tmp_path, "rmsnorm")
    without_test(pack / "drills" / "my_rmsnorm" / "hidden_tests.py", "test_module_gradients")
    ran = grader("validate", "my_rmsnorm", "--pack", pack, "--no-mutants", "--json", "--seeds", "1", timeout=300)
    assert ran.code == 1
    (proof,) = json.loads(ran.out)["drills"]
    assert {p["name"]: p["problem"] for p in proof["proofs"] if p.get("problem")} == {
        "WeightWithoutGradient": "is not rejected (seed 1000)"
    }


def test_a_surviving_mutant_is_shown_as_a_diff_and_a_stale_entry_is_told(tmp_path):
    pack = pack_of(tmp_path, "masking")
    listed = pack / "drills" / "my_masking" / "mutants.toml"
    first = listed.read_text().split("[[equivalent]]")[1]
    listed.write_text("[[equivalent]]" + first)
    drill = Catalogue.load(packs=[pack]).find("my_masking")
    survivors = [hole for hole in prove(drill, Plan(1)).holes if hole.kind == "mutant"]
    assert len(survivors) == 3 and {hole.problem for hole in survivors} == {"survives"}
    assert any("-    longest = int(lengths.max())\n+    longest = lengths.max()" in hole.diff for hole in survivors)
    listed.write_text('[[equivalent]]\nmutant = "nowhere: a => b"\nreason = "no such line"\n')
    with pytest.raises(BadInput, match="nowhere: a => b"):
        prove(drill, Plan(1))
    listed.write_text('[[equivalent]]\nmutant = "nowhere: a => b"\nreason = " "\n')
    with pytest.raises(BadInput, match="without a reason"):
        prove(drill, Plan(1))


# What was judged wrongly once, by chance: drill, file, name, seed, and the verdict that is right.
ONCE_WRONG = [
    ("warmup", "equivalents", "noam_in_a_tensor", 1057, "passed"),
    ("bert_masking", "mistakes", "draws_whole_percents", 1013, "failed"),
]


@pytest.mark.parametrize(("topic", "file", "name", "seed", "verdict"), ONCE_WRONG)
def test_what_was_judged_wrongly_by_chance_is_judged_rightly(topic, file, name, seed, verdict):
    drill = CATALOGUE.find(topic)
    stand_in = next(each for each in read_stand_ins(drill.folder / f"{file}.py") if each.name == name)
    request = msgspec.structs.replace(stand_in_request(drill, stand_in), seed=seed)
    assert run(request, True, lambda event: None).verdict == verdict


LIBRARY = {
    "rmsnorm": """
import torch.nn.functional as F
def rms_norm(x, weight=None, eps=1e-6):
    y = F.rms_norm(x, x.shape[-1:], None, eps)
    return (y if weight is None else y * weight).to(x.dtype)
class RMSNorm(nn.RMSNorm):
    def __init__(self, dim, eps=1e-6):
        super().__init__(dim, eps=eps)
    def forward(self, x):
        return rms_norm(x, self.weight, self.eps)
""",
    "scaling": """
import torch.nn.functional as F
def attention(q, k, v, mask=None, scale=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    shape = (*q.shape[:-1], k.shape[-2])
    mask = None if mask is None else mask.expand(shape)
    one = torch.eye(k.shape[-2], dtype=wide).expand(*k.shape[:-1], k.shape[-2])
    def attend(values):
        return F.scaled_dot_product_attention(q.to(wide), k.to(wide), values, attn_mask=mask, scale=scale).to(q.dtype)
    return attend(v.to(wide)), attend(one)
""",
    "gqa": """
import torch.nn.functional as F
def grouped_query_attention(q, k, v, mask=None):
    if q.size(1) % k.size(1):
        raise ValueError("the heads cannot be shared out")
    wide = torch.promote_types(q.dtype, torch.float32)
    mask = None if mask is None else mask.expand(*q.shape[:-1], k.shape[-2])
    return F.scaled_dot_product_attention(q.to(wide), k.to(wide), v.to(wide), mask, enable_gqa=True).to(q.dtype)
""",
    "mha_splitting": """
import torch.nn.functional as F
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads, bias=True):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("the width cannot be split")
        self.num_heads, self.d_head = num_heads, d_model // num_heads
        self.w_q, self.w_k, self.w_v, self.w_o = (nn.Linear(d_model, d_model, bias=bias) for _ in range(4))

    def forward(self, query, key=None, value=None, mask=None):
        key = query if key is None else key
        value = key if value is None else value
        wide = torch.promote_types(query.dtype, torch.float32)
        seen = (query.size(0), self.num_heads, query.size(1), key.size(1))
        hidden = None if mask is None else ~mask.expand(seen).reshape(-1, *seen[2:])
        layers = (self.w_q, self.w_k, self.w_v)
        biases = None if self.w_q.bias is None else torch.cat([layer.bias for layer in layers]).to(wide)
        last = None if self.w_o.bias is None else self.w_o.bias.to(wide)
        output, _ = F.multi_head_attention_forward(
            *(x.to(wide).transpose(0, 1) for x in (query, key, value)), query.size(-1), self.num_heads, None, biases,
            None, None, False, 0.0, self.w_o.weight.to(wide), last, need_weights=False, attn_mask=hidden,
            use_separate_proj_weight=True, q_proj_weight=self.w_q.weight.to(wide),
            k_proj_weight=self.w_k.weight.to(wide), v_proj_weight=self.w_v.weight.to(wide))
        return output.transpose(0, 1).to(query.dtype)
""",
}


@pytest.mark.parametrize("topic", LIBRARY)
def test_a_library_implementation_has_the_right_numbers_and_is_refused(topic):
    drill, source = CATALOGUE.find(topic), (solution(topic) + LIBRARY[topic]).encode()
    request = request_for(drill, source, "library.py", seed=7)
    allowed = run(msgspec.structs.replace(request, allow_forbidden=True), True, lambda event: None)
    assert [(check.id, check.message) for check in allowed.failures] == []
    refused = run(request, True, lambda event: None)
    assert {check.outcome for check in refused.checks} == {"forbidden"}
