"""Kept parts are stored in more bits, and the artifact still computes what the graph computes."""

from __future__ import annotations

import importlib.util

import pytest

from ondevice.architectures import Head
from ondevice.parts import part_names
from ondevice.schemes import SCHEMES, get_scheme
from ondevice.targets import TARGETS
from tests.requirements import need
from tests.targets.conftest import check_agreement, cosine

LENGTH = (32,)
# A part of each kind, and one of three that share their input: converters fuse those.
KEPT = ("embeddings.words", "layers.0.attention.key", "layers.1.contract")
# Random weights of width 32 do not survive 4 bits; with all but one of them kept, outputs do.
ROUNDED = "layers.0.attention.query"
TARGET_NAMES = (
    "coreml",
    "tflite",
    pytest.param("executorch", marks=pytest.mark.slow),
    "onnx",
)
HEAD = Head(2, "", {"head.scores.weight": "", "head.scores.bias": ""})


@pytest.fixture(scope="module")
def build(converted):
    def get(name, scheme, kept):
        need(name)
        return converted(TARGETS[name], scheme=scheme, lengths=LENGTH, kept=kept)

    if importlib.util.find_spec("litert_torch") is None:
        yield get
        return
    from ondevice.targets import tflite

    # Lowering is the slow part, and the same for all.
    lower, made = tflite._lower, {}

    def once(graph, lengths):
        if (id(graph), lengths) not in made:
            # With the graph, so that no other gets its id.
            made[id(graph), lengths] = (lower(graph, lengths), graph)
        return made[id(graph), lengths][0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tflite, "_lower", once)
        yield get


def load(name, path, roles):
    if name != "coreml":
        return TARGETS[name].load(path, roles)
    from ondevice.verify.mil import runner

    return runner.load(path, roles)


def all_parts(built):
    return part_names(built.encoder, HEAD)


@pytest.mark.parametrize("name", TARGET_NAMES)
def test_what_is_kept_has_8_bits_and_the_rest_4(build, graph_of, name):
    kept = tuple(part for part in all_parts(graph_of("bert", "qa")) if part != ROUNDED)
    built, path, _ = build(name, "int4", kept)
    check_agreement(built, load(name, path, built.outputs), "int4", LENGTH)
    bits = stored_bits(name, built, path)
    assert bits.pop(ROUNDED) in ((4, None) if name == "executorch" else (4,))
    # Too small to be rounded on Core ML.
    assert bits.pop("head.scores") == (16 if name == "coreml" else 8)
    assert set(bits.values()) == {8}


@pytest.mark.parametrize("name", TARGET_NAMES)
def test_under_int8_what_is_kept_stays_a_float(build, name):
    built, path, _ = build(name, "int8", KEPT)
    check_agreement(built, load(name, path, built.outputs), "int8", LENGTH)
    bits = stored_bits(name, built, path)
    del bits["head.scores"]
    floats = 32 if name in ("executorch", "onnx") else 16
    assert bits == {part: floats if part in KEPT else 8 for part in bits}


@pytest.mark.parametrize("scheme", ["pal4", "int8-weight", "int8-static"])
def test_other_schemes_keep_too(build, scheme):
    name = "coreml" if scheme == "pal4" else "tflite"
    built, path, _ = build(name, scheme, KEPT)
    bits = stored_bits(name, built, path)
    del bits["head.scores"]
    higher, usual = (8, 4) if scheme == "pal4" else (16, 8)
    assert bits == {part: higher if part in KEPT else usual for part in bits}
    if scheme == "int8-weight":
        check_agreement(built, load(name, path, built.outputs), scheme, LENGTH)


@pytest.mark.parametrize("scheme", ["int8", "int4", "pal6", "pal4"])
@pytest.mark.parametrize("lengths", [LENGTH, (32, 48)])
def test_core_ml_stores_positions_in_8_bits(converted, scheme, lengths):
    """Also the first rows of them, which a shorter length has as a constant of another name."""
    need("coreml")
    from ondevice.targets import _mlpackage

    _, path, _ = converted(TARGETS["coreml"], scheme=scheme, lengths=lengths)
    functions = _mlpackage.read_model(path).mlProgram.functions.values()
    assert len(functions) == len(lengths)
    for function in functions:
        made = {
            output.name: op
            for op in function.block_specializations[function.opset].operations
            for output in op.outputs
        }
        (positions,) = (
            op
            for name, op in made.items()
            if name.endswith("_quantized") and "_weight_to_fp16" not in name
        )
        assert integer_bits(positions) == 8


