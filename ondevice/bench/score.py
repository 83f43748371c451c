"""Score: what the artifact's own answers are worth, and what is left of the teacher's score.

The answers come from the runtime that was timed. Teacher and artifact answer the same questions,
so retention and drop are paired: each bootstrap round draws questions once for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ondevice.bench.parts import DataInfo, QuestionScores, ScoreInfo
from ondevice.errors import DataError
from ondevice.statistics import Interval
from ondevice.tasks import qa, qa_scores
from ondevice.tasks.qa_scores import Answered

# F1 of single questions is kept with so many decimals.
DECIMALS = 6


@dataclass(frozen=True)
class ScoreSummary:
    """What a table shows of a score; percent, with 95 % intervals.

    Attributes:
        f1: None if the source has none.
        retention: the artifact's F1 in percent of the teacher's; None without a teacher.
    """

    f1: Interval | None
    retention: Interval | None = None


def score_questions(
    answers: Mapping[str, Answered], examples: Sequence[qa.QAExample]
) -> QuestionScores:
    """Score answers (by question id) against the humans' of the examples, in their order.

    Raises:
        DataError: a question has no answer, or there are no questions.
    """
    scored = qa_scores.score_answers(answers, examples)
    return QuestionScores.model_validate(
        {
            "em": tuple(int(value) for value in scored.em),
            "f1": tuple(round(float(value), DECIMALS) for value in scored.f1),
            "spans": scored.places,
        }
    )


def make_score(
    data: DataInfo,
    examples: Sequence[qa.QAExample],
    answers: Mapping[str, Answered],
    *,
    teacher_name: str = "",
    teacher_sha256: str | None = None,
    teacher_answers: Mapping[str, Answered] | None = None,
) -> ScoreInfo:
    """Return the scores of an artifact's answers, beside the teacher's if there are any.

    Raises:
        DataError: a question has no answer, or there are no questions.
    """
    teacher = None if teacher_answers is None else score_questions(teacher_answers, examples)
    return ScoreInfo(
        data=data,
        ids=tuple(example.id for example in examples),
        artifact=score_questions(answers, examples),
        teacher_name=teacher_name if teacher else "",
        teacher_sha256=teacher_sha256 if teacher else None,
        teacher=teacher,
    )


def summarize_score(score: ScoreInfo, *, seed: int = 0) -> ScoreSummary:
    """Derive what is shown from the questions' scores.

    Raises:
        DataError: there are no questions.
    """
    if score.artifact is None:
        return ScoreSummary(_reported(score.reported_f1))
    if not score.ids:
        raise DataError("a score needs at least one question")
    f1 = np.asarray(score.artifact.f1, np.float64)
    own = qa_scores.mean(f1, seed=seed)
    if score.teacher is None:
        return ScoreSummary(own)
    teacher_f1 = np.asarray(score.teacher.f1, np.float64)
    return ScoreSummary(own, qa_scores.retention(f1, teacher_f1, seed=seed))


def _reported(value: float | None) -> Interval | None:
    """Return a figure of someone else: nobody knows its interval."""
    return None if value is None else Interval(value, float("nan"), float("nan"))
