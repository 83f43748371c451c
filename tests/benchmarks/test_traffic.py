"""``benchmarks/traffic.py``: what runs, what is compared with what, and one small run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from ondevice.bench.protocol import Pass
from ondevice.errors import UserError
from tests.requirements import need


@pytest.fixture
def make(load):
    """Return a function that makes an artifact."""
    artifacts = load("artifacts")

    def artifact(model, origin, lengths, scheme="fp32", target="onnx"):
        place = Path(f"{model}-{origin}-{scheme}")
        roles = ("start", "end")
        given = (model, target, origin, scheme, place, place, ("input_ids",), roles, lengths, {})
        return artifacts.Artifact(*given)

    return artifact


def test_a_student_runs_at_its_longest_length_and_in_buckets(load, make):
    artifacts, traffic = load("artifacts"), load("traffic")
    absent = artifacts.Absent("student", "onnx", "ours", "int8", "missed its limit")
    runs = traffic.plan(
        [make("student", "ours", (64, 384)), absent], [make("teacher", "onnx", (384,))]
    )
    assert [(run.artifact.model, run.lengths, run.reason) for run in runs] == [
        ("student", (384,), ""),
        ("student", (64, 384), ""),
        ("student", (), "missed its limit"),
        ("teacher", (384,), ""),
    ]


def test_buckets_stand_against_fixed_and_against_the_faster_stock_teacher(load, make):
    traffic = load("traffic")
    runs = traffic.plan(
        [make("student", "ours", (64, 384))],
        [
            make("teacher", "onnx", (384,)),
            make("teacher", "onnx-optimized", (384,)),
            make("teacher", "tflite", (384,), target="tflite"),
        ],
    )
    means = (100, 40, 400, 200, 1)
    for run, mean in zip(runs, means, strict=True):
        # Two questions, of which one takes three times as long.
        run.passes = [Pass(mean // 4, mean // 4), Pass(mean, mean // 2)]
    found = [(one["to"], one["value"]) for one in traffic.compare(runs)]
    assert found == [
        ("student onnx ours fp32 384", pytest.approx(0.4)),
        ("teacher onnx onnx-optimized fp32 384", pytest.approx(0.2)),
    ]


def test_a_run_that_broke_off_is_compared_with_nothing(load, make):
    traffic = load("traffic")
    runs = traffic.plan([make("student", "ours", (64, 384))], [])
    for run in runs:
        run.passes = [Pass(1, 1)]
    runs[1].reason = "its process was ended by SIGKILL"
    assert traffic.compare(runs) == []
    assert traffic.cells(runs[1], [])[-1] == "its process was ended by SIGKILL"


def test_lengths_that_are_given_end_with_the_longest(load):
    traffic = load("traffic")
    given = argparse.Namespace(lengths="64,128", longest=384)
    with pytest.raises(UserError, match="must end with 384"):
        traffic.choose_lengths(None, given)
    given.lengths = "384,64"
    assert traffic.choose_lengths(None, given) == (64, 384)


@pytest.mark.slow
def test_a_small_run_over_onnx(run, tiny, tmp_path, capsys):
    need("onnx")
    out = tmp_path / "results.json"
    words = ["--model", tiny("distilbert", "qa"), "--teacher", tiny("bert", "qa")]
    words += ["--targets", "onnx", "--schemes", "fp32", "--longest", 64, "--buckets", 2]
    words += ["--questions", 3, "--threads", 1, "--bundles", tmp_path / "bundles", "--out", out]
    data = tmp_path / "questions.json"
    contexts = ("The sea is deep. " * 30, "The moon is far.", "The sun is a star.")
    paragraphs = [
        {"context": context, "qas": [{"id": str(i), "question": "What is it?", "answers": [
            {"text": context[:7], "answer_start": 0}]}]}
        for i, context in enumerate(contexts)
    ]  # fmt: skip
    data.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    assert run("traffic", *words, "--data", data) == 0
    document = json.loads(out.read_text())
    fixed, buckets, *teachers = document["runs"]
    short, longest = document["lengths"]
    assert (fixed["lengths"], buckets["lengths"]) == ([longest], [short, longest])
    # Two of the contexts are short, and the last window of the third may be.
    assert buckets["windows"][str(short)] in {2, 3}
    assert fixed["windows"] == {"64": sum(buckets["windows"].values())}
    assert {len(one["samples"]) for one in (fixed, buckets, *teachers)} == {3}
    assert [one["origin"] for one in teachers] == ["onnx", "onnx-optimized", "onnx-optimized-all"]
    assert len(document["ratios"]) == 2
    assert "ours fp32" in capsys.readouterr().out
    # An artifact that is not asked again stays as it was measured.
    other = fixed | {"key": "student tflite ours fp32 64", "measured": "yesterday"}
    ratio = document["ratios"][0] | {"of": other["key"]}
    changed = document | {
        "runs": [other, *document["runs"]],
        "ratios": [ratio, *document["ratios"]],
    }
    out.write_text(json.dumps(changed))
    assert run("traffic", *words, "--data", data, "--add") == 0
    again = json.loads(out.read_text())
    assert again["runs"][0] == other
    assert again["ratios"][0] == ratio
    assert [one["key"] for one in again["runs"][1:]] == [one["key"] for one in document["runs"]]
    assert again["runs"][1]["samples"] != fixed["samples"]
    capsys.readouterr()
    assert run("traffic", *words, "--data", data, "--add", "--threads", 2) == 2
    assert "has threads 1, not 2" in capsys.readouterr().err
