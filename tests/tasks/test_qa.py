"""Windows, decode and scores of question answering, each against a few lines of brute force."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from ondevice import models, samples
from ondevice.errors import DataError, UserError
from ondevice.tasks import qa
from ondevice.tokenizer import read_tokenizer

LONG = " ".join(
    f"the {name} is {place} of the city , and it was old ."
    for name in ("river", "mountain", "sea", "tree", "island")
    for place in ("north", "south", "east", "west")
)
SMALL = qa.QAOptions(max_length=48, doc_stride=12, max_query=12, max_answer=5, n_best=8)


@pytest.fixture(scope="session")
def tokenizer(tiny: Callable[[str, str], Path]) -> Tokenizer:
    return read_tokenizer(tiny("bert", "qa")).tokenizer


def test_short_pair_is_one_window(tokenizer: Tokenizer) -> None:
    context = "The river is north."
    (window,) = qa.windows(tokenizer, "where is the river", context, SMALL)
    assert window.input_ids.tolist() == tokenizer.encode("where is the river", context).ids
    texts = [context[s:e] for s, e in window.offsets[window.context_start : window.context_end]]
    assert texts == ["The", "river", "is", "north", "."]
    assert window.token_type_ids.tolist() == [0] * window.context_start + [1] * 6
    assert window.max_context.tolist() == [False] * 6 + [True] * 5 + [False]
    assert not window.offsets[: window.context_start].any()


def test_windows_are_slices_of_the_context(tokenizer: Tokenizer) -> None:
    question = "where is the sea"
    found = qa.windows(tokenizer, question, LONG, SMALL)
    head = tokenizer.encode(question).ids
    context = tokenizer.encode(LONG, add_special_tokens=False)
    room = SMALL.max_length - len(head) - 1
    step = room - SMALL.doc_stride
    begins = [0]
    while begins[-1] + room < len(context.ids):
        begins.append(begins[-1] + step)
    assert len(found) == len(begins) > 2
    for window, begin in zip(found, begins, strict=True):
        expected = [*head, *context.ids[begin : begin + room], tokenizer.token_to_id("[SEP]")]
        assert window.input_ids.tolist() == expected
        inside = window.offsets[window.context_start : window.context_end]
        assert inside.tolist() == [list(o) for o in context.offsets[begin : begin + room]]


def test_max_context_is_berts_formula(tokenizer: Tokenizer) -> None:
    found = qa.windows(tokenizer, "where is the sea", LONG, SMALL)
    total = len(tokenizer.encode(LONG, add_special_tokens=False).ids)
    room = found[0].context_end - found[0].context_start
    step = room - SMALL.doc_stride
    spans = [(i * step, w.context_end - w.context_start) for i, w in enumerate(found)]
    for token in range(total):
        # BERT's _check_is_max_context, with the same tie rule: the first best window.
        scores = [
            min(token - begin, begin + size - 1 - token) + 0.01 * size
            if begin <= token < begin + size
            else -np.inf
            for begin, size in spans
        ]
        marked = [
            bool(w.max_context[w.context_start + token - begin])
            for w, (begin, size) in zip(found, spans, strict=True)
            if begin <= token < begin + size
        ]
        assert sum(marked) == 1
        owner = next(
            i
            for i, (w, (begin, size)) in enumerate(zip(found, spans, strict=True))
            if begin <= token < begin + size and w.max_context[w.context_start + token - begin]
        )
        assert owner == int(np.argmax(scores))


def test_offsets_count_code_points(tokenizer: Tokenizer) -> None:
    context = "\U0001f600\U0001f600 caf\u00e9 e\u0301t\u00e9 北京 river"
    (window,) = qa.windows(tokenizer, "where", context, SMALL)
    last = window.offsets[window.context_end - 1]
    assert context[last[0] : last[1]] == "river"


def test_long_question_is_cut_at_a_token(tokenizer: Tokenizer) -> None:
    question = " ".join(["river"] * 40)
    (window,) = qa.windows(tokenizer, question, "the sea", SMALL)
    assert window.context_start == 1 + SMALL.max_query + 1


def test_overlap_shrinks_when_the_question_takes_the_room(tokenizer: Tokenizer) -> None:
    options = qa.QAOptions(max_length=24, doc_stride=20, max_query=12)
    found = qa.windows(tokenizer, " ".join(["river"] * 12), LONG, options)
    assert all(len(window) <= 24 for window in found)
    assert sum(int(window.max_context.sum()) for window in found) == len(
        tokenizer.encode(LONG, add_special_tokens=False).ids
    )


def test_the_tokenizer_is_left_as_it_was(tokenizer: Tokenizer) -> None:
    qa.windows(tokenizer, "where is the sea", LONG, SMALL)
    assert tokenizer.truncation is None


@pytest.mark.parametrize(("question", "context"), [("", "a"), (" ", "a"), ("a", ""), ("a", "\n ")])
def test_empty_texts_are_refused(tokenizer: Tokenizer, question: str, context: str) -> None:
    with pytest.raises(DataError, match="empty"):
        qa.windows(tokenizer, question, context, SMALL)


@pytest.mark.parametrize(
    "bad", [{"max_query": 380}, {"doc_stride": -1}, {"n_best": 0}, {"max_length": 0}]
)
def test_impossible_options_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(UserError):
        qa.QAOptions(**bad)


@pytest.mark.parametrize("length", [36, 64, 128, 256, 384])
def test_options_for_each_bucket(length: int) -> None:
    options = qa.QAOptions.for_length(length)
    assert options.max_length == length
    assert options.max_query <= length // 3


def test_batch_pads_on_the_right(tokenizer: Tokenizer) -> None:
    found = qa.windows(tokenizer, "where is the sea", LONG, SMALL)
    arrays = qa.batch(found, length=64)
    assert arrays["input_ids"].shape == (len(found), 64)
    assert arrays["input_ids"].dtype == np.int32
    for row, window in enumerate(found):
        assert arrays["attention_mask"][row].sum() == len(window)
        assert not arrays["input_ids"][row, len(window) :].any()


def test_token_span_covers_the_answer_or_is_none(tokenizer: Tokenizer) -> None:
    found = qa.windows(tokenizer, "where is the sea", LONG, SMALL)
    begin = LONG.index("tree is west")
    end = begin + len("tree is west")
    spans = [qa.token_span(window, begin, end) for window in found]
    assert any(span is not None for span in spans)
    for window, span in zip(found, spans, strict=True):
        visible = (
            window.offsets[window.context_start][0] <= begin
            and window.offsets[window.context_end - 1][1] >= end
        )
        assert (span is not None) == bool(visible)
        if span is not None:
            assert window.offsets[span[0]][0] == begin
            assert window.offsets[span[1]][1] == end


def brute_force(
    items: list[qa.Window], starts: np.ndarray, ends: np.ndarray, options: qa.QAOptions
) -> list[tuple[float, int, int]]:
    spans = []
    for i, window in enumerate(items):
        for s in range(window.context_start, window.context_end):
            if not window.max_context[s]:
                continue
            for e in range(s, min(s + options.max_answer, window.context_end)):
                value = float(np.float32(starts[i][s]) + np.float32(ends[i][e]))
                spans.append((-value, i, s, e))
    spans.sort()
    return [
        (-v, int(items[i].offsets[s][0]), int(items[i].offsets[e][1]))
        for v, i, s, e in spans[: options.n_best]
    ]


@pytest.mark.parametrize("seed", range(5))
def test_decode_is_the_best_of_all_spans(tokenizer: Tokenizer, seed: int) -> None:
    found = qa.windows(tokenizer, "where is the sea", LONG, SMALL)
    draw = np.random.default_rng(seed)
    # Whole numbers make ties common; the extra columns are padding, which must not matter.
    starts = draw.integers(-3, 4, (len(found), 64)).astype(np.float32)
    ends = draw.integers(-3, 4, (len(found), 64)).astype(np.float32)
    answers = qa.decode(found, starts, ends, LONG, SMALL)
    expected = brute_force(found, starts, ends, SMALL)
    assert [(a.score, a.start, a.end) for a in answers] == expected
    assert all(a.text == LONG[a.start : a.end] for a in answers)
    assert sum(a.probability for a in answers) == pytest.approx(1.0)


def test_decode_ignores_question_and_padding(tokenizer: Tokenizer) -> None:
    context = "the sea is old"
    items = qa.windows(tokenizer, "where is the sea", context, SMALL)
    logits = np.full((1, 48), 90.0, dtype=np.float32)
    logits[0, items[0].context_start : items[0].context_end] = 0.0
    logits[0, items[0].context_start + 1] = 1.0
    assert qa.decode(items, logits, logits, context, SMALL)[0].text == "sea"


def test_decode_survives_an_end_before_the_start(tokenizer: Tokenizer) -> None:
    context = "the sea is old"
    items = qa.windows(tokenizer, "where", context, SMALL)
    start, end = np.zeros((2, 1, 48), dtype=np.float32)
    start[0, items[0].context_end - 1] = 5.0
    end[0, items[0].context_start] = 5.0
    best = qa.decode(items, start, end, context, SMALL)[0]
    assert best.start < best.end


def test_decode_refuses_nan(tokenizer: Tokenizer) -> None:
    items = qa.windows(tokenizer, "where", "the sea", SMALL)
    logits = np.full((1, 48), np.nan, dtype=np.float32)
    with pytest.raises(DataError, match="not finite"):
        qa.decode(items, logits, logits, "the sea", SMALL)


def test_no_answer_wins_by_its_threshold(tokenizer: Tokenizer) -> None:
    context = "the sea is old"
    items = qa.windows(tokenizer, "where", context, SMALL)
    logits = np.zeros((1, 48), dtype=np.float32)
    logits[0, 0] = 1.0
    for threshold, text in ((1.0, ""), (3.0, "the")):
        options = qa.QAOptions(**{**SMALL.__dict__, "null_threshold": threshold})
        assert qa.decode(items, logits, logits, context, options)[0].text == text


def published(text: str) -> str:
    """Normalize as SQuAD's evaluate-v2.0.py does."""
    text = "".join(ch for ch in text.lower() if ch not in set(string.punctuation))
    return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text).split())


