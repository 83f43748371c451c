"""Benchmark on this Mac with Core ML's own benchmarker, through coremltools.

Every artifact is held against its goldens before any is timed. Each is then timed alone, in a
process of its own (:mod:`ondevice.bench.coreml_times`): one that hangs is given up after
``--timeout``, and one that crashes takes nothing down but itself.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ondevice import bundle
from ondevice.bench import BenchOptions, Keep, entries, golden_gate, golden_inputs, machine
from ondevice.bench.coreml_times import WARMUP_RUNS
from ondevice.bench.entries import Entry, now
from ondevice.bench.parts import (
    DeviceState,
    Measurement,
    Placement,
    ProtocolInfo,
    RuntimeInfo,
    plain,
)
from ondevice.bench.process import Process, UnavailableError
from ondevice.bench.protocol import PassError
from ondevice.bench.results import BenchmarkResult
from ondevice.console import Progress
from ondevice.errors import UserError
from ondevice.targets.coreml import function_name


def run(
    bundles: Sequence[Path],
    options: BenchOptions,
    *,
    identifier: str | None,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Measure Core ML bundles on this Mac; see :class:`ondevice.bench.RunOnDevice`."""
    _refuse(options, identifier)
    measured = entries.read_bundles(bundles, options)
    for entry in measured:
        if entry.identity.target != "coreml":
            raise UserError(
                f"--device coreml measures Core ML bundles, and {entry.label} is none; the others"
                " take --device host"
            )
    return _Session(measured, bundles, options, keep, progress).run()


def _refuse(options: BenchOptions, identifier: str | None) -> None:
    if identifier is not None:
        raise UserError("--device coreml takes no name after a colon: it is this Mac")
    if options.runners or options.app:
        raise UserError("--runner and --app are for phones; leave them out with --device coreml")
    if options.baseline is not None or options.data is not None:
        raise UserError(
            "--baseline and --data are for --device host; Core ML's benchmarker times one model"
        )


@dataclass
class _Session:
    """One run over all bundles: goldens first, then each is timed alone."""

    entries: Sequence[Entry]
    bundles: Sequence[Path]
    options: BenchOptions
    keep: Keep
    progress: Progress
    created: str = field(default_factory=now)
    before: DeviceState = field(default_factory=DeviceState)

    def run(self) -> list[BenchmarkResult]:
        """Return a finished result for each bundle."""
        self.before = machine.read_state()
        self._check_goldens()
        results = []
        for entry, path in zip(self.entries, self.bundles, strict=True):
            if entry.runs:
                self._time(entry, path)
            results.append(self._document(entry))
            self.keep(results[-1])
        return results

    def _check_goldens(self) -> None:
        for entry in self.entries:
            with (
                self.progress.step(f"{entry.label}: goldens"),
                Process(self.options.seconds) as process,
            ):
                golden_gate.hold(entry, process)
        for entry in golden_gate.wrong(self.entries):
            self.keep(self._document(entry, entry.golden.reason or "it fails its golden check"))
        golden_gate.refuse(self.entries)

    def _time(self, entry: Entry, path: Path) -> None:
        manifest = bundle.read_manifest(path)
        records = golden_inputs.read_records(path, entry.lengths)
        several = len(manifest.artifact.lengths) > 1
        with Process(self.options.seconds) as process:
            for length in entry.lengths:
                what = f"{entry.label}: length {length}"
                self.keep(self._document(entry, f"interrupted during: {what}"))
                inputs = golden_inputs.ordered_inputs(records[length][0], manifest)
                try:
                    with self.progress.step(what):
                        if not entry.measurements:
                            process.request("open", **entry.opening)
                        found = process.request(
                            "benchmark",
                            inputs={name: rows.tolist() for name, rows in inputs.items()},
                            iterations=self.options.iterations,
                            function=function_name(length) if several else None,
                        )
                except PassError as error:
                    if isinstance(error, UnavailableError) and not entry.measurements:
                        # coremltools answered the goldens, but has no benchmarker: too old.
                        entry.absent = plain(str(error))
                    else:
                        entry.failure = plain(f"at length {length}: {error}")
                    return
                _note(entry, length, found)

    def _document(self, entry: Entry, reason: str = "") -> BenchmarkResult:
        if not entry.absent:
            version = platform.mac_ver()[0]
            entry.runtime = RuntimeInfo(name="coreml", version=version, accelerator="all")
        how = ProtocolInfo(
            warmup=f"{WARMUP_RUNS} runs",
            iterations=self.options.iterations,
            order="alone",
            timer="coremltools MLModelBenchmarker",
            load_cold="not measured: Core ML keeps what it compiled",
        )
        device = machine.describe(self.before, machine.read_state())
        return entries.document(entry, device, how, self.created, reason)


def _note(entry: Entry, length: int, found: dict[str, Any]) -> None:
    """Add what was found at a length to what is known."""
    if not entry.measurements:
        # Loads are measured once; they know no length.
        entry.measurements.append(Measurement(kind="load_warm", samples=tuple(found["loads"])))
    entry.measurements.append(
        Measurement(
            kind="model_only",
            length=length,
            samples=tuple(found["predictions"]),
            warmup_runs=WARMUP_RUNS,
        )
    )
    preferred: dict[str, int] = found["preferred"]
    total = sum(preferred.values())
    entry.placements = tuple(
        Placement(delegate=name, nodes=nodes, total=total) for name, nodes in preferred.items()
    )
