"""The demo app's benchmark over adb, with stand-ins for am, pm, pidof and run-as on the phone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ondevice.bench import BenchOptions, android, android_app
from ondevice.bench.adb import DeviceError, DeviceTimeoutError
from ondevice.bench.results import BenchmarkResult, ResultError
from ondevice.console import Progress
from ondevice.errors import GateError, UserError
from tests.bench.adb_device import AdbDevice
from tests.bench.phone import (  # noqa: F401
    AdbServer,
    adb_server,
    app_document,
    make_bundle,
    module_server,
    phone,
)
from tests.requirements import need

need("adb")

APP = "dev.ondevice.qa"
OPTIONS = BenchOptions(iterations=50, seconds=10, app=APP)
# run-as: a command in the app's own directory.
RUN_AS = (
    f'[ "$1" = {APP} ] || {{ echo "run-as: unknown package: $1"; exit 1; }}\n'
    'shift; cd "$ROOT/app"; exec "$@"'
)
STARTED = "echo 'Starting: Intent { }'; echo 'Status: ok'; echo 'Complete'"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(android_app, "POLL_SECONDS", 0.05)


@pytest.fixture
def device(tmp_path: Path, adb_server: AdbServer):  # noqa: F811
    with phone(tmp_path / "phone") as one:
        (one.root / "app" / "files").mkdir(parents=True)
        one.install("pm", f'[ "$2" = {APP} ] && echo package:/data/app/base.apk')
        one.install("run-as", RUN_AS)
        one.install("pidof", 'cat "$ROOT/pid" 2>/dev/null')
        adb_server.connect(one)
        yield one


def app_writes(device: AdbDevice, content: str, name: str = "benchmark.json") -> None:
    """Let the app, once started, run and leave a file."""
    (device.root / "document").write_text(content, encoding="utf-8")
    device.install(
        "am",
        '[ "$1" = force-stop ] && { rm -f "$ROOT/pid"; exit 0; }\n'
        f'echo 4242 > "$ROOT/pid"; cp "$ROOT/document" "$ROOT/app/files/{name}"; {STARTED}',
    )


@pytest.fixture
def bench(device: AdbDevice) -> Callable[..., list[BenchmarkResult]]:
    def run(*bundles: Path, options: BenchOptions = OPTIONS) -> list[BenchmarkResult]:
        return android.run(
            bundles,
            options,
            identifier=device.serial,
            keep=run.kept.append,
            progress=Progress(),
        )

    run.kept = []
    return run


def test_a_whole_run(bench, device: AdbDevice, tmp_path: Path):
    one = make_bundle(tmp_path / "student")
    app_writes(device, json.dumps(app_document(one)))
    (result,) = bench(one)
    assert (result.status, result.evidence, result.golden.status) == ("complete", "phone", "passed")
    assert len(result.measurements[0].samples) == 50
    assert bench.kept == [result]
    (start,) = [command for command in device.commands if command.startswith("am start")]
    assert start.split("\n")[0] == (
        "am start -W -S -n dev.ondevice.qa/.BenchmarkActivity"
        " --ei iterations 50 --es bundle student"
    )
    assert any(command.startswith(f"am force-stop {APP}") for command in device.commands)


def test_a_bundle_without_a_name_of_its_own_in_the_path(
    bench, device: AdbDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one = make_bundle(tmp_path / "student")
    app_writes(device, json.dumps(app_document(one)))
    monkeypatch.chdir(one)
    bench(Path())
    (start,) = [command for command in device.commands if command.startswith("am start")]
    assert "--es bundle student" in start


def test_an_old_result_is_not_taken_for_the_new_one(bench, device: AdbDevice, tmp_path: Path):
    one = make_bundle(tmp_path / "b")
    stale = json.dumps(app_document(one))
    (device.root / "app/files/benchmark.json").write_text(stale, encoding="utf-8")
    device.install("am", STARTED)  # it starts, leaves nothing, and ends
    with pytest.raises(DeviceError, match=r"'dev\.ondevice\.qa' ended without a result for 'b'"):
        bench(one)


def test_a_partial_result_is_kept(bench, device: AdbDevice, tmp_path: Path):
    one = make_bundle(tmp_path / "b")
    app_writes(device, json.dumps(app_document(one, status="partial", reason="too hot")))
    (result,) = bench(one)
    assert (result.status, result.reason) == ("partial", "too hot")


def test_goldens_that_fail(bench, device: AdbDevice, tmp_path: Path):
    one = make_bundle(tmp_path / "b")
    failed = {"status": "failed", "checked": 4, "reason": "at length 8: differs by 3"}
    content = app_document(one, golden=failed, measurements=[], status="partial", reason="wrong")
    app_writes(device, json.dumps(content))
    with pytest.raises(GateError, match="does not give its goldens' answers in the app"):
        bench(one)
    assert bench.kept[0].golden.status == "failed"


def test_the_apps_own_error(bench, device: AdbDevice, tmp_path: Path):
    app_writes(device, "there is no bundle 'b'; the app has: student\n", "benchmark.error")
    with pytest.raises(DeviceError, match="could not measure 'b': there is no bundle 'b'; the app"):
        bench(make_bundle(tmp_path / "b"))


def test_a_crash_is_named(bench, device: AdbDevice, tmp_path: Path):
    device.install("am", STARTED)
    device.install(
        "logcat",
        "echo '11-23 00:55:12.345  42  42 E AndroidRuntime: java.lang.OutOfMemoryError: 400 MB'",
    )
    with pytest.raises(DeviceError, match=r"for 'b': java\.lang\.OutOfMemoryError: 400 MB"):
        bench(make_bundle(tmp_path / "b"))


def test_one_that_hangs(bench, device: AdbDevice, tmp_path: Path):
    device.install("am", f'echo 4242 > "$ROOT/pid"; {STARTED}')
    with pytest.raises(DeviceTimeoutError, match="gave no result for 'b' within 3 s"):
        bench(make_bundle(tmp_path / "b"), options=replace(OPTIONS, seconds=3))
    assert any(command.startswith("am force-stop") for command in device.commands)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not a benchmark result"),
        ('{"schema_version": 99}', "has schema version 99"),
        ("garbage \x01", "is not a benchmark result"),
    ],
)
def test_what_is_no_result(content: str, sentence: str, bench, device: AdbDevice, tmp_path: Path):
    app_writes(device, content)
    with pytest.raises(ResultError, match=sentence):
        bench(make_bundle(tmp_path / "b"))


def test_another_artifact(bench, device: AdbDevice, tmp_path: Path):
    other = make_bundle(tmp_path / "other", seed=1)
    app_writes(device, json.dumps(app_document(other)))
    with pytest.raises(ResultError, match="is of another artifact"):
        bench(make_bundle(tmp_path / "b"))


def test_an_iphones_result(bench, device: AdbDevice, tmp_path: Path):
    one = make_bundle(tmp_path / "b")
    app_writes(device, json.dumps(app_document(one, "ios")))
    with pytest.raises(ResultError, match="is of a device of the kind ios"):
        bench(one)


class TestInstrumented:
    """A build that run-as does not open, with its tests installed."""

    PLACE = "/sdcard/Android/data/dev.ondevice.qa/files/benchmark-student.json"
    PASSED = "OK (1 test)\nINSTRUMENTATION_CODE: -1"

    def install(self, device: AdbDevice, said: str, document: str | None) -> None:
        """Let the tests, once run, say something and leave a document for "student"."""
        device.install("run-as", "echo 'run-as: package not debuggable: x' >&2; exit 1")
        device.install(
            "pm",
            '[ "$1" = list ] && echo "instrumentation:dev.ondevice.qa.test/androidx.Runner'
            f' (target={APP})" || echo package:/data/app/base.apk',
        )
        (device.root / "said").write_text(said, encoding="utf-8")
        leave = ""
        if document is not None:
            (device.root / "document").write_text(document, encoding="utf-8")
            leave = 'cp "$ROOT/document" "$ROOT/external"; '
        device.install("am", f'{leave}/bin/cat "$ROOT/said"')
        device.install("cat", f'[ "$1" = {self.PLACE} ] && exec /bin/cat "$ROOT/external"')
        device.install("rm", f'[ "$2" = {self.PLACE} ] && exec /bin/rm -f "$ROOT/external"')

    def test_a_whole_run(self, bench, device: AdbDevice, tmp_path: Path):
        one = make_bundle(tmp_path / "student")
        self.install(device, self.PASSED, json.dumps(app_document(one)))
        (result,) = bench(one)
        assert (result.status, result.golden.status) == ("complete", "passed")
        assert bench.kept == [result]
        (start,) = [command for command in device.commands if command.startswith("am ")]
        assert start.split("\n")[0] == (
            "am instrument -w -r -e class dev.ondevice.qa.BenchmarkExport"
            " dev.ondevice.qa.test/androidx.Runner"
        )

    def test_tests_that_fail_without_a_result(self, bench, device: AdbDevice, tmp_path: Path):
        failed = "INSTRUMENTATION_RESULT: shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0"
        self.install(device, failed, None)
        (device.root / "external").write_text("an old result", encoding="utf-8")
        with pytest.raises(DeviceError, match=r"for 'student': its tests failed: .*crash"):
            bench(make_bundle(tmp_path / "student"))

    def test_a_bundle_that_the_app_does_not_hold(self, bench, device: AdbDevice, tmp_path: Path):
        self.install(device, self.PASSED, None)
        with pytest.raises(DeviceError, match="no result for 'student': the app does not hold it"):
            bench(make_bundle(tmp_path / "student"))

    def test_its_number_of_runs_is_its_own(self, bench, device: AdbDevice, tmp_path: Path):
        self.install(device, self.PASSED, None)
        with pytest.raises(UserError, match="times 50 runs: leave --iterations out"):
            bench(make_bundle(tmp_path / "student"), options=replace(OPTIONS, iterations=60))


class TestTheApp:
    def test_not_installed(self, bench, device: AdbDevice, tmp_path: Path):
        with pytest.raises(DeviceError, match=r"the app 'org\.other' is not on"):
            bench(make_bundle(tmp_path / "b"), options=replace(OPTIONS, app="org.other"))

    def test_not_debuggable(self, bench, device: AdbDevice, tmp_path: Path):
        device.install("run-as", "echo 'run-as: package not debuggable: x' >&2; exit 1")
        with pytest.raises(DeviceError, match=r"cannot be read .*; install its debug build"):
            bench(make_bundle(tmp_path / "b"))

    def test_without_the_activity(self, bench, device: AdbDevice, tmp_path: Path):
        device.install(
            "am", "echo 'Error type 3'; echo 'Error: Activity class {x} does not exist.'"
        )
        with pytest.raises(
            DeviceError, match=r"did not start: Error: Activity class \{x\} does not"
        ):
            bench(make_bundle(tmp_path / "b"))

    @pytest.mark.parametrize("app", ["a b", "x;reboot", "", "ä.b"])
    def test_no_id(self, app: str, bench, device: AdbDevice, tmp_path: Path):
        with pytest.raises(UserError, match="is no app's id"):
            bench(make_bundle(tmp_path / "b"), options=replace(OPTIONS, app=app))
