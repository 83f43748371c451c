"""Which runtime checks an artifact, and what its evidence is called."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ondevice import graph, models
from ondevice.errors import RuntimeUnavailableError, UserError
from ondevice.targets import TARGETS, ConvertOptions, Labels
from ondevice.verify import runners
from ondevice.verify.mil import MilPackageError
from ondevice.verify.mil import runner as mil_runner
from ondevice.verify.mil.program import TensorSpec
from tests.conftest import random_inputs
from tests.requirements import need


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A question-answering package of two lengths, and its graph."""
    need("coreml")
    from tests.conftest import make_checkpoint

    root = tmp_path_factory.mktemp("runners")
    checkpoint = models.load(str(make_checkpoint(root / "model", "bert", "qa")))
    built = graph.from_checkpoint(checkpoint, TARGETS["coreml"].form())
    options = ConvertOptions("fp32", (16, 32), Labels("tiny", "qa", "us", "mit", "1"))
    TARGETS["coreml"].convert(built, options, root / "model.mlpackage")
    return root / "model.mlpackage", built


@pytest.mark.parametrize("order", [(16, 32), (32, 16), (16, 16)])
def test_the_reference_runner_finds_the_function_for_a_length(package, order):
    import torch

    path, built = package
    runner = mil_runner.load(path, built.outputs)
    for length in order:
        inputs = random_inputs(built.inputs, length, built.encoder.vocab_size, valid=length - 3)
        expected = built.module(*(torch.from_numpy(inputs[name]) for name in built.inputs))
        outputs = runner.run(inputs)
        assert list(outputs) == ["start", "end"]
        for role, value in zip(built.outputs, expected, strict=True):
            np.testing.assert_allclose(outputs[role], value.numpy(), atol=1e-4)


def test_a_length_that_no_function_serves_is_refused(package):
    path, built = package
    inputs = random_inputs(built.inputs, 24, built.encoder.vocab_size, valid=24)
    with pytest.raises(UserError, match="functions: length_32, length_16"):
        mil_runner.load(path, built.outputs).run(inputs)


def test_evidence_is_reference_where_core_ml_cannot_run(package, monkeypatch):
    path, built = package

    def unavailable(*_: object, **__: object) -> None:
        raise RuntimeUnavailableError("Core ML runs on a Mac")

    monkeypatch.setitem(TARGETS, "coreml", dataclasses.replace(TARGETS["coreml"], load=unavailable))
    runner, evidence = runners.open_runner("coreml", path, built.outputs)
    assert evidence == "reference"
    assert runner.runtime == "mil-reference"
    monkeypatch.setattr(runners, "REFERENCES", {})
    with pytest.raises(RuntimeUnavailableError, match="on a Mac"):
        runners.open_runner("coreml", path, built.outputs)


def test_evidence_is_host_where_the_runtime_runs(monkeypatch):
    class Fake:
        runtime, version = "fake", "1"

    target = dataclasses.replace(TARGETS["onnx"], load=lambda *_, **__: Fake())
    monkeypatch.setitem(TARGETS, "onnx", target)
    runner, evidence = runners.open_runner("onnx", Path("model.onnx"), ["start"])
    assert (runner.runtime, evidence) == ("fake", "host")


@pytest.mark.parametrize(
    "flexible",
    [{"enumerated": ((1, 16), (1, 32))}, {"ranges": ((1, 1), (8, None))}],
)
def test_a_package_of_flexible_lengths_is_not_taken_for_its_default_length(flexible):
    spec = TensorSpec("input_ids", "int32", (1, 16), **flexible)
    model = SimpleNamespace(inputs=(spec,), function_name="main")
    with pytest.raises(MilPackageError, match=r"does not take inputs .* of one length"):
        mil_runner._length(model)
    fixed = SimpleNamespace(inputs=(TensorSpec("input_ids", "int32", (1, 16)),))
    assert mil_runner._length(fixed) == 16


def test_an_answer_is_not_computed_twice():
    asked = []

    class Counting:
        runtime, version = "counting", "1"

        def run(self, inputs):
            asked.append(inputs)
            return {"start": np.float32(inputs["input_ids"])}

    kept = runners.Remembering(Counting())
    first, second = np.int32([[1, 2]]), np.int32([[2, 1]])
    for ids in (first, second, first.copy()):
        np.testing.assert_array_equal(kept.run({"input_ids": ids})["start"], ids)
    assert len(asked) == 2
    assert (kept.runtime, kept.version) == ("counting", "1")
