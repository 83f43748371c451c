"""Compensated rounding: a layer's product moves less, on a grid that libraries find again."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from ondevice.storage import Storage
from tests.requirements import need

need("checkpoint")

import torch  # noqa: E402

from ondevice import compensation  # noqa: E402
from ondevice.compensation import compensated  # noqa: E402
from ondevice.rounding import clipped, rounded  # noqa: E402
from ondevice.targets import TARGETS  # noqa: E402

STORAGES = [
    Storage(4, "absmax", 32),
    Storage(4, "split", 32),
    Storage(4, "affine", 64),
    Storage(4, "absmax"),
    Storage(3, "affine"),
]


TABLES = Storage(4, "table", rows=8)


@pytest.fixture
def made():
    """A matrix with some large weights, and inputs that hang together."""
    torch.manual_seed(0)
    weight = torch.randn(24, 96) * (1 + 3 * (torch.rand(24, 96) > 0.98))
    inputs = torch.randn(300, 12) @ torch.randn(12, 96) + 0.2 * torch.randn(300, 96)
    return weight, inputs


@pytest.mark.parametrize("storage", [*STORAGES, TABLES])
def test_the_product_moves_less_than_under_plain_rounding(made, storage):
    weight, inputs = made
    after = compensated(weight, inputs.T @ inputs, storage)
    moved = (inputs @ (after - weight).T).norm()
    plain = (inputs @ (rounded(weight, storage) - weight).T).norm()
    assert moved < 0.6 * plain


@pytest.mark.parametrize("storage", STORAGES)
def test_rounding_again_finds_the_same_weights(made, storage):
    weight, inputs = made
    after = compensated(weight, inputs.T @ inputs, storage)
    torch.testing.assert_close(rounded(after, storage), after, rtol=0, atol=1e-5)


def test_each_group_of_rows_has_the_values_of_its_table(made):
    weight, inputs = made
    after = compensated(weight, inputs.T @ inputs, TABLES)
    for group in after.split(8):
        assert len(group.unique()) == 16
    assert after.equal(after.half().float())


@pytest.mark.parametrize("storage", STORAGES)
def test_matrices_of_zeros_and_dead_inputs_are_no_trouble(storage):
    zeros = torch.zeros(4, 96)
    assert torch.equal(compensated(zeros, torch.zeros(96, 96), storage), zeros)
    positive = torch.rand(4, 96) + 0.1
    after = compensated(positive, torch.eye(96), storage)
    torch.testing.assert_close(rounded(after, storage), after, rtol=0, atol=1e-5)


@pytest.mark.parametrize("storage", [*STORAGES, Storage(4, "signed", 48)])
def test_cutting_off_brings_rounding_nearer(made, storage):
    weight, _ = made
    before = (rounded(weight, storage) - weight).square().sum()
    after = (rounded(clipped(weight, storage), storage) - weight).square().sum()
    assert after < 0.97 * before


def test_nothing_is_cut_off_at_8_bits_or_in_tables(made):
    weight, _ = made
    for storage in (Storage(8), Storage(4, "table", -1), Storage(32, "none")):
        assert clipped(weight, storage) is weight


def prepared_of(graph, storage, texts, folds=None):
    return compensation.prepared(graph, lambda part: storage[part], texts, folds)


@pytest.fixture(scope="module", params=list(TARGETS))
def graph(tiny, request):
    """A graph as a target writes it: attention takes its mask in another rank in some forms."""
    from ondevice import graph, models

    form = TARGETS[request.param].form()
    return graph.from_checkpoint(models.load(str(tiny("bert", "qa"))), form)


@pytest.fixture(scope="module")
def texts(graph):
    generator = torch.Generator().manual_seed(0)
    return [
        tuple(
            torch.randint(0, size, (1, 24), generator=generator, dtype=torch.int32)
            for size in (graph.encoder.vocab_size, 2, 2)
        )
        for _ in range(24)
    ]


def storages(graph, storage):
    from torch import nn

    kinds = (nn.Linear, nn.Embedding)
    return {
        name: Storage(8) if name == "head.scores" else storage
        for name, part in graph.module.named_modules()
        if isinstance(part, kinds)
    }


def test_a_graph_that_is_rounded_afterwards_moves_less(graph, texts):
    storage = storages(graph, Storage(4, "absmax", 32))

    def moved(module):
        with torch.no_grad():
            pairs = [(graph.module(*text), module(*text)) for text in texts]
        return sum(
            float((a - b).square().sum()) for x, y in pairs for a, b in zip(x, y, strict=True)
        )

    def all_rounded(given):
        import copy

        module = copy.deepcopy(given.module)
        for name, how in storage.items():
            part = module.get_submodule(name)
            part.weight.data = rounded(part.weight.data, how)
        return module

    before = {name: value.clone() for name, value in graph.module.state_dict().items()}
    prepared = prepared_of(graph, storage, texts)
    assert moved(all_rounded(prepared)) < 0.7 * moved(all_rounded(graph))
    for name, value in graph.module.state_dict().items():
        assert value.equal(before[name]), name
    head = "head.scores.weight"
    assert prepared.module.state_dict()[head].equal(before[head]), "it has 8 bits"


@pytest.mark.parametrize("given", [True, False])
def test_tables_are_written_even_without_texts(graph, texts, given):
    storage = storages(graph, TABLES)
    prepared = prepared_of(graph, storage, texts[:4] if given else [])
    for name in storage:
        if name != "head.scores":
            weight = prepared.module.get_submodule(name).weight.data
            groups = weight.split(TABLES.group(len(weight)))
            assert all(len(group.unique()) <= 16 for group in groups), name


def test_each_part_is_rounded_for_the_inputs_that_it_has_in_the_end(graph, texts, monkeypatch):
    """Those that all before it, rounded, make: also within a layer."""
    storage = storages(graph, Storage(4, "absmax", 32))
    plain, given = compensation._grams, {}

    def noted(linears, folds, run):
        grams = plain(linears, folds, run)
        given.update(grams)
        return grams

    monkeypatch.setattr(compensation, "_grams", noted)
    module = prepared_of(graph, storage, texts).module
    linears = {name: module.get_submodule(name) for name in given}
    assert len(linears) == 6 * len(module.layers)
    # Nothing is padding.
    whole = [(ids, torch.ones_like(mask), types) for ids, mask, types in texts]
    with torch.no_grad():
        nothing = {
            name: compensation.Fold.nothing(one.in_features) for name, one in linears.items()
        }
        in_the_end = plain(linears, nothing, lambda: [module(*text) for text in whole])
    for name, gram in given.items():
        torch.testing.assert_close(gram, in_the_end[name], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("kind", "task"), [("electra", "classify"), ("roberta", "tokens")])
def test_every_part_of_every_architecture_is_rounded(tiny, kind, task):
    from ondevice import graph, models

    made = graph.from_checkpoint(models.load(str(tiny(kind, task))), TARGETS["onnx"].form())
    how = Storage(4, "absmax", 32)
    storage = dict.fromkeys(storages(made, how), how)
    text = [torch.ones(1, 8, dtype=torch.int32) for _ in made.inputs]
    prepared = prepared_of(made, storage, [tuple(text)])
    for name in storage:
        weight = prepared.module.get_submodule(name).weight.data
        # A table has no inputs to make up on; it is only cut off.
        if name != "embeddings.words":
            torch.testing.assert_close(rounded(weight, how), weight, rtol=0, atol=1e-6)
        assert not weight.equal(made.module.get_submodule(name).weight.data)


def test_gains_are_rounded_along(graph, texts):
    storage = storages(graph, Storage(4, "absmax", 32))
    part = "layers.0.expand"
    gain = torch.linspace(0.5, 2.0, 32)
    # The column is not in the file at all, and what stands for it here is as it was.
    gain[5] = 0.0
    fold = compensation.Fold(gain, torch.zeros(32))
    prepared = prepared_of(graph, storage, texts, {part: fold})
    after = prepared.module.get_submodule(part).weight.data
    before = graph.module.get_submodule(part).weight.data
    assert after[:, 5].equal(before[:, 5])
    weight = after * gain
    torch.testing.assert_close(rounded(weight, storage[part]), weight, rtol=0, atol=1e-5)


def test_what_a_norm_added_is_no_input_of_the_matrix_behind_it(graph, texts):
    """The converter leaves the product of a norm's bias in the operator's, in floats."""
    part = "layers.0.expand"
    graph = replace(graph, module=copy.deepcopy(graph.module))
    norm = graph.module.layers[0].attention_norm
    norm.weight.data = torch.linspace(0.5, 2.0, 32)
    norm.bias.data = torch.linspace(-6.0, 6.0, 32)
    fold = compensation.Fold(norm.weight.data, norm.bias.data)
    storage = storages(graph, Storage(8)) | {part: Storage(4, "absmax", 32)}
    before = graph.module.get_submodule(part)
    seen = []
    handle = before.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
    with torch.no_grad():
        for text in texts:
            graph.module(*text)
    handle.remove()
    inputs = torch.cat(seen)
    inner = fold.inside(inputs)
    torch.testing.assert_close(inner * fold.gain + fold.shift, inputs)

    def of_file(after):
        """As the file computes: its own bias is that of the weights before."""
        return inner @ (after.weight.data * fold.gain).T + before.bias + before.weight @ fold.shift

    def moved(folds):
        after = prepared_of(graph, storage, texts, folds).module.get_submodule(part)
        wanted = before(inputs)
        return after, float((of_file(after) - wanted).square().sum() / wanted.square().sum())

    with torch.no_grad():
        after, error = moved({part: fold})
        _, without = moved({part: replace(fold, shift=torch.zeros(32))})
        # What follows is rounded for what the file makes.
        torch.testing.assert_close(after(inputs), of_file(after), rtol=1e-4, atol=1e-4)
    assert error < 0.9 * without
