"""Parity: does the artifact compute what its checkpoint computes?

Compared on real text, at every length, padded and full, on the artifact's own runtime. Scores of
padding mean nothing and are left out. Two findings fail under every scheme, whatever its limit:
an output that is not finite, and a dead one, which gives the same for every input. (A cosine can
be high for an output that is constant and large.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ondevice.manifest import Evidence, ParityInfo
from ondevice.schemes import ParityLimit
from ondevice.tasks import TASKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.targets.base import Runner
    from ondevice.verify.reference import Case


Outputs = Mapping[str, "NDArray[np.float32]"]

# An output whose spread over inputs is under this share of the checkpoint's is dead.
DEAD_SHARE = 1e-2


@dataclass(frozen=True)
class Difference:
    """How far the outputs at one length are from the checkpoint's, over all roles and cases.

    `norm` is the largest relative difference between the norms of two outputs, to which a cosine
    is blind.
    """

    max_abs: float
    cosine: float
    reason: str = ""
    norm: float = 0.0


def check(
    runner: Runner,
    cases: Sequence[Case],
    inputs: Sequence[str],
    task: str,
    limit: ParityLimit,
    evidence: Evidence = "host",
) -> list[ParityInfo]:
    """Run every case and judge each length.

    Args:
        runner: the loaded artifact.
        cases: what the checkpoint answers; several for each length.
        inputs: the names of the inputs that the artifact takes.
        task: decides which outputs have a value for each token.
        limit: the scheme's.
        evidence: what kind of runtime the runner is.
    """
    rows = []
    for length in sorted({case.length for case in cases}):
        chosen = [case for case in cases if case.length == length]
        actual = [runner.run({name: case.inputs[name] for name in inputs}) for case in chosen]
        difference = compare(actual, chosen, task)
        reason = difference.reason or _judge(difference, limit)
        rows.append(
            ParityInfo(
                runtime=runner.runtime,
                version=runner.version,
                length=length,
                max_abs=_finite(difference.max_abs),
                cosine=_finite(difference.cosine),
                limit=describe(limit),
                status="failed" if reason else "passed",
                evidence=evidence,
                reason=reason,
            )
        )
    return rows


def not_run(
    target: str, lengths: Sequence[int], limit: ParityLimit, reason: str
) -> list[ParityInfo]:
    """Return rows that say that the check did not run, and why."""
    return [
        ParityInfo(
            runtime=target,
            version="",
            length=length,
            limit=describe(limit),
            status="not_run",
            evidence="not run",
            reason=reason,
        )
        for length in lengths
    ]


def compare(actual: Sequence[Outputs], cases: Sequence[Case], task: str) -> Difference:
    """Compare outputs with the checkpoint's; `actual` is in the order of `cases`."""
    max_abs, cosine, norm = 0.0, 1.0, 0.0
    for role in cases[0].outputs:
        pairs = list(zip(actual, cases, strict=True))
        reason = _malformed(role, pairs)
        if reason:
            return Difference(np.inf, 0.0, reason)
        ours = [_values(outputs[role], case, task) for outputs, case in pairs]
        theirs = [_values(case.outputs[role], case, task) for case in cases]
        for one, other in zip(ours, theirs, strict=True):
            max_abs = max(max_abs, float(np.abs(one - other).max()))
            cosine = min(cosine, _cosine(one, other))
            norm = max(norm, _norm_difference(one, other))
        if _spread(ours) <= DEAD_SHARE * _spread(theirs):
            reason = f"'{role}' is dead: the same for every input"
            return Difference(max_abs, cosine, reason, norm)
    return Difference(max_abs, cosine, "", norm)


def _malformed(role: str, pairs: Sequence[tuple[Outputs, Case]]) -> str:
    """Say what no limit may excuse: a wrong shape or type, or a value that is not finite.

    The whole output counts here, padding included: a NaN there is a NaN in the making.
    """
    for outputs, case in pairs:
        ours, theirs = outputs[role], case.outputs[role]
        if ours.shape != theirs.shape:
            return f"'{role}' has the shape {ours.shape}, not {theirs.shape}"
        if ours.dtype != np.float32:
            return f"'{role}' is {ours.dtype}, not float32"
        if not np.isfinite(ours).all():
            return f"'{role}' holds NaN or infinity"
        if not np.isfinite(theirs).all():
            return f"the checkpoint's own '{role}' holds NaN or infinity"
    return ""


def _values(output: NDArray[np.float32], case: Case, task: str) -> NDArray[np.float64]:
    """Return [N, …] values: one row for each valid token, or one row for the text."""
    rows = output[0, : case.valid] if TASKS[task].per_token else output
    return np.asarray(rows, np.float64)


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / norms if norms else float(np.array_equal(one, other))


def _norm_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    ours, theirs = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if theirs == 0.0:
        return 0.0 if ours == 0.0 else np.inf
    return abs(ours / theirs - 1.0)


def _spread(values: Sequence[NDArray[np.float64]]) -> float:
    """Return how much each value varies over tokens and texts."""
    return float(np.concatenate(values).std(axis=0).mean())


def _judge(difference: Difference, limit: ParityLimit) -> str:
    if limit.max_abs is not None and difference.max_abs > limit.max_abs:
        return f"differs by up to {difference.max_abs:.2g}, the limit is {limit.max_abs:g}"
    if limit.min_cosine is not None and difference.cosine < limit.min_cosine:
        return f"cosine {difference.cosine:.4f}, the limit is {limit.min_cosine:g}"
    most = limit.max_norm_difference
    if most is not None and difference.norm > most:
        return f"norms differ by {100 * difference.norm:.3g} %, the limit is {100 * most:.3g} %"
    return ""


def describe(limit: ParityLimit) -> str:
    """Return a limit as the manifest and tables show it."""
    parts = []
    if limit.max_abs is not None:
        parts.append(f"max abs ≤ {limit.max_abs:g}")
    if limit.min_cosine is not None:
        parts.append(f"cosine ≥ {limit.min_cosine:g}")
    if limit.max_norm_difference is not None:
        parts.append(f"norm ±{100 * limit.max_norm_difference:.0f} %")
    return ", ".join(parts)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
