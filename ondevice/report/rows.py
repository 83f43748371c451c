"""What a report keeps of its results: rows, one for each artifact, and their devices.

A row is one artifact on one runtime with one number of threads; results that differ in any of
these are never mixed. A row keeps bounded figures (:class:`Timings`), one score and a few remarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ondevice.bench.parts import ArtifactIdentity, RuntimeInfo
from ondevice.report.scores import Score
from ondevice.report.text import clean, plural
from ondevice.report.timings import Timings
from ondevice.statistics import Array, Interval, interval

MB = 1e6
# So many artifacts that a row took turns with are kept, each as "model target scheme".
MAX_TURNS = 64
# So many different words of one kind are kept of all results (reasons, sources, remarks).
MAX_WORDS = 12
# So many runs of a row are known by name: the first ones.
MAX_NAMED_RUNS = 64
Moment = tuple[str, int | None]
"""What was timed, and at how many tokens (None for loads)."""
Asked = tuple[str, int]
"""Real questions: the hash of their file, and how many of them were asked."""


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
    """What makes two devices one: kind, model, operating system and number of cores.

    The names of hosts' CPUs are of whole families: only the cores tell a small virtual machine
    from a large one. `cores` is 0 where the result does not say.
    """

    published: bool
    kind: str
    name: str
    soc: str
    os: str
    os_version: str
    virtual: bool
    cores: int

    @property
    def system(self) -> str:
        """The operating system with its version."""
        return f"{self.os} {self.os_version}".strip()

    @property
    def title(self) -> str:
        """The device as a heading calls it."""
        note = (" (emulator)" if self.virtual else "") + (" (published)" if self.published else "")
        return f"{self.name}, {self.system}{note}"

    @property
    def counted(self) -> str:
        """The cores as they stand behind a device's name, with a comma; empty if not known."""
        return f", {plural(self.cores, 'core')}" if self.cores else ""


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
    """Real questions under one rule of padding.

    Attributes:
        sums: ms of each question, over all runs.
    """

    data: str
    questions: int
    sums: Array
    timings: Timings = field(default_factory=Timings)
    windows: dict[int, int] = field(default_factory=dict)

    @property
    def by_question(self) -> Array:
        """The mean time of each question over the runs, in their order."""
        each: Array = self.sums / max(self.timings.runs, 1)
        return each


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

        return interval(share, len(self.longest))


@dataclass
class Row:
    """One artifact on one runtime, over all its runs. Times in ms, memory in MB.

    Attributes:
        turns: whom it took turns with, each as "model target scheme".
        runs: in which runs; what was timed alone has no run in common with others.
    """

    key: RowKey
    artifact: ArtifactIdentity
    runtime: RuntimeInfo
    documents: int = 0
    completed: int = 0
    times: dict[Moment, Timings] = field(default_factory=dict)
    memory: Timings = field(default_factory=Timings)
    before_load: Timings = field(default_factory=Timings)
    score: Score | None = None
    score_key: str = ""
    score_range: tuple[float, float] | None = None
    traffic: dict[tuple[Asked, str], Traffic] = field(default_factory=dict)
    gains: dict[Asked, Gain] = field(default_factory=dict)
    golden_failed: str = ""
    reasons: Words = field(default_factory=Words)
    remarks: Words = field(default_factory=Words)
    teacher_sha256: str | None = None
    turns: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    between_turns: Words = field(default_factory=Words)

    @property
    def evidence(self) -> str:
        """Where the row's figures come from."""
        return self.key.evidence

    @property
    def name(self) -> str:
        """The row's name but for its model: target and scheme."""
        return f"{self.key.target} {self.key.scheme}"

    @property
    def label(self) -> str:
        """What others call it that took turns with it."""
        return f"{self.key.model} {self.name}"

    def lengths(self, kind: str = "model_only") -> list[int]:
        """Return the lengths at which something was timed."""
        return sorted(length for what, length in self.times if what == kind and length is not None)

    def time(self, kind: str, length: int | None = None) -> Timings | None:
        """Return what was timed, if it was."""
        return self.times.get((kind, length))


@dataclass
class Device:
    """A device's rows, and the conditions under which they were taken.

    Attributes:
        alike: whether another device of the study has the same title.
    """

    key: DeviceKey
    documents: int = 0
    alike: bool = False
    rows: dict[RowKey, Row] = field(default_factory=dict)
    sources: Words = field(default_factory=Words)
    thermal: Words = field(default_factory=Words)
    power: Words = field(default_factory=Words)
    warmups: Words = field(default_factory=Words)
    orders: Words = field(default_factory=Words)
    between_turns: Words = field(default_factory=Words)
    timers: Words = field(default_factory=Words)
    cold_loads: Words = field(default_factory=Words)
    load_before: float = 0.0
    iterations: tuple[int, int] | None = None

    @property
    def title(self) -> str:
        """The device as a heading calls it, with its cores where that tells it from another."""
        return self.key.title + (self.key.counted if self.alike else "")

    def sorted_rows(self) -> list[Row]:
        """Return the rows, largest model first, then by artifact."""
        return sorted(self.rows.values(), key=lambda row: (-(row.artifact.params or 0), row.key))
