"""The iPhone's side, replayed: a stub ``xcrun`` on PATH answers with canned documents.

STUB REPLAYS. No Mac took part: the documents are made up after the forms that public projects
show of devicectl (Xcode 15 to 16) and xcresulttool (Xcode 16); none was recorded for this one.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ondevice import cli
from ondevice.bench import BenchOptions, ios, ios_xctest, xcode
from ondevice.bench.ios_devicectl import choose, error_text, parse_devices
from ondevice.bench.results import BenchmarkResult, ResultError, read_result
from ondevice.bench.xcode import PhoneError
from ondevice.console import Progress
from ondevice.errors import GateError, UserError
from tests.bench.phone import app_document, make_bundle

OPTIONS = BenchOptions(iterations=50, seconds=20)

# Answers by the words of the subcommand: {"exit", "stdout", "stderr", "json", "copy"}.
XCRUN = """\
#!{python} -SE
import json, os, shutil, sys, time
place = os.path.dirname(os.path.abspath(sys.argv[0]))
words = sys.argv[1:]
with open(os.path.join(place, "calls"), "a") as log:
    log.write(json.dumps(words) + "\\n")
with open(os.path.join(place, "answers.json")) as stream:
    answers = json.load(stream)
said = " ".join(words)
answer = next((one for key, one in answers.items() if said.startswith(key)), None)
if answer is None:
    sys.stderr.write("error: unexpected: " + said + "\\n")
    sys.exit(64)
time.sleep(answer.get("sleep", 0))
def value(flag):
    return words[words.index(flag) + 1]
if "json" in answer:
    with open(value("--json-output"), "w") as out:
        json.dump(answer["json"], out)
if "copy" in answer:
    assert not os.path.exists(value("--destination")), "devicectl does not overwrite"
    with open(value("--destination"), "w") as out:
        out.write(answer["copy"])
sys.stdout.write(answer.get("stdout", ""))
sys.stderr.write(answer.get("stderr", ""))
sys.exit(answer.get("exit", 0))
"""

SUCCESS = {"info": {"outcome": "success", "jsonVersion": 2}, "result": {}}


def listed(*devices: dict[str, object]) -> dict[str, object]:
    return {"info": {"outcome": "success"}, "result": {"devices": list(devices)}}


def device(
    number: int = 1, *, pairing: str = "paired", tunnel: str = "disconnected", mode: str = "enabled"
) -> dict[str, object]:
    return {
        "identifier": f"AAAAAAAA-0000-0000-0000-00000000000{number}",
        "connectionProperties": {
            "pairingState": pairing,
            "tunnelState": tunnel,
            "transportType": "wired",
        },
        "deviceProperties": {
            "name": f"Phone {number}",
            "osVersionNumber": "18.1.1",
            "developerModeStatus": mode,
        },
        "hardwareProperties": {
            "deviceType": "iPhone",
            "marketingName": "iPhone 15",
            "platform": "iOS",
            "productType": "iPhone15,4",
            "reality": "physical",
            "udid": f"00008120-00000000000000{number}",
        },
    }


def failed(*descriptions: str) -> dict[str, object]:
    """A chain of errors, outermost first."""
    error: dict[str, object] | None = None
    for text in reversed(descriptions):
        info: dict[str, object] = {"NSLocalizedDescription": {"string": text}}
        if error is not None:
            info["NSUnderlyingError"] = {"error": error}
        error = {"code": 10002, "domain": "com.apple.dt.CoreDeviceError", "userInfo": info}
    return {"info": {"outcome": "failed"}, "error": error}


class Mac:
    """A stub ``xcrun`` with its answers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        xcrun = directory / "xcrun"
        xcrun.write_text(XCRUN.format(python=sys.executable), encoding="utf-8")
        xcrun.chmod(0o755)
        self.answers: dict[str, dict[str, object]] = {
            "devicectl list devices": {"json": listed(device())},
            "devicectl device process launch": {
                "json": SUCCESS,
                "stderr": "OnDeviceQA benchmark: complete\n",
            },
        }
        self.save()

    def save(self, **_: object) -> None:
        path = self.directory / "answers.json"
        path.write_text(json.dumps(self.answers), encoding="utf-8")

    def answer(self, words: str, **answer: object) -> None:
        self.answers[words] = answer
        self.save()

    def calls(self) -> list[list[str]]:
        lines = (self.directory / "calls").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mac:
    stub = Mac(tmp_path / "mac")
    monkeypatch.setenv("PATH", str(stub.directory))
    monkeypatch.setattr(xcode.platform, "system", lambda: "Darwin")
    # When the app's made-up documents were begun.
    monkeypatch.setattr(ios.entries, "now", lambda: "2026-01-31T12:00:00Z")
    return stub


