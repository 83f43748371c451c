"""What a search does in processes of its own: ``python -m ondevice.search._worker FD``.

The protocol is that of :mod:`ondevice.bench._worker`: builds are one operation more, and bundles
open in the reference interpreter where their runtime is not here. A converter or a runtime that
takes its process down takes nothing else with it.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ondevice import build, console, models, plan
from ondevice.bench import _worker as bench_worker
from ondevice.bench._worker import BundleWorker, Server
from ondevice.build import Source
from ondevice.errors import BudgetError, RuntimeUnavailableError, UserError
from ondevice.manifest import Evidence
from ondevice.plan import BuildOptions
from ondevice.search.candidates import identity
from ondevice.verify.opening import NOT_HERE

# How allocators of Python, C++ and PyTorch say it: of the machine, not of the candidate.
OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|alloc_cpu|out of memory|(?:can't|cannot|unable to|failed to) allocate ",
    re.IGNORECASE,
)
_PATHS = {"out", "calibration"}


def record(options: BuildOptions) -> dict[str, Any]:
    """Return a build's options as JSON holds them."""
    values = asdict(options)
    return values | {name: str(values[name]) for name in _PATHS if values[name] is not None}


def parse(values: Mapping[str, Any]) -> BuildOptions:
    """Return what :func:`record` was given."""

    def value(name: str) -> Any:
        given = values[name]
        if isinstance(given, list):
            return tuple(given)
        return Path(given) if name in _PATHS and given is not None else given

    return BuildOptions(**{field.name: value(field.name) for field in fields(BuildOptions)})


class OpenedBundle(BundleWorker):
    """A published bundle on its own runtime, or in the interpreter of its format."""

    evidence: Evidence = "host"

    def load(self) -> tuple[str, str]:
        """Load the artifact; return the runtime's name and version."""
        from ondevice.verify.runners import open_runner

        artifact = self.manifest.artifact
        roles = [output.role for output in artifact.outputs]
        path = self.directory / artifact.file
        self.runner, self.evidence = open_runner(artifact.target, path, roles, threads=self.threads)
        return self.runner.runtime, self.runner.version


class SearchServer(Server):
    """Builds, and answers requests to what is open."""

    def __init__(self) -> None:
        super().__init__()
        self._source: Source | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply to one request."""
        operation = request["op"]
        if operation == "build":
            options = parse(request["options"])
            try:
                return self._build(options)
            except UserError as error:
                return {_whose(error, options): str(error)}
        if operation == "keep":
            options = parse(request["options"])
            try:
                return self._keep(options)
            except BudgetError as error:
                return {"kept": [], "why": str(error)}
            except UserError as error:
                return {_whose(error, options): str(error)}
        if operation == "open" and request["kind"] == "bundle":
            self.worker = OpenedBundle(request)
            return {}
        try:
            reply = super().answer(request)
        except NOT_HERE as error:
            raise RuntimeUnavailableError(str(error)) from error
        if operation == "load":
            worker = self.worker
            reply["evidence"] = worker.evidence if isinstance(worker, OpenedBundle) else "host"
        return reply

    def _build(self, options: BuildOptions) -> dict[str, Any]:
        """Build one bundle; what a model's builds share is kept for the next one."""
        plan.check_words(options)
        checkpoint = models.load(options.model, options.task)
        (job,) = plan.make_jobs(checkpoint, options)
        kept = self._source
        wanted = identity(checkpoint), job.lengths
        if kept is None or (identity(kept.checkpoint), kept.lengths) != wanted:
            kept = self._source = Source(checkpoint, job.lengths)
        built = build.build_one(job, kept, console.Progress(), force=options.force)
        if built.failure is None:
            return {"failure": None}
        said = str(built.failure)
        return {"broken" if OUT_OF_MEMORY.search(said) else "failure": said}

    def _keep(self, options: BuildOptions) -> dict[str, Any]:
        """Measure which parts are to be kept; why none are, where the budget is too little."""
        checkpoint = models.load(options.model, options.task)
        (job,) = plan.make_jobs(checkpoint, options)
        return {"kept": list(job.convert_options.kept), "why": ""}


def _whose(error: UserError, options: BuildOptions) -> str:
    """Tell what keeps a candidate from being built from what keeps all of them.

    Those are about the place of the bundles, which the sentence names: a full disk, a directory in
    use. What lacks a candidate alone, a package for its scheme, may be there the next time.
    """
    return "refused" if str(options.out) in str(error) else "broken"


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(descriptor: int) -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGTERM, _interrupt)
    bench_worker.main(descriptor, SearchServer())


if __name__ == "__main__":
    main(int(sys.argv[1]))
