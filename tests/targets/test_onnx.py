"""The ONNX target: what it writes, and that ONNX Runtime computes the graph from it."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ondevice import models
from ondevice.errors import BundleError, MissingPackageError, RuntimeUnavailableError, UserError
from ondevice.targets import _onnx_int4, _onnx_int8
from ondevice.targets.base import ConvertOptions
from ondevice.targets.onnx import IR_VERSION, ONNX, OPSET
from tests.conftest import random_inputs
from tests.requirements import need
from tests.targets.conftest import LABELS, check_agreement, cosine, expected, load_graph, make_grid

need("onnx")

import onnx  # noqa: E402

from ondevice import graph as graphs  # noqa: E402


@pytest.fixture(scope="module")
def build(converted):
    return functools.partial(converted, ONNX)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), make_grid(ONNX.schemes))
def test_computes_what_the_graph_computes(build, architecture, task, scheme):
    graph, path, _ = build(architecture, task, scheme)
    runner = ONNX.load(path, graph.outputs)
    if scheme == "int4":
        # Rounding to 4 bits moves random weights of width 32 further than it may a real model;
        # what is computed from the rounded ones must be as near as 8-bit inputs allow.
        check_agreement(rounded_twin(graph, path), runner, "int8", (16, 32))
        return
    check_agreement(graph, runner, scheme, (16, 32))


def rounded_twin(graph, path):
    """Return the graph with the weights that are in a 4-bit file, unpacked."""
    import torch

    model = onnx.load(path)
    tensors = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    twin = dataclasses.replace(graph, module=copy.deepcopy(graph.module))
    weights = {"embeddings.words.weight": unpack_rows(tensors, "embeddings.words.weight")}
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            weights[node.input[1].removesuffix("_Q4")] = unpack_matrix(tensors, node)
    named = dict(twin.module.named_parameters())
    # A classifier's head reads one token: no MatMul but Gemm, which stays in 8 bits.
    matrices = {
        name
        for name, module in twin.module.named_modules()
        if isinstance(module, torch.nn.Linear)
        and not (graph.task == "classify" and name.startswith("head."))
    }
    assert {f"{name}.weight" for name in matrices} | {"embeddings.words.weight"} == weights.keys()
    for name, weight in weights.items():
        assert np.abs(named[name].numpy() - weight).max() > 1e-3, "nothing was rounded"
        named[name].copy_(torch.from_numpy(weight))
    return twin


def unpack_rows(tensors, name):
    packed, step = tensors[f"{name}_4bit"], tensors[f"{name}_step"].astype(np.float32)
    levels = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
    return levels * np.repeat(step, levels.shape[1] // step.shape[1], axis=1)


def unpack_matrix(tensors, node):
    """Return [N, K]; the layout is that of ONNX Runtime's docs/ContribOperators.md, MatMulNBits."""
    columns = next(entry.i for entry in node.attribute if entry.name == "K")
    packed, scales, zeros = (tensors[name] for name in node.input[1:4])
    rows, blocks = packed.shape[:2]
    levels = np.stack([packed & 15, packed >> 4], axis=-1).reshape(rows, blocks, -1)
    zeros = zeros.reshape(rows, -1)
    zeros = np.stack([zeros & 15, zeros >> 4], axis=-1).reshape(rows, -1)[:, :blocks, None]
    difference = levels.astype(np.float32) - zeros.astype(np.float32)
    return (difference * scales.reshape(rows, blocks, 1)).reshape(rows, -1)[:, :columns]


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_names_types_and_shapes_are_in_the_file(build, scheme):
    graph, path, _ = build("bert", "qa", scheme)
    model = onnx.load(path)
    values = {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
        )
        for value in (*model.graph.input, *model.graph.output)
    }
    assert [value.name for value in model.graph.input] == list(graph.inputs)
    assert [value.name for value in model.graph.output] == list(graph.outputs)
    shape = [1, "length"]
    assert values == {
        "input_ids": (onnx.TensorProto.INT32, shape),
        "attention_mask": (onnx.TensorProto.INT32, shape),
        "token_type_ids": (onnx.TensorProto.INT32, shape),
        "start": (onnx.TensorProto.FLOAT, shape),
        "end": (onnx.TensorProto.FLOAT, shape),
    }


