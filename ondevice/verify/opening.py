"""What is needed to verify a bundle, or why it is not here: its checkpoint, and its runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondevice import models
from ondevice.errors import (
    MissingPackageError,
    OnDeviceError,
    RuntimeUnavailableError,
    UserError,
    install_command,
)
from ondevice.inference import Model
from ondevice.manifest import Evidence, Manifest, Status
from ondevice.verify import run_goldens
from ondevice.verify.mil.errors import UnknownOpError
from ondevice.verify.runners import OpenedOnce

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.golden_records import Record
    from ondevice.models import Checkpoint
    from ondevice.targets.base import Runner
    from ondevice.tokenizer import TextTokenizer

# What says nothing about the artifact: something is lacking here.
NOT_HERE = (RuntimeUnavailableError, MissingPackageError, ImportError, UnknownOpError)


class RunError(OnDeviceError):
    """The artifact's runtime, which is here, could not run it."""


@dataclass(frozen=True)
class Opened:
    """The artifact in its runtime, or why it is not.

    `model` is None where it could not be opened or run; then `status` says if that is a fault.
    """

    model: Model | None
    evidence: Evidence = "not run"
    status: Status = "not_run"
    reason: str = ""


@dataclass(frozen=True)
class GuardedRunner:
    """A runner whose errors are told from those of the code around it."""

    inner: Runner

    @property
    def runtime(self) -> str:
        """The runtime's name."""
        return self.inner.runtime

    @property
    def version(self) -> str:
        """The runtime's version."""
        return self.inner.version

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch; see :class:`ondevice.targets.base.Runner`.

        Raises:
            RunError: the artifact cannot be run.
        """
        try:
            return self.inner.run(inputs)
        except NOT_HERE:
            raise
        except Exception as error:
            raise RunError(f"it cannot be run: {line(error)}") from error


def line(error: Exception) -> str:
    """Return an error's text on one line, after its name if the error is not ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, OnDeviceError) else f"{type(error).__name__}: {text}"


def closed(error: Exception, evidence: Evidence) -> Opened:
    """Say what an error tells of the artifact: a fault, or nothing."""
    if isinstance(error, NOT_HERE):
        return Opened(None, reason=line(error))
    return Opened(None, evidence, "failed", line(error))


def find_checkpoint(manifest: Manifest, model: str | None) -> tuple[Checkpoint | None, str]:
    """Return the checkpoint that a bundle was made from, or None and why there is none.

    Args:
        manifest: the bundle's.
        model: where the checkpoint is; None to take it from the manifest.

    Raises:
        UserError: the checkpoint that was named is not there, or not the bundle's.
    """
    kind, _, name = manifest.model.source.partition(":")
    if model is None and (kind != "embedded" or name not in models.EMBEDDED):
        return None, f"the checkpoint '{manifest.model.source}' is not here; name it with --model"
    if importlib.util.find_spec("torch") is None:
        return None, f"PyTorch is not installed; type: {install_command('checkpoint')}"
    try:
        checkpoint = models.load(model or name, manifest.task)
    except MissingPackageError as error:
        return None, str(error)
    if checkpoint.sha256 == manifest.model.sha256:
        return checkpoint, ""
    if model is not None:
        raise UserError(
            f"'{model}' is another checkpoint than the bundle was made from"
            f" ({manifest.model.source}): the weights' hashes differ"
        )
    return None, f"the embedded model '{name}' has other weights than the bundle was made from"


def open_artifact(
    artifact: OpenedOnce, manifest: Manifest, tokenizer: TextTokenizer, records: Sequence[Record]
) -> Opened:
    """Load the artifact in its runtime, or in its format's interpreter, and run it once a length.

    What it answers is not looked at; an artifact that cannot be run is a fault, a runtime that
    is not here is none.
    """
    evidence: Evidence = "host"
    try:
        opened, evidence = artifact.runner
        runner = GuardedRunner(opened)
        for cases in run_goldens.collect(records).cases.values():
            runner.run(cases[0].inputs)
    except (RunError, *NOT_HERE) as error:
        return closed(error, evidence)
    except Exception as error:  # noqa: BLE001 - runtimes raise anything
        return closed(RunError(f"it cannot be run: {line(error)}"), evidence)
    return Opened(Model(manifest, tokenizer, runner), evidence)
