"""Replace a directory whole, in one step: staged beside its place, then renamed into it.

What is published is complete or absent. A failed or killed process leaves what was there before;
what it left beside, the next one clears.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ondevice.errors import UserError

REMEDY = "choose another --out"

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def replacing(place: Path, *, remedy: str = REMEDY) -> Iterator[Path]:
    """Yield an empty directory beside `place`; rename it to `place` when the block ends well.

    When the block fails, the directory goes and `place` stays as it was. A link to a directory
    stays a link. Who may be replaced is the caller's to decide.

    Args:
        place: the directory to be written or replaced.
        remedy: what the user can do if it cannot be written, as the rest of a sentence.

    Raises:
        UserError: it cannot be written, the disk is full, or another process is writing it.
    """
    # Also since "." has no name to put a directory beside.
    named, place = place, Path(os.path.realpath(place))
    staged = place.parent / f".{place.name}.partial"
    created: list[Path] = []
    done = False
    try:
        created = _make_parents(place.parent)
        with locked(staged, busy(named, remedy)):
            try:
                _settle(place)
                _clear(staged)
                yield staged
                _publish(staged, place)
                done = True
            finally:
                if not done:
                    shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise unwritable(named, error, remedy) from error
    finally:
        if not done:
            _remove_empty(created)


def busy(place: Path, remedy: str = REMEDY) -> UserError:
    """Return the sentence for a directory that another process is writing."""
    otherwise = f", or {remedy}" if remedy else ""
    return UserError(f"another process is writing '{place}' now; wait for it{otherwise}")


def unwritable(place: Path, error: OSError, remedy: str = REMEDY) -> UserError:
    """Return the sentence for a directory that cannot be written."""
    if error.errno in _NO_SPACE:
        return UserError(f"the disk is full: '{place}' was not written; free some space")
    reason = error.strerror or str(error)
    return UserError(f"cannot write '{place}': {reason}" + (f"; {remedy}" if remedy else ""))


def make_readable(directory: Path) -> None:
    """Let others read all of a directory: some libraries write for their owner alone."""
    for path in directory.rglob("*"):
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))


def _make_parents(directory: Path) -> list[Path]:
    """Create a directory and its parents; return those that were not there, outermost first."""
    missing = [path for path in [directory, *directory.parents] if not path.exists()][::-1]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        _remove_empty(missing)
        raise
    return missing


def _remove_empty(directories: list[Path]) -> None:
    for directory in reversed(directories):
        with contextlib.suppress(OSError):
            directory.rmdir()


@contextlib.contextmanager
def locked(directory: Path, refusal: UserError) -> Iterator[None]:
    """Hold the lock on a directory itself, made if need be, so that no lock file is left behind.

    The kernel drops the lock with its process: what a killed one left is free to be cleared.

    Raises:
        UserError: `refusal`, where another process holds it.
        OSError: it cannot be made or opened.
    """
    handle = None
    while handle is None:
        handle = _lock(directory, refusal)
    try:
        yield
    finally:
        os.close(handle)


def _lock(staged: Path, refusal: UserError) -> int | None:
    """Return the locked directory; None if another process published or removed it meanwhile."""
    try:
        # The parent too: another process that failed may just have removed what it had made.
        staged.mkdir(parents=True, exist_ok=True)
        handle = os.open(staged, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise refusal from None
    if _is_open_at(handle, staged):
        return handle
    os.close(handle)  # it was renamed into place between open and lock
    return None


def _is_open_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _clear(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _publish(staged: Path, place: Path) -> None:
    """Rename into place. What is replaced is put aside first."""
    for path in staged.rglob("*"):
        if path.is_file() and not path.is_symlink():
            # On the disk before the rename, so that a power cut leaves no empty files.
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    if place.exists():
        place.rename(_aside(place))
    try:
        staged.rename(place)
    finally:
        _settle(place)


def _aside(place: Path) -> Path:
    """Return where the old directory waits while the new one is renamed into its place."""
    return place.parent / f".{place.name}.old"


def _settle(place: Path) -> None:
    """Put the old directory back if nothing took its place, else remove it.

    Also mends what a process left that was killed between its two renames.
    """
    aside = _aside(place)
    if aside.exists() and not place.exists():
        aside.rename(place)
    shutil.rmtree(aside, ignore_errors=True)