COPY = "devicectl device copy from"
LAUNCH = "devicectl device process launch"


class Kept(list[BenchmarkResult]):
    def run(
        self, *bundles: Path, options: BenchOptions = OPTIONS, identifier: str | None = None
    ) -> list[BenchmarkResult]:
        return ios.run(
            bundles, options, identifier=identifier, keep=self.append, progress=Progress()
        )


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_off_a_mac_the_import_is_named(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(xcode.platform, "system", lambda: "Linux")
    with pytest.raises(UserError, match=r"from a Mac only; .* ondevice bench --import FILE BUNDLE"):
        kept.run(make_bundle(tmp_path / "b"))


def test_a_mac_without_xcode(kept: Kept, mac: Mac, tmp_path: Path):
    (mac.directory / "xcrun").unlink()
    with pytest.raises(UserError, match="xcrun was not found; install Xcode"):
        kept.run(make_bundle(tmp_path / "b"))


class TestRun:
    def test_stub_replay_of_a_whole_run(self, kept: Kept, mac: Mac, tmp_path: Path):
        one = make_bundle(tmp_path / "student")
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(app_document(one, "ios")))
        (result,) = kept.run(one)
        assert (result.status, result.evidence) == ("complete", "phone")
        assert result.device.name == "iPhone15,4"
        assert kept == [result]
        launch = next(call for call in mac.calls() if call[1:4] == ["device", "process", "launch"])
        variables = json.loads(launch[launch.index("--environment-variables") + 1])
        assert variables == {
            "ONDEVICE_BENCHMARK": "1",
            "ONDEVICE_BUNDLE": "student",
            "ONDEVICE_ITERATIONS": "50",
        }
        assert launch[launch.index("--device") + 1] == "00008120-000000000000001"
        assert launch[-1] == "dev.ondevice.qa"
        assert "--console" in launch
        copy = next(call for call in mac.calls() if call[1:4] == ["device", "copy", "from"])
        assert copy[copy.index("--domain-type") + 1] == "appDataContainer"
        assert copy[copy.index("--domain-identifier") + 1] == "dev.ondevice.qa"
        assert copy[copy.index("--source") + 1] == "Documents/benchmark.json"

    def test_a_bundle_without_a_name_of_its_own_in_the_path(
        self, kept: Kept, mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        one = make_bundle(tmp_path / "student")
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(app_document(one, "ios")))
        monkeypatch.chdir(one)
        kept.run(Path())
        launch = next(call for call in mac.calls() if call[1:4] == ["device", "process", "launch"])
        variables = json.loads(launch[launch.index("--environment-variables") + 1])
        assert variables["ONDEVICE_BUNDLE"] == "student"

    def test_a_locked_phone(self, kept: Kept, mac: Mac, tmp_path: Path):
        reasons = ("The operation failed.", "The device has not been unlocked recently")
        mac.answer(LAUNCH, json=failed(*reasons), exit=1)
        with pytest.raises(PhoneError, match=r"failed: The operation failed\. The device has not"):
            kept.run(make_bundle(tmp_path / "b"))

    def test_the_apps_own_error(self, kept: Kept, mac: Mac, tmp_path: Path):
        words = "OnDeviceQA benchmark: failed: there is no bundle 'b'; the app has: student\n"
        mac.answer(LAUNCH, json=SUCCESS, stderr=words, exit=2)
        mac.answer(COPY, json=failed("Failed to retrieve the file node"), exit=1)
        with pytest.raises(PhoneError, match="left no result for 'b': failed: there is no bundle"):
            kept.run(make_bundle(tmp_path / "b"))

    def test_an_app_that_crashed(self, kept: Kept, mac: Mac, tmp_path: Path):
        mac.answer(LAUNCH, json=SUCCESS, exit=9)
        one = make_bundle(tmp_path / "b")
        # An older result is still there.
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(app_document(one, "ios")))
        with pytest.raises(PhoneError, match="left no result for 'b': it ended with exit code 9"):
            kept.run(one)
        assert kept == []

    def test_an_app_that_left_nothing(self, kept: Kept, mac: Mac, tmp_path: Path):
        mac.answer(LAUNCH, json=SUCCESS)
        mac.answer(COPY, json=failed("Failed to retrieve the file node"), exit=1)
        with pytest.raises(PhoneError, match=r"exit code 0; copying .* failed: Failed"):
            kept.run(make_bundle(tmp_path / "b"))

    @pytest.mark.parametrize(("created", "old"), [("11:58:00", True), ("11:59:30", False)])
    def test_a_result_of_an_earlier_run(
        self, created: str, old: bool, kept: Kept, mac: Mac, tmp_path: Path
    ):
        one = make_bundle(tmp_path / "b")
        document = app_document(one, "ios", created=f"2026-01-31T{created}Z")
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(document))
        if old:
            with pytest.raises(ResultError, match="is of an earlier run: it says 2026-01-31T11:58"):
                kept.run(one)
        else:
            kept.run(one)
        assert len(kept) == (not old)

    def test_one_that_hangs(self, kept: Kept, mac: Mac, tmp_path: Path):
        mac.answer(LAUNCH, sleep=60)
        with pytest.raises(PhoneError, match=r"running 'dev\.ondevice\.qa' took more than 0\.5 s"):
            kept.run(make_bundle(tmp_path / "b"), options=replace(OPTIONS, seconds=0.5))

    def test_a_partial_result_is_kept(self, kept: Kept, mac: Mac, tmp_path: Path):
        one = make_bundle(tmp_path / "b")
        document = app_document(one, "ios", status="partial", reason="thermal state: critical")
        mac.answer(LAUNCH, json=SUCCESS, exit=3)
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(document))
        (result,) = kept.run(one)
        assert result.reason == "thermal state: critical"

    def test_goldens_that_fail(self, kept: Kept, mac: Mac, tmp_path: Path):
        one = make_bundle(tmp_path / "b")
        wrong = {"status": "failed", "reason": "differs by 3"}
        document = app_document(
            one, "ios", golden=wrong, measurements=[], status="partial", reason="wrong"
        )
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(document))
        with pytest.raises(GateError, match="does not give its goldens' answers in the app"):
            kept.run(one)
        assert len(kept) == 1

    @pytest.mark.parametrize("kind", ["android", "other artifact", "garbage"])
    def test_what_does_not_fit(self, kind: str, kept: Kept, mac: Mac, tmp_path: Path):
        one, other = make_bundle(tmp_path / "b"), make_bundle(tmp_path / "c", seed=1)
        content = {
            "android": json.dumps(app_document(one)),
            "other artifact": json.dumps(app_document(other, "ios")),
            "garbage": "\x00",
        }
        mac.answer(COPY, json=SUCCESS, copy=content[kind])
        with pytest.raises(ResultError):
            kept.run(one)
        assert kept == []

    def test_devicectl_that_says_nothing(self, kept: Kept, mac: Mac, tmp_path: Path):
        mac.answer("devicectl list devices", stderr="error: unable to find utility\n", exit=72)
        with pytest.raises(PhoneError, match="listing devices failed: error: unable to find"):
            kept.run(make_bundle(tmp_path / "b"))

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (replace(OPTIONS, baseline="teacher"), "--baseline runs in PyTorch"),
            (replace(OPTIONS, data=Path("x")), "--data asks questions on this machine"),
            (replace(OPTIONS, runners=(Path("benchmark_model"),)), "--runner is for Android"),
        ],
    )
    def test_options(
        self, options: BenchOptions, sentence: str, kept: Kept, mac: Mac, tmp_path: Path
    ):
        with pytest.raises(UserError, match=sentence):
            kept.run(make_bundle(tmp_path / "b"), options=options)


