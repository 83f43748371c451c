"""Real questions: one pass over them gives the score and the times of real traffic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from ondevice.bench import protocol
from ondevice.bench.entries import Entry, Questions
from ondevice.bench.parts import TrafficInfo, TrafficPolicy, plain
from ondevice.bench.protocol import Pass, PassError
from ondevice.bench.score import Answered, make_score
from ondevice.tasks.qa import QAExample

# Sends a request to the process of an artifact: (number, operation, values) → reply.
Request = Callable[..., dict[str, Any]]
Policy = Literal["shortest_bucket", "longest"]


@dataclass
class _Run:
    """One artifact under one rule of padding."""

    number: int
    entry: Entry
    policy: Policy
    lengths: tuple[int, ...]
    answers: dict[str, Answered] = field(default_factory=dict)
    samples: list[int] = field(default_factory=list)
    windows: Counter[int] = field(default_factory=Counter)


def ask_all(alive: Mapping[int, Entry], request: Request, asked: Questions) -> None:
    """Ask every artifact every question, in turn; put score and traffic into the entries.

    Each window runs at the shortest length that it fits, and once more at the longest to show
    what the buckets save. An artifact that fails drops out, the others go on.
    """
    runs = [run for number, entry in alive.items() for run in _runs(number, entry)]
    for run in runs:
        _attempt(run, partial(_warm, run, request))
    for example in asked.examples:
        for run in runs:
            _attempt(run, partial(_ask, run, request, example))
    done = [run for run in runs if run.entry.runs]
    teacher = next((run for run in done if run.entry.is_baseline), None)
    for entry in alive.values():
        if entry.runs:
            _put([run for run in done if run.entry is entry], teacher, asked)


def _runs(number: int, entry: Entry) -> list[_Run]:
    lengths = entry.identity.lengths
    runs = [_Run(number, entry, "shortest_bucket", lengths)]
    if len(lengths) > 1:
        runs.append(_Run(number, entry, "longest", lengths[-1:]))
    return runs


def _attempt(run: _Run, action: Callable[[], None]) -> None:
    if not run.entry.runs:
        return
    time.sleep(protocol.PAUSE_SECONDS)
    try:
        action()
    except PassError as error:
        run.entry.failure = plain(f"on the questions: {error}")


def _warm(run: _Run, request: Request) -> None:
    """Run the lengths that were not timed: their first run is not that of any question."""
    for length in set(run.lengths) - set(run.entry.lengths):
        for _ in range(protocol.WINDOW):
            request(run.number, "pass", length=length)


def _ask(run: _Run, request: Request, example: QAExample) -> None:
    reply = request(
        run.number,
        "ask",
        question=example.question,
        context=example.context,
        lengths=list(run.lengths),
    )
    start, end = reply["span"]
    run.answers[example.id] = (reply["text"], (start, end))
    run.samples.append(Pass(*reply["stages"]).total)
    run.windows.update(reply["windows"])


def _put(runs: list[_Run], teacher: _Run | None, asked: Questions) -> None:
    run = runs[0]
    policies = tuple(
        TrafficPolicy(
            policy=one.policy,
            samples=tuple(one.samples),
            windows=tuple(sorted(one.windows.items())),
        )
        for one in runs
    )
    run.entry.traffic = TrafficInfo(data=asked.data, policies=policies)
    # The teacher is not held against itself.
    beside = None if teacher is None or teacher.entry is run.entry else teacher
    run.entry.score = make_score(
        asked.data,
        asked.examples,
        run.answers,
        teacher_name=beside.entry.identity.model if beside else "",
        teacher_sha256=beside.entry.identity.sha256 if beside else None,
        teacher_answers=beside.answers if beside else None,
    )
