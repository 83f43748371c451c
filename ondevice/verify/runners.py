"""Open an artifact to check it: on its own runtime where there is one, else by the book."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import RuntimeUnavailableError
from ondevice.manifest import Evidence
from ondevice.targets import TARGETS
from ondevice.verify import REFERENCES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.targets.base import Runner


class Remembering:
    """A runner that gives an answer it gave before again, without computing it.

    A build asks an artifact its goldens twice: for parity, and as they were written down.
    """

    def __init__(self, runner: Runner) -> None:
        self.runtime = runner.runtime
        self.version = runner.version
        self._runner = runner
        self._answers: dict[tuple[tuple[str, bytes], ...], dict[str, NDArray[np.float32]]] = {}

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch; see :class:`ondevice.targets.base.Runner`."""
        key = tuple((name, inputs[name].tobytes()) for name in sorted(inputs))
        if key not in self._answers:
            self._answers[key] = self._runner.run(inputs)
        return dict(self._answers[key])


class OpenedOnce:
    """An artifact that is opened when it is first asked for, and once."""

    def __init__(self, target: str, path: Path, roles: Sequence[str]) -> None:
        self._arguments = (target, path, tuple(roles))

    @cached_property
    def runner(self) -> tuple[Runner, Evidence]:
        """The runner, and what kind of evidence its outputs are; see :func:`open_runner`."""
        runner, evidence = open_runner(*self._arguments)
        return Remembering(runner), evidence


def open_runner(
    target: str, path: Path, roles: Sequence[str], *, threads: int | None = None
) -> tuple[Runner, Evidence]:
    """Load an artifact, and say what kind of evidence its outputs are.

    Args:
        target: the name of its target.
        path: the artifact.
        roles: the roles of its outputs, in order.
        threads: CPU threads of the runtime; its default if None. The interpreter has its own.

    Raises:
        RuntimeUnavailableError: neither a runtime nor a reference interpreter is here.
    """
    try:
        return TARGETS[target].load(path, roles, threads=threads), "host"
    except RuntimeUnavailableError:
        if target not in REFERENCES:
            raise
    return open_reference(target, path, roles), "reference"


def open_reference(target: str, path: Path, roles: Sequence[str]) -> Runner:
    """Load an artifact in the interpreter of its format; `target` is one of REFERENCES."""
    runner: Runner = importlib.import_module(REFERENCES[target]).load(path, roles)
    return runner
