"""The runtime matrix: which versions of its runtimes give a bundle's answers.

Each named version runs the bundle's goldens in an environment and a process of its own. A wrong
answer is as bad as a refusal and harder to notice: an 8-bit ``.tflite`` made for today's runtime
gave the same number at every position on tflite-runtime 2.14, without an error, until its
operators said which version they need.
"""

from __future__ import annotations

import importlib.metadata
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ondevice import bundle, golden_records
from ondevice.errors import BundleError, RuntimeUnavailableError, UserError, choices
from ondevice.golden_records import RunRecord
from ondevice.manifest import Evidence, Strict
from ondevice.schemes import ParityLimit
from ondevice.verify import _environments, _isolated, parity
from ondevice.verify._isolated import Job, Outcome
from ondevice.verify.reference import Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.manifest import Manifest, ParityInfo

logger = logging.getLogger(__name__)

# For all cases of one artifact; BERT-base needs half a second a case at length 384.
RUN_SECONDS = 600.0

CompatStatus = Literal["passed", "wrong", "refused", "not_run"]
Version = tuple[int, ...]


class CompatRow(Strict):
    """What one version of a runtime made of the goldens of one length.

    Attributes:
        status: ``wrong``: it answered, beyond the limit; ``refused``: it did not take the
            artifact, or ended without an answer; ``not_run``: it could not be had here, which
            says nothing about the artifact.
        figure: the largest absolute difference where `limit` bounds that, else the smallest
            cosine; None if it is not finite or there was no answer.
    """

    runtime: str
    version: str
    length: int
    status: CompatStatus
    evidence: Evidence
    figure: float | None = None
    limit: str
    reason: str = ""


@dataclass(frozen=True)
class Runtime:
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
    numpy = "numpy<2" if parse_version(version) < (1, 1) else "numpy"
    return ((f"ai-edge-litert=={version}", numpy),)


def _onnxruntime_steps(version: str) -> tuple[tuple[str, ...], ...]:
    # NumPy 2 since 1.19 (its release notes).
    numpy = "numpy<2" if parse_version(version) < (1, 19) else "numpy"
    return ((f"onnxruntime=={version}", numpy),)


# The torch that a release is linked against. 1.1: torch_pin.py in ExecuTorch's repository (read,
# never run here). 1.5: 1.5.0 and 1.5.1 ran here.
EXECUTORCH_TORCH: dict[Version, str] = {(1, 1): "2.10.0", (1, 5): "2.13.0"}


def _executorch_steps(version: str) -> tuple[tuple[str, ...], ...]:
    torch = EXECUTORCH_TORCH.get(parse_version(version)[:2])
    if torch is None:
        known = ", ".join(f"{major}.{minor}" for major, minor in EXECUTORCH_TORCH)
        raise RuntimeUnavailableError(
            f"which torch executorch {version} goes with is not known here; known for: {known}"
        )
    # PyPI's torch for Linux brings 3 GB of CUDA along; the one without has an index of its own.
    index = ("--extra-index-url", "https://download.pytorch.org/whl/cpu")
    plain = (f"torch=={torch}+cpu", *index) if sys.platform == "linux" else (f"torch=={torch}",)
    # What its runtime imports. Of the rest, which is the converter's, not all comes in wheels.
    needs = "flatbuffers numpy packaging pandas pyyaml ruamel.yaml sympy tabulate".split()
    return (plain, tuple(needs), ("--no-deps", f"executorch=={version}"))


RUNTIMES: dict[str, Runtime] = {
    "tflite-runtime": Runtime("tflite", ("tflite_runtime.interpreter",), _tflite_runtime_steps),
    "ai-edge-litert": Runtime("tflite", ("ai_edge_litert.interpreter",), _litert_steps),
    "onnxruntime": Runtime("onnx", ("onnxruntime",), _onnxruntime_steps),
    "executorch": Runtime("executorch", ("torch", "executorch.runtime"), _executorch_steps),
}


@dataclass(frozen=True)
class Requirement:
    """One version of a runtime."""

    runtime: str
    version: str

    def __str__(self) -> str:
        return f"{self.runtime}=={self.version}"


