"""Verify a published bundle: every check that can run here, and why the others did not."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ondevice import bundle, console, contents, golden_records
from ondevice.manifest import CheckInfo, Manifest
from ondevice.tokenizer import read_tokenizer
from ondevice.verify import compat, golden_check, groups
from ondevice.verify.opening import find_checkpoint, open_artifact
from ondevice.verify.options import VerifyOptions

__all__ = ["VerifyOptions", "record", "run"]


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
    with _hushed(progress) as told:
        with told.step("goldens"):
            rows += golden_check.check_code(records, tokenizer, directory)
            opened = open_artifact(directory, manifest, tokenizer, records)
            rows += groups.goldens(manifest, records, opened)
            rows += groups.interpreter(directory, manifest, records, opened)
        with told.step("task"):
            rows += groups.task(manifest, options, opened, checkpoint, absent)
        with told.step("runtimes"):
            rows += groups.runtimes(directory, options)
            rows += groups.file_format(directory, options)
        with told.step("delegation"):
            rows += groups.delegated(directory, options)
    return manifest, rows


def record(directory: Path, manifest: Manifest, rows: Iterable[CheckInfo]) -> Manifest:
    """Write what was found into a bundle's manifest and card; return the new manifest.

    What the runtime matrix found corrects the manifest's `min_runtime`. The bundle is replaced
    whole, in one step: a killed process leaves the old one or the new one.

    Raises:
        UserError: it cannot be written, or is no longer the bundle that was verified.
    """
    found = tuple(rows)
    artifact = manifest.artifact
    oldest = compat.min_runtime(artifact.min_runtime, _matrix(found))
    changed = manifest.model_copy(
        update={
            "checks": found,
            "artifact": artifact.model_copy(update={"min_runtime": oldest}),
        }
    )
    return contents.amend(directory.resolve(), changed)


def _matrix(rows: Iterable[CheckInfo]) -> Iterator[compat.Tried]:
    """Read the runtime matrix back from the table."""
    for row in rows:
        if row.check == groups.RUNTIME:
            status = row.reason.partition(":")[0] if row.status == "failed" else row.status
            yield compat.Tried(row.runtime, row.version, status)


@contextlib.contextmanager
def _hushed(progress: console.Progress) -> Iterator[console.Progress]:
    """Keep what libraries print away from the terminal."""
    with (
        tempfile.TemporaryDirectory(prefix="ondevice-") as directory,
        console.quiet(Path(directory) / "verify.log") as terminal,
    ):
        yield progress.on(terminal)
