"""The iOS sources as far as Linux can check them: their packages' tests, and types of the rest.

There is no SwiftUI and no Core ML here: `ios_stubs/` declares what the sources use of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ondevice.bench.results import read_result
from tests.mobile.cores import ROOT
from tests.requirements import need

need("swift")

IOS = ROOT / "mobile_demo/ios"
STUBS = Path(__file__).parent / "ios_stubs"
# Kept between runs; each package has its own.
CACHE = ROOT / "build/mobile"
PERFORMANCE = "OnDeviceQAPerformanceTests"
APP_FOLDERS = ("OnDeviceQA/Sources", "OnDeviceQATests", PERFORMANCE)
# Module by module, in the order in which they import one another.
STUB_MODULES = {
    "SwiftUI": ("SwiftUI.swift", "SwiftUIViews.swift"),
    "CoreML": ("CoreML.swift",),
    "ExecuTorch": ("ExecuTorch.swift",),
    "TensorFlowLite": ("TensorFlowLite.swift",),
    "UIKit": ("UIKit.swift",),
}

# The compiler shares two cores with other tests.
pytestmark = pytest.mark.timeout(1800)


def _sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((IOS / folder).rglob("*.swift"))]
    assert found
    return found


def _run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command[:4]))}…\n{said[-8000:]}"
    return said


def test_every_source_of_the_app_parses() -> None:
    _run("swiftc", "-frontend", "-parse", *_sources(*APP_FOLDERS))


def test_sources_are_formatted() -> None:
    # The tables are written by another program.
    sources = [
        path
        for path in _sources("QACore/Sources", "QACore/Tests", "QARuntime", *APP_FOLDERS)
        if path.name != "UnicodeTables.swift" and ".build" not in path.parts
    ]
    _run("swift", "format", "lint", "--strict", "--configuration", IOS / ".swift-format", *sources)


def test_nothing_in_the_app_can_reach_a_network() -> None:
    words = re.compile(
        r"URLSession|URLRequest|import Network\b|CFNetwork|NWConnection|WebKit|dataTask|"
        r"https?://|UIPasteboard|Bonjour|MultipeerConnectivity"
    )
    for path in _sources("OnDeviceQA/Sources", "QACore/Sources", "QARuntime/Sources"):
        assert not words.search(path.read_text(encoding="utf-8")), path


def test_the_sample_bundle_is_what_python_says() -> None:
    _run(sys.executable, IOS / "QACore/Tests/write_samples.py", "--check")


def test_the_benchmark_document_fits_the_schema() -> None:
    # BenchmarkTests.swift compares what the app writes with this file.
    result = read_result(IOS / "QARuntime/Tests/QARuntimeTests/Samples/benchmark.json")
    assert (result.status, result.evidence, result.device.kind) == ("complete", "phone", "ios")
    assert result.golden.status == "passed"
    kinds = {(one.kind, one.length) for one in result.measurements}
    stages = ("end_to_end", "model_only", "tokenize", "decode")
    assert kinds == {
        ("load_cold", None),
        ("load_warm", None),
        ("first_inference", 16),
        *((stage, length) for stage in stages for length in (16, 32)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("package", ["QACore", "QARuntime"])
def test_package(package: str) -> None:
    """Run a package's own tests: debug build, warnings as errors."""
    scratch = CACHE / f"{package}-tests"
    said = _run(
        *("swift", "test", "--package-path", IOS / package, "--scratch-path", scratch),
        *("-j", "1", "-Xswiftc", "-warnings-as-errors"),
    )
    assert re.search(r"Executed \d\d+ tests, with (1 test skipped and )?0 failures", said), said


class Checker:
    """Compiles modules against the stand-ins, as far as the compiler's own diagnoses go."""

    def __init__(self, modules: Path) -> None:
        self.modules = modules
        for name, files in STUB_MODULES.items():
            self.emit(name, [STUBS / file for file in files])

    def emit(self, name: str, sources: Sequence[Path], *options: str) -> None:
        """Write what other modules see of a module."""
        place = self.modules / f"{name}.swiftmodule"
        written = ("-emit-module", "-emit-module-path", place)
        _run(*self._compile(name), *options, *written, *sources)

    def diagnose(self, name: str, sources: Sequence[Path]) -> None:
        """Check all function bodies: types, and what may cross between threads."""
        _run(*self._compile(name), "-emit-sil", "-wmo", "-o", "/dev/null", *sources)

    def _compile(self, name: str) -> tuple[str | Path, ...]:
        options = ("-parse-as-library", "-swift-version", "6", "-warnings-as-errors")
        visible = ("-package-name", "ondevice", "-I", self.modules, "-module-name", name)
        return ("swiftc", *options, *visible)


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Checker:
    made = Checker(tmp_path_factory.mktemp("modules"))
    made.emit("QACore", _sources("QACore/Sources/QACore"))
    made.emit("QARuntime", _sources("QARuntime/Sources"))
    return made


@pytest.mark.slow
def test_the_engines_fit_their_runtimes_as_declared(checker: Checker) -> None:
    checker.diagnose("QARuntime", _sources("QARuntime/Sources"))


@pytest.mark.slow
def test_the_app_fits_swiftui_as_declared(checker: Checker) -> None:
    checker.diagnose("OnDeviceQA", _sources("OnDeviceQA/Sources"))


@pytest.mark.slow
def test_the_apps_tests_fit_it(checker: Checker) -> None:
    checker.emit("OnDeviceQA", _sources("OnDeviceQA/Sources"), "-enable-testing")
    checker.diagnose("OnDeviceQATests", _sources("OnDeviceQATests"))
    # Apple's XCTest has metrics that this one lacks.
    checker.diagnose(PERFORMANCE, [*_sources(PERFORMANCE), STUBS / "XCTestMetrics.swift"])


def test_the_runtimes_version_is_that_of_its_package() -> None:
    package = (IOS / "QARuntime/Package.swift").read_text(encoding="utf-8")
    engine = IOS / "QARuntime/Sources/QARuntime/Engines/ExecuTorchModel.swift"
    found = re.search(r'branch: "swiftpm-([\d.]+)"', package)
    assert found is not None
    assert f'static let version = "{found[1]}"' in engine.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_deprecated_call_is_found(checker: Checker, tmp_path: Path) -> None:
    copy = tmp_path / "Sources"
    shutil.copytree(IOS / "QARuntime/Sources", copy)
    engine = next(copy.rglob("CoreMLModel.swift"))
    text = engine.read_text(encoding="utf-8")
    assert text.count("try await MLModel.compileModel") == 1
    text = text.replace(
        "try await MLModel.compileModel(at: package)",
        "let compiled: () throws -> URL = { try MLModel.compileModel(at: package) }\n"
        "return try compiled()",
    )
    engine.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match="deprecated"):
        checker.diagnose("QARuntime", sorted(copy.rglob("*.swift")))


@pytest.mark.slow
def test_a_mistake_in_the_app_is_found(checker: Checker, tmp_path: Path) -> None:
    copy = tmp_path / "Sources"
    shutil.copytree(IOS / "OnDeviceQA/Sources", copy)
    view = copy / "Views/AnswerView.swift"
    text = view.read_text(encoding="utf-8")
    assert "reply.times.infer" in text
    view.write_text(text.replace("reply.times.infer", "reply.times.inference"), encoding="utf-8")
    with pytest.raises(AssertionError, match="inference"):
        checker.diagnose("OnDeviceQA", sorted(copy.rglob("*.swift")))
