"""The errors a user can act on, and the one place that asks for optional packages.

Every error below is caught once, in :mod:`ondevice.cli`, which prints its single sentence and
exits with its code. Anything else that escapes is a defect of ours (exit code 1).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ondevice.manifest import ParityInfo


# Beside the package in a checkout, and nowhere else: the versions that were tested together.
CONSTRAINTS_FILE = "constraints.txt"


class OnDeviceError(Exception):
    """Base of the errors whose message is written for the user."""

    exit_code: ClassVar[int] = 1


class UserError(OnDeviceError):
    """The user can fix it: a bad argument, a missing file, an unreachable hub."""

    exit_code = 2


class MissingPackageError(UserError):
    """An optional package that this command needs is not installed."""


class CheckpointError(UserError):
    """A checkpoint cannot be read, is incomplete, or does not fit the request."""


class RuntimeUnavailableError(UserError):
    """An artifact cannot run here: the runtime is missing, or exists on other systems only."""


class DataError(UserError):
    """A data file is unreadable or contradicts itself."""


class BundleError(UserError):
    """A bundle is incomplete, altered, or of another schema."""


class ConversionError(OnDeviceError):
    """A converter broke on a graph that it should have taken."""


class GateError(OnDeviceError):
    """The artifact was built but failed a check; nothing was published.

    Attributes:
        parity: what was measured.
    """

    exit_code = 3

    def __init__(self, message: str, parity: tuple[ParityInfo, ...] = ()) -> None:
        super().__init__(message)
        self.parity = parity


class BudgetError(UserError):
    """A size is too little for what is asked to fit into it."""


class SystemTooOldError(UserError):
    """What was asked for does not run on so old a system."""


def install_command(extra: str) -> str:
    """Return what to type for an extra: in a checkout of the sources, the README's command."""
    if (Path(__file__).parents[1] / CONSTRAINTS_FILE).is_file():
        return f"pip install -c {CONSTRAINTS_FILE} -e '.[{extra}]'"
    return f"pip install 'ondevice[{extra}]'"


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or say which extra brings it.

    Raises:
        MissingPackageError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A missing transitive import is a broken installation, which the same command repairs.
        package = (error.name or module).split(".")[0]
        raise MissingPackageError(
            f"the package '{package}' is not installed; type: {install_command(extra)}"
        ) from error


def choices(kind: str, given: str, available: Iterable[str], plural: str | None = None) -> str:
    """Return the sentence for a word that is not in a registry."""
    return f"unknown {kind} '{given}'; {plural or kind + 's'}: {', '.join(available)}"
