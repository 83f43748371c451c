"""What an artifact scored, beside its teacher, with intervals over the questions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ondevice.bench.parts import ScoreInfo
from ondevice.report.text import clean
from ondevice.statistics import Array, Interval
from ondevice.tasks import qa_scores


@dataclass(frozen=True)
class Score:
    """The score of one document, in percent.

    Attributes:
        questions: how many were asked; 0 where the source gave figures only.
        ids: hash of the questions' ids in their order.
        f1: each question's own, 0 to 1; empty where figures only were given.
        teacher_f1: the teacher's to the same questions.
        flips: percent of the answers that differ from the teacher's.
    """

    data: str
    data_sha256: str
    questions: int
    ids: bytes
    f1: Array
    em: Array
    teacher_f1: Array | None
    flips: float | None
    reported_f1: float | None
    reported_em: float | None

    @cached_property
    def f1_interval(self) -> Interval | None:
        """F1 with its bootstrap interval; None where figures only were given."""
        return qa_scores.mean(self.f1) if len(self.f1) else None

    @cached_property
    def em_interval(self) -> Interval | None:
        """Exact match with its bootstrap interval."""
        return qa_scores.mean(self.em) if len(self.em) else None

    @cached_property
    def retention(self) -> Interval | None:
        """F1 in percent of the teacher's, with its paired bootstrap interval."""
        if self.teacher_f1 is None or not self.teacher_f1.any():
            return None
        return qa_scores.retention(self.f1, self.teacher_f1)

    @property
    def value(self) -> float | None:
        """F1, by question or as reported."""
        return 100.0 * float(self.f1.mean()) if len(self.f1) else self.reported_f1

    def same_questions(self, other: Score) -> bool:
        """Whether both answered the same questions of the same file."""
        mine, theirs = (self.data_sha256, self.ids), (other.data_sha256, other.ids)
        return self.questions > 0 and mine == theirs


def read_score(info: ScoreInfo) -> Score:
    """Return the score that a document holds."""
    own, teacher = info.artifact, info.teacher
    flips = None
    if own is not None and teacher is not None:
        flips = qa_scores.percent(qa_scores.flipped(own.spans, teacher.spans))
    return Score(
        data=clean(info.data.name) if info.data else "",
        data_sha256=info.data.sha256 if info.data else "",
        questions=len(info.ids),
        ids=hashlib.sha256("\0".join(info.ids).encode("utf-8", "replace")).digest(),
        f1=np.asarray(own.f1 if own else (), np.float64),
        em=np.asarray(own.em if own else (), np.float64),
        teacher_f1=None if teacher is None else np.asarray(teacher.f1, np.float64),
        flips=flips,
        reported_f1=info.reported_f1,
        reported_em=info.reported_em,
    )


def f1_change(new: Score, old: Score) -> Interval | None:
    """Return new F1 over old F1, with its interval: paired where the questions are the same.

    None where either gave figures only, or the old one is 0.
    """
    if not (new.questions and old.questions and old.f1.any()):
        return None
    if new.same_questions(old):
        return qa_scores.retention(new.f1, old.f1) / 100
    return None
