"""Deliberately broken artifacts are caught, and by which check is written down here."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ondevice import console
from ondevice.schemes import SCHEMES, ParityLimit
from ondevice.verify import check
from tests.requirements import need
from tests.verify.broken import LENGTHS, lower_broken, publish, with_artifact

OUTPUTS, ANSWERS = "goldens: outputs", "goldens: answers"
F1, FLIPS = "task: F1", "task: answer flips"
# As many as the task gate judges by.
QUESTIONS = 30


def scale_weights(module):
    """Every matrix is 2 % too large."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            parameter.data *= 1.02


def swap_layers(module):
    """The two layers change places."""
    first, second = module.layers[0], module.layers[1]
    module.layers[0], module.layers[1] = second, first


def exchange_outputs(module):
    """The start logits are the end logits, and the other way round."""
    scores = module.head.scores
    scores.weight.data = scores.weight.data.flip(0)
    scores.bias.data = scores.bias.data.flip(0)


def ignore_mask(module):
    """Padding is attended to."""
    import torch

    class Unmasked(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, hidden, mask_bias):
            return self.inner(hidden, mask_bias * 0.0)

    for layer in module.layers:
        layer.attention = Unmasked(layer.attention)


def overflow_half_precision(module):
    """Right in float32; in half precision the values are beyond 65504."""
    attention = module.layers[0].attention
    attention.value.weight.data *= 1e6
    attention.value.bias.data *= 1e6
    attention.output.weight.data /= 1e6


@pytest.fixture(scope="module")
def good(tiny, tmp_path_factory):
    """Return a function from (target, scheme) to a good bundle of the tiny checkpoint."""
    made = {}

    def get(target, scheme):
        need(target)
        if (target, scheme) not in made:
            out = tmp_path_factory.mktemp("good")
            made[target, scheme] = publish(tiny("bert", "qa"), out, target, scheme)
        return made[target, scheme]

    return get


def verify(place, model):
    options = check.VerifyOptions(model=str(model), examples=QUESTIONS)
    _, rows = check.run(place, options, console.Progress())
    return rows


def failed(rows):
    return {row.check for row in rows if row.status == "failed"}


@pytest.mark.parametrize(("target", "scheme"), [("onnx", "fp32"), ("onnx", "int8")])
def test_a_good_artifact_passes_them_all(good, tiny, target, scheme):
    rows = verify(good(target, scheme), tiny("bert", "qa"))
    assert failed(rows) == set()
    status = {row.check: row.status for row in rows}
    assert {status[OUTPUTS], status[ANSWERS], status[FLIPS]} == {"passed"}
    # Random weights score nothing on real questions, so that no drop could be seen.
    assert status[F1] == "not_run"


# Each defect with every check that sees it: the outputs see all of them, the answers to a few
# questions only what is badly wrong.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "caught_by"),
    [
        (scale_weights, {OUTPUTS, FLIPS}),
        (swap_layers, {OUTPUTS, ANSWERS, FLIPS}),
        (exchange_outputs, {OUTPUTS, ANSWERS, FLIPS}),
        (ignore_mask, {OUTPUTS}),
    ],
)
def test_a_spoiled_graph_is_caught(good, tiny, tmp_path, change, caught_by):
    model = tiny("bert", "qa")
    artifact = lower_broken(model, change, "onnx", "fp32", tmp_path / "model.onnx")
    rows = verify(with_artifact(good("onnx", "fp32"), tmp_path / "bundle", artifact), model)
    assert failed(rows) - {F1} == caught_by
    lengths = {row.length for row in rows if row.check == OUTPUTS and row.status == "failed"}
    assert lengths == set(LENGTHS)


@pytest.mark.slow
def test_half_precision_overflow_is_caught_without_a_mac(good, tiny, tmp_path):
    model = tiny("bert", "qa")
    place = good("coreml", "fp16")
    path = tmp_path / "model.mlpackage"
    artifact = lower_broken(model, overflow_half_precision, "coreml", "fp16", path)
    rows = verify(with_artifact(place, tmp_path / "bundle", artifact), model)
    assert failed(rows) >= {OUTPUTS, ANSWERS, F1}
    reasons = [row.reason for row in rows if row.check == OUTPUTS]
    assert all("NaN or infinity" in reason for reason in reasons)


@pytest.mark.slow
def test_one_wrong_int8_block_is_caught(good, tiny, tmp_path):
    need("onnx")
    model = tiny("bert", "qa")
    place = good("onnx", "int8")
    artifact = spoil_one_block(place / "model.onnx", tmp_path / "model.onnx")
    rows = verify(with_artifact(place, tmp_path / "bundle", artifact), model)
    assert OUTPUTS in failed(rows)
    assert FLIPS in failed(rows)


@pytest.mark.slow
def test_one_wrong_int4_block_is_caught(tiny, tmp_path, monkeypatch):
    """One block of 32 weights has another scale: bits of its exponent are wrong."""
    need("onnx")
    # Random weights lose more than trained ones, for which the scheme's limit is.
    wider = dataclasses.replace(SCHEMES["int4"], limit=ParityLimit(min_cosine=0.7))
    monkeypatch.setitem(SCHEMES, "int4", wider)
    model = tiny("bert", "qa")
    place = publish(model, tmp_path / "good", "onnx", "int4")
    assert not failed(verify(place, model)) & {OUTPUTS, ANSWERS, "goldens: tokens", "format"}
    artifact = spoil_one_scale(place / "model.onnx", tmp_path / "model.onnx")
    rows = verify(with_artifact(place, tmp_path / "bundle", artifact), model)
    assert OUTPUTS in failed(rows)
    assert {row.length for row in rows if row.check == OUTPUTS} == set(LENGTHS)


def spoil_one_scale(source, path):
    """Multiply the scale of one block of the first 4-bit matrix by 2^10."""
    import onnx

    program = onnx.load(source)
    node = next(one for one in program.graph.node if one.op_type == "MatMulNBits")
    tensor = next(one for one in program.graph.initializer if one.name == node.input[2])
    scales = onnx.numpy_helper.to_array(tensor).copy()
    scales.reshape(-1)[0] *= 1024
    tensor.CopyFrom(onnx.numpy_helper.from_array(scales, tensor.name))
    onnx.save(program, path)
    return path


def spoil_one_block(source, path):
    """Turn the sign of 16 by 16 weights of one matrix; every other number stays."""
    import onnx

    program = onnx.load(source)
    matrices = [
        tensor
        for tensor in program.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
    ]
    name = next(tensor for tensor in matrices if min(tensor.dims) == 32)
    weights = onnx.numpy_helper.to_array(name).copy()
    weights[:16, :16] = np.clip(-weights[:16, :16].astype(np.int16), -127, 127).astype(np.int8)
    name.CopyFrom(onnx.numpy_helper.from_array(weights, name.name))
    onnx.save(program, path)
    return path
