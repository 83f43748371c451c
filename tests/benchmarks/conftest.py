"""The scripts of ``benchmarks/`` import each other by name, as they do on the command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a script of ``benchmarks/`` by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def run(monkeypatch, load):
    """Return a function that runs a script with a command line; returns its exit code."""

    def call(name, *words):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        return load("commands").run(load(name).main)

    return call
