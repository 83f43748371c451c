"""The tables of one device: the paper's, the times in full, scores, speed-up and traffic."""

from __future__ import annotations

import math

from ondevice.report import wording
from ondevice.report.cells import Cell, Table, decimals_for, figure, label, not_run
from ondevice.report.rows import MB, Device, Row, RowKey
from ondevice.report.speedup import Teachers, references, speed_up, why_apart
from ondevice.report.timings import Timings
from ondevice.statistics import MEDIAN, P90, P99, Interval

KINDS = {
    "model_only": "model only",
    "end_to_end": "end to end",
    "tokenize": "tokenize",
    "decode": "decode",
    "first_inference": "first inference",
    "load_cold": "load, cold",
    "load_warm": "load, warm",
}
INTERVALS = "Small figures are 95 % bootstrap intervals."
APART = (
    "A ratio that is marked as not in turn is of rows that did not take turns: it holds whatever"
    " else changed from one to the other, such as the load, so it has no interval."
)


def study_table(device: Device) -> Table:
    """Return the paper's table: size, load, latency at each length, score."""
    rows, kind = device.sorted_rows(), wording.timed_kind(device)
    lengths = wording.timed_lengths(device, kind)
    decimals = {length: _decimals(rows, kind, length) for length in lengths}
    loads = _decimals(rows, "load_cold", None)
    several = any(row.documents > 1 for row in rows)
    lines = []
    for row in rows:
        evidence = wording.of_file(row)
        lines.append(
            (
                label(row.key.model),
                label(wording.artifact(row, rows)),
                label(wording.runtime(row), reason=wording.remarks(row)),
                label(wording.threads(row)),
                *([Cell(str(row.documents), row.evidence, number=True)] if several else []),
                figure(_millions(row), evidence, missing="the result does not say"),
                figure(_megabytes(row), evidence, missing="the result does not say"),
                _time(row, "load_cold", None, loads),
                *(_time(row, kind, length, decimals[length]) for length in lengths),
                _memory(row),
                _f1(row),
                retention_cell(row),
                label(wording.FAILED if row.golden_failed else row.evidence),
            )
        )
    headers = (
        "model",
        "artifact",
        "runtime",
        "threads",
        *(["runs"] if several else []),
        "parameters, M",
        "MB",
        "load, ms",
        *(f"{length} tokens, ms" for length in lengths),
        "peak MB (before load)",
        "F1",
        "retention, %",
        "evidence",
    )
    what = "the model alone" if kind == "model_only" else "text to answer"
    caption = (
        f"Latency is the median of {what}, batch 1; load is the first one in a fresh process."
        " Peak memory is the whole process's, runtime included; in brackets what it had before the"
        f" artifact was loaded. {INTERVALS}"
    )
    return Table("study", "Size, speed and score", caption, headers, tuple(lines), stub=4)


def times_table(device: Device) -> Table:
    """Return everything that was timed: median, p90 and p99, each with its interval."""
    lines = []
    for row in device.sorted_rows():
        for kind, title in KINDS.items():
            lengths: list[int | None] = [*row.lengths(kind)]
            for length in lengths or [None]:
                if (timings := row.time(kind, length)) is None:
                    continue
                decimals = decimals_for([timings.value()])
                lines.append(
                    (
                        label(row.key.model),
                        label(row.name),
                        label(f"{wording.runtime(row)}, {wording.threads(row)} threads"),
                        label(title),
                        label("–" if length is None else str(length)),
                        Cell(f"{timings.samples:,}", row.evidence, number=True),
                        *(
                            quantile_cell(row, timings, which, decimals)
                            for which in (MEDIAN, P90, P99)
                        ),
                    )
                )
    headers = (
        *("model", "artifact", "runtime", "what", "tokens", "samples"),
        *("median, ms", "p90, ms", "p99, ms"),
    )
    caption = f"{INTERVALS} With fewer than about 100 samples p99 is close to the slowest one."
    return Table("times", "Every time in full", caption, headers, tuple(lines), stub=3)


