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
from ondevice.bench import coreml, golden_gate
from ondevice.bench.entries import Entry
from ondevice.bench.parts import GoldenCheck
from ondevice.bench.process import Process
from ondevice.bench.results import read_result
from tests.bench.phone import make_bundle
from tests.requirements import need


class Benchmarker:
    """The two methods of coremltools' class that are used; times in ms."""

    predicted: list[tuple[Any, int]]

    def __init__(self, model: object = None) -> None:
        self.model = model
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


class TestCommand:
    """``ondevice bench --device coreml``."""

    @pytest.fixture
    def mac(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Stand-ins for coremltools on a Mac; return the functions that were opened."""
        opened: list[Any] = []

        def open_model(path: str, function_name: str | None) -> SimpleNamespace:
            assert path.endswith("model.mlpackage")
            opened.append(function_name)
            return SimpleNamespace(get_compiled_model_path=lambda: "compiled")

        plans = SimpleNamespace(load_from_path=lambda path: Plan("length_8", "length_16"))
        modules = {
            "coremltools": SimpleNamespace(models=SimpleNamespace(MLModel=open_model)),
            "coremltools.models.ml_program.experimental.perf_utils": SimpleNamespace(
                MLModelBenchmarker=Benchmarker
            ),
            "coremltools.models.compute_plan": SimpleNamespace(MLComputePlan=plans),
        }
        monkeypatch.setattr(coreml, "require", lambda name, extra: modules[name])
        monkeypatch.setattr(coreml.platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))

        def passes(entry: Entry, process: Process) -> None:
            entry.golden = GoldenCheck(status="passed", checked=3)

        monkeypatch.setattr(golden_gate, "hold", passes)
        return opened

    def run(self, *words: str | Path) -> int:
        return cli.main(["bench", *map(str, words), "--device", "coreml"])

    def test_times_and_units(self, mac: list[Any], tmp_path: Path) -> None:
        one = make_bundle(tmp_path / "b", "coreml")
        assert self.run(one, "--out", tmp_path / "out") == 0
        (path,) = (tmp_path / "out").iterdir()
        found = read_result(path)
        assert (found.status, found.evidence, found.golden.status) == ("complete", "host", "passed")
        assert (found.runtime.name, found.runtime.version) == ("coreml", "15.1")
        assert [(one.kind, one.length) for one in found.measurements] == [
            ("load_warm", None),
            ("model_only", 8),
            ("model_only", 16),
        ]
        assert found.measurements[1].samples == (3_470_000,) * 50
        assert [(one.delegate, one.nodes, one.total) for one in found.placements] == [
            ("cpu", 1, 3),
            ("neuralEngine", 2, 3),
        ]
        assert mac == ["length_8", "length_16"]

    def test_a_length_that_breaks_leaves_the_others(
        self, mac: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = make_bundle(tmp_path / "b", "coreml")
        measure = coreml.measure

        def breaks(*arguments: Any, function: str | None) -> Any:
            if function == "length_16":
                raise RuntimeError("Failed to build the model execution plan")
            return measure(*arguments, function=function)

        monkeypatch.setattr(coreml, "measure", breaks)
        assert self.run(one, "--out", tmp_path / "out") == 3
        (path,) = (tmp_path / "out").iterdir()
        found = read_result(path)
        assert found.reason.startswith("at length 16: RuntimeError: Failed to build")
        assert [one.length for one in found.measurements] == [None, 8]

    def test_goldens_that_fail(
        self,
        mac: list[Any],
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
        assert mac == []

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
        assert self.run(one, "--out", tmp_path / "out", "--json") == 0
        (found,) = json.loads(capsys.readouterr().out)["results"]
        assert found["result"]["evidence"] == "not run"
        assert "Core ML exists on Apple systems only" in found["result"]["reason"]


class TestWhatIsAskedOfCoremltools:
    def test_samples_become_measurements(self):
        stub = Benchmarker()
        inputs = {"input_ids": np.ones((1, 8), np.int32)}
        load, model = asyncio.run(coreml._measure(stub, inputs, 8, 50))
        assert (load.kind, load.samples) == ("load_warm", (100_500_000,) * 5)
        assert (model.kind, model.length, model.warmup_runs) == ("model_only", 8, 10)
        assert model.samples == (3_470_000,) * 50
        # Never with inputs of the benchmarker's own.
        assert stub.predicted == [(inputs, 10), (inputs, 50)]

    def test_placements(self):
        found = coreml.placements_of(Plan("main"), "main")
        assert [(one.delegate, one.nodes, one.total) for one in found] == [
            ("cpu", 1, 3),
            ("neuralEngine", 2, 3),
        ]
        assert coreml.placements_of(Plan("main"), "length_8") == ()

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
        assert set(coreml.DEVICES) <= names


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
