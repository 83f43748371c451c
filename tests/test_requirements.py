"""Missing requirements skip a test, unless the run promised to have them."""

from __future__ import annotations

import pytest

from tests import requirements


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(requirements.MODULES, "package", ("no_such_package",))
    monkeypatch.setitem(requirements.EXECUTABLES, "program", ("no-such-program",))
    monkeypatch.setitem(requirements.EXECUTABLES, "shell", ("sh",))
    monkeypatch.delenv("ONDEVICE_REQUIRE", raising=False)


@pytest.mark.parametrize("word", ["package", "program"])
def test_missing(word: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(pytest.skip.Exception, match=f"{word} needs .* not installed: no.such"):
        requirements.need(word)
    monkeypatch.setenv("ONDEVICE_REQUIRE", f"shell, {word}")
    with pytest.raises(pytest.fail.Exception, match=f"no.such.{word}"):
        requirements.need(word)


def test_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ONDEVICE_REQUIRE", "shell")
    requirements.need("shell")


def test_an_unknown_word_is_a_mistake():
    with pytest.raises(KeyError):
        requirements.need("no-such-word")
