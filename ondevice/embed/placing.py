"""Keep what others put into a directory that we replace."""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path

from ondevice.bundle import IGNORED


def copy_others(place: Path, staged: Path, placed: Container[str]) -> None:
    """Copy all that lies in `place` into `staged`, but what we `placed`: paths relative to it."""
    for path in sorted(place.rglob("*")) if place.is_dir() else ():
        name = path.relative_to(place).as_posix()
        target = staged / name
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                target.mkdir(parents=True)
        elif name not in placed and path.name != IGNORED:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
