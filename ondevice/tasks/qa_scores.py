"""Scores of answers to questions: EM and F1, what is left of a teacher's, which answers changed.

The task gate, the benchmark and the report take all of these from here. Scores are in percent,
with intervals over the questions; teacher and student answer the same ones, so that what compares
them is paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondevice import statistics
from ondevice.statistics import Array, Interval, mean_of
from ondevice.tasks import qa

# Code points [start, end) of an answer in its context.
Place = tuple[int, int]
# An answer's text and its place.
Answered = tuple[str, Place]


@dataclass(frozen=True)
class AnswerScores:
    """Each question's own scores, in the order of the questions.

    Attributes:
        em: 1.0 where the answer matches a human's, else 0.0 [N].
        f1: token F1, 0 to 1 [N].
        places: of the answers.
    """

    em: Array
    f1: Array
    places: tuple[Place, ...]


def score_answers(
    answers: Mapping[str, Answered], examples: Sequence[qa.QAExample]
) -> AnswerScores:
    """Score answers (by question id) against the humans' of the examples.

    Raises:
        DataError: a question has no answer, or there are no questions.
    """
    scored = qa.score({name: text for name, (text, _) in answers.items()}, examples)
    places = tuple(answers[example.id][1] for example in examples)
    return AnswerScores(scored.em_each, scored.f1_each, places)


def mean(each: Array, *, seed: int = 0) -> Interval:
    """Return the mean of the questions' EM or F1.

    Raises:
        DataError: there are no questions.
    """
    return statistics.interval(mean_of(each), len(each), seed=seed)


def retention(f1: Array, teacher_f1: Array, *, seed: int = 0) -> Interval:
    """Return F1 in percent of the teacher's; NaN for a teacher that scores 0."""
    return statistics.retention(mean_of(f1), mean_of(teacher_f1), len(f1), seed=seed)


def drop(f1: Array, teacher_f1: Array, *, seed: int = 0) -> Interval:
    """Return the teacher's F1 minus this one, in points."""
    return statistics.difference(mean_of(teacher_f1), mean_of(f1), len(f1), seed=seed)


def flipped(places: Sequence[Place], teacher_places: Sequence[Place]) -> NDArray[np.bool_]:
    """Return for each question whether the answer is another than the teacher's, right or wrong."""
    pairs = zip(places, teacher_places, strict=True)
    return np.asarray([own != theirs for own, theirs in pairs], np.bool_)


def percent(flips: NDArray[np.bool_]) -> float:
    """Return the share of answers that are others."""
    return 100.0 * float(flips.mean())
