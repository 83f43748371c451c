"""What to search over, in the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ondevice.models import DEFAULT_MODEL
from ondevice.search.budget import Budget

DEFAULT_OUT = Path("search")
# The reference interpreter takes several times as long as a runtime, and has most of the schemes,
# so it is asked no more than this.
REFERENCE_QUESTIONS = 400
# What else than the schemes as they are is considered.
AUTO, NONE = KEEPS = ("auto", "none")


@dataclass(frozen=True)
class SearchOptions:
    """What to search over.

    Attributes:
        models: embedded names, directories or hub ids; students of several layers are several.
        targets: names of targets, ``all`` for every one; the best is chosen for each.
        schemes: which to consider; None for all that the targets have.
        lengths: sets of lengths, each an alternative; empty for the task's default.
        teacher: of the retention; None for the embedded one where a model is its student.
        data: questions with answers (SQuAD JSON); None for the project's samples.
        questions: at most so many of them, at even distances, 0 for all; None for all on a runtime
            and :data:`REFERENCE_QUESTIONS` in the reference interpreter.
        calibration: texts for schemes that look at some, and for what is kept in more bits; None
            for the samples.
        keep: ``auto`` to consider each scheme that rounds weights (but int8-static, which loses in
            its activations) also with parts in more bits, as many as the budget has room for;
            ``none`` for schemes as they are.
        ios: the oldest iOS that Core ML artifacts must load on; None lets the target choose.
        out: where bundles, answers and results are kept.
        retry_failed: build also what failed before.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    targets: tuple[str, ...] = ("coreml",)
    schemes: tuple[str, ...] | None = None
    lengths: tuple[tuple[int, ...], ...] = ()
    teacher: str | None = None
    data: Path | None = None
    questions: int | None = None
    calibration: Path | None = None
    keep: str = AUTO
    ios: int | None = None
    budget: Budget = field(default_factory=Budget)
    out: Path = DEFAULT_OUT
    retry_failed: bool = False
