"""Whatever a line holds, each core answers it with one sentence and goes on."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.mobile import texts
from tests.mobile.cores import CORES, Core
from tests.mobile.reference import difference
from tests.mobile.test_decode import OPTIONS, window
from tests.mobile.test_decode import request as decode

TOKENIZE = {"op": "tokenize", "text": "the river"}
WINDOWS = {"op": "windows", "question": "who?", "context": "the river", "options": OPTIONS}
DECODE = decode([window([1.0], [1.0])])


def assert_error(core, line, kind):
    """The line is refused, and the next one is answered."""
    refused, next_one = core.ask_lines([line, b'{"op": "statistics", "samples": [1]}'])
    assert refused["error"] == kind, refused
    assert refused["message"]
    assert "\n" not in refused["message"]
    assert set(refused) == {"error", "message"}
    assert next_one["count"] == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"{",
        b"nul",
        b"[]",
        b'"tokenize"',
        b"{}",
        b'{"op": 1}',
        b'{"op": "unknown"}',
        b'{"op": "tokenize"}',
        b'{"op": "tokenize", "text": 1}',
        b'{"op": "tokenize", "text": null}',
        b'{"op": "tokenize", "text": "a"',
        b'{"op": "tokenize", "text": "a"} x',
        b'{"op": "tokenize", "text": "\\x"}',
        b'{"op": "tokenize", "text": "\\u12"}',
        b'{"op": "tokenize", "text": "a\tb"}',
        b'{"op": "tokenize", "text": "\xff\xfe"}',
        b'{"op": "tokenize", "text": "\xed\xa0\x80"}',
        b'{"op": "statistics", "samples": [01]}',
        b'{"op": "statistics", "samples": [1,]}',
        b'{"op": "statistics", "samples": [NaN]}',
        b'{"op": "time", "text": "a", "repeat": 0}',
        b'{"op": "time", "text": "a", "repeat": 1.5}',
        b'{"op": "bundle"}',
        b'{"op": "bundle", "path": 3}',
        b"[" * 200_000,
        b'{"op": ' * 100_000,
        b"\x00",
    ],
    ids=lambda line: line[:50],
)
def test_a_line_that_is_no_request(core, line):
    assert_error(core, line, "bad_request")


@pytest.mark.parametrize(
    "options",
    [
        {"max_length": 0},
        {"max_length": -1},
        {"max_query": 0},
        {"max_query": 53},
        {"max_query": 64},
        {"max_answer": 0},
        {"n_best": 0},
        {"doc_stride": -1},
        {"max_length": 1.5},
        {"max_length": "64"},
        {"max_length": None},
        {"max_length": 2**40},
        {"n_best": 2**31},
        {"max_length": 2**70},
        {"n_best": 1e40},
        {"max_answer": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("request_", [WINDOWS, DECODE], ids=["windows", "decode"])
def test_options_that_leave_no_room(core, request_, options):
    refused = core.ask(request_ | {"options": OPTIONS | options})
    assert refused["error"] == "bad_request"


@pytest.mark.parametrize("missing", OPTIONS)
def test_an_option_that_is_missing(core, missing):
    options = {name: value for name, value in OPTIONS.items() if name != missing}
    assert core.ask(WINDOWS | {"options": options})["error"] == "bad_request"


def broken(**values):
    return decode([window([1.0, 2.0], [1.0, 2.0]) | values])


@pytest.mark.parametrize(
    "put",
    [
        broken(context=[0, 99]),
        broken(context=[-1, 2]),
        broken(context=[3, 1]),
        broken(context=[1]),
        broken(context=[2**40, 2**41]),
        broken(start_logits=[1.0]),
        broken(end_logits=[]),
        broken(start_logits=["1", 1, 1, 1]),
        broken(offsets=[[0, 0], [5, 2], [0, 1], [0, 0]]),
        broken(offsets=[[0, 0], [-5, 2], [0, 1], [0, 0]]),
        broken(offsets=[[0, 0], [0, 10**6], [0, 1], [0, 0]]),
        broken(offsets=[[0, 0], [0, 2**70], [0, 1], [0, 0]]),
        broken(max_context=[1]),
        broken(max_context=[0, 1, 2, 0]),
        decode([window([1.0], [1.0]), 3]),
        decode(3),
    ],
)
def test_windows_whose_numbers_contradict_each_other(core, put):
    assert core.ask(put)["error"] == "bad_request"


@pytest.mark.parametrize(
    "put",
    [
        decode([]),
        broken(context=[1, 1]),
        broken(max_context=[0, 0, 0, 0]),
        decode([window([3e38], [3e38])]),
    ],
)
def test_no_span_to_choose_is_an_empty_list(core, put):
    assert core.ask(put) == {"answers": []}


@pytest.mark.parametrize(
    ("question", "context", "kind"),
    [
        ("", "a", "empty_question"),
        (" \u200b\n\ud800", "a", "empty_question"),
        ("", "", "empty_question"),
        ("a", "", "empty_context"),
        ("a", " \n\xa0\x07\ufffd", "empty_context"),
        ("a", "\u0301", "empty_context"),
    ],
)
def test_nothing_to_ask(core, reference, question, context, kind):
    put = WINDOWS | {"question": question, "context": context}
    assert reference.ask(put) == {"error": kind}
    assert core.ask(put)["error"] == kind


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("put", [TOKENIZE, WINDOWS, {"op": "time", "text": "a", "repeat": 1}])
def test_without_a_vocabulary(cores, name, put, tmp_path):
    for arguments in ((), ("--vocab", tmp_path / "nowhere"), ("--vocab", tmp_path)):
        core = cores.get(name, *arguments)
        assert core.ask(put)["error"] == "no_vocabulary"
        assert core.ask(DECODE)["answers"]


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("missing", ["[UNK]", "[CLS]", "[SEP]", "[PAD]", None])
def test_a_vocabulary_that_lacks_what_it_needs(cores, name, missing, tmp_path):
    pieces = [piece for piece in [*texts.SPECIALS, "the"] if piece != missing]
    path = texts.write_vocabulary(tmp_path / "vocab.txt", pieces if missing else [])
    refused = cores.get(name, "--vocab", path).ask(TOKENIZE)
    assert refused["error"] == "bad_vocabulary"
    assert missing is None or missing in refused["message"]


@pytest.mark.parametrize("name", CORES)
def test_a_vocabulary_that_is_not_utf8(cores, name, tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("\n".join([*texts.SPECIALS, "the", ""]).encode() + b"\xff\xfe\n")
    refused = cores.get(name, "--vocab", path).ask(TOKENIZE)
    assert refused["error"] == "bad_vocabulary"
    assert "UTF-8" in refused["message"]


@pytest.mark.parametrize("name", CORES)
def test_of_a_vocabularys_line_only_its_end_is_dropped(cores, name, tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join([*texts.SPECIALS, "the", "the ", "the\t", ""]).encode())
    core = cores.get(name, "--vocab", path)
    assert core.ask(TOKENIZE | {"text": "the"})["ids"] == [len(texts.SPECIALS)]


@pytest.mark.parametrize("name", CORES)
def test_a_vocabulary_without_a_mask_has_none_to_find(cores, name, tmp_path):
    pieces = [*texts.SPECIALS[:4], "mask", "[", "]"]
    path = texts.write_vocabulary(tmp_path / "vocab.txt", pieces)
    ids = cores.get(name, "--vocab", path).ask(TOKENIZE | {"text": "[MASK][SEP]"})["ids"]
    assert [pieces[number] for number in ids] == ["[", "mask", "]", "[SEP]"]


@pytest.mark.parametrize("name", CORES)
def test_the_end_of_input_in_the_middle_of_a_line(name, vocab):
    core = Core(name, "--vocab", str(vocab))
    core._input.write(b'{"op": "statistics", "samples": [1]}')
    core._input.flush()
    core._input.close()
    assert b'"count"' in core._output.read()
    assert core._process.wait(timeout=60) == 0


def test_times_are_one_for_each_repetition(core):
    answer = core.ask({"op": "time", "text": "the river", "repeat": 3})
    assert answer["tokens"] == 2
    assert len(answer["nanoseconds"]) == 3
    answer = core.ask(DECODE | {"op": "time_decode", "repeat": 2})
    assert len(answer["nanoseconds"]) == 2


@hypothesis.given(
    put=st.dictionaries(
        st.sampled_from(["op", "text", "question", "context", "options", "windows", "samples"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.sampled_from(["tokenize", "windows", "decode", "statistics", "goldens"])
            | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from([*OPTIONS, "offsets"]), inner, max_size=4)
            ),
            max_leaves=8,
        ),
        max_size=5,
    )
)
@hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_any_object_is_answered(core, put):
    answer = core.ask(put)
    assert ("error" in answer) == ("message" in answer)
    if "error" in answer:
        assert answer["error"] in {
            *("bad_request", "empty_question", "empty_context", "not_finite"),
            *("missing_file", "bad_manifest"),
        }
    assert difference(core.ask({"op": "statistics", "samples": [1]})["count"], 1) is None