def published_f1(prediction: str, gold: str) -> float:
    """Compute F1 as SQuAD's evaluate-v2.0.py does."""
    gold_toks, pred_toks = published(gold).split(), published(prediction).split()
    num_same = sum((Counter(gold_toks) & Counter(pred_toks)).values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return float(gold_toks == pred_toks)
    if num_same == 0:
        return 0.0
    precision, recall = num_same / len(pred_toks), num_same / len(gold_toks)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("The  River!", "river"),
        ("a river", "the river's bank"),
        ("", ""),
        ("", "river"),
        ("river river", "river"),
        ("in 1990", "1990"),
        ("the", "a"),
    ],
)
def test_scores_agree_with_the_published_script(prediction: str, gold: str) -> None:
    assert qa.exact_match(prediction, gold) == float(published(prediction) == published(gold))
    assert qa.f1_score(prediction, gold) == pytest.approx(published_f1(prediction, gold))


def test_score_takes_the_best_human_answer() -> None:
    golds = (qa.Gold("river", 4), qa.Gold("the river is", 0))
    examples = [
        qa.QAExample("a", "q", "the river is north", golds),
        qa.QAExample("b", "q", "the river is north"),
    ]
    result = qa.score({"a": "the river is north", "b": "north"}, examples)
    assert result.em == 0.0
    assert result.f1 == pytest.approx(100 * (4 / 5) / 2)
    with pytest.raises(DataError, match="no prediction"):
        qa.score({"a": ""}, examples)


