"""Each core chooses Python's spans, and counts statistics as NumPy does."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tests.mobile.reference import decode, difference, statistics

OPTIONS = {"max_length": 64, "doc_stride": 8, "max_query": 16, "max_answer": 30, "n_best": 20}
CONTEXT = "Ada 👩\u200d👧 met e\u0301te\u0301 in 東京 on Monday, \ud800 then left " * 4

# What JSON can hold of a float32 logit, coarse (many equal sums) and fine.
COARSE = st.integers(-4, 4).map(lambda number: number / 2)
FINE = st.floats(-1e4, 1e4, width=32)
# A sum of two is still finite.
HUGE = st.floats(-(2.0**126), 2.0**126, width=32)


@st.composite
def decode_requests(draw, logits):
    """Windows with places anywhere in the context, and marks anywhere in the windows."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        before, size, after = (draw(st.integers(*bounds)) for bounds in ((1, 5), (1, 12), (1, 3)))
        places = draw(
            st.lists(st.integers(0, len(CONTEXT)), min_size=2 * size, max_size=2 * size).map(sorted)
        )
        total = before + size + after
        marks = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
        marks[draw(st.integers(0, size - 1))] = 1
        values = st.lists(logits, min_size=total, max_size=total)
        rows.append(
            {
                "offsets": [
                    *[[0, 0]] * before,
                    *map(list, zip(places[::2], places[1::2], strict=True)),
                    *[[0, 0]] * after,
                ],
                "context": [before, before + size],
                "max_context": [*[0] * before, *marks, *[0] * after],
                "start_logits": draw(values),
                "end_logits": draw(values),
            }
        )
    numbers = {"max_answer": draw(st.integers(1, 14)), "n_best": draw(st.integers(1, 40))}
    return request(rows, **numbers)


def request(rows, context=CONTEXT, **options):
    return {"op": "decode", "context": context, "options": OPTIONS | options, "windows": rows}


def window(starts, ends, size=None):
    """One window of words of two code points; logits by word."""
    size = size or len(starts)
    return {
        "offsets": [[0, 0], *([2 * i, 2 * i + 1] for i in range(size)), [0, 0]],
        "context": [1, size + 1],
        "max_context": [0, *[1] * size, 0],
        "start_logits": [0.0, *starts, 0.0],
        "end_logits": [0.0, *ends, 0.0],
    }


def assert_same(core, put):
    found = difference(core.ask(put), decode(put))
    assert found is None, f"{core.name}: {put}: {found}"


@pytest.mark.parametrize("logits", [COARSE, FINE, HUGE], ids=["coarse", "fine", "huge"])
@hypothesis.given(data=st.data())
@hypothesis.settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_any_logits(core, logits, data):
    assert_same(core, data.draw(decode_requests(logits)))


def test_a_sum_is_rounded_to_float32_before_it_is_compared(core):
    """In float64 the second start would be better; in float32 both sums are equal."""
    big = float(np.float32(2**24))
    assert_same(core, request([window([big, big], [0.5, 1.0])], max_answer=1))


def test_real_sizes(core):
    source = np.random.default_rng(5)
    rows = [
        window(*source.normal(0, 3, (2, 300)).astype(np.float32).astype(float).tolist())
        for _ in range(6)
    ]
    context = "x" * 700
    assert_same(core, request(rows, context, max_answer=30, n_best=20))
    assert_same(core, request(rows, context, max_answer=1000, n_best=1000))


@pytest.mark.parametrize("logit", [None, 1e39, -1e39])
@pytest.mark.parametrize("key", ["start_logits", "end_logits"])
@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_logit_that_is_not_finite(core, key, place, logit):
    """Anywhere in the window: at a special token too. 1e39 is infinite in float32."""
    row = window([1.0, 2.0], [1.0, 2.0])
    row[key][place] = logit
    with np.errstate(over="ignore"):
        assert decode(request([row])) == {"error": "not_finite"}
    assert core.ask(request([row]))["error"] == "not_finite"


def test_padding_after_the_window_counts_for_nothing(core):
    row = window([1.0, 2.0], [1.0, 2.0])
    row["start_logits"] += [90.0, None]
    row["end_logits"] += [90.0, None]
    assert_same(core, request([row]))


def test_a_text_is_cut_by_code_points(core):
    row = window([0.0], [0.0])
    row["offsets"][1] = [1, 4]
    answer = core.ask(request([row], context="a👩\u200d👧b"))["answers"][0]
    assert (answer["text"], answer["start"], answer["end"]) == ("👩\u200d👧", 1, 4)
    assert answer["probability"] == 1


@hypothesis.given(
    samples=st.lists(st.floats(0, 1e12, allow_subnormal=False), min_size=1, max_size=60)
)
@hypothesis.settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_statistics(core, samples):
    put = {"op": "statistics", "samples": samples}
    found = difference(core.ask(put), statistics(put))
    assert found is None, f"{core.name}: {samples}: {found}"


def test_statistics_of_whole_numbers(core):
    put = {"op": "statistics", "samples": [3, 1, 2]}
    assert difference(core.ask(put), statistics(put)) is None


@pytest.mark.parametrize("samples", [[1.7e308, 1.7e308], [-1.7e308, 1.7e308]], ids=str)
def test_statistics_that_are_out_of_range(core, samples):
    answer = core.ask({"op": "statistics", "samples": samples})
    assert answer["error"] == "bad_request"


@pytest.mark.parametrize("samples", [[], [None], ["1"], 3, [[1]], [True]])
def test_statistics_of_nothing(core, samples):
    answer = core.ask({"op": "statistics", "samples": samples})
    assert answer["error"] == "bad_request"
