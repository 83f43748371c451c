"""What a search found, for a terminal."""

from __future__ import annotations

import math

from ondevice import console
from ondevice.keeping import MB
from ondevice.search.budget import misses
from ondevice.search.choice import nearest
from ondevice.search.contender import Contender
from ondevice.search.pipeline import Found
from ondevice.statistics import Interval

NOTHING = "–"
ASIDE = ("missed", "dropped", "failed", "not run")


def render(found: Found) -> str:
    """Return the table of candidates, why some are none, and what was chosen."""
    lines = [_table(found), ""]
    lines += [
        f"{_outcome(one)}: {one.candidate.target} {one.candidate.label}: {short(one.reason)}"
        for one in found.contenders
        if one.outcome in ASIDE
    ]
    lines += [f"note: {note}" for note in found.notes]
    lines += ["", *(sentence(found, target) for target in found.chosen)]
    return "\n".join(lines)


def sentence(found: Found, target: str) -> str:
    """Say which candidate of a target was chosen, and where it is; or which come nearest."""
    chosen = found.chosen[target]
    if chosen is not None:
        return f"chosen for {target}: {chosen.candidate.label}: {chosen.place}"
    near = nearest(found.of_target(target), found.options.budget)
    if not near:
        why = "; ".join(dict.fromkeys(short(one.reason) for one in found.of_target(target)))
        return f"nothing fits on {target}: {why}"
    words = "; ".join(f"{one.candidate.label} ({what_is_missed(one, found)})" for one in near)
    return f"nothing fits on {target}; nearest: {words}"


def what_is_missed(one: Contender, found: Found) -> str:
    """Say by what a candidate misses the budget, and what is not known of it."""
    words = [miss.words for miss in misses(one, found.options.budget)]
    if one.figures is None:
        words.append("F1 not asked")
    return ", ".join(words)


def _table(found: Found) -> str:
    several = len({one.candidate.lengths for one in found.contenders}) > 1
    named = found.teacher is not None
    headers = ["target", "model", "scheme"]
    headers += ["lengths"] if several else []
    headers += ["MB", "needs", "F1", "drop", "flips %"]
    headers += ["of teacher %"] if named else []
    headers += ["ms", "p90 ms", "questions", "evidence", "outcome"]
    return console.table(
        headers, [_row(one, lengths=several, teacher=named) for one in found.contenders]
    )


def _row(one: Contender, *, lengths: bool, teacher: bool) -> list[str]:
    candidate, figures, times = one.candidate, one.figures, one.times
    row = [candidate.target, candidate.model, f"{candidate.scheme} {candidate.variant}".strip()]
    row += [",".join(map(str, candidate.lengths))] if lengths else []
    row += [
        size(one),
        needs(one),
        interval(None if figures is None else figures.score),
        interval(None if figures is None else figures.drop),
        NOTHING if figures is None else f"{figures.flips.value:.1f}",
    ]
    row += [interval(None if figures is None else figures.retention)] if teacher else []
    untimed = "not run" if one.untimed else NOTHING
    row += [
        untimed if times is None else f"{times.median.value:.1f}",
        untimed if times is None else f"{times.p90.value:.1f}",
        NOTHING if figures is None else str(len(figures.f1)),
        one.evidence if figures is not None else NOTHING,
        _outcome(one),
    ]
    return row


def size(one: Contender) -> str:
    """Return the artifact's size in MB; of one that was not built, about."""
    if one.megabytes is not None:
        return f"{one.megabytes:.2f}"
    return NOTHING if one.estimated is None else f"~{one.estimated / MB:.1f}"


def needs(one: Contender) -> str:
    """Name the oldest version of each runtime that loads the artifact."""
    return ", ".join(f"{name} {version}" for name, version in one.needs.items()) or NOTHING


def _outcome(one: Contender) -> str:
    return "FAILED" if one.outcome == "failed" else one.outcome


def interval(value: Interval | None) -> str:
    """Return a figure with its 95 % interval."""
    if value is None or math.isnan(value.value):
        return NOTHING
    return f"{value.value:.1f} [{value.low:.1f}, {value.high:.1f}]"


def short(reason: str) -> str:
    """Return a reason without the place of a log, on one line."""
    return " ".join(reason.split(" (log:")[0].split())


def unfit(found: Found) -> list[str]:
    """Return the targets without a candidate that fits."""
    return [target for target, one in found.chosen.items() if one is None]
