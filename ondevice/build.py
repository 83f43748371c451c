"""The pipeline: checkpoint, graph, artifact, parity, bundle. ``python -m ondevice.build``."""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import (
    bundle,
    console,
    contents,
    garbage,
    keeping,
    models,
    plan,
    vocabulary,
)
from ondevice.errors import (
    BundleError,
    CheckpointError,
    ConversionError,
    GateError,
    OnDeviceError,
    RuntimeUnavailableError,
)
from ondevice.plan import BuildOptions, Job
from ondevice.targets.base import LastLowered
from ondevice.verify.runners import OpenedOnce

if TYPE_CHECKING:
    from ondevice.graph import GraphForm, MobileGraph
    from ondevice.manifest import Manifest, ParityInfo
    from ondevice.models import Checkpoint
    from ondevice.targets.base import Conversion
    from ondevice.verify.reference import Case

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """One job's outcome: a bundle, or the error that stood in its way."""

    job: Job
    manifest: Manifest | None
    cached: bool
    seconds: float
    parity: tuple[ParityInfo, ...]
    failure: GateError | ConversionError | None = None


def run(options: BuildOptions, progress: console.Progress) -> list[Built]:
    """Build a bundle for each target and scheme.

    An artifact that fails its gate, or whose converter breaks, is not published; the others
    still are. What can be refused is refused before anything is written.

    Raises:
        UserError: the options ask for something that is not there, or cannot be done.
    """
    plan.check_words(options)
    checkpoint = models.load(options.model, options.task)
    if options.trim_vocab is not None:
        plan.check_jobs(checkpoint, options)
        checkpoint = trim(checkpoint, options, progress)
    jobs = plan.make_jobs(checkpoint, options, progress)
    source = Source(checkpoint, jobs[0].lengths)
    built = {}
    order = plan.in_order(jobs)
    for job, following in zip_longest(order, order[1:]):
        let_go = partial(source.let_go, job, following)
        built[job.label] = build_one(job, source, progress, force=options.force, let_go=let_go)
        garbage.trim()
    return [built[job.label] for job in jobs]


def trim(checkpoint: Checkpoint, options: BuildOptions, progress: console.Progress) -> Checkpoint:
    """Return the checkpoint without the word pieces that the corpus never uses.

    Raises:
        UserError: the corpus or the tokenizer does not allow it.
    """
    assert options.trim_vocab is not None
    with progress.step("trimming the vocabulary"):
        trimmed = vocabulary.publish(checkpoint, options.trim_vocab, options.out)
    progress.say(f"  {trimmed.sentence()}")
    return trimmed.checkpoint


def build_one(
    job: Job,
    source: Source,
    progress: console.Progress,
    *,
    force: bool,
    let_go: Callable[[], None] = lambda: None,
) -> Built:
    """Build one bundle, or return the one that is already there.

    `let_go` is called once the artifact is written, before it is loaded and checked.
    """
    start = time.monotonic()
    found = None if force else plan.find_cached(job)
    if found is not None:
        return _cached(job, found, start)
    if (job.place / bundle.MANIFEST_FILE).is_file():
        progress.say(f"  {job.label}: replaces {_describe(job.place)}")
    try:
        with bundle.staging(job.place) as staged:
            with _logged(staged / bundle.LOG_FILE, progress) as steps:
                with steps.step(f"{job.label}: reading the checkpoint"), garbage.collected_after():
                    truth, graph = source.truth, source.graph(job.target.form())
                with steps.step(f"{job.label}: converting"), garbage.collected_after():
                    conversion = convert(job, graph, staged, source.lowered)
                    graph = graph.without_weights()
                    let_go()
                    size = bundle.hash_artifact(staged / job.target.file)[1]
                    _check_size(job, size)
                garbage.trim()
                artifact = OpenedOnce(job.target.name, staged / job.target.file, graph.outputs)
                with steps.step(f"{job.label}: checking parity"):
                    parity = check_parity(job, graph, truth.cases, artifact)
                with steps.step(f"{job.label}: writing goldens"):
                    contents.write_goldens(job, source.checkpoint, graph, truth, staged)
            # Once the log is closed: the manifest holds its hash.
            manifest = contents.write(job, source.checkpoint, graph, conversion, parity, staged)
            manifest = check_bundle(job, manifest, artifact, staged, progress)
    except (GateError, ConversionError) as error:
        rows = error.parity if isinstance(error, GateError) else ()
        return Built(job, None, False, time.monotonic() - start, rows, error)
    return Built(job, manifest, False, time.monotonic() - start, manifest.parity)


def _cached(job: Job, found: Manifest, start: float) -> Built:
    """Return the bundle that is there, held against the size that is allowed today."""
    try:
        _check_size(job, found.artifact.bytes)
    except GateError as error:
        return Built(job, None, True, time.monotonic() - start, found.parity, error)
    return Built(job, found, True, time.monotonic() - start, found.parity)


def _check_size(job: Job, size: int) -> None:
    """Hold an artifact of `size` bytes against what its job allows.

    Raises:
        GateError: it is larger.
    """
    kept = bool(job.convert_options.kept)
    keeping.check_size(job.max_bytes, size, job.label, kept=kept)