class TestDevices:
    def test_what_is_read(self):
        (one,) = parse_devices(listed(device()))
        assert (one.udid, one.name) == ("00008120-000000000000001", "Phone 1")
        assert (one.title, one.problem) == ("iPhone 15", "")

    def test_watches_and_simulators_are_left_out(self):
        watch, simulator = device(1), device(2)
        watch["hardwareProperties"] = {"deviceType": "appleWatch", "productType": "Watch6,1"}
        simulator["hardwareProperties"] = {"deviceType": "iPhone", "reality": "virtual"}
        assert parse_devices(listed(watch, simulator)) == []

    @pytest.mark.parametrize(
        "document", [{}, {"result": 5}, {"result": {"devices": 5}}, listed(5, {}, {"x": []})]
    )
    def test_garbage(self, document: dict[str, object]):
        assert parse_devices(document) == []

    @pytest.mark.parametrize(
        ("broken", "sentence"),
        [
            (device(pairing="unpaired"), "is not paired with this Mac"),
            (device(mode="disabled"), "Developer Mode is off"),
            (device(tunnel="unavailable"), "is not reachable: plug it in"),
        ],
    )
    def test_one_that_is_not_ready(self, broken: dict[str, object], sentence: str):
        with pytest.raises(PhoneError, match=sentence):
            choose(parse_devices(listed(broken)), None)

    def test_the_only_one_that_is_ready(self):
        phones = parse_devices(listed(device(1, tunnel="unavailable"), device(2)))
        assert choose(phones, None).name == "Phone 2"

    def test_none_and_several(self):
        with pytest.raises(PhoneError, match="no iPhone is known to this Mac"):
            choose([], None)
        phones = parse_devices(listed(device(1), device(2)))
        with pytest.raises(
            PhoneError, match=r"name one with --device ios:UDID: 00008120-.*01 .*02"
        ):
            choose(phones, None)
        with pytest.raises(PhoneError, match="no iPhone 'X' is known to this Mac; known: "):
            choose(phones, "X")
        assert choose(phones, "00008120-000000000000002").name == "Phone 2"
        assert choose(phones, "AAAAAAAA-0000-0000-0000-000000000001").name == "Phone 1"

    def test_errors(self):
        assert error_text(failed("a", "b", "b")) == "a b"
        assert error_text({"error": {"domain": "D", "code": 7}}) == "D 7"
        assert error_text({"error": 5}) == "no reason was given"


