"""`impl`: the learner's module as hidden tests see it, though it runs in another process.

Functions, classes and instances are proxies; values come back as values. Autograd works through it: what the
learner's code computed from tensors that require grad is one node of the judge's graph, whose backward asks the
runner for the vector-Jacobian product. Parameters of the learner's modules have mirrors here, real leaf parameters:
changing a mirror changes the parameter before the next call, and gradients arrive in the mirror's `.grad`.

Comparison, truth and arithmetic are never forwarded: an object of the learner's cannot equal what a test expects.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from grader.engine.frames import ProtocolError
from grader.engine.messages import Ask, Frame, Grads, Ok, Raised, ReplyBody, RequestBody, Vjp
from grader.engine.remote import Runner, RunnerFault, Transport
from grader.engine.values import (
    Decoder,
    Encoder,
    GeneratorRef,
    Handle,
    Shared,
    TensorRef,
    Value,
    believable,
    set_state,
)


class RemoteError(Exception):
    """Base of every exception that the learner's code raised, whatever built-in class it also is."""

    message: str
    type_name: str
    frames: list[Frame]

    def __str__(self) -> str:
        return self.message


class Missing(RemoteError, AttributeError):
    """The learner's file does not define a name that the drill asks for."""


class NotSendable(TypeError):
    """A hidden test passed something that cannot cross the wall: the drill's fault, not the learner's."""


class Recorded(msgspec.Struct, frozen=True):
    """One exchange, as the diagnosis compares it."""

    request: RequestBody
    reply: ReplyBody
    payload: bytes


