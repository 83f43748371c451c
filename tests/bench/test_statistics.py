"""Percentiles and their intervals, against the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.bench import statistics
from ondevice.bench.statistics import summarize


def percentile(values, share):
    """Linear interpolation between the closest ranks, by hand."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def samples(count, seed=1):
    return [int(value) for value in np.random.default_rng(seed).lognormal(15, 0.4, count)]


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_percentiles_and_intervals_are_those_of_a_loop(count):
    values = samples(count)
    found = summarize(values, rounds=60)
    assert (found.count, found.mean) == (count, pytest.approx(sum(values) / count))
    drawn = np.random.default_rng(0).integers(count, size=(60, count))
    ordered = sorted(values)
    for share, interval in ((0.5, found.median), (0.9, found.p90), (0.99, found.p99)):
        each = [percentile([ordered[i] for i in row], share) for row in drawn]
        assert interval.value == pytest.approx(percentile(values, share))
        assert interval.low == pytest.approx(percentile(each, 0.025))
        assert interval.high == pytest.approx(percentile(each, 0.975))


def test_the_order_of_the_samples_does_not_matter_and_the_figures_repeat():
    values = samples(50)
    assert summarize(values) == summarize(values[::-1]) == summarize(tuple(values))


def test_the_interval_of_the_median_holds_the_true_median_about_95_times_in_100():
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        values = [int(value) for value in draw.exponential(1e6, 50) + 1]
        median = summarize(values, rounds=400).median
        held += median.low <= 1e6 * np.log(2) <= median.high
    assert 178 <= held <= 199


def test_many_samples_are_drawn_in_parts(monkeypatch):
    values = samples(500)
    whole = summarize(values)
    sizes = []
    percentiles = np.percentile
    monkeypatch.setattr(statistics, "CHUNK", 5_000)
    monkeypatch.setattr(
        statistics.np,
        "percentile",
        lambda array, *rest, **named: (
            sizes.append(np.size(array)) or percentiles(array, *rest, **named)
        ),
    )
    parts = summarize(values)
    assert max(sizes) <= 5_000
    assert parts.p90.value == whole.p90.value
    assert parts.median.low == pytest.approx(whole.median.low, rel=0.03)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="no samples"):
        summarize([])
