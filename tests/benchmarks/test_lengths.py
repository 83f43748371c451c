"""``benchmarks/lengths.py``: its sizes, what it keeps, and what it refuses."""

from __future__ import annotations

import json

import pytest

from tests.requirements import need


@pytest.mark.slow
def test_a_small_run_over_onnx_adds_to_what_is_there(run, load, tiny, tmp_path, monkeypatch):
    need("onnx")
    lengths = load("lengths")
    monkeypatch.setattr(lengths, "ONE", (32,))
    monkeypatch.setattr(lengths, "FOUR", (16, 32))
    monkeypatch.setattr(lengths, "SCHEMES", ("fp32",))
    out = tmp_path / "lengths.json"
    words = ["--model", tiny("bert", "qa"), "--targets", "onnx", "--out", out]
    assert run("lengths", *words) == 0
    first = json.loads(out.read_text())
    (row,) = first["sizes"]
    assert (row["target"], row["scheme"]) == ("onnx", "fp32")
    # One graph with a dynamic axis, whatever lengths it is for.
    assert 0 < row["four"] <= row["one"] * 1.01
    other = row | {"target": "tflite"}
    out.write_text(json.dumps(first | {"sizes": [other, row | {"one": 1}]}))
    assert run("lengths", *words, "--add") == 0
    assert json.loads(out.read_text())["sizes"] == [other, row]


def test_an_unknown_target_is_one_sentence(run, capsys, tmp_path):
    assert run("lengths", "--targets", "corml", "--out", tmp_path / "out.json") == 2
    assert "unknown target 'corml'; available: coreml" in capsys.readouterr().err
