"""Static lint: what an artifact's file asks of a runtime, read without running it.

Formats number their operators, and runtimes refuse numbers that they do not know; some take
them and compute nonsense. What a file needs stands in the file. It is held against the runtime
that an app ships, and against what the manifest promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import bundle
from ondevice.errors import BundleError, MissingPackageError, UserError, choices, require
from ondevice.manifest import Evidence, Status, Strict
from ondevice.verify import _pte_program, _tflite_graph
from ondevice.verify import _versions as versions
from ondevice.verify.compat import parse_version
from ondevice.verify.mil import package, proto

if TYPE_CHECKING:
    from ondevice.manifest import Manifest


class LintRow(Strict):
    """One finding.

    Attributes:
        runtime: the runtime that the finding is about.
        version: of the runtime: the declared one, or the oldest that the file needs.
        length: always None: a file asks the same at every length.
        figure: always None: nothing is measured.
        limit: the oldest version that the file needs; empty where that is not known.
        reason: the finding in one sentence.
    """

    runtime: str
    version: str
    length: None = None
    status: Status
    evidence: Evidence = "reference"
    figure: None = None
    limit: str = ""
    reason: str


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


# The runtimes that an app may declare, and whose files they read.
APP_RUNTIMES = {
    "tensorflow-lite": "tflite",
    "tflite-runtime": "tflite",
    "litert": "tflite",
    "ai-edge-litert": "tflite",
    "onnxruntime": "onnx",
    "iOS": "coreml",
    "macOS": "coreml",
    "executorch": "executorch",
}


@dataclass(frozen=True)
class AppRuntime:
    """What an app ships: a runtime's name, from :data:`APP_RUNTIMES`, and its version."""

    name: str
    version: str


def check(bundle_dir: Path, app_runtimes: Sequence[str] = ()) -> tuple[LintRow, ...]:
    """Read a bundle's artifact and hold it against its manifest and the declared runtimes.

    Args:
        bundle_dir: a published bundle.
        app_runtimes: ``NAME==VERSION``, for example ``tensorflow-lite==2.14`` or ``iOS==16``.

    Raises:
        UserError: a declared runtime is unknown, or not written that way.
        BundleError: it is not a bundle, or not as it was published, or its artifact is unreadable.
    """
    apps = [parse_app_runtime(text) for text in app_runtimes]
    manifest = bundle.open_bundle(bundle_dir)
    try:
        facts = read_facts(bundle_dir / manifest.artifact.file, manifest)
    except MissingPackageError as error:
        return _not_read(manifest, apps, str(error))
    rows = [_promise(need, manifest, facts) for need in facts.needs]
    rows += [
        LintRow(runtime=facts.needs[0].runtime, version="", status="failed", reason=fault)
        for fault in facts.faults
    ]
    return (*rows, *(judge(app, manifest.artifact.target, facts) for app in apps))


def parse_app_runtime(text: str) -> AppRuntime:
    """Read ``NAME==VERSION``.

    Raises:
        UserError: it is not written like that, or no such runtime is known.
    """
    name, separator, version = (part.strip() for part in text.partition("=="))
    if not (name and separator and parse_version(version)):
        raise UserError(
            f"an app's runtime is given as NAME==VERSION, for example tensorflow-lite==2.14;"
            f" not '{text}'"
        )
    known = {entry.lower(): entry for entry in APP_RUNTIMES}
    if name.lower() not in known:
        raise UserError(choices("app runtime", name, APP_RUNTIMES))
    return AppRuntime(known[name.lower()], version)


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
    return executorch_facts(path, manifest.tools.get("executorch", ""))


def tflite_facts(file: _tflite_graph.File) -> Facts:
    """Return the oldest TensorFlow Lite that has all operators, and operators that are not so."""
    needed = {
        (operator.name, operator.version) for graph in file.graphs for operator in graph.operators
    }
    releases = {
        f"{name} version {number}": _operator_release(name, number)
        for name, number in sorted(needed)
    }
    oldest = max([*releases.values(), file.min_runtime], key=parse_version)
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
    """Return the oldest ONNX Runtime that reads the opset and the IR version."""
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
    foreign = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    unknown = [name for name, release in releases.items() if not release]
    unknown += [f"operators of {domain}" for domain in sorted(foreign)]
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


