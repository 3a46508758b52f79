"""One private warm server for a whole run of the tests; none of the user's own is touched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything reads them: a server of the tests' own, and no trace of the machine that runs them.
_RUNTIME = tempfile.TemporaryDirectory(prefix="drills-tests-")
os.environ["DRILLS_RUNTIME_DIR"] = str(Path(_RUNTIME.name) / "run")
for _name in ("CI", "NO_COLOR", "FORCE_COLOR", "DRILLS_WORKSPACE", "DRILLS_SERVER_IDLE", "DRILLS_DEBUG"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session", autouse=True)
def _stop_the_server() -> Iterator[None]:
    yield
    from grader import client

    client.stop()
    _RUNTIME.cleanup()
