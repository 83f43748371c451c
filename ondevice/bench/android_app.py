"""Run the demo app's own benchmark on an Android phone and fetch its result.

The app must have the bundles embedded and be a debuggable build (``run-as`` reads its files), or
have its tests installed (:mod:`ondevice.bench.android_instrumented`). Its
``BenchmarkActivity`` takes ``--ei iterations N --es bundle NAME`` and leaves, whole and only when
it is done, ``files/benchmark.json``, a document as :mod:`ondevice.bench.results` describes it, or
``files/benchmark.error`` when it could not begin.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from ondevice import bundle
from ondevice.bench import BenchOptions, Keep, android_instrumented
from ondevice.bench.adb import Adb, DeviceError, DeviceTimeoutError
from ondevice.bench.android_output import am_start_failure, crash_reason, error_line
from ondevice.bench.importing import take_in
from ondevice.bench.parts import plain
from ondevice.bench.results import BenchmarkResult, parse_result
from ondevice.console import Progress
from ondevice.errors import UserError

APP = "dev.ondevice.qa"
ACTIVITY = ".BenchmarkActivity"
RESULT = "files/benchmark.json"
ERROR = "files/benchmark.error"
POLL_SECONDS = 2.0


def run(
    adb: Adb,
    app: str,
    bundles: Sequence[Path],
    options: BenchOptions,
    keep: Keep,
    progress: Progress,
) -> list[BenchmarkResult]:
    """Run the app's benchmark for each bundle, one after another.

    Raises:
        GateError: the app says that an artifact fails its goldens.
        UserError: the app is not there, not debuggable, or gives no result that fits.
    """
    _check_app(adb, app)
    unreadable = _clear(adb, app)
    if unreadable:
        component = android_instrumented.find(adb, app)
        if component is None:
            raise DeviceError(
                f"the files of '{app}' cannot be read ({unreadable}); install its debug build, or"
                " its instrumentation test"
            )
        return android_instrumented.run(adb, app, component, bundles, options, keep, progress)
    results = []
    for path in bundles:
        manifest = bundle.open_bundle(path)
        own = path.resolve().name  # "." has no name
        with progress.step(f"{own}: in the app"):
            content = _run_once(adb, app, own, options)
        result = parse_result(content, f"{app}/{RESULT}", manifest.artifact.sha256)
        name = f"{app}/{RESULT}"
        take_in(result, manifest, "android", bundle_name=own, name=name, keep=keep)
        results.append(result)
    return results


def _check_app(adb: Adb, app: str) -> None:
    if not all(part.isidentifier() for part in app.split(".")) or not app.isascii():
        raise UserError(f"'{app}' is no app's id; the demo app's is {APP}")
    if not adb.shell(["pm", "path", app]).stdout.strip().startswith("package:"):
        raise DeviceError(
            f"the app '{app}' is not on '{adb.serial}'; embed the bundles and install it"
            " (mobile_demo/android), or give --runner"
        )


def _clear(adb: Adb, app: str) -> str:
    """Remove an old result, not to take it for the new one; return why that cannot be done."""
    removed = adb.shell(["run-as", app, "rm", "-f", RESULT, ERROR])
    return "" if removed.code == 0 else error_line(removed.text) or "run-as failed"


def _run_once(adb: Adb, app: str, name: str, options: BenchOptions) -> bytes:
    """Start the activity and wait for its document."""
    _clear(adb, app)
    began = _clock(adb)
    start = ["am", "start", "-W", "-S", "-n", f"{app}/{ACTIVITY}"]
    extras = ["--ei", "iterations", str(options.iterations), "--es", "bundle", name]
    failure = am_start_failure(adb.shell([*start, *extras], seconds=options.seconds).text)
    if failure:
        raise DeviceError(f"the benchmark of '{app}' did not start: {failure}")
    try:
        return _wait(adb, app, name, began, options.seconds)
    finally:
        _stop(adb, app)


def _wait(adb: Adb, app: str, name: str, began: str, seconds: float) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        # Asked first: an app that ends in between has written its document.
        running = adb.shell(["pidof", app]).code == 0
        content = _read(adb, app, RESULT)
        if content:
            return content.encode()
        problem = _read(adb, app, ERROR)
        if problem:
            raise DeviceError(f"'{app}' could not measure '{name}': {plain(problem)}")
        if not running:
            raise DeviceError(
                f"'{app}' ended without a result for '{name}'{_crash(adb, app, began)}"
            )
        if time.monotonic() > deadline:
            raise DeviceTimeoutError(f"'{app}' gave no result for '{name}' within {seconds:g} s")
        time.sleep(POLL_SECONDS)


def _read(adb: Adb, app: str, name: str) -> str:
    """Return a file of the app, or "" while there is none: each is written whole."""
    said = adb.shell(["run-as", app, "cat", name], seconds=adb.seconds)
    return said.stdout if said.code == 0 else ""


def _clock(adb: Adb) -> str:
    """Return the phone's own time as ``logcat -T`` takes it, or "" if it does not tell."""
    said = adb.shell(["date", "+%s"]).stdout.strip()
    # With a fraction: a whole number would be one of lines.
    return f"{said}.000" if re.fullmatch(r"[0-9]{1,12}", said) else ""


def _crash(adb: Adb, app: str, began: str) -> str:
    """Return ": " and why the app crashed since then; "" if that is not known."""
    if not began:
        return ""
    try:
        log = adb.shell(["logcat", "-d", "-b", "crash", "-T", began])
    except DeviceError:
        return ""
    reason = plain(crash_reason(log.stdout, app), 200)
    return f": {reason}" if reason else ""


def _stop(adb: Adb, app: str) -> None:
    """Leave no benchmark running: it would heat the next one."""
    try:
        adb.shell(["am", "force-stop", app])
    except DeviceError:
        return
