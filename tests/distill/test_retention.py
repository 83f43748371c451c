"""Bootstrap intervals against their theory."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.distill.retention import difference, interval, mean_of, retention
from ondevice.errors import DataError


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
