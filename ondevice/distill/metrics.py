"""Metrics of classification and of tagging, in percent: scikit-learn's and SciPy's.

Entities are counted here: their counts add up over sentences, which the bootstrap needs and
seqeval (whose default mode they follow) does not offer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


def accuracy(gold: Values, guess: Values) -> float:
    """Return the share of right answers."""
    from sklearn.metrics import accuracy_score

    return 100.0 * float(accuracy_score(gold, guess))


def binary_f1(gold: Values, guess: Values) -> float:
    """Return F1 of class 1 (GLUE's, for MRPC and QQP); 0 where there is nothing to find."""
    from sklearn.metrics import f1_score

    return 100.0 * float(f1_score(gold == 1, guess == 1, zero_division=0.0))


def matthews(gold: Values, guess: Values) -> float:
    """Return Matthews' correlation of two classes; 0 where it is undefined."""
    from sklearn.metrics import matthews_corrcoef

    return 100.0 * float(matthews_corrcoef(gold == 1, guess == 1))


def pearson(gold: Values, guess: Values) -> float:
    """Return Pearson's correlation; 0 where it is undefined."""
    from scipy.stats import pearsonr

    return 0.0 if _constant(gold) or _constant(guess) else 100.0 * float(pearsonr(gold, guess)[0])


def spearman(gold: Values, guess: Values) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; 0 where undefined."""
    from scipy.stats import spearmanr

    return 0.0 if _constant(gold) or _constant(guess) else 100.0 * float(spearmanr(gold, guess)[0])


METRICS: dict[str, Callable[[Values, Values], float]] = {
    "accuracy": accuracy,
    "f1": binary_f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Return (type, first, last) of each entity in IOB2 or IOBES tags, by conlleval's rules.

    An I- or E- without a beginning of its type begins an entity, as in the CoNLL-2000 script and
    seqeval's default mode; S- is an entity of its own.
    """
    found: set[tuple[str, int, int]] = set()
    kind, first = "", -1
    for place, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        continues = mark in {"I", "E"} and first >= 0 and name == kind
        if first >= 0 and not continues:
            found.add((kind, first, place - 1))
            first = -1
        if mark in {"B", "I", "E", "S"} and not continues:
            kind, first = name, place
        if mark in {"E", "S"}:
            found.add((kind, first, place))
            first = -1
    return found


def entity_counts(gold: Sequence[str], guess: Sequence[str]) -> NDArray[np.int64]:
    """Return [right, guessed, gold]: entity counts of one sentence, which add up over a corpus."""
    wanted, given = entities(gold), entities(guess)
    return np.array([len(wanted & given), len(given), len(wanted)], dtype=np.int64)


def entity_f1(counts: NDArray[np.int64]) -> float:
    """Return micro-averaged entity F1 from summed counts [3]."""
    right, given, wanted = (int(value) for value in counts)
    return 100.0 * 2.0 * right / (given + wanted) if given + wanted else 0.0


def _constant(values: Values) -> bool:
    return bool(np.all(values == values[0]))
