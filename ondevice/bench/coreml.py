"""Core ML's own benchmark and compute plan on this Mac, through coremltools.

``MLModelBenchmarker`` (coremltools 9, ``models.ml_program.experimental.perf_utils``) times loads
and predictions and keeps its samples; ``MLComputePlan`` (``models.compute_plan``) says which unit
Core ML prefers for each operation. With inputs of its own the benchmarker would take random ids
from 0 to 9, so it is always given those of a golden.
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import bundle
from ondevice.bench import BenchOptions, Keep, android_goldens, entries, golden_gate, machine
from ondevice.bench.entries import Entry, now
from ondevice.bench.parts import (
    DeviceState,
    Measurement,
    Placement,
    ProtocolInfo,
    RuntimeInfo,
    plain,
)
from ondevice.bench.process import Process
from ondevice.bench.results import BenchmarkResult
from ondevice.console import Progress
from ondevice.errors import UserError, require
from ondevice.targets.coreml import function_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXTRA = "coreml"
LOADS = 5
WARMUP_RUNS = 10
# coremltools' classes of compute devices, by what they are.
DEVICES = {
    "MLCPUComputeDevice": "cpu",
    "MLGPUComputeDevice": "gpu",
    "MLNeuralEngineComputeDevice": "neuralEngine",
}


def run(
    bundles: Sequence[Path],
    options: BenchOptions,
    *,
    identifier: str | None,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Measure Core ML bundles on this Mac; see :class:`ondevice.bench.RunOnDevice`."""
    _refuse(options, identifier)
    measured = entries.read_bundles(bundles, options)
    for entry in measured:
        if entry.identity.target != "coreml":
            raise UserError(
                f"--device coreml measures Core ML bundles, and {entry.label} is none; the others"
                " take --device host"
            )
    return _Session(measured, bundles, options, keep, progress).run()


def _refuse(options: BenchOptions, identifier: str | None) -> None:
    if identifier is not None:
        raise UserError("--device coreml takes no name after a colon: it is this Mac")
    if options.runners or options.app:
        raise UserError("--runner and --app are for phones; leave them out with --device coreml")
    if options.baseline is not None or options.data is not None:
        raise UserError(
            "--baseline and --data are for --device host; Core ML's benchmarker times one model"
        )


@dataclass
class _Session:
    """One run over all bundles: goldens first, then each is timed alone."""

    entries: Sequence[Entry]
    bundles: Sequence[Path]
    options: BenchOptions
    keep: Keep
    progress: Progress
    created: str = field(default_factory=now)
    before: DeviceState = field(default_factory=DeviceState)

    def run(self) -> list[BenchmarkResult]:
        """Return a finished result for each bundle."""
        self.before = machine.read_state()
        self._check_goldens()
        results = []
        for entry, path in zip(self.entries, self.bundles, strict=True):
            if entry.runs:
                self._time(entry, path)
            results.append(self._document(entry))
            self.keep(results[-1])
        return results

    def _check_goldens(self) -> None:
        for entry in self.entries:
            with (
                self.progress.step(f"{entry.label}: goldens"),
                Process(self.options.seconds) as process,
            ):
                golden_gate.hold(entry, process)
        for entry in golden_gate.wrong(self.entries):
            self.keep(self._document(entry, entry.golden.reason or "it fails its golden check"))
        golden_gate.refuse(self.entries)

    def _time(self, entry: Entry, path: Path) -> None:
        manifest = bundle.read_manifest(path)
        records = android_goldens.read_records(path, entry.lengths)
        several = len(manifest.artifact.lengths) > 1
        for length in entry.lengths:
            what = f"{entry.label}: length {length}"
            self.keep(self._document(entry, f"interrupted during: {what}"))
            inputs = android_goldens.ordered_inputs(records[length][0], manifest)
            function = function_name(length) if several else None
            try:
                with self.progress.step(what):
                    found = measure(
                        path / manifest.artifact.file,
                        inputs,
                        self.options.iterations,
                        function=function,
                    )
            except Exception as error:  # noqa: BLE001 - runtimes raise anything
                entry.failure = plain(f"at length {length}: {type(error).__name__}: {error}")
                return
            # Loads are measured once; they know no length.
            entry.measurements += [] if entry.measurements else [found.loads]
            entry.measurements += [found.predictions]
            entry.placements = found.placements

    def _document(self, entry: Entry, reason: str = "") -> BenchmarkResult:
        if not entry.absent:
            version = platform.mac_ver()[0]
            entry.runtime = RuntimeInfo(name="coreml", version=version, accelerator="all")
        how = ProtocolInfo(
            warmup=f"{WARMUP_RUNS} runs",
            iterations=self.options.iterations,
            order="alone",
            timer="coremltools MLModelBenchmarker",
            load_cold="not measured: Core ML keeps what it compiled",
        )
        device = machine.describe(self.before, machine.read_state())
        return entries.document(entry, device, how, self.created, reason)


