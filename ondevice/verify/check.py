"""Verify a published bundle: every check that can run here, and why the others did not."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ondevice import bundle, console, contents, golden_records
from ondevice.manifest import CheckInfo, Manifest
from ondevice.tokenizer import read_tokenizer
from ondevice.verify import golden_check, groups, promises
from ondevice.verify.opening import find_checkpoint, open_artifact
from ondevice.verify.options import VerifyOptions
from ondevice.verify.runners import OpenedOnce

__all__ = ["VerifyOptions", "of_build", "record", "run"]


def run(
    directory: Path, options: VerifyOptions, progress: console.Progress
) -> tuple[Manifest, list[CheckInfo]]:
    """Verify a bundle; return its manifest and what was found, in the order of the table.

    Raises:
        BundleError: it is not a bundle, or not as it was published.
        UserError: an option names something that is not there, or is not the bundle's.
    """
    options.check()
    manifest = bundle.open_bundle(directory)
    records = golden_records.read(directory / bundle.GOLDEN_FILE)
    checkpoint, absent = find_checkpoint(manifest, options.model)
    rows = [groups.files(manifest)]
    tokenizer = read_tokenizer(directory)
    artifact = _artifact(directory, manifest)
    with _hushed(progress) as told:
        with told.step("goldens"):
            rows += golden_check.check_code(records, tokenizer, directory, manifest)
            opened = open_artifact(artifact, manifest, tokenizer, records)
            rows += groups.goldens(manifest, records, opened)
            rows += groups.interpreter(directory, manifest, records, opened)
        with told.step("task"):
            rows += groups.task(manifest, options, opened, checkpoint, absent)
        with told.step("runtimes"):
            rows += groups.runtimes(directory, manifest, options)
            rows += groups.file_format(directory, manifest, options)
        with told.step("delegation"):
            rows += groups.delegated(directory, manifest, options)
    return manifest, rows


def of_build(
    directory: Path,
    manifest: Manifest,
    artifact: OpenedOnce,
    progress: console.Progress,
    label: str,
) -> tuple[CheckInfo, ...]:
    """Run the checks that take seconds, on a bundle that is not published yet.

    Args:
        directory: where it is being assembled.
        manifest: as it was just written.
        artifact: opened already for parity, whose answers are not computed again.
        progress: where the step is shown.
        label: of the job.
    """
    records = golden_records.read(directory / bundle.GOLDEN_FILE)
    tokenizer = read_tokenizer(directory)
    options = VerifyOptions()
    with _hushed(progress) as told, told.step(f"{label}: checking the bundle"):
        rows = golden_check.check_code(records, tokenizer, directory, manifest)
        opened = open_artifact(artifact, manifest, tokenizer, records)
        rows += groups.goldens(manifest, records, opened)
        rows += groups.file_format(directory, manifest, options)
        rows += groups.delegated(directory, manifest, options)
    return tuple(rows)


def _artifact(directory: Path, manifest: Manifest) -> OpenedOnce:
    artifact = manifest.artifact
    roles = [output.role for output in artifact.outputs]
    return OpenedOnce(artifact.target, directory / artifact.file, roles)


def record(directory: Path, manifest: Manifest, rows: Iterable[CheckInfo]) -> Manifest:
    """Write what was found into a bundle's manifest and card; return the new manifest.

    What the runtime matrix found corrects the manifest's `min_runtime`. What an earlier command
    found on versions that were not run again stays in the table: the promise rests on it, and the
    artifact is the same. The bundle is replaced whole, in one step: a killed process leaves the
    old one or the new one.

    Raises:
        UserError: it cannot be written, or is no longer the bundle that was verified.
    """
    found = _with_earlier(tuple(rows), manifest.checks)
    artifact = manifest.artifact
    oldest = promises.min_runtime(artifact.min_runtime, promises.tried(found))
    changed = manifest.model_copy(
        update={
            "checks": found,
            "artifact": artifact.model_copy(update={"min_runtime": oldest}),
        }
    )
    return contents.amend(directory.resolve(), changed)


def _with_earlier(
    rows: tuple[CheckInfo, ...], earlier: Iterable[CheckInfo]
) -> tuple[CheckInfo, ...]:
    """Add earlier rows of the runtime matrix, of what `rows` say nothing about."""
    again = {(row.runtime, row.version) for row in rows if _ran(row)}
    kept = (row for row in earlier if _ran(row) and (row.runtime, row.version) not in again)
    return (*rows, *kept)


def _ran(row: CheckInfo) -> bool:
    return row.check == promises.RUNTIME and row.status != "not_run"


@contextlib.contextmanager
def _hushed(progress: console.Progress) -> Iterator[console.Progress]:
    """Keep what libraries print away from the terminal."""
    with (
        tempfile.TemporaryDirectory(prefix="ondevice-") as directory,
        console.quiet(Path(directory) / "verify.log") as terminal,
    ):
        yield progress.on(terminal)
