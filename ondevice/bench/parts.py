"""The parts of a benchmark result, as types; :mod:`ondevice.bench.results` puts them together.

Times are whole nanoseconds, sizes bytes, scores percent. Where something is unknown the field is
null or left out, never guessed.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, FailFast, Field, model_validator

from ondevice.manifest import Sha256, Strict

MAX_SAMPLES = 100_000
MAX_MEASUREMENTS = 1_000
MAX_THREADS = 4_096
MAX_NANOSECONDS = 10**15  # eleven days: no single run takes longer

# FailFast: of a million wrong items one is told; an error for each would cost gigabytes.

# Documents end up in terminals and web pages: no control characters (C0, DEL and C1, of which
# U+009B alone begins a terminal's command), no line separators, nothing that turns the text beside
# it around (directional marks, embeddings, overrides and isolates), and an end.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
PRINTABLE = f"^[^{UNPRINTABLE}]*$"
Text = Annotated[str, Field(max_length=2_000, pattern=PRINTABLE)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
Nanoseconds = Annotated[int, Field(gt=0, le=MAX_NANOSECONDS)]
Bytes = Annotated[int, Field(gt=0, le=2**50)]
Length = Annotated[int, Field(gt=0, le=2**16)]
Count = Annotated[int, Field(ge=0, le=2**40)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Place = Annotated[int, Field(ge=0, le=2**31 - 1)]
Samples = Annotated[tuple[Nanoseconds, ...], FailFast(), Field(max_length=MAX_SAMPLES)]

Kind = Literal[
    "load_cold", "load_warm", "first_inference", "model_only", "end_to_end", "tokenize", "decode"
]
Evidence = Literal["phone", "host", "reference", "published", "not run"]
Thermal = Literal[
    # iOS: ProcessInfo.thermalState
    "nominal",
    "fair",
    "serious",
    "critical",
    # Android: PowerManager.getCurrentThermalStatus ("critical" is a word of both)
    "none",
    "light",
    "moderate",
    "severe",
    "emergency",
    "shutdown",
]
LOADS = ("load_cold", "load_warm")
_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")


def plain(text: str, size: int = 500) -> str:
    """Return someone else's text as one line that fits :data:`Text`."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())[:size]


class Documented(Strict):
    """A strict record whose fields' docstrings go into the JSON Schema."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DeviceState(Documented):
    """What the device told about itself at one moment."""

    thermal: Thermal | None = None
    """The system's own word for how hot it is; on a Mac what its warning level and the limit on
    the processor's speed amount to."""
    temperature_celsius: Annotated[float, Field(ge=-100, le=200)] | None = None
    """Degrees Celsius of the hottest sensor that could be read (Android: the battery)."""
    battery_percent: Percent | None = None
    """Charge of the battery, 0 to 100."""
    charging: bool | None = None
    """Whether it is connected to power."""
    power_mode: Literal["normal", "low_power"] | None = None
    """Low Power Mode of iOS and macOS, Android's Battery Saver."""
    load_average: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Runnable processes, mean of the last minute (hosts): above 0 other work was going on."""


class DeviceInfo(Documented):
    """A phone or a computer, and its state."""

    kind: Literal["host", "android", "ios"]
    """What kind of device."""
    name: Name
    """Model as the device names itself: "Pixel 8", "iPhone15,4"; on a host the CPU."""
    virtual: bool = False
    """An emulator or simulator: its times are not a phone's."""
    soc: Text | None = None
    """System on a chip, for example "Tensor G3"; on a host the architecture."""
    os: Name
    """Operating system: "Android", "iOS", "Linux", "macOS"."""
    os_version: Text | None = None
    """Its version, for example "14" or "17.5.1"."""
    cores: Annotated[int, Field(gt=0, le=4096)] | None = None
    """Logical CPU cores."""
    memory_bytes: Bytes | None = None
    """Physical memory, bytes."""
    before: DeviceState = DeviceState()
    """State before the first timed run."""
    after: DeviceState = DeviceState()
    """State after the last timed run."""


