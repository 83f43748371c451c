"""Who the teacher is, and how much faster than it the others are: at equal lengths only.

Two that took turns met the same disturbances, so that the interval of their ratio says how far it
may be off. Two from different runs did not: their ratio holds the other day and the other load as
well, and has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ondevice.errors import UserError
from ondevice.report.cells import NOT_RUN
from ondevice.report.rows import Device, Row
from ondevice.report.study import Study
from ondevice.report.text import listing
from ondevice.report.timings import ratio
from ondevice.statistics import Interval

TORCH = "torch"
DIFFERENT_RUNS = "not in turn: from different runs"
ALONE = "not in turn: timed alone"
Teachers = Mapping[tuple[str, str], str]
"""The teacher of each model that has one, by task and model."""


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


def find_teachers(device: Device, name: str | None = None) -> Teachers:
    """Return the teacher of each of a device's models that has one.

    Models of one task belong together if they took turns in a run, or if a score names the one as
    the other's teacher; those that nothing is known of are looked at together. The teacher of such
    a family is the model that was asked for; else the one that the scores name by its hash, and no
    other; else the largest that PyTorch ran (the baseline); else, of several models that took
    turns, the largest. Models that nothing links have no teacher but one of the first three.
    """
    rows = device.sorted_rows()
    teachers: dict[tuple[str, str], str] = {}
    for task in dict.fromkeys(row.key.task for row in rows):
        own = [row for row in rows if row.key.task == task]
        linked, alone = _families(own)
        for family in [*linked, alone]:
            members = [row for row in own if row.key.model in family]
            teacher = _head(family, members, name, related=family is not alone)
            if teacher is not None:
                teachers |= dict.fromkeys(((task, model) for model in family), teacher)
    return teachers


def teacher_of(row: Row, teachers: Teachers) -> str | None:
    """Return the teacher's name, if a row has one."""
    return teachers.get((row.key.task, row.key.model))


def _families(rows: list[Row]) -> tuple[list[list[str]], list[str]]:
    """Return the models in groups of those that belong together, and those that nothing links."""
    models = list(dict.fromkeys(row.key.model for row in rows))
    named = {row.label: row.key.model for row in rows}
    # A hash that is not known links nothing.
    hashes = {row.artifact.model_sha256: row.key.model for row in rows if row.artifact.model_sha256}
    group = {model: {model} for model in models}
    for row in rows:
        others = {named[turn] for turn in row.turns if turn in named}
        if row.teacher_sha256 is not None and row.teacher_sha256 in hashes:
            others.add(hashes[row.teacher_sha256])
        joined = set().union(*(group[model] for model in (row.key.model, *others)))
        group |= dict.fromkeys(joined, joined)
    alone = [model for model in models if len(group[model]) == 1]
    found = [[model for model in models if model in one] for one in group.values() if len(one) > 1]
    return [one for place, one in enumerate(found) if one not in found[:place]], alone


def _head(family: list[str], rows: list[Row], name: str | None, *, related: bool) -> str | None:
    if name in family:
        return name
    hashes = {row.teacher_sha256 for row in rows} - {None}
    for row in rows:
        if hashes & {row.artifact.model_sha256, row.artifact.sha256}:
            return row.key.model
    if hashes and related:
        # Their teacher is known, and it is not here.
        return None
    for row in rows:
        if row.key.target == TORCH:
            return row.key.model
    return family[0] if related else None


def references(device: Device, row: Row, teachers: Teachers) -> References:
    """Return the teacher's rows that a row may be compared with: equal threads, timed.

    Of several, one that took turns with the row.
    """
    same = torch = None
    teacher = teacher_of(row, teachers)
    for other in sorted(device.sorted_rows(), key=lambda one: why_apart(row, one) != ""):
        mine, theirs = row.key, other.key
        if other is row or (theirs.task, theirs.model) != (mine.task, teacher):
            continue
        if theirs.threads != mine.threads:
            continue
        if theirs.evidence == NOT_RUN or mine.evidence == NOT_RUN:
            continue
        if theirs.target == TORCH:
            torch = torch or other
        elif mine.model != teacher and _way(other) == _way(row):
            same = same or other
    return References(same, torch)


def why_apart(row: Row, reference: Row) -> str:
    """Return why two rows are not known to have taken turns in all of their runs, or ""."""
    if not (row.turns and reference.turns):
        return ALONE
    # Either: of very many turns a row keeps the first.
    named = reference.label in row.turns or row.label in reference.turns
    return "" if named and row.runs == reference.runs else DIFFERENT_RUNS


def speed_up(row: Row, reference: Row | None, kind: str, length: int) -> Interval | float | None:
    """Return how many times as fast a row is as its reference, at one length.

    A number without an interval where the two did not take turns, or where there are too few
    samples for one; None where either was not timed at that length.
    """
    mine = row.time(kind, length)
    theirs = None if reference is None else reference.time(kind, length)
    if mine is None or theirs is None:
        return None
    if math.isnan(mine.value()) or math.isnan(theirs.value()):
        return None
    apart = reference is not None and why_apart(row, reference)
    known = None if apart else ratio(theirs, mine)
    return theirs.value() / mine.value() if known is None else known


def _way(row: Row) -> tuple[str, ...]:
    key = row.key
    return key.target, key.scheme, key.runtime, key.version, key.accelerator


def _rows(device: Device) -> Iterable[Row]:
    return device.rows.values()
