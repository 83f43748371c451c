"""What the schemes of one build share: the last lowering, used again and never altered."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import pytest

from ondevice import garbage
from ondevice.bundle import hash_artifact
from ondevice.schemes import SCHEMES
from ondevice.targets import TARGETS
from ondevice.targets.base import ConvertOptions, LastLowered
from tests.conftest import WIDTH
from tests.requirements import need
from tests.targets.conftest import LABELS, Texts, load_graph


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.shares])
def test_sharing_changes_no_byte(graph_of, tmp_path, name):
    """Each scheme after others that were finished from the same, against each on its own."""
    need(name)
    target, graph, kept = TARGETS[name], graph_of("bert", "qa"), LastLowered()

    def convert(scheme, place, kept=None):
        texts = Texts(graph) if SCHEMES[scheme].takes_texts else None
        options = ConvertOptions(scheme, (16,), LABELS, calibration=texts)
        path = tmp_path / f"{place}-{scheme}-{target.file}"
        return target.convert(graph, options, path, kept), hash_artifact(path)

    # Without Core ML's palettes, whose k-means takes minutes on a busy machine.
    schemes = [scheme for scheme in target.schemes if not scheme.startswith("pal")]
    alone = {scheme: convert(scheme, "alone") for scheme in schemes}
    assert len({digest for _, digest in alone.values()}) == len(schemes)
    # The last first, so that none is finished from what it lowered itself alone.
    assert {scheme: convert(scheme, "shared", kept) for scheme in schemes[::-1]} == alone


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["fp32", "int8"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_conversion_lets_go_of_the_weights(tiny, tmp_path, name, scheme):
    """Packages keep the last graph or all, which would add up over a build of all targets."""
    need(name)
    target = TARGETS[name]
    graph = load_graph(tiny("bert", "qa"), target.form())
    weight = weakref.ref(graph.module.embeddings.words.weight)
    before = [weakref.ref(each) for each in matrices()]
    with garbage.collected_after():
        target.convert(graph, ConvertOptions(scheme, (16,), LABELS), tmp_path / target.file)
        del graph
    assert weight() is None
    kept = [reference() for reference in before]
    assert [each.shape for each in matrices() if not any(each is one for one in kept)] == []


def matrices():
    """Return all tensors that hold data and are as large as a matrix of the model."""
    import torch

    kinds = (torch.Tensor, torch.nn.Parameter)
    found = [each for each in gc.get_objects() if type(each) in kinds and each.device.type == "cpu"]
    return [each for each in found if each.numel() >= WIDTH * WIDTH]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_only_compensated_weights_are_a_lowering_of_their_own(scheme):
    """Palettes take the weights as they are: they share what fp16 was lowered to."""
    made_for = ConvertOptions(scheme, (16,), LABELS).weights_made_for
    assert (made_for is not None) == SCHEMES[scheme].compensated


class Weights:
    """Stands for what was lowered."""


class Graph:
    """Stands for a graph."""


@pytest.fixture
def counted():
    """Return a target that counts what it lowers, and a function that asks for a lowering."""
    made = []

    def lower(graph, options):
        made.append(weakref.ref(weights := Weights()))
        # What came before is gone: two would be twice the memory.
        assert sum(one() is not None for one in made) == 1
        return weights

    target = dataclasses.replace(
        TARGETS["onnx"], lower=lower, shares=lambda options: options.scheme == "fp16"
    )
    kept = LastLowered()

    def ask(graph, scheme="fp32", lengths=(16,), target=target):
        kept.get(target, graph, ConvertOptions(scheme, lengths, LABELS))
        return len(made)

    return target, ask


def test_schemes_with_an_equal_key_are_lowered_once(counted):
    _, ask = counted
    graph = Graph()
    assert [ask(graph, scheme) for scheme in ("fp32", "int8", "int4")] == [1, 1, 1]
    assert [ask(graph, scheme) for scheme in ("fp16", "fp32")] == [2, 3]


def test_another_graph_other_lengths_and_another_target_are_lowered_anew(counted):
    target, ask = counted
    graph = Graph()
    assert [ask(graph), ask(Graph()), ask(graph), ask(graph, lengths=(16, 32))] == [1, 2, 3, 4]
    other = dataclasses.replace(target, name="other")
    assert ask(graph, lengths=(16, 32), target=other) == 5


def test_a_target_that_shares_nothing_keeps_nothing(counted):
    target, ask = counted
    alone = dataclasses.replace(target, shares=None)
    graph = Graph()
    assert [ask(graph, target=alone), ask(graph, target=alone)] == [1, 2]
