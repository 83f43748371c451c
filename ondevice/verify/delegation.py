"""The delegation proof: how much of an artifact runs in XNNPACK, and what does not.

An operation that XNNPACK does not take runs in a portable kernel, many times slower and without
a word (pytorch/executorch#7880). Two shares are counted, of operations and of multiply-accumulates
in matrix products; the gate is on the second, since that is where an encoder's time goes: what
is outside is cheap where it multiplies nothing.

ExecuTorch decides when it converts, so a ``.pte`` is counted as it is. TFLite decides when a file
is loaded, so the file is loaded here and its interpreter asked.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import bundle
from ondevice.errors import MissingPackageError, RuntimeUnavailableError
from ondevice.manifest import Evidence, Status, Strict
from ondevice.verify import _pte_program, _tflite_placement
from ondevice.verify._pte_program import Step

if TYPE_CHECKING:
    from ondevice.manifest import Manifest

# Every matrix product of an encoder can run in XNNPACK.
DEFAULT_MINIMUM = 0.95

# Why there is nothing to count, by target.
NOT_APPLICABLE = {
    "coreml": "where Core ML places an operation is decided, and known, on Apple devices only",
    "onnx": "ONNX Runtime's own CPU kernels run all of it; there is no XNNPACK to delegate to",
}


class Outside(Strict):
    """Operations of one kind that XNNPACK does not run."""

    name: str
    count: int
    macs: int


class Delegation(Strict):
    """What runs in XNNPACK, at the longest length.

    Attributes:
        figure: the share of multiply-accumulates inside, 0 to 1; None if it was not counted.
        ops_inside: operations inside, as XNNPACK has them.
        macs_inside: multiply-accumulates of matrix products inside.
        outside: what is not inside, the most expensive first.
    """

    runtime: str
    version: str
    length: int
    status: Status
    evidence: Evidence
    figure: float | None = None
    limit: str
    reason: str = ""
    ops_inside: int = 0
    ops: int = 0
    macs_inside: int = 0
    macs: int = 0
    outside: tuple[Outside, ...] = ()

    @property
    def ops_share(self) -> float | None:
        """The share of operations inside, 0 to 1."""
        return self.ops_inside / self.ops if self.ops else None


def measure(bundle_dir: Path, minimum: float = DEFAULT_MINIMUM) -> Delegation:
    """Count what of a bundle's artifact runs in XNNPACK, and judge it.

    Where it cannot be counted here, the result says why and is ``not_run``.

    Args:
        bundle_dir: a published bundle.
        minimum: the share of multiply-accumulates that must be inside, 0 to 1.

    Raises:
        BundleError: it is not a bundle, not as it was published, or its artifact is unreadable.
    """
    manifest = bundle.open_bundle(bundle_dir)
    artifact = manifest.artifact
    path = bundle_dir / artifact.file
    if artifact.target in NOT_APPLICABLE:
        return _not_run(manifest, NOT_APPLICABLE[artifact.target])
    try:
        if artifact.target == "tflite":
            placed = _tflite_placement.place(path)
            counted = count(placed.steps, placed.runtime, placed.version, artifact.lengths[-1])
        else:
            counted = _count_program(path, artifact.lengths[-1])
    except (MissingPackageError, RuntimeUnavailableError) as error:
        return _not_run(manifest, str(error))
    return gate(counted, minimum)


def _count_program(path: Path, length: int) -> Delegation:
    program = _pte_program.read_program(path)
    methods = _pte_program.methods(program)
    plan = methods.get(f"forward_{length}") or methods["forward"]
    version = importlib.metadata.version("executorch").split("+")[0]
    steps = _pte_program.steps(program, plan)
    return count(steps, "executorch", version, length, evidence="reference")


def count(
    steps: Iterable[Step],
    runtime: str,
    version: str,
    length: int,
    *,
    evidence: Evidence = "host",
) -> Delegation:
    """Add up the operations of one method; no gate is applied yet."""
    every = list(steps)
    inside = [step for step in every if step.backend]
    names = sorted({step.name for step in every if not step.backend})
    outside = [
        Outside(
            name=name,
            count=sum(step.name == name for step in every if not step.backend),
            macs=sum(step.macs for step in every if not step.backend and step.name == name),
        )
        for name in names
    ]
    macs, macs_inside = (sum(step.macs for step in some) for some in (every, inside))
    return Delegation(
        runtime=runtime,
        version=version,
        length=length,
        status="passed",
        evidence=evidence,
        figure=macs_inside / macs if macs else None,
        limit="",
        ops_inside=len(inside),
        ops=len(every),
        macs_inside=macs_inside,
        macs=macs,
        outside=tuple(sorted(outside, key=lambda one: (-one.macs, -one.count, one.name))),
    )


def gate(delegation: Delegation, minimum: float) -> Delegation:
    """Judge a count: ``failed`` if less than `minimum` of the multiply-accumulates are inside."""
    limit = _limit(minimum)
    if delegation.status == "not_run":
        return delegation.model_copy(update={"limit": limit})
    if delegation.figure is None:
        reason = "it multiplies no matrices"
        changed = {"status": "not_run", "evidence": "not run", "limit": limit, "reason": reason}
        return delegation.model_copy(update=changed)
    failed = delegation.figure < minimum
    reason = f"{_percent(delegation.figure)} of the multiply-accumulates run in XNNPACK"
    heavy = ", ".join(f"{one.name} ×{one.count}" for one in delegation.outside if one.macs)
    changed = {
        "status": "failed" if failed else "passed",
        "limit": limit,
        "reason": f"{reason}; outside: {heavy}" if failed else "",
    }
    return delegation.model_copy(update=changed)


def _not_run(manifest: Manifest, reason: str) -> Delegation:
    return Delegation(
        runtime=manifest.artifact.target,
        version="",
        length=manifest.artifact.lengths[-1],
        status="not_run",
        evidence="not run",
        limit=_limit(DEFAULT_MINIMUM),
        reason=reason,
    )


def _limit(minimum: float) -> str:
    return f"MACs in XNNPACK ≥ {_percent(minimum)}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
