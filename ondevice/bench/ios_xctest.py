"""Performance tests of the app: ``xcodebuild test`` on a phone, and the figures that it recorded.

XCTest keeps each iteration, so these are raw samples; which artifact they are of, the test must
say in its name: the figures carry no hash, and so make no benchmark result.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondevice.bench.ios_devicectl import PhoneError
from ondevice.bench.parts import plain

CLOCK = "com.apple.dt.XCTMetric_Clock.time.monotonic"
# Nanoseconds of each unit of time that XCTest reports.
UNITS = {"s": 1e9, "ms": 1e6, "µs": 1e3, "us": 1e3, "ns": 1.0}


@dataclass(frozen=True)
class TestTimes:
    """One performance test on one device.

    Attributes:
        test: "AnswerPerformanceTests/testAnswer()".
        device: the device's name.
        samples: wall-clock time of each iteration, ns; XCTest has dropped its own warm-up run.
    """

    __test__ = False

    test: str
    device: str
    samples: tuple[int, ...]


def run_tests(
    project: Path, scheme: str, udid: str, xcrun: Path, seconds: float, only: str | None = None
) -> list[TestTimes]:
    """Run an Xcode project's tests on a phone; return what its performance tests timed.

    Args:
        project: the ``.xcodeproj``.
        scheme: of the project; its tests are run.
        udid: the phone.
        xcrun: Xcode's.
        seconds: the longest that building and testing may take.
        only: one test target, class or method.

    Raises:
        PhoneError: a test failed, nothing was timed, or Xcode does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="ondevice-bench-") as name:
        bundle = Path(name) / "result.xcresult"
        command = ["xcodebuild", "test", "-project", str(project), "-scheme", scheme]
        command += ["-destination", f"platform=iOS,id={udid}", "-resultBundlePath", str(bundle)]
        command += [f"-only-testing:{only}"] if only else []
        code, said = _call([str(xcrun), *command], seconds, f"testing '{scheme}'")
        if code != 0:
            raise PhoneError(f"testing '{scheme}' failed: {_why(said) or f'exit code {code}'}")
        asked = ["xcresulttool", "get", "test-results", "metrics", "--path", str(bundle)]
        code, said = _call([str(xcrun), *asked], seconds, "reading the tests' metrics")
        if code != 0:
            raise PhoneError(f"reading the tests' metrics failed: {_why(said) or said[:200]}")
    found = parse_metrics(said)
    if not found:
        raise PhoneError(f"the tests of '{scheme}' timed nothing")
    return found


def parse_metrics(text: str) -> list[TestTimes]:
    """Read ``xcresulttool get test-results metrics``; what is not a time is left out.

    Raises:
        PhoneError: it is not the document that it should be.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PhoneError(f"xcresulttool gave no JSON: {plain(text, 100)!r}") from error
    if not isinstance(document, list):
        raise PhoneError("xcresulttool gave no list of tests; this needs Xcode 16 or later")
    found = []
    for test in _dicts(document):
        for run in _dicts(test.get("testRuns")):
            device = run.get("device")
            name = device.get("deviceName") if isinstance(device, dict) else None
            for metric in _dicts(run.get("metrics")):
                samples = _samples(metric)
                if samples:
                    found.append(
                        TestTimes(plain(str(test.get("testIdentifier"))), plain(str(name)), samples)
                    )
    return found


def _samples(metric: dict[str, Any]) -> tuple[int, ...]:
    unit, values = metric.get("unitOfMeasurement"), metric.get("measurements")
    if metric.get("identifier") != CLOCK or unit not in UNITS or not isinstance(values, list):
        return ()
    if not all(isinstance(one, int | float) and math.isfinite(one) and one > 0 for one in values):
        return ()  # one that is no time makes the others doubtful
    return tuple(round(one * UNITS[unit]) for one in values)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _call(command: Sequence[str], seconds: float, what: str) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PhoneError(f"{what} took more than {seconds:g} s") from error
    except OSError as error:
        raise PhoneError(f"'{command[0]}' cannot be started: {error.strerror}") from error
    return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr


def _why(text: str) -> str:
    """Return the line that says why xcodebuild failed."""
    found = re.findall(r"^.*\berror: .*$|^.*XCTAssert.* failed.*$", text, re.MULTILINE)
    return plain(found[0], 300) if found else ""
