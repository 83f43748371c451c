"""A search on real runtimes: rows, failures, what is kept, and how it goes on after a kill."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from ondevice import bundle, calibration, cli, console, models
from ondevice.bench import protocol
from ondevice.errors import DataError, MissingPackageError, UserError
from ondevice.search import Budget, pictures, pipeline, timing
from ondevice.search.document import document
from ondevice.search.files import held
from ondevice.search.table import render
from ondevice.tasks.qa import QAExample
from ondevice.verify import reference
from tests.requirements import need
from tests.search.conftest import FORBIDDEN
from tests.search.made import quiet

pytestmark = pytest.mark.slow


def by_scheme(found, target):
    return {one.candidate.scheme: one for one in found.of_target(target)}


def test_the_best_of_each_target_is_chosen(searched):
    found = searched.found
    assert list(found.chosen) == ["onnx", "tflite"]
    for target, chosen in found.chosen.items():
        assert chosen.outcome == "chosen"
        manifest = bundle.open_bundle(chosen.place)
        assert manifest.artifact.target == target
        assert manifest.artifact.bytes == chosen.bytes
        assert chosen.evidence == "host"
        assert len(chosen.figures.f1) == 40
        assert chosen.figures.retention is not None
        assert chosen.times.length == 32
        assert 0 < chosen.times.median.value <= chosen.times.p90.value


def test_converters_that_crash_or_raise_are_failed_rows(searched):
    aborted = by_scheme(searched.found, "tflite")["fp32"]
    raised = by_scheme(searched.found, "onnx")["int4"]
    assert (aborted.outcome, raised.outcome) == ("failed", "failed")
    assert "its process was ended by SIGABRT" in aborted.reason
    assert "ValueError: no lowering for aten.foo" in raised.reason
    assert (aborted.bytes, aborted.place) == (None, None)
    text = render(searched.found)
    assert "FAILED: onnx tiny-bert-qa int4 L32: ONNX's converter broke" in text
    assert "(log:" not in text


def test_the_figures_are_the_answers_of_bundle_and_checkpoint(searched):
    """Asked here by hand, without the search's processes."""
    from ondevice.inference import Model, answer
    from ondevice.tasks import qa_scores
    from ondevice.tasks.qa import QAOptions, read_squad

    one = by_scheme(searched.found, "onnx")["int8"]
    examples = read_squad(searched.options().data)[: len(one.figures.f1)]
    bundled = Model.open(one.place)
    checkpoint = models.load(searched.options().models[0])
    network = reference.load_model(checkpoint)

    def scored(reply_to):
        best = {e.id: reply_to(e).answers[0] for e in examples}
        given = {name: (one.text, (one.start, one.end)) for name, one in best.items()}
        return qa_scores.score_answers(given, examples)

    ours = scored(lambda e: bundled.ask(e.question, e.context))
    theirs = scored(
        lambda e: answer(
            lambda inputs: reference.run_model(network, "qa", inputs),
            checkpoint.tokenizer,
            e.question,
            e.context,
            options=QAOptions.for_length(32),
        )
    )
    np.testing.assert_allclose(one.figures.f1, ours.f1)
    np.testing.assert_allclose(one.figures.own_f1, theirs.f1)
    flips = qa_scores.percent(qa_scores.flipped(ours.places, theirs.places))
    assert one.figures.flips.value == pytest.approx(flips)


@pytest.mark.parametrize(
    ("target", "schemes"),
    # A converter that aborted is tried again, so fp32 is left out of the one where it did.
    [("tflite", ("int8", "int4")), ("onnx", ("fp32", "int8", "int4"))],
)
def test_the_same_search_again_runs_nothing(searched, monkeypatch, target, schemes):
    monkeypatch.delattr(timing.host, "run")
    options = searched.options(targets=(target,), schemes=schemes)
    again = document(pipeline.run(options, quiet(), FORBIDDEN), ())
    for row in again["candidates"]:
        if row["outcome"] == "failed":
            assert row["reason"].endswith(" (failed before; --retry-failed builds it)")
            row["reason"] = row["reason"].split(" (failed")[0]
    before = [
        row
        for row in document(searched.found, ())["candidates"]
        if row["target"] == target and row["scheme"] in schemes
    ]
    for row in before:
        row["reason"] = row["reason"].split(" (log:")[0]
    assert again["candidates"] == before
    assert again["chosen"][target] == str(searched.found.chosen[target].place)


