"""The choice: highest score, then what cannot be told from it, then small, then fast."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.search.budget import Budget
from ondevice.search.choice import choose, fitting, front, nearest
from tests.search.made import contender, right


def flipped(scores, places):
    """The same scores but for some questions, of which as many are won as lost."""
    changed = scores.copy()
    ones, zeros = np.flatnonzero(scores == 1.0), np.flatnonzero(scores == 0.0)
    changed[ones[:places]], changed[zeros[:places]] = 0.0, 1.0
    return changed


def test_nothing_fits():
    assert choose([]) is None


def test_a_clearly_higher_score_is_taken_whatever_it_weighs():
    small = contender("int4", 5.0, f1=0.5)
    large = contender("fp32", 80.0, f1=0.6)
    assert choose([small, large]) is large


def test_inside_the_noise_the_smaller_is_taken():
    scores = right(0.7)
    large = contender("fp32", 80.0, f1=scores)
    lost = scores.copy()
    lost[np.flatnonzero(scores == 1.0)[:1]] = 0.0
    small = contender("int8", 20.0, f1=lost)
    assert small.score < large.score
    assert choose([large, small]) is small


def test_smaller_counts_before_faster_and_faster_before_nothing():
    scores = right(0.7)
    slow = contender("int8", 20.0, f1=scores, p90=90.0)
    fast = contender("int8-weight", 20.0, f1=flipped(scores, 3), p90=70.0)
    large = contender("fp16", 40.0, f1=scores, p90=50.0)
    untimed = contender("int8-static", 20.0, f1=scores)
    assert choose([slow, fast, large, untimed]) is fast


def test_sizes_within_one_percent_are_one_size():
    scores = right(0.7)
    slow = contender("int8", 20.0, f1=scores, p90=90.0)
    fast = contender("int8-weight", 20.1, f1=scores, p90=70.0)
    larger = contender("int8-static", 20.5, f1=scores, p90=10.0)
    assert choose([slow, fast, larger]) is fast


def test_two_that_are_each_near_a_third_are_held_against_the_best_only():
    """A ladder of small steps does not lead down to the worst."""
    best = right(0.7)
    ones = np.flatnonzero(best == 1.0)
    a, b = best.copy(), best.copy()
    a[ones[:2]] = 0.0
    b[ones[:30]] = 0.0
    low = contender("int4", 5.0, f1=b)
    middle = contender("int8", 10.0, f1=a)
    assert choose([contender("fp32", 80.0, f1=best), middle, low]) is middle


def test_only_what_is_known_to_keep_every_budget_fits():
    budget = Budget(max_mb=20.0, max_f1_drop=5.0, max_p90_ms=60.0)
    good = contender("int8", 20.0, f1=0.66, own=0.7, p90=50.0)
    others = [
        contender("fp32", 80.0, f1=0.7, own=0.7, p90=50.0),
        contender("int4", 10.0, f1=0.6, own=0.7, p90=50.0),
        contender("int8-weight", 20.0, f1=0.7, own=0.7, p90=61.0),
        contender("fp16", 20.0, f1=0.7, own=0.7),
        contender("pal4", 9.0, p90=50.0),
        contender("pal6", None),
    ]
    assert fitting([*others, good], budget) == [good]


def test_the_nearest_miss_the_least_of_what_is_allowed():
    budget = Budget(max_mb=10.0, max_f1_drop=1.0)
    size = contender("int4", 11.0, f1=0.7, own=0.7)
    drop = contender("pal4", 9.0, f1=0.6885, own=0.7)
    both = contender("pal6", 12.0, f1=0.6885, own=0.7)
    far = contender("fp32", 80.0, f1=0.7, own=0.7)
    failed = contender("int8", None)
    assert nearest([far, both, failed, drop, size], budget) == [size, drop, both]


def test_the_front_holds_what_nothing_beats_in_both():
    points = [(10, 0.5), (20, 0.7), (20, 0.6), (30, 0.7), (40, 0.8), (5, None), (None, 0.9)]
    ones = [contender(f"s{place}") for place in range(len(points))]
    known = {id(one): point for one, point in zip(ones, points, strict=True)}
    found = front(ones, lambda one: known[id(one)][0], lambda one: known[id(one)][1])
    assert [known[id(one)] for one in found] == [(10, 0.5), (20, 0.7), (40, 0.8)]


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_in_which_they_come_does_not_matter(order):
    scores = right(0.7)
    ones = [
        contender("fp32", 80.0, f1=scores, p90=50.0),
        contender("fp16", 40.0, f1=scores, p90=60.0),
        contender("int8", 20.0, f1=flipped(scores, 5), p90=90.0),
    ][::order]
    assert choose(ones).candidate.scheme == "int8"
