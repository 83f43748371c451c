"""Packages hidden from a library that imports whatever it finds."""

from __future__ import annotations

import sys

import pytest

from ondevice.targets._hidden import hidden


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two packages that can be imported, of which the second is already."""
    for name in ("hidden_one", "hidden_two"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    import hidden_two

    yield hidden_two
    for name in ("hidden_one", "hidden_two"):
        sys.modules.pop(name, None)


def test_what_is_hidden_is_not_installed_until_the_block_ends(packages):
    with hidden("hidden_one", "hidden_two"), pytest.raises(ModuleNotFoundError):
        import hidden_one
    import hidden_one

    assert sys.modules["hidden_one"] is hidden_one


def test_what_is_imported_already_stays(packages):
    with hidden("hidden_one", "hidden_two"):
        assert sys.modules["hidden_two"] is packages
    assert sys.modules["hidden_two"] is packages


def test_an_error_in_the_block_hides_nothing_for_good():
    with pytest.raises(ValueError, match="broken"), hidden("hidden_one"):
        raise ValueError("broken")
    assert "hidden_one" not in sys.modules
