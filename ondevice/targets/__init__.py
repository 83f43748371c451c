"""The targets: formats that a graph can be lowered to.

A new target is one new file in this package and one line in :data:`TARGETS`. The files import
their converters inside functions, so that listing the targets costs nothing.
"""

from __future__ import annotations

from ondevice.targets.base import Conversion, ConvertOptions, Labels, Runner, Target
from ondevice.targets.coreml import COREML
from ondevice.targets.executorch import EXECUTORCH
from ondevice.targets.onnx import ONNX
from ondevice.targets.tflite import TFLITE

TARGETS: dict[str, Target] = {
    "coreml": COREML,
    "tflite": TFLITE,
    "executorch": EXECUTORCH,
    "onnx": ONNX,
}

__all__ = ["TARGETS", "Conversion", "ConvertOptions", "Labels", "Runner", "Target"]