METRICS = [
    {
        "testIdentifier": "AnswerPerformanceTests/testAnswer()",
        "testRuns": [
            {
                "testPlanConfiguration": {"configurationId": "1", "configurationName": "Default"},
                "device": {"deviceId": "00008120-1", "deviceName": "Phone 1"},
                "metrics": [
                    {
                        "displayName": "Clock Monotonic Time",
                        "identifier": "com.apple.dt.XCTMetric_Clock.time.monotonic",
                        "measurements": [0.0251, 0.0249, 0.025],
                        "unitOfMeasurement": "s",
                    },
                    {
                        "displayName": "Memory Peak Physical",
                        "identifier": "com.apple.dt.XCTMetric_Memory.physical_peak",
                        "measurements": [123.0],
                        "unitOfMeasurement": "kB",
                    },
                ],
            }
        ],
    }
]


class TestPerformanceTests:
    def run(self, mac: Mac) -> list[ios_xctest.TestTimes]:
        return ios_xctest.run_tests(
            Path("OnDeviceQA.xcodeproj"), "OnDeviceQA", "UDID", mac.directory / "xcrun", 20
        )

    def test_stub_replay(self, mac: Mac):
        mac.answer("xcodebuild test", stdout="** TEST SUCCEEDED **\n")
        mac.answer("xcresulttool get test-results metrics", stdout=json.dumps(METRICS))
        (found,) = self.run(mac)
        assert found.test == "AnswerPerformanceTests/testAnswer()"
        assert found.device == "Phone 1"
        assert found.samples == (25_100_000, 24_900_000, 25_000_000)
        build = mac.calls()[0]
        assert build[build.index("-destination") + 1] == "platform=iOS,id=UDID"
        result = build[build.index("-resultBundlePath") + 1]
        assert mac.calls()[1][-2:] == ["--path", result]

    def test_stub_replay_of_the_command(
        self, mac: Mac, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        one = make_bundle(tmp_path / "student")
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(app_document(one, "ios")))
        mac.answer("xcodebuild test", stdout="** TEST SUCCEEDED **\n")
        mac.answer("xcresulttool get test-results metrics", stdout=json.dumps(METRICS))
        project, out = tmp_path / "OnDeviceQA.xcodeproj", tmp_path / "out"
        project.mkdir()
        words = ["bench", str(one), "--device", "ios", "--xctest", str(project)]
        assert cli.main([*words, "--out", str(out)]) == 0
        (path,) = out.iterdir()
        said = (
            "XCTest timed AnswerPerformanceTests/testAnswer() on 'Phone 1': median 25 ms of 3 runs"
        )
        assert read_result(path).notes[-1] == said
        assert f"note: {said}" in capsys.readouterr().out
        build = next(call for call in mac.calls() if call[0] == "xcodebuild")
        assert build[build.index("-scheme") + 1] == "OnDeviceQAPerformance"
        assert build[build.index("-destination") + 1] == "platform=iOS,id=00008120-000000000000001"

    def test_results_stay_where_the_tests_fail(self, kept: Kept, mac: Mac, tmp_path: Path):
        one = make_bundle(tmp_path / "student")
        mac.answer(COPY, json=SUCCESS, copy=json.dumps(app_document(one, "ios")))
        mac.answer("xcodebuild test", stderr="error: no such scheme\n", exit=65)
        with pytest.raises(PhoneError, match="testing 'MinePerformance' failed: error: no such"):
            kept.run(one, options=replace(OPTIONS, xctest=Path("Mine.xcodeproj")))
        assert [result.status for result in kept] == ["complete"]

    def test_only_on_an_iphone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert cli.main(["bench", "b", "--xctest", str(tmp_path)]) == 2
        assert "--xctest runs tests on an iPhone: give --device ios" in capsys.readouterr().err

    def test_a_failure(self, mac: Mac):
        said = (
            "x\nTests.swift:5: error: -[T testAnswer] : XCTAssertEqual failed\n** TEST FAILED **\n"
        )
        mac.answer("xcodebuild test", stdout=said, exit=65)
        with pytest.raises(
            PhoneError, match=r"testing 'OnDeviceQA' failed: Tests\.swift:5: error: "
        ):
            self.run(mac)

    def test_nothing_timed(self, mac: Mac):
        mac.answer("xcodebuild test")
        mac.answer("xcresulttool get test-results metrics", stdout="[]")
        with pytest.raises(PhoneError, match="timed nothing"):
            self.run(mac)

    @pytest.mark.parametrize("text", ["", "{}", "usage: xcresulttool"])
    def test_no_document(self, text: str):
        with pytest.raises(PhoneError, match="xcresulttool gave no"):
            ios_xctest.parse_metrics(text)

    @pytest.mark.parametrize("values", [[0.1, -0.1], [0.0], ["0.1"], [True, None], 5, []])
    def test_what_is_no_time(self, values: object):
        document = json.loads(json.dumps(METRICS))
        document[0]["testRuns"][0]["metrics"][0]["measurements"] = values
        assert ios_xctest.parse_metrics(json.dumps(document)) == []
