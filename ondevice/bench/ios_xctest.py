"""Performance tests of the app: ``xcodebuild test`` on a phone, and the figures that it recorded.

XCTest keeps each iteration, but no hash of what was run: its figures make no benchmark result of
their own. They stand as notes beside the results of the app's benchmark.
"""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ondevice.bench.parts import plain
from ondevice.bench.xcode import PhoneError, call
from ondevice.untrusted import parse_json

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
    project: Path, scheme: str, udid: str, xcrun: Path, seconds: float
) -> list[TestTimes]:
    """Run an Xcode project's tests on a phone; return what its performance tests timed.

    Args:
        project: the ``.xcodeproj``.
        scheme: of the project; its tests are run.
        udid: the phone.
        xcrun: Xcode's.
        seconds: the longest that building and testing may take.

    Raises:
        PhoneError: a test failed, nothing was timed, or Xcode does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="ondevice-bench-") as name:
        result = str(Path(name) / "result.xcresult")
        tests = ["xcodebuild", "test", "-project", str(project), "-scheme", scheme]
        tests += ["-destination", f"platform=iOS,id={udid}", "-resultBundlePath", result]
        _checked(xcrun, tests, seconds, f"testing '{scheme}'")
        metrics = ["xcresulttool", "get", "test-results", "metrics", "--path", result]
        found = parse_metrics(_checked(xcrun, metrics, seconds, "reading the tests' metrics"))
    if not found:
        raise PhoneError(f"the tests of '{scheme}' timed nothing")
    return found


def _checked(xcrun: Path, arguments: list[str], seconds: float, what: str) -> str:
    """Return what a tool printed on standard output.

    Raises:
        PhoneError: it failed.
    """
    done = call(xcrun, arguments, seconds, what)
    if done.returncode != 0:
        why = _why(done.stdout + done.stderr) or f"exit code {done.returncode}"
        raise PhoneError(f"{what} failed: {why}")
    return done.stdout


def note(times: TestTimes) -> str:
    """Return a test's figure as a note of a result."""
    median, runs = np.median(times.samples) / 1e6, len(times.samples)
    said = f"XCTest timed {times.test} on '{times.device}': median {median:.3g} ms of {runs} runs"
    return plain(said)


def parse_metrics(text: str) -> list[TestTimes]:
    """Read ``xcresulttool get test-results metrics``; what is not a time is left out.

    Raises:
        PhoneError: it is not the document that it should be.
    """
    try:
        document = parse_json(text)
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


def _why(text: str) -> str:
    """Return the line that says why xcodebuild failed."""
    found = re.findall(r"^.*\berror: .*$|^.*XCTAssert.* failed.*$", text, re.MULTILINE)
    return plain(found[0], 300) if found else ""
