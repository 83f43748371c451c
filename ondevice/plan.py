"""What a build will do: its jobs, checked before anything is written, and what is built already."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ondevice import __version__, bundle, calibration, keeping, parts, vocabulary
from ondevice.calibration import Calibration
from ondevice.console import Progress
from ondevice.errors import (
    BundleError,
    MissingPackageError,
    UserError,
    choices,
    install_command,
)
from ondevice.manifest import Manifest
from ondevice.models import DEFAULT_MODEL, Checkpoint
from ondevice.schemes import SCHEMES, Scheme, check_offered, get_scheme
from ondevice.targets import TARGETS
from ondevice.targets.base import DEFAULT_LAYOUT, ConvertOptions, Labels, Target
from ondevice.tasks import TASKS

DEFAULT_OUT = Path("bundles")
# Core ML first: coremltools would load what it finds imported of ExecuTorch's packages. Then those
# that hold the most beside their weights: converters that were imported stay, and the last target
# has the memory of all beside its own.
BUILD_ORDER = ("coreml", "onnx", "tflite", "executorch")
# Shorter windows have no room for a question, a context and the special tokens between them.
MIN_LENGTH = 16


@dataclass(frozen=True)
class BuildOptions:
    """What the user asks for, in the words of the command line.

    Attributes:
        model: an embedded name, a directory or a hub id.
        task: ``auto`` or a task's name.
        targets: names of targets; ``all`` stands for every one.
        schemes: names of schemes; None for each target's own default.
        lengths: the sequence lengths to serve; None for the task's default.
        ios: the oldest iOS that a Core ML artifact must load on; None lets the target choose.
        layout: how the graph arranges its activations, of :data:`ondevice.targets.base.LAYOUTS`.
        calibration: texts for schemes that look at some; None for the project's samples.
        keep: parts to store in more bits than the scheme's, as :func:`ondevice.parts.choose` takes
            them; or ``auto`` or ``auto:MB`` alone, see :mod:`ondevice.keeping`.
        trim_vocab: a corpus; word pieces that it never uses are dropped. None keeps all.
        out: the directory that bundles are published in.
        force: build even what is there already.
    """

    model: str = DEFAULT_MODEL
    task: str = "auto"
    targets: tuple[str, ...] = ("coreml",)
    schemes: tuple[str, ...] | None = None
    lengths: tuple[int, ...] | None = None
    ios: int | None = None
    layout: str = DEFAULT_LAYOUT
    calibration: Path | None = None
    keep: tuple[str, ...] = ()
    trim_vocab: str | None = None
    out: Path = DEFAULT_OUT
    force: bool = False


@dataclass(frozen=True)
class Job:
    """One bundle to make: a target under a scheme.

    Attributes:
        place: the bundle's directory.
        key: the content key; a bundle that carries it need not be built again.
        max_bytes: what the user allows the artifact; None for any size.
    """

    target: Target
    scheme: Scheme
    task: str
    lengths: tuple[int, ...]
    convert_options: ConvertOptions
    place: Path
    tools: dict[str, str]
    key: str
    max_bytes: int | None = None

    @property
    def lowering(self) -> object | None:
        """What is equal for jobs that are finished from one lowering; None if there is none."""
        return self.target.lowering(self.convert_options)

    @property
    def label(self) -> str:
        """A short name for progress lines."""
        layout = self.convert_options.layout
        words = (self.target.name, *_unless_default(layout), self.scheme.name)
        return " ".join(words) + parts.label(self.convert_options.kept)


def _unless_default(layout: str) -> tuple[str, ...]:
    """Return what a layout adds to names: nothing for the default one."""
    return () if layout == DEFAULT_LAYOUT else (layout,)


def check_words(options: BuildOptions) -> None:
    """Check what needs no checkpoint: the words, and the packages that they call for.

    Raises:
        UserError: an unknown or unoffered word, or a missing package.
    """
    for target in _targets(options.targets):
        for scheme in _schemes(target, options):
            check_offered(scheme, target.name, target.schemes)
        target.check_layout(options.layout)
        check_installed(target)
    if options.calibration is not None and not _takes_texts(options):
        able = ", ".join(name for name, scheme in SCHEMES.items() if scheme.takes_texts)
        raise UserError(
            f"--calibration is for schemes that look at texts: {able}; and for --keep auto"
        )
    keeping.check_words(
        options.keep, [s for t in _targets(options.targets) for s in _schemes(t, options)]
    )


def make_jobs(
    checkpoint: Checkpoint, options: BuildOptions, progress: Progress | None = None
) -> list[Job]:
    """Return the jobs of a build, having checked that each can be done.

    `progress` tells of the measuring that ``keep="auto"`` takes.

    Raises:
        UserError: an impossible length, an unknown part, or an option that a target cannot serve.
        DataError: the calibration texts are unreadable or empty, or not in the model's script.
    """
    lengths = check_lengths(options.lengths, checkpoint)
    texts = _calibration(checkpoint, options) if _takes_texts(options) else None
    keeper = keeping.Keeper(checkpoint, options.keep, texts, progress)
    jobs = [
        _job(checkpoint, target, get_scheme(scheme), lengths, options, texts, keeper)
        for target in _targets(options.targets)
        for scheme in _schemes(target, options)
    ]
    for job in jobs:
        job.target.check(job.convert_options)
    return jobs


def check_jobs(checkpoint: Checkpoint, options: BuildOptions) -> None:
    """Check what :func:`make_jobs` does, but for ``auto``: it measures, and its budget is later.

    Raises:
        UserError: as there.
        DataError: as there.
    """
    if _takes_texts(options):
        _calibration(checkpoint, options)
    measured = keeping.read_budget(options.keep) is not None
    plain = replace(options, keep=() if measured else options.keep)
    make_jobs(checkpoint, plain if _takes_texts(plain) else replace(plain, calibration=None))


def in_order(jobs: list[Job]) -> list[Job]:
    """Return jobs in the order to build them in: by :data:`BUILD_ORDER`, else as they were.

    Jobs of one lowering come one after the other.
    """

    def place(job: Job) -> tuple[int, int]:
        alike = (other for other in jobs if other.lowering == job.lowering is not None)
        return BUILD_ORDER.index(job.target.name), jobs.index(next(alike, job))

    return sorted(jobs, key=place)


def _schemes(target: Target, options: BuildOptions) -> tuple[str, ...]:
    named = (target.default_scheme,) if options.schemes is None else options.schemes
    return tuple(dict.fromkeys(named))


def _takes_texts(options: BuildOptions) -> bool:
    """Say whether any scheme that is asked for looks at texts, or the choice of parts to keep."""
    return keeping.read_budget(options.keep) is not None or any(
        get_scheme(scheme).takes_texts
        for target in _targets(options.targets)
        for scheme in _schemes(target, options)
    )


def _calibration(checkpoint: Checkpoint, options: BuildOptions) -> Calibration:
    if options.calibration is None:
        return calibration.from_samples(checkpoint)
    return calibration.from_file(checkpoint, options.calibration)


def check_lengths(lengths: tuple[int, ...] | None, checkpoint: Checkpoint) -> tuple[int, ...]:
    """Return the lengths to build for, the task's default where none are given.

    Raises:
        UserError: they do not ascend, or one is too short or above the position table.
    """
    largest = checkpoint.encoder.max_length
    if lengths is None:
        lengths = (min(TASKS[checkpoint.task].default_length, largest),)
    if not lengths or list(lengths) != sorted(set(lengths)):
        given = ",".join(map(str, lengths))
        raise UserError(f"lengths must ascend without repeats, for example 128,384; not {given}")
    if lengths[0] < MIN_LENGTH:
        raise UserError(f"length {lengths[0]} is too short; lengths go from {MIN_LENGTH} up")
    if lengths[-1] > largest:
        raise UserError(
            f"length {lengths[-1]} is above the checkpoint's position table, which ends at"
            f" {largest}"
        )
    return lengths


def check_installed(target: Target) -> None:
    """Check that the packages of a target's converter are installed, without importing them.

    Raises:
        MissingPackageError: one is not.
    """
    for package in needed_packages(target):
        if installed_version(package) is None:
            raise MissingPackageError(
                f"target '{target.name}' needs the package '{package}', which is not installed;"
                f" type: {install_command(target.extra)}"
            )


def needed_packages(target: Target) -> tuple[str, ...]:
    """Return the packages without which a target cannot be built, as pip knows them."""
    return tuple(dict.fromkeys(("torch", "transformers", *target.converters)))


@cache
def installed_version(package: str) -> str | None:
    """Return the installed version of a package, None if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_cached(job: Job) -> Manifest | None:
    """Return the manifest of the bundle in the job's place if it is what the job would build."""
    try:
        manifest = bundle.read_manifest(job.place)
        if manifest.content_key != job.key:
            return None
        bundle.verify_files(job.place, manifest)
    except BundleError:
        return None
    return manifest


