"""What a search found, as one JSON document."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ondevice import __version__
from ondevice.bench import machine
from ondevice.bench.parts import DeviceState
from ondevice.search.budget import misses
from ondevice.search.choice import nearest
from ondevice.search.contender import Contender, Figures
from ondevice.search.pipeline import Found
from ondevice.statistics import Interval

FORMAT = "ondevice search"


def document(found: Found, plots: Sequence[str]) -> dict[str, Any]:
    """Return the document; `plots` are the files that were drawn."""
    options = found.options
    return {
        "format": FORMAT,
        "tool": f"ondevice {__version__}",
        "budget": asdict(options.budget),
        "data": {"name": found.data.name, "sha256": found.data_sha256},
        "machine": _machine(),
        "models": [
            {"name": model.label, "model": model.given, "sha256": model.checkpoint.sha256}
            for model in found.models
        ],
        "teacher": None
        if found.teacher is None
        else {"model": found.teacher.given, "sha256": found.teacher.checkpoint.sha256},
        "candidates": [record(one, found) for one in found.contenders],
        "chosen": {
            target: None if one is None else str(one.place) for target, one in found.chosen.items()
        },
        "nearest": {
            target: [_near(one, found) for one in nearest(found.of_target(target), options.budget)]
            for target, chosen in found.chosen.items()
            if chosen is None
        },
        "notes": list(found.notes),
        "plots": list(plots),
    }


def _machine() -> dict[str, Any]:
    """Return what the times are of."""
    device = machine.describe(DeviceState(), DeviceState())
    return {"name": device.name, "os": f"{device.os} {device.os_version}", "cores": device.cores}


def record(one: Contender, found: Found) -> dict[str, Any]:
    """Return what is known of a candidate, and by what it misses the budget."""
    return facts(one) | {"misses": _misses(one, found)}


def facts(one: Contender) -> dict[str, Any]:
    """Return what is known of a candidate."""
    candidate = one.candidate
    return {
        "target": candidate.target,
        "model": candidate.model,
        "scheme": candidate.scheme,
        "variant": candidate.variant,
        "lengths": list(candidate.lengths),
        "outcome": one.outcome,
        "reason": one.reason,
        "path": None if one.place is None else str(one.place),
        "bytes": one.bytes,
        "estimated_bytes": one.estimated,
        "min_runtime": dict(one.needs),
        "evidence": one.evidence,
        "runtime": one.runtime,
        "figures": None if one.figures is None else figures(one.figures),
        "times": _times(one),
    }


def figures(known: Figures) -> dict[str, Any]:
    """Return scores with their 95 % intervals; percent and points."""
    own, teacher = known.own_f1, known.teacher_f1
    return {
        "questions": len(known.f1),
        "f1": _interval(known.score),
        "em": _interval(known.exact),
        "drop": _interval(known.drop),
        "kept": _interval(known.kept),
        "flips": _interval(known.flips),
        "retention": _interval(known.retention),
        "checkpoint_f1": 100.0 * float(own.mean()),
        "teacher_f1": None if teacher is None else 100.0 * float(teacher.mean()),
    }


def _times(one: Contender) -> dict[str, Any]:
    """Return times in ms, all of them host's, or why there are none."""
    if one.times is None:
        return {"evidence": "not run", "reason": one.untimed or "it was not timed"}
    return {
        "evidence": "host",
        "length": one.times.length,
        "median_ms": _interval(one.times.median),
        "p90_ms": _interval(one.times.p90),
    }


def _near(one: Contender, found: Found) -> Mapping[str, Any]:
    candidate = one.candidate
    return {"candidate": candidate.label, "misses": _misses(one, found)}


def _misses(one: Contender, found: Found) -> list[dict[str, Any]]:
    return [
        {"budget": miss.budget, "by": miss.by, "words": miss.words}
        for miss in misses(one, found.options.budget)
    ]


def _interval(value: Interval | None) -> dict[str, float | None] | None:
    if value is None:
        return None
    known = {"value": value.value, "low": value.low, "high": value.high}
    # JSON has no NaN.
    return {name: number if math.isfinite(number) else None for name, number in known.items()}
