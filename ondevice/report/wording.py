"""What a report says of a row: its name, its runtime, why something of it is missing."""

from __future__ import annotations

from collections import Counter

from ondevice.report.cells import NOT_RUN
from ondevice.report.rows import Device, Row

# In the place of evidence: its figures, if there are any from another run, are of wrong answers.
FAILED = "golden check FAILED"


def timed_kind(device: Device) -> str:
    """Return what the device's latency figures are of: the model alone, if that was timed."""
    timed = {kind for row in device.rows.values() for kind, _ in row.times}
    return "end_to_end" if "model_only" not in timed and "end_to_end" in timed else "model_only"


def timed_lengths(device: Device, kind: str) -> list[int]:
    """Return every length at which some row was timed."""
    return sorted({length for row in device.rows.values() for length in row.lengths(kind)})


def main_length(device: Device, kind: str) -> int | None:
    """Return the length at which most rows were timed; of several such, the longest."""
    counts = Counter(length for row in device.rows.values() for length in row.lengths(kind))
    return max(counts, key=lambda length: (counts[length], length)) if counts else None


def names(device: Device) -> dict[int, str]:
    """Return what a plot calls each row, by ``id``: model, target, scheme and what differs."""
    rows = device.sorted_rows()
    return {id(row): " ".join([row.key.model, row.name, *_distinction(row, rows)]) for row in rows}


def artifact(row: Row, rows: list[Row]) -> str:
    """Return target and scheme, with the hash where another file has the same name."""
    hashes = {other.key.sha256 for other in rows if _triple(other) == _triple(row)}
    return f"{row.name} {row.key.sha256[:8]}" if len(hashes) > 1 else row.name


def runtime(row: Row) -> str:
    """Return the runtime with its version, and the accelerator if it is not the CPU."""
    accelerator = "" if row.key.accelerator == "cpu" else f" ({row.key.accelerator})"
    return f"{row.key.runtime} {row.key.version}".strip() + accelerator


def threads(row: Row) -> str:
    """Return the number of threads; "auto" where the runtime chose by itself."""
    if row.evidence == "published":
        return "–"
    return str(row.key.threads or "auto")


def of_file(row: Row) -> str:
    """Return the evidence for size and parameters: the file's, known also where it did not run."""
    return "host" if row.evidence == NOT_RUN else row.evidence


def why_untimed(row: Row, length: int | None) -> str:
    """Return why a row has no time at a length (None: for loads)."""
    if row.golden_failed:
        return f"it failed its golden check and was not timed: {row.golden_failed}"
    if row.reasons.counts:
        return next(iter(row.reasons.counts))
    if row.evidence == "reference":
        return "an interpreter is never timed"
    if length is not None and row.artifact.lengths and length not in row.artifact.lengths:
        return f"the artifact serves {', '.join(map(str, row.artifact.lengths))} tokens"
    return "not measured"


def unlike_lengths(new: Row, old: Row) -> str:
    """Return a sentence if two rows were timed at different lengths; else nothing."""
    now = {length for _, length in new.times if length is not None}
    then = {length for _, length in old.times if length is not None}
    if now == then:
        return ""
    words = [", ".join(map(str, sorted(one))) or "none" for one in (now, then)]
    return f"lengths differ: {words[0]} in the new results, {words[1]} in the old"


def unlike_turns(new: Row, old: Row) -> str:
    """Return a sentence if two rows spent the time between their runs differently, or "".

    Older results do not tell: what is not known is no difference.
    """
    now, then = (sorted(row.between_turns.counts) for row in (new, old))
    if not now or not then or now == then:
        return ""
    return (
        f"between turns: {' or '.join(now)} in the new results, {' or '.join(then)} in the old;"
        " times are not compared"
    )


def untold_turns(new: Row, old: Row) -> str:
    """Return a sentence if only one of two rows tells what it did between its runs, or ""."""
    now, then = (sorted(row.between_turns.counts) for row in (new, old))
    if bool(now) == bool(then) or not (new.times and old.times):
        return ""
    told, untold = ("new", "old") if now else ("old", "new")
    return (
        f"between turns: {' or '.join(now or then)} in the {told} results, not told in the"
        f" {untold}; times are compared as if it were the same"
    )


def disagreement(row: Row) -> str:
    """Return a sentence if a row's runs scored differently; else nothing."""
    low, high = row.score_range or (0.0, 0.0)
    if high - low < 0.05:
        return ""
    return f"F1 differs between the runs, from {low:.1f} to {high:.1f}; shown is one of them"


def remarks(row: Row) -> str:
    """Return what a reader should know of a row's figures."""
    failed = [f"failed its golden check: {row.golden_failed}"] if row.golden_failed else []
    # Of a run that was refused for it, the failure is the reason too.
    reasons = [reason for reason in row.reasons.counts if reason != row.golden_failed]
    return "; ".join([*failed, *reasons, *row.remarks.counts])


def _distinction(row: Row, rows: list[Row]) -> list[str]:
    """Return the words that tell a row from others of the same model, target and scheme."""
    alike = [other.key for other in rows if _triple(other) == _triple(row)]
    key = row.key
    pairs = (
        ({other.task for other in alike}, key.task),
        ({other.runtime for other in alike}, key.runtime),
        ({other.version for other in alike}, key.version),
        ({other.accelerator for other in alike}, key.accelerator),
        ({str(other.threads) for other in alike}, f"{threads(row)} threads"),
        ({other.evidence for other in alike}, key.evidence),
        ({other.sha256 for other in alike}, key.sha256[:8]),
    )
    return [text for different, text in pairs if len(different) > 1 and text]


def _triple(row: Row) -> tuple[str, str, str]:
    return row.key.model, row.key.target, row.key.scheme


def no_teacher(row: Row) -> str:
    """Return why a row with a score is held against no teacher."""
    if row.key.target == "torch":
        return "it is the teacher, or was asked without one"
    return "there are no answers of the teacher beside it"
