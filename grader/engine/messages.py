"""What judge and runner say to each other, one request and one reply at a time, and what the zygote is told.

Every request carries a nonce that its reply must repeat, so that a frame written ahead of time by the learner's code
is never taken for an answer.
"""

from __future__ import annotations

import struct

import msgspec

from grader.engine.values import TensorRef, Value


class Terms(msgspec.Struct, frozen=True):
    """What a drill's runners are allowed: the zygote keeps runners ready for each set of terms."""

    forbidden: list[str] = []
    operators: list[str] = []
    memory_mb: int = 1024
    cpu_seconds: int = 5
    compiler: bool = False  # torch's, which torch.func, checkpointing and optimisers import when first used


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Compile and run the learner's module. `stand_in` replaces one name of it by one of another source."""

    source: bytes
    filename: str
    name: str
    seed: int
    stand_in: tuple[bytes, str, str] | None = None  # (source, filename, name)


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Do `op` to the object of `target` (0 is the module). `parameters`: values the judge has changed."""

    op: str
    target: int
    name: str = ""
    args: list[Value] = []
    kwargs: list[tuple[str, Value]] = []
    grad: bool = True
    parameters: list[tuple[int, TensorRef]] = []


class Vjp(msgspec.Struct, frozen=True, tag="vjp"):
    """The vector-Jacobian product of an earlier call: gradients of its inputs and parameters for `cotangents`."""

    call: int
    outputs: list[int]
    cotangents: list[TensorRef]
    inputs: list[int]
    parameters: list[int]


class Ok(msgspec.Struct, frozen=True, tag="ok"):
    """`changed`: inputs whose bytes are no longer what was sent. `parameters`: parameters new or changed."""

    value: Value
    call: int = 0
    changed: list[Value] = []
    parameters: list[tuple[int, TensorRef]] = []


class Frame(msgspec.Struct, frozen=True):
    line: int
    function: str


class Raised(msgspec.Struct, frozen=True, tag="raised"):
    """The learner's code raised. `bases`: the built-in classes that the exception is, nearest first."""

    type_name: str
    bases: list[str]
    message: str
    frames: list[Frame] = []
    changed: list[Value] = []
    syntax: tuple[int, int, str] | None = None  # line, column, text of a syntax error


class Forbidden(msgspec.Struct, frozen=True, tag="forbidden"):
    """The learner's code called what the drill rules out."""

    name: str
    frames: list[Frame] = []


class Grads(msgspec.Struct, frozen=True, tag="grads"):
    grads: list[TensorRef | None]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """A runner's first words, before any of the learner's code: the layers of its wall."""

    pid: int
    layers: dict[str, str]


RequestBody = Load | Ask | Vjp
ReplyBody = Ok | Raised | Forbidden | Grads | Ready


class RequestFrame(msgspec.Struct, frozen=True):
    nonce: int
    body: RequestBody


class ReplyFrame(msgspec.Struct, frozen=True):
    nonce: int
    body: ReplyBody


# To the zygote: a length, then the Terms, with a judge's socket attached. Between judge and zygote: fixed-size
# records, descriptors attached to SPAWNED.
LENGTH = struct.Struct("<I")
SPAWN, KILL, SPAWNED, EXITED = 1, 2, 3, 4
COMMAND = struct.Struct("<Bi")  # command, pid
EVENT = struct.Struct("<BiiI")  # event, pid, wait status, CPU time in ms
