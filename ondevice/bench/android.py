"""Benchmark on an Android phone over adb: with programs that are pushed there, or with the app.

Every artifact is pushed and held against its goldens on the phone before any is timed. Each is
then timed alone: the programs cannot take turns run by run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ondevice import __version__, bundle
from ondevice.bench import (
    BenchOptions,
    Keep,
    android_app,
    android_goldens,
    android_state,
    entries,
    golden_gate,
)
from ondevice.bench.adb import Adb, DeviceError, connect
from ondevice.bench.android_files import Workplace
from ondevice.bench.android_plan import (
    Item,
    Kind,
    check_delegate,
    nothing_to_run,
    refuse,
    sort_programs,
)
from ondevice.bench.android_programs import (
    Job,
    NoAnswerError,
    ProgramError,
    TooOldError,
    push_inputs,
)
from ondevice.bench.parts import (
    DeviceState,
    GoldenCheck,
    ProtocolInfo,
    RuntimeInfo,
    plain,
)
from ondevice.bench.results import SCHEMA_VERSION, BenchmarkResult
from ondevice.console import Progress
from ondevice.errors import UserError

LOAD_COLD = (
    "the first load in a fresh process; the file had just been copied and read, so it may be in the"
    " system's page cache"
)
# Thermal states in which nothing is throttled.
COOL = (None, "none", "light")


def run(
    bundles: Sequence[Path],
    options: BenchOptions,
    *,
    identifier: str | None,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Measure bundles on a phone; see :class:`ondevice.bench.RunOnDevice`."""
    refuse(options)
    measured = entries.read_bundles(bundles, options)
    programs = sort_programs(options.runners)
    if options.app is None and not any(one.identity.target in programs for one in measured):
        raise UserError(nothing_to_run(measured))
    check_delegate(options, programs)
    adb = connect(identifier, options.seconds)
    phone = android_state.read_phone(adb)
    if options.app is not None:
        return android_app.run(adb, options.app, bundles, options, keep, progress)
    items = [
        Item(entry, path, bundle.read_manifest(path), programs.get(entry.identity.target))
        for entry, path in zip(measured, bundles, strict=True)
    ]
    return _Session(adb, phone, items, options, keep, progress).run()