def test_nothing_fits(searched):
    options = searched.options(
        targets=("onnx",), schemes=("fp32", "int8"), budget=Budget(max_mb=0.001)
    )
    found = pipeline.run(options, quiet(), FORBIDDEN)
    assert found.chosen == {"onnx": None}
    record = document(found, ())
    (nearest, second) = record["nearest"]["onnx"]
    assert "int8" in nearest["candidate"]
    assert "fp32" in second["candidate"]
    by = nearest["misses"][0]["by"]
    assert by == pytest.approx(by_scheme(found, "onnx")["int8"].bytes / 1e6 - 0.001)
    assert "nothing fits on onnx; nearest: tiny-bert-qa int8 L32 (0." in render(found)


def test_parts_in_more_bits_are_a_candidate_of_their_own(searched, monkeypatch, tmp_path):
    """Measured and built by the real worker, and all of it found again."""
    monkeypatch.setenv("ONDEVICE_CACHE", str(tmp_path))
    options = searched.options(targets=("onnx",), schemes=("int8",), keep="auto")
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "COLD_LOADS", 1)
        found = pipeline.run(options, quiet())
    plain, keeping = found.of_target("onnx")
    assert keeping.candidate.label == "tiny-bert-qa int8 keep L32"
    assert plain.bytes != keeping.bytes
    assert bundle.open_bundle(keeping.place).options["keep"]
    monkeypatch.delattr(timing.host, "run")
    again = pipeline.run(options, quiet(), FORBIDDEN)
    assert document(again, ())["candidates"] == document(found, ())["candidates"]


def test_where_core_ml_is_interpreted_answers_are_fewer_and_times_are_none(
    searched, monkeypatch, tmp_path
):
    need("coreml")
    if not pipeline.interpreted("coreml"):
        pytest.skip("Core ML runs here")
    monkeypatch.setattr(pipeline, "REFERENCE_QUESTIONS", 10)
    options = searched.options(targets=("coreml",), schemes=("fp16",), out=tmp_path / "out")
    found = pipeline.run(options, quiet())
    (one,) = found.contenders
    assert one.outcome == "chosen"
    assert (one.evidence, len(one.figures.f1)) == ("reference", 10)
    assert one.times is None
    assert "is interpreted here, which has no speed" in one.untimed
    text = render(found)
    assert "iOS 16" in text
    assert "note: evidence 'reference': answers of the format's interpreter" in text
    with pytest.raises(UserError, match="--max-p90-ms cannot be judged for 'coreml' here"):
        pipeline.run(dataclasses.replace(options, budget=Budget(max_p90_ms=10.0)), quiet())


def test_several_lengths_are_timed_by_questions_with_all_of_their_windows(searched, monkeypatch):
    """A short window has to be run more often; one of them says nothing of an answer."""
    monkeypatch.setattr(protocol, "COLD_LOADS", 1)
    monkeypatch.setattr(timing, "QUESTIONS", 12)
    options = searched.options(targets=("onnx",), schemes=("fp32",), lengths=((32,), (32, 48)))
    found = pipeline.run(options, quiet())
    timed = [one for one in found.contenders if one.times is not None]
    assert timed
    assert {one.times.length for one in timed} == {None}
    assert any("times are of a question on this machine" in note for note in found.notes)
    documents = [json.loads(path.read_text()) for path in (options.out / "times").glob("*/*.json")]
    asked = [one["traffic"] for one in documents if one["traffic"] is not None]
    assert asked
    assert all(len(policy["samples"]) == 12 for one in asked for policy in one["policies"])


