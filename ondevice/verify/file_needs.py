"""What an artifact's file asks of a runtime: read format by format, without running it.

Formats number their operators; what a file needs stands in the file, and the tables of
:mod:`ondevice.verify._versions` say which release came with which number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import BundleError, choices, require
from ondevice.targets import TARGETS
from ondevice.verify import _pte_program, _tflite_graph
from ondevice.verify import _versions as versions
from ondevice.verify.mil import package, proto
from ondevice.verify.pip_runtimes import is_version, parse_version

if TYPE_CHECKING:
    from ondevice.manifest import Manifest


@dataclass(frozen=True)
class Needs:
    """The oldest version of a runtime that a file needs, and what in the file needs it."""

    runtime: str
    version: str
    because: str


@dataclass(frozen=True)
class Facts:
    """What a file asks for.

    Attributes:
        needs: one for each runtime of the format.
        faults: sentences about what the file claims and is not so.
        unknown: what no table here knows; with any of it, nothing is passed.
    """

    needs: tuple[Needs, ...]
    faults: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def read_facts(path: Path, manifest: Manifest) -> Facts:
    """Read what an artifact asks for.

    Raises:
        BundleError: the file is unreadable.
        MissingPackageError: the package that reads the format is not installed.
    """
    target = manifest.artifact.target
    if target == "tflite":
        return tflite_facts(_tflite_graph.read(path))
    if target == "onnx":
        return onnx_facts(path)
    if target == "coreml":
        return coreml_facts(path)
    if target == "executorch":
        return executorch_facts(path, manifest.tools.get("executorch", ""))
    raise BundleError(choices("target", target, TARGETS))


def tflite_facts(file: _tflite_graph.File) -> Facts:
    """Return the oldest TensorFlow Lite that has all operators, and operators that are not so."""
    needed = {
        (operator.name, operator.version) for graph in file.graphs for operator in graph.operators
    }
    releases = {
        f"{name} version {number}": _operator_release(name, number)
        for name, number in sorted(needed)
    }
    noted = file.min_runtime if is_version(file.min_runtime) else ""
    oldest = max([*releases.values(), noted], key=parse_version)
    causes = [what for what, at in releases.items() if at == oldest]
    because = ", ".join(causes) or "the metadata entry min_runtime_version"
    return Facts(
        needs=(Needs("tensorflow-lite", oldest, because),),
        faults=tuple(sorted({fault for graph in file.graphs for fault in _faults(graph)})),
        unknown=tuple(what for what, at in releases.items() if not at),
    )


def _operator_release(name: str, version: int) -> str:
    """Return the TensorFlow Lite that first had a version of an operator; empty if unknown."""
    releases = versions.TFLITE_OPERATORS.get(name, "").split()
    return releases[version - 1] if 0 < version <= len(releases) else ""


def _faults(graph: _tflite_graph.Graph) -> list[str]:
    faults = []
    for operator in graph.operators:
        needed, position = versions.TFLITE_PER_CHANNEL.get(operator.name, (0, 0))
        if operator.version >= needed:
            continue
        weights = graph.tensors[operator.inputs[position]]
        floats = graph.tensors[operator.outputs[0]].dtype == "FLOAT32"
        if floats and weights.dtype in {"INT8", "INT4"} and weights.scales > 1:
            faults.append(
                f"{operator.name} claims version {operator.version} but has a scale for each"
                f" channel, which is version {needed}: an older runtime computes nonsense from it"
                " without an error"
            )
    return faults


def onnx_facts(path: Path) -> Facts:
    """Return the oldest ONNX Runtime that reads the opset, the IR version and every operator."""
    onnx = require("onnx", extra="onnx")
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except Exception as error:
        raise BundleError(f"'{path}' is not an ONNX file: {error}") from error
    opset = max(
        (entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}),
        default=0,
    )
    releases = {
        f"opset {opset}": versions.ONNX_OPSETS.get(opset, ""),
        f"IR version {model.ir_version}": versions.ONNX_IR_VERSIONS.get(model.ir_version, ""),
    }
    foreign = {(node.domain, node.op_type) for node in model.graph.node}
    for domain, name in sorted(foreign):
        if domain not in {"", "ai.onnx"}:
            known = versions.ONNX_CONTRIB if domain == "com.microsoft" else {}
            releases[f"{name} of {domain}"] = known.get(name, "")
    unknown = [name for name, release in releases.items() if not release]
    oldest = max(releases.values(), key=parse_version)
    because = ", ".join(name for name, release in releases.items() if release == oldest)
    return Facts((Needs("onnxruntime", oldest, because),), unknown=tuple(unknown))


def coreml_facts(path: Path) -> Facts:
    """Return the oldest iOS and macOS that read the specification and have the operators."""
    opened = package.open_package(path)
    model = proto.parse_model(opened.model.read_bytes(), path.name)
    found = {f"specification version {model.specificationVersion}": model.specificationVersion}
    unknown = []
    for function in model.mlProgram.functions.values():
        opset = function.opset
        if opset in versions.COREML_OPSETS:
            found[f"operators of {opset}"] = versions.COREML_OPSETS[opset]
        else:
            unknown.append(f"operators of {opset or 'no named set'}")
    unknown += [
        name for name, number in found.items() if number not in versions.COREML_SPECIFICATIONS
    ]
    number = max(found.values())
    ios, macos = versions.COREML_SPECIFICATIONS.get(number, ("", ""))
    because = ", ".join(name for name, at in found.items() if at == number)
    needs = (Needs("iOS", ios, because), Needs("macOS", macos, because))
    return Facts(needs, unknown=tuple(sorted(set(unknown))))


def executorch_facts(path: Path, built_with: str) -> Facts:
    """Return the ExecuTorch that wrote a program: the oldest that is promised to read it.

    The file itself names the version of its format only, which has never changed.
    """
    program = _pte_program.read_program(path)
    plans = _pte_program.methods(program).values()
    backends = {delegate.id for plan in plans for delegate in plan.delegates}
    kernels = {operator.name.partition("::")[0] for plan in plans for operator in plan.operators}
    because = (
        f"written by {built_with}; an app must link {', '.join(sorted(backends))}"
        f" and the kernels of {', '.join(sorted(kernels))}"
    )
    unknown = () if built_with else ("the manifest does not say which ExecuTorch wrote it",)
    if program.version != versions.EXECUTORCH_PROGRAM:
        unknown = (*unknown, f"program version {program.version}")
    return Facts((Needs("executorch", built_with, because),), unknown=unknown)
