"""What will be measured: bundles and the teacher, looked over before anything runs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ondevice import __version__, bundle, contents, models
from ondevice.bench import BenchOptions
from ondevice.bench.parts import (
    MAX_SAMPLES,
    ArtifactIdentity,
    DataInfo,
    DeviceInfo,
    GoldenCheck,
    Measurement,
    MemoryInfo,
    Placement,
    ProtocolInfo,
    RuntimeInfo,
    ScoreInfo,
    TrafficInfo,
    plain,
)
from ondevice.bench.results import SCHEMA_VERSION, BenchmarkResult
from ondevice.calibration import spread
from ondevice.errors import BundleError, DataError, UserError
from ondevice.targets import TARGETS
from ondevice.tasks import qa

if TYPE_CHECKING:
    from ondevice.manifest import Manifest, WindowInfo

BASELINE_TARGET, BASELINE_SCHEME = "torch", "fp32"

MAX_ID = 200


@dataclass(frozen=True)
class Questions:
    """The questions of ``--data``."""

    data: DataInfo
    examples: tuple[qa.QAExample, ...]


@dataclass
class Entry:
    """One artifact: what it is, and what was found out about it so far.

    Attributes:
        opening: the request that opens it in a worker.
        lengths: to be timed, ascending.
        window: how contexts are cut when questions are asked.
        failure: why nothing more will be measured; the artifact drops out, the others go on.
        absent: why it cannot run here at all.
    """

    identity: ArtifactIdentity
    opening: dict[str, Any]
    lengths: tuple[int, ...]
    window: WindowInfo
    threads: int | None
    golden: GoldenCheck = field(default_factory=lambda: GoldenCheck(status="not_run"))
    runtime: RuntimeInfo | None = None
    measurements: list[Measurement] = field(default_factory=list)
    memory: MemoryInfo | None = None
    placements: tuple[Placement, ...] = ()
    notes: tuple[str, ...] = ()
    score: ScoreInfo | None = None
    traffic: TrafficInfo | None = None
    failure: str = ""
    absent: str = ""

    @property
    def label(self) -> str:
        """The name in progress lines and in `interleaved_with`."""
        return f"{self.identity.model} {self.identity.target} {self.identity.scheme}"

    @property
    def is_baseline(self) -> bool:
        """Whether it is the teacher in PyTorch."""
        return self.identity.target == BASELINE_TARGET

    @property
    def runs(self) -> bool:
        """Whether there is more to measure."""
        return not self.failure and not self.absent


def read_bundles(bundles: Sequence[Path], options: BenchOptions) -> list[Entry]:
    """Look bundles over: whole, of one task, each given once, with the lengths asked for.

    Raises:
        BundleError: one is not a bundle, or not as it was published.
        UserError: they cannot be measured together.
    """
    entries = [_read_bundle(path, options) for path in bundles]
    if not entries:
        raise UserError("no bundle was given; type: ondevice bench BUNDLE…")
    tasks = sorted({entry.identity.task for entry in entries})
    if len(tasks) > 1:
        raise UserError(
            f"the bundles are of different tasks ({', '.join(tasks)}); measure each task by itself"
        )
    seen: dict[tuple[str, str | None], Path] = {}
    for entry, path in zip(entries, bundles, strict=True):
        key = (entry.label, entry.identity.sha256)
        if key in seen:
            raise UserError(f"'{path}' and '{seen[key]}' are the same artifact; give one of them")
        seen[key] = path
    return entries


def _read_bundle(path: Path, options: BenchOptions) -> Entry:
    manifest = bundle.open_bundle(path)
    artifact = manifest.artifact
    if artifact.target not in TARGETS:
        raise UserError(f"this version of ondevice does not know the target '{artifact.target}'")
    chosen = options.lengths or artifact.lengths
    missing = [length for length in chosen if length not in artifact.lengths]
    if missing:
        raise UserError(
            f"'{path}' does not serve length {missing[0]}; its lengths:"
            f" {', '.join(map(str, artifact.lengths))}"
        )
    return Entry(
        identity=identity_of(manifest),
        opening={"kind": "bundle", "directory": str(path.resolve()), "threads": options.threads},
        lengths=tuple(sorted(chosen)),
        window=manifest.window,
        # Core ML chooses its threads itself.
        threads=None if artifact.target == "coreml" else options.threads,
    )


def identity_of(manifest: Manifest) -> ArtifactIdentity:
    """Return what a manifest says of its artifact, as a result states it.

    Raises:
        BundleError: a name in it is none.
    """
    try:
        return _identity(manifest)
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        raise BundleError(f"the manifest's '{field}' is not fit to be printed") from error


def _identity(manifest: Manifest) -> ArtifactIdentity:
    return ArtifactIdentity(
        model=manifest.model.name,
        task=manifest.task,
        target=manifest.artifact.target,
        scheme=manifest.artifact.scheme,
        lengths=manifest.artifact.lengths,
        sha256=manifest.artifact.sha256,
        bytes=manifest.artifact.bytes,
        params=manifest.model.params,
        model_sha256=manifest.model.sha256,
        content_key=manifest.content_key,
    )


def read_baseline(model: str, entries: Sequence[Entry], options: BenchOptions) -> Entry:
    """Look the teacher over; it is timed at every length that a bundle is timed at.

    Raises:
        UserError: there is no such checkpoint, or it is too short or of another task.
    """
    checkpoint = models.load(model, entries[0].identity.task)
    lengths = tuple(sorted({length for entry in entries for length in entry.lengths}))
    served = tuple(sorted({one for entry in entries for one in entry.identity.lengths}))
    longest = checkpoint.encoder.max_length
    if served[-1] > longest:
        raise UserError(
            f"the baseline '{model}' takes {longest} tokens at most, the bundles {served[-1]}"
        )
    identity = ArtifactIdentity(
        model=checkpoint.name,
        task=checkpoint.task,
        target=BASELINE_TARGET,
        scheme=BASELINE_SCHEME,
        lengths=served,
        sha256=checkpoint.sha256,
        bytes=sum(file.stat().st_size for file in checkpoint.weight_files),
        params=checkpoint.params,
        model_sha256=checkpoint.sha256,
    )
    opening = {
        "kind": "torch",
        "model": model,
        "task": checkpoint.task,
        "threads": options.threads,
    }
    return Entry(
        identity=identity,
        opening=opening,
        lengths=lengths,
        window=contents.window_for(served),
        threads=options.threads,
        golden=GoldenCheck(
            status="not_run", reason="the checkpoint itself is what goldens are made from"
        ),
        notes=("the checkpoint in PyTorch, eager, float32",),
    )


def read_questions(path: Path, task: str, count: int) -> Questions:
    """Read the questions of ``--data``, at most `count` of them at even distances; 0 for all.

    Raises:
        DataError: the file is unreadable, or contradicts itself.
        UserError: the bundles answer no questions, or there are more than a result holds.
    """
    if task != "qa":
        raise UserError(f"--data holds questions, and the bundles' task is '{task}'; leave it out")
    examples = tuple(spread(qa.read_squad(path), count))
    if len(examples) > MAX_SAMPLES:
        raise UserError(
            f"{path}: a result holds {MAX_SAMPLES} questions at most, these are {len(examples)};"
            f" give --questions {MAX_SAMPLES} or fewer"
        )
    for example in examples:
        if not example.id or example.id != plain(example.id, MAX_ID):
            raise DataError(
                f"{path}: a question id is empty, longer than {MAX_ID} characters or not printable"
            )
    data = DataInfo(name=path.name, sha256=bundle.hash_file(path), questions=len(examples))
    return Questions(data, examples)


def document(
    entry: Entry, device: DeviceInfo, protocol: ProtocolInfo, created: str, reason: str = ""
) -> BenchmarkResult:
    """Return what is known of an entry as a result: partial if there is a reason to say so."""
    why = entry.absent or entry.failure or reason
    return BenchmarkResult(
        schema_version=SCHEMA_VERSION,
        created=created,
        status="partial" if why else "complete",
        reason=why,
        evidence="not run" if entry.absent else "host",
        source=f"ondevice {__version__}",
        tools={"ondevice": __version__},
        device=device,
        artifact=entry.identity,
        runtime=entry.runtime or RuntimeInfo(name=entry.identity.target),
        protocol=protocol.model_copy(update={"threads": entry.threads}),
        golden=entry.golden,
        measurements=tuple(entry.measurements),
        memory=entry.memory,
        placements=entry.placements,
        notes=entry.notes,
        score=entry.score,
        traffic=entry.traffic,
    )


def now() -> str:
    """Return the time as results state it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