@dataclass
class _Session:
    """One run over all bundles on one phone."""

    adb: Adb
    phone: android_state.Phone
    items: list[Item]
    options: BenchOptions
    keep: Keep
    progress: Progress
    created: str = field(default_factory=entries.now)

    def run(self) -> list[BenchmarkResult]:
        """Run the protocol; return a finished result for each bundle.

        Raises:
            UserError: nothing ran at all; the results say why.
        """
        try:
            with Workplace(self.adb, self.progress) as place:
                self._push(place)
                self._check_goldens()
                for item in self._alive():
                    # The one before may have heated the phone.
                    item.before = item.after = android_state.read_state(self.adb)
                    self._time(item)
                    # Losing the phone during the next one leaves this one whole.
                    item.timed = True
                    self.keep(self._document(item))
        except DeviceError as error:
            for item in self._alive():
                if item.timed:
                    continue
                if item.entry.golden.status != "not_run" or item.entry.measurements:
                    self.keep(self._document(item, str(error)))
            raise
        results = [self._document(item) for item in self.items]
        for result in results:
            self.keep(result)
        absent = [item.entry for item in self.items if item.entry.absent]
        if len(absent) == len(self.items):
            raise UserError(f"nothing ran on the phone: {absent[0].label}: {absent[0].absent}")
        return results

    def _alive(self) -> list[Item]:
        return [item for item in self.items if item.entry.runs]

    def _push(self, place: Workplace) -> None:
        for item in self.items:
            kind = item.kind
            if item.file is None:
                way = f"--runner {kind.name}, or --app" if kind else "--app"
                item.entry.absent = (
                    f"nothing to run it with was given: {item.entry.identity.target} artifacts"
                    f" take {way}"
                )
        alive = self._alive()
        files = {item.file for item in alive if item.file is not None}
        models = [item.path / item.manifest.artifact.file for item in alive]
        place.check_space(sum(path.stat().st_size for path in [*files, *models]))
        there: dict[Path, str] = {}
        for number, (item, model) in enumerate(zip(alive, models, strict=True)):
            assert item.file is not None
            assert item.kind is not None
            with self.progress.step(f"{item.entry.label}: to the phone"):
                if item.file not in there:
                    there[item.file] = place.push(item.file, item.kind.name, executable=True)
                pushed = place.push(model, f"{number}{model.suffix}")
            item.records = android_goldens.read_records(item.path, item.entry.lengths)
            inputs = {
                length: [android_goldens.ordered_inputs(one, item.manifest) for one in records]
                for length, records in item.records.items()
            }
            item.job = Job(
                place=place,
                program=there[item.file],
                artifact=item.manifest.artifact,
                model=pushed,
                threads=self.options.threads,
                delegate=self.options.delegate,
                prepared={
                    length: push_inputs(place, f"{number}-{length}", cases)
                    for length, cases in inputs.items()
                },
            )
            item.program = item.kind.make(item.job)

    # --- goldens ---

    def _check_goldens(self) -> None:
        """Refuse the whole run if one artifact is wrong: nothing has been timed yet."""
        for item in self._alive():
            with self.progress.step(f"{item.entry.label}: goldens on the phone"):
                self._check_golden(item)
        for item in self.items:
            if item.entry.golden.status == "failed":
                self.keep(self._document(item, item.entry.golden.reason))
        golden_gate.refuse([item.entry for item in self.items], " on the phone")

    def _check_golden(self, item: Item) -> None:
        assert item.program is not None
        assert item.job is not None
        entry = item.entry
        try:
            entry.golden = android_goldens.check(
                item.program, item.manifest, item.records, item.job.prepared
            )
        except NoAnswerError as error:
            entry.golden = GoldenCheck(status="not_run", reason=plain(str(error)))
        except TooOldError as error:
            entry.absent = plain(str(error))
            entry.golden = GoldenCheck(status="not_run", reason=entry.absent)
        except ProgramError as error:
            # It ran the artifact and has no right answer: as wrong as another answer.
            entry.golden = GoldenCheck(status="failed", reason=plain(str(error)))
        entry.memory = item.program.memory()

    # --- times ---

    def _time(self, item: Item) -> None:
        assert item.program is not None
        entry = item.entry
        for length in entry.lengths:
            what = f"{entry.label}: length {length}"
            self.keep(self._document(item, f"interrupted during: {what}"))
            try:
                with self.progress.step(what):
                    note = item.program.time(length, self.options.iterations)
            except ProgramError as error:
                entry.failure = plain(f"at length {length}: {error}")
            else:
                entry.notes = tuple(dict.fromkeys([*entry.notes, *([note] if note else [])]))
            entry.measurements = item.program.measurements()
            entry.placements = item.program.placements()[0]
            item.after = android_state.read_state(self.adb)
            if entry.failure:
                return

    # --- documents ---

    def _document(self, item: Item, reason: str = "") -> BenchmarkResult:
        entry, kind = item.entry, item.kind
        why = plain(entry.absent or entry.failure or reason)
        fallback = item.program.placements()[1] if item.program else None
        ran = not entry.absent and (entry.golden.status != "not_run" or entry.measurements)
        device = self.phone.device
        tools = {"ondevice": __version__, **self.phone.system}
        if kind and item.file:
            tools[kind.name] = f"sha256 {item.file_sha256[:16]}"
        return BenchmarkResult(
            schema_version=SCHEMA_VERSION,
            created=self.created,
            status="partial" if why else "complete",
            reason=why,
            evidence=("host" if device.virtual else "phone") if ran else "not run",
            source=f"ondevice {__version__}",
            tools=tools,
            device=device.model_copy(update={"before": item.before, "after": item.after}),
            artifact=entry.identity,
            runtime=RuntimeInfo(
                name=kind.runtime if kind else entry.identity.target,
                accelerator=kind.accelerator(self.options.delegate) if kind else "cpu",
            ),
            protocol=self._protocol(kind) if kind else None,
            golden=entry.golden,
            measurements=tuple(entry.measurements) if ran else (),
            memory=entry.memory if ran else None,
            placements=entry.placements if ran else (),
            cpu_fallback=fallback if ran else None,
            notes=(*entry.notes, *_warnings(item.before, item.after), *self._unequal()),
        )

    def _unequal(self) -> list[str]:
        """Say so if the artifacts did not begin equally cool: their times do not compare well."""
        found = dict.fromkeys(item.before.thermal for item in self.items if item.before.thermal)
        if len(found) < 2:
            return []
        return [f"the phone's thermal status differed between the artifacts: {', '.join(found)}"]

    def _protocol(self, kind: Kind) -> ProtocolInfo:
        return ProtocolInfo(
            threads=self.options.threads,
            warmup=kind.warmup,
            iterations=self.options.iterations,
            order="alone",
            timer=f"the clock of {kind.name}",
            load_cold=LOAD_COLD,
        )


def _warnings(before: DeviceState, after: DeviceState) -> list[str]:
    """Say what of the phone's state a reader of the figures should know."""
    hot = [
        f"the phone was throttling {when} the runs: thermal status {state.thermal}"
        for when, state in (("before", before), ("after", after))
        if state.thermal not in COOL
    ]
    saving = "low_power" in (before.power_mode, after.power_mode)
    return hot + (["the phone was in its power saving mode"] if saving else [])
