"""``benchmarks/evidence.py``: the order of what it keeps, which runtimes it asks, a small run."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from ondevice import build, console
from ondevice.plan import BuildOptions
from tests.requirements import need


def test_bundles_are_in_the_order_of_targets_and_schemes(load):
    made = [("onnx", "fp32"), ("coreml", "int8"), ("tflite", "int8"), ("coreml", "fp32")]
    bundles = [{"target": target, "scheme": scheme} for target, scheme in made]
    found = [(one["target"], one["scheme"]) for one in load("evidence").in_order(bundles)]
    assert found == [("coreml", "fp32"), ("coreml", "int8"), ("tflite", "int8"), ("onnx", "fp32")]


def test_every_bundle_is_run_on_the_oldest_runtime_that_any_promises(load):
    def promising(version):
        return SimpleNamespace(artifact=SimpleNamespace(min_runtime={"onnxruntime": version}))

    found = load("evidence").runtimes_of("onnx", [promising("1.19.2"), promising("1.17")])
    assert found[:2] == ("onnxruntime==1.17", "onnxruntime==1.19.2")
    assert all(one.startswith("onnxruntime==") for one in found)


@pytest.mark.slow
def test_a_small_run_writes_every_check_and_adds_to_what_is_there(
    load, run, tmp_path, monkeypatch, capsys
):
    need("onnx")
    evidence = load("evidence")
    results = tmp_path / "evidence.json"
    words = ["--model", "student", "--targets", "onnx", "--examples", 2]
    words += ["--out", tmp_path / "bundles", "--results", results]

    def build_one(model, target, out):
        options = BuildOptions(model=model, targets=(target,), schemes=("fp32",), out=out)
        return build.run(options, console.Progress())

    # One scheme; environments with other runtimes are tested with `verify`.
    monkeypatch.setattr(evidence, "build_all", build_one)
    monkeypatch.setattr(evidence, "runtimes_of", lambda target, manifests: ())
    assert run("evidence", *words) == 0
    assert "onnx    fp32" in capsys.readouterr().out
    first = json.loads(results.read_text())
    (bundle,) = first["bundles"]
    assert (bundle["target"], bundle["scheme"], bundle["published"]) == ("onnx", "fp32", True)
    assert {row["status"] for row in bundle["checks"]} == {"passed", "not_run"}
    other = bundle | {"target": "tflite", "measured": "yesterday"}
    before = bundle | {"measured": "yesterday"}
    results.write_text(json.dumps(first | {"bundles": [before, other]}))
    assert run("evidence", *words, "--add") == 0
    kept, again = json.loads(results.read_text())["bundles"]
    assert kept == other
    assert again["measured"] > "20"
    capsys.readouterr()
    assert run("evidence", *words, "--add", "--examples", 3) == 2
    assert "has examples 2, not 3" in capsys.readouterr().err
