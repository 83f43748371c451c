"""Figures of timed runs and their noise, in memory that does not grow with the number of runs.

Quantiles and intervals are those of :mod:`ondevice.statistics`, over draws of each figure's own:
an interval may differ from the benchmark's own table in the last digit.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from dataclasses import dataclass, field

import numpy as np

from ondevice.bench.parts import Measurement
from ondevice.statistics import (
    CHUNK,
    MEDIAN,
    QUANTILES,
    ROUNDS,
    Array,
    Interval,
    around,
    resampled_quantiles,
    thin,
)

NANOSECONDS = 1e6  # in a millisecond
# What a figure keeps of its runs: 4096 samples of 8 bytes are 32 kB, whatever comes in.
MAX_RUNS = 64
MAX_SAMPLES = 4096
# From so many runs on, the spread between runs says all: resampling within them as well would
# count the same noise twice (Davison and Hinkley 1997, section 3.8).
ENOUGH_RUNS = 8
# A bootstrap of fewer samples than this gives an interval that is too narrow to judge by.
ENOUGH_SAMPLES = 5
# The same for p90 and p99: so many samples leave five above p90.
ENOUGH_FOR_TAIL = 50


@dataclass(frozen=True)
class Run:
    """One run: its exact quantiles (NaN where not given), and its samples, thinned if many."""

    key: str
    quantiles: tuple[float, ...]
    samples: Array


@dataclass
class Timings:
    """One figure over any number of runs, in the unit of its samples.

    A figure of several runs is the median of the runs' figures, so that a run with more samples
    does not outweigh the others. Of more than MAX_RUNS runs those with the smallest keys are kept:
    keys are hashes, so that is a random choice, and the same one whatever the order.
    """

    runs: int = 0
    samples: int = 0
    _kept: list[Run] = field(default_factory=list)
    _intervals: dict[float, Interval] = field(default_factory=dict)

    def add(self, key: str, samples: Array) -> None:
        """Take in the samples of one run; `key` is a hash of the run."""
        self.samples += len(samples)
        quantiles = tuple(float(value) for value in np.quantile(samples, QUANTILES))
        self._keep(Run(key, quantiles, samples))

    def add_figures(self, key: str, count: int, quantiles: tuple[float, ...]) -> None:
        """Take in the figures of a run that came without its samples; NaN for what is unknown."""
        self.samples += count
        self._keep(Run(key, quantiles, np.empty(0)))

    def add_measurement(self, key: str, measured: Measurement) -> None:
        """Take in a measurement, in milliseconds."""
        if measured.samples:
            self.add(key, np.asarray(measured.samples, np.float64) / NANOSECONDS)
        elif (told := measured.reported) is not None:
            # Some tools print a mean and nothing else; the report marks it (`no_samples`).
            middle = told.mean if told.median is None else told.median
            figures = (middle, told.p90, told.p99)
            known = (math.nan if one is None else one / NANOSECONDS for one in figures)
            self.add_figures(key, told.count, tuple(known))

    def _keep(self, run: Run) -> None:
        self.runs += 1
        self._intervals.clear()
        bisect.insort(self._kept, run, key=lambda one: one.key)
        if len(self._kept) > MAX_RUNS and self._kept.pop() is run:
            return
        share = MAX_SAMPLES // len(self._kept)
        for place, one in enumerate(self._kept):
            if len(one.samples) > share:
                self._kept[place] = Run(one.key, one.quantiles, thin(one.samples, share))

    @property
    def no_samples(self) -> bool:
        """Whether a run came as figures only."""
        return any(not len(run.samples) for run in self._kept)

    @property
    def noise_known(self) -> bool:
        """Whether there is enough to tell noise from change."""
        few = self.no_samples or self.samples < ENOUGH_SAMPLES
        return len(self._kept) >= ENOUGH_RUNS or not few

    def value(self, quantile: float = MEDIAN) -> float:
        """Return the figure: the median of the runs' quantiles; NaN where no run gives it."""
        which = QUANTILES.index(quantile)
        known = [run.quantiles[which] for run in self._kept if not math.isnan(run.quantiles[which])]
        return float(np.median(known)) if known else math.nan

    def interval(self, quantile: float = MEDIAN) -> Interval | None:
        """Return the figure with its percentile-bootstrap interval, if the noise is known."""
        value = self.value(quantile)
        if not self.noise_known or math.isnan(value):
            return None
        if quantile not in self._intervals:
            drawn = self.draws("figure")
            self._intervals = {
                which: around(self.value(which), drawn[place])
                for place, which in enumerate(QUANTILES)
            }
        return self._intervals[quantile]

    def draws(self, salt: str) -> Array:
        """Return bootstrap draws of the figure, [quantiles, ROUNDS]; others for another salt."""
        draw = generator(salt, *(run.key for run in self._kept))
        count = len(self._kept)
        if count >= ENOUGH_RUNS:
            exact = np.array([run.quantiles for run in self._kept])
            each = np.repeat(exact[:, :, None], ROUNDS, axis=2)
        else:
            each = np.stack([resampled_quantiles(run.samples, draw) for run in self._kept])
        chosen = draw.integers(count, size=(ROUNDS, count))
        rounds = np.arange(ROUNDS)[:, None]
        drawn: Array = np.median(each[chosen, :, rounds], axis=1).T
        for place in np.flatnonzero(np.isnan(each).any(axis=(0, 2))):
            # A quantile that not every run gives is drawn from those that do.
            giving = each[~np.isnan(each[:, place]).any(axis=1), place]
            if len(giving):
                chosen = draw.integers(len(giving), size=(ROUNDS, len(giving)))
                drawn[place] = np.median(giving[chosen, rounds], axis=1)
        return drawn

    def pooled(self) -> Array:
        """Return the kept samples of all runs, sorted."""
        return np.sort(np.concatenate([run.samples for run in self._kept]))


def ratio(above: Timings, below: Timings, quantile: float = MEDIAN) -> Interval | None:
    """Return the ratio of two figures with its interval, if the noise of both is known."""
    if not (above.noise_known and below.noise_known):
        return None
    if quantile != MEDIAN and min(above.samples, below.samples) < ENOUGH_FOR_TAIL:
        return None
    value = above.value(quantile) / below.value(quantile)
    if math.isnan(value):
        return None
    # Salts of their own: the same draws in both would make the ratio look better known than it is.
    which = QUANTILES.index(quantile)
    return around(value, above.draws("above")[which] / below.draws("below")[which])


def paired_ratios(above: Array, below: Array) -> dict[float, Interval | None]:
    """Return the ratio of each quantile of the same things, with its interval; None of too few.

    Both see the same things in each draw: that one takes longer than another is no noise.
    """
    draw, size = np.random.default_rng(0), len(above)
    rows = max(CHUNK // size, 1)
    drawn = []
    for start in range(0, ROUNDS, rows):
        chosen = draw.integers(size, size=(min(rows, ROUNDS - start), size))
        pair = (np.quantile(one[chosen], QUANTILES, axis=1) for one in (above, below))
        drawn.append(np.divide(*pair))
    exact = np.quantile(above, QUANTILES) / np.quantile(below, QUANTILES)
    each = zip(QUANTILES, exact, np.concatenate(drawn, axis=1), strict=True)
    return {
        quantile: around(float(value), draws)
        if size >= (ENOUGH_SAMPLES if quantile == MEDIAN else ENOUGH_FOR_TAIL)
        else None
        for quantile, value, draws in each
    }


def generator(*words: str) -> np.random.Generator:
    """Return a random generator that the words alone decide."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
