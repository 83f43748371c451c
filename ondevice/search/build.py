"""Build the candidates: what is there is taken, what failed before is not tried again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ondevice import console, plan
from ondevice.bundle import MANIFEST_FILE
from ondevice.card import MB
from ondevice.plan import Job
from ondevice.search.candidates import Model
from ondevice.search.contender import Contender
from ondevice.search.keep import write_text
from ondevice.search.workshop import BrokenError, Workshop


def build_all(
    contenders: Sequence[Contender],
    models: Sequence[Model],
    workshop: Workshop,
    kept: Path,
    progress: console.Progress,
) -> None:
    """Build each candidate; one whose converter breaks, or that misses its gate, leaves.

    Args:
        contenders: their places and sizes are set.
        models: their checkpoints.
        workshop: builds.
        kept: the directory of what is known of failed builds.
        progress: says what is built.

    Raises:
        UserError: nothing can be built here now, for example since the disk is full.
    """
    checkpoints = {model.label: model.checkpoint for model in models}
    # What builds of one checkpoint share is made once if they follow each other.
    ordered = sorted(contenders, key=lambda one: (one.candidate.model, one.candidate.lengths))
    for number, one in enumerate(ordered, 1):
        (job,) = plan.make_jobs(checkpoints[one.candidate.model], one.candidate.options)
        failure = _build(one, job, f"{number}/{len(ordered)}", workshop, kept, progress)
        manifest = None if failure else plan.find_cached(job)
        if manifest is not None:
            one.place, one.bytes = job.place, manifest.artifact.bytes
            continue
        one.leave("failed", failure or f"'{job.place / MANIFEST_FILE}' is not what was built")
        progress.say(f"  {one.candidate.target} {one.candidate.label}: {one.reason}")


def _build(
    one: Contender,
    job: Job,
    number: str,
    workshop: Workshop,
    kept: Path,
    progress: console.Progress,
) -> str:
    """Return why there is no bundle; empty if there is one."""
    if plan.find_cached(job) is not None:
        return ""
    failed = kept / f"{job.key}.txt"
    if failed.is_file():
        return failed.read_text(encoding="utf-8")
    title = f"building {number}: {one.candidate.target} {one.candidate.label}"
    try:
        with progress.step(title):
            failure = workshop.build(one.candidate.options)
    except BrokenError as error:
        # It may have been the machine: memory that ran out, a process that somebody ended.
        return str(error)
    if failure:
        write_text(failed, failure)
    return failure


def megabytes(one: Contender) -> float | None:
    """Return the size of the artifact in 10^6 bytes; None where there is none."""
    return None if one.bytes is None else one.bytes / MB
