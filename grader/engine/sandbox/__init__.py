"""The runner's wall: layers that the kernel enforces, each saying what became of it.

Two steps, because runners are forked ahead of time: `close_off` before anything is known of the submission, `lock`
with the drill's limits just before the learner's code is loaded. Each returns {layer: state}; a state is "active" or
says why not. `summary` gives the level that a result reports.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from grader.engine.sandbox import limits, seccomp
from grader.results import Isolation

ACTIVE = "active"
LINUX_LAYERS = (
    "process", "descriptors", "no_new_privileges", "capabilities", "rlimits", "landlock_files", "landlock_network",
    "landlock_scope", "seccomp",
)  # fmt: skip
PORTABLE_LAYERS = ("process", "descriptors", "rlimits")


def prepare() -> Any:
    """What the parent of all runners builds once for `close_off`."""
    if sys.platform != "linux":
        return None
    from grader.engine.sandbox import landlock

    limits.last_capability()
    with contextlib.suppress(NotImplementedError):
        seccomp.template()
    return landlock.prepare()


def close_off(keep: Sequence[int], prepared: Any) -> dict[str, str]:
    """Separate this process from its parent and the file system; `keep`: descriptors that stay open."""
    layers = {"process": _attempt(limits.separate)}
    if sys.platform == "linux":
        from grader.engine.sandbox import landlock

        layers["no_new_privileges"] = _attempt(limits.no_new_privileges)
        layers |= landlock.restrict(prepared)
        layers["capabilities"] = _attempt(limits.drop_capabilities)
    layers["descriptors"] = _attempt(lambda: limits.close_descriptors(keep))
    return layers


def lock(*, memory_mb: int, cpu_seconds: int) -> dict[str, str]:
    """Set the limits of one check and shut the last doors. Nothing after it can raise a limit."""
    layers = {"rlimits": _attempt(lambda: limits.set_rlimits(memory_mb, cpu_seconds))}
    if sys.platform == "linux":
        layers["seccomp"] = _attempt(lambda: seccomp.install(os.getpid()))
    return layers


def _attempt(step: Callable[[], object]) -> str:
    try:
        step()
    except (OSError, ValueError, NotImplementedError) as error:
        return f"inactive: {error}"
    return ACTIVE


def summary(layers: dict[str, str]) -> Isolation:
    """full: every layer of Linux is active. partial: a process of its own with limits. none: not even that."""
    if all(layers.get(name) == ACTIVE for name in LINUX_LAYERS):
        return "full"
    return "partial" if all(layers.get(name) == ACTIVE for name in PORTABLE_LAYERS) else "none"
