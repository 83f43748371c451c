"""Contenders with made-up figures."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np

from ondevice import console
from ondevice.plan import BuildOptions
from ondevice.search.contender import Candidate, Contender, Figures, Times
from ondevice.statistics import Interval

COUNT = 240


def contender(scheme: str, mb: float | None = 10.0, **facts: Any) -> Contender:
    """Return a contender that was built; `facts` go to :func:`give`."""
    candidate = Candidate(facts.pop("model", "student"), "onnx", scheme, (384,), BuildOptions())
    one = Contender(candidate, bytes=None if mb is None else round(mb * 1e6))
    return give(one, **facts) if facts else one


def give(
    one: Contender,
    f1: Any = None,
    *,
    own: Any = None,
    teacher: Any = None,
    p90: Any = None,
    count: int = COUNT,
) -> Contender:
    """Give a contender figures: F1 of each question from 0 to 1, or one for all; p90 in ms."""
    if f1 is not None:
        scores, theirs = each(f1, count), each(f1 if own is None else own, count)
        one.figures = Figures(
            f1=scores,
            em=(scores == 1.0).astype(np.float64),
            flipped=scores != theirs,
            own_f1=theirs,
            teacher_f1=None if teacher is None else each(teacher, count),
        )
    if p90 is not None:
        value, low, high = p90 if isinstance(p90, tuple) else (p90, p90, p90)
        one.times = Times(384, Interval(value, low, high), Interval(value, low, high))
    return one


def each(value: Any, count: int = COUNT) -> np.ndarray:
    """Return one value for every question, or the values themselves."""
    return np.broadcast_to(np.asarray(value, np.float64), (count,)).copy()


def right(share: float, count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Return scores of 0 and 1 with a share of ones, spread by chance."""
    scores = np.arange(count) < round(share * count)
    return np.random.default_rng(seed).permutation(scores).astype(np.float64)


def examples(count: int = COUNT) -> list[Any]:
    """Return stand-ins for questions, each knowing its place."""
    return [SimpleNamespace(place=place) for place in range(count)]


def quiet() -> console.Progress:
    """Return progress that nobody sees."""
    return console.Progress(io.StringIO())
