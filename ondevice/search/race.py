"""The race of one target: a growing share of the questions, and fewer candidates at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ondevice import console
from ondevice.keeping import MB
from ondevice.search.budget import Budget, misses, option, unproven
from ondevice.search.choice import NEAREST, choose, fitting
from ondevice.search.contender import Contender
from ondevice.search.halving import rungs, sift, stranded
from ondevice.tasks.qa import QAExample

# Put figures on the questions into a contender, or let it leave.
Ask = Callable[[Contender, Sequence[QAExample]], object]
# Put times into a contender, or why there are none, or let it leave.
Time = Callable[[Contender], object]
# Build what was set aside for its size.
Build = Callable[[Sequence[Contender]], object]


def race(
    contenders: Sequence[Contender],
    examples: Sequence[QAExample],
    budget: Budget,
    ask: Ask,
    time: Time,
    build: Build,
    progress: console.Progress,
) -> Contender | None:
    """Judge the candidates of one target; return the one to take, None where none fits.

    Each gets its outcome. Sizes are known, so they are judged first; where nothing fits, the
    smallest that are too large are asked the first questions, and built if they were set aside, so
    that it is known what a larger budget would buy.
    """
    built = [one for one in contenders if one.outcome == "open"]
    alive = [one for one in built if not _too_large(one, budget)]
    too_large = [one for one in built if one not in alive]
    stayed: list[Contender] = []
    while alive:
        stayed += _run(contenders, alive, examples, budget, ask, time, progress)
        alive = stranded(contenders, fitting(stayed, budget))
        for one in alive:
            one.come_back()
    chosen = _close(stayed, budget)
    if chosen is None:
        # Parts in more bits make an artifact that is too large no smaller.
        too_large += [one for one in contenders if one.estimated and not one.candidate.variant]
        near = sorted(too_large, key=lambda each: each.bytes or each.estimated or 0)[:NEAREST]
        waiting = [one for one in near if one.bytes is None]
        for one in waiting:
            one.come_back()
        if waiting:
            build(waiting)
        fits = [one for one in _open(waiting) if not _too_large(one, budget)]
        if fits:
            # They were estimated too large.
            stayed += _run(contenders, fits, examples, budget, ask, time, progress)
            chosen = _close(stayed, budget)
        for one in near:
            if one.bytes is not None and one.figures is None:
                ask(one, [examples[place] for place in rungs(len(examples))[0]])
    return chosen


def _run(
    contenders: Sequence[Contender],
    alive: Sequence[Contender],
    examples: Sequence[QAExample],
    budget: Budget,
    ask: Ask,
    time: Time,
    progress: console.Progress,
) -> list[Contender]:
    """Ask rung by rung; return those that stayed to the end, timed."""
    for number, share in enumerate(rungs(len(examples))):
        if not alive:
            break
        asked = [examples[place] for place in share]
        for one in alive:
            ask(one, asked)
        left = len(examples) - len(asked)
        alive = sift(_open(alive), budget, left)
        if number == 0 and budget.max_p90_ms is not None:
            alive = sift(_timed(alive, time), budget, left)
        _tell(contenders, alive, len(asked), len(examples), budget, progress)
    return _timed(alive, time)


def _too_large(one: Contender, budget: Budget) -> bool:
    missed = misses(one, Budget(max_mb=budget.max_mb))
    if missed:
        one.leave("missed", missed[0].words)
    return bool(missed)


def _open(contenders: Sequence[Contender]) -> list[Contender]:
    return [one for one in contenders if one.outcome == "open"]


def _timed(alive: Sequence[Contender], time: Time) -> list[Contender]:
    for one in alive:
        if one.times is None and not one.untimed:
            time(one)
    return _open(alive)


def _close(alive: Sequence[Contender], budget: Budget) -> Contender | None:
    """Give those that stayed to the end their outcome; return the one to take."""
    fits = fitting(alive, budget)
    chosen = choose(fits)
    for one in alive:
        words = [miss.words for miss in misses(one, budget)]
        words += [f"{option(name)} is not run: {one.untimed}" for name in unproven(one, budget)]
        if one is chosen:
            one.leave("chosen", "")
        elif one in fits:
            one.leave("fits", "")
        else:
            one.leave("missed", "; ".join(words))
    return chosen


def _tell(
    contenders: Sequence[Contender],
    alive: Sequence[Contender],
    asked: int,
    of: int,
    budget: Budget,
    progress: console.Progress,
) -> None:
    target = contenders[0].candidate.target
    best = choose(fitting(alive, budget))
    if best is None:
        so_far = "none fits so far"
    else:
        assert best.figures is not None
        assert best.bytes is not None
        so_far = (
            f"best so far {best.candidate.label}: {best.bytes / MB:.1f} MB, F1 {best.score:.1f}"
        )
    progress.say(
        f"  {target}: {asked} of {of} questions, {len(alive)} of {len(contenders)} left; {so_far}"
    )
