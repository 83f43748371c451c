"""Ask for an optional package of a test: skip without it, unless this run promised to have it."""

from __future__ import annotations

import importlib.util
import os

import pytest

# What each word stands for: the modules that must all be there.
MODULES = {
    "checkpoint": ("torch", "transformers"),
    "coreml": ("torch", "coremltools"),
    "tflite": ("torch", "litert_torch", "ai_edge_litert", "ai_edge_quantizer"),
    "executorch": ("torch", "executorch", "torchao"),
    "onnx": ("torch", "onnx", "onnxruntime", "onnxscript"),
    "tflite_runtime": ("tflite_runtime",),
}


def need(requirement: str) -> None:
    """Skip the test or module if the packages are missing; fail if ONDEVICE_REQUIRE names them.

    ONDEVICE_REQUIRE is a comma-separated list of the words above. CI sets it, so that a package
    that failed to install cannot turn its tests into silence.
    """
    missing = [name for name in MODULES[requirement] if importlib.util.find_spec(name) is None]
    if not missing:
        return
    reason = f"{requirement} needs packages that are not installed: {', '.join(missing)}"
    if requirement in os.environ.get("ONDEVICE_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)