@pytest.mark.parametrize("scheme", list(SCHEMES))
@pytest.mark.parametrize("name", TARGET_NAMES)
def test_an_artifact_is_as_large_as_is_estimated(build, name, scheme):
    """A share of its numbers is known to a few percent; the rest is a graph, which has a limit."""
    from types import SimpleNamespace

    from ondevice import bundle, keeping

    if scheme not in TARGETS[name].schemes:
        return
    built, path, _ = build(name, scheme, ())
    checkpoint = SimpleNamespace(encoder=built.encoder, head=HEAD)
    found = keeping.estimate(checkpoint, TARGETS[name], get_scheme(scheme), LENGTH)
    _, size = bundle.hash_artifact(path)
    assert found.least <= size <= found.size
    # Vectors are 7 % of so small a model.
    assert found.least > 0.9 * (size - found.size + found.least)


@pytest.mark.parametrize(("scheme", "bits"), [("int8", 32), ("int4", 8)])
@pytest.mark.slow
def test_executorch_stores_positions_as_it_says(build, scheme, bits):
    from ondevice.parts import POSITIONS

    built, path, _ = build("executorch", scheme, ())
    assert TARGETS["executorch"].storage(built.encoder, scheme, POSITIONS, kept=False).bits == bits
    table = built.module.embeddings.positions[:32].numpy().tobytes()
    assert (table in path.read_bytes()) == (bits == 32)


def test_a_column_that_a_gain_has_made_dead_stays_dead(graph_of, monkeypatch, caplog):
    """TFLite's converter multiplies what follows a layer norm by its gain."""
    need("tflite")
    import copy
    import dataclasses

    from ai_edge_litert.tools import flatbuffer_utils

    from ondevice.targets import _tflite_parts, _tflite_schemes, tflite
    from ondevice.targets.base import ConvertOptions
    from tests.targets.conftest import LABELS, Texts

    plain = graph_of("bert", "qa", TARGETS["tflite"].form())
    graph = dataclasses.replace(plain, module=copy.deepcopy(plain.module))
    graph.module.layers[0].attention_norm.weight.data[5] = 0.0
    options = ConvertOptions("int4", LENGTH, LABELS, calibration=Texts(graph))
    before = tflite._lower(graph, options)
    after = _tflite_parts.prepare(before, graph, options, _tflite_schemes.storage)

    def dead(content):
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
        matrices = [matrix for *_, matrix in _tflite_parts._matrices(model)]
        return [(matrix == 0).all(0).nonzero()[0].tolist() for matrix in matrices]

    assert [5] in dead(before), "the converter folds no gain into what follows"
    assert dead(after) == dead(before)
    assert not caplog.records
    monkeypatch.setattr(_tflite_parts, "_nearest", lambda *_: None)
    _tflite_parts.prepare(before, graph, options, _tflite_schemes.storage)
    assert len(caplog.records) == len(dead(before))
    assert "no part of the encoder has the weights of" in caplog.text


def test_the_bias_of_a_norm_is_found_in_what_follows_it(graph_of, caplog):
    need("tflite")
    import copy
    import dataclasses

    import torch
    from ai_edge_litert.tools import flatbuffer_utils

    from ondevice.targets import _tflite_parts, tflite
    from ondevice.targets.base import ConvertOptions
    from tests.targets.conftest import LABELS

    plain = graph_of("bert", "qa", TARGETS["tflite"].form())
    graph = dataclasses.replace(plain, module=copy.deepcopy(plain.module))
    norms = {
        name: module
        for name, module in graph.module.named_modules()
        if isinstance(module, torch.nn.LayerNorm)
    }
    generator = torch.Generator().manual_seed(0)
    for norm in norms.values():
        norm.bias.data = torch.randn(norm.bias.shape, generator=generator)
    content = tflite._lower(graph, ConvertOptions("fp32", LENGTH, LABELS))
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    weights = _tflite_parts._weights(graph)
    found = {}
    for operator, subgraph, matrix in _tflite_parts._matrices(model):
        part = _tflite_parts._nearest(matrix, weights)
        bias = _tflite_parts._bias(model, subgraph, operator)
        shift = None if bias is None else _tflite_parts._shift(graph, part, bias)
        found[part] = next(
            (name for name, norm in norms.items() if shift is not None and shift.equal(norm.bias)),
            None,
        )
    assert found["layers.0.expand"] == "layers.0.attention_norm"
    assert found["layers.0.attention.query"] == "embeddings.norm"
    assert found["layers.0.attention.output"] is None
    assert found["layers.0.contract"] is None
    assert not caplog.records