def speedup_tables(device: Device, teachers: Teachers) -> list[Table]:
    """Return speed-up against the teacher: on the same runtime, and against PyTorch.

    Published figures have none: their lengths and conditions are not known to be equal.
    """
    if device.key.published:
        return []
    kind = wording.timed_kind(device)
    lengths = wording.timed_lengths(device, kind)
    known = {row.key: references(device, row, teachers) for row in device.sorted_rows()}
    same = {key: found.same_runtime for key, found in known.items() if found.same_runtime}
    torch = {key: found.torch for key, found in known.items() if found.torch}
    tables = (
        (
            "speedup",
            "Speed-up against the teacher on the same runtime and scheme",
            "Teacher's median over the row's, at equal lengths and threads: what distillation"
            " alone brings.",
            same,
        ),
        (
            "speedup-torch",
            "Speed-up against the teacher in PyTorch",
            "The baseline's median over the row's, at equal lengths and threads: what model and"
            " runtime bring together.",
            torch,
        ),
    )
    headers = (
        *("model", "artifact", "runtime", "against"),
        *(f"{length} tokens" for length in lengths),
    )
    return [
        Table(
            key,
            title,
            " ".join([caption, INTERVALS, *_apart(against, device)]),
            headers,
            tuple(
                (
                    label(row.key.model),
                    label(row.name),
                    label(wording.runtime(row)),
                    label(f"{against[row.key].key.model} {against[row.key].name}"),
                    *(_speed_up(row, against[row.key], kind, length) for length in lengths),
                )
                for row in device.sorted_rows()
                if row.key in against
            ),
            stub=3,
        )
        for key, title, caption, against in tables
        if against
    ]


def _apart(against: dict[RowKey, Row], device: Device) -> list[str]:
    """Return the sentence on ratios that are not in turn, if there are any."""
    return [APART] if any(why_apart(device.rows[key], one) for key, one in against.items()) else []


def _speed_up(row: Row, reference: Row, kind: str, length: int) -> Cell:
    found = speed_up(row, reference, kind, length)
    if isinstance(found, Interval):
        return figure(found.value, row.evidence, decimals=2, interval=found, unit=" ×")
    mine, theirs = row.time(kind, length), reference.time(kind, length)
    late = "the row" if mine is None or math.isnan(mine.value()) else "the teacher"
    bare = any(one is not None and one.no_samples for one in (mine, theirs))
    few = (
        "the source gives no samples, so there is no interval"
        if bare
        else "too few samples for an interval"
    )
    return figure(
        found,
        row.evidence,
        decimals=2,
        unit=" ×",
        missing=f"{late} was not timed at {length} tokens",
        reason=why_apart(row, reference) or few,
    )


def _time(row: Row, kind: str, length: int | None, decimals: int) -> Cell:
    timings = row.time(kind, length)
    if timings is None:
        return not_run(wording.why_untimed(row, length))
    return quantile_cell(row, timings, MEDIAN, decimals)


def quantile_cell(row: Row, timings: Timings, quantile: float, decimals: int) -> Cell:
    """Return one percentile of what was timed, in ms."""
    return figure(
        timings.value(quantile),
        row.evidence,
        decimals=decimals,
        interval=timings.interval(quantile),
        missing="the source does not print it",
    )


def _memory(row: Row) -> Cell:
    if not row.memory.runs:
        return not_run(wording.why_untimed(row, None) if not row.times else "not measured")
    value, interval = row.memory.value(), row.memory.interval()
    before = f" ({row.before_load.value():,.0f})" if row.before_load.runs else ""
    return figure(value, row.evidence, decimals=0, interval=interval, unit=before)


def _f1(row: Row) -> Cell:
    if row.score is None:
        return not_run("no questions were asked")
    interval = row.score.f1_interval
    return figure(
        row.score.value, row.evidence, interval=interval, reason=wording.disagreement(row)
    )


def retention_cell(row: Row) -> Cell:
    """Return F1 in percent of the teacher's."""
    if row.score is None:
        return not_run("no questions were asked")
    kept = row.score.retention
    return figure(
        kept.value if kept else None,
        row.evidence,
        interval=kept,
        missing=wording.no_teacher(row),
    )


def _millions(row: Row) -> float | None:
    return None if row.artifact.params is None else row.artifact.params / 1e6


def _megabytes(row: Row) -> float | None:
    return None if row.artifact.bytes is None else row.artifact.bytes / MB


def _decimals(rows: list[Row], kind: str, length: int | None) -> int:
    timings = [row.time(kind, length) for row in rows]
    return decimals_for([one.value() for one in timings if one is not None])
