"""Statistics of timed runs: percentiles, each with a bootstrap interval.

Percentiles are interpolated linearly between the closest ranks (NumPy's default, which the phone
apps repeat). Means are given only where a total is of interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondevice.distill.retention import LEVEL, ROUNDS, Interval

PERCENTILES = (50.0, 90.0, 99.0)
# At most so many drawn values are held at once: 16 MB.
CHUNK = 2_000_000


@dataclass(frozen=True)
class Summary:
    """What a table shows of some samples, in their unit.

    With fewer than about 100 samples p99 is close to the largest of them, and its interval cannot
    reach above that: it says how the samples spread, not what may still come.
    """

    count: int
    mean: float
    median: Interval
    p90: Interval
    p99: Interval


def summarize(samples: Sequence[int], *, rounds: int = ROUNDS, seed: int = 0) -> Summary:
    """Return the percentiles of samples with 95 % percentile-bootstrap intervals (Efron 1979).

    The seed is fixed: the same samples give the same figures everywhere.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples to summarize")
    values = np.sort(np.asarray(samples, np.float64))
    drawn = _resampled(values, rounds, np.random.default_rng(seed))
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    lows, highs = np.percentile(drawn, [tail, 100.0 - tail], axis=0)
    found = np.percentile(values, PERCENTILES)
    median, p90, p99 = (
        Interval(float(value), float(low), float(high))
        for value, low, high in zip(found, lows, highs, strict=True)
    )
    return Summary(len(values), float(values.mean()), median, p90, p99)


def _resampled(
    values: NDArray[np.float64], rounds: int, draw: np.random.Generator
) -> NDArray[np.float64]:
    """Return the percentiles of `rounds` resamples, [rounds, percentiles]."""
    size = len(values)
    rows = max(CHUNK // size, 1)
    found = []
    for start in range(0, rounds, rows):
        indices = draw.integers(size, size=(min(rows, rounds - start), size))
        found.append(np.percentile(values[indices], PERCENTILES, axis=1).T)
    return np.concatenate(found)
