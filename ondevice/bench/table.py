"""The table of ``ondevice bench``: a line for each artifact and length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ondevice import console
from ondevice.bench import DEFAULT_OUT, MIN_ITERATIONS
from ondevice.bench.results import BenchmarkResult, Kind, Measurement, plain
from ondevice.bench.score import summarize_score
from ondevice.statistics import Summary, summarize

NOTHING = "–"
# A line of the table for each length at which one of these was timed.
SHOWN = ("model_only", "end_to_end")
# Names, reasons and notes may come from a device: they are cut, and there are not many of them.
MAX_NAME = 60
MAX_REMARK = 500
MAX_NOTES = 20


def render(written: dict[Path, BenchmarkResult]) -> str:
    """Return the table of results, with what is to be said about them."""
    results = list(written.values())
    headers = (
        *("model", "target", "scheme", "MB", "cold load ms", "peak MB", "before load", "length"),
        *("model ms", "p90", "end to end ms", "× baseline", "F1", "evidence"),
    )
    rows = [row for result in results for row in _rows(result, results)]
    lines = [console.table(headers, rows)]
    remarks = [
        f"{'not run' if one.evidence == 'not run' else 'PARTIAL'}: {_label(one)}:"
        f" {plain(one.reason, MAX_REMARK)}"
        for one in results
        if one.reason
    ]
    remarks += [
        f"golden check {'FAILED' if one.golden.status == 'failed' else 'not run'}: {_label(one)}:"
        f" {plain(one.golden.reason, MAX_REMARK) or 'no reason given'}"
        for one in results
        if _unchecked(one)
    ]
    notes = {plain(note, MAX_REMARK): None for one in results for note in one.notes}
    if len(notes) > MAX_NOTES:
        more = f"{len(notes) - MAX_NOTES} more notes are in the documents"
        notes = dict.fromkeys([*list(notes)[:MAX_NOTES], more])
    if any(_iterations(one) < MIN_ITERATIONS for one in results):
        notes[f"fewer than {MIN_ITERATIONS} timed runs: to try things out, not to publish"] = None
    lines += ["", *remarks, *(f"note: {note}" for note in notes)] if remarks or notes else []
    folder = next(iter(written)).parent if written else DEFAULT_OUT
    sampled = any(part.samples for one in results for part in one.measurements)
    what = "medians with 95 % intervals; raw samples" if sampled else "documents"
    lines += ["", f"{what} in {folder}/"]
    return "\n".join(lines)


def _label(result: BenchmarkResult) -> str:
    artifact = result.artifact
    words = (artifact.model, artifact.target, artifact.scheme)
    return " ".join(plain(word, MAX_NAME) for word in words)


def _unchecked(result: BenchmarkResult) -> bool:
    """Whether the goldens were not passed; a checkpoint is what they were made from."""
    if result.golden.status == "failed":
        return True
    ran = result.evidence not in {"not run", "published"} and result.artifact.target != "torch"
    return ran and result.golden.status == "not_run"


def _iterations(result: BenchmarkResult) -> int:
    """Return how often it was to run; enough where it was not."""
    timed = result.measurements and result.protocol
    return result.protocol.iterations if timed and result.protocol else MIN_ITERATIONS


def _rows(result: BenchmarkResult, results: Sequence[BenchmarkResult]) -> list[tuple[str, ...]]:
    artifact = result.artifact
    head = (
        plain(artifact.model, MAX_NAME),
        plain(artifact.target, MAX_NAME),
        plain(artifact.scheme, MAX_NAME),
        NOTHING if artifact.bytes is None else f"{artifact.bytes / 1e6:.1f}",
        _ms(_middle(_find(result, "load_cold", None))),
        _mb(result.memory.peak_bytes if result.memory else None),
        _mb(result.memory.before_load_bytes if result.memory else None),
    )
    lengths = {one.length: None for one in result.measurements if one.kind in SHOWN}
    tail = (_f1(result), result.evidence)
    if not lengths:
        return [(*head, *[NOTHING] * 5, *tail)]
    return [(*head, *_times(result, results, length), *tail) for length in lengths]


def _times(
    result: BenchmarkResult, results: Sequence[BenchmarkResult], length: int | None
) -> tuple[str, ...]:
    model = _find(result, "model_only", length)
    baseline = next((one for one in results if one.artifact.target == "torch"), None)
    theirs = None if baseline is None else _middle(_find(baseline, "model_only", length))
    ours = _middle(model)
    faster = NOTHING if theirs is None or ours is None else f"{theirs / ours:.2f}"
    whole = _find(result, "end_to_end", length)
    return (str(length), _interval(model), _ms(_p90(model)), _interval(whole), faster)


def _find(result: BenchmarkResult, kind: Kind, length: int | None) -> Measurement | None:
    found = (one for one in result.measurements if (one.kind, one.length) == (kind, length))
    return next(found, None)


def _middle(measurement: Measurement | None) -> float | None:
    """Return the median in ns, or what a source without samples gives in its place."""
    if measurement is None:
        return None
    if measurement.reported is not None:
        return measurement.reported.median or measurement.reported.mean
    return _summary(measurement).median.value


def _p90(measurement: Measurement | None) -> float | None:
    if measurement is None:
        return None
    return measurement.reported.p90 if measurement.reported else _summary(measurement).p90.value


def _interval(measurement: Measurement | None) -> str:
    if measurement is None or not measurement.samples:
        return _ms(_middle(measurement))
    found = _summary(measurement).median
    return f"{_ms(found.value)} [{_ms(found.low)}, {_ms(found.high)}]"


def _summary(measurement: Measurement) -> Summary:
    return summarize(measurement.samples)


def _f1(result: BenchmarkResult) -> str:
    if result.score is None:
        return NOTHING
    found = summarize_score(result.score)
    kept = found.retention
    share = "" if kept is None or math.isnan(kept.value) else f" ({kept.value:.1f} %)"
    return NOTHING if found.f1 is None else f"{found.f1.value:.2f}{share}"


def _mb(size: int | None) -> str:
    return NOTHING if size is None else f"{size / 1e6:.0f}"


def _ms(nanoseconds: float | None) -> str:
    if nanoseconds is None:
        return NOTHING
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.3f}" if milliseconds < 1 else f"{milliseconds:.1f}"
