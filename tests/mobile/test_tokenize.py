"""Each core's tokens and places are Python's."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.mobile import texts
from tests.mobile.conftest import MODES
from tests.mobile.cores import CORES
from tests.mobile.reference import difference


@pytest.fixture(scope="module", params=[(core, mode) for core in CORES for mode in MODES], ids=str)
def both(request, cores, references, vocab):
    """A core and Python's side, in one mode."""
    name, mode = request.param
    return cores.get(name, "--vocab", vocab, *MODES[mode]), references(*mode)


def assert_same(both, requests):
    core, reference = both
    for request, answer in zip(requests, core.ask_all(requests), strict=True):
        found = difference(answer, reference.ask(request))
        assert found is None, f"{core.name}: {ascii(request)[:2000]}: {found}"


def tokenize(text):
    return {"op": "tokenize", "text": text}


def test_the_traps(both):
    assert_same(both, [tokenize(text) for text in texts.fixed()])


@hypothesis.given(several=st.lists(texts.any_text(), min_size=1, max_size=8))
@hypothesis.settings(max_examples=40, deadline=None)
def test_any_text(both, several):
    assert_same(both, [tokenize(text) for text in several])


@pytest.mark.slow
def test_every_code_point_between_letters(both):
    """All of them, surrogates too: what one table lacks shows here."""
    points = [chr(point) for point in range(0x110000)]
    size = 4096
    chunks = ["a".join(points[begin : begin + size]) for begin in range(0, len(points), size)]
    assert_same(both, [tokenize(chunk) for chunk in chunks])


def slow(unit):
    return pytest.param(unit, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "unit",
    ["the river ", "\u0301", slow("é"), slow("東"), slow("[SEP]"), slow("\ud800"), slow("x")],
)
def test_a_megabyte(core, reference, unit):
    text = unit * (2**20 // len(unit.encode("utf-8", "surrogatepass")))
    assert_same((core, reference), [tokenize(text)])
