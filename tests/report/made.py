"""Made-up results, built from the result types themselves. No such device was measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ondevice.bench import parts
from ondevice.bench.results import BenchmarkResult, write_result

LENGTHS = (64, 128, 256, 384)
TEACHER, STUDENT = "bert-teacher", "bert-student"
PARAMS = {TEACHER: 109_500_000, STUDENT: 66_400_000}
BYTES = {"fp32": 4.0, "fp16": 2.0, "int8": 1.02}
# ms for each token of the teacher at length 384.
COST = {"torch": 1.9, "tflite": 1.4, "onnx": 1.3, "executorch": 1.8, "coreml": 0.3}

HOST = parts.DeviceInfo(
    kind="host",
    name="Example CPU @ 2.0 GHz",
    soc="x86_64",
    os="Linux",
    os_version="6.1",
    cores=2,
    before=parts.DeviceState(load_average=0.1),
    after=parts.DeviceState(load_average=2.1),
)
PHONE = parts.DeviceInfo(
    kind="android",
    name="Example Phone 8",
    soc="Example G3",
    os="Android",
    os_version="14",
    cores=8,
    before=parts.DeviceState(thermal="none", battery_percent=88.0, power_mode="normal"),
    after=parts.DeviceState(thermal="light", battery_percent=85.0, power_mode="normal"),
)
IPHONE = parts.DeviceInfo(
    kind="ios",
    name="Example Phone 15",
    soc="Example A16",
    os="iOS",
    os_version="17.5.1",
    cores=6,
    before=parts.DeviceState(thermal="nominal", battery_percent=70.0, power_mode="normal"),
    after=parts.DeviceState(thermal="fair", battery_percent=66.0, power_mode="low_power"),
)
PROTOCOL = parts.ProtocolInfo(
    threads=2,
    warmup="until three runs in a row lie within 5 % of each other, at most 30",
    iterations=50,
    order="interleaved",
    timer="time.perf_counter_ns",
    load_cold="fresh process; the file may be in the page cache",
)


def in_turn(*others: str, **changes) -> parts.ProtocolInfo:
    """Return how it was timed if these took turns with it, each as "model target scheme"."""
    return PROTOCOL.model_copy(update={"interleaved_with": others} | changes)


def sha(*words: object) -> str:
    """Return a hash of words."""
    return hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()


def draw(*words: object) -> np.random.Generator:
    """Return a generator that the words decide."""
    return np.random.default_rng(int(sha(*words)[:8], 16))


def samples(ms: float, count: int, *words: object) -> tuple[int, ...]:
    """Return times around `ms` with a tail, as timers give them."""
    random = draw("samples", *words)
    noise = 1 + 0.02 * random.standard_normal(count) + 0.05 * random.exponential(0.4, count)
    return tuple(int(value) for value in ms * 1e6 * np.maximum(noise, 0.9))


def latency(model: str, target: str, scheme: str, length: int) -> float:
    """Return a plausible median in ms."""
    whole = COST[target] * (length**1.07)
    return whole * PARAMS[model] / PARAMS[TEACHER] * (0.8 if scheme == "int8" else 1.0)


def scores(model: str, scheme: str, questions: int) -> parts.QuestionScores:
    """Return scores by question; better for the teacher and for more bits."""
    level = (0.885 if model == TEACHER else 0.86) - (0.02 if scheme == "int8" else 0.0)
    hard = draw("questions").random(questions)
    f1 = np.where(hard < level - 0.08, 1.0, np.where(hard < level + 0.05, 0.6, 0.0))
    return parts.QuestionScores(
        em=tuple(int(one == 1.0) for one in f1),
        f1=tuple(float(one) for one in f1),
        spans=tuple((0, 5 + int(10 * one)) for one in f1),
    )


def score(model: str, scheme: str, questions: int = 300) -> parts.ScoreInfo:
    """Return an artifact's score beside its teacher's."""
    return parts.ScoreInfo(
        data=parts.DataInfo(name="dev.json", sha256=sha("dev"), questions=questions),
        ids=tuple(f"q{number}" for number in range(questions)),
        artifact=scores(model, scheme, questions),
        teacher_name=TEACHER,
        teacher_sha256=sha(TEACHER),
        teacher=scores(TEACHER, "fp32", questions),
    )


def traffic(model: str, target: str, scheme: str, questions: int = 120) -> parts.TrafficInfo:
    """Return question times under both policies."""
    lengths = draw("traffic").choice(LENGTHS, questions, p=(0.1, 0.3, 0.4, 0.2))
    short = [latency(model, target, scheme, int(length)) for length in lengths]
    long = [latency(model, target, scheme, 384)] * questions
    policies = []
    for policy, each in (("shortest_bucket", short), ("longest", long)):
        jitter = 1 + 0.03 * draw(policy, model, target, scheme).random(questions)
        found, counts = np.unique(lengths, return_counts=True)
        windows = tuple(zip(found.tolist(), counts.tolist(), strict=True))
        policies.append(
            parts.TrafficPolicy(
                policy=policy,
                samples=tuple(int(one) for one in np.array(each) * jitter * 1e6),
                windows=windows if policy == "shortest_bucket" else ((384, questions),),
            )
        )
    data = parts.DataInfo(name="dev.json", sha256=sha("dev"), questions=questions)
    return parts.TrafficInfo(data=data, policies=tuple(policies))


def identity(model: str = STUDENT, target: str = "tflite", scheme: str = "fp32", **changes):
    """Return what was measured."""
    fields = {
        "model": model,
        "task": "qa",
        "target": target,
        "scheme": scheme,
        "lengths": LENGTHS,
        "sha256": sha(model) if target == "torch" else sha(model, target, scheme),
        "bytes": int(PARAMS.get(model, 10**7) * BYTES.get(scheme, 4.0)),
        "params": PARAMS.get(model, 10**7),
        "model_sha256": sha(model),
    }
    return parts.ArtifactIdentity(**(fields | changes))


RUNTIMES = {
    "torch": ("torch", "2.13.0"),
    "tflite": ("ai-edge-litert", "2.3.0"),
    "onnx": ("onnxruntime", "1.32.0"),
    "executorch": ("executorch", "1.5.1"),
    "coreml": ("coreml", "17.5"),
}


def measurements(
    model: str, target: str, scheme: str, *, lengths=LENGTHS, factor=1.0, count=50, salt=""
) -> tuple[parts.Measurement, ...]:
    """Return times of loads and of every length, in the protocol's kinds."""
    words = (model, target, scheme, salt)
    load = 0.4 * PARAMS[model] * BYTES[scheme] / 1e6 * factor
    found = [
        parts.Measurement(kind="load_cold", samples=samples(load, 5, "cold", *words)),
        parts.Measurement(kind="load_warm", samples=samples(load / 4, 10, "warm", *words)),
    ]
    for length in lengths:
        whole = latency(model, target, scheme, length) * factor
        for kind, ms in (
            ("model_only", whole),
            ("end_to_end", whole * 1.06 + 0.4),
            ("tokenize", 0.004 * length),
            ("decode", 0.002 * length),
        ):
            times = samples(ms, count, kind, length, *words)
            found.append(
                parts.Measurement(
                    kind=kind, length=length, samples=times, warmup_runs=8, stable=True
                )
            )
    return tuple(found)


