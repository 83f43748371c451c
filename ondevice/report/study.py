"""The study: results gathered by device and artifact, in memory that their number does not grow.

A row is one artifact on one runtime with one number of threads; results that differ in any of
these are never mixed. A row keeps bounded figures (:class:`Timings`), one score and a few remarks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ondevice.bench.parts import ArtifactIdentity, RuntimeInfo, TrafficInfo, TrafficPolicy
from ondevice.bench.results import BenchmarkResult
from ondevice.distill import retention
from ondevice.distill.retention import Interval
from ondevice.report.scores import Score, read_score
from ondevice.report.sources import Document, Skipped
from ondevice.report.statistics import NANOSECONDS, Array, Timings
from ondevice.report.text import clean

MB = 1e6
# So many different words of one kind are kept of all results (reasons, sources, remarks).
MAX_WORDS = 12
# So many skipped files are named; the others are counted.
MAX_SKIPPED = 50

Moment = tuple[str, int | None]
"""What was timed, and at how many tokens (None for loads)."""


@dataclass
class Words:
    """Different texts with how often each came: the first MAX_WORDS, and how many came at all."""

    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def add(self, text: str) -> None:
        """Count a text."""
        self.total += 1
        text = clean(text)
        if text in self.counts or len(self.counts) < MAX_WORDS:
            self.counts[text] = self.counts.get(text, 0) + 1


@dataclass(frozen=True, order=True)
class DeviceKey:
    """What makes two devices one: kind, model and operating system."""

    published: bool
    kind: str
    name: str
    soc: str
    os: str
    os_version: str
    virtual: bool

    @property
    def system(self) -> str:
        """The operating system with its version."""
        return f"{self.os} {self.os_version}".strip()

    @property
    def title(self) -> str:
        """The device as a heading calls it."""
        note = (" (emulator)" if self.virtual else "") + (" (published)" if self.published else "")
        return f"{self.name}, {self.system}{note}"


@dataclass(frozen=True, order=True)
class RowKey:
    """What makes two results one row."""

    model: str
    target: str
    scheme: str
    runtime: str
    accelerator: str
    version: str
    threads: int
    sha256: str
    evidence: str
    task: str


@dataclass
class Traffic:
    """Real questions under one rule of padding."""

    data: str
    questions: int
    timings: Timings = field(default_factory=Timings)
    windows: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Gain:
    """What the shortest buckets save in one run: its whole time over theirs, by question."""

    key: str
    longest: Array
    shortest: Array

    @cached_property
    def interval(self) -> Interval:
        """The ratio with its paired bootstrap interval over the questions."""

        def share(indices: NDArray[np.int64]) -> float:
            return float(self.longest[indices].sum() / self.shortest[indices].sum())

        return retention.interval(share, len(self.longest))


@dataclass
class Row:
    """One artifact on one runtime, over all its runs. Times in ms, memory in MB."""

    key: RowKey
    artifact: ArtifactIdentity
    runtime: RuntimeInfo
    documents: int = 0
    times: dict[Moment, Timings] = field(default_factory=dict)
    memory: Timings = field(default_factory=Timings)
    score: Score | None = None
    score_key: str = ""
    score_range: tuple[float, float] | None = None
    traffic: dict[tuple[str, str], Traffic] = field(default_factory=dict)
    gains: dict[str, Gain] = field(default_factory=dict)
    golden_failed: str = ""
    reasons: Words = field(default_factory=Words)
    remarks: Words = field(default_factory=Words)
    teacher_sha256: str | None = None

    @property
    def evidence(self) -> str:
        """Where the row's figures come from."""
        return self.key.evidence

    @property
    def name(self) -> str:
        """The row's name but for its model: target and scheme."""
        return f"{self.key.target} {self.key.scheme}"

    def lengths(self, kind: str = "model_only") -> list[int]:
        """Return the lengths at which something was timed."""
        return sorted(length for what, length in self.times if what == kind and length is not None)

    def time(self, kind: str, length: int | None = None) -> Timings | None:
        """Return what was timed, if it was."""
        return self.times.get((kind, length))


@dataclass
class Device:
    """A device's rows, and the conditions under which they were taken."""

    key: DeviceKey
    documents: int = 0
    cores: int | None = None
    rows: dict[RowKey, Row] = field(default_factory=dict)
    sources: Words = field(default_factory=Words)
    thermal: Words = field(default_factory=Words)
    power: Words = field(default_factory=Words)
    warmups: Words = field(default_factory=Words)
    orders: Words = field(default_factory=Words)
    timers: Words = field(default_factory=Words)
    cold_loads: Words = field(default_factory=Words)
    load_before: float = 0.0
    iterations: tuple[int, int] | None = None

    def sorted_rows(self) -> list[Row]:
        """Return the rows, largest model first, then by artifact."""
        return sorted(self.rows.values(), key=lambda row: (-(row.artifact.params or 0), row.key))


