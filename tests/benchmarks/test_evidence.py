"""``benchmarks/evidence.py``: which bundles it makes, what it keeps, and one small run."""

from __future__ import annotations

import json

import pytest

from ondevice.errors import UserError
from tests.requirements import need


def of(target, scheme, **more):
    return {"target": target, "scheme": scheme, "checks": [], **more}


def test_each_target_has_the_schemes_that_are_wanted_and_that_it_has(load):
    schemes_of = load("evidence").schemes_of
    assert schemes_of(["tflite", "onnx"], "int8-weight,fp32") == {
        "tflite": ("fp32", "int8-weight"),
        "onnx": ("fp32",),
    }
    assert schemes_of(["onnx", "coreml"], "pal4") == {"coreml": ("pal4",)}
    assert "int4" in schemes_of(["onnx"], None)["onnx"]
    with pytest.raises(UserError, match="unknown scheme 'pal4'; available: fp32"):
        schemes_of(["onnx"], "pal4")


def test_added_bundles_replace_their_like_and_keep_the_order(load):
    added = load("evidence").added
    earlier = {"machine": 1, "bundles": [of("coreml", "fp16"), of("onnx", "fp32", bytes=1)]}
    now = {"machine": 2, "bundles": [of("onnx", "fp32", bytes=2), of("tflite", "int8")]}
    assert added(earlier, now) == {
        "machine": 2,
        "bundles": [of("coreml", "fp16"), of("tflite", "int8"), of("onnx", "fp32", bytes=2)],
    }
    assert added(None, now) is now


def test_a_small_run_writes_every_check_and_adds_to_what_is_there(load, tmp_path, monkeypatch):
    need("onnx")
    evidence = load("evidence")
    results = tmp_path / "evidence.json"
    words = ["--model", "student", "--targets", "onnx", "--examples", "2"]
    words += ["--out", str(tmp_path / "bundles"), "--results", str(results)]

    def run(*more):
        monkeypatch.setattr("sys.argv", ["evidence.py", *words, *more])
        # Environments with older runtimes are for `slow` tests of their own.
        monkeypatch.setattr(evidence, "runtimes_of", lambda target, manifests: ())
        assert evidence.main() == 0
        return json.loads(results.read_text())

    first = run("--schemes", "fp32")
    assert [(one["target"], one["scheme"]) for one in first["bundles"]] == [("onnx", "fp32")]
    (bundle,) = first["bundles"]
    assert bundle["published"]
    assert bundle["measured"].startswith("20")
    assert "passed" in {row["status"] for row in bundle["checks"]}
    both = run("--schemes", "int8", "--add")
    assert [one["scheme"] for one in both["bundles"]] == ["fp32", "int8"]
    assert both["bundles"][0] == bundle
    results.write_text(json.dumps(both | {"model_sha256": "another"}))
    with pytest.raises(UserError, match="has model_sha256 another"):
        run("--schemes", "int8", "--add")
