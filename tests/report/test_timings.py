"""Figures over runs: exact values, honest intervals, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.bench import parts
from ondevice.report.timings import (
    ENOUGH_RUNS,
    ENOUGH_SAMPLES,
    MAX_RUNS,
    MAX_SAMPLES,
    Timings,
    ratio,
)
from ondevice.statistics import MEDIAN, P90, P99, summarize
from tests.report import made


def timings(*runs):
    found = Timings()
    for number, run in enumerate(runs):
        found.add(made.sha(number), np.asarray(run, np.float64))
    return found


def normal(center, count=50, salt=""):
    return center * (1 + 0.02 * made.draw(center, count, salt).standard_normal(count))


def test_one_run_has_numpy_s_percentiles():
    run = normal(30.0)
    found = timings(run)
    assert found.value(MEDIAN) == np.median(run)
    assert (found.value(P90), found.value(P99)) == tuple(np.percentile(run, (90, 99)))


def test_intervals_are_those_of_the_benchmark_s_own_statistics():
    run = np.round(normal(30.0, 60) * 1e6)
    ours = timings(run).interval()
    theirs = summarize([int(one) for one in run]).median
    assert ours.value == theirs.value
    # Other random draws: the ends agree within a fraction of the interval's width.
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.3 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.3 * width)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = sum(
        found.low <= 100.0 <= found.high
        for found in (timings(normal(100.0, 50, seed)).interval() for seed in range(100))
    )
    assert 85 <= hits <= 100


def test_a_figure_of_several_runs_is_the_median_of_theirs():
    found = timings(normal(10.0), normal(20.0, 5000), normal(30.0))
    assert found.value() == pytest.approx(20.0, rel=0.02)
    assert (found.runs, found.samples) == (3, 5100)


def test_the_spread_between_runs_is_in_the_interval():
    one = timings(normal(100.0)).interval()
    runs = [normal(center, 50, center) for center in np.linspace(90, 110, ENOUGH_RUNS + 2)]
    several = timings(*runs).interval()
    assert several.high - several.low > 3 * (one.high - one.low)


def test_what_is_kept_does_not_grow_with_runs():
    found = timings(*(normal(50.0, 200, seed) for seed in range(3 * MAX_RUNS)))
    assert len(found._kept) == MAX_RUNS
    assert sum(len(run.samples) for run in found._kept) <= MAX_SAMPLES
    assert found.runs == 3 * MAX_RUNS
    assert found.value() == pytest.approx(50.0, rel=0.01)


def test_the_order_of_runs_does_not_matter():
    runs = [(made.sha(seed), normal(50.0, 40, seed)) for seed in range(MAX_RUNS + 30)]
    there, back = Timings(), Timings()
    for key, run in runs:
        there.add(key, run)
    for key, run in reversed(runs):
        back.add(key, run)
    assert there.value() == back.value()
    assert there.interval() == back.interval()


def test_few_samples_have_no_interval():
    assert timings([1.0] * (ENOUGH_SAMPLES - 1)).interval() is None
    assert timings([1.0] * ENOUGH_SAMPLES).interval() is not None


def test_a_source_without_samples_gives_its_figures_and_no_interval():
    found = Timings()
    told = parts.ReportedTimes(count=50, median=12_000_000, p90=15_000_000)
    found.add_measurement("a", parts.Measurement(kind="model_only", length=64, reported=told))
    assert (found.value(MEDIAN), found.value(P90)) == (12.0, 15.0)
    assert np.isnan(found.value(P99))
    assert found.interval() is None
    assert found.samples == 50


def test_runs_that_do_not_give_a_percentile_are_not_drawn_for_it(recwarn):
    found = timings(normal(20.0, 50, "only"))
    for number in range(ENOUGH_RUNS + 3):
        told = parts.ReportedTimes(count=50, median=12_000_000 + number)
        found.add_measurement(
            made.sha(number), parts.Measurement(kind="model_only", length=64, reported=told)
        )
    p90 = found.interval(P90)
    assert p90 is not None
    assert not np.isnan([p90.low, p90.high]).any()
    assert p90.low <= p90.value <= p90.high
    assert list(recwarn) == []


def test_a_mean_stands_where_there_is_no_median():
    found = Timings()
    told = parts.ReportedTimes(count=50, mean=9_000_000)
    found.add_measurement("a", parts.Measurement(kind="model_only", length=64, reported=told))
    assert found.value() == 9.0


def test_a_ratio_tells_change_from_noise():
    base = timings(normal(100.0, 50, "base"))
    slower = ratio(timings(normal(110.0, 50, "slower")), base)
    assert slower.value == pytest.approx(1.1, rel=0.02)
    assert slower.low > 1.0
    same = ratio(timings(normal(100.0, 50, "same")), base)
    assert same.low < 1.0 < same.high


def test_the_ratio_of_a_figure_to_itself_has_an_interval():
    """The same draws above and below would say that there is no noise at all."""
    base = timings(normal(100.0))
    found = ratio(base, base)
    assert found.value == 1.0
    assert found.high - found.low > 0.002


def test_no_ratio_without_noise():
    assert ratio(timings([1.0, 1.1]), timings(normal(1.0))) is None
