"""``ondevice search``: exit codes, one sentence for what is wrong, one document for a program."""

from __future__ import annotations

import importlib.util
import json

import pytest

from ondevice import cli
from ondevice.errors import MissingPackageError
from tests.requirements import need


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-mb", "0"], "--max-mb must be above 0, not 0"),
        (["--max-mb", "ten"], "a number is needed, not 'ten'; type 'ondevice search --help'"),
        (["--max-f1-drop", "-1"], "--max-f1-drop must be from 0 to 100, not -1"),
        (["--min-retention", "101"], "--min-retention must be above 0 and at most 100, not 101"),
        (["--questions", "-1"], "--questions must be 0 (for all) or more, not -1"),
        (["--target", "corml"], "unknown target 'corml'; targets: coreml"),
        (["--target", "onnx", "--scheme", "pal4"], "no target of the search has the scheme 'pal4'"),
        (["--lengths", "many"], "--lengths takes whole numbers with commas"),
        (["--model", "./nowhere"], "no checkpoint directory './nowhere'"),
        (["--data", "nowhere.json"], "cannot read nowhere.json"),
        (["--data", "empty.json"], "empty.json holds no questions"),
        (["--data", "unlabelled.json"], "it has no answer and does not say is_impossible"),
        (["--out", "empty.json"], "'empty.json' is a file; choose a directory with --out"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    need("onnx")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text('{"data": []}')
    question = {"id": "q", "question": "where?", "answers": []}
    paragraph = {"context": "here", "qas": [question]}
    (tmp_path / "unlabelled.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    start = ["search"] if "--target" in arguments else ["search", "--target", "onnx"]
    assert cli.main([*start, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"empty.json", "unlabelled.json"}


@pytest.fixture
def command(searched):
    """Return a function that runs the command over what the session's search has left."""
    options = searched.options()
    words = ["search", "--target", "onnx", "--scheme", "fp32,int8", "--lengths", "32"]
    words += ["--model", options.models[0], "--teacher", options.teacher]
    words += ["--data", str(options.data), "--out", str(options.out)]
    return lambda *more: cli.main([*words, *more])


@pytest.mark.slow
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


@pytest.mark.slow
def test_json_is_one_document_and_nothing_else(command, searched, capsys):
    assert command("--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out)["format"] == "ondevice search"
    assert out == (searched.options().out / "search.json").read_text()


@pytest.mark.slow
def test_nothing_fits_is_exit_code_3_with_the_nearest(command, capsys):
    assert command("--max-mb", "0.001", "--json") == 3
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["chosen"] == {"onnx": None}
    assert [near["misses"][0]["budget"] for near in document["nearest"]["onnx"]] == ["max_mb"] * 2
    last = captured.err.splitlines()[-1]
    assert last.startswith("ondevice: nothing fits on onnx; nearest: tiny-bert-qa int8 L32 (0.")


@pytest.mark.slow
def test_without_matplotlib_one_line_says_what_to_install(command, monkeypatch, capsys):
    from ondevice.search import pictures

    def absent(found):
        raise MissingPackageError("the package 'matplotlib' is not installed; type: pip install it")

    monkeypatch.setattr(pictures, "draw", absent)
    assert command() == 0
    err = capsys.readouterr().err
    assert "no picture was drawn: the package 'matplotlib' is not installed; type: pip" in err


@pytest.mark.slow
def test_an_interrupted_search_says_how_to_go_on(command, searched, monkeypatch, capsys):
    from ondevice.search import pipeline

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", interrupted)
    assert command() == 130
    first, last = capsys.readouterr().err.splitlines()
    out = searched.options().out
    assert first == f"what was found so far is kept in '{out}'; the same command goes on"
    assert "interrupted" in last
