"""Successive halving: most candidates are asked few questions, those that are left ask for more.

After Jamieson and Talwalkar 2016 (Non-stochastic Best Arm Identification), but for who leaves: not
half of them at each rung whatever the figures, only those that a larger share could not bring back,
as far as the interval tells. A rung that can tell nothing drops nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from ondevice.search.budget import CLEAR, Budget, clear_misses
from ondevice.search.contender import Contender, alike, gain
from ondevice.verify.gate_rules import MIN_EXAMPLES

# Each rung asks every so many-th question.
STEPS = (8, 4, 2, 1)


def rungs(count: int, least: int = MIN_EXAMPLES) -> list[tuple[int, ...]]:
    """Return the places of each rung's questions among `count`: even-spaced, each within the next.

    Rungs of fewer than `least` questions are left out, but for the last, which has all of them.
    """
    shares = [tuple(range(0, count, step)) for step in STEPS]
    return [share for share in shares[:-1] if len(share) >= least] + shares[-1:]


def sift(alive: Sequence[Contender], budget: Budget, left: int = 0) -> list[Contender]:
    """Let those leave that could not be chosen any more; return the others, in their order.

    All must be of one target and have figures on the same questions. One leaves if it clearly
    misses the budget (:func:`ondevice.search.budget.clear_misses`), or if another takes its
    place (:func:`replaces`).

    Args:
        alive: who takes part.
        budget: what must hold.
        left: how many questions have not been asked yet.
    """
    inside = []
    for one in alive:
        missed = clear_misses(one, budget)
        if missed:
            one.leave("dropped", "; ".join(miss.words for miss in missed))
        else:
            inside.append(one)
    kept: list[Contender] = []
    # The small ones first: what is kept is never larger than what comes after it.
    for one in sorted(inside, key=lambda each: (each.bytes or 0, -each.score)):
        better = next((other for other in kept if replaces(other, one, budget, left)), None)
        if better is None:
            kept.append(one)
        else:
            one.replaced_by = better
            one.leave(
                "dropped",
                f"{better.candidate.label} is no larger and no worse:"
                f" {-gain(one, better).value:+.2f} points of F1",
            )
    return [one for one in alive if one in kept]


def stranded(contenders: Sequence[Contender], fits: Sequence[Contender]) -> list[Contender]:
    """Return those that left for somebody who did not fit in the end.

    On few questions a small candidate may look as good as a larger one, and lose too much on all.
    """
    return [
        one
        for one in contenders
        if one.outcome == "dropped" and one.replaced_by is not None and _heir(one) not in fits
    ]


def _heir(one: Contender) -> Contender:
    """Return who is there in the place of one that left, and of those that replaced it."""
    return one if one.replaced_by is None else _heir(one.replaced_by)


def replaces(one: Contender, other: Contender, budget: Budget, left: int = 0) -> bool:
    """Tell whether `other` could not be chosen as long as `one` is there.

    `one` is smaller and the interval of how much better the other is does not reach above 0; or it
    is as large, and clearly better. What the `left` questions may still show counts. `one` must be
    known to keep the hard budgets, and where there is one for the drop, which is against each one's
    own checkpoint, both must be of one checkpoint.
    """
    if one.bytes is None or other.bytes is None or one.bytes > other.bytes:
        return False
    if budget.max_mb is not None and clear_misses(one, Budget(max_mb=budget.max_mb)):
        return False
    if budget.max_p90_ms is not None and (
        one.times is None or one.times.p90.value > budget.max_p90_ms
    ):
        return False
    if budget.max_f1_drop is not None and one.candidate.model != other.candidate.model:
        return False
    above = gain(other, one, CLEAR).high + (_unseen(other, one) if left else 0.0)
    return above < 0.0 if alike(one, other) else above <= 0.0


def _unseen(one: Contender, other: Contender) -> float:
    """Return by how many points `one` may be above another than which it was never better.

    A bootstrap knows nothing of what did not happen: of answers that are all alike its interval is
    [0, 0]. If a share p of all questions is won, none of n is with chance (1 - p)ⁿ; below the
    largest p for which that is half of 1 - :data:`CLEAR` nothing is excluded (39: 12.7 %).
    """
    assert one.figures is not None
    assert other.figures is not None
    won = one.figures.f1 > other.figures.f1
    return 0.0 if won.any() else 100.0 * (1.0 - ((1.0 - CLEAR) / 2.0) ** (1.0 / len(won)))
