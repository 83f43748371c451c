"""Each core cuts a pair into Python's windows."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from ondevice import samples
from ondevice.tasks.qa import QAOptions
from tests.mobile import texts
from tests.mobile.reference import difference


def windows(question, context, **options):
    values = {"max_length": 32, "doc_stride": 8, "max_query": 16, "max_answer": 30, "n_best": 20}
    return {
        "op": "windows",
        "question": question,
        "context": context,
        "options": values | options,
    }


def assert_same(core, reference, requests):
    for request, answer in zip(requests, core.ask_all(requests), strict=True):
        found = difference(answer, reference.ask(request))
        assert found is None, f"{core.name}: {ascii(request)[:2000]}: {found}"


@st.composite
def window_options(draw):
    """Options that fit, and some that leave no room."""
    max_length = draw(st.integers(13, 80))
    return {
        "max_length": max_length,
        "doc_stride": draw(st.integers(0, max_length + 5)),
        "max_query": draw(st.integers(1, max_length - 11)),
        "max_answer": draw(st.integers(1, 40)),
        "n_best": draw(st.integers(1, 30)),
    }


@hypothesis.given(
    question=texts.any_text(),
    context=st.lists(texts.any_text(), max_size=12).map(" ".join),
    options=window_options(),
)
@hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_any_pair(core, reference, question, context, options):
    assert_same(core, reference, [windows(question, context, **options)])


@pytest.mark.parametrize("length", [24, 64, 128, 384])
def test_real_passages(core, reference, length):
    options = vars(QAOptions.for_length(length)).copy()
    del options["null_threshold"]
    pairs = samples.pairs("qa")[::7]
    long = "\n\n".join(samples.texts())[:8000]
    requests = [windows(question, context, **options) for question, context in pairs]
    assert_same(core, reference, [*requests, windows(pairs[0][0], long, **options)])


@pytest.mark.parametrize("tokens", range(12, 75))
def test_each_number_of_tokens(core, reference, tokens):
    """The last window is where implementations differ: it may hold one token, or repeat all."""
    context = " ".join("abcdefghij"[i % 10] for i in range(tokens))
    requests = [
        windows("who?", context, max_length=length, doc_stride=stride, max_query=4)
        for length in (16, 17, 30)
        for stride in (0, 1, 5, 12, 99)
    ]
    assert_same(core, reference, requests)


@pytest.mark.parametrize(
    "question",
    [
        "한글 " * 9,  # letters that share a place: more tokens than max_query after the cut
        "\u1b06\u1b12" * 9,
        "e\u0301\u0323\u302e\U0001d165" * 9,  # the cut falls among marks that change places
        "[SEP][SEP][CLS] " * 6,
        "x" * 200 + " who",
        "who? " * 40,
        "東京" * 30,
    ],
)
@pytest.mark.parametrize("max_query", [1, 2, 3, 7, 16])
def test_long_questions_are_cut_as_texts(core, reference, question, max_query):
    context = "the river is long and the city is old, " * 3
    assert_same(core, reference, [windows(question, context, max_query=max_query)])


@pytest.mark.parametrize(
    "repeat", [2_000, pytest.param(25_000, marks=pytest.mark.slow)], ids=["85 kB", "1 MB"]
)
def test_a_long_context(core, reference, repeat):
    context = "The river Ωmega is 5 km long; 東京 is not. " * repeat
    assert_same(core, reference, [windows("how long?", context, max_length=384, doc_stride=32)])


def test_unpaired_surrogates_are_one_code_point(core, reference):
    request = windows("what \ud800?", "a\udc00b \ud83d\ude00 the \ude00\ud83d river")
    (window,) = core.ask(request)["windows"]
    assert_same(core, reference, [request])
    first, last = window["context"]
    # "a", a surrogate, "b"; a space; one emoji, written in two escapes; …
    assert window["offsets"][first] == [0, 3]
    assert window["offsets"][first + 1] == [4, 5]
    assert window["utf16_offsets"][first + 1] == [4, 6]
    assert last - first == 4
