"""Rows that are not what they were: wrong, not run, broken off, or gone."""

from __future__ import annotations

from collections.abc import Iterator

from ondevice.report.cells import NOT_RUN
from ondevice.report.rows import Device, Row


def fault(row: Row) -> str:
    """Return why a row is not all that it should be now; else nothing."""
    if row.golden_failed:
        return f"it fails its golden check now: {row.golden_failed}"
    reason = next(iter(row.reasons.counts), "no reason given")
    if row.evidence == NOT_RUN:
        return f"it does not run now: {reason}"
    # A run that was broken off says nothing where another one ended.
    partial = bool(row.reasons.counts) and not row.completed
    return f"it is partial now: {reason}" if partial else ""


def stopped(now: Device, then: Device, pairs: list[tuple[Row, Row]]) -> Iterator[Row]:
    """Yield each row that is at fault now and was not then.

    What stops before its runtime is known does not name it: such a row is also held against old
    ones of the same model, task, target and scheme that have no other partner.
    """
    partners = {mine.key: [theirs] for mine, theirs in pairs}
    taken = {theirs.key for _, theirs in pairs}
    for key in sorted(now.rows):
        mine = now.rows[key]
        alike = [
            row
            for row in then.rows.values()
            if row.key not in taken and _artifact(row) == _artifact(mine)
        ]
        candidates = partners.get(key) or ([] if mine.times else alike)
        if mine.golden_failed:
            # Wrong answers are a fault whatever there was before, but for the same one.
            before = [row for row in then.rows.values() if _artifact(row) == _artifact(mine)]
            if not any(row.golden_failed for row in before):
                yield mine
        elif fault(mine) and any(not fault(theirs) for theirs in candidates):
            yield mine


def missing(now: Device, then: Device) -> Iterator[Row]:
    """Yield each row that ran to its end then and whose artifact is not there now at all."""
    present = {_artifact(row) for row in now.rows.values()}
    for key in sorted(then.rows):
        row = then.rows[key]
        if row.times and not fault(row) and _artifact(row) not in present:
            yield row


def _artifact(row: Row) -> tuple[str, ...]:
    """Return what an artifact is known by even where its runtime is not."""
    return row.key.model, row.key.task, row.key.target, row.key.scheme