class ArtifactIdentity(Documented):
    """What was measured; from the bundle's manifest."""

    model: Name
    """Name of the checkpoint."""
    task: Name
    """qa, classify, tokens or embed."""
    target: Name
    """Format: coreml, tflite, executorch, onnx; "torch" for a checkpoint run by PyTorch."""
    scheme: Name
    """Quantization: fp32, fp16, int8, …"""
    lengths: Annotated[tuple[Length, ...], FailFast(), Field(max_length=100)] = ()
    """Sequence lengths that the artifact serves, tokens."""
    sha256: Sha256 | None = None
    """Hash of the artifact (manifest: artifact.sha256; torch: of the weights); null only for
    published figures, and for what was not run because it was never made."""
    bytes: Bytes | None = None
    """Size of the artifact, bytes."""
    params: Annotated[int, Field(gt=0, le=10**13)] | None = None
    """Weights of the model, a number."""
    model_sha256: Sha256 | None = None
    """Hash of the checkpoint's weights (manifest: model.sha256)."""
    content_key: Sha256 | None = None
    """The bundle's content key (manifest: content_key)."""


class RuntimeInfo(Documented):
    """The engine that ran the artifact."""

    name: Name
    """Package or library: "ai-edge-litert", "executorch", "onnxruntime", "coreml", "torch"."""
    version: Text = ""
    """Its version; empty if unknown."""
    accelerator: Name = "cpu"
    """What was asked for: "cpu", "xnnpack", "gpu", "nnapi", "ane", "all", …"""


class Placement(Documented):
    """How much of the graph one delegate or compute unit took."""

    delegate: Name
    """Name as the runtime prints it: "TfLiteXNNPackDelegate", "neuralEngine"."""
    nodes: Count
    """Nodes that it took."""
    total: Count
    """Nodes of the graph; 0 if unknown."""


class ProtocolInfo(Documented):
    """How it was timed; README says what the words mean."""

    threads: Annotated[int, Field(gt=0, le=MAX_THREADS)] | None = None
    """CPU threads that the runtime was told to use; null where it chose by itself."""
    warmup: Text
    """The rule by which warm-up ended, as a sentence."""
    iterations: Annotated[int, Field(gt=0, le=MAX_SAMPLES)]
    """Timed runs that were asked for, of each kind and length."""
    order: Literal["interleaved", "alone"]
    """interleaved: the artifacts took turns run by run; alone: one after another."""
    interleaved_with: Annotated[tuple[Name, ...], FailFast(), Field(max_length=1000)] = ()
    """The others that took turns, each as "model target scheme"."""
    timer: Name
    """The clock: "time.perf_counter_ns", "System.nanoTime", "mach_absolute_time", …"""
    load_cold: Text
    """What a cold load means here: which caches were empty and which were not."""
    between_turns: Text | None = None
    """What an artifact's process does between its timed runs, and how far apart these are:
    "stopped (SIGSTOP), 10 ms apart"; null where it is not told."""


class GoldenCheck(Documented):
    """Whether the artifact gave its goldens' answers on this runtime, before it was timed."""

    status: Literal["passed", "failed", "not_run"]
    """failed forbids measurements."""
    checked: Count = 0
    """Golden records that were compared."""
    max_abs: Annotated[float, Field(ge=0)] | None = None
    """Largest absolute difference of an output value."""
    reason: Text = ""
    """Why it failed or did not run."""


class ReportedTimes(Documented):
    """Times from a source that gives no samples; nanoseconds. Mean or median is given."""

    count: Count = 0
    """Runs behind the figures; 0 if unknown."""
    mean: Nanoseconds | None = None
    """Arithmetic mean."""
    median: Nanoseconds | None = None
    """50th percentile."""
    p90: Nanoseconds | None = None
    """90th percentile."""
    p95: Nanoseconds | None = None
    """95th percentile."""
    p99: Nanoseconds | None = None
    """99th percentile."""
    min: Nanoseconds | None = None
    """Shortest run."""
    max: Nanoseconds | None = None
    """Longest run."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mean is None and self.median is None:
            raise ValueError("reported figures need a mean or a median")
        rising = (self.min, self.median, self.p90, self.p95, self.p99, self.max)
        known = [one for one in rising if one is not None]
        if known != sorted(known):
            raise ValueError("min, median, p90, p95, p99 and max do not rise")
        return self


class Measurement(Documented):
    """One thing, timed again and again; either `samples` or `reported` is given."""

    kind: Kind
    """load_cold: the first load in a fresh process; load_warm: loads after it in that process;
    first_inference: the first run after a cold load; model_only: model inputs to outputs;
    end_to_end: text to answer; tokenize: text to model inputs; decode: outputs to answer."""
    length: Length | None = None
    """Tokens of the input, padding included; null for loads."""
    unit: Literal["ns"] = "ns"
    """Always nanoseconds."""
    samples: Samples = ()
    """Each timed run in the order in which they ran, nanoseconds."""
    warmup_runs: Count = 0
    """Runs before the first sample, not among the samples."""
    stable: bool | None = None
    """Whether warm-up ended because times had settled; false: at its limit of runs."""
    reported: ReportedTimes | None = None
    """Figures of a source that gives no samples."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.length is None) != (self.kind in LOADS):
            raise ValueError(
                f"'{self.kind}' {'takes no' if self.kind in LOADS else 'needs a'} length"
            )
        if bool(self.samples) == (self.reported is not None):
            raise ValueError("a measurement has either samples or reported figures")
        return self


