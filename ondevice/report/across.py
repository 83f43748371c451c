"""Several devices side by side: one latency figure for each artifact and device."""

from __future__ import annotations

from collections import Counter

from ondevice.report import wording
from ondevice.report.cells import Cell, Table, decimals_for, figure, label, not_run
from ondevice.report.rows import Device, Row
from ondevice.report.study import Study

# Wider tables are not read; the devices' own tables have the rest.
MAX_COLUMNS = 8

Artifact = tuple[str, str]
"""A model's name, and target and scheme with the number of threads."""


def across_table(study: Study) -> Table | None:
    """Return the devices' medians side by side, at the length that most have; None for one."""
    devices = [device for device in study.sorted_devices() if not device.key.published]
    found = {device.key: _timed_rows(device) for device in devices}
    counts = Counter(
        (kind, length)
        for rows in found.values()
        for row in rows.values()
        for kind, length in row.times
        if length is not None and kind in {"model_only", "end_to_end"}
    )
    devices = [device for device in devices if found[device.key]]
    if len(devices) < 2 or not counts:
        return None
    kind, length = max(counts, key=lambda one: (counts[one], one[0] == "model_only", one[1]))
    artifacts = Counter(name for rows in found.values() for name in rows)
    names = sorted(artifacts, key=lambda name: (-artifacts[name], name))
    figures = {
        (device.key, name): _cell(found[device.key].get(name), kind, length)
        for device in devices
        for name in names
    }
    sideways = len(devices) > MAX_COLUMNS or len(devices) > len(names)
    what = "model only" if kind == "model_only" else "text to answer"
    caption = (
        f"Median ms at {length} tokens, {what}, over all runs of a device and system. Threads are"
        " in the artifact's name: figures of different threads do not compare."
    )
    if sideways:
        headers = ("device", *(" · ".join(name) for name in names[:MAX_COLUMNS]))
        rows = [
            (label(device.title), *(figures[device.key, name] for name in names[:MAX_COLUMNS]))
            for device in devices
        ]
        left = len(names) - MAX_COLUMNS
        kinds = "artifacts"
    else:
        shown = devices[:MAX_COLUMNS]
        headers = ("model", "artifact", *(device.title for device in shown))
        rows = [
            (*map(label, name), *(figures[device.key, name] for device in shown)) for name in names
        ]
        left = len(devices) - MAX_COLUMNS
        kinds = "devices"
    if left > 0:
        caption += f" {left} more {kinds} are in the tables below only."
    stub = 1 if sideways else 2
    return Table("across", "Devices side by side", caption, headers, tuple(rows), stub)


def _timed_rows(device: Device) -> dict[Artifact, Row]:
    """Return a device's timed rows by artifact; of several versions the one with most runs."""
    found: dict[Artifact, Row] = {}
    for row in device.sorted_rows():
        if not row.times:
            continue
        accelerator = "" if row.key.accelerator == "cpu" else f" on {row.key.accelerator}"
        name = row.key.model, f"{row.name}{accelerator}, {wording.threads(row)} threads"
        if name not in found or row.documents > found[name].documents:
            found[name] = row
    return found


def _cell(row: Row | None, kind: str, length: int) -> Cell:
    timings = None if row is None else row.time(kind, length)
    if row is None or timings is None:
        return not_run("not measured on this device")
    value = timings.value()
    interval = timings.interval()
    return figure(value, row.evidence, decimals=decimals_for([value]), interval=interval)
