"""Verify a published bundle: every check that can run here, and why the others did not."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ondevice import bundle, console, contents, golden_records
from ondevice.manifest import CheckInfo, Manifest
from ondevice.tokenizer import read_tokenizer
from ondevice.verify import gate_rules, golden_check, groups, promises, task_gate
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
        DataError: the data for the task gate are unreadable, or contradict themselves.
    """
    options.check()
    manifest = bundle.open_bundle(directory)
    options.check_bundle(manifest)
    if options.data is not None:
        task_gate.check_data(manifest, options.data)
    records = golden_records.read(directory / bundle.GOLDEN_FILE)
    checkpoint, absent = find_checkpoint(manifest, options.model)
    rows = [groups.files(manifest)]
    tokenizer = read_tokenizer(directory)
    artifact = _artifact(directory, manifest)
    with _hushed(progress) as told:
        with told.step("runtimes"):
            # First, since a version may turn out not to exist, which ends the command.
            matrix = groups.runtimes(directory, manifest, options)
        with told.step("goldens"):
            rows += golden_check.check_code(records, tokenizer, directory, manifest)
            opened = open_artifact(artifact, manifest, tokenizer, records)
            rows += groups.goldens(manifest, records, opened)
            rows += groups.interpreter(directory, manifest, records, opened)
        with told.step("task") as tell:
            rows += groups.task(manifest, options, opened, checkpoint or absent, tell)
        with told.step("delegation"):
            rows += matrix
            rows += groups.file_format(directory, manifest, options)
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
    artifact is the same. So do its rows of the task gate, where :func:`larger` says so. The bundle
    is replaced whole, in one step: a killed process leaves the old one or the new one.

    Raises:
        UserError: it cannot be written, or is no longer the bundle that was verified.
    """
    now = tuple(rows)
    before = larger(now, manifest.checks)
    if before:
        now = tuple(row for row in now if not gate_rules.is_task(row)) + before
    found = _with_earlier(now, manifest.checks)
    artifact = manifest.artifact
    oldest = promises.min_runtime(artifact.min_runtime, promises.tried(found))
    changed = manifest.model_copy(
        update={
            "checks": found,
            "artifact": artifact.model_copy(update={"min_runtime": oldest}),
        }
    )
    return contents.amend(directory.resolve(), changed)


def larger(rows: Iterable[CheckInfo], earlier: Iterable[CheckInfo]) -> tuple[CheckInfo, ...]:
    """Return an earlier command's rows of the task gate if they prove more than these.

    They were measured on more examples, and nothing of the gate has failed now.
    """
    return gate_rules.kept(rows, earlier)


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
