"""What is needed to verify a bundle, or why it is not here: its checkpoint, and its runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import models
from ondevice.errors import OnDeviceError, RuntimeUnavailableError, UserError
from ondevice.golden_records import RunRecord
from ondevice.inference import Model
from ondevice.manifest import Evidence, Manifest, Status
from ondevice.verify import golden_check

if TYPE_CHECKING:
    from ondevice.golden_records import Record
    from ondevice.models import Checkpoint
    from ondevice.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Opened:
    """The artifact in its runtime, or why it is not.

    `model` is None where it could not be opened or run; then `status` says if that is a fault.
    """

    model: Model | None
    evidence: Evidence = "not run"
    status: Status = "not_run"
    reason: str = ""


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
        return None, "PyTorch is not installed; type: pip install 'ondevice[checkpoint]'"
    checkpoint = models.load(model or name, manifest.task)
    if checkpoint.sha256 == manifest.model.sha256:
        return checkpoint, ""
    if model is not None:
        raise UserError(
            f"'{model}' is another checkpoint than the bundle was made from"
            f" ({manifest.model.source}): the weights' hashes differ"
        )
    return None, f"the embedded model '{name}' has other weights than the bundle was made from"


def open_artifact(
    directory: Path, manifest: Manifest, tokenizer: TextTokenizer, records: Sequence[Record]
) -> Opened:
    """Load the artifact in its runtime, or in its format's interpreter, and run it once a length.

    What it answers is not looked at; an artifact that cannot be run is a fault, a runtime that
    is not here is none.
    """
    from ondevice.verify.mil import UnknownOpError
    from ondevice.verify.runners import open_runner

    artifact = manifest.artifact
    roles = [output.role for output in artifact.outputs]
    evidence: Evidence = "host"
    try:
        runner, evidence = open_runner(artifact.target, directory / artifact.file, roles)
        first: dict[int, RunRecord] = {}
        for golden in records:
            if isinstance(golden, RunRecord):
                first.setdefault(golden.length, golden)
        for golden in first.values():
            runner.run(golden_check.inputs_of(golden))
    except (RuntimeUnavailableError, UnknownOpError) as error:
        # Neither says anything about the artifact.
        return Opened(None, reason=str(error))
    except Exception as error:  # noqa: BLE001 - runtimes raise anything
        text = " ".join(str(error).split())
        reason = text if isinstance(error, OnDeviceError) else f"{type(error).__name__}: {text}"
        return Opened(None, evidence, "failed", f"it cannot be run: {reason}")
    return Opened(Model(manifest, tokenizer, runner), evidence)
