"""The Core ML reference interpreter: execute a saved `.mlpackage` without Apple's frameworks.

    model = MilModel.load("model.mlpackage")
    outputs = model.run({"input_ids": ids, "attention_mask": mask})

`ondevice.verify.parity` compares the outputs with the checkpoint's. What an op that is not
implemented means for a check is said in `errors`. torch and coremltools are imported on use.
"""

from __future__ import annotations

from ondevice.verify.mil.errors import (
    MilError,
    MilInputError,
    MilOpError,
    MilPackageError,
    UnknownOpError,
)
from ondevice.verify.mil.interpreter import MilModel
from ondevice.verify.mil.program import TensorSpec
from ondevice.verify.mil.report import FiniteReport, NonFinite

__all__ = [
    "FiniteReport",
    "MilError",
    "MilInputError",
    "MilModel",
    "MilOpError",
    "MilPackageError",
    "NonFinite",
    "TensorSpec",
    "UnknownOpError",
]
