"""The ``run`` goldens of a bundle as cases, and how far an answer may be from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ondevice.golden_records import Record, RunRecord
from ondevice.schemes import SCHEMES, ParityLimit
from ondevice.verify import parity
from ondevice.verify.reference import Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.manifest import ArtifactInfo


@dataclass(frozen=True)
class Goldens:
    """Cases by length, and the limit that the goldens of a length state."""

    cases: Mapping[int, Sequence[Case]]
    limits: Mapping[int, ParityLimit]


def collect(records: Iterable[Record]) -> Goldens:
    """Return the ``run`` goldens, by length in ascending order."""
    runs = sorted(
        (record for record in records if isinstance(record, RunRecord)),
        key=lambda record: record.length,
    )
    cases: dict[int, list[Case]] = {}
    limits: dict[int, ParityLimit] = {}
    for record in runs:
        cases.setdefault(record.length, []).append(case_of(record))
        limits.setdefault(record.length, limit_of(record))
    return Goldens(cases, limits)


def case_of(record: RunRecord) -> Case:
    """Return a record as a case."""
    outputs = {role: np.asarray(rows, np.float32) for role, rows in record.outputs.items()}
    return Case(record.length, inputs_of(record), outputs)


def inputs_of(record: RunRecord) -> dict[str, NDArray[np.int32]]:
    """Return a record's model inputs, int32 [1, L]."""
    return {name: np.asarray([row], np.int32) for name, row in record.inputs.items()}


def limit_of(record: RunRecord) -> ParityLimit:
    """Return the limit that a record states."""
    return ParityLimit(record.max_abs, record.min_cosine)


def missing_lengths(goldens: Goldens, artifact: ArtifactInfo) -> list[int]:
    """Return the lengths of an artifact for which there is no golden."""
    return [length for length in artifact.lengths if length not in goldens.cases]


def too_loose(limit: ParityLimit, scheme: str) -> str:
    """Say how a golden allows more than its scheme promises; empty if it does not.

    The goldens are as easily altered as the artifact, so what they allow proves nothing by itself.
    """
    promised = SCHEMES[scheme].limit
    if _allows_more(limit, promised):
        return (
            f"its goldens allow {parity.describe(limit)}, while {scheme} promises"
            f" {parity.describe(promised)}"
        )
    return ""


def _allows_more(limit: ParityLimit, promised: ParityLimit) -> bool:
    if promised.max_abs is not None and (limit.max_abs is None or limit.max_abs > promised.max_abs):
        return True
    return promised.min_cosine is not None and (
        limit.min_cosine is None or limit.min_cosine < promised.min_cosine
    )
