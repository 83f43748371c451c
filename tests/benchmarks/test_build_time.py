"""``benchmarks/build_time.py``: its plan, its limit, and one small run."""

from __future__ import annotations

import json

import pytest

from tests.requirements import need


def test_each_target_is_built_under_the_schemes_that_it_has(load):
    build_time = load("build_time")
    rows = build_time.plan(["tflite", "onnx"], ["fp32", "int8", "int8-weight"], build_time.KINDS)
    assert [(row.target, row.scheme) for row in rows] == [
        ("tflite", "fp32"),
        ("tflite", "int8"),
        ("tflite", "int8-weight"),
        ("onnx", "fp32"),
        ("onnx", "int8"),
        ("tflite", "fp32,int8,int8-weight"),
        ("onnx", "fp32,int8"),
        ("all", None),
    ]
    (row,) = build_time.plan(["tflite", "onnx"], ["int8-weight"], ["alone"])
    assert (row.target, row.scheme) == ("tflite", "int8-weight")


def test_the_limit_is_four_times_the_weights_and_a_gib(load):
    # DistilBERT's 66 million parameters: 264 MB in float32.
    assert load("build_time").limit_bytes(66_000_000) == 1_056_000_000 + 1_073_741_824


def test_the_table_has_medians_of_seconds_and_the_greatest_memory(load):
    build_time, processes = load("build_time"), load("processes")
    cold = [
        processes.Ended(0, s, m * 1_000_000, "", "", s + 1)
        for s, m in ((9, 700), (4, 600), (5, 500))
    ]
    row = build_time.Row("onnx", "fp32", cold)
    assert build_time.cells(row, 1_400_000_000) == (
        *("onnx", "fp32", "5.0", "6.0", "700", "0.50", "–", "–", "yes"),
    )


@pytest.mark.slow
def test_a_small_run_over_onnx(run, tiny, tmp_path, capsys):
    need("onnx")
    out = tmp_path / "results.json"
    words = ["--model", tiny("distilbert", "qa"), "--targets", "onnx", "--schemes", "fp32"]
    assert run("build_time", *words, "--rounds", 1, "--only", "alone", "--out", out) == 0
    document = json.loads(out.read_text())
    (row,) = document["rows"]
    assert row["published"]
    (cold,), (cached,) = row["cold"], row["cached"]
    # Not by much: both begin with the peak of this process, which has imported torch.
    assert cold["peak_bytes"] > cached["peak_bytes"] > 0
    assert document["limit_bytes"] == 16 * document["params"] + 2**30
    assert "onnx" in capsys.readouterr().out


def test_an_unknown_target_is_one_sentence(run, capsys):
    assert run("build_time", "--targets", "corml") == 2
    assert "unknown target 'corml'; available: coreml, tflite" in capsys.readouterr().err
