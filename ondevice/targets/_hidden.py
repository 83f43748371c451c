"""Packages hidden from a library that imports whatever it finds installed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let imports in the block find that `packages` are not installed.

    Those that are imported already stay what they are.
    """
    modules: dict[str, Any] = sys.modules
    absent = [name for name in packages if name not in modules]
    # What Python itself takes for "do not look for it" (docs.python.org, sys.modules).
    modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            modules.pop(name, None)
