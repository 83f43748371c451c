"""Files that hold a text a line."""

from __future__ import annotations

from pathlib import Path

from ondevice.errors import DataError


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file that are not blank.

    Raises:
        DataError: it cannot be read, is not UTF-8, or has no such line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})") from error
    found = [line for line in lines if line.strip()]
    if not found:
        raise DataError(f"{path} holds no text")
    return found
