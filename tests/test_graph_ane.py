"""The Neural Engine's layout computes what the graph computes, and is written as Apple advises."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ondevice import graph, graph_ane, models
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES, make_checkpoint, random_inputs


def both(directory, least_epsilon=0.0):
    usual = graph.from_checkpoint(models.load(str(directory)))
    return usual, graph_ane.to_channels_first(usual, least_epsilon)


def outputs(built, length, valid):
    inputs = random_inputs(built.inputs, length, built.encoder.vocab_size, valid=valid)
    with torch.no_grad():
        return built.module(*(torch.from_numpy(inputs[name]) for name in built.inputs))


@pytest.mark.parametrize("valid", [24, 17, 1])
@pytest.mark.parametrize("task", TASK_NAMES)
@pytest.mark.parametrize("architecture", ARCHITECTURE_NAMES)
def test_equals_the_graph(tiny, architecture, task, valid):
    usual, ane = both(tiny(architecture, task))
    assert (ane.inputs, ane.outputs) == (usual.inputs, usual.outputs)
    for ours, theirs in zip(outputs(ane, 24, valid), outputs(usual, 24, valid), strict=True):
        assert ours.shape == theirs.shape
        assert theirs.std() > 1e-2, "a dead reference proves nothing"
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{"hidden_act": "gelu_new"}, {"hidden_act": "relu"}])
def test_equals_the_graph_in_other_shapes(tmp_path, options):
    usual, ane = both(make_checkpoint(tmp_path / "odd", "bert", "qa", **options))
    for ours, theirs in zip(outputs(ane, 20, 13), outputs(usual, 20, 13), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_what_is_padding_changes_no_other_output(tiny):
    _, ane = both(tiny("bert", "qa"))
    inputs = random_inputs(ane.inputs, 24, ane.encoder.vocab_size, valid=15)
    first = ane.module(*(torch.from_numpy(inputs[name]) for name in ane.inputs))[0]
    inputs["input_ids"][:, 15:] = 7
    second = ane.module(*(torch.from_numpy(inputs[name]) for name in ane.inputs))[0]
    torch.testing.assert_close(first[:, :15], second[:, :15], atol=0, rtol=0)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_it_is_written_in_the_published_principles(tiny, task):
    _, ane = both(tiny("electra", task))
    program = torch.export.export(ane.module, ane.example(24)).run_decompositions({})
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    names = [str(node.target) for node in nodes]
    layers, heads = ane.encoder.layers, ane.encoder.heads
    # No linear layer, no product over the last axis, nothing reshaped.
    assert not {"linear", "matmul", "bmm", "view", "reshape", "permute", "layer_norm"} & {
        name.split(".")[1] for name in names if name.startswith("aten.")
    }
    assert names.count("aten.einsum.default") == 2 * layers * heads + (task == "embed")
    # The embeddings', each layer's key, and what a contract of [1, L, C] asks for.
    assert names.count("aten.transpose.int") == 1 + layers + (task == "tokens")
    for node in nodes:
        if str(node.target) == "aten.conv2d.default":
            batch, _, height, last = node.meta["val"].shape
            assert (batch, height) == (1, 1)
            assert last == (1 if "head" in str(node.args[1]) and task == "classify" else 24)


def test_parameters_are_named_alike_and_large_ones_are_shared(tiny):
    usual, ane = both(tiny("electra", "classify"))
    theirs, ours = usual.module.state_dict(), ane.module.state_dict()
    assert ours.keys() == theirs.keys()
    changed = {
        name for name, weight in ours.items() if weight.data_ptr() != theirs[name].data_ptr()
    }
    assert all(name.rpartition(".")[0].endswith(("norm", "attention.query")) for name in changed)
    assert ours["layers.0.expand.weight"].shape == (64, 32, 1, 1)


def test_a_norm_weight_of_zero_is_survived(tiny):
    usual = graph.from_checkpoint(models.load(str(tiny("bert", "qa"))))
    usual.module.layers[0].output_norm.weight[3] = 0.0
    usual.module.layers[1].attention_norm.weight[5] = -1e-9
    ane = graph_ane.to_channels_first(usual)
    for ours, theirs in zip(outputs(ane, 24, 20), outputs(usual, 24, 20), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("least", "epsilon"), [(0.0, 1e-12 / 16), (1e-7, 1e-7)])
def test_the_epsilon_is_raised_where_it_is_asked_for(tiny, least, epsilon):
    usual, ane = both(tiny("bert", "qa"), least)
    assert usual.encoder.layer_norm_eps == 1e-12
    norms = [one for one in ane.module.modules() if isinstance(one, graph_ane.ChannelNorm)]
    assert [norm.epsilon for norm in norms] == [max(least, 1e-12), *[epsilon] * 4]


def test_a_head_without_a_counterpart_is_named(tiny):
    usual = graph.from_checkpoint(models.load(str(tiny("bert", "qa"))))
    usual.module.head = torch.nn.Identity()
    with pytest.raises(ValueError, match="Identity has no counterpart"):
        graph_ane.to_channels_first(dataclasses.replace(usual))
