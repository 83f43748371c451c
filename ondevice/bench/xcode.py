"""Run Xcode's command line tools, each with a limit of time."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ondevice.errors import UserError


class PhoneError(UserError):
    """An iPhone cannot be used, or refused a request."""


def find_xcrun() -> Path:
    """Return Xcode's ``xcrun``.

    Raises:
        UserError: this is no Mac, or Xcode is not installed.
    """
    if platform.system() != "Darwin":
        raise UserError(
            "an iPhone can be driven from a Mac only; here, run the benchmark in the app on the"
            " phone, share its result to this machine and type: ondevice bench --import FILE BUNDLE"
        )
    found = shutil.which("xcrun")
    if found is None:
        raise UserError(
            "xcrun was not found; install Xcode 15 or later and type: sudo xcode-select -s"
            " /Applications/Xcode.app"
        )
    return Path(found)


def call(
    xcrun: Path, arguments: Sequence[str], seconds: float, what: str
) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end, whatever its exit code; `what` is what errors call it.

    Raises:
        PhoneError: it cannot be started, or does not end in time.
    """
    try:
        return subprocess.run(
            [str(xcrun), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PhoneError(f"{what} took more than {seconds:g} s") from error
    except OSError as error:
        raise PhoneError(f"'{xcrun}' cannot be started: {error.strerror}") from error
