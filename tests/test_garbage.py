"""Cyclic garbage is collected after a block, not in it, and the collector is left as it was."""

from __future__ import annotations

import ctypes
import gc
import importlib
import weakref

import pytest

from ondevice import garbage
from tests.requirements import need


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


class Keeper:
    """As a package's matcher, made at its import, that remembers the last graph."""

    last = None


@pytest.mark.parametrize("made", ["before", "in"])
def test_what_a_package_remembers_is_let_go(monkeypatch, made):
    monkeypatch.setattr(garbage, "_KEEPERS", {(__name__, "Keeper"): ("last", "absent")})
    keeper = Keeper() if made == "before" else None
    with garbage.collected_after():
        keeper = keeper or Keeper()
        keeper.last = Cycle()
        left = weakref.ref(keeper.last)
    assert left() is None
    assert not hasattr(keeper, "absent")


def test_every_keeper_is_where_it_is_looked_for():
    """Else nothing is let go, and nobody would notice but by the memory."""
    for module, name in garbage._KEEPERS:
        need({"onnxscript": "onnx"}.get(module.split(".")[0], module.split(".")[0]))
        assert isinstance(getattr(importlib.import_module(module), name), type)
    need("executorch")
    place = importlib.import_module("executorch.exir.backend.utils")
    assert callable(place.is_same_node.cache_clear)
    place = importlib.import_module("torch.fx.experimental.proxy_tensor")
    assert isinstance(place._FAKE_TENSOR_ID_TO_PROXY_MAP_FOR_EXPORT, dict)
