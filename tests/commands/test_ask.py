"""``ondevice ask``: the first thing that a newcomer tries."""

from __future__ import annotations

import json
import platform

import pytest

from ondevice import build, bundle, cli, console
from ondevice.commands.ask import read_context
from ondevice.plan import BuildOptions
from ondevice.targets import TARGETS
from tests.conftest import make_checkpoint
from tests.requirements import need

QUESTION = "where is the river?"
CONTEXT = "Long ago the river\nwas \N{GRINNING FACE} in the north of the old country."


def make(root, task, target="onnx"):
    make_checkpoint(root / "tiny", "bert", task)
    options = BuildOptions(
        model=str(root / "tiny"),
        targets=(target,),
        schemes=("fp32",),
        lengths=(16, 32),
        out=root / "out",
    )
    (built,) = build.run(options, console.Progress())
    assert not built.failure
    return built.job.place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    need("onnx")
    return make(tmp_path_factory.mktemp("ask"), "qa")


def ask(place, *arguments, question=QUESTION, context=CONTEXT):
    return cli.main(["ask", str(place), "--question", question, "--context", context, *arguments])


def test_it_prints_answer_place_score_and_times(place, capsys):
    assert ask(place) == 0
    captured = capsys.readouterr()
    lines = {line.split()[0]: line for line in captured.out.splitlines()}
    assert set(lines) == {"answer", "place", "score", "time", "ran"}
    shown = lines["answer"].removeprefix("answer").strip()
    assert f"[{shown}]" in lines["place"]
    assert f"of {len(CONTEXT)}" in lines["place"]
    assert all(stage in lines["time"] for stage in ("tokenize", "infer", "decode", "ms"))
    assert "onnxruntime" in lines["ran"]
    assert captured.err == ""


def test_json_is_one_document_whose_places_count_code_points(place, capsys):
    assert ask(place, "--json", "--top", "3") == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["answers"]) == 3
    for found in document["answers"]:
        assert CONTEXT[found["start"] : found["end"]] == found["text"]
        assert found["before"] + found["text"] + found["after"] in CONTEXT
    scores = [found["score"] for found in document["answers"]]
    assert scores == sorted(scores, reverse=True)
    assert set(document["timing_ms"]) == {"tokenize", "infer", "decode"}
    assert document["windows"] == [32]
    assert document["runtime"] == "onnxruntime"


def test_top_lists_the_answers(place, capsys):
    assert ask(place, "--top", "4") == 0
    out = capsys.readouterr().out
    assert len(out.split("\n\n")[1].splitlines()) == 5


def test_a_file_is_read_as_it_is(place, capsys, tmp_path):
    file = tmp_path / "context.txt"
    file.write_bytes(b"\xef\xbb\xbf" + CONTEXT.replace("\n", "\r\n").encode())
    assert ask(place, "--json", context=str(file)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["context_code_points"] == len(CONTEXT) + 1
    assert read_context(str(file)) == CONTEXT.replace("\n", "\r\n")


@pytest.mark.parametrize("text", ["a\0b", "word " * 2000, "東京は日本の首都です。"])
def test_what_cannot_be_a_file_is_a_text(text):
    assert read_context(text) == text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"question": "  "}, "the question is empty"),
        ({"context": " \n "}, "the context is empty"),
        ({"context": "\u200b\u0007"}, "the context is empty"),
        ({"question": "\udcff who"}, "the question is not UTF-8 text"),
        ({"context": "the \udcff"}, "the context is not UTF-8 text"),
        ({"context": "notes.txt"}, "no file 'notes.txt'; give a file that exists"),
        ({"context": "."}, "'.' is a directory"),
    ],
)
def test_nothing_to_read_is_one_sentence(place, capsys, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    refused(ask(place, **options), words, capsys)


@pytest.mark.parametrize(("option", "value"), [("--top", "0"), ("--threads", "-1")])
def test_a_number_out_of_range_is_refused(place, capsys, option, value):
    refused(ask(place, option, value), f"{option} must be at least 1", capsys)


def test_a_file_that_is_not_text_is_refused(place, capsys, tmp_path):
    file = tmp_path / "picture.txt"
    file.write_bytes(b"text \xff")
    refused(ask(place, context=str(file)), "is not UTF-8 text (byte 5)", capsys)


def test_no_bundle_is_refused(capsys, tmp_path):
    refused(ask(tmp_path), "is not a bundle", capsys)


def test_another_task_is_refused_before_its_artifact_is_loaded(place, capsys, tmp_path):
    manifest = bundle.read_manifest(place)
    bundle.write_manifest(tmp_path, manifest.model_copy(update={"task": "classify"}))
    refused(ask(tmp_path), "is a bundle of the task 'classify'; asking needs", capsys)


def test_core_ml_says_that_it_needs_a_mac_and_what_runs_here(capsys, tmp_path):
    need("coreml")
    need("onnx")
    if platform.system() in TARGETS["coreml"].systems:
        pytest.skip("Core ML runs here")
    place = make(tmp_path, "qa", "coreml")
    capsys.readouterr()
    refused(ask(place), "on a Mac, the same command runs the artifact; here, build", capsys)


def refused(code, words, capsys):
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
