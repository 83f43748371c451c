"""The runtimes that pip installs, how their versions compare, and an interpreter that has one."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ondevice.errors import RuntimeUnavailableError, UserError, choices
from ondevice.verify import _environments

OLDEST = Version("0.dev0")


def parse_version(text: str) -> Version:
    """Return a version for comparison, without its build tag; the oldest of all for "".

    2.14 and 2.14.0 are the same, 1.20.0rc1 is older than 1.20.0 (PEP 440).

    Raises:
        UserError: it is not a version.
    """
    if not text:
        return OLDEST
    try:
        return Version(text.partition("+")[0])
    except InvalidVersion as error:
        raise UserError(f"'{text}' is not a version") from error


def is_version(text: str) -> bool:
    """Tell whether a text is the number of a version."""
    try:
        return bool(text) and parse_version(text) != OLDEST
    except UserError:
        return False


def series(text: str) -> tuple[int, int]:
    """Return the major and minor number of a version."""
    major, minor, *_ = (*parse_version(text).release, 0)
    return major, minor


@dataclass(frozen=True)
class PipRuntime:
    """A runtime that pip installs.

    Attributes:
        target: whose artifacts it runs.
        modules: imported before the artifact is touched.
        steps: from a version to the arguments of one ``pip install`` each.
    """

    target: str
    modules: tuple[str, ...]
    steps: Callable[[str], tuple[tuple[str, ...], ...]]


def _tflite_runtime_steps(version: str) -> tuple[tuple[str, ...], ...]:
    # Built against NumPy 1, and does not say so.
    return ((f"tflite-runtime=={version}", "numpy<2"),)


def _litert_steps(version: str) -> tuple[tuple[str, ...], ...]:
    # Up to 1.0.1 built against NumPy 1, and does not say so.
    numpy = "numpy<2" if series(version) < (1, 1) else "numpy"
    return ((f"ai-edge-litert=={version}", numpy),)


def _onnxruntime_steps(version: str) -> tuple[tuple[str, ...], ...]:
    # NumPy 2 since 1.19 (its release notes).
    numpy = "numpy<2" if series(version) < (1, 19) else "numpy"
    return ((f"onnxruntime=={version}", numpy),)


# The torch that a release is linked against. 1.1: torch_pin.py in ExecuTorch's repository (read,
# never run here). 1.5: 1.5.0 and 1.5.1 ran here.
EXECUTORCH_TORCH: dict[tuple[int, int], str] = {(1, 1): "2.10.0", (1, 5): "2.13.0"}


def _executorch_steps(version: str) -> tuple[tuple[str, ...], ...]:
    torch = EXECUTORCH_TORCH.get(series(version))
    if torch is None:
        known = ", ".join(f"{major}.{minor}" for major, minor in EXECUTORCH_TORCH)
        raise RuntimeUnavailableError(
            f"which torch executorch {version} goes with is not known here; known for: {known}"
        )
    # For Linux a package index may carry a build with 3 GB of CUDA and one without; pip takes the
    # latter, whose version ends in +cpu, where its own settings name an index that has it.
    plain = (f"torch=={torch}",)
    # What its runtime imports. Of the rest, which is the converter's, not all comes in wheels.
    needs = "flatbuffers numpy packaging pandas pyyaml ruamel.yaml sympy tabulate".split()
    return (plain, tuple(needs), ("--no-deps", f"executorch=={version}"))


RUNTIMES: dict[str, PipRuntime] = {
    "tflite-runtime": PipRuntime("tflite", ("tflite_runtime.interpreter",), _tflite_runtime_steps),
    "ai-edge-litert": PipRuntime("tflite", ("ai_edge_litert.interpreter",), _litert_steps),
    "onnxruntime": PipRuntime("onnx", ("onnxruntime",), _onnxruntime_steps),
    "executorch": PipRuntime("executorch", ("torch", "executorch.runtime"), _executorch_steps),
}


@dataclass(frozen=True)
class Requirement:
    """One version of a runtime."""

    runtime: str
    version: str

    def __str__(self) -> str:
        return f"{self.runtime}=={self.version}"


def parse_requirement(text: str) -> Requirement:
    """Read ``NAME==VERSION``.

    Raises:
        UserError: it is not written like that, or no such runtime is known.
    """
    name, separator, version = (part.strip() for part in text.partition("=="))
    name = name.lower().replace("_", "-")
    # The pattern is narrower than PEP 440, so that no option for pip can hide in it.
    plain = re.fullmatch(r"\d+(\.\d+)*([a-z.]+\d+)?", version)
    if not separator or not plain or not is_version(version):
        raise UserError(
            f"a runtime is given as NAME==VERSION, for example tflite-runtime==2.14.0; not '{text}'"
        )
    if name not in RUNTIMES:
        raise UserError(choices("runtime", name, RUNTIMES))
    return Requirement(name, version)


def check_target(runtime: str, target: str) -> None:
    """Refuse a runtime that runs another format.

    Raises:
        UserError: it does not run the artifacts of `target`.
    """
    runs = RUNTIMES[runtime].target
    if runs != target:
        own = [name for name, other in RUNTIMES.items() if other.target == target]
        raise UserError(
            f"{runtime} runs {runs} artifacts; this bundle is {target}; its runtimes:"
            f" {', '.join(own) or 'none that pip installs'}"
        )


def find_python(requirement: Requirement) -> Path:
    """Return an interpreter that has the runtime: this one if it does, else one made for it.

    Raises:
        RuntimeUnavailableError: it cannot be installed.
        UserError: the package index has no such version for this Python and system.
    """
    if _is_here(requirement):
        return Path(sys.executable)
    steps = RUNTIMES[requirement.runtime].steps(requirement.version)
    return _environments.ensure(str(requirement).replace("==", "-"), steps)


def _is_here(requirement: Requirement) -> bool:
    if requirement.runtime == "tflite-runtime" and installed("ai-edge-litert"):
        return False  # the target prefers the newer of the two
    version = installed(requirement.runtime)
    return bool(version) and parse_version(version) == parse_version(requirement.version)


def installed(package: str) -> str:
    """Return the version of an installed package; empty if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