def test_one_length_is_a_fixed_shape(build):
    graph, path, _ = build("bert", "qa", "fp32", (32,))
    shapes = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*onnx.load(path).graph.input, *onnx.load(path).graph.output)
    ]
    assert shapes == [[1, 32]] * 5
    with pytest.raises(UserError, match=r"\[1, 16\].*one of: 32"):
        ONNX.load(path, graph.outputs).run(random_inputs(graph.inputs, 16, 200, valid=16))


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_the_file_says_what_it_is(build, scheme):
    _, path, _ = build("bert", "qa", scheme)
    model = onnx.load(path)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "task": "qa",
        "author": "An Author",
        "licence": "apache-2.0",
        "version": "1.2.3",
        "scheme": scheme,
        "lengths": "16,32",
    }
    assert (model.producer_name, model.graph.name) == ("ondevice", "tiny")


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_standard_operators_of_one_set_and_matmul_in_4_bits(build, scheme):
    _, path, _ = build("bert", "embed", scheme)
    model = onnx.load(path)
    sets = {entry.domain: entry.version for entry in model.opset_import}
    foreign = {(node.domain, node.op_type) for node in model.graph.node if node.domain}
    if scheme == "int4":
        assert sets == {"": OPSET, "com.microsoft": 1}
        assert foreign == {("com.microsoft", "MatMulNBits")}
    else:
        assert sets == {"": OPSET}
        assert not foreign
    assert model.ir_version == IR_VERSION
    assert not model.functions


def test_the_graph_is_free_of_clutter(build):
    _, path, _ = build("bert", "qa", "fp32")
    counts = Counter(node.op_type for node in onnx.load(path).graph.node)
    # Two layers: 4 projections, 2 in the feed-forward block, 2 in attention; the head's one.
    assert counts["MatMul"] == 2 * 8 + 1
    assert counts["Gelu"] == 2
    assert counts["LayerNormalization"] == 5
    # The length is asked for once, to cut the position table.
    assert (counts["Shape"], counts["Slice"], counts["Concat"]) == (1, 1, 0)


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_nothing_of_this_machine_is_in_the_file(build, scheme):
    _, path, _ = build("bert", "qa", scheme)
    data = path.read_bytes()
    assert str(Path.cwd()).encode() not in data
    assert b"site-packages" not in data
    assert b".py" not in data


def test_weights_are_stored_as_the_scheme_says(build):
    # 239 rows of width 32 are little beside the graph itself: count the weights, not the file.
    sizes = {}
    for scheme in ONNX.schemes:
        tensors = onnx.load(build("bert", "classify", scheme).path).graph.initializer
        sizes[scheme] = sum(len(tensor.raw_data) for tensor in tensors)
        if scheme == "int4":
            continue
        wide = {tensor.data_type for tensor in tensors if len(tensor.dims) == 2}
        assert (
            wide
            <= {
                "fp32": {onnx.TensorProto.FLOAT},
                "fp16": {onnx.TensorProto.FLOAT16},
                "int8": {onnx.TensorProto.INT8, onnx.TensorProto.UINT8},
            }[scheme]
        )
    assert sizes["fp16"] == pytest.approx(sizes["fp32"] / 2, rel=0.01)
    # Steps and column sums are 12 bytes for each 32 of weights here, 12 in 384 in a real one.
    assert sizes["int8"] < 0.45 * sizes["fp32"]
    # Positions and the classifier's dense layer stay in 8 bits.
    assert sizes["int4"] < 0.7 * sizes["int8"]


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_lengths_share_the_weights(build, scheme):
    one = build(scheme=scheme, lengths=(32,)).path
    two = build(scheme=scheme).path
    # A dynamic length takes some nodes more; a second copy of the weights would be 20 kB and more.
    size = one.stat().st_size
    assert two.stat().st_size <= max(1.05 * size, size + 4_000)


def test_layer_norm_survives_half_precision(build):
    _, path, _ = build("bert", "qa", "fp16")
    for node in onnx.load(path).graph.node:
        if node.op_type == "LayerNormalization":
            (epsilon,) = (entry.f for entry in node.attribute if entry.name == "epsilon")
            assert np.float16(epsilon) > 0


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_min_runtime_is_stated(build, scheme):
    conversion = build(scheme=scheme).conversion
    # Half precision is wrong on 1.17.0 and 1.18.0, without an error.
    # MatMulNBits ends the process on 1.17.3.
    oldest = {"fp16": "1.19.2", "int4": "1.19.2"}.get(scheme, "1.17")
    assert conversion.min_runtime == {"onnxruntime": oldest}
    assert conversion.varies is None