class Impl:
    """One loaded module behind a transport, with everything that came out of it."""

    def __init__(
        self, transport: Transport, filename: str, names: Value, watch: Callable[[Recorded], None] | None = None
    ) -> None:
        """`names`: the module's functions and classes, as its loading told. `watch` sees every exchange."""
        self._watch = watch
        self._transport = transport
        self._filename = filename
        self._proxies: dict[int, RemoteObject] = {}
        self._mirrors: dict[int, nn.Parameter] = {}
        self._known: dict[int, Tensor] = {}  # the value of a mirror that the other side knows
        self.trace: list[Recorded] = []
        self._names = self._read_names(names)
        self.module = RemoteObject(self, Handle(0, "module", "object"))

    def _read_names(self, names: Value) -> dict[str, RemoteObject]:
        try:
            found = Decoder(bytearray(), self.proxy, compact=True).decode(names)
        except ProtocolError as error:
            raise self._violation(error) from None
        pairs = found.items() if isinstance(found, dict) else ()
        return {name: value for name, value in pairs if isinstance(name, str) and isinstance(value, RemoteObject)}

    def attribute(self, handle: Handle, name: str) -> Any:
        """An attribute of an object of the learner's; functions and classes of the module are known already."""
        if handle.id == 0 and name in self._names:
            return self._names[name]
        return self.ask("get", handle, name)

    def method(self, handle: Handle, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of an object of the learner's."""
        return self.ask("method", handle, name, args, kwargs)

    def ask(self, op: str, target: Handle, name: str = "", args: Any = (), kwargs: Any = None) -> Any:
        """Have `op` done to an object of the learner's; the value, or the learner's exception raised here."""
        encoder = Encoder(self._opaque, compact=False)
        request = Ask(
            op, target.id, name,
            [encoder.encode(arg) for arg in args],
            [(key, encoder.encode(value)) for key, value in (kwargs or {}).items()],
            torch.is_grad_enabled(),
            self._changed_mirrors(encoder),
        )  # fmt: skip
        reply, payload = self._exchange(request, encoder.buffers)
        try:
            if isinstance(reply, Raised):
                with believable():
                    self._apply_changes(reply.changed, payload, encoder.seen)
                raise self._exception(reply, request)
            if not isinstance(reply, Ok):
                raise ProtocolError("an answer of another kind")
            with believable():
                self._learn_parameters(reply, payload)
                value = self._value(reply, payload, encoder.seen)
                self._apply_changes(reply.changed, payload, encoder.seen)
            return value
        except ProtocolError as error:
            raise self._violation(error) from None

    def _exchange(self, request: RequestBody, buffers: list[memoryview]) -> tuple[ReplyBody, bytearray]:
        reply, payload = self._transport.ask(request, buffers)
        record = Recorded(request, reply, bytes(payload))
        self.trace.append(record)
        if self._watch is not None:
            self._watch(record)
        return reply, payload

    def _violation(self, error: ProtocolError) -> BaseException:
        if isinstance(self._transport, Runner):
            return self._transport.protocol_error(error)
        return error

    # -- values --------------------------------------------------------------------------------------------------

    def _opaque(self, value: Any) -> Handle:
        if isinstance(value, RemoteObject):
            return value._handle
        raise NotSendable(f"a {type(value).__name__} cannot be passed to the learner's code")

    def proxy(self, handle: Handle) -> RemoteObject:
        known = self._proxies.get(handle.id)
        if known is None:
            known = RemoteModule(self, handle) if handle.kind == "module" else RemoteObject(self, handle)
            self._proxies[handle.id] = known
        return known

    def _value(self, reply: Ok, payload: bytearray, inputs: list[Any]) -> Any:
        decoder = Decoder(payload, self.proxy, compact=True)
        value = decoder.decode(reply.value)
        tensors = {i: ref for i, ref in decoder.refs.items() if isinstance(ref, TensorRef)}
        if not any(ref.parameter > 0 or ref.requires_grad for ref in tensors.values()):
            return value
        for index, ref in tensors.items():
            if ref.parameter > 0:
                decoder.objects[index] = self._mirror(ref.parameter, decoder.objects[index], ref.requires_grad)
        outputs = [i for i, ref in tensors.items() if ref.requires_grad and ref.parameter <= 0]
        if reply.call and outputs and torch.is_grad_enabled():
            connected = self._connect(reply.call, outputs, decoder.objects, inputs)
            decoder.objects.update(zip(outputs, connected, strict=True))
        return decoder.decode(reply.value)

    def _connect(self, call: int, outputs: list[int], objects: dict[int, Any], inputs: list[Any]) -> Any:
        """Hang a call's outputs into the graph, below its inputs and the parameters that have mirrors."""
        sources = [i for i, value in enumerate(inputs) if isinstance(value, Tensor) and value.requires_grad]
        mirrors = [ident for ident, mirror in self._mirrors.items() if mirror.requires_grad]
        tensors = [inputs[i] for i in sources] + [self._mirrors[ident] for ident in mirrors]
        values = [objects[i] for i in outputs]
        if not tensors:
            return values
        apply: Any = _RemoteCall.apply  # untyped in torch
        return apply(self, (call, outputs, sources, mirrors), values, *tensors)

    def vjp(self, node: tuple[Any, ...], cotangents: list[tuple[int, Tensor]], like: list[Tensor]) -> list[Any]:
        """Gradients of a call's inputs, asked of the other side; each checked to be of its input's shape."""
        call, sources, mirrors = node
        encoder = Encoder(self._opaque, compact=False)
        refs = [encoder.encode(c.contiguous()) for _, c in cotangents]
        request = Vjp(call, [i for i, _ in cotangents], [r for r in refs if isinstance(r, TensorRef)], sources, mirrors)
        reply, payload = self._exchange(request, encoder.buffers)
        if isinstance(reply, Raised):
            raise self._exception(reply, request)
        decoder = Decoder(payload, self.proxy, compact=True)
        try:
            if not isinstance(reply, Grads) or len(reply.grads) != len(like):
                raise ProtocolError("an answer of another kind")
            grads = [None if ref is None else decoder.tensor(ref) for ref in reply.grads]
            for grad, tensor in zip(grads, like, strict=True):
                if grad is not None and (grad.shape != tensor.shape or grad.dtype != tensor.dtype):
                    raise ProtocolError("a gradient of another shape")
        except ProtocolError as error:
            raise self._violation(error) from None
        return grads

    # -- changes in place, parameters ----------------------------------------------------------------------------

    def _apply_changes(self, changed: list[Any], payload: bytearray, inputs: list[Any]) -> None:
        decoder = Decoder(payload, self.proxy, compact=True)
        for ref in changed:
            if not isinstance(ref, Shared) or not 0 <= ref.index < len(inputs):
                raise ProtocolError("a change of an input that there is not")
            target, index = inputs[ref.index], ref.index
            if isinstance(ref, GeneratorRef) and isinstance(target, torch.Generator):
                set_state(target, ref.state)
                continue
            value = decoder.decode(msgspec.structs.replace(ref, index=-1 - index))
            if isinstance(target, Tensor) and isinstance(value, Tensor) and value.shape == target.shape:
                with torch.no_grad():
                    target.detach().copy_(value)
            elif isinstance(target, np.ndarray) and isinstance(value, np.ndarray) and value.shape == target.shape:
                target[...] = value
            else:
                raise ProtocolError("a change of another shape")

    def _mirror(self, ident: int, value: Tensor, requires_grad: bool) -> nn.Parameter:
        mirror = self._mirrors.get(ident)
        if mirror is None:
            mirror = self._mirrors[ident] = nn.Parameter(value.clone(), requires_grad)
            self._known[ident] = value.clone()
        return mirror

    def _learn_parameters(self, reply: Ok, payload: bytearray) -> None:
        decoder = Decoder(payload, self.proxy, compact=True)
        for ident, ref in reply.parameters:
            value = decoder.tensor(ref).clone()
            if ident in self._mirrors:
                self._mirrors[ident].data = value
                self._known[ident] = value.clone()
            else:
                self._mirror(ident, value, ref.requires_grad)

    def _changed_mirrors(self, encoder: Encoder) -> list[tuple[int, TensorRef]]:
        changed = []
        for ident, mirror in self._mirrors.items():
            now, known = mirror.detach(), self._known[ident]
            if now.dtype != known.dtype or now.shape != known.shape or not torch.equal(now, known):
                self._known[ident] = now.clone()
                ref = encoder.encode(now)
                if isinstance(ref, TensorRef):
                    changed.append((ident, ref))
        return changed

    @property
    def mirrors(self) -> list[nn.Parameter]:
        return list(self._mirrors.values())

    # -- exceptions ----------------------------------------------------------------------------------------------

    def _exception(self, reply: Raised, request: RequestBody) -> BaseException:
        missing = isinstance(request, Ask) and request.op == "get" and request.target == 0
        if missing and isinstance(request, Ask) and "AttributeError" in reply.bases and not reply.frames:
            error = Missing()
            error.type_name, error.frames = "AttributeError", []
            error.message = f"{self._filename} defines no `{request.name}`"
            return error
        return exception_of(reply)


_classes: dict[tuple[str, str], type[RemoteError]] = {}


def exception_of(reply: Raised) -> BaseException:
    """The exception that the learner's code raised: of the same built-in class, with its text and frames."""
    base = next((getattr(builtins, b) for b in reply.bases if b in vars(builtins)), Exception)
    if not isinstance(base, type) or not issubclass(base, Exception):
        what = "left with sys.exit()" if base is SystemExit else f"raised {reply.type_name}"
        lines = f" (line {reply.frames[-1].line})" if reply.frames else ""
        return RunnerFault("crashed", f"The code {what}{lines}")
    error = _instance(reply.type_name, base)
    error.message, error.type_name, error.frames = reply.message, reply.type_name, reply.frames
    return error


def _instance(name: str, base: type[Exception]) -> RemoteError:
    key = (name, base.__name__)
    if key not in _classes:
        bases = (RemoteError,) if base is Exception else (RemoteError, base)
        _classes[key] = type(name.replace("\0", "") or "Exception", bases, {"__module__": "learner"})
    made: RemoteError
    try:
        made = _classes[key]()
    except TypeError:  # its __init__ wants arguments (UnicodeDecodeError)
        try:
            made = base.__new__(_classes[key])
        except TypeError:
            made = RemoteError()
    return made


class _RemoteCall(torch.autograd.Function):
    """One call of the learner's code as a node of the graph (once differentiable)."""

    @staticmethod
    def forward(ctx: Any, impl: Impl, node: tuple[Any, ...], values: list[Tensor], *tensors: Tensor) -> Any:
        ctx.impl, ctx.node, ctx.tensors = impl, node, [t.detach() for t in tensors]
        ctx.dtypes = [v.dtype for v in values]
        ctx.set_materialize_grads(False)
        return tuple(values)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        call, outputs, sources, mirrors = ctx.node
        needed = ctx.needs_input_grad[3:]
        wanted = [i for i, need in enumerate(needed) if need]
        cotangents = [(i, g) for i, g in zip(outputs, grads, strict=True) if g is not None]
        result: list[Any] = [None] * len(needed)
        if cotangents and wanted:
            inputs = [sources[i] for i in wanted if i < len(sources)]
            parameters = [mirrors[i - len(sources)] for i in wanted if i >= len(sources)]
            found = ctx.impl.vjp((call, inputs, parameters), cotangents, [ctx.tensors[i] for i in wanted])
            for i, grad in zip(wanted, found, strict=True):
                result[i] = grad
        return (None, None, None, *result)


class RemoteObject:
    """An object of the learner's: a function, a class, an instance, an iterator, or the module itself."""

    __slots__ = ("_handle", "_impl")
    _impl: Impl
    _handle: Handle

    def __init__(self, impl: Impl, handle: Handle) -> None:
        object.__setattr__(self, "_impl", impl)
        object.__setattr__(self, "_handle", handle)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__name__", "__doc__"):
            raise AttributeError(name)
        return self._impl.attribute(self._handle, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._impl.ask("set", self._handle, name, (value,))

    def __delattr__(self, name: str) -> None:
        self._impl.ask("delete", self._handle, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._impl.ask("call", self._handle, "", args, kwargs)

    def __measured_call__(self, *args: Any, **kwargs: Any) -> Any:
        """For `grader.testing.largest_tensor`: (result, elements of the largest tensor made)."""
        return self._impl.ask("measure", self._handle, "", args, kwargs)

    def __seeded_call__(self, seed: int, *args: Any, **kwargs: Any) -> Any:
        """For `grader.testing.seeded`: (result, state of the learner's side's global generator)."""
        return self._impl.ask("seeded", self._handle, str(seed), args, kwargs)

    def __len__(self) -> int:
        return int(self._impl.ask("len", self._handle))

    def __iter__(self) -> Iterator[Any]:
        iterator = self._impl.ask("iter", self._handle)
        return iterator if isinstance(iterator, RemoteObject) else iter(iterator)

    def __next__(self) -> Any:
        try:
            return self._impl.ask("next", self._handle)
        except StopIteration:
            raise StopIteration from None

    def __getitem__(self, key: Any) -> Any:
        return self._impl.ask("item", self._handle, "", (key,))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._impl.ask("set_item", self._handle, "", (key, value))

    def __contains__(self, item: Any) -> bool:
        return self._impl.ask("contains", self._handle, "", (item,)) is True

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, RemoteObject) and (
            self._impl.ask("is_instance", self._handle, "", (instance,)) is True
        )

    def __deepcopy__(self, memo: Any) -> Any:
        return self._impl.ask("copy", self._handle)

    def __dir__(self) -> list[str]:
        return [str(name) for name in self._impl.ask("dir", self._handle)]

    def __bool__(self) -> bool:
        if self._handle.kind == "object" and self._handle.id:
            raise AssertionError(f"got an object of class {self._handle.type_name} where a value was expected")
        return True

    def __repr__(self) -> str:
        return f"<{self._handle.type_name} of the learner's>"


_METHODS = frozenset(
    name for name, value in vars(nn.Module).items() if isinstance(value, FunctionType) and not name.startswith("_")
) - {"forward"}  # nn.Module's own is not a method that a learner's class must have


class RemoteModule(RemoteObject):
    """An instance of `nn.Module`. What concerns gradients is done to the mirrors, where the gradients are."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # isinstance(m, nn.Module) holds, as at home
        return nn.Module

    def __getattr__(self, name: str) -> Any:
        """What every module can do is called in one exchange; anything else may be a value, and is asked for."""
        if name in _METHODS:
            return functools.partial(self._impl.method, self._handle, name)
        return super().__getattr__(name)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            parameter.grad = None if set_to_none or parameter.grad is None else torch.zeros_like(parameter)

    def requires_grad_(self, requires_grad: bool = True) -> RemoteModule:
        mirrors = list(self.parameters())
        self._impl.method(self._handle, "requires_grad_", requires_grad)
        for mirror in mirrors:
            mirror.requires_grad_(requires_grad)
        return self
