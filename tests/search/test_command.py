"""``ondevice search``: what is wrong is one sentence, before anything is written."""

from __future__ import annotations

import argparse
import json

import pytest

from ondevice import cli
from ondevice.commands import build, search, sensitivity
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


def options_of(*words):
    parser = argparse.ArgumentParser()
    search.add_arguments(parser)
    return search._options(parser.parse_args(words))


def test_the_command_considers_more_than_schemes_as_they_are():
    assert (options_of().keep, options_of().retry_failed) == ("auto", False)
    options = options_of("--keep", "none", "--retry-failed")
    assert (options.keep, options.retry_failed) == ("none", True)


def test_commands_that_take_one_checkpoint_take_it_alike():
    said = []
    for command in (build, sensitivity):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        known = {action.dest: action for action in parser._actions}
        said.append([(known[name].default, known[name].help) for name in ("model", "task")])
    assert said[0] == said[1]
