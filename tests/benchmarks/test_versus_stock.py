"""``benchmarks/versus_stock.py``: its arithmetic, what it says of failures, and one small run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ondevice import models
from ondevice.bench.protocol import Pass, PassError, Timed
from tests.conftest import make_checkpoint
from tests.requirements import need


@pytest.fixture
def make_row(load):
    """Return a function that makes a row with given times."""
    artifacts, versus_stock = load("artifacts"), load("versus_stock")

    def make(target, origin, times, scheme="fp32"):
        made = artifacts.Artifact(
            model="m",
            target=target,
            origin=origin,
            scheme=scheme,
            path=Path(__file__),
            tokenizer=Path(__file__).parent,
            inputs=("input_ids",),
            outputs=("start", "end"),
            lengths=(16,),
            notes={},
        )
        timed = Timed(passes=[Pass(5, time) for time in times])
        return versus_stock.Row(made, 16, agreement={"max_abs": 1e-6}, timed=timed)

    return make


def test_ours_stands_against_the_faster_stock_artifact_and_beside_tflite(load, make_row):
    rows = [
        make_row("tflite", "tflite", [100] * 5),
        make_row("tflite", "ours", [50] * 5),
        make_row("onnx", "onnx", [80] * 5),
        make_row("onnx", "onnx-optimized", [40] * 5),
        make_row("onnx", "ours", [30] * 5),
        make_row("onnx", "ours", [20] * 5, scheme="int8"),
        make_row("executorch", "executorch", []),
        make_row("executorch", "ours", [60] * 5),
    ]
    found = {(one["of"], one["to"]): one["value"] for one in load("versus_stock").ratios(rows)}
    assert found == {
        ("tflite ours fp32", "tflite tflite fp32"): 0.5,
        ("onnx ours fp32", "onnx onnx-optimized fp32"): 0.75,
        ("onnx ours fp32", "tflite ours fp32"): 0.6,
        ("onnx ours int8", "onnx onnx-optimized fp32"): 0.5,
        ("executorch ours fp32", "tflite ours fp32"): 1.2,
    }


@pytest.fixture
def opened(load, monkeypatch):
    """Artifacts that run in no process: times by model."""
    times = {"small": [10, 12, 14], "large": [20, 24, 28], "broken": [20]}

    class Opened:
        def __init__(self, artifact, threads):
            self.left = iter([5] * 6 + times[artifact.model])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def time_pass(self, length):
            try:
                return Pass(1, next(self.left))
            except StopIteration:
                raise PassError("it ended") from None

    monkeypatch.setattr(load("versus_stock"), "Opened", Opened)


def test_two_models_are_timed_in_turn_on_the_paths_that_both_have(load, make_row, opened):
    def model(name, *targets, origin="ours"):
        rows = [make_row(target, origin, [9] * 3) for target in targets]
        for row in rows:
            row.made = dataclasses.replace(row.made, model=name)
        return rows

    versus_stock = load("versus_stock")
    options = versus_stock.Options(("onnx",), ("fp32",), (16,), 1, 3, 1, Path())
    small = [*model("small", "onnx", "tflite"), *model("small", "onnx", origin="onnx")]
    (found,) = versus_stock.pair([small, model("large", "onnx", "executorch")], options)
    assert (found["of"], found["to"]) == ("small onnx ours fp32", "large onnx ours fp32")
    assert found["samples"] == {"of": [10, 12, 14], "to": [20, 24, 28]}
    assert (found["value"], found["length"]) == (0.5, 16)
    assert versus_stock.pair([small, model("broken", "onnx")], options) == []


def test_what_is_added_to_keeps_other_models_lengths_and_pairs(load):
    def group(model, length, ratios):
        return {"model": model, "length": length, "ratios": ratios}

    pairs = [{"of": "a", "to": "b", "length": length, "value": 1} for length in (16, 32)]
    earlier = {"groups": [group("m", 16, 1), group("m", 32, 2)], "pairs": pairs}
    again = {"groups": [group("m", 32, 3)], "pairs": [{**pairs[1], "value": 2}]}
    added = load("versus_stock").added
    assert added(earlier, again) == {
        "groups": [group("m", 16, 1), group("m", 32, 3)],
        "pairs": [pairs[0], {**pairs[1], "value": 2}],
    }
    assert added(None, again) == again


def test_a_path_that_fails_is_a_row_with_its_reason(load, capsys):
    artifacts, versus_stock = load("artifacts"), load("versus_stock")
    absent = artifacts.Absent("m", "coreml", "coreml", "fp32", "ValueError: no 'new_ones'")
    row = versus_stock.Row(absent, 384, reason=absent.reason)
    versus_stock.show([row], versus_stock.ratios([row]))
    assert "ct.convert" in (printed := capsys.readouterr().out)
    assert "ValueError: no 'new_ones'" in printed
    assert versus_stock.record(row)["bytes"] is None


def test_a_row_that_dropped_out_half_way_gives_no_ratio(load, make_row, capsys):
    versus_stock = load("versus_stock")
    rows = [make_row("tflite", "tflite", [100] * 5), make_row("tflite", "ours", [50] * 5)]
    rows[0].reason = "the process ended"
    assert versus_stock.ratios(rows) == []
    versus_stock.show(rows, [])
    assert "the process ended" in capsys.readouterr().out


def test_what_has_no_runtime_here_is_not_timed(load, make_row):
    row = make_row("coreml", "coreml", [])
    assert load("versus_stock").runnable([row]) == []
    assert "Apple" in row.reason


def test_a_converter_that_crashes_or_fails_is_a_finding(load, tiny, tmp_path, monkeypatch):
    stock, processes = load("stock"), load("processes")
    checkpoint = models.load(str(tiny("distilbert", "qa")))
    ended = processes.Ended(-11, 1.0, 1, "", "")
    monkeypatch.setattr(processes, "run", lambda command: ended)
    made = stock.make(checkpoint, "tflite", 16, tmp_path)
    assert (made.path, made.reason) == (None, "the converter's process ended by SIGSEGV")

    def convert(source, path):
        try:
            raise KeyError("new_ones")
        except KeyError as error:
            raise RuntimeError("while converting\nmany lines") from error

    monkeypatch.setitem(stock.PATHS, "tflite", stock.StockPath("tflite", "t", ".tflite", convert))
    record = stock.convert("tflite", str(checkpoint.directory), 16, tmp_path / "x.tflite")
    assert record["reason"] == "KeyError: 'new_ones'"


def test_names_that_a_converter_changed_are_found(load):
    named = load("artifact_worker").named
    assert named(("start", "end"), ["end", "start"]) == {"start": "start", "end": "end"}
    # TFLite lists outputs in the order of the alphabet: a place would mean the wrong one.
    assert named(("start", "end"), ["end_logits", "start_logits"])["start"] == "start_logits"
    many = [f"args_{place}" for place in (0, 1, 10, 2)]
    found = named(("a", "b", "c", "d"), many)
    assert list(found.values()) == ["args_0", "args_1", "args_2", "args_10"]
    with pytest.raises(ValueError):
        named(("a", "b"), ["args_0"])


@pytest.mark.slow
def test_a_small_run_over_onnx(load, run, tiny, tmp_path, capsys):
    need("onnx")
    directory, out = tiny("distilbert", "qa"), tmp_path / "results.json"
    words = ["--models", directory, "--targets", "onnx", "--lengths", 32, "--threads", 1]
    words += ["--iterations", 2, "--loads", 1, "--bundles", tmp_path / "bundles", "--out", out]
    assert run("versus_stock", *words) == 0
    (group,) = json.loads(out.read_text())["groups"]
    assert [row["title"] for row in group["rows"]] == [
        "torch.onnx.export",
        "torch.onnx.export + optimizer",
        "… + optimizer, all levels",
        "ours",
    ]
    for row in group["rows"]:
        assert row["agreement"]["status"] == "passed"
        assert (len(row["samples"]), len(row["loads"]), row["reason"]) == (2, 1, "")
        assert row["bytes"] > 100_000
        assert row["loads"][0]["peak"] > row["loads"][0]["before"] > 0
    (ratio,) = group["ratios"]
    assert ratio["of"] == "onnx ours fp32"
    assert "ours fp32" in capsys.readouterr().out
    # The check is one that an artifact of other weights fails.
    artifacts, versus_stock = load("artifacts"), load("versus_stock")
    checkpoint = models.load(str(directory))
    made = artifacts.make_stock(checkpoint, "onnx", 32, tmp_path / "bundles")
    other = make_checkpoint(tmp_path / "other", "distilbert", "qa", seed=1)
    row = versus_stock.Row(made, 32)
    versus_stock.check([row], models.load(str(other)), 32, 1)
    assert "does not agree" in row.reason
