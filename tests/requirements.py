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
    "report": ("matplotlib",),
    # Carries the compiler; PyPI's kotlin-jupyter-kernel.
    "kotlin": ("run_kotlin_kernel",),
    "xcodeproj": ("pbxproj",),
}
# The programs that must all be on PATH.
EXECUTABLES = {
    "adb": ("adb",),
    "aapt": ("aapt",),
    "chromium": ("chromium",),
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
    reason = f"{requirement} needs what is not installed: {', '.join(missing)}"
    if requirement in os.environ.get("ONDEVICE_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def _missing(requirement: str) -> list[str]:
    modules, programs = MODULES.get(requirement, ()), EXECUTABLES.get(requirement, ())
    if not modules and not programs:
        raise KeyError(requirement)
    return [
        *(name for name in modules if importlib.util.find_spec(name) is None),
        *(name for name in programs if shutil.which(name) is None),
    ]
