"""Core ML's own benchmark and compute plan of one package, through coremltools.

``MLModelBenchmarker`` (coremltools 9, ``models.ml_program.experimental.perf_utils``) times loads
and predictions and keeps its samples; ``MLComputePlan`` (``models.compute_plan``) says which unit
Core ML prefers for each operation. With inputs of its own the benchmarker would take random ids
from 0 to 9, so it is always given those of a golden.

It runs in a process of its own (:mod:`ondevice.bench._worker`): Core ML may hang or crash.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.errors import require

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


@dataclass(frozen=True)
class CoreMLTimes:
    """What Core ML said of one package at one length.

    Attributes:
        loads: in ns, in one process: only the first could be cold, and Core ML caches what it
            compiled.
        predictions: in ns.
        preferred: operations by the unit that Core ML prefers for them.
    """

    loads: tuple[int, ...]
    predictions: tuple[int, ...]
    preferred: dict[str, int]


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
    loads, predictions = asyncio.run(_measure(benchmarker, dict(inputs), iterations))
    plan = plans.MLComputePlan.load_from_path(model.get_compiled_model_path())
    return CoreMLTimes(loads, predictions, preferred_units(plan, function or "main"))


async def _measure(
    benchmarker: Any, inputs: dict[str, NDArray[np.int32]], iterations: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    loaded = await benchmarker.benchmark_load(iterations=LOADS)
    # One warm-up run, as the benchmarker has it, is not enough for a phone's clocks.
    await benchmarker.benchmark_predict(inputs=inputs, iterations=WARMUP_RUNS)
    predicted = await benchmarker.benchmark_predict(inputs=inputs, iterations=iterations)
    return nanoseconds(loaded.samples), nanoseconds(predicted.samples)


def nanoseconds(milliseconds: Sequence[float]) -> tuple[int, ...]:
    """Return coremltools' milliseconds in ns; a time below one is the clock's smallest step."""
    return tuple(max(round(one * 1e6), 1) for one in milliseconds)


def preferred_units(plan: Any, function: str) -> dict[str, int]:
    """Count the operations that Core ML prefers to run on each unit; constants are none."""
    program = plan.model_structure.program
    if program is None or function not in program.functions:
        return {}
    counted: Counter[str] = Counter()
    for operation in program.functions[function].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None:
            kind = type(usage.preferred_compute_device).__name__
            counted[DEVICES.get(kind, kind)] += 1
    return dict(sorted(counted.items()))
