"""Core ML's own benchmarker, with stand-ins for coremltools: no Mac took part."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import json
import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ondevice import cli
from ondevice.bench import coreml, coreml_times, golden_gate
from ondevice.bench.entries import Entry
from ondevice.bench.parts import GoldenCheck
from ondevice.bench.process import Process
from ondevice.bench.results import read_result
from tests.bench.phone import make_bundle
from tests.requirements import need

# What is used of coremltools, as a package of its own: found first on the path of the process that
# measures. Times in ms; a line in the file "calls" beside it for each thing that is asked.
STAND_IN = {
    "__init__.py": "from coremltools import models\n",
    "models/__init__.py": """
from pathlib import Path
CALLS = Path(__file__).parents[2] / "calls"

def note(*words):
    with CALLS.open("a") as stream:
        print(*words, file=stream)

class MLModel:
    def __init__(self, path, function_name=None):
        assert Path(path, "Manifest.json").is_file() or Path(path).is_file()
        note("open", function_name)
        self.function_name = function_name

    def get_compiled_model_path(self):
        return "compiled"
""",
    "models/ml_program/__init__.py": "",
    "models/ml_program/experimental/__init__.py": "",
    "models/ml_program/experimental/perf_utils.py": """
import os, time
from types import SimpleNamespace
from coremltools.models import CALLS, note

class MLModelBenchmarker:
    def __init__(self, model):
        self.model = model

    async def benchmark_load(self, iterations=1):
        return SimpleNamespace(samples=[100.5] * iterations)

    async def benchmark_predict(self, inputs=None, iterations=1, warmup=False):
        shapes = {(rows.dtype.name, rows.shape) for rows in inputs.values()}
        note("predict", *inputs, *shapes, iterations)
        fault = CALLS.with_name("fault")
        if self.model.function_name == "length_16" and fault.exists():
            exec(fault.read_text())
        return SimpleNamespace(samples=[3.47] * iterations)
""",
    "models/compute_plan.py": """
from types import SimpleNamespace

class MLCPUComputeDevice: ...
class MLNeuralEngineComputeDevice: ...

class MLComputePlan:
    model_structure = SimpleNamespace(program=SimpleNamespace(functions=dict.fromkeys(
        ["length_8", "length_16"],
        SimpleNamespace(block=SimpleNamespace(operations=["const", "linear", "linear", "gather"])),
    )))

    @classmethod
    def load_from_path(cls, path):
        assert path == "compiled"
        return cls()

    def get_compute_device_usage_for_mlprogram_operation(self, operation):
        kinds = {"linear": MLNeuralEngineComputeDevice, "gather": MLCPUComputeDevice}
        kind = kinds.get(operation)
        return kind and SimpleNamespace(preferred_compute_device=kind())
""",
}


class Benchmarker:
    """The two methods of coremltools' class that are used; times in ms."""

    predicted: list[tuple[Any, int]]

    def __init__(self) -> None:
        self.predicted = []

    async def benchmark_load(self, iterations: int = 1) -> SimpleNamespace:
        return SimpleNamespace(samples=[100.5] * iterations)

    async def benchmark_predict(
        self, inputs: Any = None, iterations: int = 1, warmup: bool = False
    ) -> SimpleNamespace:
        self.predicted.append((inputs, iterations))
        return SimpleNamespace(samples=[3.47] * iterations)


class MLCPUComputeDevice: ...


class MLNeuralEngineComputeDevice: ...


class Plan:
    """A compute plan over the functions of a package."""

    operations = ("const", "linear", "linear", "gather")

    def __init__(self, *functions: str) -> None:
        block = SimpleNamespace(block=SimpleNamespace(operations=self.operations))
        self.model_structure = SimpleNamespace(
            program=SimpleNamespace(functions=dict.fromkeys(functions, block))
        )

    def get_compute_device_usage_for_mlprogram_operation(self, operation: str) -> Any:
        kinds = {"linear": MLNeuralEngineComputeDevice, "gather": MLCPUComputeDevice}
        kind = kinds.get(operation)
        return kind and SimpleNamespace(preferred_compute_device=kind())


