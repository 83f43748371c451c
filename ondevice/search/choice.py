"""Which candidate is taken, and which come nearest where none fits.

The rule: of those that keep every budget, the one with the highest F1; then all that cannot be told
from it, the paired 95 % interval of the difference holds 0, are as good, and of these the smallest
is taken, and of equally small ones, within 1 %, the fastest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ondevice.search.budget import Budget, misses, unproven
from ondevice.search.contender import Contender, alike, gain

# How many are named where nothing fits.
NEAREST = 3


def fitting(contenders: Sequence[Contender], budget: Budget) -> list[Contender]:
    """Return those that are known to keep every budget."""
    return [
        one
        for one in contenders
        if one.figures is not None and not misses(one, budget) and not unproven(one, budget)
    ]


def choose(fits: Sequence[Contender]) -> Contender | None:
    """Return the one to take of those that fit; None if there is none.

    They must have figures on the same questions.
    """
    if not fits:
        return None
    best = max(fits, key=lambda one: one.score)
    as_good = [one for one in fits if one is best or gain(best, one).low <= 0.0]
    smallest = min(as_good, key=lambda one: one.bytes or 0)
    return min((one for one in as_good if alike(one, smallest)), key=_cost)


def _cost(one: Contender) -> tuple[float, float, float]:
    slow = math.inf if one.times is None else one.times.median.value
    return (slow, one.bytes or 0, -one.score)


def nearest(contenders: Sequence[Contender], budget: Budget) -> list[Contender]:
    """Return those that miss the least, in relation to what is allowed, nearest first."""

    def distance(one: Contender) -> float:
        return sum(miss.share for miss in misses(one, budget))

    built = [one for one in contenders if one.bytes is not None and misses(one, budget)]
    return sorted(built, key=distance)[:NEAREST]


def front(
    contenders: Sequence[Contender],
    cost: Callable[[Contender], float | None],
    score: Callable[[Contender], float | None],
) -> list[Contender]:
    """Return those that no other beats in both cost and score, by cost; unknown ones are left out.

    Of equal cost only the best, of equal score only the cheapest.
    """
    known = [
        (spent, -scored, number)
        for number, one in enumerate(contenders)
        if (spent := cost(one)) is not None and (scored := score(one)) is not None
    ]
    best: list[Contender] = []
    highest = -math.inf
    for _, negative, number in sorted(known):
        if -negative > highest:
            highest = -negative
            best.append(contenders[number])
    return best