def run(
    bundle_dir: Path, runtimes: Sequence[str], *, seconds: float = RUN_SECONDS
) -> tuple[CompatRow, ...]:
    """Run a bundle's goldens on each of `runtimes`, given as ``NAME==VERSION``.

    Returns a row for each runtime and length, in the order asked for.

    Args:
        bundle_dir: a published bundle.
        runtimes: for example ``tflite-runtime==2.14.0``.
        seconds: how long one runtime may take.

    Raises:
        UserError: a runtime is unknown, or not written that way.
        BundleError: it is not a bundle, or not as it was published.
    """
    asked = [parse_requirement(text) for text in runtimes]
    manifest = bundle.open_bundle(bundle_dir)
    goldens = read_goldens(bundle_dir / bundle.GOLDEN_FILE)
    return tuple(
        row
        for requirement in dict.fromkeys(asked)
        for row in _run_one(bundle_dir, manifest, goldens, requirement, seconds)
    )


def parse_requirement(text: str) -> Requirement:
    """Read ``NAME==VERSION``.

    Raises:
        UserError: it is not written like that, or no such runtime is known.
    """
    name, separator, version = (part.strip() for part in text.partition("=="))
    name = name.lower().replace("_", "-")
    if not separator or not re.fullmatch(r"\d+(\.\d+)*([a-z.]+\d+)?", version):
        raise UserError(
            f"a runtime is given as NAME==VERSION, for example tflite-runtime==2.14.0; not '{text}'"
        )
    if name not in RUNTIMES:
        raise UserError(choices("runtime", name, RUNTIMES))
    return Requirement(name, version)


