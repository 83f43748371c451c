"""The groups of checks of a bundle: each runs what can run here and returns rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import __version__
from ondevice.errors import BundleError, OnDeviceError
from ondevice.inference import Model
from ondevice.manifest import CheckInfo, Evidence, Manifest, Status
from ondevice.verify import compat, golden_check, lint, promises, task_gate
from ondevice.verify.gate_rules import TASK
from ondevice.verify.opening import NOT_HERE, Opened, RunError, closed, line
from ondevice.verify.options import REFERENCE_EXAMPLES, VerifyOptions

if TYPE_CHECKING:
    from ondevice.golden_records import Record
    from ondevice.models import Checkpoint

FILES, FORMAT, DELEGATION = "files", "format", "delegation"


def files(manifest: Manifest) -> CheckInfo:
    return CheckInfo(
        check=FILES,
        runtime="ondevice",
        version=__version__,
        figure=f"{len(manifest.files)} files",
        limit="SHA-256 of each",
        status="passed",
        evidence="host",
    )


def goldens(manifest: Manifest, records: list[Record], opened: Opened) -> list[CheckInfo]:
    rows = _guarded(golden_check.OUTPUTS, manifest, opened, partial(_outputs, records))
    if manifest.task == "qa":
        rows += _guarded(golden_check.ANSWERS, manifest, opened, partial(_answers, records))
    return rows


def interpreter(
    directory: Path, manifest: Manifest, records: list[Record], opened: Opened
) -> list[CheckInfo]:
    """Compare runtime and interpreter, for the formats that have an interpreter."""
    from ondevice.verify import REFERENCES
    from ondevice.verify.runners import open_reference

    if manifest.artifact.target not in REFERENCES:
        return []
    if opened.model is None or opened.evidence != "host":
        reason = "its runtime is not here to be compared with the reference interpreter"
        here = Opened(None, reason=reason)
        return [_unopened(golden_check.INTERPRETER, manifest, here)]
    artifact = manifest.artifact
    roles = [output.role for output in artifact.outputs]
    try:
        interpreter = open_reference(artifact.target, directory / artifact.file, roles)
        return golden_check.check_interpreter(records, opened.model, interpreter)
    except RunError as error:
        found = closed(error, opened.evidence)
    except NOT_HERE as error:
        found = closed(error, "not run")
    except OnDeviceError as error:
        found = Opened(None, "reference", "failed", f"the interpreter cannot run it: {error}")
    return [_unopened(golden_check.INTERPRETER, manifest, found)]


def _outputs(records: list[Record], model: Model, evidence: Evidence) -> list[CheckInfo]:
    return golden_check.check_outputs(records, model, evidence)


def _answers(records: list[Record], model: Model, evidence: Evidence) -> list[CheckInfo]:
    return golden_check.check_answers(records, model, evidence)


def task(
    manifest: Manifest,
    options: VerifyOptions,
    opened: Opened,
    checkpoint: Checkpoint | str,
    tell: task_gate.Tell,
) -> list[CheckInfo]:
    """Run the task gate; in place of the checkpoint there may be the reason why it is not here."""
    if isinstance(checkpoint, str):
        return [_unopened(TASK, manifest, Opened(None, reason=checkpoint))]
    return _guarded(TASK, manifest, opened, partial(_gate, options, checkpoint, tell))


def _gate(
    options: VerifyOptions,
    checkpoint: Checkpoint,
    tell: task_gate.Tell,
    model: Model,
    evidence: Evidence,
) -> list[CheckInfo]:
    from ondevice.verify import reference

    network = reference.load_model(checkpoint)
    task = checkpoint.task
    subject = task_gate.Subject(
        manifest=model.manifest,
        tokenizer=model.tokenizer,
        artifact=model.run_inputs,
        checkpoint=lambda inputs: reference.run_model(network, task, inputs),
    )
    limits = task_gate.limits_for(
        model.manifest.artifact.scheme,
        max_drop=options.max_drop,
        max_flips=options.max_flips,
        min_cosine=options.min_cosine,
    )
    default = REFERENCE_EXAMPLES if evidence == "reference" else 0
    count = default if options.examples is None else options.examples
    findings = task_gate.check(subject, limits, data=options.data, count=count, tell=tell)
    rows = []
    for found in findings:
        status: Status = "failed" if found.reason else "passed"
        rows.append(
            CheckInfo(
                check=found.check,
                runtime=model.runner.runtime,
                version=model.runner.version,
                figure=found.figure,
                limit=found.limit,
                status=status if found.ran else "not_run",
                evidence=evidence if found.ran else "not run",
                reason=found.reason,
            )
        )
    return rows


_COMPAT_STATUS: dict[str, Status] = {
    "passed": "passed",
    "wrong": "failed",
    "refused": "failed",
    "not_run": "not_run",
}


def runtimes(directory: Path, manifest: Manifest, options: VerifyOptions) -> list[CheckInfo]:
    """Run the goldens on the versions of runtimes that were asked for."""
    if not options.runtimes:
        return []
    body = partial(_runtimes, directory, manifest, options)
    return _read(promises.RUNTIME, manifest, body)


def _runtimes(directory: Path, manifest: Manifest, options: VerifyOptions) -> list[CheckInfo]:
    rows = []
    for found in compat.run(directory, manifest, options.runtimes):
        prefix = f"{found.status}: " if found.status in {"wrong", "refused"} else ""
        rows.append(
            CheckInfo(
                check=promises.RUNTIME,
                runtime=found.runtime,
                version=found.version,
                length=found.length,
                figure=_figure(found),
                limit=found.limit,
                status=_COMPAT_STATUS[found.status],
                evidence=found.evidence,
                reason=prefix + found.reason if found.reason else found.status * bool(prefix),
            )
        )
    return rows


def file_format(directory: Path, manifest: Manifest, options: VerifyOptions) -> list[CheckInfo]:
    """Hold what the file needs against the manifest and the runtimes that an app ships."""
    return _read(FORMAT, manifest, partial(_file_format, directory, manifest, options))


def _file_format(directory: Path, manifest: Manifest, options: VerifyOptions) -> list[CheckInfo]:
    return [
        CheckInfo(
            check=promises.APP_RUNTIME if found.app else FORMAT,
            runtime=found.runtime,
            version=found.version,
            figure=found.needs,
            limit="no more than it has" if found.needs else "",
            status=found.status,
            evidence=found.evidence,
            reason=found.reason,
        )
        for found in lint.check(directory, manifest, options.app_runtimes)
    ]


def delegated(directory: Path, manifest: Manifest, options: VerifyOptions) -> list[CheckInfo]:
    """Count what runs in XNNPACK; nothing where the format has no XNNPACK."""
    from ondevice.verify import delegation

    if manifest.artifact.target in delegation.NOT_APPLICABLE:
        return []
    return _read(DELEGATION, manifest, partial(_delegated, directory, manifest, options))


def _delegated(directory: Path, manifest: Manifest, options: VerifyOptions) -> list[CheckInfo]:
    from ondevice.verify import delegation

    least = options.min_delegated
    minimum = delegation.DEFAULT_MINIMUM if least is None else least / 100.0
    found = delegation.measure(directory, manifest, minimum)
    return [
        CheckInfo(
            check=DELEGATION,
            runtime=found.runtime,
            version=found.version,
            length=found.length,
            figure=found.shares,
            limit=found.limit,
            status=found.status,
            evidence=found.evidence,
            reason=found.reason,
        )
    ]


# --- shared ---


def _guarded(
    check: str,
    manifest: Manifest,
    opened: Opened,
    body: Callable[[Model, Evidence], list[CheckInfo]],
) -> list[CheckInfo]:
    """Run a check on the opened artifact; where that cannot be, say so in a row."""
    if opened.model is None:
        return [_unopened(check, manifest, opened)]
    try:
        return body(opened.model, opened.evidence)
    except (RunError, *NOT_HERE) as error:
        return [_unopened(check, manifest, closed(error, opened.evidence))]


def _read(check: str, manifest: Manifest, body: Callable[[], list[CheckInfo]]) -> list[CheckInfo]:
    """Run a check that reads the artifact's file; a file that cannot be read has failed it."""
    try:
        return body()
    except BundleError as error:
        return [_unopened(check, manifest, Opened(None, "reference", "failed", line(error)))]


def _unopened(check: str, manifest: Manifest, opened: Opened) -> CheckInfo:
    return CheckInfo(
        check=check,
        runtime=manifest.artifact.target,
        version="",
        status=opened.status,
        evidence=opened.evidence,
        reason=opened.reason,
    )


def _figure(row: compat.CompatRow) -> str:
    """Return a figure of the matrix with its name, which is its limit's."""
    from ondevice import card

    if row.figure is None:
        return ""
    name = "max abs" if row.limit.startswith("max abs") else "cosine"
    return f"{name} {card.figure(row.figure)}"
