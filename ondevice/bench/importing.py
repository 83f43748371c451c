"""Take in a result that a phone's app wrote, for a bundle that is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import bundle
from ondevice.bench.results import BenchmarkResult, ResultError, plain, read_result
from ondevice.errors import GateError

if TYPE_CHECKING:
    from ondevice.bench import Keep
    from ondevice.manifest import Manifest


def import_result(path: Path, bundles: Sequence[Path]) -> BenchmarkResult:
    """Read a benchmark result and check that it is of one of the bundles.

    Raises:
        ResultError: it does not fit the schema, contradicts itself, or is of another artifact.
        BundleError: one of the bundles is not as it was published.
    """
    result = read_result(path)
    manifests = {directory: bundle.open_bundle(directory) for directory in bundles}
    for manifest in manifests.values():
        if manifest.artifact.sha256 == result.artifact.sha256:
            check_identity(result, manifest, str(path))
            return result
    known = ", ".join(
        f"{one.artifact.sha256[:12]}… ({directory})" for directory, one in manifests.items()
    )
    found = f"{result.artifact.sha256[:12]}…" if result.artifact.sha256 else "none"
    raise ResultError(
        f"'{path}' is of another artifact: SHA-256 {found}; given: {known or 'no bundle'}"
    )


def refuse_wrong(results: Mapping[Path, BenchmarkResult]) -> None:
    """Refuse what failed its goldens on the phone; it was kept, to be looked into.

    Raises:
        GateError: one did.
    """
    for path, result in results.items():
        if result.golden.status == "failed":
            one = result.artifact
            raise GateError(
                f"{one.model} {one.target} {one.scheme} did not give its goldens' answers on the"
                f" phone ({path.name}): {plain(result.golden.reason, 300) or 'no reason given'}"
            )


def take_in(
    result: BenchmarkResult,
    manifest: Manifest,
    kind: str,
    *,
    bundle_name: str,
    name: str,
    keep: Keep,
) -> None:
    """Keep what the app on a phone of `kind` has just measured.

    Raises:
        ResultError: it is of another artifact, or of another kind of device.
        GateError: the artifact failed its goldens there; the result is kept all the same.
    """
    check_identity(result, manifest, name)
    if result.device.kind != kind:
        raise ResultError(f"'{name}' is of a device of the kind {result.device.kind}")
    keep(result)
    if result.golden.status == "failed":
        raise GateError(
            f"'{bundle_name}' does not give its goldens' answers in the app, so it was not timed:"
            f" {result.golden.reason}"
        )


def check_identity(result: BenchmarkResult, manifest: Manifest, name: str) -> None:
    """Refuse a result that says something else of its artifact than the manifest.

    Raises:
        ResultError: it does; `name` is what it calls the result.
    """
    theirs, ours = result.artifact, manifest.artifact
    said = {
        "model": (theirs.model, manifest.model.name),
        "task": (theirs.task, manifest.task),
        "target": (theirs.target, ours.target),
        "scheme": (theirs.scheme, ours.scheme),
        "bytes": (theirs.bytes, ours.bytes),
        "content_key": (theirs.content_key, manifest.content_key),
        "model_sha256": (theirs.model_sha256, manifest.model.sha256),
    }
    for field, (found, expected) in said.items():
        if found is not None and found != expected:
            raise ResultError(
                f"'{name}' says {field} '{found}' of its artifact, the manifest '{expected}'"
            )
    foreign = [
        one.length
        for one in result.measurements
        if one.length is not None and one.length not in ours.lengths
    ]
    if foreign:
        raise ResultError(f"'{name}' times length {foreign[0]}, which the artifact does not serve")
