"""Two sets of results: what changed, and whether the change is outside the noise.

Only like is compared with like: the same device, artifact name, runtime, accelerator, number of
threads and length. A regression is a change for the worse whose whole interval lies beyond "no
change" and whose size is beyond the threshold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ondevice.errors import DataError, UserError
from ondevice.report import wording
from ondevice.report.cells import NOT_RUN, Cell, Table, decimals_for, figure, label
from ondevice.report.rows import MB, Device, DeviceKey, Row, RowKey
from ondevice.report.scores import f1_change
from ondevice.report.study import Study
from ondevice.report.tables import KINDS
from ondevice.report.text import listing, plural
from ondevice.report.timings import ratio
from ondevice.statistics import Interval

Likeness = str | tuple[str, ...]
Key = TypeVar("Key", DeviceKey, RowKey)
Thing = TypeVar("Thing", Device, Row)

REGRESSION = "regression"
NOISE_UNKNOWN = "noise unknown"
# In the order in which a reader wants to see them.
VERDICTS = ("worse", "better", NOISE_UNKNOWN, "within noise", "unchanged")
UNKNOWN = "too few samples, or figures without samples, to tell change from noise"
UNKNOWN_F1 = "other questions, or figures without questions: F1 does not compare"


@dataclass(frozen=True)
class Change:
    """One figure, then and now.

    Attributes:
        ratio: now over then, with its interval where the noise is known.
        higher_is_better: for scores.
    """

    device: str
    row: Row
    what: str
    unit: str
    old: float
    new: float
    ratio: Interval | None
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
        """Whether it is worse by more than `percent`, and that is no noise."""
        return self.worse and self.outside_noise and abs(self.percent) > percent

    @property
    def verdict(self) -> str:
        """The change in a word."""
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
        broken: artifacts that ran to their end then, and fail their golden check, do not run or
            have partial runs only now: regressions all.
        left_out: sentences on what could not be compared.
    """

    changes: tuple[Change, ...]
    broken: tuple[str, ...]
    left_out: tuple[str, ...]

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
        if not (count := len(self.unjudged(percent))):
            return ""
        return (
            f"{plural(count, 'figure')} changed by more than {percent:g} % but could not be judged"
            " (too few runs)"
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
    pairs, left_out = _pair(new.devices, old.devices, _device, lambda key: key.title)
    for now, then in pairs:
        rows, unlike = _pair(now.rows, then.rows, _likeness, _row_name)
        left_out += [f"{_device(now.key)}: {sentence}" for sentence in unlike]
        broken += [
            f"{_row_name(mine.key)} on {_device(now.key)}: {_fault(mine)}"
            for mine in _stopped(now, then, rows)
        ]
        for mine, theirs in rows:
            if mine.golden_failed and not theirs.golden_failed:
                continue
            changes += _changes(_device(now.key), mine, theirs)
            sentences = [wording.unlike_lengths(mine, theirs), *_one_sided(mine, theirs)]
            left_out += [
                f"{_device(now.key)}: {_row_name(mine.key)}: {one}" for one in sentences if one
            ]
    if not changes and not broken:
        raise DataError(
            "there is nothing to compare: "
            + (listing(left_out, 4) or "neither has a figure that the other has too")
        )
    return Comparison(tuple(changes), tuple(broken), tuple(left_out))


def comparison_tables(comparison: Comparison, fail_on: float | None) -> tuple[Table, Table]:
    """Return what changed, the worst first, and what did not or within the noise only."""
    changed: list[tuple[Cell, ...]] = []
    noise: list[tuple[Cell, ...]] = []
    for change in sorted(
        comparison.changes, key=lambda one: (VERDICTS.index(one.verdict), -abs(one.percent))
    ):
        regressed = fail_on is not None and change.regressed(fail_on)
        verdict = REGRESSION if regressed else change.verdict
        decimals = decimals_for([change.old, change.new])
        detail = "" if change.ratio is None else _percents(change.ratio)
        few = UNKNOWN_F1 if change.what == "F1" else UNKNOWN
        evidence = change.row.evidence
        line = (
            label(change.what),
            label(f"{change.row.key.model} {change.row.name}"),
            label(change.device),
            figure(change.old, evidence, decimals=decimals, unit=f" {change.unit}"),
            figure(change.new, evidence, decimals=decimals, unit=f" {change.unit}"),
            Cell(f"{change.percent:+.1f} %", evidence, detail, number=True),
            label(verdict, reason=few if verdict == NOISE_UNKNOWN else ""),
        )
        (noise if verdict in {"unchanged", "within noise"} else changed).append(line)
    caption = (
        "New figure against old; small figures are 95 % bootstrap intervals of the change. Two"
        " single runs know nothing of how runs differ from each other: measure several, or allow"
        " for it in the threshold."
    )
    headers = ("what", "artifact", "device", "old", "new", "change", "verdict")
    return (
        Table("changes", "What changed", caption, headers, tuple(changed), stub=3),
        Table("noise", "Unchanged, or within the noise", caption, headers, tuple(noise), stub=3),
    )


def _fault(row: Row) -> str:
    """Return why a row is not all that it should be now; else nothing."""
    if row.golden_failed:
        return f"it fails its golden check now: {row.golden_failed}"
    reason = next(iter(row.reasons.counts), "no reason given")
    if row.evidence == NOT_RUN:
        return f"it does not run now: {reason}"
    # A run that was broken off says nothing where another one ended.
    partial = bool(row.reasons.counts) and not row.completed
    return f"it is partial now: {reason}" if partial else ""


def _stopped(now: Device, then: Device, pairs: list[tuple[Row, Row]]) -> Iterator[Row]:
    """Yield each row that is at fault now and was not then.

    What stops before its runtime is known does not name it: such a row is also held against old
    ones of the same model, target and scheme that have no other partner.
    """
    partners = {mine.key: [theirs] for mine, theirs in pairs}
    taken = {theirs.key for _, theirs in pairs}
    for key in sorted(now.rows):
        mine = now.rows[key]
        alike = [
            row
            for row in then.rows.values()
            if row.key not in taken
            and (row.key.model, row.key.target, row.key.scheme)
            == (key.model, key.target, key.scheme)
        ]
        candidates = partners.get(key) or ([] if mine.times else alike)
        if _fault(mine) and any(not _fault(theirs) for theirs in candidates):
            yield mine


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
    return timed | {what for what, known in others.items() if known}


def _moment(kind: str, length: int | None) -> str:
    return KINDS[kind] if length is None else f"{KINDS[kind]}, {length} tokens"


def _changes(device: str, new: Row, old: Row) -> Iterator[Change]:
    """Yield the change of every figure that both have."""
    for moment in sorted(set(new.times) & set(old.times), key=str):
        kind, length = moment
        what = _moment(kind, length)
        now, then = new.times[moment], old.times[moment]
        if now.value() == now.value() and then.value() == then.value():
            noise = ratio(now, then)
            yield Change(device, new, what, "ms", then.value(), now.value(), noise)
    if new.memory.runs and old.memory.runs:
        now, then = new.memory, old.memory
        noise = ratio(now, then)
        yield Change(device, new, "peak memory", "MB", then.value(), now.value(), noise)
    if new.artifact.bytes is not None and old.artifact.bytes is not None:
        now_mb, then_mb = new.artifact.bytes / MB, old.artifact.bytes / MB
        # A size has no noise.
        exact = Interval(now_mb / then_mb, now_mb / then_mb, now_mb / then_mb)
        yield Change(device, new, "size", "MB", then_mb, now_mb, exact)
    if new.score is not None and old.score is not None:
        then_f1, now_f1 = old.score.value, new.score.value
        if then_f1 and now_f1 is not None:
            noise = f1_change(new.score, old.score)
            yield Change(device, new, "F1", "F1", then_f1, now_f1, noise, higher_is_better=True)


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
    """Return what makes two devices alike: kind, name and system, whatever its version."""
    notes = " (emulator)" * key.virtual + " (published)" * key.published
    return f"{key.name}, {key.os}{notes}"


def _likeness(key: RowKey) -> Likeness:
    """Return what makes two rows alike, whatever the file's hash and the runtime's version."""
    words = key.model, key.target, key.scheme, key.runtime, key.accelerator
    return *words, str(key.threads)


def _row_name(key: RowKey) -> str:
    threads = f"{key.threads or 'auto'} threads"
    return f"{key.model} {key.target} {key.scheme} ({key.runtime}, {key.accelerator}, {threads})"


def _percents(ratio: Interval) -> str:
    """Return the interval of a ratio as changes in percent."""
    low, high = (100.0 * (one - 1.0) for one in (ratio.low, ratio.high))
    return f"{low:+.1f} to {high:+.1f} %"


def _where(change: Change) -> str:
    row = change.row
    return f"{row.key.model} {row.name} on {change.device}, {change.what}"