def result(
    model: str = STUDENT,
    target: str = "tflite",
    scheme: str = "fp32",
    *,
    device: parts.DeviceInfo = HOST,
    factor: float = 1.0,
    salt: str = "",
    questions: int = 0,
    real: bool = False,
    **changes,
) -> BenchmarkResult:
    """Return a result; `changes` replace fields of the document."""
    name, version = RUNTIMES[target]
    fields = {
        "schema_version": 1,
        "created": "2026-01-31T12:00:00Z",
        "status": "complete",
        "evidence": "host" if device.kind == "host" or device.virtual else "phone",
        "source": "EXAMPLE, made up: no such device was measured",
        "device": device,
        "artifact": identity(model, target, scheme),
        "runtime": parts.RuntimeInfo(name=name, version=version),
        "protocol": PROTOCOL,
        "golden": parts.GoldenCheck(status="passed", checked=12, max_abs=1e-4),
    }
    if changes.get("evidence") not in {"not run", "reference"}:
        words = (device.name, salt)
        fields["measurements"] = measurements(
            model, target, scheme, factor=factor, salt=" ".join(words)
        )
        fields["memory"] = parts.MemoryInfo(
            peak_bytes=int(fields["artifact"].bytes * 1.6 + 9e7), method="VmHWM"
        )
        if questions:
            fields["score"] = score(model, scheme, questions)
        if real:
            fields["traffic"] = traffic(model, target, scheme)
    return BenchmarkResult(**(fields | changes))


def write(directory: Path, *results: BenchmarkResult) -> Path:
    """Write results into a directory, one after the other under names of their own."""
    for number, one in enumerate(results):
        place = directory / f"{number:05d}"
        write_result(place, one)
    return directory


def whole_study() -> list[BenchmarkResult]:
    """Return a study of a host and two phones, with what failed and what did not run."""
    found = [result(TEACHER, "torch", "fp32", questions=300)]
    for model in (TEACHER, STUDENT):
        for target in ("tflite", "onnx", "executorch"):
            found += [
                result(model, target, scheme, questions=300, real=True)
                for scheme in ("fp32", "int8")
            ]
        found += [
            result(model, "tflite", scheme, device=PHONE, factor=0.25, questions=300, real=True)
            for scheme in ("fp32", "int8")
        ]
        found.append(result(model, "coreml", "fp16", device=IPHONE, factor=0.25, questions=300))
    unfinished = {"status": "partial", "memory": None}
    failed = parts.GoldenCheck(status="failed", checked=12, max_abs=3.0, reason="differs by 3.0")
    found.append(
        result(
            STUDENT,
            "executorch",
            "int8",
            device=PHONE,
            measurements=(),
            golden=failed,
            reason="it failed its golden check",
            **unfinished,
        )
    )
    found.append(
        result(
            STUDENT,
            "coreml",
            "fp16",
            evidence="not run",
            golden=parts.GoldenCheck(status="not_run", reason="Core ML runs on Apple systems"),
            reason="Core ML runs on Apple systems",
            **unfinished,
        )
    )
    return [took_turns(one, found) for one in found]


def took_turns(one: BenchmarkResult, results: list[BenchmarkResult]) -> BenchmarkResult:
    """Return a result as one of a run of all results of its device."""
    labels = (
        f"{other.artifact.model} {other.artifact.target} {other.artifact.scheme}"
        for other in results
        if other is not one and other.device == one.device and other.measurements
    )
    return one.model_copy(update={"protocol": in_turn(*labels)})
