"""The study: results gathered by device and artifact, in memory that their number does not grow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ondevice.bench.parts import TrafficInfo, TrafficPolicy
from ondevice.bench.results import BenchmarkResult
from ondevice.report.rows import (
    MAX_NAMED_RUNS,
    MAX_TURNS,
    MB,
    Device,
    DeviceKey,
    Gain,
    Row,
    RowKey,
    Traffic,
)
from ondevice.report.scores import read_score
from ondevice.report.sources import Document, Skipped
from ondevice.report.text import clean
from ondevice.report.timings import NANOSECONDS, Timings

# Accelerators that are the CPU itself.
CPU = frozenset({"cpu", "xnnpack"})
# So many skipped files are named; the others are counted.
MAX_SKIPPED = 50


@dataclass
class Study:
    """All results, by device."""

    devices: dict[DeviceKey, Device] = field(default_factory=dict)
    documents: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    skipped_total: int = 0
    first: str = ""
    last: str = ""
    _titles: dict[str, Device] = field(default_factory=dict)

    def add(self, document: Document) -> None:
        """Take in a result."""
        result = document.result
        self.documents += 1
        if result.evidence != "published":
            self.first = min(self.first or result.created, result.created)
            self.last = max(self.last, result.created)
        device = self._device(device_key(result))
        _add_conditions(device, result)
        named = row_key(result)
        if named not in device.rows:
            device.rows[named] = Row(named, result.artifact, result.runtime)
        _add_figures(device.rows[named], document.key, result)

    def _device(self, key: DeviceKey) -> Device:
        if key not in self.devices:
            device = self.devices[key] = Device(key)
            first = self._titles.setdefault(key.title, device)
            if first is not device:
                first.alike = device.alike = True
        return self.devices[key]

    def skip(self, skipped: Skipped) -> None:
        """Count a file that cannot be used."""
        self.skipped_total += 1
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(skipped)

    def sorted_devices(self) -> list[Device]:
        """Return the devices: phones, hosts, then published; of each the most measured first."""
        return sorted(
            self.devices.values(),
            key=lambda one: (one.key.published, one.key.kind == "host", -one.documents, one.key),
        )


def gather(items: Iterable[Document | Skipped]) -> Study:
    """Gather results one at a time; none is kept."""
    study = Study()
    for item in items:
        if isinstance(item, Skipped):
            study.skip(item)
        else:
            study.add(item)
    return study


def device_key(result: BenchmarkResult) -> DeviceKey:
    """Return what a result's device is grouped by."""
    device = result.device
    return DeviceKey(
        published=result.evidence == "published",
        kind=device.kind,
        name=clean(device.name),
        soc=clean(device.soc or ""),
        os=clean(device.os),
        os_version=clean(device.os_version or ""),
        virtual=device.virtual,
        cores=device.cores or 0,
    )


def row_key(result: BenchmarkResult) -> RowKey:
    """Return what a result's row is grouped by."""
    artifact, runtime, protocol = result.artifact, result.runtime, result.protocol
    return RowKey(
        model=clean(artifact.model),
        target=clean(artifact.target),
        scheme=clean(artifact.scheme),
        runtime=clean(runtime.name),
        accelerator=clean(runtime.accelerator),
        version=clean(runtime.version),
        # 0: the runtime chose by itself.
        threads=(protocol.threads or 0) if protocol else 0,
        sha256=artifact.sha256 or "",
        evidence=result.evidence,
        task=clean(artifact.task),
    )


def _add_conditions(device: Device, result: BenchmarkResult) -> None:
    device.documents += 1
    device.sources.add(result.source)
    for state in (result.device.before, result.device.after):
        if state.thermal is not None:
            device.thermal.add(state.thermal)
        if state.power_mode is not None:
            device.power.add(state.power_mode.replace("_", " "))
    device.load_before = max(device.load_before, result.device.before.load_average or 0.0)
    if (protocol := result.protocol) is not None:
        if result.measurements:
            low, high = device.iterations or (protocol.iterations, protocol.iterations)
            device.iterations = min(low, protocol.iterations), max(high, protocol.iterations)
        device.between_turns.add(protocol.between_turns or "not told")
        device.warmups.add(protocol.warmup)
        device.orders.add(protocol.order)
        device.timers.add(protocol.timer)
        device.cold_loads.add(protocol.load_cold)


