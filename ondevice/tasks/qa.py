"""Extractive question answering: choose spans from logits, score them.

Features are in :mod:`ondevice.tasks.features`, files in :mod:`ondevice.tasks.squad`; both are
re-exported here. Nothing in this file needs torch; the decode is repeated by the phone apps, so
ties are broken by position, never by chance.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import DataError
from ondevice.tasks.base import Example, Task
from ondevice.tasks.features import (
    QAOptions,
    Window,
    batch,
    token_span,
    windows,
)
from ondevice.tasks.squad import Gold, QAExample, read_squad

__all__ = [
    "QA",
    "Answer",
    "Gold",
    "QAExample",
    "QAOptions",
    "QAScores",
    "Window",
    "batch",
    "decode",
    "exact_match",
    "f1_score",
    "normalize_answer",
    "read_squad",
    "score",
    "token_span",
    "windows",
]


@dataclass(frozen=True)
class Answer:
    """A span the model proposes: code points [start, end) of the context, empty for "no answer".

    `score` is the sum of its start and end logit; `probability` is the softmax over the n best.
    """

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True, eq=False)
class QAScores:
    """EM and F1 in percent, and each question's own (0 to 1), in the order of the references."""

    em: float
    f1: float
    ids: tuple[str, ...]
    em_each: NDArray[np.float64]
    f1_each: NDArray[np.float64]


def decode(
    items: Sequence[Window],
    start_logits: Sequence[NDArray[Any]] | NDArray[Any],
    end_logits: Sequence[NDArray[Any]] | NDArray[Any],
    context: str,
    options: QAOptions | None = None,
) -> list[Answer]:
    """Return the `n_best` spans over all windows, best first; the text is cut from `context`.

    A span lies within the context, ends no earlier than it starts, has at most `max_answer` tokens
    and starts where its window has max-context. It scores start + end logit in float32; equal
    scores go to the earlier window, then start, then end.

    Args:
        items: the windows of one (question, context) pair.
        start_logits: for each window an array [>= T]; padding beyond T is ignored.
        end_logits: likewise.
        context: the original text.
        options: the options the windows were made with.

    Raises:
        DataError: a logit over the context is not finite.
    """
    options = options or QAOptions()
    spans: list[tuple[float, int, int, int]] = []
    nulls: list[float] = []
    for index, window in enumerate(items):
        start = np.asarray(start_logits[index], dtype=np.float32)[: len(window)]
        end = np.asarray(end_logits[index], dtype=np.float32)[: len(window)]
        if not (np.isfinite(start).all() and np.isfinite(end).all()):
            raise DataError(f"the model's logits for window {index} are not finite")
        nulls.append(float(start[0] + end[0]))
        spans += [(value, index, s, e) for value, s, e in _best_spans(window, start, end, options)]
    spans.sort(key=lambda span: (-span[0], span[1:]))
    best = [
        (value, int(items[i].offsets[s, 0]), int(items[i].offsets[e, 1]))
        for value, i, s, e in spans[: options.n_best]
    ]
    if options.null_threshold is not None:
        # A question has no answer only if no window has one: the least "no answer" score counts.
        null = min(nulls)
        first = null - best[0][0] > options.null_threshold
        best = ([(null, 0, 0), *best] if first else [*best, (null, 0, 0)])[: max(options.n_best, 2)]
    values = np.array([value for value, _, _ in best], dtype=np.float64)
    exponents = np.exp(values - values.max())
    return [
        Answer(context[start:end], start, end, value, float(weight))
        for (value, start, end), weight in zip(best, exponents / exponents.sum(), strict=True)
    ]


def _best_spans(
    window: Window, start: NDArray[np.float32], end: NDArray[np.float32], options: QAOptions
) -> list[tuple[float, int, int]]:
    """Return the window's `n_best` (score, start, end), best first, ties by position."""
    first, last = window.context_start, window.context_end
    width = min(options.max_answer, last - first)
    starts = np.arange(first, last)[:, None]
    ends = starts + np.arange(width)[None, :]
    valid = (ends < last) & window.max_context[first:last, None]
    sums = start[starts] + end[np.minimum(ends, last - 1)]
    values = np.where(valid, sums, np.float32(-np.inf)).ravel()
    # Row-major order is (start, end) order, so a stable sort breaks ties by position.
    order = np.argsort(-values, kind="stable")[: options.n_best]
    rows, columns = np.divmod(order, width)
    return [
        (float(values[i]), int(first + row), int(first + row + column))
        for i, row, column in zip(order, rows, columns, strict=True)
        if np.isfinite(values[i])
    ]


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower-case, drop ASCII punctuation and articles, and squeeze white space (SQuAD's script)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, gold: str) -> float:
    """Return 1.0 if both are the same after normalization, else 0.0."""
    return float(normalize_answer(prediction) == normalize_answer(gold))


def f1_score(prediction: str, gold: str) -> float:
    """Return the harmonic mean of token precision and recall after normalization."""
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(gold).split()
    if not predicted or not expected:  # SQuAD v2: an empty answer matches only an empty one
        return float(predicted == expected)
    common = sum((Counter(predicted) & Counter(expected)).values())
    return 2.0 * common / (len(predicted) + len(expected))


def score(predictions: Mapping[str, str], examples: Sequence[QAExample]) -> QAScores:
    """Score predictions (question id → text), each against its best-matching human answer.

    Raises:
        DataError: a question has no prediction, or there is nothing to score.
    """
    if not examples:
        raise DataError("there are no questions to score")
    missing = [example.id for example in examples if example.id not in predictions]
    if missing:
        raise DataError(f"{len(missing)} questions have no prediction, the first is '{missing[0]}'")
    em, f1 = np.zeros(len(examples)), np.zeros(len(examples))
    for i, example in enumerate(examples):
        golds = [gold.text for gold in example.answers] or [""]
        em[i] = max(exact_match(predictions[example.id], gold) for gold in golds)
        f1[i] = max(f1_score(predictions[example.id], gold) for gold in golds)
    ids = tuple(example.id for example in examples)
    return QAScores(100.0 * float(em.mean()), 100.0 * float(f1.mean()), ids, em, f1)


def _examples() -> Sequence[Example]:
    from ondevice import samples

    return [(question, context) for question, context in samples.pairs("qa")]


QA = Task(
    name="qa",
    roles=("start", "end"),
    heads=("ForQuestionAnswering",),
    per_token=True,
    default_length=384,
    auto_class="AutoModelForQuestionAnswering",
    examples=_examples,
)