@dataclass(frozen=True)
class CoreMLTimes:
    """What Core ML said of one artifact at one length."""

    loads: Measurement
    predictions: Measurement
    placements: tuple[Placement, ...]


def measure(
    path: Path,
    inputs: Mapping[str, NDArray[np.int32]],
    iterations: int,
    *,
    function: str | None = None,
) -> CoreMLTimes:
    """Time an ``.mlpackage`` on this Mac with Core ML's benchmarker.

    Args:
        path: the package.
        inputs: int32 [1, L] by name, real ones.
        iterations: timed predictions.
        function: of a package that serves several lengths.

    Raises:
        MissingPackageError: coremltools is not installed.
    """
    coremltools = require("coremltools", extra=EXTRA)
    perf_utils = require("coremltools.models.ml_program.experimental.perf_utils", extra=EXTRA)
    plans = require("coremltools.models.compute_plan", extra=EXTRA)
    model = coremltools.models.MLModel(str(path), function_name=function)
    benchmarker = perf_utils.MLModelBenchmarker(model)
    length = int(next(iter(inputs.values())).shape[1])
    loads, predictions = asyncio.run(_measure(benchmarker, dict(inputs), length, iterations))
    plan = plans.MLComputePlan.load_from_path(model.get_compiled_model_path())
    return CoreMLTimes(loads, predictions, placements_of(plan, function or "main"))


async def _measure(
    benchmarker: Any,
    inputs: dict[str, NDArray[np.int32]],
    length: int,
    iterations: int,
) -> tuple[Measurement, Measurement]:
    loaded = await benchmarker.benchmark_load(iterations=LOADS)
    # One warm-up run, as the benchmarker has it, is not enough for a phone's clocks.
    await benchmarker.benchmark_predict(inputs=inputs, iterations=WARMUP_RUNS)
    predicted = await benchmarker.benchmark_predict(inputs=inputs, iterations=iterations)
    return (
        # In one process: only the first could be cold, and Core ML caches what it compiled.
        Measurement(kind="load_warm", samples=nanoseconds(loaded.samples)),
        Measurement(
            kind="model_only",
            length=length,
            samples=nanoseconds(predicted.samples),
            warmup_runs=WARMUP_RUNS,
        ),
    )


def nanoseconds(milliseconds: Sequence[float]) -> tuple[int, ...]:
    """Return coremltools' milliseconds in ns; a time below one is the clock's smallest step."""
    return tuple(max(round(one * 1e6), 1) for one in milliseconds)


def placements_of(plan: Any, function: str) -> tuple[Placement, ...]:
    """Count the operations that Core ML prefers to run on each unit; constants are none."""
    program = plan.model_structure.program
    if program is None or function not in program.functions:
        return ()
    counted: Counter[str] = Counter()
    for operation in program.functions[function].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None:
            kind = type(usage.preferred_compute_device).__name__
            counted[DEVICES.get(kind, kind)] += 1
    total = sum(counted.values())
    return tuple(
        Placement(delegate=name, nodes=nodes, total=total)
        for name, nodes in sorted(counted.items())
    )
