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

from ondevice.errors import MissingPackageError, UserError, choices
from ondevice.manifest import Evidence, Status, Strict
from ondevice.verify import _versions as versions
from ondevice.verify import promises
from ondevice.verify.file_needs import Facts, Needs, read_facts
from ondevice.verify.pip_runtimes import is_version, parse_version, series

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
        app: whether it is about what an app ships, and not about what the manifest promises.
    """

    runtime: str
    version: str
    length: None = None
    status: Status
    evidence: Evidence = "reference"
    figure: None = None
    limit: str = ""
    reason: str
    app: bool = False

    @property
    def needs(self) -> str:
        """What the file needs, for a table; empty where that is not known."""
        numbered = "tensorflow-lite " if APP_RUNTIMES.get(self.runtime) == "tflite" else ""
        return f"needs {numbered}{self.limit}" if self.limit else ""


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


def check(
    bundle_dir: Path, manifest: Manifest, app_runtimes: Sequence[str] = ()
) -> tuple[LintRow, ...]:
    """Read a bundle's artifact and hold it against its manifest and the declared runtimes.

    Args:
        bundle_dir: a published bundle.
        manifest: the bundle's, its files checked already.
        app_runtimes: ``NAME==VERSION``, for example ``tensorflow-lite==2.14`` or ``iOS==16``.

    Raises:
        UserError: a declared runtime is unknown, not written that way, or reads another format.
        BundleError: the artifact is unreadable.
    """
    apps = [parse_app_runtime(text) for text in app_runtimes]
    for app in apps:
        check_target(app.name, manifest.artifact.target)
    try:
        facts = read_facts(bundle_dir / manifest.artifact.file, manifest)
    except MissingPackageError as error:
        return _not_read(manifest, apps, str(error))
    rows = _promises(manifest, facts)
    rows += [
        LintRow(runtime=facts.needs[0].runtime, version="", status="failed", reason=fault)
        for fault in facts.faults
    ]
    ships = (_ships(app, manifest, facts) for app in apps)
    return (*rows, *(row.model_copy(update={"app": True}) for row in ships))


def parse_app_runtime(text: str) -> AppRuntime:
    """Read ``NAME==VERSION``.

    Raises:
        UserError: it is not written like that, or no such runtime is known.
    """
    name, separator, version = (part.strip() for part in text.partition("=="))
    if not (name and separator and is_version(version)):
        raise UserError(
            f"an app's runtime is given as NAME==VERSION, for example tensorflow-lite==2.14;"
            f" not '{text}'"
        )
    known = {entry.lower(): entry for entry in APP_RUNTIMES}
    if name.lower() not in known:
        raise UserError(choices("app runtime", name, APP_RUNTIMES))
    return AppRuntime(known[name.lower()], version)


def check_target(name: str, target: str) -> None:
    """Refuse a runtime that reads another format.

    Raises:
        UserError: it does not read the artifacts of `target`.
    """
    reads = APP_RUNTIMES[name]
    if reads != target:
        own = ", ".join(other for other, format in APP_RUNTIMES.items() if format == target)
        raise UserError(f"{name} reads {reads} artifacts; this bundle is {target}; its: {own}")


def _promises(manifest: Manifest, facts: Facts) -> list[LintRow]:
    """Hold every promise of the manifest against what the file needs.

    A runtime of the format of which the manifest promises nothing is a row that did not run.
    """
    promised = manifest.artifact.min_runtime
    rows = [_promise(name, version, manifest, facts) for name, version in promised.items()]
    for need in facts.needs:
        if need.runtime not in promised:
            reason = f"{_asks(need, facts)}; the manifest promises nothing of {need.runtime}"
            app = AppRuntime(need.runtime, need.version)
            rows.append(_app_row(app, "not_run", need.version, reason))
    return rows


def _promise(name: str, version: str, manifest: Manifest, facts: Facts) -> LintRow:
    app = AppRuntime(name, version)
    if name not in APP_RUNTIMES:
        return _app_row(app, "not_run", "", f"what '{name}' can read is not known here")
    if not is_version(version):
        return _app_row(app, "failed", "", f"the manifest promises {name} '{version}', no version")
    need = _need(name, facts)
    if APP_RUNTIMES[name] != manifest.artifact.target:
        reason = f"the manifest promises {name}, which reads {APP_RUNTIMES[name]} artifacts"
        return _app_row(app, "failed", "", reason)
    row = judge(app, manifest.artifact.target, facts)
    if row.status == "failed":
        reason = f"the manifest promises {name} {version}, but {_asks(need, facts)}"
        return row.model_copy(update={"reason": reason})
    if row.status == "passed":
        return row.model_copy(update={"reason": _asks(need, facts)})
    return row


def _asks(need: Needs, facts: Facts) -> str:
    """Say what the file needs of a runtime."""
    if facts.unknown and not need.version:
        return _unknown(need, facts)
    return f"the file needs {need.runtime} {need.version} ({need.because})"


def _unknown(need: Needs, facts: Facts) -> str:
    return f"not known from which {need.runtime} on: {', '.join(facts.unknown)}"


def _need(name: str, facts: Facts) -> Needs:
    return next((one for one in facts.needs if one.runtime == name), facts.needs[0])


def _ships(app: AppRuntime, manifest: Manifest, facts: Facts) -> LintRow:
    """Judge what an app ships by the file, by the promise, and by what was found wrong.

    A file that a runtime can read may still be computed wrongly by it, which only running it
    shows: the manifest's promise and its runtime matrix know that.
    """
    row = judge(app, manifest.artifact.target, facts)
    if row.status == "failed":
        return row
    fault = promises.latest_fault(app.name, promises.tried(manifest.checks))
    if fault is not None and parse_version(app.version) <= parse_version(fault.version):
        reason = (
            f"the goldens were {fault.status} on {fault.runtime} {fault.version};"
            f" the app has {app.name} {app.version}"
        )
        return _app_row(app, "failed", row.limit, reason)
    promise = manifest.artifact.min_runtime.get(app.name, "")
    if not is_version(promise) or parse_version(app.version) >= parse_version(promise):
        return row
    oldest = max(row.limit, promise, key=lambda text: parse_version(text))
    reason = f"the manifest says right from {promise} on; the app has {app.name} {app.version}"
    return _app_row(app, "failed", oldest, reason)


def judge(app: AppRuntime, target: str, facts: Facts) -> LintRow:
    """Say whether the runtime that an app ships can read the file."""
    need = _need(app.name, facts)
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
        return _app_row(app, "not_run", need.version, _unknown(need, facts))
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
    if facts.unknown:
        return _app_row(app, "not_run", need.version, ", ".join(facts.unknown))
    has, wrote = series(app.version), series(need.version)
    if has < wrote:
        reason = (
            f"the program was written by ExecuTorch {need.version}, and nothing promises that the"
            f" app's older {app.version} reads it"
        )
        return _app_row(app, "failed", need.version, reason)
    if has[0] == wrote[0] and has[1] - wrote[1] <= 1:
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
    file = _app_row(AppRuntime(manifest.artifact.target, ""), "not_run", "", reason)
    rows = (_app_row(app, "not_run", "", reason) for app in apps)
    return (file, *(row.model_copy(update={"app": True}) for row in rows))
