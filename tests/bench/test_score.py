"""Scores of an artifact beside its teacher's, counted by hand and by a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ondevice.bench.parts import DataInfo, ScoreInfo
from ondevice.bench.score import make_score, score_questions, summarize_score
from ondevice.errors import DataError
from ondevice.tasks.qa import Gold, QAExample

CONTEXT = "The red river of the north is long"


def example(number, *golds):
    return QAExample(
        f"q{number}", "which?", CONTEXT, tuple(Gold(g, CONTEXT.index(g)) for g in golds)
    )


EXAMPLES = [
    example(0, "red river"),
    example(1, "north"),
    example(2, "long"),
    example(3),  # has no answer
    example(4, "river", "red river"),
]
TEACHER = {
    "q0": ("red river", (4, 13)),
    "q1": ("the north", (17, 26)),
    "q2": ("long", (30, 34)),
    "q3": ("", (0, 0)),
    "q4": ("river", (8, 13)),
}
STUDENT = {
    "q0": ("river", (8, 13)),  # F1 2/3
    "q1": ("north", (21, 26)),  # another span, as right as the teacher's
    "q2": ("red", (4, 7)),  # wrong
    "q3": ("", (0, 0)),
    "q4": ("red river", (4, 13)),  # another of the humans' answers
}


def data(count=5):
    return DataInfo(name="dev.json", sha256="0" * 64, questions=count)


def test_each_question_s_score_is_kept_in_the_order_of_the_file():
    found = score_questions(STUDENT, EXAMPLES)
    assert found.em == (0, 1, 0, 1, 1)
    assert found.f1 == (0.666667, 1.0, 0.0, 1.0, 1.0)
    assert found.spans == ((8, 13), (21, 26), (4, 7), (0, 0), (4, 13))


def test_what_is_shown_is_counted_by_hand():
    score = make_score(data(), EXAMPLES, STUDENT, teacher_name="t", teacher_answers=TEACHER)
    found = summarize_score(score)
    assert found.f1.value == pytest.approx(100 * (2 / 3 + 3) / 5, abs=1e-4)
    assert found.retention.value == pytest.approx(100 * (2 / 3 + 3) / 5, abs=1e-4)


def test_retention_is_a_paired_bootstrap():
    draw = np.random.default_rng(5)
    size = 40
    teacher = draw.random(size)
    student = np.round(teacher * 0.9, 6)
    columns = {"em": (0,) * size, "spans": ((0, 1),) * size}
    score = ScoreInfo.model_validate(
        {
            "data": data(size),
            "ids": tuple(map(str, range(size))),
            "artifact": {**columns, "f1": tuple(map(float, student))},
            "teacher": {**columns, "f1": tuple(map(float, teacher))},
        }
    )
    found = summarize_score(score)
    # Every question keeps nine tenths: paired, there is no doubt about the share.
    assert found.retention.low == pytest.approx(90, abs=1e-3)
    assert found.retention.high == pytest.approx(90, abs=1e-3)
    assert found.f1.high - found.f1.low > 5
    rounds = np.random.default_rng(0)
    means = [100 * student[rounds.integers(size, size=size)].mean() for _ in range(1000)]
    assert (found.f1.low, found.f1.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_without_a_teacher_nothing_is_retained():
    found = summarize_score(make_score(data(), EXAMPLES, STUDENT))
    assert found.retention is None
    assert found.f1 is not None


def test_the_share_of_a_teacher_that_is_always_wrong_is_not_a_number():
    wrong = dict.fromkeys(TEACHER, ("is", (27, 29)))
    score = make_score(data(3), EXAMPLES[:3], STUDENT, teacher_answers=wrong)
    assert math.isnan(summarize_score(score).retention.value)


def test_a_reported_score_has_no_interval():
    found = summarize_score(ScoreInfo(reported_f1=86.9))
    assert (found.f1.value, found.retention) == (86.9, None)
    assert math.isnan(found.f1.low)


def test_a_question_without_an_answer_is_an_error():
    with pytest.raises(DataError, match="have no prediction, the first is 'q4'"):
        score_questions({name: TEACHER[name] for name in ("q0", "q1", "q2", "q3")}, EXAMPLES)
