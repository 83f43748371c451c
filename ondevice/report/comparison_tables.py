"""A comparison as tables: what changed, what did not, and the tails that are not judged."""

from __future__ import annotations

from ondevice.report.cells import Cell, Table, decimals_for, figure, label
from ondevice.report.comparison import (
    INFORMATION,
    NOISE_UNKNOWN,
    REGRESSION,
    UNKNOWN,
    VERDICTS,
    Comparison,
)
from ondevice.statistics import Interval


def comparison_tables(comparison: Comparison, fail_on: float | None) -> tuple[Table, Table, Table]:
    """Return what changed, the worst first; what did not or within the noise only; and p99."""
    changed: list[tuple[Cell, ...]] = []
    noise: list[tuple[Cell, ...]] = []
    tails: list[tuple[Cell, ...]] = []
    for change in sorted(
        comparison.changes, key=lambda one: (VERDICTS.index(one.verdict), -abs(one.percent))
    ):
        regressed = fail_on is not None and change.regressed(fail_on)
        verdict = REGRESSION if regressed else change.verdict
        decimals = decimals_for([change.old, change.new])
        detail = "" if change.ratio is None else _percents(change.ratio)
        evidence = change.row.evidence
        line = (
            label(change.what),
            label(change.name),
            label(change.device),
            figure(change.old, evidence, decimals=decimals, unit=f" {change.unit}"),
            figure(change.new, evidence, decimals=decimals, unit=f" {change.unit}"),
            Cell(f"{change.percent:+.1f} %", evidence, detail, number=True),
            label(verdict, reason=UNKNOWN[change.unknown] if verdict == NOISE_UNKNOWN else ""),
        )
        if verdict == INFORMATION:
            tails.append(line)
        else:
            (noise if verdict in {"unchanged", "within noise"} else changed).append(line)
    caption = (
        "New figure against old, medians where nothing else is said; small figures are 95 %"
        " bootstrap intervals of the change. Two single runs know nothing of how runs differ from"
        " each other: measure several, or allow for it in the threshold."
    )
    slowest = f"{caption} p99 is never judged: of few runs it is close to the slowest one."
    headers = ("what", "artifact", "device", "old", "new", "change", "verdict")
    return (
        Table("changes", "What changed", caption, headers, tuple(changed), stub=3),
        Table("noise", "Unchanged, or within the noise", caption, headers, tuple(noise), stub=3),
        Table("tails", "p99, for information", slowest, headers, tuple(tails), stub=3),
    )


def _percents(ratio: Interval) -> str:
    """Return the interval of a ratio as changes in percent."""
    low, high = (100.0 * (one - 1.0) for one in (ratio.low, ratio.high))
    return f"{low:+.1f} to {high:+.1f} %"
