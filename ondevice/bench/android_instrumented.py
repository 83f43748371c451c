"""Run the demo app's instrumented benchmark, for builds whose files ``run-as`` does not open.

Its test ``BenchmarkExport`` measures every bundle in the app with the protocol's least number of
runs and leaves ``benchmark-NAME.json`` under the app's external files, which adb may read, or
``benchmark-NAME.error`` where a bundle could not be measured. It fails at its end, when all are
done, if one of them was wrong. Device farms run the same test.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ondevice import bundle
from ondevice.bench import MIN_ITERATIONS, BenchOptions, Keep
from ondevice.bench.adb import Adb, DeviceError, DeviceLostError, DeviceTimeoutError
from ondevice.bench.android_output import instrumentation_failure
from ondevice.bench.importing import take_in
from ondevice.bench.parts import plain
from ondevice.bench.results import BenchmarkResult, parse_result
from ondevice.console import Progress
from ondevice.errors import GateError, OnDeviceError, UserError

TEST = "BenchmarkExport"
# What it leaves ends with this, or where it could not measure with that.
RESULT, ERROR = ".json", ".error"


def find(adb: Adb, app: str) -> str | None:
    """Return the component that runs the tests of an app; None if they are not installed."""
    listed = adb.shell(["pm", "list", "instrumentation"]).stdout
    found = re.search(rf"^instrumentation:(\S+) \(target={re.escape(app)}\)", listed, re.MULTILINE)
    return found[1] if found else None


def run(
    adb: Adb,
    app: str,
    component: str,
    bundles: Sequence[Path],
    options: BenchOptions,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Run the test once, and take in what it left for each bundle; then say what was wrong.

    Raises:
        GateError: the app says that an artifact fails its goldens.
        UserError: the test left nothing for a bundle, or no result that fits.
    """
    if options.iterations != MIN_ITERATIONS:
        raise UserError(
            f"the app's instrumented benchmark times {MIN_ITERATIONS} runs: leave --iterations out,"
            " or install the app's debug build"
        )
    manifests = [bundle.open_bundle(path) for path in bundles]
    # "." has no name.
    names = [path.resolve().name for path in bundles]
    left = [f"/sdcard/Android/data/{app}/files/benchmark-{name}" for name in names]
    # An old result must not be taken for the new one.
    adb.shell(["rm", "-f", *(f"{one}{ending}" for one in left for ending in (RESULT, ERROR))])
    with progress.step(f"all bundles in the app, by its test {TEST}"):
        start = ["am", "instrument", "-w", "-r", "-e", "class", f"{app}.{TEST}", component]
        failure = instrumentation_failure(adb.shell(start, seconds=options.seconds).stdout)
    results: list[BenchmarkResult] = []
    problems: list[OnDeviceError] = []
    for name, manifest, begin in zip(names, manifests, left, strict=True):
        place = f"{begin}{RESULT}"
        try:
            content = _read(adb, app, name, begin, failure)
            result = parse_result(content, place, manifest.artifact.sha256)
            take_in(result, manifest, "android", bundle_name=name, name=place, keep=keep)
        except (DeviceLostError, DeviceTimeoutError):
            raise
        except (UserError, GateError) as error:
            # The others were measured as well.
            problems.append(error)
        else:
            results.append(result)
    _refuse(problems)
    return results


def _refuse(problems: Sequence[OnDeviceError]) -> None:
    """Raise what was wrong: before all else that an artifact failed its goldens."""
    gates = [one for one in problems if isinstance(one, GateError)]
    if gates:
        raise GateError("; ".join(map(str, gates)))
    if problems:
        raise problems[0]


def _read(adb: Adb, app: str, name: str, begin: str, failure: str) -> bytes:
    """Return what the test left for a bundle; a test that failed says there why."""
    said = adb.shell(["cat", f"{begin}{RESULT}"], seconds=adb.seconds)
    if said.code == 0 and said.stdout:
        return said.stdout.encode()
    own = adb.shell(["cat", f"{begin}{ERROR}"], seconds=adb.seconds)
    if own.code == 0 and own.stdout.strip():
        raise DeviceError(f"'{app}' could not measure '{name}': {plain(own.stdout)}")
    why = f"its tests failed: {failure}" if failure else "the app does not hold it"
    raise DeviceError(f"'{app}' left no result for '{name}': {plain(why)}")
