"""Verify a published bundle: every check that can run here, and why the others did not."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import __version__, bundle, console, contents, golden_records, models
from ondevice.errors import OnDeviceError, RuntimeUnavailableError, UserError
from ondevice.golden_records import RunRecord
from ondevice.inference import Model
from ondevice.manifest import CheckInfo, Evidence, Manifest, Status
from ondevice.tokenizer import read_tokenizer
from ondevice.verify import compat, golden_check, lint, task_gate

if TYPE_CHECKING:
    from ondevice.golden_records import Record
    from ondevice.models import Checkpoint
    from ondevice.tokenizer import TextTokenizer

# The reference interpreter is slow, so it is asked fewer questions unless told otherwise.
REFERENCE_EXAMPLES = 40
FILES, TASK, RUNTIME = "files", "task", "runtime"


@dataclass(frozen=True)
class VerifyOptions:
    """What to verify, in the words of the command line.

    Attributes:
        data: a labelled file for the task gate; None for the project's samples.
        model: the checkpoint; None to take it from the manifest, where it is an embedded one.
        examples: at most so many for the task gate; 0 for all, None for all on a runtime and
            :data:`REFERENCE_EXAMPLES` in the reference interpreter.
        runtimes: ``NAME==VERSION`` to run the goldens on.
        app_runtimes: ``NAME==VERSION`` that an app ships.
        min_delegated: percent of multiply-accumulates that must run in XNNPACK; None for the
            default.
        max_drop: points; None for the scheme's own, as the next two.
        max_flips: percent.
        min_cosine: of embeddings.
    """

    data: Path | None = None
    model: str | None = None
    examples: int | None = None
    runtimes: tuple[str, ...] = ()
    app_runtimes: tuple[str, ...] = ()
    min_delegated: float | None = None
    max_drop: float | None = None
    max_flips: float | None = None
    min_cosine: float | None = None


@dataclass(frozen=True)
class Opened:
    """The artifact in its runtime, or why it is not.

    `model` is None where it could not be opened or run; then `status` says if that is a fault.
    """

    model: Model | None
    evidence: Evidence = "not run"
    status: Status = "not_run"
    reason: str = ""


def run(
    directory: Path, options: VerifyOptions, progress: console.Progress
) -> tuple[Manifest, list[CheckInfo]]:
    """Verify a bundle; return its manifest and what was found, in the order of the table.

    Raises:
        BundleError: it is not a bundle, or not as it was published.
        UserError: an option names something that is not there, or is not the bundle's.
    """
    _check_options(options)
    manifest = bundle.open_bundle(directory)
    records = golden_records.read(directory / bundle.GOLDEN_FILE)
    checkpoint, absent = find_checkpoint(manifest, options)
    rows = [_files(manifest)]
    tokenizer = read_tokenizer(directory)
    with _hushed(progress) as told:
        with told.step("goldens"):
            rows += golden_check.check_code(records, tokenizer, directory)
            opened = open_artifact(directory, manifest, tokenizer, records)
            rows += _goldens(manifest, records, opened)
            rows += _interpreter(directory, manifest, records, opened)
        with told.step("task"):
            rows += _task(manifest, options, opened, checkpoint, absent)
        with told.step("runtimes"):
            rows += _compat(directory, options)
            rows += _lint(directory, options)
        with told.step("delegation"):
            rows += _delegation(directory, options)
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
        if row.check == RUNTIME:
            status = row.reason.partition(":")[0] if row.status == "failed" else row.status
            yield compat.Tried(row.runtime, row.version, status)


def find_checkpoint(manifest: Manifest, options: VerifyOptions) -> tuple[Checkpoint | None, str]:
    """Return the checkpoint that a bundle was made from, or None and why there is none.

    Raises:
        UserError: the checkpoint that was named is not there, or not the bundle's.
    """
    kind, _, name = manifest.model.source.partition(":")
    if options.model is None and (kind != "embedded" or name not in models.EMBEDDED):
        return None, f"the checkpoint '{manifest.model.source}' is not here; name it with --model"
    if importlib.util.find_spec("torch") is None:
        return None, "PyTorch is not installed; type: pip install 'ondevice[checkpoint]'"
    checkpoint = models.load(options.model or name, manifest.task)
    if checkpoint.sha256 == manifest.model.sha256:
        return checkpoint, ""
    if options.model is not None:
        raise UserError(
            f"'{options.model}' is another checkpoint than the bundle was made from"
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


# --- the groups of checks ---


def _files(manifest: Manifest) -> CheckInfo:
    return CheckInfo(
        check=FILES,
        runtime="ondevice",
        version=__version__,
        figure=f"{len(manifest.files)} files",
        limit="SHA-256 of each",
        status="passed",
        evidence="host",
    )


def _goldens(manifest: Manifest, records: list[Record], opened: Opened) -> list[CheckInfo]:
    rows = _guarded(golden_check.OUTPUTS, manifest, opened, partial(_outputs, records))
    if manifest.task == "qa":
        rows += _guarded(golden_check.ANSWERS, manifest, opened, partial(_answers, records))
    return rows


def _interpreter(
    directory: Path, manifest: Manifest, records: list[Record], opened: Opened
) -> list[CheckInfo]:
    """Compare runtime and interpreter, for the formats that have an interpreter."""
    from ondevice.verify import REFERENCES
    from ondevice.verify.mil import UnknownOpError
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
    except UnknownOpError as error:
        found = Opened(None, reason=str(error))
    except OnDeviceError as error:
        found = Opened(None, "reference", "failed", f"the interpreter cannot run it: {error}")
    return [_unopened(golden_check.INTERPRETER, manifest, found)]


def _outputs(records: list[Record], model: Model, evidence: Evidence) -> list[CheckInfo]:
    return golden_check.check_outputs(records, model, evidence)


def _answers(records: list[Record], model: Model, evidence: Evidence) -> list[CheckInfo]:
    return golden_check.check_answers(records, model, evidence)


def _task(
    manifest: Manifest,
    options: VerifyOptions,
    opened: Opened,
    checkpoint: Checkpoint | None,
    absent: str,
) -> list[CheckInfo]:
    if checkpoint is None:
        return [_unopened(TASK, manifest, Opened(None, reason=absent))]
    return _guarded(TASK, manifest, opened, partial(_gate, options, checkpoint))


def _gate(
    options: VerifyOptions, checkpoint: Checkpoint, model: Model, evidence: Evidence
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
    findings = task_gate.check(subject, limits, data=options.data, count=count)
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


def _compat(directory: Path, options: VerifyOptions) -> list[CheckInfo]:
    if not options.runtimes:
        return []
    rows = []
    for found in compat.run(directory, options.runtimes):
        prefix = f"{found.status}: " if found.status in {"wrong", "refused"} else ""
        rows.append(
            CheckInfo(
                check=RUNTIME,
                runtime=found.runtime,
                version=found.version,
                length=found.length,
                figure=_number(found.figure),
                limit=found.limit,
                status=_COMPAT_STATUS[found.status],
                evidence=found.evidence,
                reason=prefix + found.reason if found.reason else found.status * bool(prefix),
            )
        )
    return rows


def _lint(directory: Path, options: VerifyOptions) -> list[CheckInfo]:
    return [
        CheckInfo(
            check="format",
            runtime=found.runtime,
            version=found.version,
            limit=found.limit,
            status=found.status,
            evidence=found.evidence,
            reason=found.reason,
        )
        for found in lint.check(directory, options.app_runtimes)
    ]


def _delegation(directory: Path, options: VerifyOptions) -> list[CheckInfo]:
    from ondevice.verify import delegation

    least = options.min_delegated
    minimum = delegation.DEFAULT_MINIMUM if least is None else least / 100.0
    found = delegation.measure(directory, minimum)
    return [
        CheckInfo(
            check="delegation",
            runtime=found.runtime,
            version=found.version,
            length=found.length,
            figure="" if found.figure is None else f"{100.0 * found.figure:.1f} %",
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
    """Run a check on the opened artifact; where it is not open, say so in a row."""
    if opened.model is None:
        return [_unopened(check, manifest, opened)]
    return body(opened.model, opened.evidence)


def _unopened(check: str, manifest: Manifest, opened: Opened) -> CheckInfo:
    return CheckInfo(
        check=check,
        runtime=manifest.artifact.target,
        version="",
        status=opened.status,
        evidence=opened.evidence,
        reason=opened.reason,
    )


def _number(value: float | None) -> str:
    from ondevice import card

    return "" if value is None else card.figure(value)


@contextlib.contextmanager
def _hushed(progress: console.Progress) -> Iterator[console.Progress]:
    """Keep what libraries print away from the terminal."""
    with (
        tempfile.TemporaryDirectory(prefix="ondevice-") as directory,
        console.quiet(Path(directory) / "verify.log") as terminal,
    ):
        yield progress.on(terminal)


def _check_options(options: VerifyOptions) -> None:
    """Refuse what would only be found out after minutes of work."""
    for text in options.runtimes:
        compat.parse_requirement(text)
    for text in options.app_runtimes:
        lint.parse_app_runtime(text)
    if options.data is not None and not options.data.is_file():
        raise UserError(f"no file '{options.data}' for --eval")
