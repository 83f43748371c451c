"""Build tiny ML Programs with coremltools, save them, and read them back from disk."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings

from ondevice.verify.mil import MilModel
from tests.requirements import need

need("coreml")

logging.getLogger("coremltools").setLevel(logging.ERROR)
logging.getLogger("torchao").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="coremltools|torchao")

import coremltools as ct  # noqa: E402
from coremltools.converters.mil.mil import Builder as mb  # noqa: E402, N813
from coremltools.converters.mil.mil import types  # noqa: E402

# The same examples in each run; conversion makes the first of them slow.
EXAMPLES = settings(max_examples=20, deadline=None, derandomize=True, database=None)
# For tests that convert a program for each example; an example holds several cases.
FEW = settings(EXAMPLES, max_examples=3)

TARGETS: dict[str, Any] = {
    "iOS15": ct.target.iOS15,
    "iOS16": ct.target.iOS16,
    "iOS17": ct.target.iOS17,
    "iOS18": ct.target.iOS18,
}
# Dtypes a model's inputs may have; fp16 only since iOS 16.
_MIL: dict[str, Any] = {
    "float32": types.fp32,
    "float16": types.fp16,
    "int32": types.int32,
}

Inputs = Mapping[str, np.ndarray]


def build(
    path: Path,
    inputs: Mapping[str, tuple[tuple[int, ...], str]],
    body: Callable[..., Any],
    target: str = "iOS17",
    *,
    half: bool = False,
) -> Path:
    """Save the program `body(**inputs)` at `path`; inputs are name → (shape, dtype).

    Without `half` no pass touches the program, so that what is tested is the op as written.
    """
    names = list(inputs)
    specs = [mb.TensorSpec(shape=shape, dtype=_MIL[dtype]) for shape, dtype in inputs.values()]
    # The builder reads the inputs' names from the function's signature.
    source = f"def program({', '.join(names)}):\n    return body({', '.join(names)})"
    scope = {"body": body}
    exec(source, scope)
    program = mb.program(input_specs=specs, opset_version=TARGETS[target])(scope["program"])
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=TARGETS[target],
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.DEFAULT if half else ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    model.save(str(path))
    return path


def run(path: Path, inputs: Inputs, **options: Any) -> list[np.ndarray]:
    """Run the saved model; return its outputs in the order of the program."""
    model = MilModel.load(path)
    results = model.run(inputs, **options)
    return [results[spec.name] for spec in model.outputs]


def floats(rng: np.random.Generator, *shape: int, scale: float = 2.0) -> np.ndarray:
    """Return float32 numbers from a normal distribution."""
    return (rng.standard_normal(shape) * scale).astype(np.float32)
