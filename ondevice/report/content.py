"""What a report says, before it is Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from ondevice.bench import MIN_ITERATIONS
from ondevice.report import questions, tables, wording
from ondevice.report.across import across_table
from ondevice.report.cells import Table, between, decimals_for, label, number
from ondevice.report.comparison import Comparison
from ondevice.report.comparison_tables import comparison_tables
from ondevice.report.drawing import Plot
from ondevice.report.published import published_table
from ondevice.report.rows import MB, Device, Row, Words
from ondevice.report.sources import Skipped
from ondevice.report.speedup import (
    Teachers,
    find_teachers,
    references,
    speed_up,
    teacher_of,
    why_apart,
)
from ondevice.report.study import Study
from ondevice.report.text import plural
from ondevice.statistics import Interval

# Plots and full times are given for so many devices; all have their main tables.
MAX_DETAILED = 12
# So many of the things that could not be compared are named.
MAX_LEFT_OUT = 200
# Runnable processes before a run, from which on it is said that other work was going on.
BUSY = 0.5

EVIDENCE = {
    "phone": "measured on the phone that is named",
    "host": "measured on a computer's CPU, or read from the file",
    "reference": "computed by an interpreter; never a time",
    "published": "someone else's figure, cited",
    "not run": "no figure; the note says why",
}


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        key: a name for links, in ASCII.
        facts: pairs of a word and what is true of it.
        sentences: what a reader should take away or be warned of.
        details: tables for those who want all of it.
    """

    key: str
    title: str
    facts: tuple[tuple[str, str], ...] = ()
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    details: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report: what stands at its head, then its sections."""

    title: str
    facts: tuple[tuple[str, str], ...]
    headlines: tuple[str, ...]
    sections: tuple[Section, ...]


def build(
    study: Study,
    *,
    teacher: str | None = None,
    comparison: Comparison | None = None,
    fail_on: float | None = None,
    published: bool = False,
    draw: bool = True,
) -> Report:
    """Return the report of a study.

    Args:
        study: all results.
        teacher: name of the model that the others are compared with; None to find it.
        comparison: changes since older results.
        fail_on: percent beyond which a change for the worse is a regression.
        published: whether to add the figures that others published.
        draw: whether to draw plots.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    devices = study.sorted_devices()
    sections: list[Section] = []
    if comparison is not None:
        sections.append(_changes(comparison, fail_on))
    if (side_by_side := across_table(study)) is not None:
        sections.append(Section("across", side_by_side.title, tables=(side_by_side,)))
    for place, device in enumerate(devices, 1):
        detailed = place <= MAX_DETAILED
        found = find_teachers(device, teacher)
        # Published figures are of different lengths: there is nothing to draw side by side.
        drawn = draw and detailed and not device.key.published
        sections.append(_device(f"device-{place}", device, found, detailed, drawn))
    if published:
        table = published_table()
        sections.append(Section("published", table.title, tables=(table,)))
    if study.skipped_total:
        named = "skipped", "Skipped files"
        table = _skipped(*named, study.skipped, study.skipped_total)
        sections.append(Section(*named, tables=(table,)))
    told = [headlines(one, find_teachers(one, teacher)) for one in devices[:MAX_DETAILED]]
    return Report("On-device benchmark", _facts(study), tuple(chain(*told)), tuple(sections))


def headlines(device: Device, teachers: Teachers) -> list[str]:
    """Return what the fastest student of each teacher gains over it."""
    kind = wording.timed_kind(device)
    length = wording.main_length(device, kind)
    if length is None or device.key.published:
        return []
    best: dict[tuple[str, str], tuple[float, Row, Row]] = {}
    for row in device.sorted_rows():
        teacher, timings = teacher_of(row, teachers), row.time(kind, length)
        refs = references(device, row, teachers)
        reference = refs.same_runtime or refs.torch
        if timings is None or reference is None or teacher is None or row.key.model == teacher:
            continue
        theirs, place = reference.time(kind, length), (row.key.task, teacher)
        if theirs is None or not (timings.value() > 0 and theirs.value() > 0):
            # Not timed, or no median is known: NaN is above nothing.
            continue
        if place not in best or timings.value() < best[place][0]:
            best[place] = timings.value(), row, reference
    return [_headline(device, row, other, kind, length) for _, row, other in best.values()]


def _headline(device: Device, row: Row, reference: Row, kind: str, length: int) -> str:
    value = row.times[kind, length].value()
    gain = speed_up(row, reference, kind, length)
    times = gain.value if isinstance(gain, Interval) else gain
    noise = between(gain, 2) if isinstance(gain, Interval) else why_apart(row, reference)
    noise = f" ({noise})" if noise else ""
    where = "on the same runtime" if row.key.target == reference.key.target else "in PyTorch"
    sentence = (
        f"{device.title}: {row.key.model} ({row.name}) takes"
        f" {number(value, decimals_for([value]))} ms at {length} tokens, {times:.2f} times as fast"
        f" as {reference.key.model} {where}{noise}"
    )
    mine, theirs = row.artifact.bytes, reference.artifact.bytes
    if mine and theirs:
        sentence += f", with {mine / MB:.1f} MB instead of {theirs / MB:.1f}"
    known = row.teacher_sha256 is not None
    taught = known and row.teacher_sha256 == reference.artifact.model_sha256
    kept = row.score.retention if row.score is not None and taught else None
    if kept is not None:
        sentence += f" and {kept.value:.1f} % of the teacher's F1 in PyTorch ({between(kept, 1)})"
    return f"{sentence} [{row.evidence}]."