# --- what is in the files ---


def stored_bits(name, built, path):
    """Return the bits in which an artifact stores each part; None for 4 where those are packed."""
    return READERS[name](built, path)


def onnx_bits(built, path):
    import onnx

    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    found = {}
    for part in all_parts(built):
        endings = {"_8bit": 8, "_4bit": 4, "_Q4": 4, "": 32}
        (found[part],) = (
            bits for ending, bits in endings.items() if f"{part}.weight{ending}" in names
        )
    return found


def coreml_bits(built, path):
    from ondevice.targets import _mlpackage

    (function,) = _mlpackage.read_model(path).mlProgram.functions.values()
    operations = function.block_specializations[function.opset].operations
    made = {output.name: op for op in operations for output in op.outputs}
    found = {}
    for part in all_parts(built):
        constant = f"p_{part.replace('.', '_')}_weight_to_fp16"
        (found[part],) = (
            read(op)
            for ending, read in MIL_READERS.items()
            if (op := made.get(constant + ending)) is not None
        )
    return found


def integer_bits(op):
    from coremltools.proto import MIL_pb2

    key = "data" if "data" in op.inputs or "data" in op.attributes else "quantized_data"
    value = op.attributes[key] if key in op.attributes else op.inputs[key].arguments[0].value
    kinds = {MIL_pb2.INT4: 4, MIL_pb2.UINT4: 4, MIL_pb2.INT8: 8, MIL_pb2.UINT8: 8}
    return kinds[value.type.tensorType.dataType]


def table_bits(op):
    if "lut" in op.attributes:
        return (sizes_of(op.attributes["lut"])[-1] - 1).bit_length()
    # With several tables: [groups, 1, values, 1].
    return (sizes_of(op.inputs["lut"].arguments[0].value)[-2] - 1).bit_length()


def sizes_of(value):
    return [dimension.constant.size for dimension in value.type.tensorType.dimensions]


MIL_READERS = {
    "_quantized": integer_bits,
    "_palettized": table_bits,
    "": lambda op: 16,
}


def tflite_bits(built, path):
    """Tell parts by their weights: the file's names do not tell query, key and value apart."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    from tests.targets.test_tflite import MATRIX_OPERATORS, unpack

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
    kinds = {schema.TensorType.INT4: 4, schema.TensorType.INT8: 8, schema.TensorType.FLOAT16: 16}
    (graph,) = model.subgraphs
    unpacks = {
        op.outputs[0]: op.inputs[0]
        for op in graph.operators
        if model.operatorCodes[op.opcodeIndex].builtinCode == schema.BuiltinOperator.DEQUANTIZE
    }
    found = {}
    for op in graph.operators:
        if model.operatorCodes[op.opcodeIndex].builtinCode not in MATRIX_OPERATORS:
            continue
        tensor = graph.tensors[unpacks.get(op.inputs[1], op.inputs[1])]
        if tensor.type == schema.TensorType.FLOAT16:
            data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
            matrix = data.view(np.float16).astype(np.float32).reshape(tensor.shape)
        else:
            matrix = unpack(model, graph, tensor)
        found[nearest(built, matrix)] = kinds[tensor.type]
    assert set(found) == set(all_parts(built))
    return found


def nearest(built, matrix):
    weights = {part: built.module.get_submodule(part).weight for part in all_parts(built)}
    near = {
        part: cosine(weight.numpy(), matrix)
        for part, weight in weights.items()
        if tuple(weight.shape) == matrix.shape
    }
    return max(near, key=near.__getitem__)


def executorch_bits(built, path):
    """Look for the bytes of each part, in 8 bits and in float32; None where neither is there."""
    from ondevice.targets import _executorch_quantize, executorch

    module = executorch._copy_for(built, 32)
    _executorch_quantize.quantize_int8(module)
    content = path.read_bytes()
    found = dict.fromkeys(all_parts(built))
    for part in found:
        if module.get_submodule(part).weight.qdata.numpy().tobytes() in content:
            found[part] = 8
        elif built.module.get_submodule(part).weight.numpy().tobytes() in content:
            found[part] = 32
    return found


READERS = {
    "coreml": coreml_bits,
    "tflite": tflite_bits,
    "executorch": executorch_bits,
    "onnx": onnx_bits,
}
