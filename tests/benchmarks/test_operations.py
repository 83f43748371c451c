"""``benchmarks/operations.py``: what it makes of ONNX Runtime's profile."""

from __future__ import annotations

import json

import pytest

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


@pytest.mark.slow
def test_a_small_run(load, run, tiny, tmp_path, capsys):
    need("onnx")
    words = ["--models", tiny("distilbert", "qa"), "--length", 32, "--threads", 1, "--runs", 2]
    out = tmp_path / "results.json"
    assert run("operations", *words, "--bundles", tmp_path / "bundles", "--out", out) == 0
    made = json.loads(out.read_text())["artifacts"]
    assert [one["artifact"] for one in made][-1] == "ours"
    assert sum(one["share"] for one in made[-1]["operators"]) == pytest.approx(1.0)
    assert "ours" in capsys.readouterr().out