@dataclass
class Study:
    """All results, by device."""

    devices: dict[DeviceKey, Device] = field(default_factory=dict)
    documents: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    skipped_total: int = 0
    first: str = ""
    last: str = ""

    def add(self, document: Document) -> None:
        """Take in a result."""
        result = document.result
        self.documents += 1
        self.first = min(self.first or result.created, result.created)
        self.last = max(self.last, result.created)
        device = self.devices.setdefault(key := device_key(result), Device(key))
        _add_conditions(device, result)
        named = row_key(result)
        if named not in device.rows:
            device.rows[named] = Row(named, result.artifact, result.runtime)
        _add_figures(device.rows[named], document.key, result)

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
    device.cores = device.cores or result.device.cores
    device.sources.add(result.source)
    for state in (result.device.before, result.device.after):
        if state.thermal is not None:
            device.thermal.add(state.thermal)
        if state.power_mode is not None:
            device.power.add(state.power_mode.replace("_", " "))
    device.load_before = max(device.load_before, result.device.before.load_average or 0.0)
    if (protocol := result.protocol) is not None:
        low, high = device.iterations or (protocol.iterations, protocol.iterations)
        device.iterations = min(low, protocol.iterations), max(high, protocol.iterations)
        device.warmups.add(protocol.warmup)
        device.orders.add(protocol.order)
        device.timers.add(protocol.timer)
        device.cold_loads.add(protocol.load_cold)


def _add_figures(row: Row, key: str, result: BenchmarkResult) -> None:
    row.documents += 1
    for measured in result.measurements:
        moment = measured.kind, measured.length
        row.times.setdefault(moment, Timings()).add_measurement(key, measured)
        if measured.stable is False:
            row.remarks.add("warm-up ended at its limit of runs, before times had settled")
        if measured.reported is not None and measured.reported.median is None:
            row.remarks.add("the source prints no median: its mean stands for it")
    if result.memory is not None:
        row.memory.add_figures(key, 1, (result.memory.peak_bytes / MB,) * 3)
    if result.score is not None:
        _add_score(row, key, result)
    if result.traffic is not None:
        for policy in result.traffic.policies:
            data = result.traffic.data
            place = data.sha256, policy.policy
            seen = row.traffic.setdefault(place, Traffic(clean(data.name), data.questions))
            _add_traffic(seen, key, policy)
        _add_gain(row, key, result.traffic)
    _add_remarks(row, result)


def _add_score(row: Row, key: str, result: BenchmarkResult) -> None:
    """Keep the score with the most questions; of several such, the one with the smallest key."""
    assert result.score is not None
    score = read_score(result.score)
    row.teacher_sha256 = result.score.teacher_sha256 or row.teacher_sha256
    value = 100.0 * float(score.f1.mean()) if len(score.f1) else score.reported_f1
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
    for length, count in policy.windows:
        traffic.windows[length] = traffic.windows.get(length, 0) + count


def _add_gain(row: Row, key: str, traffic: TrafficInfo) -> None:
    """Keep the questions' times of one run: the one with the smallest key."""
    times = {one.policy: np.asarray(one.samples, np.float64) for one in traffic.policies}
    kept = row.gains.get(traffic.data.sha256)
    if len(times) == 2 and (kept is None or key < kept.key):
        row.gains[traffic.data.sha256] = Gain(key, times["longest"], times["shortest_bucket"])


def _add_remarks(row: Row, result: BenchmarkResult) -> None:
    if result.golden.status == "failed":
        row.golden_failed = clean(result.golden.reason) or "it failed its golden check"
    elif result.golden.status == "not_run" and result.evidence not in {"published", "not run"}:
        row.remarks.add(f"golden check not run: {result.golden.reason or 'no reason given'}")
    if result.status == "partial":
        row.reasons.add(result.reason)
    if result.cpu_fallback:
        row.remarks.add("part of the graph fell back from the accelerator to the CPU")
    if result.protocol is not None and result.protocol.order == "alone":
        row.remarks.add("timed alone, not in turns with the others")
    for note in result.notes:
        row.remarks.add(note)
