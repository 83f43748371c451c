"""Answers on disk: found again by what was asked, however the process before ended."""

from __future__ import annotations

import json

import pytest

from ondevice.errors import UserError
from ondevice.search.replies import Replies, Source, key_of
from ondevice.tasks.qa import QAExample

HERE = Source("onnxruntime", "1.32.0", "host")
ASKED = [QAExample(f"q{n}", f"where is {n}?", f"the river {n} is here \ud800") for n in range(4)]


def filled(directory, count=4):
    replies = Replies(directory, "key")
    with replies.writing(HERE):
        for number, example in enumerate(ASKED[:count]):
            replies.add(example, (f"river {number}", (4, 11)))
    return directory / "key.jsonl"


def test_what_was_answered_is_found_again(tmp_path):
    filled(tmp_path, 3)
    again = Replies(tmp_path, "key")
    assert again.source == HERE
    assert again.missing(ASKED) == ASKED[3:]
    assert again.answers(ASKED[:3])["q2"] == ("river 2", (4, 11))
    assert Replies(tmp_path, "another").missing(ASKED) == ASKED


def test_the_same_question_under_another_id_is_not_asked_again(tmp_path):
    filled(tmp_path)
    renamed = QAExample("other", ASKED[0].question, ASKED[0].context)
    again = Replies(tmp_path, "key")
    assert again.missing([renamed]) == []
    assert again.answers([renamed]) == {"other": ("river 0", (4, 11))}
    changed = QAExample("q0", ASKED[0].question, ASKED[0].context + " or there")
    assert again.missing([changed]) == [changed]


def test_a_line_that_was_cut_off_is_dropped_and_asked_again(tmp_path):
    path = filled(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    again = Replies(tmp_path, "key")
    assert again.missing(ASKED) == ASKED[3:]
    with again.writing(HERE):
        again.add(ASKED[3], ("river 3", (4, 11)))
    assert path.read_bytes() == whole
    assert Replies(tmp_path, "key").missing(ASKED) == []


@pytest.mark.parametrize(
    "content", ["nonsense\n", "{}\n", "[]\n[]\n", '{"runtime": "x"}\n{"a": 1}\n']
)
def test_a_file_that_is_none_of_ours_is_asked_anew(tmp_path, content):
    path = tmp_path / "key.jsonl"
    path.write_text(content)
    replies = Replies(tmp_path, "key")
    assert replies.missing(ASKED) == ASKED
    with replies.writing(HERE):
        replies.add(ASKED[0], ("river", (4, 9)))
    assert Replies(tmp_path, "key").missing(ASKED) == ASKED[1:]


def test_answers_of_another_runtime_are_forgotten(tmp_path):
    path = filled(tmp_path)
    replies = Replies(tmp_path, "key")
    with replies.writing(Source("onnxruntime", "1.33.0", "host")):
        assert replies.missing(ASKED) == ASKED
    assert json.loads(path.read_text())["version"] == "1.33.0"


def test_a_directory_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    replies = Replies(tmp_path / "file" / "answers", "key")
    with (
        pytest.raises(UserError, match=r"cannot write .* choose another --out"),
        replies.writing(HERE),
    ):
        pass


def test_a_key_depends_on_every_fact_and_not_on_their_order():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1, "b": [2]}) != key_of({"a": 1, "b": [3]})
