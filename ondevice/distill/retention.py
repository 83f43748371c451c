"""Bootstrap intervals of a score, and of the share of the teacher's score that a student keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import DataError

ROUNDS = 1000
LEVEL = 0.95

Statistic = Callable[[NDArray[np.int64]], float]


@dataclass(frozen=True)
class Interval:
    """A value with its percentile-bootstrap interval (Efron 1979) at `level`."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    @property
    def excludes_zero(self) -> bool:
        """Tell whether the whole interval lies on one side of 0."""
        return self.low > 0.0 or self.high < 0.0


def interval(
    statistic: Statistic, size: int, *, rounds: int = ROUNDS, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Return a statistic over `size` examples with its interval.

    `statistic` takes indices of examples, with repetition. Whatever it computes from two models at
    once is a paired bootstrap: both see the same examples in each round.

    Raises:
        DataError: there are no examples.
    """
    if size < 1:
        raise DataError("an interval needs at least one example")
    draw = np.random.default_rng(seed)
    everything = np.arange(size, dtype=np.int64)
    samples = [statistic(draw.integers(size, size=size)) for _ in range(rounds)]
    tail = 100.0 * (1.0 - level) / 2.0
    known = [sample for sample in samples if not np.isnan(sample)] or [float("nan")]
    low, high = np.percentile(known, [tail, 100.0 - tail])
    return Interval(statistic(everything), float(low), float(high), level)


def retention(
    student: Statistic, teacher: Statistic, size: int, *, rounds: int = ROUNDS, seed: int = 0
) -> Interval:
    """Return the student's score in percent of the teacher's, with its paired interval.

    It is NaN (null in JSON) for a teacher that scores 0.
    """

    def share(indices: NDArray[np.int64]) -> float:
        whole = teacher(indices)
        return 100.0 * student(indices) / whole if whole else float("nan")

    return interval(share, size, rounds=rounds, seed=seed)


def difference(
    first: Statistic, second: Statistic, size: int, *, rounds: int = ROUNDS, seed: int = 0
) -> Interval:
    """Return first - second in points, with its paired interval."""
    return interval(
        lambda indices: first(indices) - second(indices), size, rounds=rounds, seed=seed
    )


def mean_of(each: NDArray[np.float64]) -> Statistic:
    """Return the statistic "mean in percent" of each example's own score (0 to 1)."""
    return lambda indices: 100.0 * float(each[indices].mean())
