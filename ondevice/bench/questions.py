"""Real questions: one pass over them gives the score and the times of real traffic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from ondevice.bench import protocol
from ondevice.bench.entries import Entry, Questions
from ondevice.bench.parts import TrafficInfo, TrafficPolicy, plain
from ondevice.bench.protocol import Pass, PassError
from ondevice.bench.score import make_score
from ondevice.manifest import WindowInfo
from ondevice.tasks.qa import QAExample
from ondevice.tasks.qa_scores import Answered

# Sends a request to the process of an artifact: (number, operation, values) → reply.
Request = Callable[..., dict[str, Any]]
Policy = Literal["shortest_bucket", "longest"]


@dataclass
class _Run:
    """One artifact with its contexts cut in one way, under one rule of padding.

    Attributes:
        policy: None for a run that only serves to compare scores.
    """

    number: int
    entry: Entry
    window: WindowInfo
    policy: Policy | None
    lengths: tuple[int, ...]
    answers: dict[str, Answered] = field(default_factory=dict)
    samples: list[int] = field(default_factory=list)
    windows: Counter[int] = field(default_factory=Counter)


def ask_all(alive: Mapping[int, Entry], request: Request, asked: Questions) -> None:
    """Ask every artifact every question, in turn; put score and traffic into the entries.

    Each window runs at the shortest length that it fits, and once more at the longest to show
    what the buckets save. Which of the two goes first alternates from question to question: the
    second finds the text, and what the first left in the caches, warm. The teacher is asked with
    the windows of each artifact that it is compared with. An artifact that fails drops out, the
    others go on.
    """
    cuts = list(dict.fromkeys(entry.window for entry in alive.values()))
    by_entry = [_runs(number, entry, cuts) for number, entry in alive.items()]
    runs = [run for own in by_entry for run in own]
    turned = [run for own in by_entry for run in reversed(own)]
    for run in runs:
        _attempt(run, partial(_warm, run, request))
    for place, example in enumerate(asked.examples):
        for run in turned if place % 2 else runs:
            _attempt(run, partial(_ask, run, request, example))
    done = [run for run in runs if run.entry.runs]
    teachers = {
        run.window: run for run in done if run.entry.is_baseline and run.policy != "longest"
    }
    for entry in alive.values():
        if entry.runs:
            # The teacher is not held against itself.
            teacher = None if entry.is_baseline else teachers.get(entry.window)
            _put([run for run in done if run.entry is entry and run.policy], teacher, asked)


def _runs(number: int, entry: Entry, cuts: Sequence[WindowInfo]) -> list[_Run]:
    lengths = entry.identity.lengths
    runs = [_Run(number, entry, entry.window, "shortest_bucket", lengths)]
    if len(lengths) > 1:
        runs.append(_Run(number, entry, entry.window, "longest", lengths[-1:]))
    if entry.is_baseline:
        others = [cut for cut in cuts if cut != entry.window]
        runs += [_Run(number, entry, cut, None, (cut.max_length,)) for cut in others]
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
        window=run.window.model_dump(),
        lengths=list(run.lengths),
    )
    start, end = reply["span"]
    run.answers[example.id] = (reply["text"], (start, end))
    run.samples.append(Pass(*reply["stages"]).total)
    run.windows.update(reply["windows"])


def _put(runs: list[_Run], teacher: _Run | None, asked: Questions) -> None:
    entry, answers = runs[0].entry, runs[0].answers
    policies = tuple(
        TrafficPolicy(
            policy=run.policy,
            samples=tuple(run.samples),
            windows=tuple(sorted(run.windows.items())),
        )
        for run in runs
        if run.policy is not None
    )
    entry.traffic = TrafficInfo(data=asked.data, policies=policies)
    entry.score = make_score(
        asked.data,
        asked.examples,
        answers,
        teacher_name=teacher.entry.identity.model if teacher else "",
        teacher_sha256=teacher.entry.identity.sha256 if teacher else None,
        teacher_answers=teacher.answers if teacher else None,
    )
