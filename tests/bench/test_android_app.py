"""The demo app's benchmark over adb, with stand-ins for am, pm, pidof and run-as on the phone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ondevice.bench import BenchOptions, android, android_app
from ondevice.bench.adb import DeviceError, DeviceLostError, DeviceTimeoutError
from ondevice.bench.results import BenchmarkResult, ResultError
from ondevice.console import Progress
from ondevice.errors import GateError, UserError
from tests.bench.adb_device import AdbDevice
from tests.bench.phone import (  # noqa: F401
    NOW,
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
# logcat's crash buffer: a file crash-TIME holds what came into it then; only from -T on.
LOGCAT = """\
while [ $# -gt 0 ]; do [ "$1" = -T ] && since=${2%.*}; shift; done
for file in "$ROOT"/crash-*; do [ "${file##*-}" -ge "$since" ] && cat "$file"; done
:"""
CRASH = """\
11-23 00:55:12.345  42  42 E AndroidRuntime: FATAL EXCEPTION: main
11-23 00:55:12.345  42  42 E AndroidRuntime: Process: {process}, PID: 42
11-23 00:55:12.345  42  42 E AndroidRuntime: {cause}
11-23 00:55:12.345  42  42 E AndroidRuntime: \tat java.lang.Error.none(Error.java:1)
"""
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


class TestACrash:
    """The app ends at once; logcat tells of crashes, of it and of others."""

    @pytest.fixture(autouse=True)
    def ending(self, device: AdbDevice) -> None:
        device.install("am", STARTED)
        device.install("logcat", LOGCAT)

    def crash(self, device: AdbDevice, after: int, process: str, cause: str) -> None:
        text = CRASH.format(process=process, cause=cause)
        (device.root / f"crash-{NOW + after}").write_text(text, encoding="utf-8")

    def test_is_named(self, bench, device: AdbDevice, tmp_path: Path):
        self.crash(device, -60, APP, "java.lang.IllegalStateException: old")
        self.crash(device, 1, APP, "java.lang.OutOfMemoryError: 400 MB")
        self.crash(device, 2, "com.example.other", "java.lang.RuntimeException: foreign")
        self.crash(device, 3, f"{APP}.other", "java.lang.RuntimeException: foreign")
        with pytest.raises(DeviceError, match=r"for 'b': java\.lang\.OutOfMemoryError: 400 MB$"):
            bench(make_bundle(tmp_path / "b"))

    def test_of_before_or_of_another_is_not_this_one(
        self, bench, device: AdbDevice, tmp_path: Path
    ):
        self.crash(device, -60, APP, "java.lang.IllegalStateException: old")
        self.crash(device, 1, "com.example.other", "java.lang.RuntimeException: foreign")
        with pytest.raises(DeviceError, match=r"ended without a result for 'b'$"):
            bench(make_bundle(tmp_path / "b"))

    def test_of_unknown_age_is_not_taken(self, bench, device: AdbDevice, tmp_path: Path):
        self.crash(device, 1, APP, "java.lang.OutOfMemoryError: 400 MB")
        device.install("date", "echo 'date: bad format' >&2; exit 1")
        with pytest.raises(DeviceError, match=r"ended without a result for 'b'$"):
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

    PLACE = "/sdcard/Android/data/dev.ondevice.qa/files"
    PASSED = "OK (1 test)\nINSTRUMENTATION_CODE: -1"
    FAILED = (
        "INSTRUMENTATION_STATUS: stack=java.lang.AssertionError: one: differs by 3\n"
        "Tests run: 1,  Failures: 1\nINSTRUMENTATION_CODE: -1"
    )

    def install(self, device: AdbDevice, said: str, **left: str) -> None:
        """Let the tests, once run, say something and leave files: benchmark-NAME.json."""
        device.install("run-as", "echo 'run-as: package not debuggable: x' >&2; exit 1")
        device.install(
            "pm",
            '[ "$1" = list ] && echo "instrumentation:dev.ondevice.qa.test/androidx.Runner'
            f' (target={APP})" || echo package:/data/app/base.apk',
        )
        (device.root / "said").write_text(said, encoding="utf-8")
        for name in ("leaves", "external"):
            (device.root / name).mkdir()
        for name, text in left.items():
            place = device.root / "leaves" / f"benchmark-{name.replace('_', '.')}"
            place.write_text(text, encoding="utf-8")
        device.install("am", '/bin/cp "$ROOT"/leaves/* "$ROOT/external"; /bin/cat "$ROOT/said"')
        # The phone's paths are those of its external files.
        inside = f'case $1 in {self.PLACE}/*) ;; *) exit 1;; esac; name="$ROOT/external/${{1##*/}}"'
        device.install("cat", f'{inside}; exec /bin/cat "$name"')
        device.install(
            "rm", f'shift; while [ $# -gt 0 ]; do {inside}; /bin/rm "$name"; shift; done'
        )

    def test_a_whole_run(self, bench, device: AdbDevice, tmp_path: Path):
        one = make_bundle(tmp_path / "student")
        self.install(device, self.PASSED, student_json=json.dumps(app_document(one)))
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
        self.install(device, failed)
        for ending in ("json", "error"):
            old = device.root / f"external/benchmark-student.{ending}"
            old.write_text("an old result", encoding="utf-8")
        with pytest.raises(DeviceError, match=r"for 'student': its tests failed: .*crash"):
            bench(make_bundle(tmp_path / "student"))

    def failed(self, path: Path) -> str:
        golden = {"status": "failed", "checked": 4, "reason": f"{path.name} differs by 3"}
        changes = {"golden": golden, "measurements": [], "status": "partial", "reason": "wrong"}
        return json.dumps(app_document(path, **changes))

    def test_a_bundle_after_a_wrong_one_is_kept(self, bench, device: AdbDevice, tmp_path: Path):
        wrong, right = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "two", seed=1)
        document = json.dumps(app_document(right))
        self.install(device, self.FAILED, one_json=self.failed(wrong), two_json=document)
        with pytest.raises(GateError, match="'one' does not give its goldens' answers in the app"):
            bench(wrong, right)
        assert [one.golden.status for one in bench.kept] == ["failed", "passed"]

    def test_all_wrong_ones_are_named(self, bench, device: AdbDevice, tmp_path: Path):
        one, two = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "two", seed=1)
        self.install(device, self.FAILED, one_json=self.failed(one), two_json=self.failed(two))
        with pytest.raises(GateError, match=r"one differs by 3; 'two' .* two differs by 3"):
            bench(one, two)

    def test_one_that_could_not_be_measured(self, bench, device: AdbDevice, tmp_path: Path):
        one, two = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "two", seed=1)
        document = json.dumps(app_document(two))
        self.install(device, self.FAILED, one_error="vocab.txt is not there", two_json=document)
        with pytest.raises(DeviceError, match=r"could not measure 'one': vocab\.txt is not there"):
            bench(one, two)
        assert [result.golden.status for result in bench.kept] == ["passed"]

    def test_a_wrong_one_comes_before_one_that_is_absent(
        self, bench, device: AdbDevice, tmp_path: Path
    ):
        one, two = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "two", seed=1)
        self.install(device, self.FAILED, two_json=self.failed(two))
        with pytest.raises(GateError, match="'two' does not give its goldens' answers"):
            bench(one, two)

    def test_a_phone_that_goes_away(self, bench, device: AdbDevice, tmp_path: Path):
        one, two = make_bundle(tmp_path / "one"), make_bundle(tmp_path / "two", seed=1)
        self.install(device, self.PASSED)
        device.faults.unplug_on = "cat .*benchmark-one"
        with pytest.raises(DeviceLostError, match="went away"):
            bench(one, two)
        assert bench.kept == []

    def test_a_bundle_that_the_app_does_not_hold(self, bench, device: AdbDevice, tmp_path: Path):
        self.install(device, self.PASSED)
        with pytest.raises(DeviceError, match="no result for 'student': the app does not hold it"):
            bench(make_bundle(tmp_path / "student"))

    def test_its_number_of_runs_is_its_own(self, bench, device: AdbDevice, tmp_path: Path):
        self.install(device, self.PASSED)
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
