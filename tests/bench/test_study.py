"""``benchmarks/paper_study.py`` from its command line, with tiny models in place of the real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ondevice import models
from ondevice.bench import protocol
from ondevice.bench.results import read_result
from tests.conftest import make_checkpoint
from tests.requirements import need

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def study(monkeypatch, tmp_path):
    """The script, and a function that runs it on tiny models; returns what it wrote."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import full_scale
    import paper_study

    architectures = {"bert-base": "bert", "distilbert": "distilbert"}
    made = []

    def tiny(name, directory):
        made.append(name)
        return make_checkpoint(directory / name, architectures[name], "qa", seed=len(made))

    monkeypatch.setattr(full_scale, "make_checkpoint", tiny)
    monkeypatch.setattr(protocol, "COLD_LOADS", 1)
    monkeypatch.setattr(protocol, "WARM_LOADS", 1)
    bundles = tmp_path / "bundles"
    monkeypatch.setattr(
        paper_study, "EMBEDDED", (str(bundles / "bert-base"), str(bundles / "distilbert"))
    )

    def run(part, out):
        options = "--targets onnx --schemes fp32 --lengths 16,32 --iterations 2 --threads 1"
        places = ["--bundles", str(bundles), "--out", str(tmp_path / out)]
        command = ["paper_study.py", "--part", part, "--questions", "4", *options.split(), *places]
        monkeypatch.setattr(sys, "argv", command)
        assert paper_study.main() == 0
        results = [read_result(path) for path in sorted((tmp_path / out).iterdir())]
        return {(one.artifact.model, one.artifact.target): one for one in results}

    run.module = paper_study
    run.made = made
    return run


@pytest.mark.slow
def test_both_sizes_take_turns_and_the_embedded_are_scored(study, capsys):
    need("onnx")
    sizes = study("sizes", "sizes")
    assert set(sizes) == {
        (model, target) for model in ("bert-base", "distilbert") for target in ("onnx", "torch")
    }
    for (model, target), result in sizes.items():
        (other,) = {"bert-base", "distilbert"} - {model}
        assert result.protocol.interleaved_with == (f"{other} {target} fp32",)
        assert {one.length for one in result.measurements} == {None, 16, 32}
        assert result.score is None
    assert "bert-base" in capsys.readouterr().out
    embedded = study("embedded", "embedded")
    assert study.made == ["bert-base", "distilbert"]
    assert set(embedded) == {("bert-base", "torch"), ("bert-base", "onnx"), ("distilbert", "onnx")}
    for (_, target), result in embedded.items():
        assert result.status == "complete"
        assert len(result.score.ids) == 4
        assert (result.score.teacher is None) == (target == "torch")


def test_the_published_figures_are_called_published(study, capsys):
    results = study("published", "published")
    bert, distilbert = results["BERT-base", "coreml"], results["DistilBERT", "coreml"]
    assert {one.evidence for one in results.values()} == {"published"}
    times = {(one.kind, one.length): one.reported.mean for one in bert.measurements}
    assert times == {("model_only", 384): 1_118_000_000, ("end_to_end", 384): 1_583_000_000}
    (only,) = distilbert.measurements
    assert (only.length, only.reported.mean) == (64, 319_000_000)
    assert distilbert.artifact.bytes == 207_000_000
    assert "not a figure of equal lengths" in distilbert.source
    assert "published" in capsys.readouterr().out


def test_what_misses_its_parity_limit_is_a_result_that_was_not_run(study):
    record = {"target": "executorch", "scheme": "fp16", "published": False}
    reasons = [{"status": "passed", "reason": ""}, {"status": "failed", "reason": "differs by 1"}]
    result = study.module._not_built("student", {**record, "parity": reasons})
    assert (result.evidence, result.status) == ("not run", "partial")
    assert result.reason == "not published: differs by 1"
    assert result.measurements == ()
    student = models.load("student", "qa")
    identity = result.artifact
    assert (identity.model, identity.params) == (student.name, student.params)
    assert identity.model_sha256 == student.sha256
