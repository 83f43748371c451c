"""A search's directory: held by one search at a time; small files whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ondevice.errors import UserError
from ondevice.staging import busy, locked, unwritable


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a directory while the block runs, made if it is not there; the kernel lets go of it.

    Raises:
        UserError: another process holds it, or it cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(directory, busy(directory)))
        except OSError as error:
            raise unwritable(directory, error) from error
        try:
            yield
        finally:
            # Where nothing was kept, nothing is left behind.
            with contextlib.suppress(OSError):
                directory.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a file in one step; a killed process leaves the old one or the new one.

    Raises:
        UserError: it cannot be written.
    """
    staged = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise UserError(f"cannot write '{path}': {reason}; choose another --out") from error
