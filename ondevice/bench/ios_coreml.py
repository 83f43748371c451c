"""Core ML's own benchmark and compute plan, through coremltools, where Core ML exists: on a Mac.

``MLModelBenchmarker`` (coremltools 9, ``models.ml_program.experimental.perf_utils``) times loads
and predictions and keeps its samples; ``MLComputePlan`` (``models.compute_plan``) says which unit
Core ML prefers for each operation. With inputs of its own the benchmarker would take random ids
from 0 to 9, so it is always given real ones.
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.bench.parts import Measurement, Placement
from ondevice.errors import RuntimeUnavailableError, require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXTRA = "coreml"
# coremltools' classes of compute devices, by what they are.
DEVICES = {
    "MLCPUComputeDevice": "cpu",
    "MLGPUComputeDevice": "gpu",
    "MLNeuralEngineComputeDevice": "neuralEngine",
}


@dataclass(frozen=True)
class CoreMLTimes:
    """What Core ML said of one artifact at one length."""

    measurements: tuple[Measurement, ...]
    placements: tuple[Placement, ...]


def measure(
    path: Path,
    inputs: Mapping[str, NDArray[np.int32]],
    iterations: int,
    *,
    loads: int = 5,
    warmup: int = 10,
    function: str | None = None,
) -> CoreMLTimes:
    """Time an ``.mlpackage`` on this Mac with Core ML's benchmarker.

    Args:
        path: the package.
        inputs: int32 [1, L] by name, real ones.
        iterations: timed predictions.
        loads: loads, each timed.
        warmup: predictions before the timed ones.
        function: of a package that serves several lengths.

    Raises:
        RuntimeUnavailableError: this is no Mac, or coremltools is not installed.
    """
    if platform.system() != "Darwin":
        raise RuntimeUnavailableError("Core ML's benchmarker runs on macOS only; not run here")
    coremltools = require("coremltools", extra=EXTRA)
    perf_utils = require("coremltools.models.ml_program.experimental.perf_utils", extra=EXTRA)
    plans = require("coremltools.models.compute_plan", extra=EXTRA)
    model = coremltools.models.MLModel(str(path), function_name=function)
    benchmarker = perf_utils.MLModelBenchmarker(model)
    length = int(next(iter(inputs.values())).shape[1])
    measurements = asyncio.run(
        _measure(benchmarker, dict(inputs), length, iterations, loads, warmup)
    )
    plan = plans.MLComputePlan.load_from_path(model.get_compiled_model_path())
    return CoreMLTimes(measurements, placements_of(plan, function or "main"))


async def _measure(
    benchmarker: Any,
    inputs: dict[str, NDArray[np.int32]],
    length: int,
    iterations: int,
    loads: int,
    warmup: int,
) -> tuple[Measurement, ...]:
    loaded = await benchmarker.benchmark_load(iterations=loads)
    # One warm-up run, as the benchmarker has it, is not enough for a phone's clocks.
    await benchmarker.benchmark_predict(inputs=inputs, iterations=warmup)
    predicted = await benchmarker.benchmark_predict(inputs=inputs, iterations=iterations)
    return (
        # In one process: only the first could be cold, and Core ML caches what it compiled.
        Measurement(kind="load_warm", samples=nanoseconds(loaded.samples)),
        Measurement(
            kind="model_only",
            length=length,
            samples=nanoseconds(predicted.samples),
            warmup_runs=warmup,
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
