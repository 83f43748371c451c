"""How long a bundle takes on this machine: ``ondevice bench`` for one bundle, kept by its content.

The documents lie in the search's directory and can be given to ``ondevice report``. Bundles are
timed one after another, not in turn, so that each can be kept: a busy minute meets one alone.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ondevice.bench import BenchOptions, host, machine
from ondevice.bench.parts import DeviceState
from ondevice.bench.results import BenchmarkResult, ResultError, read_result, write_result
from ondevice.bundle import hash_file
from ondevice.console import Progress
from ondevice.errors import GateError
from ondevice.manifest import Manifest
from ondevice.search.contender import Times
from ondevice.search.replies import key_of
from ondevice.search.workshop import AbsentError, BrokenError
from ondevice.statistics import summarize

NANOSECONDS = 1e6  # in a ms
# How many questions of the data are timed, where those are.
QUESTIONS = 100


def time_bundle(
    place: Path, manifest: Manifest, kept: Path, questions: Path | None = None
) -> Times:
    """Return how long an answer takes, from text.

    Args:
        place: the bundle.
        manifest: its manifest.
        kept: the directory of the documents; one that is there already is not measured again.
        questions: of which :data:`QUESTIONS` are timed, each with all of its windows; None to time
            one window at the longest length.

    Raises:
        BrokenError: the bundle fails its goldens on this runtime, or cannot be run.
        AbsentError: its runtime is not here.
    """
    length = manifest.artifact.lengths[-1]
    options = BenchOptions(lengths=(length,), data=questions, questions=QUESTIONS)
    directory = kept / _key(manifest, options)
    result = _known(directory, manifest) or _measure(place, options, directory)
    if result.evidence == "not run":
        raise AbsentError(result.reason)
    if result.status != "complete":
        # What it did before it failed is no time of an answer.
        raise BrokenError(result.reason)
    if questions is not None and result.traffic is not None:
        (asked,) = (one for one in result.traffic.policies if one.policy == "shortest_bucket")
        found = summarize(asked.samples)
        return Times(None, found.median / NANOSECONDS, found.p90 / NANOSECONDS)
    for one in result.measurements:
        if (one.kind, one.length) == ("end_to_end", length) and one.samples:
            found = summarize(one.samples)
            return Times(length, found.median / NANOSECONDS, found.p90 / NANOSECONDS)
    raise BrokenError(result.reason or "it was not timed")


def _measure(place: Path, options: BenchOptions, directory: Path) -> BenchmarkResult:
    def keep(result: BenchmarkResult) -> None:
        # A partial one is no result of this search.
        if result.status == "complete":
            write_result(directory, result)

    try:
        # Its steps would be six lines for each bundle; the search says its own.
        (result,) = host.run(
            [place], options, identifier=None, keep=keep, progress=Progress(io.StringIO())
        )
    except GateError as error:
        raise BrokenError(str(error)) from error
    return result


def _asked(data: Path) -> dict[str, Any]:
    return {"data": hash_file(data), "questions": QUESTIONS}


def _known(directory: Path, manifest: Manifest) -> BenchmarkResult | None:
    for path in sorted(directory.glob("*.json")):
        try:
            return read_result(path, manifest.artifact.sha256)
        except ResultError:
            continue
    return None


def _key(manifest: Manifest, options: BenchOptions) -> str:
    """Return the hash of what decides a time: what is timed, how, and where."""
    device = machine.describe(DeviceState(), DeviceState())
    return key_of(
        {
            "bundle": manifest.content_key,
            "artifact": manifest.artifact.sha256,
            "iterations": options.iterations,
            "threads": options.threads,
            "lengths": options.lengths,
            # Documents of before there were questions are found by what they were asked.
            **({} if options.data is None else _asked(options.data)),
            "machine": [device.name, device.soc, device.os, device.os_version, device.cores],
        }
    )[:16]