def _facts(study: Study) -> tuple[tuple[str, str], ...]:
    measured = [device for device in study.devices.values() if not device.key.published]
    days = study.first[:10]
    if study.last[:10] != days:
        days += f" to {study.last[:10]}"
    return (
        ("results", f"{study.documents:,}"),
        ("devices", f"{len(measured):,}"),
        ("measured", days or "nothing"),
        ("skipped files", f"{study.skipped_total:,}"),
    )


def _device(key: str, device: Device, teachers: Teachers, detailed: bool, draw: bool) -> Section:
    from ondevice.report import plots

    main = [tables.study_table(device), *tables.speedup_tables(device, teachers)]
    main += [one for one in (questions.score_table(device), questions.traffic_table(device)) if one]
    return Section(
        key,
        device.title,
        _conditions(device),
        _warnings(device),
        tuple(main),
        tuple(plots.draw(device, key, teachers)) if draw else (),
        (tables.times_table(device),) if detailed else (),
    )


def _conditions(device: Device) -> tuple[tuple[str, str], ...]:
    low, high = device.iterations or (0, 0)
    runs = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    known = (
        ("system on a chip", device.key.soc),
        ("CPU cores", str(device.key.cores or "")),
        ("results", f"{device.documents:,}"),
        ("timed runs of each", runs if high else ""),
        ("order", _counted(device.orders)),
        ("between turns", _counted(device.between_turns)),
        ("warm-up", _counted(device.warmups)),
        ("cold load", _counted(device.cold_loads)),
        ("thermal state", _counted(device.thermal)),
        ("power mode", _counted(device.power)),
        ("timer", _counted(device.timers)),
        ("written by", _counted(device.sources)),
    )
    return tuple((word, text) for word, text in known if text)


def _warnings(device: Device) -> tuple[str, ...]:
    names = wording.names(device)
    found = [
        f"{names[id(row)]} failed its golden check: {row.golden_failed}."
        for row in device.sorted_rows()
        if row.golden_failed
    ]
    fewest = device.iterations[0] if device.iterations else MIN_ITERATIONS
    if fewest < MIN_ITERATIONS:
        found.append(
            f"Figures are of {plural(fewest, 'timed run')} at the least: with fewer than"
            f" {MIN_ITERATIONS} they are to try things out, not to publish."
        )
    if device.load_before > BUSY:
        found.append(
            "Other work was going on when a run began (load average"
            f" {device.load_before:.1f}): its times may be too long."
        )
    hot = {"serious", "critical", "moderate", "severe", "emergency", "shutdown"}
    if words := sorted(hot & set(device.thermal.counts)):
        found.append(f"The device was hot ({', '.join(words)}): it may have slowed itself down.")
    if "low power" in device.power.counts:
        found.append("A run was taken in low-power mode, which slows the processor down.")
    if device.key.virtual:
        found.append("This is an emulator: its times are not a phone's.")
    return tuple(found)


def _counted(words: Words) -> str:
    """Return texts with their counts: "none (12), light (3)"; no count where there is one text."""
    if len(words.counts) == 1 and sum(words.counts.values()) == words.total:
        return next(iter(words.counts))
    parts = [f"{text} ({count:,})" for text, count in words.counts.items()]
    if (others := words.total - sum(words.counts.values())) > 0:
        parts.append(f"others ({others:,})")
    return ", ".join(parts)


def _changes(comparison: Comparison, fail_on: float | None) -> Section:
    changed, noise, tails = comparison_tables(comparison, fail_on)
    sentences: list[str] = []
    if fail_on is not None:
        count = plural(len(comparison.regressions(fail_on)), "regression")
        sentences.append(f"{count} beyond {fail_on:g} % and outside the noise.")
        if warning := comparison.warning(fail_on):
            sentences.append(f"{warning}.")
    sentences += [f"Broken: {one}." for one in comparison.broken]
    if not changed.rows:
        sentences.append(f"Of {plural(len(noise.rows), 'figure')} none changed beyond the noise.")
    details = [table for table in (noise, tails) if table.rows]
    if comparison.left_out:
        rows = tuple((label(one),) for one in comparison.left_out[:MAX_LEFT_OUT])
        caption = (
            f"{plural(len(comparison.left_out), 'thing')} had nothing like it on the other side, or"
            " was measured in another way."
        )
        details.append(Table("left-out", "Not compared", caption, ("what",), rows))
    if total := comparison.skipped_total:
        sentences.append(f"{plural(total, 'file')} of the older results could not be used.")
        title = "Skipped files of the older results"
        details.append(_skipped("old-skipped", title, comparison.skipped, total))
    return Section(
        "changes",
        "Changes since the older results",
        (),
        tuple(sentences),
        (changed,) if changed.rows else (),
        details=tuple(details),
    )


def _skipped(key: str, title: str, skipped: Sequence[Skipped], total: int) -> Table:
    rows = tuple((label(one.name), label(one.reason)) for one in skipped)
    more = total - len(skipped)
    caption = f"{plural(total, 'file')} could not be used." + (
        f" The first {len(skipped)} are named; {more:,} more are not." if more else ""
    )
    return Table(key, title, caption, ("file", "reason"), rows)
