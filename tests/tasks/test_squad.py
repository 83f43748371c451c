"""Rows of `datasets` in SQuAD's layout; the files' own tests are in test_qa.py."""

from __future__ import annotations

from typing import Any

import pytest

from ondevice.errors import DataError
from ondevice.tasks.squad import Gold, read_rows

CONTEXT = "The Nile rises in Burundi."


def row(**values: Any) -> dict[str, Any]:
    answers = {"text": ["Burundi", "in Burundi"], "answer_start": [18, 15]}
    return {"id": "1", "question": "Where?", "context": CONTEXT, "answers": answers} | values


def test_each_row_is_a_question() -> None:
    (example,) = read_rows([row()], "datasets:squad:train")
    assert (example.id, example.question, example.context) == ("1", "Where?", CONTEXT)
    assert example.answers == (Gold("Burundi", 18), Gold("in Burundi", 15))


def test_empty_lists_say_that_there_is_no_answer() -> None:
    (example,) = read_rows([row(answers={"text": [], "answer_start": []})], "rows")
    assert example.answers == ()


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row(), row()], "rows: the question id '1' occurs twice"),
        ([], "rows holds no questions"),
        ([{"id": "1"}], "rows, row 1 is not in SQuAD's layout"),
        ([row(answers={"text": ["a"], "answer_start": []})], "rows, row 1 is not in SQuAD's"),
        ([row(answers={"text": ["Nile"], "answer_start": [5]})], "does not stand at 5"),
        ([row(context=" ")], "question '1': the context is empty"),
    ],
)
def test_contradictions_are_named(rows: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_rows(rows, "rows")
