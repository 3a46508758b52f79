"""The learner's files, watched for saves in any editor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path


async def changed_names(folder: Path) -> AsyncIterator[set[str]]:
    """The names of the Python files in a folder, each time that some were saved, made or removed.

    What an editor does in one go (truncate and write, or write elsewhere and rename) is one change. Raises
    OSError or RuntimeError where the folder cannot be watched.
    """
    from watchfiles import Change, awatch  # loaded beside the first paint, not before it

    def is_python(_: Change, path: str) -> bool:
        return path.endswith(".py")

    stop = asyncio.Event()
    try:
        async for changes in awatch(folder, recursive=False, watch_filter=is_python, stop_event=stop):
            yield {Path(path).name for _, path in changes}
    finally:
        stop.set()  # the thread that waits for changes would hold up the end of the app