def _add_figures(row: Row, key: str, result: BenchmarkResult) -> None:
    row.documents += 1
    row.completed += result.status == "complete"
    for measured in result.measurements:
        moment = measured.kind, measured.length
        row.times.setdefault(moment, Timings()).add_measurement(key, measured)
        if measured.stable is False:
            row.remarks.add("warm-up ended at its limit of runs, before times had settled")
        if measured.reported is not None and measured.reported.median is None:
            row.remarks.add("the source prints no median: its mean stands for it")
    if result.memory is not None:
        row.memory.add_figures(key, 1, (result.memory.peak_bytes / MB,) * 3)
        if (before := result.memory.before_load_bytes) is not None:
            row.before_load.add_figures(key, 1, (before / MB,) * 3)
    if result.score is not None:
        _add_score(row, key, result)
    if result.traffic is not None:
        data = result.traffic.data
        for policy in result.traffic.policies:
            place = (data.sha256, data.questions), policy.policy
            if place not in row.traffic:
                none = np.zeros(data.questions)
                row.traffic[place] = Traffic(clean(data.name), data.questions, none)
            _add_traffic(row.traffic[place], key, policy)
        _add_gain(row, key, result.traffic)
    _add_turns(row, key, result)
    _add_remarks(row, result)


def _add_score(row: Row, key: str, result: BenchmarkResult) -> None:
    """Keep the score with the most questions; of several such, the one with the smallest key."""
    assert result.score is not None
    score = read_score(result.score)
    row.teacher_sha256 = result.score.teacher_sha256 or row.teacher_sha256
    value = score.value
    if value is not None:
        low, high = row.score_range or (value, value)
        row.score_range = min(low, value), max(high, value)
    kept = row.score
    if kept is None or (-score.questions, key) < (-kept.questions, row.score_key):
        row.score, row.score_key = score, key


def _add_traffic(traffic: Traffic, key: str, policy: TrafficPolicy) -> None:
    if policy.samples:
        samples = np.asarray(policy.samples, np.float64) / NANOSECONDS
        traffic.timings.add(key, samples)
        traffic.sums += samples
    for length, count in policy.windows:
        traffic.windows[length] = traffic.windows.get(length, 0) + count


def _add_gain(row: Row, key: str, traffic: TrafficInfo) -> None:
    """Keep the questions' times of one run: the one with the smallest key."""
    times = {one.policy: np.asarray(one.samples, np.float64) for one in traffic.policies}
    asked = traffic.data.sha256, traffic.data.questions
    kept = row.gains.get(asked)
    if len(times) == 2 and (kept is None or key < kept.key):
        row.gains[asked] = Gain(key, times["longest"], times["shortest_bucket"])


def _add_turns(row: Row, key: str, result: BenchmarkResult) -> None:
    """Keep whom a timed row took turns with, and in which run: its documents name one moment."""
    if (protocol := result.protocol) is None:
        return
    row.turns.update(map(clean, protocol.interleaved_with[: MAX_TURNS - len(row.turns)]))
    if not result.measurements:
        return
    row.runs.add(result.created if protocol.interleaved_with else key)
    if len(row.runs) > MAX_NAMED_RUNS:
        row.runs.remove(max(row.runs))
    if protocol.between_turns is not None:
        row.between_turns.add(protocol.between_turns)


def _add_remarks(row: Row, result: BenchmarkResult) -> None:
    if result.golden.status == "failed":
        row.golden_failed = clean(result.golden.reason) or "it failed its golden check"
    elif result.golden.status == "not_run" and result.evidence not in {"published", "not run"}:
        row.remarks.add(f"golden check not run: {result.golden.reason or 'no reason given'}")
    if result.status == "partial":
        row.reasons.add(result.reason)
    # XNNPACK is the CPU: nothing can fall back from it to there.
    if result.cpu_fallback and result.runtime.accelerator not in CPU:
        row.remarks.add("part of the graph fell back from the accelerator to the CPU")
    if result.protocol is not None and result.protocol.order == "alone":
        row.remarks.add("timed alone, not in turns with the others")
    for note in result.notes:
        row.remarks.add(note)
