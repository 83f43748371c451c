"""Benchmark on an iPhone, from a Mac: the demo app, launched and waited for with devicectl.

The app takes its orders from the launch environment (``ONDEVICE_BENCHMARK=1``,
``ONDEVICE_BUNDLE``, ``ONDEVICE_ITERATIONS``), leaves ``Documents/benchmark.json`` in its container
and exits. Without a Mac the app measures all the same: share its result and import it
(:mod:`ondevice.bench.importing`).
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ondevice import bundle
from ondevice.bench import BenchOptions, Keep, entries, ios_xctest
from ondevice.bench.importing import take_in
from ondevice.bench.ios_devicectl import Devicectl, Phone, choose
from ondevice.bench.parts import plain
from ondevice.bench.results import BenchmarkResult, ResultError, read_result
from ondevice.bench.xcode import PhoneError, find_xcrun
from ondevice.console import Progress
from ondevice.errors import UserError

APP = "dev.ondevice.qa"
RESULT = "Documents/benchmark.json"
COPY_SECONDS = 120.0
# A project's performance tests have a scheme of their own, named after it: they run in Release.
TEST_SCHEME = "Performance"
# The app's exit codes where it wrote a result: a complete one, a partial one.
WROTE = (0, 3)
# So far the phone's clock may be behind this machine's.
CLOCKS = datetime.timedelta(seconds=60)
# The app's own words on its standard error.
SAYS = "OnDeviceQA benchmark: "


def run(
    bundles: Sequence[Path],
    options: BenchOptions,
    *,
    identifier: str | None,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Measure bundles on an iPhone; see :class:`ondevice.bench.RunOnDevice`."""
    xcrun = find_xcrun()
    _refuse(options)
    manifests = [bundle.open_bundle(path) for path in bundles]
    control = Devicectl(xcrun)
    phone = choose(control.list(), identifier)
    app = options.app or APP
    results = []
    for path, manifest in zip(bundles, manifests, strict=True):
        own = path.resolve().name  # "." has no name
        with progress.step(f"{own}: in the app on {phone.name}"):
            result = _measure(control, phone, app, own, options, manifest.artifact.sha256)
        name = f"{app}/{RESULT}"
        take_in(result, manifest, "ios", bundle_name=own, name=name, keep=keep)
        results.append(result)
    if options.xctest is None:
        return results
    with progress.step(f"the tests of '{options.xctest.name}' on {phone.name}"):
        notes = _test(xcrun, phone, options.xctest, options.seconds)
    noted = [one.model_copy(update={"notes": (*one.notes, *notes)}) for one in results]
    for result in noted:
        keep(result)
    return noted


def _test(xcrun: Path, phone: Phone, project: Path, seconds: float) -> list[str]:
    """Run a project's performance tests on the phone; return what to note beside the results.

    Raises:
        PhoneError: they fail, or time nothing.
    """
    scheme = f"{project.stem}{TEST_SCHEME}"
    found = ios_xctest.run_tests(project, scheme, phone.udid, xcrun, seconds)
    return [ios_xctest.note(one) for one in found]


def _refuse(options: BenchOptions) -> None:
    if options.baseline is not None:
        raise UserError(
            "--baseline runs in PyTorch, on this machine only; to compare on the phone, embed a"
            " bundle of the teacher too and give both"
        )
    if options.data is not None:
        raise UserError("--data asks questions on this machine only (--device host)")
    if options.runners:
        raise UserError("--runner is for Android; an iPhone runs the benchmark of the app (--app)")


def _measure(
    control: Devicectl, phone: Phone, app: str, name: str, options: BenchOptions, sha256: str
) -> BenchmarkResult:
    """Run the app for one bundle and read what it left; it removes an older result itself.

    Raises:
        PhoneError: the app is not there, does not end, or left nothing.
        ResultError: what it left does not fit, or is of an earlier run.
    """
    variables = {
        "ONDEVICE_BENCHMARK": "1",
        "ONDEVICE_BUNDLE": name,
        "ONDEVICE_ITERATIONS": str(options.iterations),
    }
    launched = entries.now()
    code, said = control.launch(phone, app, variables, options.seconds)
    words = [line.partition(SAYS)[2] for line in said.splitlines() if SAYS in line]
    if code not in WROTE:
        # It may have died before it removed an older result.
        why = plain(words[-1]) if words else f"it ended with exit code {code}"
        raise PhoneError(f"'{app}' left no result for '{name}': {why}")
    with tempfile.TemporaryDirectory(prefix="ondevice-bench-") as directory:
        place = Path(directory) / "benchmark.json"
        try:
            control.copy_from(phone, app, RESULT, place, COPY_SECONDS)
        except PhoneError as error:
            why = plain(words[-1]) if words else f"it ended with exit code {code}; {error}"
            raise PhoneError(f"'{app}' left no result for '{name}': {why}") from error
        result = read_result(place, sha256)
    if _moment(result.created) < _moment(launched) - CLOCKS:
        raise ResultError(
            f"'{app}/{RESULT}' is of an earlier run: it says {result.created}, the app was launched"
            f" at {launched}; if the clocks differ, set the phone's"
        )
    return result


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
