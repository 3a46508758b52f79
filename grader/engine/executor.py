"""Carries out requests on a module: the runner's inner half.

It runs in the runner's process on the learner's module, and in the judge's own process on the reference solution and
on known mistakes, so that all three are seen through the same glass.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import linecache
import random
import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from grader import authoring
from grader.engine.messages import (
    Ask,
    Forbidden,
    Frame,
    Grads,
    Load,
    Ok,
    Raised,
    ReplyBody,
    RequestBody,
    Vjp,
)
from grader.engine.values import (
    ArrayRef,
    Decoder,
    Encoder,
    GeneratorRef,
    Handle,
    Map,
    Seq,
    TensorRef,
    Value,
)
from grader.measuring import LargestTensor

MESSAGE_CAP = 4000  # characters of an exception's text
FRAMES_CAP = 30
BUILTIN_EXCEPTIONS = frozenset(
    name
    for name, value in vars(__import__("builtins")).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)


_NOTHING = torch.empty(0, dtype=torch.bool)  # no parameter's value: what the judge knows of a new one


class ForbiddenCall(BaseException):
    """Raised by a trap. Not an Exception, so that an ordinary `except` does not swallow it."""


class _Call:
    """What a later Vjp needs of a call: its differentiable inputs, by index, and outputs."""

    def __init__(self, inputs: dict[int, Tensor], outputs: dict[int, Tensor]) -> None:
        self.inputs = inputs
        self.outputs = outputs


class Executor:
    """One module and the objects that came out of it."""

    def __init__(self, module: ModuleType, filename: str) -> None:
        self._objects: dict[int, Any] = {0: module}
        self._ids: dict[int, int] = {id(module): 0}
        self._counter = itertools.count(1)
        self._filename = filename
        self._calls: dict[int, _Call] = {}
        self._parameters: dict[int, tuple[nn.Parameter, Tensor]] = {}  # id -> parameter, value the judge knows
        self._parameter_ids: dict[int, int] = {}

    # -- requests ------------------------------------------------------------------------------------------------

    def handle(self, body: RequestBody, payload: bytearray) -> tuple[ReplyBody, list[memoryview]]:
        """Answer one request. Whatever the learner's code raises is part of the answer."""
        pristine = bytes(payload)
        decoder = Decoder(payload, self._resolve, compact=False)
        encoder = Encoder(self._handle, compact=True)
        try:
            if isinstance(body, Vjp):
                reply: ReplyBody = self._vjp(body, decoder, encoder)
            else:
                assert isinstance(body, Ask)
                reply = self._ask(body, decoder, encoder, pristine)
        except BaseException as error:
            encoder = Encoder(self._handle, compact=True)
            changed = self._changed(decoder, encoder, pristine)
            reply = self.describe(error)
            if isinstance(reply, Raised):
                reply = msgspec.structs.replace(reply, changed=changed)
        return reply, encoder.buffers

    def _ask(self, ask: Ask, decoder: Decoder, encoder: Encoder, pristine: bytes) -> Ok:
        for ident, ref in ask.parameters:
            self._update_parameter(ident, decoder.tensor(ref))
        target = self._objects[ask.target]
        args = [decoder.decode(arg) for arg in ask.args]
        kwargs = {name: decoder.decode(value) for name, value in ask.kwargs}
        inputs = _require_grad(decoder, ask.grad)
        args, kwargs = _swap(args, inputs), _swap(kwargs, inputs)
        with _grad_mode(ask.grad):
            value = _OPERATIONS[ask.op](target, ask.name, args, kwargs)
        wire = encoder.encode(value)
        if isinstance(value, nn.Module):
            for parameter in value.parameters():
                self._parameter_id(parameter, announce=True)
        outputs = {i: t for i, t in enumerate(encoder.seen) if isinstance(t, Tensor) and t.requires_grad}
        if ask.op in ("get", "next", "item"):
            wire = self._mark_parameters(wire, encoder)
        call = 0
        if outputs and ask.op in ("call", "method"):
            call = next(self._counter)
            self._calls[call] = _Call({i: value.leaf for i, value in inputs.items()}, outputs)
        return Ok(wire, call, self._changed(decoder, encoder, pristine), self._news(encoder))

    def _vjp(self, body: Vjp, decoder: Decoder, encoder: Encoder) -> Grads:
        call = self._calls[body.call]
        wanted = [call.inputs[i] for i in body.inputs] + [self._parameters[i][0] for i in body.parameters]
        grads = torch.autograd.grad(
            [call.outputs[i] for i in body.outputs],
            wanted,
            [decoder.tensor(ref) for ref in body.cotangents],
            retain_graph=True,
            allow_unused=True,
        )
        refs = [None if g is None else encoder.encode(g.detach()) for g in grads]
        return Grads([ref if isinstance(ref, TensorRef) else None for ref in refs])

    def names(self) -> Value:
        """The functions and classes that the module defines, so that the judge need not ask for each."""
        module = self._objects[0]
        found = {
            name: value
            for name, value in list(vars(module).items())
            if isinstance(value, type | FunctionType) and not name.startswith("__")
        }
        return Encoder(self._handle, compact=True).encode(found)

    # -- objects and parameters ----------------------------------------------------------------------------------

    def _handle(self, value: Any) -> Handle:
        ident = self._ids.get(id(value))
        if ident is None or self._objects[ident] is not value:
            ident = next(self._counter)
            self._objects[ident] = value
            self._ids[id(value)] = ident
        return Handle(ident, type(value).__name__[:200], _kind(value))

    def _resolve(self, handle: Handle) -> Any:
        return self._objects[handle.id]

    def _mark_parameters(self, wire: Value, encoder: Encoder) -> Value:
        """Give the parameters in a value identities, so that the judge keeps one mirror for each."""

        def mark(value: Value) -> Value:
            if isinstance(value, TensorRef):
                tensor = encoder.seen[value.index]
                if isinstance(tensor, nn.Parameter):
                    return msgspec.structs.replace(value, parameter=self._parameter_id(tensor))
            elif isinstance(value, Seq):
                return msgspec.structs.replace(value, items=[mark(item) for item in value.items])
            elif isinstance(value, Map):
                return Map([(mark(k), mark(v)) for k, v in value.items])
            return value

        return mark(wire)

    def _parameter_id(self, parameter: nn.Parameter, *, announce: bool = False) -> int:
        """The identity of a parameter. `announce`: if it is new, its value goes with the next answer."""
        ident = self._parameter_ids.get(id(parameter))
        if ident is None:
            ident = self._parameter_ids[id(parameter)] = next(self._counter)
            self._parameters[ident] = (parameter, _NOTHING if announce else parameter.detach().clone())
        return ident

    def _update_parameter(self, ident: int, value: Tensor) -> None:
        parameter, _ = self._parameters[ident]
        parameter.data = value.clone()
        self._parameters[ident] = (parameter, value.clone())

    def _news(self, encoder: Encoder) -> list[tuple[int, TensorRef]]:
        """Parameters whose value is no longer what the judge knows (load_state_dict, .double(), ...)."""
        news = []
        for ident, (parameter, known) in list(self._parameters.items()):
            now = parameter.detach()  # not its version: a change of .data does not count there
            if now.dtype != known.dtype or now.shape != known.shape or not _same_bytes(now, known):
                self._parameters[ident] = (parameter, now.clone())
                ref = encoder.encode(now)
                if isinstance(ref, TensorRef):
                    news.append((ident, msgspec.structs.replace(ref, requires_grad=parameter.requires_grad)))
        return news

    def _changed(self, decoder: Decoder, encoder: Encoder, pristine: bytes) -> list[Value]:
        """Inputs that the call has changed in place, as they are now (index and new content)."""
        changed: list[Value] = []
        for index, ref in decoder.refs.items():
            now: Any = decoder.objects[index]
            if isinstance(ref, GeneratorRef):
                state = now.get_state().numpy().tobytes()
                if state != ref.state:
                    changed.append(GeneratorRef(index, state))
            elif (
                memoryview(decoder.payload)[ref.start : ref.start + ref.nbytes]
                != memoryview(pristine)[ref.start : ref.start + ref.nbytes]
            ):
                wire = encoder.encode(now.detach().clone() if isinstance(now, Tensor) else np.array(now))
                if isinstance(wire, TensorRef | ArrayRef):
                    changed.append(msgspec.structs.replace(wire, index=index))
        return changed

    # -- exceptions ----------------------------------------------------------------------------------------------

    def describe(self, error: BaseException) -> Raised | Forbidden:
        """An exception as data: its class, text and the frames that are the learner's."""
        frames = list(_frames(error.__traceback__, self._filename))
        if isinstance(error, ForbiddenCall):
            return Forbidden(str(error), frames)
        bases = [cls.__name__ for cls in type(error).__mro__ if cls.__name__ in BUILTIN_EXCEPTIONS]
        syntax = None
        if isinstance(error, SyntaxError) and error.filename == self._filename:
            syntax = (int(error.lineno or 0), int(error.offset or 0), str(error.text or "")[:400])
        text = str(error.msg) if syntax is not None and isinstance(error, SyntaxError) else _text(error)
        return Raised(type(error).__name__[:200], bases, text, frames, syntax=syntax)


