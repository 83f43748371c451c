"""What takes part in a search, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ondevice import statistics
from ondevice.keeping import MB
from ondevice.plan import BuildOptions
from ondevice.statistics import Interval, mean_of
from ondevice.tasks import qa_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.manifest import Evidence
    from ondevice.statistics import Array
    from ondevice.tasks.qa import QAExample
    from ondevice.tasks.qa_scores import Answered

# open: still in the race. dropped: left after a share of the questions (which may be all of them),
# as it clearly misses the budget or another takes its place. missed: does not fit, by its size or
# as it was judged in the end. failed: there is no artifact, or it cannot be run. not run: something
# is lacking here, which says nothing about it.
Outcome = Literal["open", "chosen", "fits", "missed", "dropped", "failed", "not run"]


@dataclass(frozen=True)
class Candidate:
    """One artifact that could be built.

    Attributes:
        model: what tables call its checkpoint; one name for each checkpoint of a search.
        lengths: the sequence lengths that it serves.
        variant: what sets it apart from others of its model, target, scheme and lengths; empty
            for the scheme as it is.
        options: how it is built: one target and one scheme.
    """

    model: str
    target: str
    scheme: str
    lengths: tuple[int, ...]
    options: BuildOptions
    variant: str = ""

    @property
    def label(self) -> str:
        """Its name in tables and pictures, within its target."""
        lengths = ",".join(map(str, self.lengths))
        return " ".join(filter(None, (self.model, self.scheme, self.variant, f"L{lengths}")))


@dataclass(frozen=True, eq=False)
class Figures:
    """A candidate's answers to N questions, scored beside its checkpoint's and the teacher's.

    Intervals are bootstrapped when they are asked for: most rungs need one of them or two.

    Attributes:
        f1: token F1 of each question, 0 to 1 [N].
        em: 1.0 where the answer matches a human's [N].
        flipped: whether the answer is another than the checkpoint's, right or wrong [N].
        own_f1: the checkpoint's F1 [N].
        teacher_f1: the teacher's [N]; None without one.
    """

    f1: Array
    em: Array
    flipped: NDArray[np.bool_]
    own_f1: Array
    teacher_f1: Array | None = None

    @cached_property
    def score(self) -> Interval:
        """F1 in percent."""
        return qa_scores.mean(self.f1)

    @cached_property
    def exact(self) -> Interval:
        """Exact match in percent."""
        return qa_scores.mean(self.em)

    @cached_property
    def drop(self) -> Interval:
        """Points of F1 below the checkpoint's, paired."""
        return qa_scores.drop(self.f1, self.own_f1)

    @cached_property
    def kept(self) -> Interval:
        """Percent of the checkpoint's F1, paired; NaN where that scores 0."""
        return qa_scores.retention(self.f1, self.own_f1)

    @property
    def lost(self) -> float:
        """The points of the drop, without their interval."""
        return 100.0 * float(self.own_f1.mean()) - 100.0 * float(self.f1.mean())

    @cached_property
    def flips(self) -> Interval:
        """Percent of the answers that are others than the checkpoint's."""
        return qa_scores.mean(self.flipped.astype(np.float64))

    @cached_property
    def retention(self) -> Interval | None:
        """Percent of the teacher's F1, paired; NaN where the teacher scores 0."""
        teacher = self.teacher_f1
        return None if teacher is None else qa_scores.retention(self.f1, teacher)


def compare(
    answers: Mapping[str, Answered],
    own: Mapping[str, Answered],
    teacher: Mapping[str, Answered] | None,
    examples: Sequence[QAExample],
) -> Figures:
    """Score a candidate's answers (by question id) on the examples.

    Raises:
        DataError: a question has no answer, or there are no questions.
    """
    mine, theirs = (qa_scores.score_answers(one, examples) for one in (answers, own))
    return Figures(
        f1=mine.f1,
        em=mine.em,
        flipped=qa_scores.flipped(mine.places, theirs.places),
        own_f1=theirs.f1,
        teacher_f1=None if teacher is None else qa_scores.score_answers(teacher, examples).f1,
    )


@dataclass(frozen=True)
class Times:
    """How long an answer takes on this machine, from text, in ms.

    Attributes:
        length: of the one window that is run again and again; None where each of the data's
            questions was timed once, with all of its windows at the lengths that they fit.
    """

    length: int | None
    median: Interval
    p90: Interval


@dataclass(eq=False)
class Contender:
    """A candidate, and what was found out about it so far.

    Attributes:
        place: its bundle; None before it is built, and where that failed.
        bytes: of the artifact.
        estimated: its bytes beforehand, where it was set aside as too large.
        needs: the oldest version of each runtime that loads it.
        evidence: where its answers come from: this machine's runtime, the format's interpreter.
        runtime: what answered, with its version.
        untimed: why there are no times; empty where nobody asked for them yet.
        reason: what is to be said of its outcome.
        replaced_by: for whose sake it was dropped; None if it was for its own figures.
    """

    candidate: Candidate
    place: Path | None = None
    bytes: int | None = None
    estimated: int | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    figures: Figures | None = None
    times: Times | None = None
    evidence: Evidence = "not run"
    runtime: str = ""
    untimed: str = ""
    outcome: Outcome = "open"
    reason: str = ""
    replaced_by: Contender | None = None

    @property
    def megabytes(self) -> float | None:
        """The size of its artifact in 10^6 bytes; None where there is none."""
        return None if self.bytes is None else self.bytes / MB

    @property
    def score(self) -> float:
        """Its F1 in percent; it must have figures."""
        assert self.figures is not None
        return 100.0 * float(self.figures.f1.mean())

    def leave(self, outcome: Outcome, reason: str) -> None:
        """Take no further part."""
        self.outcome, self.reason = outcome, reason

    def come_back(self) -> None:
        """Take part again."""
        self.outcome, self.reason, self.replaced_by = "open", "", None


# Sizes that differ by less are one size: a name in a graph is longer, an alignment another.
SAME_SIZE = 0.01


def alike(one: Contender, other: Contender) -> bool:
    """Tell whether two artifacts are of one size, as far as anybody cares."""
    assert one.bytes is not None
    assert other.bytes is not None
    return max(one.bytes, other.bytes) <= (1 + SAME_SIZE) * min(one.bytes, other.bytes)


def gain(one: Contender, other: Contender, level: float = statistics.LEVEL) -> Interval:
    """Return by how many points of F1 `one` is above `other`, paired: same questions.

    Both must have figures, of the same questions.
    """
    assert one.figures is not None
    assert other.figures is not None
    mine, theirs = one.figures.f1, other.figures.f1
    return statistics.difference(mean_of(mine), mean_of(theirs), len(mine), level=level)
