"""``benchmarks/roofline.py``: its arithmetic, its libraries, and one small run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ondevice import bundle, models
from ondevice.bench.protocol import Pass, Timed
from tests.requirements import need
from tests.verify.published import norm_macs


def test_the_products_are_those_of_the_layers_and_a_square_one(load, tiny):
    encoder = models.load(str(tiny("bert", "qa"))).encoder
    assert load("roofline").shapes(encoder, 48) == {
        "48×32×32": (48, 32, 32),
        "48×32×64": (48, 32, 64),
        "48×64×32": (48, 64, 32),
        "1024×1024×1024": (1024, 1024, 1024),
    }


def test_the_rate_of_a_product_is_its_best(load):
    product = load("roofline").Product(
        "numpy", "fp32", "p", (100, 200, 300), [4_000_000, 2_000_000]
    )
    assert product.rate == pytest.approx(2 * 100 * 200 * 300 / 2e-3)


def test_a_share_is_of_the_peak_of_its_own_kind(load):
    artifacts, roofline = load("artifacts"), load("roofline")
    kinds = {
        scheme: roofline.kind_of("tflite", scheme)
        for scheme in ("fp32", "fp16", "int8", "int8-weight")
    }
    assert kinds == {"fp32": "fp32", "fp16": "fp32", "int8": "int8", "int8-weight": "fp32"}

    place = Path(__file__)
    made = artifacts.Artifact("m", "onnx", "ours", "int8", place, place, (), (), (384,), {})
    timed = Timed(passes=[Pass(7, 1_000_000), Pass(7, 2_000_000), Pass(7, 3_000_000)])
    row = roofline.Row(made, 384, 5e8, timed)
    # 0.5 GOP in 2 ms is 250 GOP/s.
    assert roofline.cells(row, {"fp32": 1e11, "int8": 5e11}, 0.0)[-5:] == (
        *("2.0", "0.5", "250.0", "–", "0.50"),
    )


@pytest.mark.parametrize(
    ("library", "scheme", "extra"),
    [
        ("torch", "fp32", "checkpoint"),
        ("numpy", "fp32", "checkpoint"),
        ("onnxruntime", "fp32", "onnx"),
        ("xnnpack", "fp32", "tflite"),
        ("torch", "int8", "checkpoint"),
        ("onnxruntime", "int8", "onnx"),
        ("xnnpack", "int8", "tflite"),
    ],
)
def test_a_library_multiplies_what_it_is_asked_to(load, library, scheme, extra):
    import torch

    if extra != "checkpoint":
        need(extra)
    worker = load("matmul_worker")
    shape = (24, 40, 16)
    torch.manual_seed(0)
    held = worker.PRODUCTS[library, scheme](*shape, 1)()
    product = held() if callable(held) else held.numpy() if hasattr(held, "numpy") else held
    assert product.shape == (24, 16)
    if library == "xnnpack":
        # Its weights are those of a new layer: what they are does not show in the product.
        assert np.isfinite(product).all()
        assert product.std() > 0.1
        return
    np.testing.assert_allclose(product, expected(worker, library, scheme, shape), atol=1e-4)


def expected(worker, library, scheme, shape):
    """The product of the operands that the worker draws."""
    import torch

    rows, inner, columns = shape
    if scheme == "fp32":
        left, right = worker._operands(*shape)
    elif library == "onnxruntime":
        draw = np.random.default_rng(0)
        left = draw.integers(0, 255, (rows, inner), np.uint8).astype(np.int32)
        right = draw.integers(-64, 64, (inner, columns), np.int8).astype(np.int32)
    else:
        torch.manual_seed(0)
        left = torch.randint(-128, 127, (rows, inner), dtype=torch.int8).numpy().astype(np.int32)
        weights = torch.randint(-128, 127, (columns, inner), dtype=torch.int8).numpy()
        right = weights.astype(np.int32).T
    return left @ right


def test_floats_are_multiplied_in_single_precision(load):
    left, right = load("matmul_worker")._operands(3, 4, 5)
    assert (left.dtype, right.dtype) == (np.float32, np.float32)
    product = load("matmul_worker").numpy_fp32(3, 4, 5, 1)()
    np.testing.assert_allclose(product, left @ right, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite", "executorch"])
def test_the_formula_counts_what_a_file_multiplies(load, tiny, tmp_path, target):
    need(target)
    from ondevice.verify import delegation

    checkpoint = models.load(str(tiny("bert", "qa")))
    (made,) = load("artifacts").build_ours(checkpoint, target, ["fp32"], [32], tmp_path)
    place = made.path.parent
    counted = delegation.measure(place, bundle.open_bundle(place)).macs
    # The formula has what the model asks for; ExecuTorch's form takes the means of layer norms by
    # products too.
    extra = norm_macs(32) if target == "executorch" else 0
    assert load("roofline").operations(checkpoint.encoder, 32) == 2 * (counted - extra)


@pytest.mark.slow
def test_a_small_run_over_onnx(run, load, tiny, tmp_path, monkeypatch, capsys):
    need("onnx")
    monkeypatch.setattr(
        load("roofline"), "LIBRARIES", {"fp32": ("numpy", "abacus"), "int8": ("onnxruntime",)}
    )
    out = tmp_path / "results.json"
    words = ["--models", tiny("distilbert", "qa"), "--targets", "onnx", "--schemes", "fp32"]
    words += ["--lengths", "16,32", "--iterations", 2, "--threads", 1, "--array-bytes", 40_000]
    assert run("roofline", *words, "--bundles", tmp_path / "bundles", "--out", out) == 0
    document = json.loads(out.read_text())
    assert {(one["library"], one["scheme"]) for one in document["products"]} == {
        ("numpy", "fp32"),
        ("onnxruntime", "int8"),
    }
    assert "abacus fp32" in document["not_run"]
    assert [(one["length"], len(one["samples"])) for one in document["artifacts"]] == [
        (16, 2),
        (32, 2),
    ]
    assert set(document["memory"]) == {"copy", "triad"}
    assert np.all([value > 0 for times in document["memory"].values() for value in times])
    assert "peak fp32" in capsys.readouterr().out