CONVERT = """
import sys
from pathlib import Path
from ondevice.targets.base import ConvertOptions
from ondevice.targets.onnx import ONNX
from tests.targets.conftest import LABELS, LENGTHS, Texts, load_graph
checkpoint, out = sys.argv[1:]
built = load_graph(checkpoint)
for scheme in ("fp16", "int8", "int4"):
    texts = Texts(built) if scheme == "int4" else None
    options = ConvertOptions(scheme, LENGTHS, LABELS, calibration=texts)
    ONNX.convert(built, options, Path(out, scheme))
"""


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(build, tiny, tmp_path):
    # int8 starts with every step of fp32.
    subprocess.run(
        [sys.executable, "-c", CONVERT, str(tiny("bert", "qa")), str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
    )
    for scheme in ("fp16", "int8", "int4"):
        assert (tmp_path / scheme).read_bytes() == build(scheme=scheme).path.read_bytes(), scheme


@pytest.mark.slow
def test_equal_tensors_that_torch_merges(tiny, tmp_path):
    """An untrained encoder: every bias zero, every norm one."""
    checkpoint = models.load(str(tiny("bert", "qa")))
    state = checkpoint.state()
    for name, tensor in state.items():
        if name.endswith("bias"):
            tensor.zero_()
        elif "LayerNorm" in name:
            tensor.fill_(1)
    graph = graphs.from_state(checkpoint.encoder, checkpoint.head, "qa", state, ONNX.form())
    inputs = random_inputs(graph.inputs, 16, graph.encoder.vocab_size, valid=16)
    theirs = expected(graph, inputs)
    for scheme, least in (("fp32", 0.999999), ("int8", 0.99)):
        path = tmp_path / f"{scheme}.onnx"
        ONNX.convert(graph, ConvertOptions(scheme, (16,), LABELS), path)
        for role, output in ONNX.load(path, graph.outputs).run(inputs).items():
            assert cosine(output, theirs[role]) >= least, scheme


def test_converting_leaves_the_graph_as_it_was(build, tiny):
    graph, fresh = build(scheme="fp16").graph, load_graph(tiny("bert", "qa"))
    inputs = random_inputs(graph.inputs, 16, graph.encoder.vocab_size, valid=12)
    before = expected(fresh, inputs)
    after = expected(graph, inputs)
    assert all(np.array_equal(before[role], after[role]) for role in before)


def quantized_product(weight):
    """Return a model of one product with a constant, quantized to int8."""
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    shape = [1, "length", None]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [node],
            "product",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
            [onnx.numpy_helper.from_array(weight, "w")],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    _onnx_int8.quantize(model)
    return model


def product_of(model, x):
    import onnxruntime

    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    return y


def test_int8_scales_its_sums_as_dequantize_linear_would():
    """Bit for bit; ONNX Runtime takes longer for that operator than for these two."""
    rng = np.random.default_rng(0)
    model = quantized_product(rng.normal(size=(64, 8)).astype(np.float32))
    x = rng.normal(size=(1, 5, 64)).astype(np.float32)
    ours = product_of(model, x)
    nodes = {node.op_type: node for node in model.graph.node if node.output[0].startswith("y_")}
    cast, scale = nodes["Cast"], next(n for n in model.graph.node if n.output[0] == "y_columns")
    assert (scale.op_type, scale.input[0]) == ("Mul", cast.output[0])
    named = onnx.helper.make_node(
        "DequantizeLinear", [cast.input[0], scale.input[1]], scale.output, axis=2
    )
    scale.CopyFrom(named)
    assert np.array_equal(ours, product_of(model, x))


def test_int8_keeps_a_token_apart_from_a_loud_one():
    """One step for the whole activation would round the quiet token to zero."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(64, 8)).astype(np.float32)
    x = rng.normal(size=(1, 2, 64)).astype(np.float32)
    x[0, 0] *= 1000
    y = product_of(quantized_product(weight), x)
    theirs = x @ weight
    for token in (0, 1):
        assert cosine(y[0, token], theirs[0, token]) > 0.999


def test_rounding_keeps_within_half_a_step():
    weight = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    weight[:, 2] = 0
    steps, size = _onnx_int8.round_to_int8(weight, axis=1)
    assert steps.min() >= -127
    assert size.shape == (5,)
    assert (np.abs(steps * size - weight) <= size / 2 + 1e-7).all()


def test_rounding_to_4_bits_keeps_within_half_a_step():
    rows = np.random.default_rng(0).normal(size=(8, 128)).astype(np.float32)
    rows[2] = 0
    rows[3, 0], rows[4, 0] = 9, -9
    levels, step = _onnx_int4.round_to_int4(rows)
    assert levels.dtype == np.uint8
    assert levels.max() <= 15
    assert step.shape == (8, 1)
    # The largest value of a row takes the lowest level, whatever its sign.
    assert levels[3, 0] == levels[4, 0] == 0
    wide = np.broadcast_to(step.astype(np.float32), rows.shape)
    unpacked = (levels.astype(np.float32) - _onnx_int4.NIBBLE_ZERO) * wide
    # At the other end there is one level less: a value of just under the largest is cut by a step.
    assert (np.abs(unpacked - rows) <= np.abs(wide) * 1.01 + 1e-7).all()
    inside = np.abs(rows) <= np.abs(wide) * 7.4
    assert (np.abs(unpacked - rows)[inside] <= np.abs(wide)[inside] / 2 + 1e-3).all()


@pytest.mark.parametrize("width", [48, 5])
def test_4_bit_rows_are_looked_up_as_they_were_rounded(width):
    """A width that cannot be packed in pairs takes 8 bits."""
    import onnxruntime

    table = np.random.default_rng(1).normal(size=(20, width)).astype(np.float32)
    node = onnx.helper.make_node("Gather", ["table", "ids"], ["rows"])
    make = onnx.helper.make_tensor_value_info
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [node],
            "lookup",
            [make("ids", onnx.TensorProto.INT32, [1, "length"])],
            [make("rows", onnx.TensorProto.FLOAT, [1, "length", width])],
            [onnx.numpy_helper.from_array(table, "table")],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    _onnx_int4.quantize(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    ids = np.array([[3, 19, 0, 3]], np.int32)
    (rows,) = session.run(None, {"ids": ids})
    if width % 2:
        steps, size = _onnx_int8.round_to_int8(table, axis=0)
        unpacked = steps * size[:, None]
    else:
        levels, step = _onnx_int4.round_to_int4(table)
        unpacked = (levels.astype(np.float32) - 8) * step.astype(np.float32)
    np.testing.assert_allclose(rows, unpacked[ids], rtol=1e-6)


class TestRefusals:
    """What is particular to ONNX; the rules for all runners are in test_runners_contract."""

    def test_an_id_outside_the_vocabulary(self, build):
        graph, path, _ = build()
        inputs = random_inputs(graph.inputs, 16, 100, valid=16)
        inputs["input_ids"][0, 3] = 10**6
        with pytest.raises(UserError, match="onnxruntime refused the inputs: "):
            ONNX.load(path, graph.outputs).run(inputs)

    def test_a_file_of_someone_else(self, build, tmp_path):
        model = onnx.load(build().path)
        del model.metadata_props[:]
        onnx.save(model, tmp_path / "model.onnx")
        with pytest.raises(BundleError, match="does not say its lengths"):
            ONNX.load(tmp_path / "model.onnx", ("start", "end"))

    @pytest.mark.parametrize("what", ["opset", "ir"])
    def test_a_file_that_is_newer_than_the_runtime(self, build, tmp_path, what):
        """Nothing is wrong with the file: it did not run, and did not fail."""
        model = onnx.load(build().path)
        if what == "opset":
            model.opset_import[0].version = 99
        else:
            model.ir_version = 99
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(RuntimeUnavailableError, match=r"onnxruntime [\d.]+ cannot load"):
            ONNX.load(tmp_path / "model.onnx", ("start", "end"))

    def test_runtime_not_installed(self, build, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(RuntimeUnavailableError, match=r"pip install .*\[onnx\]'"):
            ONNX.load(build().path, ("start", "end"))

    @pytest.mark.parametrize("package", ["onnx", "onnxscript"])
    def test_converter_not_installed(self, build, tmp_path, monkeypatch, package):
        graph = build().graph
        monkeypatch.setitem(sys.modules, package, None)
        options = ConvertOptions("fp32", (16, 32), LABELS)
        with pytest.raises(MissingPackageError, match=rf"{package}.*-e '.\[onnx\]'"):
            ONNX.convert(graph, options, tmp_path / "model.onnx")
        assert not list(tmp_path.iterdir())

    def test_too_large_for_one_file(self, build, tmp_path, monkeypatch):
        graph = build().graph
        monkeypatch.setattr("ondevice.targets.onnx.MAX_BYTES", 1000)
        options = ConvertOptions("fp32", (16, 32), LABELS)
        with pytest.raises(UserError, match="--scheme fp16, int8 or int4"):
            ONNX.convert(graph, options, tmp_path / "model.onnx")
        assert not list(tmp_path.iterdir())