def _targets(names: tuple[str, ...]) -> list[Target]:
    for name in names:
        if name != "all" and name not in TARGETS:
            raise UserError(choices("target", name, [*TARGETS, "all"]))
    wanted = TARGETS if "all" in names else dict.fromkeys(names)
    return [TARGETS[name] for name in wanted]


def _job(
    checkpoint: Checkpoint,
    target: Target,
    scheme: Scheme,
    lengths: tuple[int, ...],
    options: BuildOptions,
    texts: Calibration | None,
    keeper: keeping.Keeper,
) -> Job:
    labels = Labels(
        name=checkpoint.name,
        task=checkpoint.task,
        author="ondevice",
        licence=checkpoint.licence,
        version=__version__,
    )
    kept = keeper.kept(target, scheme, lengths)
    layout = _unless_default(options.layout)
    name = "-".join((checkpoint.name, checkpoint.task, target.name, *layout, scheme.name))
    name += parts.label(kept)
    tools = tool_versions(target)
    convert_options = ConvertOptions(
        scheme.name,
        lengths,
        labels,
        options.ios,
        texts if scheme.takes_texts else None,
        kept,
        options.layout,
    )
    return Job(
        target=target,
        scheme=scheme,
        task=checkpoint.task,
        lengths=lengths,
        convert_options=convert_options,
        place=options.out / name,
        tools=tools,
        max_bytes=keeper.budget(),
        key=_content_key(checkpoint, target, convert_options, tools),
    )