class MemoryInfo(Documented):
    """Memory of the process that held the artifact: all of the process, not the artifact's share.

    On the host that is Python, the runtime and its packages as well; in an app the app.
    """

    peak_bytes: Bytes
    """Largest resident set of the process up to the reading, whatever reached it, bytes."""
    before_load_bytes: Bytes | None = None
    """Resident set just before the load, the runtime already imported, bytes: what of the peak is
    not the artifact's. Null where it was not read."""
    method: Name
    """How it was read: "VmHWM", "ru_maxrss", "benchmark_model", "phys_footprint", …"""


class DataInfo(Documented):
    """A data file of questions."""

    name: Name
    """Its file name, without directories."""
    sha256: Sha256
    """Hash of the file."""
    questions: Annotated[int, Field(gt=0, le=2**31 - 1)]
    """Questions of it that were asked."""


class QuestionScores(Documented):
    """Each question's own score, in the order of the document's `ids`."""

    em: Annotated[tuple[Literal[0, 1], ...], FailFast(), Field(max_length=MAX_SAMPLES)]
    """1 where the answer matches a human's after SQuAD's normalization."""
    f1: Annotated[tuple[Share, ...], FailFast(), Field(max_length=MAX_SAMPLES)]
    """Token F1, 0 to 1."""
    spans: Annotated[tuple[tuple[Place, Place], ...], FailFast(), Field(max_length=MAX_SAMPLES)]
    """The answer's code points [start, end) in the context; [0, 0] for "no answer"."""


class ScoreInfo(Documented):
    """Answers of the artifact as executed on this runtime, beside the teacher's to the same.

    EM, F1, retention, flips and their intervals are derived from the questions' scores
    (:mod:`ondevice.bench.score`).
    """

    data: DataInfo | None = None
    """The questions; null for reported scores."""
    ids: Annotated[tuple[Name, ...], FailFast(), Field(max_length=MAX_SAMPLES)] = ()
    """Ids of the questions."""
    artifact: QuestionScores | None = None
    """The artifact's scores."""
    teacher_name: Text = ""
    """Name of the teacher, empty if there was none."""
    teacher_sha256: Sha256 | None = None
    """Hash of the teacher's weights."""
    teacher: QuestionScores | None = None
    """The teacher's scores, by PyTorch in float32 on the host."""
    reported_em: Percent | None = None
    """EM of a source that gives no questions, percent."""
    reported_f1: Percent | None = None
    """F1 of a source that gives no questions, percent."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for scores in (self.artifact, self.teacher):
            columns = () if scores is None else (scores.em, scores.f1, scores.spans)
            if any(len(column) != len(self.ids) for column in columns):
                raise ValueError("the scores are not as many as the ids")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("a question id occurs twice")
        if self.artifact is not None:
            if self.data is None or self.data.questions != len(self.ids) or not self.ids:
                raise ValueError("the ids are not as many as the questions of the data")
            if self.reported_em is not None or self.reported_f1 is not None:
                raise ValueError("scores are either given by question or reported")
        elif self.teacher is not None or (self.reported_em is None and self.reported_f1 is None):
            raise ValueError("there is no score of the artifact")
        return self


class TrafficPolicy(Documented):
    """The same questions under one rule of padding."""

    policy: Literal["shortest_bucket", "longest"]
    """shortest_bucket: each window at the shortest length that it fits; longest: all at the
    longest."""
    samples: Samples
    """End-to-end time of each question, all of its windows, nanoseconds."""
    windows: Annotated[tuple[tuple[Length, Count], ...], FailFast(), Field(max_length=100)] = ()
    """[length, windows that ran at it], ascending."""


class TrafficInfo(Documented):
    """Real questions instead of fixed lengths."""

    data: DataInfo
    """The questions."""
    policies: Annotated[tuple[TrafficPolicy, ...], FailFast(), Field(min_length=1, max_length=2)]
    """One for each rule of padding."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [one.policy for one in self.policies]
        if len(set(names)) != len(names):
            raise ValueError("a policy occurs twice")
        if any(len(one.samples) != self.data.questions for one in self.policies):
            raise ValueError("the samples are not as many as the questions")
        return self
