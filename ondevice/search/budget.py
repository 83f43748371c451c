"""What an app can afford, and by how much a candidate misses it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from ondevice.errors import UserError
from ondevice.keeping import MB
from ondevice.search.contender import Contender, Figures
from ondevice.statistics import difference, mean_of

# A candidate leaves early only for what this share of the bootstrap's draws agree on: with 95 %,
# looks at a growing share of the data would let one in twenty go by chance at each of them.
CLEAR = 0.99


@dataclass(frozen=True)
class Budget:
    """The worst that an app can take; None where nothing is asked.

    Attributes:
        max_mb: of the artifact, in 10^6 bytes.
        max_f1_drop: points of F1 below the candidate's own checkpoint.
        max_p90_ms: of an answer, from text (:class:`ondevice.search.contender.Times`).
        min_retention: percent of the teacher's F1.
    """

    max_mb: float | None = None
    max_f1_drop: float | None = None
    max_p90_ms: float | None = None
    min_retention: float | None = None

    def check(self) -> None:
        """Refuse what nothing could ever fit, or everything.

        Raises:
            UserError: the sentence says which, and what it may be.
        """
        for field in fields(self):
            value, (allowed, words) = getattr(self, field.name), _BOUNDS[field.name]
            # Written so that NaN is refused.
            if value is not None and not (math.isfinite(value) and allowed(value)):
                raise UserError(f"{option(field.name)} must be {words}, not {value:g}")


_BOUNDS: dict[str, tuple[Callable[[float], bool], str]] = {
    "max_mb": (lambda value: value > 0, "above 0"),
    "max_f1_drop": (lambda value: 0 <= value <= 100, "from 0 to 100"),
    "max_p90_ms": (lambda value: value > 0, "above 0"),
    "min_retention": (lambda value: 0 < value <= 100, "above 0 and at most 100"),
}


def check_retention(budget: Budget, own: Mapping[str, Figures]) -> None:
    """Refuse a retention that the checkpoints themselves miss: rounding will not mend that.

    Args:
        budget: what is asked.
        own: what the unrounded checkpoints answer, beside the teacher, by their labels.

    Raises:
        UserError: each clearly retains less.
    """
    wanted = budget.min_retention
    if wanted is None or not own:
        return
    if not all(_falls_short(figures, wanted) for figures in own.values()):
        return
    kept = {name: figures.retention for name, figures in own.items()}
    words = ", ".join(
        f"{name} retains {0.0 if one is None or math.isnan(one.value) else one.value:.1f} %"
        for name, one in kept.items()
    )
    raise UserError(
        f"--min-retention {wanted:g} is more than is there before anything is rounded: {words} of"
        " the teacher's F1 on these questions"
    )


def option(name: str) -> str:
    """Return a field's name as it is typed."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Miss:
    """One budget that a candidate does not keep.

    Attributes:
        budget: the field of :class:`Budget`.
        by: how much is missing, in its unit.
        share: the same in relation to what is allowed, to compare misses of several units.
    """

    budget: str
    by: float
    share: float

    @property
    def words(self) -> str:
        """Say it for a reader."""
        return {
            "max_mb": f"{self.by:.2f} MB too large",
            "max_f1_drop": f"loses {self.by:.2f} points of F1 too many",
            "max_p90_ms": f"p90 {self.by:.1f} ms too slow",
            "min_retention": f"{self.by:.2f} % of the teacher's F1 short",
        }[self.budget]


def misses(one: Contender, budget: Budget) -> list[Miss]:
    """Return the budgets that a candidate does not keep, by its figures as they stand.

    What was not measured is not among them, but for the size of what was set aside for it.
    """
    found = []
    size = one.estimated if one.bytes is None else one.bytes
    if size is not None and budget.max_mb is not None:
        over = size / MB - budget.max_mb
        found.append(Miss("max_mb", over, over / budget.max_mb))
    if one.times is not None and budget.max_p90_ms is not None:
        over = one.times.p90.value - budget.max_p90_ms
        found.append(Miss("max_p90_ms", over, over / budget.max_p90_ms))
    if one.figures is not None and budget.max_f1_drop is not None:
        over = one.figures.lost - budget.max_f1_drop
        found.append(Miss("max_f1_drop", over, over / max(budget.max_f1_drop, 1.0)))
    kept = None if one.figures is None else one.figures.retention
    if kept is not None and budget.min_retention is not None:
        # NaN, of a teacher that scores 0, is no retention.
        over = budget.min_retention - (0.0 if math.isnan(kept.value) else kept.value)
        found.append(Miss("min_retention", over, over / max(100.0 - budget.min_retention, 1.0)))
    return [miss for miss in found if miss.by > 0.0]


def unproven(one: Contender, budget: Budget) -> list[str]:
    """Name the budgets of which a candidate has no figure; with one of them it does not fit."""
    known = {
        "max_mb": one.bytes is not None,
        "max_p90_ms": one.times is not None,
        "max_f1_drop": one.figures is not None,
        "min_retention": one.figures is not None and one.figures.retention is not None,
    }
    return [name for name, has in known.items() if getattr(budget, name) is not None and not has]


def clear_misses(one: Contender, budget: Budget) -> list[Miss]:
    """Return the budgets that a candidate misses whatever questions had been drawn.

    Size is what it is. A drop, a retention or a time misses clearly if the better end of its
    interval does.
    """
    return [miss for miss in misses(one, budget) if _is_clear(one, miss.budget, budget)]


def _is_clear(one: Contender, name: str, budget: Budget) -> bool:
    if name == "max_mb":
        return True
    if name == "max_p90_ms":
        assert one.times is not None
        assert budget.max_p90_ms is not None
        return one.times.p90.low > budget.max_p90_ms
    figures = one.figures
    assert figures is not None
    mine, size = mean_of(figures.f1), len(figures.f1)
    if name == "max_f1_drop":
        assert budget.max_f1_drop is not None
        lost = difference(mean_of(figures.own_f1), mine, size, level=CLEAR)
        return lost.low > budget.max_f1_drop
    assert budget.min_retention is not None
    return _falls_short(figures, budget.min_retention)


def _falls_short(figures: Figures, retention: float) -> bool:
    """Tell whether somebody clearly has less than a share of the teacher's F1, in percent."""
    assert figures.teacher_f1 is not None
    # A difference, not a quotient: a teacher may score 0 on the questions of a draw.
    wanted = mean_of(figures.teacher_f1 * retention / 100.0)
    return difference(wanted, mean_of(figures.f1), len(figures.f1), level=CLEAR).low > 0.0
