"""Figures with their noise: percentile-bootstrap intervals (Efron 1979) of scores and of times.

Quantiles are interpolated linearly between the closest ranks (NumPy's default, which the phone
apps repeat). Seeds are fixed: the same figures come out everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import DataError

ROUNDS = 1000
LEVEL = 0.95
MEDIAN, P90, P99 = QUANTILES = (0.5, 0.9, 0.99)
# At most so many drawn values are held at once: 16 MB.
CHUNK = 2_000_000

Array = NDArray[np.float64]
Statistic = Callable[[NDArray[np.int64]], float]


@dataclass(frozen=True)
class Interval:
    """A value with its percentile-bootstrap interval at `level`."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    @property
    def excludes_zero(self) -> bool:
        """Tell whether the whole interval lies on one side of 0."""
        return self.low > 0.0 or self.high < 0.0

    def __truediv__(self, divisor: float) -> Interval:
        """Return it in another unit."""
        return Interval(self.value / divisor, self.low / divisor, self.high / divisor, self.level)


def around(value: float, drawn: Sequence[float] | Array, level: float = LEVEL) -> Interval:
    """Return a value with the percentiles of its draws; draws that are NaN do not count."""
    known = np.asarray(drawn, np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        return Interval(value, float("nan"), float("nan"), level)
    tail = 100.0 * (1.0 - level) / 2.0
    low, high = np.percentile(known, [tail, 100.0 - tail])
    return Interval(value, float(low), float(high), level)


# --- statistics over examples ---


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
    drawn = [statistic(draw.integers(size, size=size)) for _ in range(rounds)]
    return around(statistic(np.arange(size, dtype=np.int64)), drawn, level)


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
    first: Statistic,
    second: Statistic,
    size: int,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """Return first - second in points, with its paired interval."""

    def points(indices: NDArray[np.int64]) -> float:
        return first(indices) - second(indices)

    return interval(points, size, rounds=rounds, seed=seed, level=level)


def mean_of(each: Array) -> Statistic:
    """Return the statistic "mean in percent" of each example's own score (0 to 1)."""
    return lambda indices: 100.0 * float(each[indices].mean())


# --- quantiles of samples ---


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
    """Return the percentiles of samples with 95 % intervals.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples to summarize")
    values = np.asarray(samples, np.float64)
    drawn = resampled_quantiles(values, np.random.default_rng(seed), rounds=rounds)
    median, p90, p99 = (
        around(float(value), each)
        for value, each in zip(np.quantile(values, QUANTILES), drawn, strict=True)
    )
    return Summary(len(values), float(values.mean()), median, p90, p99)


def resampled_quantiles(
    samples: Array, draw: np.random.Generator, *, rounds: int = ROUNDS
) -> Array:
    """Return QUANTILES of `rounds` resamples, [quantiles, rounds]; the samples' order is nothing.

    Memory does not grow with the number of samples.
    """
    values = np.sort(samples)
    size = len(values)
    rows = max(CHUNK // size, 1)
    found = []
    for start in range(0, rounds, rows):
        ranks = draw.integers(size, size=(min(rows, rounds - start), size))
        found.append(np.quantile(values[ranks], QUANTILES, axis=1))
    return np.concatenate(found, axis=1)


def thin(samples: Array, count: int) -> Array:
    """Return at most `count` samples of the same distribution: evenly spaced quantiles."""
    if len(samples) <= count:
        return samples
    thinned: Array = np.quantile(samples, (np.arange(count) + 0.5) / count)
    return thinned