def _promise(need: Needs, manifest: Manifest, facts: Facts) -> LintRow:
    """Hold what the manifest promises against what the file needs."""
    promised = manifest.artifact.min_runtime.get(need.runtime)
    sentence = f"the file needs {need.runtime} {need.version} ({need.because})"
    status: Status = "passed"
    if facts.unknown:
        status = "not_run"
        sentence = f"not known from which {need.runtime} on: {', '.join(facts.unknown)}"
    elif promised is not None and parse_version(promised) < parse_version(need.version):
        status = "failed"
        sentence = f"the manifest promises {need.runtime} {promised}, but {sentence}"
    return LintRow(
        runtime=need.runtime,
        version=need.version,
        status=status,
        evidence="not run" if status == "not_run" else "reference",
        limit=need.version,
        reason=sentence,
    )


def judge(app: AppRuntime, target: str, facts: Facts) -> LintRow:
    """Say whether the runtime that an app ships can read the file."""
    if APP_RUNTIMES[app.name] != target:
        reason = f"{app.name} reads {APP_RUNTIMES[app.name]} artifacts, not {target}"
        return _app_row(app, "not_run", "", reason)
    need = next((one for one in facts.needs if one.runtime == app.name), facts.needs[0])
    if target == "executorch":
        return _judge_executorch(app, need, facts)
    if app.name in versions.LITERT_TENSORFLOW:
        return _judge_litert(app, need, facts)
    if parse_version(app.version) < parse_version(need.version):
        reason = (
            f"{need.because} came with {need.runtime} {need.version};"
            f" the app has {app.name} {app.version}"
        )
        return _app_row(app, "failed", need.version, reason)
    if facts.unknown:
        reason = f"not known from which {need.runtime} on: {', '.join(facts.unknown)}"
        return _app_row(app, "not_run", need.version, reason)
    reason = f"the file needs {need.runtime} {need.version}; the app has {app.name} {app.version}"
    return _app_row(app, "passed", need.version, reason)


def _judge_litert(app: AppRuntime, need: Needs, facts: Facts) -> LintRow:
    """Judge by the TensorFlow Lite that a LiteRT is known to be as good as."""
    known = [
        tensorflow
        for litert, tensorflow in versions.LITERT_TENSORFLOW[app.name].items()
        if parse_version(litert) <= parse_version(app.version)
    ]
    has = known[-1] if known else ""
    if facts.unknown or parse_version(has) < parse_version(need.version):
        what = ", ".join(facts.unknown) or need.because
        reason = (
            f"whether {app.name} {app.version} has {what} is not known here;"
            f" to find out, run it: --runtime ai-edge-litert=={app.version}"
        )
        return _app_row(app, "not_run", need.version, reason)
    reason = (
        f"the file needs {need.runtime} {need.version};"
        f" the app's {app.name} {app.version} has at least what {has} has"
    )
    return _app_row(app, "passed", need.version, reason)


def _judge_executorch(app: AppRuntime, need: Needs, facts: Facts) -> LintRow:
    """Apply ExecuTorch's policy: a runtime reads programs of its release and of the one before.

    Source: runtime/COMPATIBILITY.md, "Backward compatibility" ("a minimum of one following
    non-patch release, and possibly more"); nothing is promised for newer programs.
    """
    has, wrote = (parse_version(text)[:2] for text in (app.version, need.version))
    if facts.unknown:
        return _app_row(app, "not_run", need.version, ", ".join(facts.unknown))
    if has < wrote:
        reason = (
            f"the program was written by ExecuTorch {need.version}, and nothing promises that the"
            f" app's older {app.version} reads it"
        )
        return _app_row(app, "failed", need.version, reason)
    if has[:1] == wrote[:1] and sum(has[1:]) - sum(wrote[1:]) <= 1:
        reason = f"the program was {need.because}; the app has {app.version}"
        return _app_row(app, "passed", need.version, reason)
    reason = (
        f"the program was written by ExecuTorch {need.version}, which is promised to be read up"
        f" to one release later; whether {app.version} does is not known without running it"
    )
    return _app_row(app, "not_run", need.version, reason)


def _app_row(app: AppRuntime, status: Status, limit: str, reason: str) -> LintRow:
    return LintRow(
        runtime=app.name,
        version=app.version,
        status=status,
        evidence="not run" if status == "not_run" else "reference",
        limit=limit,
        reason=reason,
    )


def _not_read(manifest: Manifest, apps: Sequence[AppRuntime], reason: str) -> tuple[LintRow, ...]:
    file = AppRuntime(manifest.artifact.target, "")
    return tuple(_app_row(app, "not_run", "", reason) for app in (file, *apps))