def _describe(place: Path) -> str:
    """Say which bundle is about to be replaced."""
    try:
        lengths = bundle.read_manifest(place).artifact.lengths
    except BundleError:
        return f"the unreadable bundle in '{place}'"
    return f"the bundle of lengths {','.join(map(str, lengths))} in '{place}'"


def convert(job: Job, graph: MobileGraph, directory: Path, lowered: LastLowered) -> Conversion:
    """Lower the graph to the job's target, as far as it is not `lowered` already.

    Raises:
        ConversionError: the converter broke.
    """
    try:
        path = directory / job.target.file
        return job.target.convert(graph, job.convert_options, path, lowered)
    except (OnDeviceError, OSError):
        raise
    except Exception as error:
        logger.exception("the converter broke")
        raise ConversionError(
            f"{job.target.title}'s converter broke on {job.label}: {type(error).__name__}: {error}"
        ) from error


def check_parity(
    job: Job, graph: MobileGraph, cases: list[Case], artifact: OpenedOnce
) -> tuple[ParityInfo, ...]:
    """Compare the artifact with the checkpoint, on the artifact's own runtime if it is here.

    Raises:
        GateError: it differs by more than its scheme allows.
    """
    from ondevice.verify import parity
    from ondevice.verify.mil import UnknownOpError

    limit = job.scheme.limit
    try:
        runner, evidence = artifact.runner
        rows = tuple(parity.check(runner, cases, graph.inputs, job.task, limit, evidence))
    except (RuntimeUnavailableError, UnknownOpError) as error:
        # Neither says anything about the artifact, so it is not failed, and never passed.
        return tuple(parity.not_run(job.target.name, job.lengths, limit, str(error)))
    except Exception as error:
        # It was made a moment ago: if its runtime cannot load or run it, the artifact is wrong.
        logger.exception("the artifact cannot be executed")
        raise GateError(f"{job.label} cannot be executed: {error}") from error
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        where = ", ".join(f"length {row.length}: {row.reason}" for row in failed)
        others = [name for name in job.target.schemes if name != job.scheme.name]
        raise GateError(
            f"{job.label} does not compute what its checkpoint computes ({where});"
            f" rounding can do that, another scheme may pass: --scheme {' or '.join(others)}",
            rows,
        )
    return rows


def check_bundle(
    job: Job, manifest: Manifest, artifact: OpenedOnce, directory: Path, progress: console.Progress
) -> Manifest:
    """Hold the bundle in `directory` against its goldens, format and kernels; note what was found.

    Raises:
        GateError: a check failed.
    """
    from ondevice.verify import check

    rows = check.of_build(directory, manifest, artifact, progress, job.label)
    failed = [f"{row.check}: {row.reason}" for row in rows if row.status == "failed"]
    if failed:
        raise GateError(f"{job.label} failed its checks ({'; '.join(failed)})", manifest.parity)
    return contents.rewrite(directory, manifest.model_copy(update={"checks": rows}))


class Source:
    """What the jobs of one build share; each part is made when a job first asks for it."""

    def __init__(self, checkpoint: Checkpoint, lengths: tuple[int, ...]) -> None:
        self.checkpoint = checkpoint
        self.lengths = lengths
        self.lowered = LastLowered()
        self._graph: tuple[GraphForm, MobileGraph] | None = None

    @cached_property
    def truth(self) -> contents.Truth:
        """What the checkpoint answers; it is loaded for that once, and let go."""
        from ondevice import goldens
        from ondevice.verify import reference

        checkpoint = self.checkpoint
        try:
            model = reference.load_model(checkpoint)
            cases = reference.make_cases(checkpoint, self.lengths, model)
        except (OnDeviceError, OSError):
            raise
        except Exception as error:
            raise CheckpointError(
                f"transformers cannot run the checkpoint '{checkpoint.name}': {error}"
            ) from error
        if checkpoint.task != "qa":
            return contents.Truth(cases, [])
        run = partial(reference.run_model, model, "qa")
        window = contents.window_for(self.lengths)
        return contents.Truth(cases, goldens.ask(run, checkpoint.tokenizer, window))

    def graph(self, form: GraphForm) -> MobileGraph:
        """Return the graph in a target's form; the last one is kept."""
        from ondevice import graph

        if self._graph is None or self._graph[0] != form:
            self._graph = (form, graph.from_checkpoint(self.checkpoint, form, self.lengths[-1]))
        return self._graph[1]

    def let_go(self, done: Job, following: Job | None) -> None:
        """Forget what the next job does not need: each of the two is as large as the weights."""
        if following is None or following.lowering != done.lowering:
            self.lowered.forget()
        if following is None or following.target.form() != done.target.form():
            self._graph = None


@contextlib.contextmanager
def _logged(log: Path, progress: console.Progress) -> Iterator[console.Progress]:
    """Send what libraries print to `log`; where the block fails, keep it and say where."""
    try:
        with console.quiet(log) as terminal:
            yield progress.on(terminal)
    except (ConversionError, GateError) as error:
        with tempfile.NamedTemporaryFile(prefix="ondevice-", suffix=".log", delete=False) as kept:
            kept.write(log.read_bytes())
        error.args = (f"{error} (log: {kept.name})",)
        raise


if __name__ == "__main__":
    from ondevice.cli import main

    sys.exit(main(["build", *sys.argv[1:]]))
