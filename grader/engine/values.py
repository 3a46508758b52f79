"""Python values on the wire: typed MessagePack for the shape of a value, raw bytes for tensors and arrays.

What can be sent by value is: None, bool, int, float, complex, str, bytes, slices, Ellipsis, tuples, lists, sets, dicts,
strided tensors on the CPU, NumPy arrays and scalars, dtypes, devices and generators. Everything else (modules,
classes, closures, iterators, sparse tensors, ...) stays where it is and is sent as a handle.

Tensors keep shape, dtype, strides and `requires_grad`. The judge's side trusts nothing that it decodes: dtypes come
from a list, sizes must agree with the bytes received, and whatever does not add up is a ProtocolError.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from grader.engine.frames import ProtocolError

ALIGNMENT = 64  # bytes; torch's allocator aligns to 64, and so kernels take the same path on both sides
MAX_DEPTH = 64

DTYPES: dict[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
        torch.bool,
    )
}  # fmt: skip
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
ARRAY_DTYPES = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    ]
)


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    pass


class Seq(_Wire, frozen=True, tag="seq"):
    kind: str  # tuple, list, set, frozenset, size
    items: list[Value]


class Map(_Wire, frozen=True, tag="map"):
    items: list[tuple[Value, Value]]


class TensorRef(_Wire, frozen=True, tag="tensor"):
    """A tensor: `nbytes` of storage at `start` of the payload, seen through shape, stride and offset."""

    index: int  # the same index is the same tensor object
    dtype: str
    shape: list[int]
    stride: list[int]
    offset: int
    start: int
    nbytes: int
    requires_grad: bool = False
    leaf: bool = True
    parameter: int = 0  # identity of an nn.Parameter of the runner; -1: a Parameter of the judge's


class ArrayRef(_Wire, frozen=True, tag="array"):
    index: int
    dtype: str
    shape: list[int]
    start: int
    nbytes: int
    scalar: bool = False


class GeneratorRef(_Wire, frozen=True, tag="generator"):
    index: int
    state: bytes


class Handle(_Wire, frozen=True, tag="handle"):
    """An object that stays in the runner's process."""

    id: int
    type_name: str = ""
    kind: str = "object"  # object, module (an nn.Module), class, function, iterator


class Named(_Wire, frozen=True, tag="named"):
    kind: str  # dtype, device, bigint, ellipsis
    text: str


class Complex(_Wire, frozen=True, tag="complex"):
    real: float
    imag: float


class Slice(_Wire, frozen=True, tag="slice"):
    parts: list[Value]


class Raw(_Wire, frozen=True, tag="raw"):
    data: bytes


Shared = TensorRef | ArrayRef | GeneratorRef  # objects with an identity and content that can change
Value = (
    None | bool | int | float | str
    | Seq | Map | TensorRef | ArrayRef | GeneratorRef | Handle | Named | Complex | Slice | Raw
)  # fmt: skip


