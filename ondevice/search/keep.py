"""Write a small file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from ondevice.errors import UserError


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
