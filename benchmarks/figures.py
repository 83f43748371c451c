"""Ratios of times that were taken in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ondevice.statistics import Interval, interval


def paired_ratio(
    above: Sequence[int], below: Sequence[int], figure: Callable[..., float] = np.median
) -> Interval:
    """Return the ratio of two figures, drawing the same rounds for both in each resample.

    What disturbs the machine disturbs both in the same round, so that the pairs know the ratio
    better than either side knows its time. Of two that did not run equally often, the rounds that
    both have count.

    Raises:
        DataError: they have no round in common.
    """
    count = min(len(above), len(below))
    first, second = np.asarray(above[:count], float), np.asarray(below[:count], float)
    return interval(lambda rounds: float(figure(first[rounds]) / figure(second[rounds])), count)


def as_json(one: Interval) -> dict[str, float]:
    """Return an interval as results have it."""
    return {"value": one.value, "low": one.low, "high": one.high}


def as_text(one: Mapping[str, Any]) -> str:
    """Return an interval of :func:`as_json` as tables have it."""
    return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
