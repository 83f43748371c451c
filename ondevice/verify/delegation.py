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

from ondevice.errors import BundleError, MissingPackageError, RuntimeUnavailableError
from ondevice.manifest import Evidence, Status, Strict
from ondevice.verify import _pte_program, _tflite_placement
from ondevice.verify._pte_program import Step

if TYPE_CHECKING:
    from ondevice.manifest import Manifest

# Every matrix product of an encoder can run in XNNPACK.
DEFAULT_MINIMUM = 0.95

_NO_PRODUCTS = "it multiplies no matrices"

# Why there is nothing to count, by target.
NOT_APPLICABLE = {
    "coreml": "where Core ML places an operation is decided, and known, on Apple devices only",
    "onnx": "ONNX Runtime's own CPU kernels run all of it; there is no XNNPACK to delegate to",
}


class Outside(Strict):
    """Operations of one kind that XNNPACK does not run.

    `counted` is false where it is not known here how much they multiply.
    """

    name: str
    count: int
    macs: int
    counted: bool = True


class Delegation(Strict):
    """What runs in XNNPACK, at the longest length.

    Attributes:
        figure: the share of multiply-accumulates inside, 0 to 1; None if it was not counted.
        ops_inside: operations inside, as XNNPACK has them.
        macs_inside: multiply-accumulates of matrix products inside.
        parts: how many delegated parts they are in; between two, values are handed back and forth.
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
    parts: int = 0
    outside: tuple[Outside, ...] = ()

    @property
    def shares(self) -> str:
        """Both shares, for a table; empty if they were not counted."""
        if self.figure is None or self.ops_share is None:
            return ""
        macs, ops = 100.0 * self.figure, 100.0 * self.ops_share
        parts = f"in {self.parts} part{'s' * (self.parts != 1)}"
        return f"{macs:.1f} % of multiplications, {ops:.0f} % of operations, {parts}"

    @property
    def ops_share(self) -> float | None:
        """The share of operations inside, 0 to 1."""
        return self.ops_inside / self.ops if self.ops else None


def measure(bundle_dir: Path, manifest: Manifest, minimum: float = DEFAULT_MINIMUM) -> Delegation:
    """Count what of a bundle's artifact runs in XNNPACK, and judge it.

    Where it cannot be counted here, the result says why and is ``not_run``.

    Args:
        bundle_dir: a published bundle.
        manifest: the bundle's, its files checked already.
        minimum: the share of multiply-accumulates that must be inside, 0 to 1.

    Raises:
        BundleError: its artifact is unreadable.
    """
    artifact = manifest.artifact
    path = bundle_dir / artifact.file
    if artifact.target in NOT_APPLICABLE:
        return _not_run(manifest, minimum, NOT_APPLICABLE[artifact.target])
    try:
        if artifact.target == "tflite":
            placed = _tflite_placement.place(path)
            counted = count(placed.steps, placed.runtime, placed.version, artifact.lengths[-1])
        else:
            counted = _count_program(path, artifact.lengths[-1])
    except (MissingPackageError, RuntimeUnavailableError) as error:
        return _not_run(manifest, minimum, str(error))
    return gate(counted, minimum)


def _count_program(path: Path, length: int) -> Delegation:
    program = _pte_program.read_program(path)
    methods = _pte_program.methods(program)
    plan = methods.get(f"forward_{length}") or methods.get("forward")
    if plan is None:
        raise BundleError(
            f"'{path}' has no method for length {length}; its methods: {', '.join(methods)}"
        )
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
    inside = [step for step in every if step.part is not None]
    by_name: dict[str, list[Step]] = {}
    for step in every:
        if step.part is None:
            by_name.setdefault(step.name, []).append(step)
    outside = [
        Outside(
            name=name,
            count=len(steps),
            macs=sum(step.macs or 0 for step in steps),
            counted=all(step.macs is not None for step in steps),
        )
        for name, steps in by_name.items()
    ]
    macs, macs_inside = (sum(step.macs or 0 for step in some) for some in (every, inside))
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
        parts=len({step.part for step in inside}),
        outside=tuple(sorted(outside, key=_cost)),
    )


def _cost(outside: Outside) -> tuple[bool, int, int, str]:
    """Order what is outside: what was not counted first, then by what it costs."""
    return outside.counted, -outside.macs, -outside.count, outside.name


def gate(delegation: Delegation, minimum: float) -> Delegation:
    """Judge a count: ``failed`` if less than `minimum` of the multiply-accumulates are inside.

    It is ``not_run`` where something outside may multiply, and how often is not known here.
    """
    limit = _limit(minimum)
    if delegation.status == "not_run":
        return delegation.model_copy(update={"limit": limit})
    uncounted = [one for one in delegation.outside if not one.counted]
    if uncounted or delegation.figure is None:
        names = ", ".join(one.name for one in uncounted)
        reason = f"what these multiply is not known here: {names}" if uncounted else _NO_PRODUCTS
        changed = {"status": "not_run", "evidence": "not run", "limit": limit, "reason": reason}
        return delegation.model_copy(update={**changed, "figure": None})
    failed = delegation.figure < minimum
    share = f"{_percent(delegation.figure)} of the multiply-accumulates run in XNNPACK; "
    changed = {
        "status": "failed" if failed else "passed",
        "limit": limit,
        "reason": share * failed + _names(delegation.outside),
    }
    return delegation.model_copy(update=changed)


def _names(outside: Iterable[Outside]) -> str:
    """Name what is not in XNNPACK, the most expensive first."""
    names = ", ".join(f"{one.name} ×{one.count}" for one in outside)
    return f"outside XNNPACK: {names}" if names else ""


def _not_run(manifest: Manifest, minimum: float, reason: str) -> Delegation:
    return Delegation(
        runtime=manifest.artifact.target,
        version="",
        length=manifest.artifact.lengths[-1],
        status="not_run",
        evidence="not run",
        limit=_limit(minimum),
        reason=reason,
    )


def _limit(minimum: float) -> str:
    return f"≥ {_percent(minimum)} of multiplications in XNNPACK"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
