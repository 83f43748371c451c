"""The table model: cells that carry their evidence, whatever they are rendered to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ondevice.statistics import Interval

NOT_RUN = "not run"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        evidence: where the figure comes from; empty for names.
        detail: the interval, or what else belongs to the figure.
        reason: why there is no figure, or what a reader should know of it.
        number: whether it stands to the right.
    """

    text: str
    evidence: str = ""
    detail: str = ""
    reason: str = ""
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under headers.

    Attributes:
        key: a name for links, in ASCII.
        stub: how many columns at the left name the row; a page puts them into one.
    """

    key: str
    title: str
    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    stub: int = 1

    def reasons(self) -> dict[str, int]:
        """Return the reasons of the cells with their numbers, in the order of the cells."""
        found: dict[str, int] = {}
        for row in self.rows:
            for cell in row:
                if cell.reason:
                    found.setdefault(cell.reason, len(found) + 1)
        return found


def label(text: str, reason: str = "") -> Cell:
    """Return a cell that names something."""
    return Cell(text, reason=reason)


def figure(
    value: float | None,
    evidence: str,
    *,
    decimals: int = 1,
    interval: Interval | None = None,
    missing: str = "",
    reason: str = "",
    unit: str = "",
) -> Cell:
    """Return a cell with a figure; without one, a cell that says why (`missing`)."""
    if value is None or math.isnan(value):
        return not_run(missing)
    detail = "" if interval is None else between(interval, decimals)
    return Cell(f"{number(value, decimals)}{unit}", evidence, detail, reason, number=True)


def not_run(reason: str) -> Cell:
    """Return a cell without a figure."""
    return Cell("–", NOT_RUN, reason=reason or "not measured", number=True)


def number(value: float, decimals: int) -> str:
    """Return a number with so many decimals and thousands apart."""
    return f"{value:,.{decimals}f}"


def between(interval: Interval, decimals: int) -> str:
    """Return an interval as "low–high"."""
    return f"{number(interval.low, decimals)}–{number(interval.high, decimals)}"


def decimals_for(values: Iterable[float | None]) -> int:
    """Return how many decimals a column needs so that its smallest figure has three digits."""
    known = [abs(value) for value in values if value is not None and value == value and value]
    if not known:
        return 1
    return min(max(2 - math.floor(math.log10(min(known))), 0), 4)
