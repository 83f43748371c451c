"""The graph computes what transformers computes, for each architecture and task."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from ondevice import graph, graph_weights, models
from ondevice.errors import CheckpointError
from ondevice.tasks import TASKS
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES, make_checkpoint, random_inputs


def reference(directory, task, inputs, architecture):
    """What transformers answers, by role."""
    model = getattr(transformers, TASKS[task].auto_class).from_pretrained(directory).eval()
    tensors = {name: torch.from_numpy(value).long() for name, value in inputs.items()}
    if architecture == "roberta":
        # RoBERTa tells padding by its id when it numbers positions.
        tensors["input_ids"][tensors["attention_mask"] == 0] = 1
    with torch.no_grad():
        output = model(**tensors)
    if task == "qa":
        return {"start": output.start_logits, "end": output.end_logits}
    if task == "embed":
        mask = tensors["attention_mask"].unsqueeze(-1)
        mean = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
        return {"embedding": torch.nn.functional.normalize(mean, dim=-1)}
    return {"logits": output.logits}


@pytest.mark.parametrize(
    ("attention", "norm"), [("matmul", "operator"), ("bmm", "products"), ("sdpa", "operator")]
)
@pytest.mark.parametrize("valid", [24, 17, 1])
@pytest.mark.parametrize("task", TASK_NAMES)
@pytest.mark.parametrize("architecture", ARCHITECTURE_NAMES)
def test_equals_transformers(tiny, architecture, task, valid, attention, norm):
    directory = tiny(architecture, task)
    form = graph.GraphForm(attention, norm)
    built = graph.from_checkpoint(models.load(str(directory)), form)
    inputs = random_inputs(built.inputs, 24, built.encoder.vocab_size, valid=valid)
    expected = reference(directory, task, inputs, architecture)
    with torch.no_grad():
        outputs = built.module(*(torch.from_numpy(inputs[name]) for name in built.inputs))
    for role, output in zip(built.outputs, outputs, strict=True):
        assert tuple(output.shape) == tuple(24 if s == "L" else s for s in built.output_shape())
        per_token = task in {"qa", "tokens"}
        ours, theirs = (
            (output[:, :valid], expected[role][:, :valid])
            if per_token
            else (output, expected[role])
        )
        assert valid == 1 or theirs.std() > 1e-2, "a dead reference proves nothing"
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_token_types_are_an_input_only_where_they_say_something(tiny):
    takes = {
        name: "token_type_ids" in graph.from_checkpoint(models.load(str(tiny(name, "qa")))).inputs
        for name in ARCHITECTURE_NAMES
    }
    assert takes == {"bert": True, "distilbert": False, "roberta": False, "electra": True}


@pytest.mark.parametrize("architecture", ["bert", "electra"])
def test_without_token_types_they_are_all_zero_as_in_transformers(tiny, architecture):
    directory = tiny(architecture, "qa")
    built = graph.from_checkpoint(models.load(str(directory)))
    names = ("input_ids", "attention_mask")
    inputs = random_inputs(names, 16, built.encoder.vocab_size, valid=12)
    expected = reference(directory, "qa", inputs, architecture)
    outputs = built.module(*(torch.from_numpy(inputs[name]) for name in names))
    for role, output in zip(built.outputs, outputs, strict=True):
        torch.testing.assert_close(output, expected[role], atol=1e-5, rtol=0)


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_other_activations_equal_transformers(tmp_path, activation):
    directory = make_checkpoint(tmp_path, "bert", "qa", hidden_act=activation)
    built = graph.from_checkpoint(models.load(str(directory)))
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=12)
    expected = reference(directory, "qa", inputs, "bert")
    outputs = built.module(*(torch.from_numpy(inputs[name]) for name in built.inputs))
    for role, output in zip(built.outputs, outputs, strict=True):
        torch.testing.assert_close(output, expected[role], atol=1e-5, rtol=0)


def test_token_types_change_the_answer(tiny):
    built = graph.from_checkpoint(models.load(str(tiny("bert", "qa"))))
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=16)
    ids, mask, types = (torch.from_numpy(inputs[name]) for name in built.inputs)
    with_types = built.module(ids, mask, types)[0]
    without = built.module(ids, mask, torch.zeros_like(types))[0]
    assert (with_types - without).abs().max() > 1e-2


@pytest.mark.parametrize("architecture", ARCHITECTURE_NAMES)
def test_what_layers_add_up_is_a_quarter_and_the_end_is_whole(
    tiny, architecture, monkeypatch: pytest.MonkeyPatch
):
    checkpoint = models.load(str(tiny(architecture, "qa")))
    scaled = graph.from_checkpoint(checkpoint)
    for module in (graph, graph_weights):
        monkeypatch.setattr(module, "RESIDUAL_SCALE", 1.0)
    plain = graph.from_checkpoint(checkpoint)
    inputs = random_inputs(plain.inputs, 16, plain.encoder.vocab_size, valid=12)

    def norms(model: graph.MobileGraph) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """What each layer norm is given and gives."""
        seen = []
        hooks = [
            part.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
            for part in model.module.modules()
            if isinstance(part, torch.nn.LayerNorm)
        ]
        model.module(*(torch.from_numpy(inputs[name]) for name in model.inputs))
        for hook in hooks:
            hook.remove()
        return seen

    ours, theirs = norms(scaled), norms(plain)
    for (given, _), (whole, _) in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(given, whole * 0.25, atol=1e-6, rtol=1e-5)
    # A power of two: the bits are the same.
    assert torch.equal(ours[-1][1], theirs[-1][1])


def test_layer_norm_by_products_is_layer_norm():
    torch.manual_seed(0)
    given = torch.randn(1, 16, 384)
    # As the first layer of the embedded student has it: one value of hundreds among ordinary ones.
    given[0, 0, 7] = 260.0
    ours, theirs = graph.ProductNorm(384, 1e-12), torch.nn.LayerNorm(384, eps=1e-12)
    theirs.load_state_dict({"weight": torch.rand(384) + 0.5, "bias": torch.randn(384)}, strict=True)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(given), theirs(given), atol=2e-5, rtol=0)


def test_mask_bias_is_finite_in_half_precision():
    assert np.isfinite(np.float16(graph.MASK_BIAS))


def test_positions_beyond_the_longest_length_are_left_out(tiny):
    checkpoint = models.load(str(tiny("roberta", "qa")))
    whole = graph.from_checkpoint(checkpoint)
    short = graph.from_checkpoint(checkpoint, max_length=20)
    assert whole.module.embeddings.positions.shape[0] == 64
    assert short.module.embeddings.positions.shape[0] == short.encoder.max_length == 20
    inputs = random_inputs(whole.inputs, 20, whole.encoder.vocab_size, valid=20)
    tensors = [torch.from_numpy(inputs[name]) for name in whole.inputs]
    torch.testing.assert_close(short.module(*tensors), whole.module(*tensors))


def test_without_weights_it_still_knows_what_it_takes_and_gives(tiny):
    built = graph.from_checkpoint(models.load(str(tiny("bert", "classify"))))
    outline = built.without_weights()
    assert (outline.inputs, outline.outputs) == (built.inputs, built.outputs)
    assert outline.output_shape() == built.output_shape()
    assert {weight.device.type for weight in outline.module.parameters()} == {"meta"}
    assert {weight.device.type for weight in built.module.parameters()} == {"cpu"}


def test_nothing_of_the_checkpoint_s_file_is_kept(tiny):
    """Else all of the mapped file stays in memory beside the weights that were made from it."""
    checkpoint = models.load(str(tiny("bert", "qa")))
    state = checkpoint.state()
    built = graph.from_state(checkpoint.encoder, checkpoint.head, "qa", state)
    theirs = {tensor.untyped_storage().data_ptr() for tensor in state.values()}
    ours = {each.untyped_storage().data_ptr() for each in built.module.parameters()}
    assert not ours & theirs


def test_padding_is_invisible(tiny):
    built = graph.from_checkpoint(models.load(str(tiny("distilbert", "qa"))))
    inputs = random_inputs(built.inputs, 32, built.encoder.vocab_size, valid=10)
    long = built.module(*(torch.from_numpy(inputs[name]) for name in built.inputs))[0]
    short = built.module(*(torch.from_numpy(inputs[name][:, :10]) for name in built.inputs))[0]
    torch.testing.assert_close(long[:, :10], short, atol=1e-5, rtol=0)


def test_a_weight_of_another_shape_is_named(tiny):
    checkpoint = models.load(str(tiny("bert", "qa")))
    state = checkpoint.state()
    state["bert.embeddings.LayerNorm.weight"] = torch.zeros(7)
    with pytest.raises(CheckpointError, match=r"embeddings\.norm\.weight.*\[7\]"):
        graph.from_state(checkpoint.encoder, checkpoint.head, "qa", state)


def test_nan_in_a_weight_is_refused(tiny):
    checkpoint = models.load(str(tiny("bert", "qa")))
    state = checkpoint.state()
    state["qa_outputs.bias"] = torch.tensor([0.0, float("nan")])
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        graph.from_state(checkpoint.encoder, checkpoint.head, "qa", state)
