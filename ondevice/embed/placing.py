"""Replace what we placed in a directory that others may use too, in one step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from ondevice.errors import UserError

# What macOS' Finder leaves wherever it looks.
IGNORED = ".DS_Store"

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def replacing(place: Path, placed: Callable[[], Container[str]]) -> Iterator[Path]:
    """Yield a directory that takes the place of `place` when the block ends well.

    It holds a copy of all that lies in `place` but what was `placed`: paths relative to it, asked
    for once what a killed process left is mended. When the block fails, or the process is killed,
    `place` stays as it was.

    Raises:
        UserError: the directory cannot be written, the disk is full, or another process is
            at it.
    """
    beside = place.parent / f".{place.name}.embedding"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(beside, place):
            try:
                _settle(place, beside)
                staged = beside / "new"
                _copy_others(place, staged, placed())
                yield staged
                _sync(staged)
                _swap(place, beside)
            finally:
                _settle(place, beside)
                shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise UserError(f"the disk is full: '{place}' is as it was; free some space") from error
        raise UserError(f"cannot write '{place}': {error.strerror or error}") from error


@contextlib.contextmanager
def _locked(beside: Path, place: Path) -> Iterator[None]:
    """Hold a lock on the directory itself: the kernel drops it with the process."""
    beside.mkdir(exist_ok=True)
    handle = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is writing '{place}' now; wait for it") from None
        yield
    finally:
        os.close(handle)


def _settle(place: Path, beside: Path) -> None:
    """Put back what a process moved away that was killed before it put the new one there."""
    if (beside / "old").exists() and not place.exists():
        (beside / "old").rename(place)
    for name in ("old", "new"):
        shutil.rmtree(beside / name, ignore_errors=True)


def _copy_others(place: Path, staged: Path, placed: Container[str]) -> None:
    staged.mkdir()
    for path in sorted(place.rglob("*")) if place.is_dir() else ():
        name = path.relative_to(place).as_posix()
        target = staged / name
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                target.mkdir(parents=True)
        elif name not in placed and path.name != IGNORED:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)


def _sync(directory: Path) -> None:
    """Have it on the disk before the rename, so that a power cut leaves no empty files."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _swap(place: Path, beside: Path) -> None:
    if place.exists():
        place.rename(beside / "old")
    (beside / "new").rename(place)
