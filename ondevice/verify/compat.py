"""The runtime matrix: which versions of its runtimes give a bundle's answers.

Each named version runs the bundle's goldens in an environment and a process of its own. A wrong
answer is as bad as a refusal and harder to notice: an 8-bit ``.tflite`` made for today's runtime
gave the same number at every position on tflite-runtime 2.14, without an error, until its
operators said which version they need.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ondevice import bundle, golden_records
from ondevice.errors import BundleError, RuntimeUnavailableError
from ondevice.manifest import Evidence, Strict
from ondevice.verify import _isolated, parity, run_goldens
from ondevice.verify._isolated import Job, Outcome
from ondevice.verify.pip_runtimes import (
    RUNTIMES,
    Requirement,
    check_target,
    find_python,
    parse_requirement,
    parse_version,
)
from ondevice.verify.run_goldens import Goldens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.manifest import Manifest, ParityInfo
    from ondevice.schemes import ParityLimit
    from ondevice.verify.reference import Case

logger = logging.getLogger(__name__)

# For all cases of one artifact; BERT-base needs half a second a case at length 384.
RUN_SECONDS = 600.0

CompatStatus = Literal["passed", "wrong", "refused", "not_run"]


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


def run(
    bundle_dir: Path, manifest: Manifest, runtimes: Sequence[str], *, seconds: float = RUN_SECONDS
) -> tuple[CompatRow, ...]:
    """Run a bundle's goldens on each of `runtimes`, given as ``NAME==VERSION``.

    Returns a row for each runtime and length, in the order asked for.

    Args:
        bundle_dir: a published bundle.
        manifest: the bundle's, its files checked already.
        runtimes: for example ``tflite-runtime==2.14.0``.
        seconds: how long one runtime may take.

    Raises:
        UserError: a runtime is unknown, not written that way, or runs another format; or there is
            no such version of it.
        BundleError: the bundle has no goldens to run.
    """
    asked = [parse_requirement(text) for text in runtimes]
    for requirement in asked:
        check_target(requirement.runtime, manifest.artifact.target)
    goldens = read_goldens(bundle_dir / bundle.GOLDEN_FILE)
    return tuple(
        row
        for requirement in dict.fromkeys(asked)
        for row in _run_one(bundle_dir, manifest, goldens, requirement, seconds)
    )


def read_goldens(path: Path) -> Goldens:
    """Read the ``run`` goldens of a bundle.

    Raises:
        BundleError: there are none, or a line is not a golden.
    """
    found = run_goldens.collect(golden_records.read(path))
    if not found.cases:
        raise BundleError(f"'{path}' holds no golden of the kind 'run'")
    return found


def _run_one(
    directory: Path,
    manifest: Manifest,
    goldens: Goldens,
    requirement: Requirement,
    seconds: float,
) -> list[CompatRow]:
    artifact = manifest.artifact
    runtime = RUNTIMES[requirement.runtime]
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
