"""Cyclic garbage is collected after a block, not in it, and the collector is left as it was."""

from __future__ import annotations

import ctypes
import gc
import weakref

import pytest

from ondevice import garbage


class Cycle:
    """Refers to itself: only the collector lets go of it."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def collector():
    """Leave the collector enabled and nothing frozen, whatever a test did."""
    yield
    gc.unfreeze()
    gc.enable()


def test_what_the_block_leaves_behind_is_collected_once_it_ends():
    with garbage.collected_after():
        assert not gc.isenabled()
        left = weakref.ref(Cycle())
        assert left() is not None
    assert left() is None
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with garbage.collected_after():
        pass
    assert not gc.isenabled()


def test_an_error_leaves_the_collector_on():
    with pytest.raises(ValueError, match="broken"), garbage.collected_after():
        raise ValueError("broken")
    assert gc.isenabled()


def test_a_c_library_without_trimming_is_left_alone(monkeypatch):
    asked = []

    def library(name):
        asked.append(name)
        return object()

    monkeypatch.setattr(ctypes, "CDLL", library)
    garbage.trim()
    assert asked == [None]
