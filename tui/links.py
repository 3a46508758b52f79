"""Links to papers and pages."""

from __future__ import annotations

import os
import sys

from textual.app import App


def follow(app: App[int], url: str) -> None:
    """Open a page in the browser. Without a desktop copy it: a browser in the terminal fights the app."""
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        app.open_url(url)
    else:
        app.copy_to_clipboard(url)
        app.notify(url, title="Link copied", markup=False)