def record(**change: Any) -> dict[str, Any]:
    question = {"id": "q1", "question": "where", "answers": [{"text": "sea", "answer_start": 4}]}
    return {"data": [{"paragraphs": [{"context": "the sea", "qas": [question | change]}]}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (record(answers=[{"text": "sea", "answer_start": 3}]), "q1.*does not stand at 3"),
        (record(answers=[{"text": "sea", "answer_start": -3}]), "does not stand"),
        (record(answers=[{"text": "sea"}]), "there is no 'answer_start'"),
        (record(answers=[{"text": "sea", "answer_start": "4"}]), "whole-number"),
        (record(answers=[]), "has no answer"),
        (record(question=" "), "question is empty"),
        ({"data": []}, "no questions"),
        ({"rows": []}, "SQuAD's layout"),
        ([1], "SQuAD's layout"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, document: Any, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        qa.read_squad(path)
    assert "bad.json" in str(caught.value)


def test_truncated_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(json.dumps(record())[:-9], encoding="utf-8")
    with pytest.raises(DataError, match=r"cut\.json.*cut off"):
        qa.read_squad(path)
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match="UTF-8"):
        qa.read_squad(path)
    with pytest.raises(DataError, match="cannot read"):
        qa.read_squad(tmp_path / "absent.json")


def test_squad_v2_and_unlabelled_questions(tmp_path: Path) -> None:
    path = tmp_path / "v2.json"
    path.write_text(json.dumps(record(is_impossible=True)), encoding="utf-8")
    assert qa.read_squad(path)[0].answers == ()
    path.write_text(json.dumps(record(answers=[])), encoding="utf-8")
    assert qa.read_squad(path, need_answers=False)[0].answers == ()


@pytest.mark.parametrize("length", [64, 128, 384])
def test_answers_survive_the_windows(length: int) -> None:
    """Every human answer of the samples is found again in some window."""
    real = models.load("minilm", "embed").tokenizer.tokenizer
    options = qa.QAOptions.for_length(length)
    for example in qa.read_squad(samples.qa_path()):
        found = qa.windows(real, example.question, example.context, options)
        for gold in example.answers:
            end = gold.start + len(gold.text)
            spans = [qa.token_span(window, gold.start, end) for window in found]
            covering = [
                example.context[w.offsets[span[0]][0] : w.offsets[span[1]][1]]
                for w, span in zip(found, spans, strict=True)
                if span is not None
            ]
            assert covering
            assert all(gold.text.strip() in text for text in covering)
