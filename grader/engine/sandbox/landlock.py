"""Landlock (Linux 5.13 and up): no files but what Python and torch need to read, no network, nothing outside.

Landlock cannot deny inside a tree that it grants, and site-packages holds the installed hidden tests: so the standard
library and torch's needs are granted one by one.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import sysconfig
from pathlib import Path

import landlockpy
from landlockpy import AccessFS, Ruleset, scope_for_abi

# What the learner's code may import, besides the standard library: torch, numpy and what they need.
PACKAGES = (
    "torch", "torchgen", "functorch", "numpy", "einops", "opt_einsum", "typing_extensions", "sympy", "mpmath",
    "networkx", "jinja2", "markupsafe", "fsspec", "filelock", "packaging",
)  # fmt: skip
# Shared libraries that extension modules load late, the time zones, and two devices.
SYSTEM = ("/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom", "/dev/zero")
_READ = AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.EXECUTE

LAYERS = ("landlock_files", "landlock_network", "landlock_scope")
ABI_FILES, ABI_NETWORK, ABI_SCOPE = 1, 4, 6


@functools.cache
def readable_paths() -> tuple[Path, ...]:
    """Files and folders that a runner may read: looked up once, in the parent of all runners.

    Looking for each package also fills the import system's caches, which a runner can no longer do.
    """
    granted = {path for name in PACKAGES for path in _locate(name)}
    paths = sysconfig.get_paths()
    for key in ("stdlib", "platstdlib"):
        granted |= {p for p in Path(paths[key]).iterdir() if p.name not in ("site-packages", "dist-packages")}
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        granted |= {Path("/lib") / multiarch, Path("/usr/lib") / multiarch}
    granted |= {Path(p) for p in sys.path if p.endswith(".zip")}
    granted |= {Path(name) for name in SYSTEM}
    return tuple(sorted(path for path in granted if path.exists()))


def _locate(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations:
        folders = [Path(p) for p in spec.submodule_search_locations]
        return [
            *folders,
            *(folder.with_name(folder.name + ".libs") for folder in folders),
        ]  # bundled libraries
    return [Path(spec.origin)] if spec.origin else []


def prepare() -> Ruleset | None:
    """Build the rules once; children inherit them by fork and only have to enforce them."""
    if landlockpy.abi_version() < ABI_FILES:
        return None
    ruleset = Ruleset(scoped=scope_for_abi(landlockpy.abi_version()))
    for path in readable_paths():
        ruleset.allow_path(path, _READ if path.is_dir() else AccessFS.READ_FILE)
    ruleset.allow_path("/dev/null", AccessFS.READ_FILE | AccessFS.WRITE_FILE)
    return ruleset


def restrict(ruleset: Ruleset | None) -> dict[str, str]:
    """Shut this process in. {layer: state} for files, network and scope (signals and abstract sockets)."""
    if ruleset is None:
        return dict.fromkeys(LAYERS, "inactive: this kernel has no Landlock")
    try:
        ruleset.restrict()
    except (OSError, landlockpy.LandlockError) as error:
        return dict.fromkeys(LAYERS, f"inactive: {error}")
    abi = ruleset.abi_version
    old = f"inactive: Landlock ABI {abi} of this kernel is too old for it"
    return {
        "landlock_files": "active",
        "landlock_network": "active" if abi >= ABI_NETWORK else old,
        "landlock_scope": "active" if abi >= ABI_SCOPE else old,
    }
