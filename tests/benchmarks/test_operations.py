"""``benchmarks/operations.py``: what it makes of each runtime's profile."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from ondevice import models
from tests.requirements import need


def kernel(name: str, duration: int, left: list[int], out: list[int]) -> dict[str, object]:
    shapes = {"input_type_shape": [{"float": left}], "output_type_shape": [{"float": out}]}
    return {"name": f"x_{name}_kernel_time", "dur": duration, "args": {"op_name": name, **shapes}}


def test_the_warm_up_is_left_out_and_products_have_a_rate(load):
    operations = load("operations")
    warm = [kernel("Gemm", 900, [4, 8], [4, 16]), kernel("Softmax", 900, [4, 4], [4, 4])]
    timed = [kernel("Gemm", 30, [4, 8], [4, 16]), kernel("Softmax", 10, [4, 4], [4, 4])]
    session = [{"name": "session_initialization", "dur": 5, "args": {}}]
    found = operations.summarize([*session, *warm * operations.WARMUP, *timed * 2], 2)
    gemm, softmax = found
    assert (gemm["operator"], gemm["count"], gemm["ms"], gemm["share"]) == ("Gemm", 1, 0.03, 0.75)
    assert gemm["gflops"] == pytest.approx(2 * 4 * 8 * 16 / 30e-6 / 1e9)
    assert softmax["gflops"] is None


@pytest.mark.parametrize(
    ("left", "out", "count"),
    [([4, 8], [4, 16], 512), ([8, 4], [4, 16], 512), ([2, 4, 8], [2, 4, 4], 256)],
)
def test_products_are_counted_by_their_shapes(load, left, out, count):
    arguments = {"input_type_shape": [{"float": left}], "output_type_shape": [{"float": out}]}
    assert load("operations").multiplications(arguments) == count


LITERT = """
================ Run Order ================
 [node type] [start] [first] [avg ms] [%] [cdf%] [mem KB] [times called] [Name]
 EMBEDDING_LOOKUP 0.004 0.092 0.080 0.070% 0.072% 0.000 10 [Builtin]:1
 Delegate/Add (ND) 0.000 0.089 0.500 0.058% 0.199% 0.000 10 [Delegate]:1
 Delegate/Fully Connected (NC, F32) GEMM 0.000 1.3 1.500 0.9% 1.3% 0.000 20 [Delegate]:2
 Delegate/Fully Connected (NC, F32) GEMM 0.000 1.3 2.000 0.9% 1.3% 0.000 10 [Delegate]:3
 TfLiteXNNPackDelegate 0.000 9.368 9.000 0.9% 1.3% 0.000 10 [Builtin]:99
================ Top by Computation Time ================
 Delegate/Add (ND) 0.000 0.089 0.500 0.058% 0.199% 0.000 10 [Delegate]:1
"""


def test_litert_prints_a_line_for_each_operator(load):
    assert figures(load("litert_profile").parse(LITERT, 10)) == [
        ("Fully Connected", 3.0, 5.0),
        ("Add", 1.0, 0.5),
        ("EMBEDDING_LOOKUP", 1.0, 0.08),
    ]


def figures(records):
    assert sum(one["share"] for one in records) == pytest.approx(1.0)
    return [(one["operator"], one["count"], one["ms"]) for one in records]


def event(name, *times):
    return SimpleNamespace(name=name, perf_data=SimpleNamespace(raw=list(times)))


def test_an_etdump_is_added_up_without_what_holds_other_events(load):
    found = load("etdump_profile").parse(
        [
            event("native_call_embedding.out", 9, 9, 9, 1, 3),
            event("OPERATOR_CALL", 9, 9, 9, 9, 9),
            event("Method::execute", 9, 9, 9, 9, 9),
            event("Fully Connected (NC, F32) GEMM #1", 9, 9, 9, 4, 4),
            event("Fully Connected (NC, F32) GEMM #2", 9, 9, 9, 2, 2),
            SimpleNamespace(name="no times", perf_data=None),
        ],
        2,
    )
    assert figures(found) == [("Fully Connected", 2.0, 6.0), ("embedding.out", 1.0, 2.0)]
    assert found[0]["share"] == 0.75


def test_the_rate_is_that_of_constant_weights_alone(load, tiny):
    operations = load("operations")
    encoder = models.load(str(tiny("bert", "qa"))).encoder
    width, inner, layers = encoder.width, encoder.intermediate, encoder.layers
    products = layers * (4 * width * width + 2 * width * inner) + 2 * width
    assert operations.linear_operations(encoder, 16) == 2 * 16 * products
    assert operations.with_rate({"ms": 3.0}, 3e9) == {"ms": 3.0, "gflops": pytest.approx(1000)}
    assert operations.with_rate({"ms": 3.0}, 0)["gflops"] is None


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "tflite", "executorch"])
def test_a_small_run(load, run, tiny, tmp_path, capsys, target):
    need(target)
    words = ["--models", tiny("distilbert", "qa"), "--length", 32, "--threads", 1, "--runs", 2]
    words += ["--targets", target]
    out = tmp_path / "results.json"
    assert run("operations", *words, "--bundles", tmp_path / "bundles", "--out", out) == 0
    made = json.loads(out.read_text())["artifacts"]
    assert [one["artifact"] for one in made][-1] == "ours"
    operators = {one["operator"]: one for one in made[-1]["operators"]}
    assert sum(one["share"] for one in operators.values()) == pytest.approx(1.0)
    # Four projections and two of the feed-forward in each of two layers, and the head.
    linear = operators["Gemm" if target == "onnx" else "Fully Connected"]
    assert linear["count"] == 2 * 6 + 1
    assert linear["gflops"] > 0
    assert "ours" in capsys.readouterr().out


def test_why_there_is_no_profile_is_a_row(load, run, tiny, tmp_path, monkeypatch, capsys):
    need("onnx")
    artifacts = load("artifacts")
    place = tmp_path / "model.onnx"
    place.write_bytes(b"no model")
    made = artifacts.Artifact("m", "onnx", "ours", "fp32", place, place, (), (), (32,), {})
    monkeypatch.setattr(artifacts, "build_ours", lambda *_: [made])
    monkeypatch.setattr(load("stock"), "PATHS", {})
    out = tmp_path / "results.json"
    words = ["--models", tiny("distilbert", "qa"), "--targets", "onnx", "--length", 32]
    assert run("operations", *words, "--bundles", tmp_path / "b", "--out", out) == 0
    (record,) = json.loads(out.read_text())["artifacts"]
    assert "model.onnx" in record["reason"]
    assert record["reason"][:60] in capsys.readouterr().out
