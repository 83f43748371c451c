"""From what a program on a phone said to measurements: times in ns, memory, what ran where.

A figure that fits no measurement (zero, out of bounds) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from ondevice.bench.android_output import BenchmarkModelOutput, ExecutorRunnerOutput, Stat
from ondevice.bench.parts import (
    MAX_NANOSECONDS,
    Measurement,
    MemoryInfo,
    Placement,
    ReportedTimes,
    plain,
)

T = TypeVar("T")
MAX_COUNT = 2**40


@dataclass(frozen=True)
class Ran(Generic[T]):
    """One process of a program.

    Attributes:
        length: L of its inputs.
        timed: whether it ran to be timed, and not for its answer.
        said: what it printed.
    """

    length: int
    timed: bool
    said: T


def benchmark_model_times(
    ran: Sequence[Ran[BenchmarkModelOutput]], watched: int
) -> list[Measurement]:
    """Return loads and first inferences as samples, the timed runs as reported.

    Args:
        ran: the processes, in order.
        watched: so many of the first were watched for their memory, and are not timed.
    """
    calm = ran[watched:]
    found = _loads(_nanoseconds(one.said.init, 1e3) for one in calm)
    for length in _lengths(ran):
        here = [one for one in calm if one.length == length]
        found += _firsts(length, (_nanoseconds(one.said.first, 1e3) for one in here))
        for one in (one for one in here if one.timed and one.said.runs is not None):
            assert one.said.runs is not None
            reported = _reported(one.said.runs)
            if reported is not None:
                warmup = one.said.warmup.count if one.said.warmup else 0
                found.append(
                    Measurement(
                        kind="model_only", length=length, reported=reported, warmup_runs=warmup
                    )
                )
    return found


def _reported(stat: Stat) -> ReportedTimes | None:
    mean = _nanoseconds(stat.mean, 1e3)
    if mean is None:
        return None
    count = min(stat.count, MAX_COUNT)
    try:
        return ReportedTimes(
            count=count,
            mean=mean,
            median=_nanoseconds(stat.median, 1e3),
            p95=_nanoseconds(stat.p95, 1e3),
            min=_nanoseconds(stat.min, 1e3),
            max=_nanoseconds(stat.max, 1e3),
        )
    except ValidationError:
        # A median above the longest run: no percentile of it can be believed.
        return ReportedTimes(count=count, mean=mean)


def executor_runner_times(
    ran: Sequence[Ran[ExecutorRunnerOutput]], warmup: int
) -> list[Measurement]:
    """Return each run as a sample, without those of warm-up; a total becomes a reported mean."""
    found = _loads(_nanoseconds(one.said.load, 1e6) for one in ran)
    for length in _lengths(ran):
        here = [one for one in ran if one.length == length]
        found += _firsts(length, (_nanoseconds(_first(one.said), 1e6) for one in here))
        for one in (one for one in here if one.timed):
            samples = _all_nanoseconds(one.said.iterations[warmup:])
            mean = _nanoseconds(_mean(one.said), 1e6)
            if samples:
                found.append(
                    Measurement(
                        kind="model_only", length=length, samples=samples, warmup_runs=warmup
                    )
                )
            elif mean is not None:
                # Its warm-up runs are in the total and cannot be taken out.
                count = min(one.said.executed, MAX_COUNT)
                found.append(
                    Measurement(
                        kind="model_only",
                        length=length,
                        reported=ReportedTimes(count=count, mean=mean),
                    )
                )
    return found


def _first(said: ExecutorRunnerOutput) -> float | None:
    if said.iterations:
        return said.iterations[0]
    return said.total if said.executed == 1 else None


def _mean(said: ExecutorRunnerOutput) -> float | None:
    return said.total / said.executed if said.total is not None and said.executed else None


def _lengths(ran: Sequence[Ran[T]]) -> list[int]:
    return sorted({one.length for one in ran})


def _loads(found: Iterable[int | None]) -> list[Measurement]:
    samples = tuple(value for value in found if value is not None)
    return [Measurement(kind="load_cold", samples=samples)] if samples else []


def _firsts(length: int, found: Iterable[int | None]) -> list[Measurement]:
    samples = tuple(value for value in found if value is not None)
    if not samples:
        return []
    return [Measurement(kind="first_inference", length=length, samples=samples)]


def _all_nanoseconds(values: Sequence[float]) -> tuple[int, ...]:
    """Return a series in ns, or nothing if one of it is no time: a part of it would be biased."""
    found = [_nanoseconds(value, 1e6) for value in values]
    return () if None in found else tuple(value for value in found if value is not None)


def _nanoseconds(value: float | None, factor: float) -> int | None:
    if value is None or not 0 < value * factor <= MAX_NANOSECONDS:
        return None
    return round(value * factor) or None


def memory_of(said: BenchmarkModelOutput) -> MemoryInfo | None:
    """Return the peak that benchmark_model saw; it looks every 50 ms."""
    if said.peak_mib is None or not 0 < said.peak_mib < 2**20:
        return None
    return MemoryInfo(
        peak_bytes=round(said.peak_mib * 2**20), method="benchmark_model, every 50 ms"
    )


def placements_of(said: BenchmarkModelOutput) -> tuple[Placement, ...]:
    """Return what delegates took; of several signatures each has a line."""
    return tuple(
        Placement(delegate=plain(one.delegate, 200) or "unknown", nodes=one.nodes, total=one.total)
        for one in said.replaced[:100]
        if max(one.nodes, one.total) <= MAX_COUNT
    )
