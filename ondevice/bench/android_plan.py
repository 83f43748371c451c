"""What will be measured on an Android phone, and with what: looked over before it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ondevice.bench import DELEGATES, BenchOptions, android_app, android_goldens
from ondevice.bench.android_benchmark_model import WARMUP_SECONDS, BenchmarkModel
from ondevice.bench.android_executor_runner import ExecutorRunner
from ondevice.bench.android_programs import WARMUP_RUNS, Job, Program
from ondevice.bench.entries import Entry
from ondevice.bench.parts import DeviceState
from ondevice.bundle import hash_file
from ondevice.errors import UserError
from ondevice.manifest import Manifest


@dataclass(frozen=True)
class Kind:
    """A program that times one target's artifacts.

    Attributes:
        name: what its file's name holds.
        make: puts it to work on an artifact.
        runtime: the library that is in it.
        warmup: the rule of its warm-up.
    """

    name: str
    make: type[BenchmarkModel] | type[ExecutorRunner]
    runtime: str
    warmup: str

    def accelerator(self, delegate: str) -> str:
        """Return what runs the artifacts, if `delegate` was asked for."""
        return delegate if self.make is BenchmarkModel else DELEGATES[0]


# By target; artifacts of other targets need the app.
PROGRAMS: dict[str, Kind] = {
    "tflite": Kind(
        "benchmark_model",
        BenchmarkModel,
        "litert",
        f"{WARMUP_RUNS} runs, and at least {WARMUP_SECONDS:g} s",
    ),
    "executorch": Kind("executor_runner", ExecutorRunner, "executorch", f"{WARMUP_RUNS} runs"),
}


@dataclass
class Item:
    """A bundle on its way through a run.

    Attributes:
        file: its program here; None if there is none.
        timed: whether all that was to be timed was timed.
        before, after: the phone's state around its own runs.
    """

    entry: Entry
    path: Path
    manifest: Manifest
    file: Path | None
    program: Program | None = None
    job: Job | None = None
    records: android_goldens.Records = field(default_factory=dict)
    timed: bool = False
    before: DeviceState = field(default_factory=DeviceState)
    after: DeviceState = field(default_factory=DeviceState)

    @cached_property
    def file_sha256(self) -> str:
        """The program's hash, in place of a version that it does not tell; "" if there is none."""
        return "" if self.file is None else hash_file(self.file)

    @property
    def kind(self) -> Kind | None:
        """What would time it."""
        return PROGRAMS.get(self.entry.identity.target)


def refuse(options: BenchOptions) -> None:
    """Refuse what cannot be asked of a phone.

    Raises:
        UserError: it was asked.
    """
    if options.baseline is not None:
        raise UserError(
            "--baseline runs in PyTorch, on this machine only; to compare on the phone, build a"
            " bundle of the teacher and give both"
        )
    if options.data is not None:
        raise UserError(
            "--data asks questions on this machine only: scores and real traffic come from"
            " --device host"
        )
    if options.app is not None and options.runners:
        raise UserError("give --runner or --app, not both: each would measure the same bundles")


def sort_programs(files: Sequence[Path]) -> dict[str, Path]:
    """Return the programs by the target that they run, told apart by their names.

    Raises:
        UserError: one is neither, or there are two of a kind.
    """
    found: dict[str, Path] = {}
    for path in files:
        target = next((name for name, kind in PROGRAMS.items() if kind.name in path.name), None)
        if target is None:
            names = " or ".join(kind.name for kind in PROGRAMS.values())
            raise UserError(f"'{path}' is no program for phones; its name must hold {names}")
        if target in found:
            raise UserError(f"'{found[target]}' and '{path}' are the same program; give one")
        if not path.is_file():
            raise UserError(f"no file '{path}'")
        found[target] = path
    return found


def check_delegate(options: BenchOptions, programs: Mapping[str, Path]) -> None:
    """Refuse a delegate that nothing would use.

    Raises:
        UserError: there is no benchmark_model to hand it to.
    """
    if options.delegate != DELEGATES[0] and "tflite" not in programs:
        raise UserError(
            f"--delegate {options.delegate} is for benchmark_model and tflite bundles: give"
            " --runner benchmark_model, or leave it out"
        )


def nothing_to_run(measured: Sequence[Entry]) -> str:
    """Return the sentence for bundles that nothing on the phone would run."""
    targets = sorted({one.identity.target for one in measured})
    ways = [f"--runner {PROGRAMS[name].name}" for name in targets if name in PROGRAMS]
    pushed = (
        f"give {' and '.join(ways)} (the program's file, built for Android), or "
        if ways
        else f"no program times {' or '.join(targets)} artifacts there; "
    )
    return (
        "there is nothing on the phone to run the bundles with: "
        f"{pushed}install the demo app with the bundles in it and give --app {android_app.APP}"
    )
