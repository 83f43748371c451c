"""Open an artifact to check it: on its own runtime where there is one, else by the book."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import RuntimeUnavailableError
from ondevice.manifest import Evidence
from ondevice.targets import TARGETS
from ondevice.verify import REFERENCES

if TYPE_CHECKING:
    from ondevice.targets.base import Runner


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
    return open_reference(target, path, roles), "reference"


def open_reference(target: str, path: Path, roles: Sequence[str]) -> Runner:
    """Load an artifact in the interpreter of its format; `target` is one of REFERENCES."""
    runner: Runner = importlib.import_module(REFERENCES[target]).load(path, roles)
    return runner
