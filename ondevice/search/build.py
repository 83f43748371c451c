"""Build the candidates: what is there is taken, what failed before is tried again if asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ondevice import calibration, console, keeping, plan
from ondevice.bundle import MANIFEST_FILE, hash_file
from ondevice.keeping import MB
from ondevice.models import Checkpoint
from ondevice.plan import BuildOptions, Job
from ondevice.search.candidates import Model
from ondevice.search.contender import Contender
from ondevice.search.files import write_text
from ondevice.search.replies import key_of
from ondevice.search.workshop import BrokenError, Workshop


def build_all(
    contenders: Sequence[Contender],
    models: Sequence[Model],
    workshop: Workshop,
    failures: Path,
    progress: console.Progress,
    *,
    retry: bool = False,
) -> None:
    """Build each candidate; one whose converter breaks, or that misses its gate, leaves.

    Args:
        contenders: their places and sizes are set.
        models: their checkpoints.
        workshop: builds.
        failures: the directory of what is known of failed builds; which parts are worth keeping
            is found again beside it.
        progress: says what is built.
        retry: whether what failed before is built again.

    Raises:
        UserError: an option cannot be served, for which nothing is built; or nothing can be built
            here now, for example since the disk is full.
        DataError: the calibration texts will not do, for which nothing is built.
    """
    notes = _Notes(failures, failures.with_name("kept"), retry)
    checkpoints = {model.label: model.checkpoint for model in models}
    # What builds of one checkpoint share is made once if they follow each other.
    ordered = sorted(contenders, key=lambda one: (one.candidate.model, one.candidate.lengths))
    jobs = plain_jobs(ordered, models)
    for number, (one, plain) in enumerate(zip(ordered, jobs, strict=True), 1):
        title = f"{number}/{len(ordered)}: {one.candidate.target} {one.candidate.label}"
        options, job = one.candidate.options, plain
        if options.keep:
            parts = _measured(
                one, plain, checkpoints[one.candidate.model], workshop, notes, progress
            )
            if one.outcome != "open":
                continue
            # The texts have shown which; rounding may not look at any.
            texts = options.calibration if plain.scheme.takes_texts else None
            options = replace(options, keep=parts, calibration=texts)
            job = _job(checkpoints[one.candidate.model], options)
        failure = _build(options, job, title, workshop, notes, progress)
        manifest = None if failure else plan.find_cached(job)
        if manifest is not None:
            one.place, one.bytes = job.place, manifest.artifact.bytes
            one.needs = manifest.artifact.min_runtime
            continue
        one.leave("failed", failure or f"'{job.place / MANIFEST_FILE}' is not what was built")
        progress.say(f"  {one.candidate.target} {one.candidate.label}: {one.reason}")


def plain_jobs(contenders: Sequence[Contender], models: Sequence[Model]) -> list[Job]:
    """Return each candidate's job, but for what is kept, which is measured when it is built.

    All before the first is built: what is wrong with the last would be found after minutes.

    Raises:
        UserError: an option cannot be served.
        DataError: the calibration texts will not do.
    """
    checkpoints = {model.label: model.checkpoint for model in models}
    texts = {(one.candidate.model, one.candidate.options.calibration) for one in contenders}
    for model, path in texts:
        if path is not None:
            calibration.from_file(checkpoints[model], path)
    return [
        _job(checkpoints[one.candidate.model], replace(one.candidate.options, keep=()))
        for one in contenders
    ]


@dataclass(frozen=True)
class _Notes:
    """What is known of earlier builds.

    Attributes:
        failures: the directory of why builds failed, by their jobs' keys.
        kept: the directory of which parts were found to be worth keeping.
        retry: whether what failed before is built again.
    """

    failures: Path
    kept: Path
    retry: bool


def _job(checkpoint: Checkpoint, options: BuildOptions) -> Job:
    (job,) = plan.make_jobs(checkpoint, options)
    return job


def _measured(
    one: Contender,
    plain: Job,
    checkpoint: Checkpoint,
    workshop: Workshop,
    notes: _Notes,
    progress: console.Progress,
) -> tuple[str, ...]:
    """Return the parts to keep; the candidate leaves where there are none.

    They are measured in the process that builds, once.
    """
    options = one.candidate.options
    budget = keeping.read_budget(options.keep)
    assert budget is not None
    found = keeping.estimate(checkpoint, plain.target, plain.scheme, plain.lengths)
    if budget.bytes is not None and budget.bytes < found.least:
        one.leave("missed", f"with nothing kept it has about {found.size / MB:.2f} MB already")
        return ()
    texts = options.calibration
    facts = {
        "job": plain.key,
        "keep": options.keep,
        "texts": None if texts is None else hash_file(texts),
    }
    note = notes.kept / f"{key_of(facts)}.txt"
    if note.is_file():
        kept = tuple(note.read_text(encoding="utf-8").split())
    else:
        try:
            with progress.step(f"measuring {one.candidate.target} {one.candidate.label}"):
                kept, why = workshop.keep(options)
        except BrokenError as error:
            one.leave("failed", str(error))
            return ()
        if why:
            one.leave("missed", why)
            return ()
        write_text(note, "\n".join(kept))
    if not kept:
        one.leave("missed", "no part fits beside the rest: it would be the scheme as it is")
    return kept


def _build(
    options: BuildOptions,
    job: Job,
    title: str,
    workshop: Workshop,
    notes: _Notes,
    progress: console.Progress,
) -> str:
    """Return why there is no bundle; empty if there is one."""
    if plan.find_cached(job) is not None:
        return ""
    failed = notes.failures / f"{job.key}.txt"
    if failed.is_file() and not notes.retry:
        return f"{failed.read_text(encoding='utf-8')} (failed before; --retry-failed builds it)"
    try:
        with progress.step(f"building {title}"):
            failure = workshop.build(options)
    except BrokenError as error:
        # It may have been the machine: memory that ran out, a process that somebody ended.
        return str(error)
    if failure:
        # The log is a temporary file, which may be gone when this is read.
        write_text(failed, failure.split(" (log:")[0])
    else:
        failed.unlink(missing_ok=True)
    return failure