def test_an_ios_that_does_not_load_a_scheme_leaves_it_out(searched, tmp_path):
    need("coreml")
    options = searched.options(targets=("coreml",), schemes=("int4",), ios=16, out=tmp_path / "out")
    found = pipeline.run(options, quiet(), FORBIDDEN)
    (one,) = found.contenders
    assert found.chosen == {"coreml": None}
    assert one.outcome == "missed"
    assert "iOS 18" in one.reason
    assert "nothing fits on coreml: scheme 'int4' needs iOS 18" in render(found)
    with pytest.raises(UserError, match="unknown iOS version '14'"):
        pipeline.run(dataclasses.replace(options, ios=14), quiet(), FORBIDDEN)


def test_what_cannot_fit_is_not_built_and_what_is_there_stays(searched, tmp_path):
    """By its weights alone; a bundle of an earlier search costs nothing."""
    sizes = {name: by_scheme(searched.found, "onnx")[name].bytes / 1e6 for name in ("fp32", "int8")}
    budget = Budget(max_mb=(sizes["fp32"] + sizes["int8"]) / 2)
    changes = {"targets": ("onnx",), "schemes": ("fp32", "int8"), "budget": budget}
    there = pipeline.run(searched.options(**changes), quiet(), FORBIDDEN)
    assert by_scheme(there, "onnx")["fp32"].bytes == by_scheme(searched.found, "onnx")["fp32"].bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "COLD_LOADS", 1)
        found = pipeline.run(searched.options(out=tmp_path / "out", **changes), quiet())
    large, small = (by_scheme(found, "onnx")[name] for name in ("fp32", "int8"))
    assert found.chosen["onnx"] is small
    assert (large.outcome, large.place, large.bytes) == ("missed", None, None)
    assert large.estimated == pytest.approx(sizes["fp32"] * 1e6, rel=0.3)
    assert "too large, and not built" in render(found)
    (miss,) = document(found, ())["candidates"][0]["misses"]
    assert miss["budget"] == "max_mb"


def test_a_budget_that_nothing_can_keep_is_said_before_anything_is_built(
    searched, monkeypatch, tmp_path
):
    options = searched.options(
        targets=("onnx",),
        schemes=("fp32", "int8"),
        budget=Budget(max_mb=0.001),
        out=tmp_path / "out",
    )
    stream, built = io.StringIO(), []

    def build_all(these, *_, **__):
        built.append((len(these), stream.getvalue()))

    monkeypatch.setattr(pipeline, "build_all", build_all)
    found = pipeline.run(options, console.Progress(stream), FORBIDDEN)
    (none, said), (near, _) = built
    assert (none, near) == (0, 2)
    assert "onnx: nothing can fit into --max-mb 0.001: the smallest has about 0.0" in said
    assert all(one.estimated > 0 for one in found.contenders)


def test_more_than_the_checkpoint_has_is_refused_before_anything_is_built(
    searched, monkeypatch, tmp_path
):
    """Its answers are known; whose share it is to keep is not reached by the half of them."""

    class Short(pipeline.Judge):
        def own(self, model, examples):
            figures = super().own(model, examples)
            return dataclasses.replace(figures, f1=figures.f1 / 2)

    monkeypatch.setattr(pipeline, "Judge", Short)
    monkeypatch.setattr(pipeline, "build_all", None)
    options = searched.options(targets=("onnx",), budget=Budget(min_retention=90.0))
    with pytest.raises(UserError, match=r"--min-retention 90 is more than .* retains 50\.0 %"):
        pipeline.run(options, quiet(), FORBIDDEN)


def test_questions_without_answers_are_refused(searched, tmp_path):
    document = json.loads(searched.options().data.read_text())
    for paragraph in document["data"][0]["paragraphs"]:
        paragraph["qas"][0] |= {"answers": [], "is_impossible": True}
    impossible = tmp_path / "impossible.json"
    impossible.write_text(json.dumps(document))
    with pytest.raises(DataError, match="no question has an answer"):
        pipeline.run(searched.options(data=impossible), quiet(), FORBIDDEN)


