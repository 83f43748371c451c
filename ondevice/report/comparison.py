"""Two sets of results: what changed, and whether the change is outside the noise.

Only like is compared with like: the same device with as many cores, artifact name, task, runtime,
accelerator, number of threads and length, and the same between turns. A regression is a change for
the worse whose whole interval lies beyond "no change" and whose size is beyond the threshold.

Judged are the median of everything that was timed; p90 of the model alone and of text to answer;
median and p90 of real questions, if file, number and padding are the same (question by question);
peak memory, size and F1. p99 of the same is for information only: of the usual 50 runs it is close
to the slowest one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ondevice.errors import DataError, UserError
from ondevice.report import faults, wording
from ondevice.report.questions import POLICIES
from ondevice.report.rows import MB, Device, DeviceKey, Row, RowKey, Traffic
from ondevice.report.scores import f1_change
from ondevice.report.sources import Skipped
from ondevice.report.study import Study
from ondevice.report.tables import KINDS
from ondevice.report.text import listing, plural
from ondevice.report.timings import Timings, paired_ratios, ratio
from ondevice.statistics import MEDIAN, P90, P99, QUANTILES, Interval

Likeness = str | tuple[str, ...]
Place = tuple[str, str, Row]
"""Where a change is: the device's and the row's name, and the row."""
Key = TypeVar("Key", DeviceKey, RowKey)
Thing = TypeVar("Thing", Device, Row)

REGRESSION = "regression"
NOISE_UNKNOWN = "noise unknown"
INFORMATION = "for information"
# In the order in which a reader wants to see them.
VERDICTS = ("worse", "better", NOISE_UNKNOWN, "within noise", "unchanged", INFORMATION)
TOO_FEW = "too few runs"
NO_SAMPLES = "figures without samples"
OTHER_QUESTIONS = "other questions"
# Why a change cannot be told from noise, in a word and as a sentence.
UNKNOWN = {
    TOO_FEW: "too few runs to tell change from noise",
    NO_SAMPLES: "the source gives figures without samples, so their noise is not known",
    OTHER_QUESTIONS: "other questions were asked: F1 does not compare",
}
# The tails of the stages are in those of the whole; loads are too few.
TAILED = frozenset({"model_only", "end_to_end"})
TAILS = {MEDIAN: "", P90: ", p90", P99: ", p99"}


@dataclass(frozen=True)
class Change:
    """One figure, then and now.

    Attributes:
        name: what tells the row from the device's others.
        ratio: now over then, with its interval where the noise is known.
        unknown: where there is no interval: why the noise is not known, one of UNKNOWN.
        judged: whether it can be a regression; else it is for information.
        higher_is_better: for scores.
    """

    device: str
    name: str
    row: Row
    what: str
    unit: str
    old: float
    new: float
    ratio: Interval | None
    unknown: str = ""
    judged: bool = True
    higher_is_better: bool = False

    @property
    def percent(self) -> float:
        """The change in percent of the old figure."""
        return 100.0 * (self.new / self.old - 1.0)

    @property
    def outside_noise(self) -> bool:
        """Whether the whole interval lies on one side of "no change"."""
        return self.ratio is not None and (self.ratio.low > 1.0 or self.ratio.high < 1.0)

    @property
    def worse(self) -> bool:
        """Whether it changed for the worse."""
        return self.new < self.old if self.higher_is_better else self.new > self.old

    def regressed(self, percent: float) -> bool:
        """Whether it is judged, worse by more than `percent`, and that is no noise."""
        far = self.outside_noise and abs(self.percent) > percent
        return self.judged and self.worse and far

    @property
    def verdict(self) -> str:
        """The change in a word."""
        if not self.judged:
            return INFORMATION
        if self.new == self.old:
            return "unchanged"
        if self.ratio is None:
            return NOISE_UNKNOWN
        if not self.outside_noise:
            return "within noise"
        return "worse" if self.worse else "better"


@dataclass(frozen=True)
class Comparison:
    """Everything that could be compared.

    Attributes:
        broken: artifacts that fail their golden check now and did not then; that ran to their end
            then, and do not run, have partial runs only, or are missing now: regressions all.
        left_out: sentences on what could not be compared.
        skipped: files of the older results that could not be used, the first of `skipped_total`.
    """

    changes: tuple[Change, ...]
    broken: tuple[str, ...]
    left_out: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    skipped_total: int = 0

    def regressions(self, percent: float) -> list[str]:
        """Return a sentence for each regression beyond a threshold."""
        return [
            f"{_where(change)}: {change.percent:+.1f} % ({change.old:.4g} to {change.new:.4g}"
            f" {change.unit})"
            for change in self.changes
            if change.regressed(percent)
        ] + list(self.broken)

    def unjudged(self, percent: float) -> list[Change]:
        """Return what changed by more than a threshold, either way, and has no interval."""
        return [
            change
            for change in self.changes
            if change.verdict == NOISE_UNKNOWN and abs(change.percent) > percent
        ]

    def warning(self, percent: float) -> str:
        """Return a sentence on what the threshold could not be held against, or ""."""
        causes = Counter(change.unknown for change in self.unjudged(percent))
        if not causes:
            return ""
        several = len(causes) > 1
        why = [f"{cause}: {causes[cause]:,}" if several else cause for cause in sorted(causes)]
        return (
            f"{plural(causes.total(), 'figure')} changed by more than {percent:g} % but could not"
            f" be judged ({'; '.join(why)})"
        )


def parse_threshold(text: str) -> float:
    """Return the percent of a threshold such as "5%".

    Raises:
        UserError: it is no percentage, or not from 0 to 1000.
    """
    found = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,6})?)\s*%\s*", text, re.ASCII)
    if found is None or float(found[1]) > 1000:
        raise UserError(
            f"--fail-on takes a percentage from 0% to 1000%, for example 5%, not '{text}'"
        )
    return float(found[1])


def compare(new: Study, old: Study) -> Comparison:
    """Compare two studies.

    Raises:
        DataError: nothing in one is like anything in the other; the sentence says what differs.
    """
    changes: list[Change] = []
    broken: list[str] = []
    missing: list[str] = []
    pairs, left_out = _pair(new.devices, old.devices, _device, lambda key: key.title + key.counted)
    for now, then in pairs:
        names = wording.names(now)
        rows, unlike = _pair(now.rows, then.rows, _likeness, _row_name)
        left_out += [f"{_device(now.key)}: {sentence}" for sentence in unlike]
        broken += [
            f"{_row_name(mine.key)} on {_device(now.key)}: {faults.fault(mine)}"
            for mine in faults.stopped(now, then, rows)
        ]
        missing += [
            f"{_row_name(theirs.key)} on {_device(now.key)}: it is not among the new results"
            for theirs in faults.missing(now, then)
        ]
        for mine, theirs in rows:
            if mine.golden_failed and not theirs.golden_failed:
                continue
            changes += _changes(_device(now.key), names[id(mine)], mine, theirs)
            sentences = [
                wording.unlike_turns(mine, theirs),
                wording.untold_turns(mine, theirs),
                wording.unlike_lengths(mine, theirs),
                *_one_sided(mine, theirs),
            ]
            left_out += [
                f"{_device(now.key)}: {_row_name(mine.key)}: {one}" for one in sentences if one
            ]
    if not changes and not broken:
        raise DataError(
            "there is nothing to compare: "
            + (listing(left_out, 4) or "neither has a figure that the other has too")
        )
    told = tuple(changes), (*broken, *missing), tuple(left_out)
    return Comparison(*told, tuple(old.skipped), old.skipped_total)


def _one_sided(new: Row, old: Row) -> list[str]:
    """Return a sentence for each side with figures that the other lacks, at lengths of both."""
    common = {length for _, length in new.times} & {length for _, length in old.times}
    now, then = (_figures(row, common | {None}) for row in (new, old))
    sides = (("new", now - then), ("old", then - now))
    return [
        f"in the {side} results only: {'; '.join(sorted(figures))}"
        for side, figures in sides
        if figures
    ]


def _figures(row: Row, lengths: set[int | None]) -> set[str]:
    others = {
        "peak memory": bool(row.memory.runs),
        "size": row.artifact.bytes is not None,
        "F1": row.score is not None,
    }
    timed = {_moment(kind, length) for kind, length in row.times if length in lengths}
    timed |= {
        # Files of one name may differ.
        f"{_questions(traffic, policy)} (file {sha256[:8]})"
        for ((sha256, _), policy), traffic in row.traffic.items()
    }
    return timed | {what for what, known in others.items() if known}


def _moment(kind: str, length: int | None) -> str:
    return KINDS[kind] if length is None else f"{KINDS[kind]}, {length} tokens"


def _questions(traffic: Traffic, policy: str) -> str:
    return f"{plural(traffic.questions, 'question')} of {traffic.data}, {POLICIES[policy]}"


def _changes(device: str, name: str, new: Row, old: Row) -> Iterator[Change]:
    """Yield the change of every figure that both have."""
    place = device, name, new
    if not wording.unlike_turns(new, old):
        yield from _timed(place, new, old)
        yield from _traffic(place, new, old)
    if new.memory.runs and old.memory.runs:
        # One reading for each run: there is never a spread within one.
        noise = ratio(new.memory, old.memory)
        values = old.memory.value(), new.memory.value()
        yield Change(*place, "peak memory", "MB", *values, noise, TOO_FEW)
    if new.artifact.bytes is not None and old.artifact.bytes is not None:
        now_mb, then_mb = new.artifact.bytes / MB, old.artifact.bytes / MB
        # A size has no noise.
        exact = Interval(now_mb / then_mb, now_mb / then_mb, now_mb / then_mb)
        yield Change(*place, "size", "MB", then_mb, now_mb, exact)
    if new.score is not None and old.score is not None:
        then_f1, now_f1 = old.score.value, new.score.value
        if then_f1 and now_f1 is not None:
            noise = f1_change(new.score, old.score)
            asked = new.score.questions and old.score.questions
            why = OTHER_QUESTIONS if asked else NO_SAMPLES
            yield Change(*place, "F1", "F1", then_f1, now_f1, noise, why, higher_is_better=True)


def _timed(place: Place, new: Row, old: Row) -> Iterator[Change]:
    """Yield the changes of what was timed at fixed lengths, and of loads."""
    for moment in sorted(set(new.times) & set(old.times), key=str):
        now, then = new.times[moment], old.times[moment]
        for quantile in QUANTILES if moment[0] in TAILED else (MEDIAN,):
            values = then.value(quantile), now.value(quantile)
            if not any(map(math.isnan, values)):
                noise, why = ratio(now, then, quantile), _why_unknown(now, then)
                what = _moment(*moment) + TAILS[quantile]
                yield Change(*place, what, "ms", *values, noise, why, judged=quantile != P99)


def _traffic(place: Place, new: Row, old: Row) -> Iterator[Change]:
    """Yield the changes of real questions: the same ones with the same padding."""
    for asked in sorted(set(new.traffic) & set(old.traffic)):
        both = old.traffic[asked], new.traffic[asked]
        then, now = (traffic.by_question for traffic in both)
        for quantile, noise in paired_ratios(now, then).items():
            values = float(np.quantile(then, quantile)), float(np.quantile(now, quantile))
            what = _questions(both[1], asked[1]) + TAILS[quantile]
            yield Change(*place, what, "ms", *values, noise, TOO_FEW, judged=quantile != P99)


def _why_unknown(now: Timings, then: Timings) -> str:
    """Return why the noise of a change is not known, where it is not."""
    return NO_SAMPLES if now.no_samples or then.no_samples else TOO_FEW


def _pair(
    new: Mapping[Key, Thing],
    old: Mapping[Key, Thing],
    like: Callable[[Key], Likeness],
    name: Callable[[Key], str],
) -> tuple[list[tuple[Thing, Thing]], list[str]]:
    """Pair what is the same, then what is alike and the only one of its kind on both sides.

    Returns the pairs, and a sentence for each thing that is left.
    """
    pairs = [(new[key], old[key]) for key in sorted(set(new) & set(old))]
    groups: dict[Likeness, tuple[list[Key], list[Key]]] = {}
    for side, (mine, other) in enumerate(((new, old), (old, new))):
        for key in sorted(set(mine) - set(other)):
            groups.setdefault(like(key), ([], []))[side].append(key)
    left_out = []
    for likeness in sorted(groups, key=str):
        here, there = groups[likeness]
        if len(here) == len(there) == 1:
            pairs.append((new[here[0]], old[there[0]]))
        elif here and there:
            left_out.append(
                f"{name(here[0])}: {len(here)} of that kind in the new results, {len(there)} in"
                " the old; which belongs to which is not known"
            )
        else:
            where = "new" if here else "old"
            left_out += [f"{name(key)} is in the {where} results only" for key in here or there]
    return pairs, left_out


def _device(key: DeviceKey) -> str:
    """Return what makes two devices alike: name, system (whatever its version) and cores."""
    notes = " (emulator)" * key.virtual + " (published)" * key.published
    return f"{key.name}, {key.os}{notes}{key.counted}"


def _likeness(key: RowKey) -> Likeness:
    """Return what makes two rows alike, whatever the file's hash and the runtime's version."""
    words = key.model, key.task, key.target, key.scheme, key.runtime, key.accelerator
    return *words, str(key.threads)


def _row_name(key: RowKey) -> str:
    words = key.task, key.runtime, key.accelerator, f"{key.threads or 'auto'} threads"
    return f"{key.model} {key.target} {key.scheme} ({', '.join(words)})"


def _where(change: Change) -> str:
    return f"{change.name} on {change.device}, {change.what}"
