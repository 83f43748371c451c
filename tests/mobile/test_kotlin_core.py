"""The Kotlin core's own unit tests, and its benchmark documents against the schema's reader."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ondevice.bench.results import parse_result
from tests.mobile import kotlin_tools
from tests.requirements import need

need("kotlin")

TESTS = kotlin_tools.ANDROID / "core/src/test/kotlin"
STUBS = Path(__file__).parent / "kotlin_stubs"

# The compiler takes half a minute, and as long again where another test waits for it.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def jars() -> list[Path]:
    core = kotlin_tools.core_jar()
    sources = [*kotlin_tools.kotlin_files(TESTS), *kotlin_tools.kotlin_files(STUBS)]
    # The tests see what is internal to the core, as they do in Gradle; the stand-in of kotlin.test
    # is in a package that is Kotlin's own.
    flags = [f"-Xfriend-paths={core}", "-Xallow-kotlin-package"]
    return [kotlin_tools.compiled("core-tests", sources, [core], flags), core]


def _run(main: str, jars: list[Path], *arguments: str) -> str:
    command = [*kotlin_tools.run_command(main, jars), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kotlin_unit_tests_pass(jars: list[Path]) -> None:
    said = _run("dev.ondevice.runner.RunTestsKt", jars, str(jars[0]))
    passed, failed = said.splitlines()[-1].split(", ")
    assert failed == "0 failed"
    assert int(passed.split()[0]) >= 40


def test_benchmark_documents_fit_the_schema(jars: list[Path]) -> None:
    lines = _run("dev.ondevice.core.SampleDocumentsKt", jars).splitlines()
    complete, failed, early, unchecked = (
        parse_result(line.encode(), "the app's document") for line in lines
    )
    assert (complete.status, complete.evidence, complete.golden.status) == (
        "complete",
        "phone",
        "passed",
    )
    kinds = {one.kind for one in complete.measurements}
    assert kinds == {
        "load_cold",
        "load_warm",
        "first_inference",
        "model_only",
        "end_to_end",
        "tokenize",
        "decode",
    }
    assert (failed.status, failed.golden.status, failed.measurements) == ("partial", "failed", ())
    assert early.reason == "the phone became too hot"
    assert (unchecked.evidence, unchecked.golden.status) == ("not run", "not_run")
    assert (unchecked.golden.reason, unchecked.measurements) == ("the runtime refused", ())
