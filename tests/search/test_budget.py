"""Budgets: what is refused, what is missed and by how much, what is only noise."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.errors import UserError
from ondevice.search.budget import Budget, check_retention, clear_misses, misses, unproven
from tests.search.made import contender, right


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"max_mb": 0.0}, "--max-mb must be above 0, not 0"),
        ({"max_mb": -3.0}, "--max-mb must be above 0, not -3"),
        ({"max_mb": float("inf")}, "--max-mb must be above 0, not inf"),
        ({"max_f1_drop": -0.5}, "--max-f1-drop must be from 0 to 100, not -0.5"),
        ({"max_f1_drop": float("nan")}, "--max-f1-drop must be from 0 to 100, not nan"),
        ({"max_p90_ms": 0.0}, "--max-p90-ms must be above 0"),
        ({"min_retention": 100.5}, "--min-retention must be above 0 and at most 100, not 100.5"),
        ({"min_retention": 0.0}, "--min-retention must be above 0"),
    ],
)
def test_what_nothing_could_fit_is_refused(budget, words):
    with pytest.raises(UserError, match=words):
        Budget(**budget).check()


def test_a_retention_that_the_checkpoint_itself_misses_is_refused():
    own = contender("fp32", f1=right(0.5), teacher=np.ones(240)).figures
    near = contender("fp32", f1=right(0.89), teacher=np.ones(240)).figures
    budget = Budget(min_retention=90.0)
    words = (
        r"--min-retention 90 is more than is there before .*: a retains 50\.0 % of the teacher's"
    )
    with pytest.raises(UserError, match=words):
        check_retention(budget, {"a": own})
    # Rounding may bring a question or two; and another may do.
    check_retention(budget, {"a": near})
    check_retention(budget, {"a": own, "b": near})
    check_retention(Budget(), {"a": own})
    check_retention(budget, {})


def test_every_bound_itself_may_be_asked_for():
    Budget(max_mb=0.1, max_f1_drop=0.0, max_p90_ms=0.1, min_retention=100.0).check()
    Budget().check()


def test_misses_are_counted_in_each_budget_s_unit():
    one = contender("int4", 12.5, f1=0.60, own=0.70, teacher=0.80, p90=90.0)
    budget = Budget(max_mb=10.0, max_f1_drop=2.0, max_p90_ms=60.0, min_retention=95.0)
    found = {miss.budget: miss for miss in misses(one, budget)}
    assert found["max_mb"].by == pytest.approx(2.5)
    assert found["max_mb"].share == pytest.approx(0.25)
    assert found["max_f1_drop"].by == pytest.approx(8.0)
    assert found["max_f1_drop"].share == pytest.approx(4.0)
    assert found["max_p90_ms"].by == pytest.approx(30.0)
    assert found["min_retention"].by == pytest.approx(20.0)
    assert found["min_retention"].share == pytest.approx(4.0)
    assert "2.50 MB too large" in found["max_mb"].words
    assert "8.00 points of F1" in found["max_f1_drop"].words


def test_a_figure_at_the_limit_fits():
    one = contender("int8", 10.0, f1=0.5, own=0.75, p90=60.0)
    budget = Budget(max_mb=10.0, max_f1_drop=25.0, max_p90_ms=60.0)
    assert misses(one, budget) == []
    assert unproven(one, budget) == []


def test_what_was_not_measured_is_no_miss_and_no_proof():
    one = contender("int8", 10.0)
    budget = Budget(max_mb=10.0, max_f1_drop=1.0, max_p90_ms=60.0, min_retention=90.0)
    assert misses(one, budget) == []
    assert unproven(one, budget) == ["max_p90_ms", "max_f1_drop", "min_retention"]


def test_a_teacher_that_scores_nothing_proves_no_retention():
    one = contender("int8", f1=0.5, teacher=0.0)
    (miss,) = misses(one, Budget(min_retention=90.0))
    assert miss.by == 90.0


def test_a_drop_within_the_noise_is_no_clear_miss():
    own = right(0.7)
    worse = own.copy()
    worse[np.flatnonzero(own == 1.0)[:2]] = 0.0
    slightly = contender("int8", f1=worse, own=own)
    assert slightly.figures.drop.value > 0.5
    assert misses(slightly, Budget(max_f1_drop=0.5))
    assert clear_misses(slightly, Budget(max_f1_drop=0.5)) == []
    worse[np.flatnonzero(own == 1.0)[:40]] = 0.0
    clearly = contender("int4", f1=worse, own=own)
    assert [miss.budget for miss in clear_misses(clearly, Budget(max_f1_drop=0.5))] == [
        "max_f1_drop"
    ]


def test_retention_and_times_miss_clearly_only_outside_their_intervals():
    budget = Budget(max_p90_ms=60.0, min_retention=90.0)
    teacher = right(0.8)
    near = teacher.copy()
    near[np.flatnonzero(teacher == 1.0)[:22]] = 0.0
    noisy = contender("int8", f1=near, teacher=teacher, p90=(65.0, 55.0, 80.0))
    assert {miss.budget for miss in misses(noisy, budget)} == {"max_p90_ms", "min_retention"}
    assert clear_misses(noisy, budget) == []
    near[np.flatnonzero(teacher == 1.0)[:80]] = 0.0
    clear = contender("int8", f1=near, teacher=teacher, p90=(65.0, 61.0, 80.0))
    assert {miss.budget for miss in clear_misses(clear, budget)} == {
        "max_p90_ms",
        "min_retention",
    }
