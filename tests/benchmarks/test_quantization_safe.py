"""``benchmarks/quantization_safe.py`` and ``benchmarks/ranges.py``: rows, refusals, small runs."""

from __future__ import annotations

import json

import pytest

from ondevice import models
from tests.requirements import need


def test_a_variant_differs_from_its_neighbour_in_the_guard_alone(load):
    variants = load("quantization_safe").VARIANTS
    pairs = list(zip(variants[::2], variants[1::2], strict=True))
    assert pairs
    for with_it, without in pairs:
        same = ("part", "target", "scheme")
        assert [getattr(with_it, name) for name in same] == [
            getattr(without, name) for name in same
        ]
        assert with_it.guard != without.guard
        assert with_it.without != without.without


def test_what_is_patched_is_there_and_comes_back(load):
    from ondevice import graph
    from ondevice.targets import _tflite_ranges

    bench = load("quantization_safe")
    before = graph.MASK_BIAS, _tflite_ranges.clip
    with bench.lowest_mask(), bench.whole_ranges():
        assert graph.MASK_BIAS < -1e38
        assert _tflite_ranges.clip({"x": 1}, b"", {}) == {"x": 1}
    assert (graph.MASK_BIAS, _tflite_ranges.clip) == before


def test_unknown_parts_and_no_texts_are_refused(run, capsys):
    assert run("quantization_safe", "--parts", "mask,clips") == 2
    assert "unknown part 'clips'; available: mask, clip" in capsys.readouterr().err
    assert run("ranges", "--texts", "0") == 2
    assert "--texts must be at least 1" in capsys.readouterr().err


def test_an_artifact_that_answers_nothing_is_a_row_with_its_reason(load):
    row = {"target": "onnx", "scheme": "fp16", "guard": "none", "questions": 4, "failure": "NaN"}
    assert load("quantization_safe").cells(row)[3:5] == ("NaN", "–")


@pytest.mark.slow
def test_half_precision_without_a_finite_mask_is_no_number(
    load, run, tiny, tmp_path, capsys, monkeypatch
):
    need("onnx")
    bench = load("quantization_safe")
    monkeypatch.setattr(bench, "VARIANTS", [v for v in bench.VARIANTS if v.target == "onnx"])
    out = tmp_path / "results.json"
    other = {"part": "clip", "target": "tflite", "scheme": "int8-static", "guard": "-"}
    model = str(tiny("bert", "qa"))
    kept = {"model": model, "length": 64, "model_sha256": models.load(model).sha256}
    out.write_text(json.dumps(kept | {"rows": [other | {"failure": "x", "questions": 1}]}))
    words = ["--model", kept["model"], "--length", "64", "--questions", "3", "--results", out]
    assert run("quantization_safe", "--parts", "mask", *words) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["part"] for row in rows] == ["mask", "mask", "clip"]
    assert rows[0]["cosine"] > 0.999
    assert "not finite" in rows[1]["failure"]
    assert "not finite" in capsys.readouterr().out


def test_a_layer_norm_s_squares_are_held_against_half_precision(load):
    from ondevice.ranges import Range

    found = [
        Range("layers.0", "add", -300.0, 2.0, 1.0),
        Range("layers.0.output_norm", "layer_norm", -1.0, 1.0, 1.0),
        Range("head.scores", "linear", -400.0, 1.0, 1.0),
    ]
    value, square = load("ranges").conclusions(found)
    assert "400.0, is 1 % of" in value
    assert "300.0, is 137 % of" in square


@pytest.mark.slow
def test_ranges_of_a_small_model(run, tiny, tmp_path, capsys):
    out = tmp_path / "ranges.json"
    words = ["--model", tiny("bert", "qa"), "--length", "64", "--texts", "2", "--results", out]
    assert run("ranges", *words) == 0
    found = json.loads(out.read_text())
    assert found["texts"] == {"source": "samples", "count": 2}
    assert {one["place"] for one in found["ranges"]} >= {"embeddings.norm", "layers.1.contract"}
    said = capsys.readouterr().out
    assert "layers.1.contract" in said
    assert "precision holds" in said
