"""Score: what the artifact's own answers are worth, and what is left of the teacher's score.

The answers come from the runtime that was timed. Teacher and artifact answer the same questions,
so retention and drop are paired: each bootstrap round draws questions once for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
        count: questions; 0 where the source gives only the score itself.
        em: None if the source has none.
        retention: the artifact's F1 in percent of the teacher's; None without a teacher.
        drop: the teacher's F1 minus the artifact's, in points.
        flips: percent of the questions with another answer than the teacher's, right or wrong.
    """

    count: int
    em: Interval | None
    f1: Interval | None
    retention: Interval | None = None
    drop: Interval | None = None
    flips: float | None = None


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
        return ScoreSummary(0, _reported(score.reported_em), _reported(score.reported_f1))
    size = len(score.ids)
    if not size:
        raise DataError("a score needs at least one question")
    em, f1 = (np.asarray(each, np.float64) for each in (score.artifact.em, score.artifact.f1))
    own = ScoreSummary(size, qa_scores.mean(em, seed=seed), qa_scores.mean(f1, seed=seed))
    if score.teacher is None:
        return own
    teacher_f1 = np.asarray(score.teacher.f1, np.float64)
    return replace(
        own,
        retention=qa_scores.retention(f1, teacher_f1, seed=seed),
        drop=qa_scores.drop(f1, teacher_f1, seed=seed),
        flips=qa_scores.percent(qa_scores.flipped(score.artifact.spans, score.teacher.spans)),
    )


def _reported(value: float | None) -> Interval | None:
    """Return a figure of someone else: nobody knows its interval."""
    return None if value is None else Interval(value, float("nan"), float("nan"))
