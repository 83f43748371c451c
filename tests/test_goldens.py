"""Goldens: every record is derived again, by other code than wrote it."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from ondevice import build, contents, golden_records, goldens, models
from ondevice.errors import BundleError
from ondevice.golden_records import (
    AnswerRecord,
    DecodeRecord,
    RunRecord,
    TokenizeRecord,
    WindowRecord,
)
from ondevice.manifest import WindowInfo
from ondevice.schemes import SCHEMES
from ondevice.tokenizer import read_tokenizer
from ondevice.verify import reference
from tests import golden_tools
from tests.requirements import need

need("checkpoint")

LENGTHS = (32, 64)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
KINDS = {
    "tokenize": TokenizeRecord,
    "window": WindowRecord,
    "run": RunRecord,
    "decode": DecodeRecord,
    "answer": AnswerRecord,
}


def write(checkpoint, path, scheme="fp32", lengths=LENGTHS):
    source = build.Source(checkpoint, lengths)
    material = goldens.Material(
        task=checkpoint.task,
        tokenizer=checkpoint.tokenizer,
        window=contents.window_for(lengths),
        limit=SCHEMES[scheme].limit,
        inputs=INPUTS,
        cases=source.truth.cases,
        replies=source.truth.replies,
    )
    goldens.write(path, goldens.collect(material))
    return golden_records.read(path)


@pytest.fixture(scope="module")
def checkpoint(tiny):
    return models.load(str(tiny("bert", "qa")))


@pytest.fixture(scope="module")
def path(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("goldens") / "golden.jsonl"
    write(checkpoint, path)
    return path


@pytest.fixture(scope="module")
def records(path):
    return golden_records.read(path)


@pytest.fixture(scope="module")
def vocabulary(checkpoint):
    return checkpoint.tokenizer.tokenizer.get_vocab(with_added_tokens=True)


def of(records, kind):
    chosen = [record for record in records if isinstance(record, KINDS[kind])]
    assert chosen
    return chosen


def units(text):
    return len(text.encode("utf-16-le")) // 2


def check_utf16(text, offsets, utf16):
    for (start, end), (begin, stop) in zip(offsets, utf16, strict=True):
        assert begin == units(text[:start])
        assert stop == units(text[:end])


def test_every_kind_is_there_and_the_file_reads_back(path, records):
    assert {record.kind for record in records} == set(KINDS)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[-1] == ""
    assert path.read_text(encoding="utf-8").splitlines() == lines[:-1], "U+2028 ends a line too"
    assert [json.loads(line)["kind"] for line in lines[:-1]] == [r.kind for r in records]


@pytest.mark.parametrize("task", ["classify", "tokens", "embed"])
def test_other_tasks_have_texts_and_runs_alone(tiny, tmp_path, task):
    found = write(models.load(str(tiny("bert", task))), tmp_path / "golden.jsonl")
    assert {record.kind for record in found} == {"tokenize", "run"}


# --- tokenization ---


def test_tokens_are_those_of_a_tokenizer_written_apart(records, vocabulary):
    for record in of(records, "tokenize"):
        expected = golden_tools.tokenize(record.text, vocabulary)
        assert list(record.ids) == [token for token, _, _ in expected], record.text
        assert list(record.offsets) == [(a, b) for _, a, b in expected], record.text
        check_utf16(record.text, record.offsets, record.utf16_offsets)


def test_tokens_of_a_real_vocabulary_are_right_too():
    tokenizer = read_tokenizer(models.EMBEDDED["minilm"]())
    vocabulary = tokenizer.tokenizer.get_vocab(with_added_tokens=True)
    for record in goldens.tokenize_records(tokenizer):
        expected = golden_tools.tokenize(record.text, vocabulary)
        assert list(record.ids) == [token for token, _, _ in expected], record.text
        assert list(record.offsets) == [(a, b) for _, a, b in expected], record.text


def test_the_texts_hold_what_tokenizers_disagree_about(records, vocabulary):
    texts = [record.text for record in of(records, "tokenize")]
    assert "" in texts
    for trap in ("é", "e\u0301", "東", "😀", "\u00a0", "\u0007", "Σ", "[SEP]", "\u200d"):
        assert any(trap in text for text in texts), trap
    by_text = {record.text: record.ids for record in of(records, "tokenize")}
    assert by_text["a" * 101] == (vocabulary["[UNK]"],)
    assert len(by_text["a" * 100]) > 1
    assert vocabulary["[SEP]"] in by_text["a literal [SEP] in the text"]
    wide = [r for r in of(records, "tokenize") if r.offsets != r.utf16_offsets]
    assert wide, "no text tells code points from UTF-16 units"


# --- windows ---


def check_windows(records, vocabulary):
    for record in of(records, "window"):
        expected = golden_tools.cut(record.question, record.context, record.options, vocabulary)
        if expected is None:
            assert record.error == ("empty_context" if record.question else "empty_question")
            assert record.windows == ()
            continue
        assert record.error is None
        assert len(record.windows) == len(expected)
        for row, wanted in zip(record.windows, expected, strict=True):
            for name, value in wanted.items():
                assert list(getattr(row, name)) == list(value), name
            check_utf16(record.context, row.offsets, row.utf16_offsets)


def test_windows_are_those_of_other_code(records, vocabulary):
    check_windows(records, vocabulary)
    assert {record.options.max_length for record in of(records, "window")} == {64}
    assert {record.error for record in of(records, "window")} == {
        None,
        "empty_context",
        "empty_question",
    }
    assert max(len(record.windows) for record in of(records, "window")) > 2


@pytest.mark.parametrize(
    ("longest", "lengths"), [(128, {128}), (256, {128, 256}), (384, {128, 384})]
)
def test_long_artifacts_have_windows_of_128_and_384(longest, lengths):
    tokenizer = read_tokenizer(models.EMBEDDED["minilm"]())
    vocabulary = tokenizer.tokenizer.get_vocab(with_added_tokens=True)
    found = list(goldens.window_records(tokenizer, contents.window_for((longest,))))
    assert {record.options.max_length for record in found} == lengths
    assert found[0].options.max_length == longest
    check_windows(found, vocabulary)
    for length in lengths:
        counts = [len(r.windows) for r in found if r.options.max_length == length]
        assert 1 in counts
        assert max(counts) > 2, f"no context needs several windows of {length}"


# --- model inputs with outputs ---


def test_runs_hold_the_checkpoints_outputs(records, checkpoint):
    model = reference.load_model(checkpoint)
    assert {record.length for record in of(records, "run")} == set(LENGTHS)
    for record in of(records, "run"):
        inputs = {name: np.asarray([row], np.int32) for name, row in record.inputs.items()}
        assert sum(record.inputs["attention_mask"]) == record.valid
        assert {len(row) for row in record.inputs.values()} == {record.length}
        outputs = reference.run_model(model, "qa", inputs)
        assert set(record.outputs) == set(outputs) == {"start", "end"}
        for role, expected in record.outputs.items():
            np.testing.assert_allclose(outputs[role], np.asarray(expected), atol=2e-6)
        assert (record.max_abs, record.min_cosine) == (SCHEMES["fp32"].limit.max_abs, None)


# --- spans ---


def test_spans_are_those_of_trying_them_all(records):
    seen = set()
    for record in of(records, "decode"):
        windows = [
            (w.context, w.offsets, w.max_context, w.start_logits, w.end_logits)
            for w in record.windows
        ]
        logits = [v for w in record.windows for v in w.start_logits + w.end_logits]
        if None in logits:
            assert record.error == "not_finite"
            assert record.answers == ()
            seen.add("not finite")
            continue
        assert record.error is None
        assert all(float(value * 8).is_integer() for value in logits)
        expected = golden_tools.decode(windows, record.context, record.options)
        got = [(a.score, a.start, a.end, a.text) for a in record.answers]
        assert got == expected, record.name
        weights = [math.exp(score - expected[0][0]) for score, *_ in expected]
        for answer, weight in zip(record.answers, weights, strict=True):
            assert answer.probability == pytest.approx(weight / sum(weights), abs=1e-6)
        seen |= traps(record)
    assert seen >= {"not finite", "tie", "end before start", "windows", "n_best", "surrogates"}


def traps(record):
    """Name what a careless decoder would get wrong in a record."""
    found = set()
    scores = [answer.score for answer in record.answers]
    if len(set(scores[:2])) < len(scores[:2]):
        found.add("tie")
    window = record.windows[0]
    first, last = window.context
    starts, ends = window.start_logits[first:last], window.end_logits[first:last]
    if ends.index(max(ends)) < starts.index(max(starts)):
        found.add("end before start")
    if len(record.windows) > 1:
        found.add("windows")
    if len(record.answers) == record.options.n_best:
        found.add("n_best")
    if units(record.context) != len(record.context):
        found.add("surrogates")
    return found


def test_the_decode_vectors_have_names_of_their_own(records):
    names = [record.name for record in of(records, "decode")]
    assert len(names) == len(set(names))


# --- questions from end to end ---


def test_answers_are_the_checkpoints_own(records, checkpoint, vocabulary):
    model = reference.load_model(checkpoint)
    chosen = of(records, "answer")
    assert len(chosen) == 5
    assert len({(record.question, record.context) for record in chosen}) == 5
    for record in chosen:
        cut = golden_tools.cut(record.question, record.context, record.options, vocabulary)
        assert record.windows == len(cut)
        windows = []
        for window in cut:
            ids = window["input_ids"]
            rows = {"input_ids": ids, "attention_mask": [1] * len(ids)}
            rows["token_type_ids"] = window["token_type_ids"]
            inputs = {name: np.asarray([row], np.int32) for name, row in rows.items()}
            outputs = reference.run_model(model, "qa", inputs)
            logits = (outputs[role][0].tolist() for role in ("start", "end"))
            windows.append((window["context"], window["offsets"], window["max_context"], *logits))
        (score, start, end, text), (second, *_), *_ = golden_tools.decode(
            windows, record.context, record.options
        )
        assert (record.answer.start, record.answer.end, record.answer.text) == (start, end, text)
        assert record.answer.score == pytest.approx(score, abs=1e-4)
        assert record.margin == pytest.approx(score - second, abs=1e-4)
        assert record.utf16 == (units(record.context[:start]), units(record.context[:end]))
        assert record.decisive == (record.margin > 4 * SCHEMES["fp32"].limit.max_abs)
    assert any(record.windows > 1 for record in chosen)
    assert any(not record.context.isascii() for record in chosen)


def test_a_scheme_that_limits_the_cosine_alone_decides_nothing(checkpoint, tmp_path):
    found = of(write(checkpoint, tmp_path / "golden.jsonl", "int8"), "answer")
    assert {record.decisive for record in found} == {False}


# --- the reader ---


def damage(line):
    record = json.loads(line)
    yield json.dumps({**record, "kind": "other"}), "Input tag 'other'"
    yield json.dumps({**record, "colour": 1}), "colour: Extra inputs"
    yield json.dumps({key: record[key] for key in list(record)[:-1]}), "Field required"
    yield json.dumps({**record, "ids": ["1"]}), "ids.0"
    yield line[:-3], "Invalid JSON"
    yield "", "Invalid JSON"


@pytest.mark.parametrize("number", range(6))
def test_a_line_that_is_no_golden_is_named(path, tmp_path, number):
    lines = path.read_text(encoding="utf-8").split("\n")
    line, words = next(itertools.islice(damage(lines[0]), number, None))
    damaged = tmp_path / "golden.jsonl"
    damaged.write_text("\n".join([lines[0], line, *lines[2:]]), encoding="utf-8")
    with pytest.raises(BundleError, match=r"line 2 of .*is not a golden") as caught:
        golden_records.read(damaged)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_not_text_is_refused(tmp_path):
    with pytest.raises(BundleError, match="cannot be read"):
        golden_records.read(tmp_path / "golden.jsonl")
    (tmp_path / "golden.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(BundleError, match="cannot be read"):
        golden_records.read(tmp_path / "golden.jsonl")


def test_utf16_places_count_surrogate_pairs_twice():
    assert goldens.utf16_places("a😀b") == [0, 1, 3, 4]
    assert goldens.utf16_places("") == [0]


def test_options_survive_the_manifest():
    window = WindowInfo(max_length=64, doc_stride=9, max_query=8, max_answer=7, n_best=6)
    options = goldens.options_for(window)
    assert (options.max_length, options.doc_stride, options.n_best) == (64, 9, 6)
