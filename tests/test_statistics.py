"""Bootstrap intervals against their theory, percentiles against the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice import statistics
from ondevice.errors import DataError
from ondevice.statistics import difference, interval, mean_of, retention, summarize, thin


def test_the_interval_of_a_mean_is_about_two_standard_errors() -> None:
    each = (np.random.default_rng(0).random(2000) < 0.6).astype(np.float64)
    found = interval(mean_of(each), len(each))
    error = 100 * each.std() / np.sqrt(len(each))
    assert found.value == pytest.approx(100 * each.mean())
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.4)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.4)


def test_the_same_seed_gives_the_same_interval() -> None:
    each = np.random.default_rng(1).random(50)
    assert interval(mean_of(each), 50) == interval(mean_of(each), 50)
    assert interval(mean_of(each), 50) != interval(mean_of(each), 50, seed=1)


def test_pairs_make_the_interval_narrow() -> None:
    draw = np.random.default_rng(2)
    teacher = draw.random(400)
    student = teacher * 0.9
    kept = retention(mean_of(student), mean_of(teacher), 400)
    assert (kept.value, kept.low, kept.high) == pytest.approx((90.0, 90.0, 90.0))
    found = difference(mean_of(student), mean_of(teacher), 400)
    assert found.excludes_zero
    assert found.high < 0


def test_about_one_interval_in_twenty_misses_when_there_is_no_difference() -> None:
    draw = np.random.default_rng(3)
    pairs = [(draw.random(100), draw.random(100)) for _ in range(100)]
    misses = [
        difference(mean_of(first), mean_of(second), 100, rounds=200).excludes_zero
        for first, second in pairs
    ]
    assert sum(misses) <= 12


def test_nothing_to_score() -> None:
    with pytest.raises(DataError):
        interval(mean_of(np.zeros(0)), 0)


@pytest.mark.filterwarnings("error")
def test_nothing_is_kept_of_nothing() -> None:
    found = retention(mean_of(np.ones(9)), mean_of(np.zeros(9)), 9)
    assert np.isnan([found.value, found.low, found.high]).all()


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
    for share, found_at in ((0.5, found.median), (0.9, found.p90), (0.99, found.p99)):
        each = [percentile([ordered[i] for i in row], share) for row in drawn]
        assert found_at.value == pytest.approx(percentile(values, share))
        assert found_at.low == pytest.approx(percentile(each, 0.025))
        assert found_at.high == pytest.approx(percentile(each, 0.975))


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
    quantiles = np.quantile
    monkeypatch.setattr(statistics, "CHUNK", 5_000)
    monkeypatch.setattr(
        statistics.np,
        "quantile",
        lambda array, *rest, **named: (
            sizes.append(np.size(array)) or quantiles(array, *rest, **named)
        ),
    )
    parts = summarize(values)
    assert max(sizes) <= 5_000
    assert parts.p90.value == whole.p90.value
    assert parts.median.low == pytest.approx(whole.median.low, rel=0.03)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


def test_thinning_keeps_the_distribution():
    samples = np.random.default_rng(4).exponential(10.0, 50_000)
    thinned = thin(samples, 1000)
    assert len(thinned) == 1000
    for quantile in (0.05, 0.5, 0.9, 0.99):
        assert np.quantile(thinned, quantile) == pytest.approx(
            np.quantile(samples, quantile), rel=0.02
        )
