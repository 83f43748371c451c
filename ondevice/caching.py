"""Where the user's cache is: what may be deleted, and is made again when it is needed."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CACHE_VARIABLE = "ONDEVICE_CACHE"


def cache_directory() -> Path:
    """Return the cache's directory: $ONDEVICE_CACHE, or ours in the user's cache directory."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "ondevice"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ondevice"