class Encoder:
    """Turns values into wire form; what it has met (tensors, arrays, generators) is kept in `seen`, by index.

    `opaque(value)` gives the Handle of what is not sent by value. `compact` makes tensors contiguous (the runner's
    side), otherwise the window of storage that a tensor looks at is sent with its strides (the judge's side).
    """

    def __init__(self, opaque: Callable[[Any], Handle], *, compact: bool) -> None:
        self._opaque = opaque
        self._compact = compact
        self.buffers: list[memoryview] = []
        self.size = 0
        self.seen: list[Any] = []
        self._index: dict[int, Value] = {}

    def encode(self, value: Any, depth: int = 0) -> Value:
        if value is None or type(value) in (bool, float, str):
            return value  # type: ignore[no-any-return]
        if depth > MAX_DEPTH:
            return self._opaque(value)
        if isinstance(value, int):
            value = int(value)
            return value if -(2**63) <= value < 2**63 else Named("bigint", hex(value))
        if isinstance(value, _SHARED):
            return self._shared(value)
        return self._container(value, depth) if isinstance(value, _CONTAINERS) else self._small(value)

    def _container(self, value: Any, depth: int) -> Value:
        if isinstance(value, dict):
            return Map([(self.encode(k, depth + 1), self.encode(v, depth + 1)) for k, v in value.items()])
        kind = next(name for name, cls in _KINDS if isinstance(value, cls))
        return Seq(kind, [self.encode(item, depth + 1) for item in value])

    def _small(self, value: Any) -> Value:
        if isinstance(value, np.generic) and value.dtype.name in ARRAY_DTYPES and not isinstance(value, float):
            return self._array(np.asarray(value), scalar=True)
        if isinstance(value, float):
            return float.__float__(value)  # drops the subclass, not the value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bytes | bytearray):
            return Raw(bytes(value))
        if isinstance(value, complex):
            return Complex(value.real, value.imag)
        if isinstance(value, torch.dtype) and value in DTYPE_NAMES:
            return Named("dtype", DTYPE_NAMES[value])
        if isinstance(value, torch.device):
            return Named("device", str(value))
        if isinstance(value, slice):
            return Slice([self.encode(part, MAX_DEPTH) for part in (value.start, value.stop, value.step)])
        return Named("ellipsis", "") if value is Ellipsis else self._opaque(value)

    def _shared(self, value: Any) -> Value:
        known = self._index.get(id(value))
        if known is not None:
            return known
        if isinstance(value, Tensor):
            wire = self._tensor(value)
        elif isinstance(value, np.ndarray):
            wire = self._array(value, scalar=False) if value.dtype.name in ARRAY_DTYPES else self._opaque(value)
        else:
            state = value.get_state() if value.device.type == "cpu" else None
            wire = self._opaque(value) if state is None else self._generator(value, state.numpy().tobytes())
        self._index[id(value)] = wire
        return wire

    def _generator(self, value: torch.Generator, state: bytes) -> Value:
        self.seen.append(value)
        return GeneratorRef(len(self.seen) - 1, state)

    def _tensor(self, t: Tensor) -> Value:
        if t.layout != torch.strided or t.device.type != "cpu" or t.dtype not in DTYPE_NAMES or t.is_nested:
            return self._opaque(t)
        flags = (t.requires_grad, t.is_leaf, -1 if isinstance(t, torch.nn.Parameter) else 0)
        plain = t.detach()
        if type(plain) is not Tensor:
            plain = plain.as_subclass(Tensor)
        if plain.is_conj() or plain.is_neg():
            plain = plain.resolve_conj().resolve_neg()
        if self._compact and not plain.is_contiguous() and not _dense(plain):
            plain = plain.contiguous()
        window = _window(plain)
        start = self._append(window)
        self.seen.append(t)
        shape, stride = list(plain.shape), list(plain.stride())
        return TensorRef(len(self.seen) - 1, DTYPE_NAMES[plain.dtype], shape, stride, 0, start, len(window), *flags)

    def _array(self, a: np.ndarray, *, scalar: bool) -> Value:
        flat = np.ascontiguousarray(a)
        start = self._append(flat.reshape(-1).view(np.uint8).data)
        self.seen.append(a)
        return ArrayRef(len(self.seen) - 1, a.dtype.name, list(a.shape), start, flat.nbytes, scalar)

    def _append(self, data: memoryview) -> int:
        padding = -self.size % ALIGNMENT
        if padding:
            self.buffers.append(memoryview(bytes(padding)))
        start = self.size + padding
        self.buffers.append(data)
        self.size = start + len(data)
        return start


_KINDS = (
    ("size", torch.Size), ("tuple", tuple), ("list", list), ("frozenset", frozenset), ("set", set),
)  # fmt: skip
_CONTAINERS = (tuple, list, set, frozenset, dict)
_SHARED = (Tensor, np.ndarray, torch.Generator)
_BUILD: dict[str, Callable[[list[Any]], Any]] = {
    "size": torch.Size, "tuple": tuple, "list": list, "set": set, "frozenset": frozenset,
}  # fmt: skip


def _window(t: Tensor) -> memoryview:
    """The bytes from a tensor's first element to its last, as they lie in memory (no copy)."""
    if t.is_contiguous() and t.numel() > 1:  # one element, or none, may have any stride
        return t.reshape(-1).view(torch.uint8).numpy().data
    size = t.element_size()
    extent = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)) if t.numel() else 0
    window = torch.empty(0, dtype=torch.uint8)
    window.set_(t.untyped_storage(), t.storage_offset() * size, (extent * size,), (1,))
    return window.numpy().data


def _dense(t: Tensor) -> bool:
    """Whether the strides are those of some contiguous tensor with its dimensions permuted."""
    expected = 1
    for stride, n in sorted((s, n) for n, s in zip(t.shape, t.stride(), strict=True) if n != 1):
        if stride != expected:
            return False
        expected *= n
    return True


