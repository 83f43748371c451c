"""The cores, Python's side, and the vocabulary that they share."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

from tests.mobile import texts
from tests.mobile.cores import ROOT, Core, Cores
from tests.mobile.reference import Reference

# The generator and the specification are scripts beside the contract, no package.
sys.path.insert(0, str(ROOT / "mobile_demo/contract"))

# What the command line calls (lowercase, strip_accents).
MODES = {
    (True, True): (),
    (True, False): ("--keep-accents",),
    (False, True): ("--cased",),
    (False, False): ("--cased", "--keep-accents"),
}


@pytest.fixture(scope="session")
def cores():
    running = Cores()
    yield running
    running.close()


@pytest.fixture(scope="session")
def vocab(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    return texts.write_vocabulary(place, texts.vocabulary())


@pytest.fixture(scope="session")
def references(vocab):
    """Return a function from (lowercase, strip_accents) to Python's side."""

    @functools.cache
    def get(lowercase: bool, strip_accents: bool) -> Reference:
        return Reference(vocab, lowercase=lowercase, strip_accents=strip_accents)

    return get


@pytest.fixture(scope="session")
def reference(references) -> Reference:
    return references(True, True)


@pytest.fixture(params=["swift", "kotlin"])
def core(request, cores, vocab) -> Core:
    """Each core over the vocabulary, uncased."""
    return cores.get(request.param, "--vocab", vocab)
