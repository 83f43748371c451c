"""Benchmark on this machine's CPU: each artifact in processes of its own, in turn.

The order of things: every artifact is held against its goldens, in a process that times nothing.
Then each is loaded in fresh processes (cold); the last of them stays and runs the passes, length
by length, and the questions. Its peak memory is read before it loads the artifact again (warm).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ondevice.bench import BenchOptions, Keep, entries, golden_gate, machine, protocol, questions
from ondevice.bench.entries import Entry, Questions, now
from ondevice.bench.parts import (
    DeviceState,
    Measurement,
    MemoryInfo,
    Placement,
    ProtocolInfo,
    RuntimeInfo,
    plain,
)
from ondevice.bench.process import Process
from ondevice.bench.protocol import Pass, PassError
from ondevice.bench.results import BenchmarkResult
from ondevice.console import Progress
from ondevice.errors import UserError

logger = logging.getLogger(__name__)

# Targets whose operations are counted inside and outside XNNPACK.
XNNPACK_TARGETS = ("tflite", "executorch")
# Above this, a reader of the figures should know that other work was going on.
IDLE_LOAD = 0.5


def run(
    bundles: Sequence[Path],
    options: BenchOptions,
    *,
    identifier: str | None,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Measure bundles here; see :class:`ondevice.bench.RunOnDevice`."""
    if identifier is not None:
        raise UserError("--device host takes no name after a colon: it is this machine")
    if options.runners or options.app:
        raise UserError("--runner and --app are for phones; leave them out with --device host")
    measured = entries.read_bundles(bundles, options)
    asked = None
    if options.data is not None:
        task = measured[0].identity.task
        asked = entries.read_questions(options.data, task, options.questions)
    if options.baseline is not None:
        measured.insert(0, entries.read_baseline(options.baseline, measured, options))
    return measure(measured, asked, options, keep=keep, progress=progress)


