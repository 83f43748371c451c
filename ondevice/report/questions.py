"""The tables of real questions: what was answered rightly, and how fast."""

from __future__ import annotations

from ondevice.report import wording
from ondevice.report.cells import Cell, Table, decimals_for, figure, label, not_run
from ondevice.report.rows import Device
from ondevice.report.tables import INTERVALS, quantile_cell, retention_cell
from ondevice.report.text import listing
from ondevice.statistics import MEDIAN, P90, P99

POLICIES = {"shortest_bucket": "shortest bucket", "longest": "always the longest"}


def score_table(device: Device) -> Table | None:
    """Return scores with their intervals; None where nothing was scored."""
    lines = []
    for row in device.sorted_rows():
        if (score := row.score) is None:
            continue
        missing = "the source gives no score by question"
        em, f1 = score.em_interval, score.f1_interval
        lines.append(
            (
                label(row.key.model),
                label(row.name),
                label(wording.runtime(row)),
                label(score.data or "not named"),
                Cell(f"{score.questions:,}", row.evidence, number=True)
                if score.questions
                else not_run(missing),
                figure(em.value if em else score.reported_em, row.evidence, interval=em),
                figure(score.value, row.evidence, interval=f1, reason=wording.disagreement(row)),
                retention_cell(row),
                figure(
                    score.flips,
                    row.evidence,
                    missing=wording.no_teacher(row),
                ),
            )
        )
    if not lines:
        return None
    headers = (
        *("model", "artifact", "runtime", "data", "questions"),
        *("EM", "F1", "retention, %", "answers changed, %"),
    )
    caption = (
        "Answers as this runtime gave them. Retention is F1 in percent of the teacher's to the same"
        f" questions (PyTorch, float32). {INTERVALS}"
    )
    return Table("scores", "Score", caption, headers, tuple(lines), stub=3)


def traffic_table(device: Device) -> Table | None:
    """Return times of real questions; None where none were asked."""
    lines = []
    for row in device.sorted_rows():
        for (data, policy), traffic in sorted(row.traffic.items()):
            if not traffic.timings.runs:
                continue
            decimals = decimals_for([traffic.timings.value()])
            saved = row.gains.get(data)
            gain = saved.interval if saved and policy == "shortest_bucket" else None
            windows = [f"{length}: {count:,}" for length, count in sorted(traffic.windows.items())]
            lines.append(
                (
                    label(row.key.model),
                    label(row.name),
                    label(wording.runtime(row)),
                    label(POLICIES[policy]),
                    Cell(f"{traffic.questions:,}", row.evidence, number=True),
                    *(
                        quantile_cell(row, traffic.timings, which, decimals)
                        for which in (MEDIAN, P90, P99)
                    ),
                    figure(
                        gain.value if gain else None,
                        row.evidence,
                        decimals=2,
                        interval=gain,
                        unit=" ×",
                        missing="it is what the others are compared with"
                        if policy == "longest"
                        else "the other policy was not measured",
                    ),
                    label(listing(windows, 8) or "not said"),
                )
            )
    if not lines:
        return None
    headers = (
        *("model", "artifact", "runtime", "padding", "questions"),
        *("median, ms", "p90, ms", "p99, ms", "gain", "windows by length"),
    )
    caption = (
        "Text to answer, all windows of a question. The gain is the whole time with every window"
        f" at the longest length, over the whole time with the shortest that fits. {INTERVALS}"
    )
    return Table("traffic", "Real questions", caption, headers, tuple(lines), stub=3)