class _Differentiable(NamedTuple):
    """An input that requires grad: as decoded, as the leaf of this side's graph, and as the code is given it."""

    decoded: Tensor
    leaf: Tensor
    given: Tensor


@contextlib.contextmanager
def _grad_mode(wanted: bool) -> Iterator[None]:
    """The judge's mode, unless the code has switched gradients off for good: then they stay off, as at home."""
    own = torch.is_grad_enabled()
    torch.set_grad_enabled(own and wanted)
    try:
        yield
    finally:
        left = torch.is_grad_enabled()
        torch.set_grad_enabled(own if left == (own and wanted) else left)


def _require_grad(decoder: Decoder, grad: bool) -> dict[int, _Differentiable]:
    """The differentiable inputs by index. The code gets a leaf for a leaf and a non-leaf for a non-leaf.

    Where no gradients are recorded, only parameters are made to be what they are.
    """
    inputs = {}
    for index, ref in decoder.refs.items():
        if isinstance(ref, TensorRef) and ref.requires_grad and (grad or ref.parameter == -1):
            decoded = decoder.objects[index].requires_grad_()
            leaf = nn.Parameter(decoded) if ref.parameter == -1 else decoded
            inputs[index] = _Differentiable(decoded, leaf, leaf if ref.leaf else _non_leaf(leaf))
    return inputs


