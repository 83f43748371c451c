"""Open an artifact to check it: on its own runtime where there is one, else by the book."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import RuntimeUnavailableError
from ondevice.manifest import Evidence
from ondevice.targets import TARGETS
from ondevice.targets.base import LoadFunction
from ondevice.verify.mil import runner as mil_runner

if TYPE_CHECKING:
    from ondevice.targets.base import Runner

# Interpreters that follow a format's specification, for targets whose runtime is not everywhere.
REFERENCES: dict[str, LoadFunction] = {"coreml": mil_runner.load}


def open_runner(target: str, path: Path, roles: Sequence[str]) -> tuple[Runner, Evidence]:
    """Load an artifact, and say what kind of evidence its outputs are.

    Raises:
        RuntimeUnavailableError: neither a runtime nor a reference interpreter is here.
    """
    try:
        return TARGETS[target].load(path, roles), "host"
    except RuntimeUnavailableError:
        if target not in REFERENCES:
            raise
    return REFERENCES[target](path, roles), "reference"
