"""Halving: whom a rung drops, whom it must not, and what the whole race comes to."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice.search.budget import Budget
from ondevice.search.choice import choose, fitting
from ondevice.search.halving import replaces, rungs, sift
from ondevice.search.race import race
from tests.search.made import COUNT, contender, each, examples, give, quiet, right


def run(ones, scores, budget, *, own=None, teacher=None, times=None, build=None):
    """Race contenders whose scores on every question are known; return who was chosen."""
    asked = []

    def ask(one, questions):
        places = [example.place for example in questions]
        asked.append((one, len(places)))
        cut = lambda values: None if values is None else each(values)[places]  # noqa: E731
        give(one, cut(scores[one]), own=cut(own), teacher=cut(teacher), count=len(places))

    def time(one):
        if times and one in times:
            give(one, p90=times[one])
        else:
            one.untimed = "nobody has a clock"

    def as_estimated(waiting):
        for one in waiting:
            one.bytes = one.estimated

    return race(ones, examples(), budget, ask, time, build or as_estimated, quiet()), asked


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1586, [199, 397, 793, 1586]),
        (312, [39, 78, 156, 312]),
        (100, [50, 100]),
        (3, [3]),
        (1, [1]),
    ],
)
def test_rungs_grow_and_each_is_within_the_next(count, sizes):
    found = rungs(count)
    assert [len(share) for share in found] == sizes
    assert found[-1] == tuple(range(count))
    for share, larger in itertools.pairwise(found):
        assert set(share) <= set(larger)
        assert len({after - before for before, after in itertools.pairwise(share)}) == 1


def test_one_that_is_clearly_worse_and_no_smaller_leaves():
    good = contender("int8", 20.0, f1=right(0.8))
    bad = contender("fp32", 80.0, f1=np.zeros(COUNT))
    assert sift([bad, good], Budget()) == [good]
    assert bad.outcome == "dropped"
    assert good.candidate.label in bad.reason
    assert good.outcome == "open"


def test_one_that_is_clearly_worse_but_smaller_stays():
    good = contender("int8", 20.0, f1=right(0.8))
    small = contender("int4", 10.0, f1=right(0.4))
    assert sift([good, small], Budget()) == [good, small]


def test_one_that_may_be_better_stays():
    scores = right(0.7)
    better = scores.copy()
    better[np.flatnonzero(scores == 0.0)[:1]] = 1.0
    small, large = contender("int8", 20.0, f1=scores), contender("fp32", 80.0, f1=better)
    assert sift([small, large], Budget()) == [small, large]


def test_of_two_that_answer_alike_the_larger_leaves():
    small, large = (contender(name, mb, f1=right(0.7)) for name, mb in (("a", 20.0), ("b", 80.0)))
    assert sift([large, small], Budget()) == [small]


def test_of_two_that_weigh_and_answer_alike_both_stay():
    ones = [contender(name, 20.0, f1=right(0.7)) for name in ("a", "b")]
    assert sift(ones, Budget()) == ones


def test_whoever_may_not_keep_the_budget_replaces_nobody():
    large = contender("fp32", 80.0, f1=0.7, p90=50.0)
    small = contender("int8", 20.0, f1=0.7, p90=90.0)
    assert replaces(small, large, Budget())
    assert not replaces(small, large, Budget(max_mb=10.0))
    assert not replaces(small, large, Budget(max_p90_ms=60.0))
    untimed = contender("int8", 20.0, f1=0.7)
    assert not replaces(untimed, large, Budget(max_p90_ms=60.0))
    # It has the higher score, and may lose too much against its own checkpoint all the same.
    other = contender("int8", 20.0, model="other", f1=0.75, own=0.9)
    assert replaces(other, large, Budget())
    assert not replaces(other, large, Budget(max_f1_drop=1.0))
    assert not replaces(large, small, Budget())


steps = st.integers(0, 4).map(lambda step: step / 4)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(steps, st.integers(1, 6)), min_size=1, max_size=6),
    st.sampled_from([None, 0.0, 25.0]),
    st.sampled_from([None, 3.0]),
)
def test_without_noise_the_race_ends_as_if_all_were_asked_everything(candidates, drop, mb):
    budget = Budget(max_f1_drop=drop, max_mb=mb)
    ones = [contender(f"s{place}", size) for place, (_, size) in enumerate(candidates)]
    scores = {one: score for one, (score, _) in zip(ones, candidates, strict=True)}
    chosen, asked = run(ones, scores, budget, own=0.75)
    whole = [
        contender(f"s{place}", size, f1=score, own=0.75)
        for place, (score, size) in enumerate(candidates)
    ]
    expected = choose(fitting(whole, budget))
    if expected is None:
        assert chosen is None
    else:
        assert (chosen.score, chosen.bytes) == (expected.score, expected.bytes)
    assert all(one.outcome != "open" for one in ones)
    sizes = [one.bytes for one, count in asked if count == COUNT]
    assert mb is None or all(size <= mb * 1e6 for size in sizes), "too large, and asked everything"


@pytest.mark.parametrize("seed", range(4))
def test_with_noise_the_best_by_far_is_never_dropped(seed):
    chance = np.random.default_rng(seed)
    ones = [contender(f"s{place}", mb) for place, mb in enumerate((80.0, 40.0, 20.0, 10.0, 5.0))]
    shares = (0.62, 0.6, 0.9, 0.55, 0.5)
    scores = {
        one: (chance.random(COUNT) < share).astype(np.float64)
        for one, share in zip(ones, shares, strict=True)
    }
    chosen, asked = run(ones, scores, Budget())
    assert chosen is ones[2]
    # Those that weigh more and answer worse did not have to answer everything.
    assert {one for one, count in asked if count == COUNT} <= set(ones[2:])


def test_one_that_left_for_somebody_who_does_not_fit_comes_back():
    """int8 is right wherever fp32 is on the first questions, and wrong on others."""
    own = right(0.8)
    lossy = own.copy()
    later = [place for place in np.flatnonzero(own == 1.0) if place % 2]
    lossy[later[:20]] = 0.0
    ones = [contender(name, mb) for name, mb in (("fp32", 80.0), ("fp16", 40.0), ("int8", 20.0))]
    scores = dict(zip(ones, (own, own, lossy), strict=True))
    chosen, _ = run(ones, scores, Budget(max_f1_drop=1.0), own=own)
    assert chosen is ones[1]
    assert [one.outcome for one in ones] == ["dropped", "chosen", "dropped"]
    assert "loses" in ones[2].reason
    assert "fp16" in ones[0].reason


@pytest.mark.parametrize("budget", [Budget(), Budget(max_f1_drop=10.0)])
@pytest.mark.parametrize("lost", [5, 20])
def test_who_is_better_on_later_questions_alone_is_still_there(budget, lost):
    """On the first 30 and 60 both answer alike, or the smaller has lost nothing yet."""
    own = right(0.8)
    lossy = own.copy()
    lossy[[place for place in np.flatnonzero(own == 1.0) if place % 4][:lost]] = 0.0
    large, small = contender("fp32", 80.0), contender("int8", 20.0)
    chosen, asked = run([large, small], {large: own, small: lossy}, budget, own=own)
    whole = [contender("fp32", 80.0, f1=own, own=own), contender("int8", 20.0, f1=lossy, own=own)]
    assert choose(fitting(whole, budget)) is whole[0], "the smaller is clearly worse"
    assert chosen is large
    assert COUNT in [count for one, count in asked if one is large]


def test_who_was_never_better_may_be_on_what_is_left():
    lossy = right(0.7, 39)
    small = contender("int8", 20.0, f1=lossy, count=39)
    worse = lossy.copy()
    worse[np.flatnonzero(lossy == 1.0)[:1]] = 0.0
    large = contender("fp32", 80.0, f1=worse, count=39)
    assert replaces(small, large, Budget())
    assert not replaces(small, large, Budget(), left=273)
    hopeless = contender("fp32", 80.0, f1=0.0, count=39)
    assert replaces(small, hopeless, Budget(), left=273)


def test_times_are_a_budget_after_the_first_questions_and_asked_once():
    slow, fast = contender("fp32", 80.0), contender("int8", 20.0)
    scores = {slow: right(0.9), fast: right(0.7)}
    times = {slow: (100.0, 90.0, 120.0), fast: 40.0}
    chosen, asked = run([slow, fast], scores, Budget(max_p90_ms=60.0), times=times)
    assert chosen is fast
    assert slow.outcome == "dropped"
    assert "too slow" in slow.reason
    assert [count for one, count in asked if one is slow] == [30]


def test_what_cannot_be_timed_does_not_fit_a_budget_of_time():
    one = contender("int8", 20.0)
    chosen, _ = run([one], {one: right(0.7)}, Budget(max_p90_ms=60.0))
    assert chosen is None
    assert one.outcome == "missed"
    assert "--max-p90-ms is not run: nobody has a clock" in one.reason


def test_where_all_are_too_large_the_smallest_are_asked_a_little():
    ones = [contender(f"s{mb}", mb) for mb in (80.0, 40.0, 20.0, 11.0)]
    chosen, asked = run(ones, dict.fromkeys(ones, right(0.7)), Budget(max_mb=10.0))
    assert chosen is None
    assert [one.outcome for one in ones] == ["missed"] * 4
    assert [(one.candidate.scheme, count) for one, count in asked] == [
        ("s11.0", 30),
        ("s20.0", 30),
        ("s40.0", 30),
    ]


def test_what_was_set_aside_is_built_only_where_nothing_fits():
    small, large = contender("pal4", 9.0), contender("int8", None)
    for scores, built in (({small: right(0.8)}, False), ({small: np.zeros(COUNT)}, True)):
        small.come_back()
        small.figures = None
        large.estimated = 20_000_000
        large.leave("missed", "about 20.0 MB: too large, and not built")
        budget = Budget(max_mb=10.0, max_f1_drop=1.0)
        run([small, large], scores | {large: right(0.8)}, budget, own=right(0.8))
        assert (large.bytes is not None, large.figures is not None) == (built, built)
        assert large.outcome == "missed"
    assert large.reason == "10.00 MB too large"


def test_of_what_was_set_aside_the_smallest_schemes_are_built():
    """Each of them beside itself with parts in more bits, which is no smaller."""
    ones = []
    for mb in (40.0, 12.0, 20.0, 11.0):
        for variant in ("", "keep"):
            one = contender(f"s{mb}", None)
            one.candidate = dataclasses.replace(one.candidate, variant=variant)
            one.estimated = int(mb * 1e6)
            one.leave("missed", "set aside")
            ones.append(one)
    chosen, asked = run(ones, dict.fromkeys(ones, right(0.7)), Budget(max_mb=10.0))
    assert chosen is None
    assert [one.candidate.label.split()[1] for one, _ in asked] == ["s11.0", "s12.0", "s20.0"]
    assert {one.outcome for one in ones} == {"missed"}


def test_what_was_set_aside_and_fits_after_all_is_chosen():
    one = contender("int4", None)
    one.estimated = 11_000_000
    one.leave("missed", "set aside")
    scores = {one: right(0.8)}

    def build(waiting):
        for each_one in waiting:
            each_one.bytes = 9_000_000

    chosen, _ = run([one], scores, Budget(max_mb=10.0), build=build)
    assert chosen is one
    assert one.outcome == "chosen"


def test_what_was_set_aside_and_cannot_be_built_is_a_failed_row():
    one = contender("int4", None)
    one.estimated = 11_000_000
    one.leave("missed", "set aside")
    chosen, asked = run(
        [one], {}, Budget(max_mb=10.0), build=lambda waiting: waiting[0].leave("failed", "broke")
    )
    assert (chosen, asked) == (None, [])
    assert (one.outcome, one.reason) == ("failed", "broke")


def test_where_nothing_fits_it_is_known_what_a_larger_budget_would_buy():
    small, large = contender("pal4", 9.0), contender("int4", 11.0)
    own = right(0.8)
    scores = {small: np.zeros(COUNT), large: own}
    chosen, _ = run([small, large], scores, Budget(max_mb=10.0, max_f1_drop=1.0), own=own)
    assert chosen is None
    assert (small.outcome, large.outcome) == ("dropped", "missed")
    assert len(large.figures.f1) == 30
    assert large.figures.drop.value == 0.0


def test_failed_candidates_are_asked_nothing_and_keep_their_reason():
    good, failed = contender("int8"), contender("int4", None)
    failed.leave("failed", "no lowering")
    chosen, asked = run([failed, good], {good: right(0.7)}, Budget())
    assert chosen is good
    assert (failed.outcome, failed.reason) == ("failed", "no lowering")
    assert {one for one, _ in asked} == {good}


def test_one_that_breaks_half_way_is_a_failed_row():
    good, breaks = contender("int8"), contender("fp32", 80.0)

    def ask(one, questions):
        if one is breaks and len(questions) > 30:
            one.leave("failed", "logits are not finite")
        else:
            give(one, each(0.9 if one is breaks else 0.5, len(questions)), count=len(questions))

    def time(one):
        one.untimed = "nobody has a clock"

    assert race([good, breaks], examples(), Budget(), ask, time, list, quiet()) is good
    assert (breaks.outcome, breaks.reason) == ("failed", "logits are not finite")
