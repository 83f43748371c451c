"""Metrics of classification and of tagging, in percent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


def accuracy(gold: Values, guess: Values) -> float:
    """Return the share of right answers."""
    return 100.0 * float(np.mean(gold == guess))


def binary_f1(gold: Values, guess: Values) -> float:
    """Return F1 of class 1 (GLUE's, for MRPC and QQP); 0 where there is nothing to find."""
    both = float(np.sum((gold == 1) & (guess == 1)))
    total = float(np.sum(gold == 1) + np.sum(guess == 1))
    return 100.0 * 2.0 * both / total if total else 0.0


def matthews(gold: Values, guess: Values) -> float:
    """Return Matthews' correlation of two classes; 0 where it is undefined."""
    return _correlation((gold == 1).astype(np.float64), (guess == 1).astype(np.float64))


def pearson(gold: Values, guess: Values) -> float:
    """Return Pearson's correlation; 0 where it is undefined."""
    return _correlation(gold.astype(np.float64), guess.astype(np.float64))


def spearman(gold: Values, guess: Values) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank."""
    return _correlation(_ranks(gold), _ranks(guess))


METRICS: dict[str, Callable[[Values, Values], float]] = {
    "accuracy": accuracy,
    "f1": binary_f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Return (type, first, last) of each entity in IOB2 tags, by conlleval's rules.

    An I- without a beginning of its type begins an entity, as in the CoNLL-2000 script and
    seqeval's default mode.
    """
    found: set[tuple[str, int, int]] = set()
    kind, first = "", -1
    for place, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        continues = mark == "I" and first >= 0 and name == kind
        if first >= 0 and not continues:
            found.add((kind, first, place - 1))
            first = -1
        if mark in {"B", "I"} and not continues:
            kind, first = name, place
    return found


def entity_counts(gold: Sequence[str], guess: Sequence[str]) -> NDArray[np.int64]:
    """Return [right, guessed, gold]: entity counts of one sentence, which add up over a corpus."""
    wanted, given = entities(gold), entities(guess)
    return np.array([len(wanted & given), len(given), len(wanted)], dtype=np.int64)


def entity_f1(counts: NDArray[np.int64]) -> float:
    """Return micro-averaged entity F1 from summed counts [3]."""
    right, given, wanted = (int(value) for value in counts)
    return 100.0 * 2.0 * right / (given + wanted) if given + wanted else 0.0


def _correlation(first: Values, second: Values) -> float:
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt(np.sum(first**2) * np.sum(second**2)))
    return 100.0 * float(np.sum(first * second)) / size if size else 0.0


def _ranks(values: Values) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = ((ends - counts + 1 + ends) / 2.0)[inverse]
    return ranks