def test_a_teacher_with_too_short_a_window_is_refused(searched):
    options = searched.options(models=("student",), lengths=((128,),), schemes=("fp32",))
    with pytest.raises(UserError, match="takes 64 tokens at most, the candidates 128"):
        pipeline.run(options, quiet(), FORBIDDEN)


def test_a_killed_search_goes_on_where_it_was(searched, tmp_path):
    """SIGKILL in the middle of the questions: what was answered is kept, nobody is left behind."""
    options = searched.options(targets=("onnx",), schemes=("int8",), out=tmp_path / "out")
    before = searched.found.options.out
    shutil.copytree(before / "bundles", options.out / "bundles")
    shutil.copytree(before / "times", options.out / "times")
    command = [sys.executable, "-m", "ondevice.search", "--target", "onnx", "--scheme", "int8"]
    command += ["--model", options.models[0], "--teacher", options.teacher, "--lengths", "32"]
    command += ["--keep", "none"]
    child = subprocess.Popen(
        [*command, "--data", str(options.data), "--out", str(options.out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    answers = options.out / "answers"
    deadline = time.monotonic() + 120
    while child.poll() is None and time.monotonic() < deadline:
        if sum(path.read_bytes().count(b"\n") for path in answers.glob("*.jsonl")) > 5:
            break
        time.sleep(0.005)
    workers = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=60)
    kept = {path.name: path.read_bytes() for path in answers.glob("*.jsonl")}
    assert sum(content.count(b"\n") for content in kept.values()) > 5
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    found = pipeline.run(options, quiet())
    whole = by_scheme(searched.found, "onnx")["int8"].figures
    resumed = by_scheme(found, "onnx")["int8"].figures
    np.testing.assert_array_equal(resumed.f1, whole.f1[: len(resumed.f1)])
    for name, content in kept.items():
        complete = content[: content.rfind(b"\n") + 1]
        assert (answers / name).read_bytes().startswith(complete)


# Interrupts the search in the middle of its conversion.
SLOW = """
import dataclasses, os, signal, sys, time
from ondevice.search import _worker
from ondevice.targets import TARGETS

def finish(graph, lowered, options, path):
    path.write_bytes(b"half an artifact")
    os.kill(int(os.environ["ONDEVICE_TEST_PARENT"]), signal.SIGINT)
    time.sleep(60)

TARGETS["onnx"] = dataclasses.replace(TARGETS["onnx"], finish=finish)
_worker.main(int(sys.argv[1]))
"""


def test_a_build_that_is_interrupted_leaves_nothing(searched, tmp_path):
    from ondevice.search._worker import record
    from ondevice.search.candidates import load_models, make_candidates
    from ondevice.search.workshop import Workshop

    options = searched.options(targets=("onnx",), schemes=("fp32",), out=tmp_path / "out")
    (candidate,) = make_candidates(options, load_models(options.models))
    script = tmp_path / "slow.py"
    script.write_text(SLOW, encoding="utf-8")
    with Workshop((str(script),)) as workshop:
        os.environ["ONDEVICE_TEST_PARENT"] = str(os.getpid())
        try:
            with pytest.raises(KeyboardInterrupt):
                workshop.build(candidate.options)
        finally:
            del os.environ["ONDEVICE_TEST_PARENT"]
    assert record(candidate.options)["out"] == str(candidate.options.out)
    assert list(options.out.rglob("*")) == []


# --- the command ---


@pytest.fixture
def command(searched):
    """Return a function that runs the command over what the session's search has left."""
    options = searched.options()
    words = ["search", "--target", "onnx", "--scheme", "fp32,int8", "--lengths", "32"]
    words += ["--model", options.models[0], "--teacher", options.teacher]
    words += ["--data", str(options.data), "--out", str(options.out), "--keep", "none"]
    return lambda *more: cli.main([*words, *more])


def test_what_was_chosen_is_printed_and_written(command, searched, capsys):
    assert command("--min-retention", "1") == 0
    captured = capsys.readouterr()
    place = searched.found.chosen["onnx"].place
    header, *_ = captured.out.splitlines()
    assert header.split()[:4] == ["target", "model", "scheme", "MB"]
    assert f": {place}\n" in captured.out
    out = searched.options().out
    document = json.loads((out / "search.json").read_text())
    assert document["budget"]["min_retention"] == 1.0
    assert document["chosen"] == {"onnx": str(place)}
    assert all((out / name).is_file() for name in document["plots"])
    assert bool(document["plots"]) == (importlib.util.find_spec("matplotlib") is not None)


def test_pictures_of_an_earlier_search_do_not_stay(command, searched):
    out = searched.options().out
    stale = out / "pareto-latency-of-others.svg"
    stale.write_text("old")
    (out / "notes.txt").write_text("mine")
    assert command() == 0
    assert not stale.exists()
    assert (out / "notes.txt").is_file()
    (out / "notes.txt").unlink()


def test_results_are_written_while_the_directory_is_held(command, searched, monkeypatch):
    from ondevice.commands import search

    out, seen = searched.options().out, []

    def drawn(*_):
        with pytest.raises(UserError, match="another process is writing"), held(out):
            pass
        seen.append(out)
        return []

    monkeypatch.setattr(search, "_draw", drawn)
    assert command() == 0
    assert seen == [out]


def test_questions_that_weights_were_chosen_for_are_told(searched):
    """The samples are both, where nothing else is given."""
    found = searched.found
    (one, *_) = found.contenders
    texts = calibration.from_samples(found.models[0].checkpoint).examples
    asked = [QAExample(str(n), *pair) for n, pair in enumerate([*texts[:3], ("who?", "the river")])]
    tried = replace(one.candidate, scheme="int4")
    fine = SimpleNamespace(candidate=one.candidate, figures=object())
    rounded = SimpleNamespace(candidate=tried, figures=object())
    assert pipeline._seen(found.options, [fine], found.models, asked) == []
    (note,) = pipeline._seen(found.options, [fine, rounded], found.models, asked)
    assert note.startswith("3 of the 4 questions are among the texts that some were made with")
    few = replace(found.options, questions=2)
    (note,) = pipeline._seen(few, [rounded], found.models, asked)
    assert note.startswith("2 of the 2 questions")
    assert "(int4)" in note
    assert pipeline._seen(found.options, [rounded], found.models, asked[3:]) == []


def test_json_is_one_document_and_nothing_else(command, searched, capsys):
    assert command("--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out)["format"] == "ondevice search"
    assert out == (searched.options().out / "search.json").read_text()


def test_nothing_fits_is_exit_code_3_with_the_nearest(command, capsys):
    assert command("--max-mb", "0.001", "--json") == 3
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["chosen"] == {"onnx": None}
    assert [near["misses"][0]["budget"] for near in document["nearest"]["onnx"]] == ["max_mb"] * 2
    last = captured.err.splitlines()[-1]
    assert last.startswith("ondevice: nothing fits on onnx; nearest: tiny-bert-qa int8 L32 (0.")


def test_without_matplotlib_one_line_says_what_to_install(command, monkeypatch, capsys):
    def absent(found):
        raise MissingPackageError("the package 'matplotlib' is not installed; type: pip install it")

    monkeypatch.setattr(pictures, "draw", absent)
    assert command() == 0
    err = capsys.readouterr().err
    assert "no picture was drawn: the package 'matplotlib' is not installed; type: pip" in err


def test_an_interrupted_search_says_how_to_go_on(command, searched, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", interrupted)
    assert command() == 130
    first, last = capsys.readouterr().err.splitlines()
    out = searched.options().out
    assert first == f"what was found so far is kept in '{out}'; the same command goes on"
    assert "interrupted" in last
