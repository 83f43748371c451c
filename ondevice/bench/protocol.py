"""The protocol: what is timed, in which order, how often, and when times count.

One timed *pass* takes a text of a given length to an answer in three stages: tokenize (text to
model inputs), infer (model inputs to outputs) and decode (outputs to answer). ``model_only`` is
the stage in the middle, ``end_to_end`` the sum of all, so both come from the same runs. The
artifacts take turns pass by pass (A B C A B C …): what disturbs the machine for a second disturbs
all of them alike.

Nothing here knows what is behind a pass, so that the protocol can be checked with made-up ones.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from ondevice.bench.parts import Kind, Measurement

TIMER = "time.perf_counter_ns"
# Runs on either side of a comparison of medians, how far these may differ, and the most runs.
WINDOW, TOLERANCE, WARMUP_MOST = 3, 0.05, 30
WARMUP_RULE = (
    f"until the median of {WINDOW} runs is within {TOLERANCE:.0%} of that of the {WINDOW} before,"
    f" at most {WARMUP_MOST} runs"
)
# Each in a fresh process.
COLD_LOADS = 5
WARM_LOADS = 10
# That the file was hashed once does not keep it in the cache: several artifacts of 400 MB may have
# pushed it out since. So the process that will load it reads it through when it opens it.
LOAD_COLD = (
    "the first load in a fresh process, the runtime's library already imported; that process has"
    " just read the file through, so it is in the system's page cache, which was not dropped; what"
    " the runtime makes ready at a length's first run is not in it"
)
# Between turns. Thread pools go on spinning for tens of milliseconds after a run: on Linux whoever
# had the last turn is stopped by then (``process.Process``), elsewhere it is waited for. Only where
# the system ends a process with its parent: one that is stopped does not see that by itself.
STOPS_BETWEEN = sys.platform == "linux"
PAUSE_SECONDS = 0.01 if STOPS_BETWEEN else 0.1
BETWEEN_TURNS = f"{'stopped (SIGSTOP), ' if STOPS_BETWEEN else ''}{PAUSE_SECONDS * 1000:g} ms apart"

_Item = TypeVar("_Item")


class PassError(Exception):
    """A pass could not be made: the artifact's process ended, hung, or reported an error."""


@dataclass(frozen=True)
class Pass:
    """One run from text to answer; each stage in ns, None where a task has none."""

    tokenize: int
    infer: int
    decode: int | None = None

    @property
    def total(self) -> int:
        """The whole run, ns."""
        return self.tokenize + self.infer + (self.decode or 0)


@dataclass
class Timed:
    """The passes of one artifact at one length.

    Attributes:
        warmup: the passes that came before.
        stable: whether warm-up ended because times had settled.
        passes: the timed ones, in the order in which they ran.
        failure: why it has fewer than were asked for.
    """

    warmup: list[Pass] = field(default_factory=list)
    stable: bool = False
    passes: list[Pass] = field(default_factory=list)
    failure: str = ""


def interleave(items: Sequence[_Item], rounds: int) -> Iterator[_Item]:
    """Yield the items in turn, so many times each: A B A B …"""
    for _ in range(rounds):
        yield from items


def is_stable(times: Sequence[int]) -> bool:
    """Tell whether the last runs take as long as those before them."""
    if len(times) < 2 * WINDOW:
        return False
    before, last = median(times[-2 * WINDOW : -WINDOW]), median(times[-WINDOW:])
    return abs(last - before) <= TOLERANCE * before


def run_interleaved(
    passes: Mapping[str, Callable[[], Pass]],
    iterations: int,
    pause: Callable[[float], object] = time.sleep,
) -> dict[str, Timed]:
    """Warm every artifact up and time it, all in turn.

    One that fails drops out with what it has; the others go on.

    Args:
        passes: for each artifact by name, what makes one pass.
        iterations: timed passes of each.
        pause: waits for so many seconds before each pass.
    """
    timed = {name: Timed() for name in passes}
    running = dict(passes)

    def step(name: str, into: list[Pass]) -> None:
        if name not in running:
            return
        pause(PAUSE_SECONDS)
        try:
            into.append(running[name]())
        except PassError as error:
            timed[name].failure = str(error)
            del running[name]

    for name in interleave(list(passes), WARMUP_MOST):
        state = timed[name]
        if not state.stable:
            step(name, state.warmup)
            state.stable = is_stable([one.total for one in state.warmup])
    for name in interleave(list(passes), iterations):
        step(name, timed[name].passes)
    return timed


def measurements(timed: Timed, length: int) -> list[Measurement]:
    """Return the timed passes at one length as a document has them: one kind for each stage."""
    stages: dict[Kind, list[int | None]] = {
        "end_to_end": [one.total for one in timed.passes],
        "model_only": [one.infer for one in timed.passes],
        "tokenize": [one.tokenize for one in timed.passes],
        "decode": [one.decode for one in timed.passes],
    }
    return [
        Measurement(
            kind=kind,
            length=length,
            samples=tuple(samples),
            warmup_runs=len(timed.warmup),
            stable=timed.stable,
        )
        for kind, values in stages.items()
        if (samples := [value for value in values if value is not None])
    ]
