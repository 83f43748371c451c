"""What the task gate passes, what it fails, and what is too little to say either.

A drop has failed if it is above its limit and its 95 % interval lies above 0: it is there, whatever
questions had been drawn. A drop above the limit whose interval reaches down to 0 proves nothing
either way and is ``not_run``, as is every share and every drop of fewer than :data:`MIN_EXAMPLES`
examples. (Where the limit is itself below 0, a gain is asked for: then the interval must lie above
the limit.) What fails for another reason, an output that is not finite, fails at any number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondevice.tasks import qa_scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.manifest import CheckInfo
    from ondevice.statistics import Interval

# With 30 examples one of them is 3 points; a percentile bootstrap of fewer is too narrow as well.
MIN_EXAMPLES = 30
# The rows of the gate are "task", or "task: " and what was compared.
TASK = "task"


@dataclass(frozen=True)
class GateLimits:
    """The worst that still passes.

    Attributes:
        max_drop: points of F1 (qa, tokens) or accuracy (classify) below the checkpoint's.
        max_flips: percent of the examples that may get another answer.
        min_cosine: the mean cosine similarity to the checkpoint's embeddings.
        min_examples: of fewer, neither drop nor flips are judged.
    """

    max_drop: float
    max_flips: float
    min_cosine: float
    min_examples: int = MIN_EXAMPLES


@dataclass(frozen=True)
class Finding:
    """One figure of the gate; `reason` is why it failed, empty if it passed.

    Attributes:
        ran: False where there was nothing, or too little, to measure it on; `reason` says what
            was lacking.
    """

    check: str
    figure: str
    limit: str
    reason: str = ""
    ran: bool = True


def flips(check: str, flipped: NDArray[np.bool_], examples: int, limits: GateLimits) -> Finding:
    """Judge the share of answers that are others.

    Args:
        check: the row's name.
        flipped: for each answer, whether it is another; more than the examples for words.
        examples: how many texts or questions they come from.
        limits: what passes.
    """
    share = qa_scores.percent(flipped)
    figure = f"{share:.2f} % ({int(flipped.sum())} of {flipped.size})"
    limit = f"≤ {limits.max_flips:g} %"
    if examples < limits.min_examples:
        return _too_few(check, figure, limit, examples, limits)
    reason = "" if share <= limits.max_flips else f"{figure} got another answer, the limit {limit}"
    return Finding(check, figure, limit, reason)


@dataclass(frozen=True)
class Drop:
    """How much of a score is lost.

    Attributes:
        name: of the score.
        before: the checkpoint's score, in percent.
        points: lost, with the interval.
        examples: that were scored.
    """

    name: str
    before: float
    points: Interval
    examples: int


def dropped(check: str, figure: str, drop: Drop, limits: GateLimits) -> Finding:
    """Judge a drop, unless the checkpoint scores too little, or there is too little, to see one."""
    limit = drop_limit(limits)
    if drop.examples < limits.min_examples:
        return _too_few(check, figure, limit, drop.examples, limits)
    if drop.before <= limits.max_drop:
        reason = (
            f"the checkpoint itself scores {drop.before:.2f} on this data, so that no drop could"
            " exceed the limit; give data that it was trained for with --eval FILE"
        )
        return Finding(check, figure, limit, reason, ran=False)
    if drop.points.value <= limits.max_drop:
        return Finding(check, figure, limit)
    reason = f"{drop.name} fell by {interval(drop.points)} points, the limit is {limits.max_drop:g}"
    if drop.points.low > min(0.0, limits.max_drop):
        return Finding(check, figure, limit, reason)
    undecided = f"{reason}, but the interval holds 0: give more examples"
    return Finding(check, figure, limit, undecided, ran=False)


def _too_few(check: str, figure: str, limit: str, examples: int, limits: GateLimits) -> Finding:
    least = limits.min_examples
    reason = f"too few examples ({examples} < {least}); give {least} at least"
    return Finding(check, figure, limit, reason, ran=False)


def drop_limit(limits: GateLimits) -> str:
    """Return the limit of a drop as the table shows it."""
    return f"drop ≤ {limits.max_drop:g}"


def interval(drop: Interval) -> str:
    """Return a drop and its interval as the table shows them."""
    return f"{drop.value:.2f} [{drop.low:.2f}, {drop.high:.2f}]"


# --- an earlier, larger run ---


def is_task(row: CheckInfo) -> bool:
    """Tell whether a row of a bundle's checks is one of the gate."""
    return row.check.partition(":")[0] == TASK


def kept(rows: Iterable[CheckInfo], earlier: Iterable[CheckInfo]) -> tuple[CheckInfo, ...]:
    """Return the earlier rows of the gate if they prove more than these, else nothing.

    They do if they were measured on more examples. What has failed now is never put aside.
    """
    now = [row for row in rows if is_task(row)]
    before = tuple(row for row in earlier if is_task(row))
    if any(row.status == "failed" for row in now):
        return ()
    return before if size(before) > size(now) else ()


def size(rows: Iterable[CheckInfo]) -> int:
    """Return on how many examples the gate's rows were judged; 0 if none was."""
    found = [
        re.search(r"n=(\d+)|of (\d+)\)", row.figure) for row in rows if row.status != "not_run"
    ]
    # A fault that ended the gate has no figure; it is more than nothing.
    return max((int(match[1] or match[2]) if match else 1 for match in found), default=0)