class Decoder:
    """Turns wire form back into values, over one payload. `resolve` gives the object of a handle.

    `compact`: every tensor must fill its bytes (the judge's side, where a stride of 0 could claim terabytes).
    """

    def __init__(self, payload: bytearray, resolve: Callable[[Handle], Any], *, compact: bool) -> None:
        self.payload = payload
        self._resolve = resolve
        self._compact = compact
        self.objects: dict[int, Any] = {}  # index -> tensor, array or generator
        self.refs: dict[int, TensorRef | ArrayRef | GeneratorRef] = {}

    def decode(self, wire: Value) -> Any:
        """The value. Raises ProtocolError for what is none."""
        with believable():
            return self._decode(wire)

    def tensor(self, ref: TensorRef) -> Tensor:
        """A tensor over the payload's own bytes (no copy). Raises ProtocolError."""
        with believable():
            return self._tensor(ref)

    def _decode(self, wire: Value) -> Any:
        if isinstance(wire, Shared):
            if wire.index not in self.objects:
                self.objects[wire.index] = self._build(wire)
                self.refs[wire.index] = wire
            return self.objects[wire.index]
        if isinstance(wire, Seq):
            return _build(wire.kind, [self._decode(item) for item in wire.items])
        if isinstance(wire, Map):
            return {self._decode(k): self._decode(v) for k, v in wire.items}
        if isinstance(wire, Handle):
            return self._resolve(wire)
        if isinstance(wire, Slice):
            return slice(*[self._decode(part) for part in wire.parts])
        if isinstance(wire, Complex):
            return complex(wire.real, wire.imag)
        if isinstance(wire, Raw):
            return wire.data
        return _named(wire) if isinstance(wire, Named) else wire

    def _build(self, ref: TensorRef | ArrayRef | GeneratorRef) -> Any:
        if isinstance(ref, GeneratorRef):
            generator = torch.Generator()
            set_state(generator, ref.state)
            return generator
        return self._tensor(ref) if isinstance(ref, TensorRef) else self._array(ref)

    def _tensor(self, ref: TensorRef) -> Tensor:
        dtype = DTYPES.get(ref.dtype)
        if dtype is None:
            raise ProtocolError("unknown dtype")
        self._check(ref.start, ref.nbytes)
        sizes = ref.shape
        if len(ref.stride) != len(sizes) or min([0, ref.offset, *sizes, *ref.stride]) < 0:
            raise ProtocolError("a tensor of impossible strides")
        extent = 1 + sum((n - 1) * s for n, s in zip(sizes, ref.stride, strict=True)) if math.prod(sizes) else 0
        if (ref.offset + extent) * dtype.itemsize > ref.nbytes:
            raise ProtocolError("a tensor that reaches beyond its bytes")
        if self._compact and math.prod(sizes) * dtype.itemsize != ref.nbytes:
            raise ProtocolError("a tensor whose shape is not that of its bytes")
        if not ref.nbytes:
            return torch.empty_strided(sizes, ref.stride, dtype=dtype)
        data = torch.frombuffer(self.payload, dtype=torch.uint8, count=ref.nbytes, offset=ref.start)
        return torch.empty(0, dtype=dtype).set_(data.untyped_storage(), ref.offset, sizes, ref.stride)

    def _array(self, ref: ArrayRef) -> Any:
        self._check(ref.start, ref.nbytes)
        if ref.dtype not in ARRAY_DTYPES or min([0, *ref.shape]) < 0 or len(ref.shape) > 32:
            raise ProtocolError("an array of impossible type")
        dtype = np.dtype(ref.dtype)
        if math.prod(ref.shape) * dtype.itemsize != ref.nbytes:
            raise ProtocolError("an array whose shape is not that of its bytes")
        flat = np.frombuffer(self.payload, dtype=dtype, count=math.prod(ref.shape), offset=ref.start)
        array = flat.reshape(ref.shape)
        return array[()] if ref.scalar else array

    def _check(self, start: int, nbytes: int) -> None:
        if start < 0 or nbytes < 0 or start % ALIGNMENT or start + nbytes > len(self.payload):
            raise ProtocolError("bytes outside the frame")


@contextlib.contextmanager
def believable() -> Iterator[None]:
    """What torch, NumPy or Python raise inside over a value is the fault of who sent it.

    Items of a set that cannot be hashed, sizes whose product overflows, a nesting deeper than the stack, ...
    """
    try:
        yield
    except ProtocolError:
        raise
    except Exception as error:
        raise ProtocolError(f"an impossible value: {type(error).__name__}") from error


def set_state(generator: torch.Generator, state: bytes) -> None:
    """Set a generator's state; a state that torch refuses is a ProtocolError."""
    with believable():
        generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _build(kind: str, items: list[Any]) -> Any:
    if kind not in _BUILD:
        raise ProtocolError("unknown container")
    return _BUILD[kind](items)


def _named(wire: Named) -> Any:
    if wire.kind == "dtype" and wire.text in DTYPES:
        return DTYPES[wire.text]
    if wire.kind == "device" and wire.text in ("cpu", "meta"):
        return torch.device(wire.text)
    if wire.kind == "bigint" and len(wire.text) < 100_000:
        return int(wire.text, 16)
    if wire.kind == "ellipsis":
        return Ellipsis
    raise ProtocolError("unknown name")