def _non_leaf(leaf: Tensor) -> Tensor:
    apply: Any = _Identity.apply  # untyped in torch
    result: Tensor = apply(leaf)
    return result


class _Identity(torch.autograd.Function):
    """A non-leaf with the leaf's values, which may be changed in place as at home."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x.detach()

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def _swap(value: Any, inputs: dict[int, _Differentiable]) -> Any:
    """Put what the code is given in the place of the decoded tensors."""
    if not inputs:
        return value
    if isinstance(value, Tensor):
        return next((i.given for i in inputs.values() if i.decoded is value), value)
    if type(value) in (list, tuple):
        return type(value)(_swap(item, inputs) for item in value)
    if isinstance(value, dict):
        return {k: _swap(v, inputs) for k, v in value.items()}
    return value


def _same_bytes(a: Tensor, b: Tensor) -> bool:
    if a.numel() == 0:
        return True
    return torch.equal(_bytes(a), _bytes(b))


def _bytes(t: Tensor) -> Tensor:
    flat = t.reshape(-1)
    if flat.stride(0) != 1:  # also of a single element, which counts as contiguous whatever its stride
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8)


def _kind(value: Any) -> str:
    if isinstance(value, nn.Module):
        return "module"
    if isinstance(value, type):
        return "class"
    if isinstance(value, FunctionType | BuiltinFunctionType | MethodType):
        return "function"
    return "iterator" if isinstance(value, Iterator) else "object"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MESSAGE_CAP]
    except Exception as failure:
        return f"<{type(error).__name__} whose __str__ raised {type(failure).__name__}>"


def _frames(traceback: TracebackType | None, filename: str) -> Iterator[Frame]:
    found = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == filename:
            found.append(Frame(traceback.tb_lineno, code.co_name[:200]))
        traceback = traceback.tb_next
    return iter(found[-FRAMES_CAP:])


def _measure(function: Any, _name: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, int]:
    with LargestTensor() as largest:
        value = function(*args, **kwargs)
    return value, largest.elements


def _seeded(function: Any, seed: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, Tensor]:
    torch.default_generator.manual_seed(int(seed))
    return function(*args, **kwargs), torch.default_generator.get_state()


_Operation = Callable[[Any, str, list[Any], dict[str, Any]], Any]
_OPERATIONS: dict[str, _Operation] = {
    "get": lambda o, name, a, k: getattr(o, name),
    "set": lambda o, name, a, k: setattr(o, name, a[0]),
    "delete": lambda o, name, a, k: delattr(o, name),
    "call": lambda o, name, a, k: o(*a, **k),
    "method": lambda o, name, a, k: getattr(o, name)(*a, **k),
    "measure": _measure,
    "seeded": _seeded,
    "len": lambda o, name, a, k: len(o),
    "iter": lambda o, name, a, k: iter(o),
    "next": lambda o, name, a, k: next(o),
    "item": lambda o, name, a, k: o[a[0]],
    "set_item": lambda o, name, a, k: o.__setitem__(a[0], a[1]),
    "contains": lambda o, name, a, k: a[0] in o,
    "dir": lambda o, name, a, k: dir(o),
    "copy": lambda o, name, a, k: copy.deepcopy(o),
    "is_instance": lambda o, name, a, k: isinstance(a[0], o),
}


def seed_everything(seed: int) -> None:
    """Seed every generator that code may draw from without saying so."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed also asks for every kind of accelerator
    np.random.seed(seed % 2**32)
    random.seed(seed)


