"""``benchmarks/paper_study.py`` from its command line, with tiny models in place of the real."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from ondevice import models
from ondevice.bench import golden_gate, protocol
from ondevice.bench.parts import ArtifactIdentity, GoldenCheck
from ondevice.bench.results import read_result
from ondevice.console import Progress
from ondevice.errors import UserError
from ondevice.report import plots
from tests.conftest import make_checkpoint
from tests.requirements import need

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def study(monkeypatch, tmp_path):
    """The script, and a function that runs it on tiny models; returns what it wrote."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import commands
    import full_scale
    import paper_study

    architectures = {"bert-base": "bert", "distilbert": "distilbert"}
    made = []

    def tiny(name, directory):
        made.append(name)
        return make_checkpoint(directory / name, architectures[name], "qa", seed=len(made))

    monkeypatch.setattr(full_scale, "make_checkpoint", tiny)
    # Drawn elsewhere.
    monkeypatch.setattr(plots, "draw", lambda *_: [])
    monkeypatch.setattr(protocol, "COLD_LOADS", 1)
    monkeypatch.setattr(protocol, "WARM_LOADS", 1)
    bundles = tmp_path / "bundles"
    monkeypatch.setattr(
        paper_study, "EMBEDDED", (str(bundles / "bert-base"), str(bundles / "distilbert"))
    )

    def run(part, out, code=0):
        options = "--targets onnx --schemes fp32 --lengths 16,32 --iterations 2 --threads 1"
        places = ["--bundles", str(bundles), "--out", str(tmp_path / out)]
        command = ["paper_study.py", "--part", part, "--questions", "4", *options.split(), *places]
        monkeypatch.setattr(sys, "argv", command)
        assert commands.run(paper_study.main) == code
        results = [read_result(path) for path in sorted((tmp_path / out).rglob("*.json"))]
        return {(one.artifact.model, one.artifact.target): one for one in results}

    run.module = paper_study
    run.made = made
    run.report = lambda out: tmp_path / f"{out}_report"
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
    said = capsys.readouterr().out
    assert "| model | artifact | parameters, M | MB | load, ms | 16 tokens, ms | 32 tokens" in said
    assert "| F1 | retention, % | evidence |" in said
    assert (study.report("sizes") / "report.html").is_file()
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
    # The log, model_generation/distilbert-performance.md, prints ten values and their average.
    assert {one.reported.count for one in (*bert.measurements, only)} == {10}
    assert any("average of ten runs" in note for note in bert.notes)
    assert bert.device.name == "iPhone 7 Plus"
    assert "on-device computation" in bert.source
    assert distilbert.artifact.bytes == 207_000_000
    assert "not a figure of equal lengths" in distilbert.source
    assert "published" in capsys.readouterr().out
    assert (study.report("published") / "report.md").is_file()
    # Measured again, a part is replaced and does not grow.
    assert len(study("published", "published")) == len(results)


def test_what_stands_where_the_report_goes_is_told_before_hours_of_measuring(
    study, monkeypatch, capsys, tmp_path
):
    import commands

    (tmp_path / "out_report").mkdir()
    (tmp_path / "out_report" / "mine.txt").write_text("mine")
    words = ["--part", "published", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["paper_study.py", *words])
    assert commands.run(study.module.main) == 2
    assert "is not an earlier report" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--part", "x"], "unknown part 'x'; available: sizes, embedded, published"),
        (["--lengths", "a"], "--lengths takes whole numbers with commas, not 'a'"),
        (["--lengths", "0"], "--lengths must be at least 1, not 0"),
        (["--targets", "corml"], "unknown target 'corml'; available: "),
        (["--iterations", "0"], "--iterations takes a whole number of at least 1, not '0'"),
    ],
)
def test_bad_input_is_one_sentence(words, sentence, study, monkeypatch, capsys, tmp_path):
    import commands

    out = ["--out", str(tmp_path / "out"), "--bundles", str(tmp_path / "bundles")]
    monkeypatch.setattr(sys, "argv", ["paper_study.py", *out, *words])
    assert commands.run(study.module.main) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert sentence in captured.err
    assert not (tmp_path / "out").exists()


def test_what_fails_its_goldens_is_left_out_and_the_others_go_on(study, monkeypatch, tmp_path):
    module, asked, notes = study.module, [], []

    def entry(name):
        return module.entries.Entry(
            identity=ArtifactIdentity(model=name, task="qa", target="onnx", scheme="fp32"),
            opening={},
            lengths=(16,),
            window=None,
            threads=1,
        )

    def measure(measured, questions, options, *, keep, progress):
        asked.append([one.identity.model for one in measured])
        # A refused run has noted other work.
        for one in measured:
            one.notes = (*one.notes, "busy")
            notes.append(one.notes)
        bad = [one for one in measured if one.identity.model == "bad"]
        for one in bad:
            one.golden = GoldenCheck(status="failed", reason="differs")
        golden_gate.refuse(measured)

    monkeypatch.setattr(module.host, "measure", measure)
    progress = Progress(io.StringIO())
    made = module.Study((), (), module.BenchOptions(), tmp_path, None, progress)
    module._attempt(made, "onnx fp32", lambda: [entry("bad"), entry("good")])
    assert asked == [["bad", "good"], ["good"]]
    assert notes[-1] == ("busy",)
    (failure,) = made.failures
    assert failure.startswith("onnx fp32: bad onnx fp32 does not give its goldens' answers")


def test_a_part_that_fails_does_not_end_the_others(study, monkeypatch, capsys):
    def refuse(*_):
        raise UserError("no such data")

    monkeypatch.setattr(study.module, "measure_embedded", refuse)
    results = study("embedded,published", "both", code=3)
    assert {one.evidence for one in results.values()} == {"published"}
    assert "failed: embedded: no such data" in capsys.readouterr().err


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