def tool_versions(target: Target) -> dict[str, str]:
    """Return the versions of everything that decides an artifact's bytes or its evidence.

    A runtime is among them: once one is installed, a bundle whose parity was not run is built
    anew and checked.
    """
    packages = dict.fromkeys((*needed_packages(target), *target.runtimes))
    versions = {package: installed_version(package) or "" for package in packages}
    return {"python": platform.python_version(), "ondevice": __version__} | versions


def _content_key(
    checkpoint: Checkpoint, target: Target, options: ConvertOptions, tools: dict[str, str]
) -> str:
    facts = {
        "weights": checkpoint.sha256,
        "config": bundle.hash_file(checkpoint.directory / "config.json"),
        "tokenizer": hashlib.sha256(checkpoint.tokenizer.json().encode()).hexdigest(),
        "name": checkpoint.name,
        "licence": checkpoint.licence,
        "task": checkpoint.task,
        "target": target.name,
        "scheme": options.scheme,
        "lengths": options.lengths,
        # Other targets ignore it: asking for another iOS must not rebuild them.
        "ios": options.ios if target.name == "coreml" else None,
        "calibration": options.calibration.sha256 if options.calibration else None,
        "kept": options.kept,
        "layout": options.layout,
        "trim": vocabulary.read_record(checkpoint),
        "tools": tools,
        "code": code_hash(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


# What comes before a build or after it, and cannot change what is in a bundle.
_APART = {"bench", "commands", "distill", "embed", "report", "search", "zoo"}


@cache
def code_hash() -> str:
    """Hash this package's own sources: a change to the graph is a change to the artifact."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in _APART:
            digest.update(place.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