def measure(
    measured: Sequence[Entry],
    asked: Questions | None,
    options: BenchOptions,
    *,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Measure what was looked over already; all of it takes turns.

    Raises:
        GateError: an artifact fails its goldens; nothing was timed.
        UserError: a baseline cannot be run.
    """
    return _Session(measured, asked, options, keep, progress).run()


@dataclass
class _Session:
    """One run over all artifacts."""

    entries: Sequence[Entry]
    asked: Questions | None
    options: BenchOptions
    keep: Keep
    progress: Progress
    created: str = field(default_factory=now)
    before: DeviceState = field(default_factory=DeviceState)
    processes: dict[int, Process] = field(default_factory=dict)

    def run(self) -> list[BenchmarkResult]:
        """Run the protocol; return a finished result for each artifact."""
        try:
            # Before the goldens: their own work would count as somebody else's.
            self.before = machine.read_state()
            self._note_other_work()
            with self._stage("goldens"):
                self._check_goldens()
            with self._stage("cold loads"):
                self._load_cold()
            for length in sorted({one for entry in self.entries for one in entry.lengths}):
                with self._stage(f"length {length}"):
                    self._time_length(length)
            if self.asked is not None:
                with self._stage(f"{len(self.asked.examples)} questions"):
                    questions.ask_all(self._alive(), self._request, self.asked)
            with self._stage("warm loads"):
                self._finish()
        finally:
            for process in self.processes.values():
                process.close()
        results = [self._document(entry) for entry in self.entries]
        for result in results:
            self.keep(result)
        return results

    @contextlib.contextmanager
    def _stage(self, title: str) -> Iterator[None]:
        """Keep what there is, so that an interruption from here on leaves it, and go on."""
        if any(entry.measurements for entry in self.entries):
            for entry in self.entries:
                self.keep(self._document(entry, f"interrupted during: {title}"))
        with self.progress.step(title):
            yield

    # --- stages ---

    def _check_goldens(self) -> None:
        """Refuse the whole run if one artifact is wrong: nothing has been timed yet."""
        for entry in self.entries:
            if entry.is_baseline:
                continue
            with Process(self.options.seconds) as process:
                golden_gate.hold(entry, process)
                if entry.golden.status == "passed" and entry.identity.target in XNNPACK_TARGETS:
                    _count_placements(entry, process)
        for entry in golden_gate.wrong(self.entries):
            self.keep(self._document(entry, entry.golden.reason or "it fails its golden check"))
        golden_gate.refuse(self.entries)

    def _load_cold(self) -> None:
        loads: dict[int, list[int]] = {}
        firsts: dict[int, list[int]] = {}
        for number in protocol.interleave(range(len(self.entries)), protocol.COLD_LOADS):
            entry = self.entries[number]
            if not entry.runs:
                continue
            if number in self.processes:
                self.processes.pop(number).close()
            with self._dropping_out(entry):
                process = self.processes[number] = Process(self.options.seconds)
                opened = process.request("open", **entry.opening)
                loaded = process.request("load")
                first = process.request("pass", length=entry.lengths[-1])
                loads.setdefault(number, []).append(loaded["nanoseconds"])
                firsts.setdefault(number, []).append(first["stages"][1])
                entry.runtime = _runtime(entry, loaded)
                entry.memory = self._memory(number, opened["resident"])
        for number, entry in enumerate(self.entries):
            if number in firsts:
                entry.measurements += [
                    Measurement(kind="load_cold", samples=tuple(loads[number])),
                    Measurement(
                        kind="first_inference",
                        length=entry.lengths[-1],
                        samples=tuple(firsts[number]),
                    ),
                ]

    def _time_length(self, length: int) -> None:
        taking = {number: e for number, e in self._alive().items() if length in e.lengths}
        passes = {str(number): partial(self._pass, number, length) for number in taking}
        timed = protocol.run_interleaved(passes, self.options.iterations)
        for number, entry in taking.items():
            found = timed[str(number)]
            entry.measurements += protocol.measurements(found, length)
            entry.failure = plain(found.failure and f"at length {length}: {found.failure}")

    def _finish(self) -> None:
        for number, entry in self._alive().items():
            with self._dropping_out(entry):
                known = entry.memory.before_load_bytes if entry.memory else None
                entry.memory = self._memory(number, known)
                warm = [
                    int(self._request(number, "load")["nanoseconds"])
                    for _ in range(protocol.WARM_LOADS)
                ]
                entry.measurements.insert(1, Measurement(kind="load_warm", samples=tuple(warm)))

    # --- shared ---

    def _alive(self) -> dict[int, Entry]:
        return {number: entry for number, entry in enumerate(self.entries) if entry.runs}

    def _request(self, number: int, operation: str, **values: Any) -> dict[str, Any]:
        return self.processes[number].request(operation, **values)

    def _pass(self, number: int, length: int) -> Pass:
        return Pass(*self._request(number, "pass", length=length)["stages"])

    def _memory(self, number: int, before: int | None) -> MemoryInfo:
        found = self._request(number, "memory")
        return MemoryInfo(
            peak_bytes=found["peak"], before_load_bytes=before, method=found["method"]
        )

    @contextlib.contextmanager
    def _dropping_out(self, entry: Entry) -> Iterator[None]:
        try:
            yield
        except PassError as error:
            if entry.is_baseline and not entry.measurements:
                raise UserError(f"the baseline cannot be run: {error}") from error
            entry.failure = plain(str(error))
            logger.warning("%s: %s", entry.label, error)

    def _note_other_work(self) -> None:
        load = self.before.load_average
        if load is not None and load > IDLE_LOAD:
            note = f"the machine was not idle when the run began: load average {load:g}"
            for entry in self.entries:
                entry.notes = (*entry.notes, note)

    def _document(self, entry: Entry, reason: str = "") -> BenchmarkResult:
        device = machine.describe(self.before, machine.read_state())
        others = tuple(one.label for one in self.entries if one is not entry and not one.absent)
        how = ProtocolInfo(
            threads=entry.threads,
            warmup=protocol.WARMUP_RULE,
            iterations=self.options.iterations,
            order="interleaved" if others else "alone",
            interleaved_with=others,
            timer=protocol.TIMER,
            load_cold=protocol.LOAD_COLD,
            between_turns=protocol.BETWEEN_TURNS,
        )
        return entries.document(entry, device, how, self.created, reason)


def _count_placements(entry: Entry, process: Process) -> None:
    try:
        counted = process.request("placement")
    except PassError as error:
        # Its answers are right all the same.
        note = plain(f"what XNNPACK took of the graph is not known: {error}")
        entry.notes = (*entry.notes, note)
        return
    if counted["total"]:
        entry.placements = (
            Placement(delegate="XNNPACK", nodes=counted["nodes"], total=counted["total"]),
        )


def _runtime(entry: Entry, loaded: dict[str, Any]) -> RuntimeInfo:
    accelerator = "cpu"
    if entry.identity.target == "coreml":
        accelerator = "all"  # Core ML may use any compute unit
    elif any(one.nodes for one in entry.placements):
        accelerator = "xnnpack"
    return RuntimeInfo(name=loaded["runtime"], version=loaded["version"], accelerator=accelerator)
