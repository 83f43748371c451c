"""The best lengths, against trying all of them."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice import cli, lengths, models
from ondevice.errors import DataError, UserError
from ondevice.tasks.features import shortest_length


def expected_cost(histogram, chosen, cost):
    return sum(n * cost(shortest_length(tokens, chosen)) for tokens, n in histogram.items())


def square(length):
    return length * 100.0 + length**2


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.integers(1, 140), st.integers(1, 30), min_size=1, max_size=12),
    st.sampled_from([40, 96, 128]),
    st.integers(1, 4),
)
def test_no_other_choice_costs_less(histogram, longest, count):
    found = lengths.choose(histogram, longest, count, square)
    places = list(range(lengths.STEP, longest, lengths.STEP))
    least = min(
        expected_cost(histogram, (*others, longest), square)
        for size in range(count)
        for others in itertools.combinations(places, size)
    )
    assert expected_cost(histogram, found.lengths, square) == pytest.approx(least)
    assert found.share == pytest.approx(least / (sum(histogram.values()) * square(longest)))
    assert len(found.lengths) <= count
    assert list(found.lengths) == sorted(set(found.lengths))
    assert found.lengths[-1] == longest


def test_a_length_that_saves_nothing_is_not_taken():
    assert lengths.choose({30: 5, 128: 5}, 128, 4, square).lengths == (32, 128)


def test_nothing_to_choose_from_is_refused():
    with pytest.raises(DataError, match="no texts"):
        lengths.choose({}, 128, 2, square)
    with pytest.raises(UserError, match="at least 1 length"):
        lengths.choose({5: 1}, 128, 0, square)


def test_multiply_accumulates_of_bert_base():
    """BERT-base at 128 tokens: 11.2 G multiply-accumulates (2 x that in FLOPs)."""

    class Encoder:
        width, intermediate, layers = 768, 3072, 12

    assert lengths.multiply_accumulates(Encoder())(128) == pytest.approx(11.17e9, rel=0.01)


def test_each_window_of_a_question_counts(tiny, tmp_path):
    checkpoint = models.load(str(tiny("bert", "qa")))
    context = " ".join(["the river is old"] * 20)
    answers = [{"text": "the", "answer_start": 0}]
    passage = {"context": context, "qas": [{"id": "1", "question": "what", "answers": answers}]}
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [passage]}]}), encoding="utf-8")
    sizes = Counter(lengths._window_sizes(checkpoint, path, 48))
    assert sizes[48] >= 1
    assert sum(sizes.values()) > 1
    chosen = lengths.from_data(checkpoint, path, 48, 2)
    assert chosen.texts == sum(sizes.values())


def test_build_chooses_lengths(tiny, tmp_path, capsys):
    from tests.requirements import need

    need("onnx")
    path = tmp_path / "texts.txt"
    path.write_text("the river is old\n" * 9 + "\n" + "the sea is large " * 12, encoding="utf-8")
    words = ["build", "--target", "onnx", "--model", str(tiny("bert", "embed")), "--json"]
    words += ["--lengths", "auto", "--data", str(path), "--out", str(tmp_path / "out")]
    assert cli.main(words) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["lengths"] == [16, 64]
    assert "lengths 16,64" in captured.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lengths", "auto"], "--lengths auto needs --data FILE"),
        (["--data", "x.json"], "--data is for --lengths auto"),
        (["--lengths", "auto", "--data", "x.json"], "cannot read x.json"),
        (["--lengths", "auto", "--data", "x", "--buckets", "0"], "--buckets must be at least 1"),
    ],
)
def test_bad_arguments_are_one_sentence(tiny, capsys, words, sentence):
    code = cli.main(["build", "--target", "onnx", "--model", str(tiny("bert", "qa")), *words])
    captured = capsys.readouterr()
    assert code == 2
    assert sentence in captured.err
    assert captured.out == ""


def test_questions_are_no_texts_for_another_task(tiny, tmp_path, capsys):
    path = tmp_path / "squad.json"
    path.write_text('{"data": [\n]}', encoding="utf-8")
    words = ["build", "--target", "onnx", "--model", str(tiny("bert", "embed"))]
    words += ["--lengths", "auto", "--data", str(path), "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "is JSON, and the model's task is 'embed'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
