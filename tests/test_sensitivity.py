"""Sensitivity: what is measured, that the graph ends as it began, notes, and the choice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ondevice import sensitivity
from ondevice.parts import part_names, shape_of
from ondevice.sensitivity import Measured, Part, Ranking, choose, measure
from ondevice.storage import FLOAT32, Storage
from tests.conftest import random_inputs
from tests.requirements import need

need("checkpoint")

FOUR = Storage(4, block=16, scale_bits=16)
EIGHT = Storage(8)


@pytest.fixture(scope="module")
def graph_of(tiny):
    from ondevice import graph, models

    def get(task):
        return graph.from_checkpoint(models.load(str(tiny("bert", task))))

    return get


def parts_of(tiny, task="qa", storage=FOUR):
    from ondevice import models

    checkpoint = models.load(str(tiny("bert", task)))
    encoder, head = checkpoint.encoder, checkpoint.head
    return [
        Part(name, *shape_of(encoder, head, name), storage, EIGHT)
        for name in part_names(encoder, head)
    ]


def texts_for(graph, count=4):
    return [
        random_inputs(graph.inputs, 16, graph.encoder.vocab_size, valid=16, seed=seed)
        for seed in range(count)
    ]


@pytest.mark.parametrize("task", ["qa", "tokens", "classify", "embed"])
def test_every_part_and_layer_is_measured_and_the_graph_left_alone(graph_of, tiny, task):

    graph, parts = graph_of(task), parts_of(tiny, task)
    before = {name: value.clone() for name, value in graph.module.state_dict().items()}
    told = []
    ranking = measure(graph, parts, texts_for(graph), tell=lambda *at: told.append(at))
    assert {one.name for one in ranking.parts} == {part.name for part in parts}
    assert [one.name for one in ranking.layers] == ["layers.0", "layers.1"]
    assert len(ranking.layers[0].parts) == 6
    errors = [one.error for one in ranking.parts]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] > 0
    assert ranking.everything.error > min(one.error for one in ranking.layers)
    assert told[-1] == (len(parts) + 3, len(parts) + 3)
    for name, value in graph.module.state_dict().items():
        assert value.equal(before[name]), name


@pytest.mark.parametrize("task", ["qa", "embed"])
def test_what_stands_before_a_part_is_not_computed_anew_and_nothing_differs(graph_of, tiny, task):
    import torch

    graph, parts = graph_of(task), parts_of(tiny, task)
    texts = texts_for(graph)
    meter = sensitivity._Meter(graph, texts)
    for part in parts:
        ours = meter.error({part.name: part.storage})
        plain = sensitivity._Meter(graph, texts)
        with torch.no_grad():
            before = [graph.module(*inputs) for inputs in plain.texts]
            with sensitivity._rounded(graph, {part.name: part.storage}):
                after = [graph.module(*inputs) for inputs in plain.texts]
        errors = [sensitivity._distance(task, *pair) for pair in zip(before, after, strict=True)]
        assert ours == sum(errors) / len(errors)
        assert ours > 0
    places = [meter._place(part.name) for part in parts]
    assert set(places) == {-1, 0, 1, *({2} if task == "qa" else ())}


def test_more_bits_are_less_error(graph_of, tiny):
    graph = graph_of("qa")
    texts = texts_for(graph)

    def error(storage):
        ranking = measure(graph, parts_of(tiny, storage=storage), texts)
        return ranking.everything.error

    four, eight, floats = (error(storage) for storage in (FOUR, EIGHT, FLOAT32))
    assert four > 20 * eight > 0
    assert floats == 0


def test_a_part_that_hurts_more_ranks_higher(graph_of, tiny):
    graph = graph_of("qa")
    coarse = [
        dataclasses.replace(part, storage=Storage(2))
        if part.name == "layers.1.attention.value"
        else dataclasses.replace(part, storage=EIGHT)
        for part in parts_of(tiny)
    ]
    ranking = measure(graph, coarse, texts_for(graph))
    assert ranking.parts[0].name == "layers.1.attention.value"
    assert ranking.layers[1].error > ranking.layers[0].error


def test_what_was_measured_is_found_again(graph_of, tiny, tmp_path, monkeypatch):
    graph, parts = graph_of("qa"), parts_of(tiny)
    texts = texts_for(graph)
    first = measure(graph, parts, texts, notes=tmp_path)
    notes = sorted(tmp_path.iterdir())
    assert len(notes) == len(parts) + 3
    notes[0].write_text("damaged")
    measured = []
    real = sensitivity._Meter.error

    def error(meter, storages):
        measured.append(tuple(storages))
        return real(meter, storages)

    monkeypatch.setattr(sensitivity._Meter, "error", error)
    assert measure(graph, parts, texts, notes=tmp_path) == first
    assert len(measured) == 1, "only the damaged note"
    measure(graph, parts, texts_for(graph, 3), notes=tmp_path)
    assert len(measured) == 1 + len(notes), "other texts are another measurement"
    measure(graph, parts_of(tiny, storage=EIGHT), texts, notes=tmp_path)
    assert len(measured) == 1 + 2 * len(notes), "so is another storage"


def test_another_computation_with_the_same_weights_is_another_measurement(graph_of, tiny, tmp_path):
    from dataclasses import replace

    graph, parts = graph_of("qa"), parts_of(tiny)
    texts = texts_for(graph)
    measure(graph, parts, texts, notes=tmp_path)
    before = len(list(tmp_path.iterdir()))
    other = replace(graph, encoder=replace(graph.encoder, layer_norm_eps=1e-3))
    measure(other, parts, texts, notes=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * before


def test_notes_that_cannot_be_written_do_no_harm(graph_of, tiny, tmp_path):
    graph = graph_of("qa")
    (tmp_path / "file").write_text("")
    ranking = measure(graph, parts_of(tiny)[:1], texts_for(graph), notes=tmp_path / "file")
    assert ranking.parts[0].error > 0


def made(errors, sizes):
    """A ranking and parts by hand: columns decide what keeping a part adds, half a byte each."""
    parts = [
        Part(name, 1, 2 * size, Storage(4, scale_bits=0), Storage(8, scale_bits=0))
        for name, size in sizes.items()
    ]
    ranked = tuple(Measured(name, (name,), error) for name, error in errors.items())
    return Ranking(ranked, (), Measured("everything", tuple(errors), 1.0)), parts


@pytest.mark.parametrize(
    ("budget", "kept"),
    [
        (0, ()),
        (9, ()),
        (10, ("small",)),
        (99, ("small",)),
        # Not "large", though its error is the largest: two others take away more for its bytes.
        (110, ("small", "middle")),
        (1000, ("small", "middle")),
        (1110, ("large", "small", "middle")),
    ],
)
def test_parts_are_kept_by_error_for_the_bytes_that_they_add(budget, kept):
    ranking, parts = made(
        {"large": 0.5, "middle": 0.3, "small": 0.2}, {"large": 1000, "small": 10, "middle": 100}
    )
    assert choose(ranking, parts, budget) == kept


def test_what_keeping_does_not_change_is_not_kept():
    ranking, parts = made({"one": 1.0}, {"one": 10})
    same = [dataclasses.replace(part, kept=part.storage) for part in parts]
    assert choose(ranking, same, 1000) == ()


def test_the_error_is_the_divergence_of_the_answers(graph_of):
    import torch

    before = (torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    after = (torch.tensor([[1.0, 0.5, -1.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    p, q = (np.exp(x[0][0].numpy()) / np.exp(x[0][0].numpy()).sum() for x in (before, after))
    expected = float((p * np.log(p / q)).sum()) / 2
    assert sensitivity._distance("qa", before, after) == pytest.approx(expected, rel=1e-5)
    # A constant added to all scores changes no answer.
    shifted = tuple(one + 7 for one in before)
    assert sensitivity._distance("qa", before, shifted) == pytest.approx(0, abs=1e-9)
