"""Ask for what a test needs and not every machine has: packages, or programs on PATH.

Skip without it, unless this run promised to have it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil

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
# The programs that must all be on PATH.
EXECUTABLES = {
    "adb": ("adb",),
    "swift": ("swift",),
    "kotlin": ("java",),
}


def need(requirement: str) -> None:
    """Skip the test or module if something is missing; fail if ONDEVICE_REQUIRE names it.

    ONDEVICE_REQUIRE is a comma-separated list of the words above. CI sets it, so that a package
    that failed to install cannot turn its tests into silence.
    """
    missing = _missing(requirement)
    if not missing:
        return
    kind = "programs" if requirement in EXECUTABLES else "packages"
    reason = f"{requirement} needs {kind} that are not installed: {', '.join(missing)}"
    if requirement in os.environ.get("ONDEVICE_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def _missing(requirement: str) -> list[str]:
    if requirement in EXECUTABLES:
        return [name for name in EXECUTABLES[requirement] if shutil.which(name) is None]
    return [name for name in MODULES[requirement] if importlib.util.find_spec(name) is None]