def parse_version(version: str) -> Version:
    """Return the numbers of a version, for comparison; 2.14 and 2.14.0 are the same."""
    numbers = [int(number) for number in re.findall(r"\d+", version.split("+")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@dataclass(frozen=True)
class Goldens:
    """The ``run`` goldens of a bundle: cases by length, and how far an answer may be from them."""

    cases: Mapping[int, Sequence[Case]]
    limits: Mapping[int, ParityLimit]


def read_goldens(path: Path) -> Goldens:
    """Read the ``run`` goldens of a bundle.

    Raises:
        BundleError: there are none, or a line is not a golden.
    """
    cases: dict[int, list[Case]] = {}
    limits: dict[int, ParityLimit] = {}
    for record in golden_records.read(path):
        if isinstance(record, RunRecord):
            inputs = {name: np.asarray([v], np.int32) for name, v in record.inputs.items()}
            outputs = {role: np.asarray(v, np.float32) for role, v in record.outputs.items()}
            case = Case(record.length, inputs, outputs)
            cases.setdefault(record.length, []).append(case)
            limits[record.length] = ParityLimit(record.max_abs, record.min_cosine)
    if not cases:
        raise BundleError(f"'{path}' holds no golden of the kind 'run'")
    return Goldens(cases, limits)


def _run_one(
    directory: Path,
    manifest: Manifest,
    goldens: Goldens,
    requirement: Requirement,
    seconds: float,
) -> list[CompatRow]:
    artifact = manifest.artifact
    runtime = RUNTIMES[requirement.runtime]
    if runtime.target != artifact.target:
        reason = f"{requirement.runtime} runs {runtime.target} artifacts, not {artifact.target}"
        return _same(requirement, goldens, Outcome("not_run", reason=reason))
    try:
        python = find_python(requirement)
    except RuntimeUnavailableError as error:
        return _same(requirement, goldens, Outcome("not_run", reason=str(error)))
    job = Job(
        modules=runtime.modules,
        target=artifact.target,
        artifact=directory / artifact.file,
        roles=tuple(output.role for output in artifact.outputs),
        inputs=tuple(tensor.name for tensor in artifact.inputs),
    )
    logger.info("running the goldens on %s", requirement)
    outcomes = _isolated.execute(python, job, goldens.cases, seconds)
    return [
        judge(requirement, outcomes[length], goldens.cases[length], limit, manifest.task)
        for length, limit in sorted(goldens.limits.items())
    ]


def _same(requirement: Requirement, goldens: Goldens, outcome: Outcome) -> list[CompatRow]:
    return [
        _row(requirement, length, limit, outcome.status, outcome.reason)
        for length, limit in sorted(goldens.limits.items())
    ]


def find_python(requirement: Requirement) -> Path:
    """Return an interpreter that has the runtime: this one if it does, else one made for it.

    Raises:
        RuntimeUnavailableError: it cannot be installed.
    """
    if _is_here(requirement):
        return Path(sys.executable)
    steps = RUNTIMES[requirement.runtime].steps(requirement.version)
    return _environments.ensure(f"{requirement.runtime}-{requirement.version}", steps)


def _is_here(requirement: Requirement) -> bool:
    if requirement.runtime == "tflite-runtime" and _installed("ai-edge-litert"):
        return False  # the target prefers the newer of the two
    version = _installed(requirement.runtime)
    return bool(version) and parse_version(version) == parse_version(requirement.version)


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class _Recorded:
    """Answers given earlier, behind the interface of a runner: parity compares those."""

    runtime: str
    version: str
    answers: Iterable[dict[str, NDArray[np.float32]]]

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Return the next answer; parity asks in the order of the cases."""
        return next(iter(self.answers))


def judge(
    requirement: Requirement,
    outcome: Outcome,
    cases: Sequence[Case],
    limit: ParityLimit,
    task: str,
) -> CompatRow:
    """Compare what a runtime answered at one length with the goldens, as parity does."""
    length = cases[0].length
    if outcome.status != "answered":
        return _row(requirement, length, limit, outcome.status, outcome.reason)
    if not _is_the_one(outcome.runtime, requirement):
        reason = f"{' '.join(outcome.runtime)} ran instead"
        return _row(requirement, length, limit, "not_run", reason)
    if len(outcome.outputs) != len(cases):
        reason = f"it answered {len(outcome.outputs)} of {len(cases)} cases"
        return _row(requirement, length, limit, "refused", reason)
    recorded = _Recorded(*outcome.runtime, iter(outcome.outputs))
    (info,) = parity.check(recorded, cases, tuple(cases[0].inputs), task, limit)
    status: CompatStatus = "passed" if info.status == "passed" else "wrong"
    return _row(requirement, length, limit, status, info.reason, _figure(info, limit))


def _is_the_one(runtime: tuple[str, str], requirement: Requirement) -> bool:
    name, version = runtime
    same = parse_version(version) == parse_version(requirement.version)
    return name == requirement.runtime and same


def _figure(info: ParityInfo, limit: ParityLimit) -> float | None:
    return info.max_abs if limit.max_abs is not None else info.cosine


def _row(
    requirement: Requirement,
    length: int,
    limit: ParityLimit,
    status: CompatStatus | Literal["answered"],
    reason: str,
    figure: float | None = None,
) -> CompatRow:
    assert status != "answered"
    return CompatRow(
        runtime=requirement.runtime,
        version=requirement.version,
        length=length,
        status=status,
        evidence="not run" if status == "not_run" else "host",
        figure=figure,
        limit=parity.describe(limit),
        reason=reason,
    )


class Tried(NamedTuple):
    """How one version of a runtime did at one length."""

    runtime: str
    version: str
    status: str


def min_runtime(promised: Mapping[str, str], rows: Iterable[Tried | CompatRow]) -> dict[str, str]:
    """Return what a bundle may promise of its runtimes, given what they did with its goldens.

    A version passed if it did at every length; one that could not be had here says nothing. A
    version below the promise that passed, with no fault above it, lowers the promise. A fault at or
    above the promise raises it to the oldest version above all faults that passed, and withdraws
    it where there is none.

    Args:
        promised: the oldest version of each runtime, as the manifest has it.
        rows: the runtime matrix.
    """
    statuses: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        statuses.setdefault(row.runtime, {}).setdefault(row.version, set()).add(row.status)
    oldest = dict(promised)
    for runtime, versions in statuses.items():
        faults = [one for one, found in versions.items() if found & {"wrong", "refused"}]
        above = max(map(parse_version, faults), default=())
        passed = [
            one
            for one, found in versions.items()
            if found == {"passed"} and parse_version(one) > above
        ]
        lowest = min(passed, key=parse_version, default=None)
        known = oldest.get(runtime)
        refuted = known is not None and bool(faults) and parse_version(known) <= above
        if lowest is not None and (
            known is None or refuted or parse_version(lowest) < parse_version(known)
        ):
            oldest[runtime] = lowest
        elif refuted:
            del oldest[runtime]
    return oldest
