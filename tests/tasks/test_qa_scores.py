"""What the task gate, the benchmark and the report say of answers, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ondevice.errors import DataError
from ondevice.tasks import qa_scores
from ondevice.tasks.qa import Gold, QAExample

CONTEXT = "the red river is long"
EXAMPLES = [
    QAExample("a", "which?", CONTEXT, (Gold("red river", 4),)),
    QAExample("b", "how?", CONTEXT, (Gold("long", 17),)),
]


def test_scores_stand_in_the_order_of_the_questions() -> None:
    found = qa_scores.score_answers({"b": ("long", (17, 21)), "a": ("river", (8, 13))}, EXAMPLES)
    assert found.em.tolist() == [0.0, 1.0]
    assert found.f1.tolist() == [pytest.approx(2 / 3), 1.0]
    assert found.places == ((8, 13), (17, 21))
    assert qa_scores.mean(found.em).value == 50.0


def test_a_question_without_an_answer_is_an_error() -> None:
    with pytest.raises(DataError, match="have no prediction, the first is 'b'"):
        qa_scores.score_answers({"a": ("river", (8, 13))}, EXAMPLES)


def test_what_is_left_of_a_teacher() -> None:
    teacher, student = np.array([1.0, 0.5, 0.5]), np.array([0.5, 0.5, 0.5])
    assert qa_scores.retention(student, teacher).value == pytest.approx(75.0)
    assert qa_scores.drop(student, teacher).value == pytest.approx(100.0 / 6)
    assert qa_scores.drop(student, teacher).low >= 0.0


def test_an_answer_at_another_place_is_another_answer() -> None:
    flips = qa_scores.flipped([(0, 3), (4, 7), (1, 2)], [(0, 3), (8, 11), (1, 3)])
    assert flips.tolist() == [False, True, True]
    assert qa_scores.percent(flips) == pytest.approx(200.0 / 3)
