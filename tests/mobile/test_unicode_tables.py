"""The generated tables are fresh, and WordPiece from them alone is the reference's."""

from __future__ import annotations

import random

import hypothesis
import pytest

from tests.mobile import texts
from tests.mobile.conftest import MODES
from tests.mobile.reference import paired


@pytest.fixture(scope="module")
def generator():
    import unicode_tables

    return unicode_tables


@pytest.fixture(scope="module")
def tables(generator):
    """The tables as they stand in the files, not as the generator has them."""
    from reference_wordpiece import UnicodeTables

    swift, kotlin = (
        generator.read_texts(path.read_text(encoding="utf-8"))
        for path in (generator.SWIFT, generator.KOTLIN)
    )
    assert swift == kotlin
    assert all(swift[name] for name in ("properties", "combining", "lowercase", "decomposition"))
    return UnicodeTables.read(swift)


@pytest.fixture(scope="module", params=MODES, ids=str)
def both(request, tables, references):
    """The specification and the reference, in one mode."""
    from reference_wordpiece import WordPiece

    reference = references(*request.param)
    return WordPiece(tables, reference.vocabulary, *request.param), reference


def assert_same(both, text):
    specification, reference = both
    wanted = reference.tokenize({"text": text})
    found = specification.tokenize(paired(text))
    assert [token for token, _, _ in found] == wanted["ids"], ascii(text)
    assert [[start, end] for _, start, end in found] == wanted["offsets"], ascii(text)


@pytest.mark.slow
def test_generating_again_gives_the_same_files(generator):
    texts_of_tables = generator.encode(generator.probe())
    for path, template in generator.FILES.items():
        assert path.read_text(encoding="utf-8") == generator.render(template, texts_of_tables)


def test_the_specification_agrees_on_the_traps(both):
    for text in texts.fixed():
        assert_same(both, text)


@hypothesis.given(text=texts.any_text())
@hypothesis.settings(max_examples=100, deadline=None)
def test_the_specification_agrees_on_any_text(both, text):
    assert_same(both, text)


@pytest.mark.slow
def test_the_specification_agrees_on_many_texts(both):
    source = random.Random(1)
    for _ in range(4000):
        assert_same(both, texts.random_text(source, source.randrange(1, 40)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REMOVED", "a\u200bb"),
        ("SPACE", "the\u3000river"),
        ("PUNCTUATION", "a+b"),
        ("IDEOGRAPH", "a一b"),
        ("MARK", "e\u0308"),
    ],
)
def test_a_missing_property_is_noticed(name, text, both, tables, monkeypatch):
    """What the agreement above is worth: each property makes a difference."""
    import reference_wordpiece

    specification, reference = both
    assert_same(both, text)
    monkeypatch.setattr(reference_wordpiece, name, 0)
    found = [token for token, _, _ in specification.tokenize(text)]
    same = found == reference.tokenize({"text": text})["ids"]
    assert same == (name == "MARK" and not specification.strip_accents)


def test_marks_that_change_places_wear_each_others_places(tables):
    from reference_wordpiece import WordPiece

    # U+302E (class 224) is kept and stands after U+1D165 (class 216) in NFD.
    placed = WordPiece(tables, {}).normalize("a\u302e\U0001d165")
    assert placed == [("a", 0), ("\U0001d165", 1), ("\u302e", 2)]