class Mac:
    """Stand-ins: for coremltools in the process that measures, for the goldens in this one."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.limits: list[float] = []
        for name, code in STAND_IN.items():
            path = place / "coremltools" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)

    def fault(self, code: str) -> None:
        """Let the benchmarker do something else at length 16."""
        (self.place / "fault").write_text(code)

    def calls(self, word: str) -> list[str]:
        """Return the rest of the lines that begin with a word."""
        path = self.place / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.removeprefix(word).strip() for line in lines if line.startswith(word)]


class TestCommand:
    """``ondevice bench --device coreml``; a real process measures, with a made-up coremltools."""

    @pytest.fixture
    def mac(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mac:
        made = Mac(tmp_path / "stand-in")
        monkeypatch.setenv("PYTHONPATH", str(made.place))
        monkeypatch.setattr(coreml.platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))

        def passes(entry: Entry, process: Process) -> None:
            entry.golden = GoldenCheck(status="passed", checked=3)

        monkeypatch.setattr(golden_gate, "hold", passes)
        request = Process.request

        def noted(process: Process, operation: str, **values: Any) -> dict[str, Any]:
            made.limits.append(process._seconds)
            if operation == "benchmark" and values["function"] == "length_16":
                # A hang need not take as long as a process takes to begin.
                process._seconds = min(process._seconds, made.limits[0] / 20)
            return request(process, operation, **values)

        monkeypatch.setattr(Process, "request", noted)
        return made

    def run(self, *words: str | Path) -> int:
        return cli.main(["bench", *map(str, words), "--device", "coreml"])

    def test_times_and_units(self, mac: Mac, tmp_path: Path) -> None:
        one = make_bundle(tmp_path / "b", "coreml")
        assert self.run(one, "--out", tmp_path / "out", "--timeout", "300") == 0
        (path,) = (tmp_path / "out").iterdir()
        found = read_result(path)
        assert (found.status, found.evidence, found.golden.status) == ("complete", "host", "passed")
        assert (found.runtime.name, found.runtime.version) == ("coreml", "15.1")
        assert [(one.kind, one.length) for one in found.measurements] == [
            ("load_warm", None),
            ("model_only", 8),
            ("model_only", 16),
        ]
        assert found.measurements[0].samples == (100_500_000,) * 5
        assert found.measurements[1].samples == (3_470_000,) * 50
        assert {one.warmup_runs for one in found.measurements[1:]} == {10}
        assert [(one.delegate, one.nodes, one.total) for one in found.placements] == [
            ("cpu", 1, 3),
            ("neuralEngine", 2, 3),
        ]
        assert mac.calls("open") == ["length_8", "length_16"]
        assert mac.calls("predict") == [
            f"input_ids attention_mask ('int32', (1, {length})) {runs}"
            for length in (8, 16)
            for runs in (10, 50)
        ]
        # To open it and for each length.
        assert mac.limits == [300.0] * 3

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (
                "raise RuntimeError('Failed to build the model execution plan')",
                "RuntimeError: Failed to build the model execution plan",
            ),
            ("time.sleep(600)", "its process did not answer 'benchmark' in 2 s"),
            ("os.abort()", "its process was ended by SIGABRT"),
        ],
    )
    def test_a_length_that_breaks_leaves_the_others(
        self, fault: str, words: str, mac: Mac, tmp_path: Path
    ) -> None:
        bundles = [make_bundle(tmp_path / name, "coreml", seed=at) for at, name in enumerate("ab")]
        mac.fault(fault)
        limit = ["--timeout", "40"] if "sleep" in fault else []
        assert self.run(*bundles, "--out", tmp_path / "out", *limit) == 3
        results = [read_result(path) for path in (tmp_path / "out").iterdir()]
        assert len(results) == 2
        for found in results:
            assert found.status == "partial"
            assert found.reason.startswith(f"at length 16: {words}")
            assert [one.length for one in found.measurements] == [None, 8]

    def test_a_coremltools_without_the_benchmarker(
        self, mac: Mac, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (mac.place / "coremltools/models/ml_program/experimental/perf_utils.py").unlink()
        one = make_bundle(tmp_path / "b", "coreml")
        assert self.run(one, "--out", tmp_path / "out") == 2
        assert "nothing was measured: made-up coreml fp32: the package" in capsys.readouterr().err
        (path,) = (tmp_path / "out").iterdir()
        assert read_result(path).evidence == "not run"

    def test_goldens_that_fail(
        self,
        mac: Mac,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fails(entry: Entry, process: Process) -> None:
            entry.golden = GoldenCheck(status="failed", reason="differs by 3")

        monkeypatch.setattr(golden_gate, "hold", fails)
        one = make_bundle(tmp_path / "b", "coreml")
        assert self.run(one, "--out", tmp_path / "out") == 3
        assert "so nothing was timed: differs by 3" in capsys.readouterr().err
        assert mac.calls("open") == []

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["--baseline", "teacher"], "--baseline and --data are for --device host"),
            (["--threads", "2"], "would have no effect here: Core ML chooses them itself"),
            (["--app", "x"], "--runner and --app are for phones"),
        ],
    )
    def test_options(
        self, words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(make_bundle(tmp_path / "b", "coreml"), *words) == 2
        assert sentence in capsys.readouterr().err

    def test_another_format(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(make_bundle(tmp_path / "b")) == 2
        assert "measures Core ML bundles, and" in capsys.readouterr().err

    @pytest.mark.skipif(platform.system() == "Darwin", reason="Core ML is here")
    def test_off_a_mac_it_says_not_run(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        one = make_bundle(tmp_path / "b", "coreml")
        assert self.run(one, "--out", tmp_path / "out", "--json") == 2
        captured = capsys.readouterr()
        (found,) = json.loads(captured.out)["results"]
        assert found["result"]["evidence"] == "not run"
        assert "Core ML exists on Apple systems only" in found["result"]["reason"]
        assert "ondevice: nothing was measured: made-up coreml fp32: Core ML" in captured.err


class TestWhatIsAskedOfCoremltools:
    def test_samples_become_nanoseconds(self):
        stub = Benchmarker()
        inputs = {"input_ids": np.ones((1, 8), np.int32)}
        loads, predictions = asyncio.run(coreml_times._measure(stub, inputs, 50))
        assert loads == (100_500_000,) * 5
        assert predictions == (3_470_000,) * 50
        # Never with inputs of the benchmarker's own.
        assert stub.predicted == [(inputs, 10), (inputs, 50)]

    def test_placements(self):
        found = coreml_times.preferred_units(Plan("main"), "main")
        assert found == {"cpu": 1, "neuralEngine": 2}
        assert coreml_times.preferred_units(Plan("main"), "length_8") == {}

    def test_coremltools_has_what_is_used(self):
        """Against the installed package's source; Core ML itself is on Macs only."""
        need("coreml")
        load = arguments_of("ml_program/experimental/perf_utils.py", "benchmark_load")
        predict = arguments_of("ml_program/experimental/perf_utils.py", "benchmark_predict")
        assert "iterations" in load
        assert {"inputs", "iterations"} <= predict
        assert "path" in arguments_of("compute_plan.py", "load_from_path")
        usage = "get_compute_device_usage_for_mlprogram_operation"
        assert "operation" in arguments_of("compute_plan.py", usage)
        assert "self" in arguments_of("model.py", "get_compiled_model_path")
        assert "function_name" in arguments_of("model.py", "__init__")
        names = {node.name for node in nodes("compute_device.py") if isinstance(node, ast.ClassDef)}
        assert set(coreml_times.DEVICES) <= names


def nodes(file: str) -> list[ast.AST]:
    """Return a module of coremltools.models without the seconds that importing it takes."""
    spec = importlib.util.find_spec("coremltools")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "models" / file
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def arguments_of(file: str, function: str) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in nodes(file) if isinstance(node, kinds) and node.name == function]
    assert found, function
    return {one.arg for node in found for one in [*node.args.args, *node.args.kwonlyargs]}