def open_module(load: Load) -> tuple[ModuleType, Executor]:
    """An empty module for a source, known to the import system and to tracebacks, and its executor."""
    module = ModuleType(load.name)
    module.__file__ = load.filename
    sys.modules[load.name] = module
    text = load.source.decode("utf-8", "replace")
    linecache.cache[load.filename] = (len(text), None, text.splitlines(keepends=True), load.filename)
    return module, Executor(module, load.filename)


def fill_module(module: ModuleType, load: Load) -> None:
    """Run the source, and put the stand-in in its place if one is asked for. Raises whatever the source raises."""
    _run_source(module, load.source, load.filename)
    if load.stand_in is None:
        return
    source, filename, name = load.stand_in
    unpatched = ModuleType("solution")
    _run_source(unpatched, load.source, load.filename)
    authoring.bind_solution(unpatched)
    namespace = ModuleType("stand_ins")
    _run_source(namespace, source, filename)
    mark = next(m for kind in authoring.KINDS for m in authoring.stand_ins(vars(namespace), kind) if m.name == name)
    setattr(module, mark.replaces, mark.target)


def _run_source(module: ModuleType, source: bytes, filename: str) -> None:
    exec(_compiled(source, filename), module.__dict__)


@functools.lru_cache(maxsize=8)
def _compiled(source: bytes, filename: str) -> CodeType:
    return compile(source, filename, "exec", dont_inherit=True)
