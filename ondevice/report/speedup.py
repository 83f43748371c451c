"""Who the teacher is, and how much faster than it the others are: at equal lengths only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ondevice.distill.retention import Interval
from ondevice.errors import UserError
from ondevice.report.cells import NOT_RUN
from ondevice.report.rows import Device, Row
from ondevice.report.statistics import ratio
from ondevice.report.study import Study
from ondevice.report.text import listing

TORCH = "torch"


@dataclass(frozen=True)
class References:
    """What a row is compared with: the teacher on the row's own runtime, and in PyTorch."""

    same_runtime: Row | None
    torch: Row | None


def check_teacher(study: Study, name: str | None) -> None:
    """Refuse a teacher that no result is of.

    Raises:
        UserError: there is none; the sentence says which models there are.
    """
    models = sorted({row.key.model for device in study.devices.values() for row in _rows(device)})
    if name is not None and name not in models:
        raise UserError(f"--teacher '{name}' is in no result; models: {listing(models, 12)}")


def find_teacher(device: Device, name: str | None = None) -> str | None:
    """Return the name of the teacher among a device's models.

    It is the model that was asked for; else the one that the scores name by its hash; else the
    one that PyTorch ran (the baseline); else, of several models, the largest.
    """
    rows = device.sorted_rows()
    if name is not None:
        return name if any(row.key.model == name for row in rows) else None
    hashes = {row.teacher_sha256 for row in rows} - {None}
    for row in rows:
        if hashes & {row.artifact.model_sha256, row.artifact.sha256}:
            return row.key.model
    for row in rows:
        if row.key.target == TORCH:
            return row.key.model
    return rows[0].key.model if len({row.key.model for row in rows}) > 1 else None


def references(device: Device, row: Row, teacher: str | None) -> References:
    """Return the teacher's rows that a row may be compared with: equal threads, timed."""
    same = torch = None
    for other in device.sorted_rows():
        mine, theirs = row.key, other.key
        if other is row or theirs.model != teacher or theirs.threads != mine.threads:
            continue
        if theirs.evidence == NOT_RUN or mine.evidence == NOT_RUN:
            continue
        if theirs.target == TORCH:
            torch = torch or other
        elif mine.model != teacher and _way(other) == _way(row):
            same = same or other
    return References(same, torch)


def speed_up(row: Row, reference: Row | None, kind: str, length: int) -> Interval | float | None:
    """Return how many times as fast a row is as its reference, at one length.

    A number without an interval where there are too few samples for one; None where either was
    not timed at that length.
    """
    mine = row.time(kind, length)
    theirs = None if reference is None else reference.time(kind, length)
    if mine is None or theirs is None:
        return None
    known = ratio(theirs, mine)
    return theirs.value() / mine.value() if known is None else known


def _way(row: Row) -> tuple[str, ...]:
    key = row.key
    return key.target, key.scheme, key.runtime, key.version, key.accelerator


def _rows(device: Device) -> Iterable[Row]:
    return device.rows.values()
