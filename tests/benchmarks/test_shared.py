"""What the benchmarks share: lists, ratios, processes."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from ondevice.errors import DataError, UserError


def test_lists_keep_their_order_and_refuse_what_is_unknown(load):
    commands = load("commands")
    assert commands.words("b, a,b,", "target") == ("b", "a")
    with pytest.raises(UserError, match="unknown target 'c'; available: a, b"):
        commands.words("a,c", "target", ("a", "b"))
    with pytest.raises(UserError, match="--targets names nothing"):
        commands.words(" , ", "target")


def test_numbers_ascend_and_are_positive(load):
    commands = load("commands")
    assert commands.numbers("384,64,64", "length") == (64, 384)
    with pytest.raises(UserError, match="whole numbers"):
        commands.numbers("64,long", "length")
    with pytest.raises(UserError, match="at least 1"):
        commands.numbers("0,64", "length")


def test_an_error_is_one_sentence_and_its_exit_code(load, capsys):
    def main():
        raise UserError("there is no model 'x'")

    assert load("commands").run(main) == 2
    assert capsys.readouterr().err.endswith(": there is no model 'x'\n")


def test_results_are_written_whole(load, tmp_path):
    path = tmp_path / "new" / "result.json"
    load("commands").write(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [one.name for one in path.parent.iterdir()] == ["result.json"]


def test_a_ratio_is_taken_within_its_round(load):
    figures = load("figures")
    # The machine is slower by up to 10 in some rounds, for both alike.
    disturbed = np.random.default_rng(1).uniform(1, 10, 60)
    below = [round(value * 1_000_000) for value in disturbed]
    found = figures.paired_ratio([round(0.7 * value) for value in below], below)
    assert found.value == pytest.approx(0.7, rel=1e-4)
    assert found.high - found.low < 1e-3

    shuffled = np.random.default_rng(2).permutation(below)
    loose = figures.paired_ratio([round(0.7 * value) for value in shuffled], below)
    assert loose.high - loose.low > 0.1


def test_a_ratio_counts_the_rounds_that_both_have(load):
    figures = load("figures")
    assert figures.paired_ratio([10, 20, 30, 1000], [20, 40, 60], np.mean).value == 0.5
    with pytest.raises(DataError):
        figures.paired_ratio([], [1])


def test_a_process_tells_how_it_ended(load):
    processes = load("processes")
    # More on each stream than a pipe holds.
    code = "import sys; print('o' * 300_000); sys.stderr.write('e' * 300_000 + '\\nlast words\\n')"
    ended = processes.run([sys.executable, "-c", f"{code}; sys.exit(3)"])
    assert (ended.code, len(ended.stdout.strip())) == (3, 300_000)
    assert ended.reason == "exit code 3: last words"
    assert ended.seconds > 0

    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert processes.run([sys.executable, "-c", code]).reason == "ended by SIGKILL"


def test_a_process_is_charged_for_its_own_memory(load):
    processes = load("processes")
    small = processes.run([sys.executable, "-c", "pass"])
    large = processes.run(
        [sys.executable, "-c", "x = bytearray(200_000_000); x[::4096] = x[::4096]"]
    )
    assert large.peak_bytes - small.peak_bytes > 100_000_000


def test_results_are_added_to_those_of_the_same_machine_and_kind(load, tmp_path):
    commands = load("commands")
    path, machine = tmp_path / "result.json", {"cpu": "one", "measured": "today"}
    assert commands.read_earlier(path, machine, {"model": "student"}) is None
    earlier = {"machine": {**machine, "measured": "yesterday"}, "model": "student"}
    commands.write(path, earlier)
    assert commands.read_earlier(path, machine, {"model": "student"}) == earlier
    with pytest.raises(UserError, match="has model student, not teacher"):
        commands.read_earlier(path, machine, {"model": "teacher"})
    with pytest.raises(UserError, match="of another machine or other versions"):
        commands.read_earlier(path, {**machine, "cpu": "two"}, {"model": "student"})
    for text, words in (("{", "is no result"), ("[]", "no JSON object")):
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            commands.read_earlier(path, machine, {})


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("full_scale", ["--models", "bertbase"], "unknown model 'bertbase'"),
        ("operations", ["--runs", "0"], "--runs takes a whole number of at least 1, not '0'"),
        ("versus_stock", ["--models", "distilbert,no-such"], "no-such"),
        ("roofline", ["--models", "student,no-such"], "no-such"),
        ("roofline", ["--targets", "bogus"], "unknown target 'bogus'; available: tflite"),
        ("roofline", ["--schemes", "int9"], "unknown scheme 'int9'; available: fp32"),
        ("traffic", ["--questions", "-4"], "--questions takes a whole number of at least 0"),
        ("operations", ["--length", "0"], "--length takes a whole number of at least 16"),
        ("operations", ["--scheme", "int9"], "unknown scheme 'int9'; available: fp32"),
        ("versus_stock", ["--schemes", "int9"], "unknown scheme 'int9'; available: fp32"),
        ("build_time", ["--schemes", "fp32,int9"], "unknown scheme 'int9'; available: fp32"),
        ("build_time", ["--rounds", "0"], "--rounds takes a whole number of at least 1, not '0'"),
        ("evidence", ["--eval", "none.json"], "no file 'none.json'"),
    ],
)
def test_bad_input_ends_before_anything_is_made(run, tmp_path, capsys, name, words, sentence):
    place = tmp_path / "bundles"
    given = [] if name in {"full_scale", "build_time", "evidence"} else ["--bundles", place]
    # What `evidence.py` calls --out is where it builds.
    assert run(name, *words, *given, "--out", tmp_path / "out.json") == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_what_is_found_again_replaces_its_like_and_nothing_else(load):
    kept = load("commands").kept
    earlier = {"rows": [{"of": "a", "at": 1}, {"of": "b", "at": 1}]}
    found = [{"of": "b", "at": 2}, {"of": "c", "at": 2}]
    assert kept(earlier, "rows", found, lambda one: one["of"]) == [earlier["rows"][0], *found]
    assert kept(None, "rows", found, lambda one: one["of"]) == found


def test_numbers_below_the_least_and_schemes_of_no_target_are_refused(load):
    commands = load("commands")
    assert commands.whole("--questions", 0)("0") == 0
    for text in ("0", "-4", "2.5", "many", ""):
        with pytest.raises(UserError, match="--rounds takes a whole number of at least 1, not"):
            commands.whole("--rounds")(text)
    assert commands.schemes("int8,pal4", ("onnx", "coreml")) == ("int8", "pal4")
    with pytest.raises(UserError, match="unknown scheme 'pal4'; available: fp32, fp16, int8, int4"):
        commands.schemes("pal4", ("onnx",))
