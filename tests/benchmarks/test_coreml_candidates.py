"""Candidate schemes for Core ML: made as they say, and scored from their packages on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ondevice import models
from tests.requirements import need
from tests.targets.test_coreml import open_function, unpacked, weight_bytes

need("coreml")


@pytest.fixture(scope="module")
def checkpoint(tiny):
    return models.load(str(tiny("bert", "qa")))


def make(load, checkpoint, scheme, tmp_path):
    path = tmp_path / f"{scheme}.mlpackage"
    load("coreml_candidates").make(checkpoint, scheme, 32, path)
    return path


def test_pruned_matrices_have_the_share_of_zeros_and_few_values(load, checkpoint, tmp_path):
    path = make(load, checkpoint, "sparse40-pal4", tmp_path)
    ops = set(open_function(path).op_types)
    assert {"constexpr_lut_to_sparse", "constexpr_sparse_to_dense"} <= ops
    matrices = [matrix for matrix in unpacked(path) if matrix.ndim == 2]
    # Words, positions, six matrices in each of two layers; a mask and its values stand beside them.
    dense = [matrix for matrix in matrices if len(np.unique(matrix)) > 2]
    assert len(dense) == 14
    for matrix in dense:
        assert np.mean(matrix == 0) == pytest.approx(0.4, abs=0.02)
        assert len(np.unique(matrix)) <= 17
    assert weight_bytes(path) < weight_bytes(make(load, checkpoint, "pal6", tmp_path))


def test_what_enters_a_linear_layer_is_rounded_to_its_own_range(load, checkpoint, tmp_path):
    path = make(load, checkpoint, "int8-activations", tmp_path)
    ops = open_function(path).op_types
    # Query, key and value read one value: four ranges in each layer, and the head's.
    assert ops.count("quantize") == ops.count("dequantize") >= 4 * 2 + 1
    assert "constexpr_affine_dequantize" in ops or "constexpr_blockwise_shift_scale" in ops


def test_ranges_are_those_of_all_texts(load, checkpoint, tmp_path):
    """coremltools 9.0 itself keeps the last text's only."""
    module = load("coreml_candidates")
    half = make(load, checkpoint, "fp16", tmp_path)
    ranges = module.observe(half, checkpoint, 32)
    assert all(low <= high for low, high in ranges.values())
    model, single = open_function(half), []
    from ondevice import calibration

    for inputs in calibration.from_samples(checkpoint).inputs(32):
        seen = module.Ranges()
        model.run(inputs, report=seen)
        single.append(seen.seen)
    assert len(single) > 1
    for name, (low, high) in ranges.items():
        assert low == min(one[name][0] for one in single)
        assert high == max(one[name][1] for one in single)


def test_the_command_prints_and_keeps_what_it_scored(run, tiny, tmp_path, capsys):
    results = tmp_path / "results.json"
    words = ("--model", tiny("bert", "qa"), "--length", 64, "--examples", 3, "--results", results)
    assert run("coreml_candidates", *words, "--schemes", "fp16") == 0
    assert run("coreml_candidates", *words, "--schemes", "sparse30-pal6") == 0
    table = capsys.readouterr().out
    assert "sparse30-pal6" in table
    document = json.loads(results.read_text())
    half, sparse = document["candidates"]
    assert (half["scheme"], sparse["scheme"]) == ("fp16", "sparse30-pal6")
    assert half["cosine"] > 0.9999 > sparse["cosine"]
    assert half["bytes"] > sparse["bytes"]
    assert half["flips_percent"] == 0


def test_an_unknown_candidate_is_one_sentence(run, tiny, tmp_path, capsys):
    words = ("--model", tiny("bert", "qa"), "--length", 64, "--examples", 1, "--schemes", "sparse")
    assert run("coreml_candidates", *words, "--results", tmp_path / "results.json") == 2
    assert "unknown scheme 'sparse'; available: fp16, int8" in capsys.readouterr().err
