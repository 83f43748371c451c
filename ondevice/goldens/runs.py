"""Model inputs with the checkpoint's outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ondevice.golden_records import DECIMALS, RunRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.schemes import ParityLimit
    from ondevice.verify.reference import Case


def run_records(
    limit: ParityLimit, inputs: Sequence[str], cases: Sequence[Case]
) -> Iterator[RunRecord]:
    """Yield each case with the checkpoint's outputs and the scheme's limit."""
    for case in cases:
        yield RunRecord(
            length=case.length,
            valid=case.valid,
            inputs={name: tuple(case.inputs[name][0].tolist()) for name in inputs},
            outputs={role: _nested(values) for role, values in case.outputs.items()},
            max_abs=limit.max_abs,
            min_cosine=limit.min_cosine,
        )


def _nested(values: NDArray[np.float32]) -> Any:
    """Return an array as nested tuples of rounded numbers."""
    if values.ndim == 1:
        return tuple(round(float(value), DECIMALS) for value in values)
    return tuple(_nested(row) for row in values)
