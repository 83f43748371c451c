"""The ONNX target: what it writes, and that ONNX Runtime computes the graph from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ondevice import models
from ondevice.errors import MissingPackageError, RuntimeUnavailableError, UserError
from ondevice.targets import _onnx_int8
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.targets.onnx import IR_VERSION, ONNX, OPSET
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES, make_checkpoint, random_inputs
from tests.requirements import need

need("onnx")

import onnx  # noqa: E402
import torch  # noqa: E402

from ondevice import graph as graphs  # noqa: E402

LENGTHS = (16, 32)
LABELS = Labels("tiny", "qa", "Ada", "Apache-2.0", "1.2.3")

FULL_GRID = [(a, t, "fp32") for a in ARCHITECTURE_NAMES for t in TASK_NAMES]
OTHERS = [("bert", task) for task in TASK_NAMES]
OTHERS += [(architecture, "qa") for architecture in ARCHITECTURE_NAMES if architecture != "bert"]
CASES = FULL_GRID + [(a, t, scheme) for scheme in ("fp16", "int8") for a, t in OTHERS]


@pytest.fixture(scope="module")
def converted(tiny, tmp_path_factory):
    """Return a function from (architecture, task, scheme, lengths) to (graph, path), made once."""
    root = tmp_path_factory.mktemp("onnx")
    made = {}

    def get(architecture, task, scheme, lengths=LENGTHS):
        key = (architecture, task, scheme, lengths)
        if key not in made:
            graph = graphs.from_checkpoint(models.load(str(tiny(architecture, task))), ONNX.form())
            path = root / ("-".join(map(str, [architecture, task, scheme, *lengths])) + ".onnx")
            ONNX.convert(graph, ConvertOptions(scheme, lengths, LABELS), path)
            made[key] = (graph, path)
        return made[key]

    return get


def outputs_of(graph, inputs):
    """What the graph's module answers in torch, by role."""
    with torch.no_grad():
        values = graph.module(*(torch.from_numpy(inputs[name]) for name in graph.inputs))
    return {role: value.numpy() for role, value in zip(graph.outputs, values, strict=True)}


def cosine(one, other):
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize(("architecture", "task", "scheme"), CASES)
def test_computes_the_graph(converted, architecture, task, scheme):
    graph, path = converted(architecture, task, scheme)
    runner = ONNX.load(path, graph.outputs)
    seen = []
    for length in LENGTHS:
        for valid in (length, length // 2 - 1):
            inputs = random_inputs(
                graph.inputs, length, graph.encoder.vocab_size, valid=valid, seed=valid
            )
            expected, actual = outputs_of(graph, inputs), runner.run(inputs)
            assert tuple(actual) == graph.outputs
            for role, output in actual.items():
                shape = tuple(length if axis == "L" else axis for axis in graph.output_shape())
                assert output.dtype == np.float32
                assert output.shape == shape
                assert np.isfinite(output).all()
                ours, theirs = output, expected[role]
                if task in {"qa", "tokens"}:
                    ours, theirs = ours[:, :valid], theirs[:, :valid]
                seen.append(ours.ravel()[:2])
                if scheme == "int8":
                    # 8 bits for each of two layers of width 32: 0.998 and better was seen.
                    assert cosine(ours, theirs) >= 0.99
                else:
                    limit = {"fp32": 1e-4, "fp16": 2e-2}[scheme]
                    np.testing.assert_allclose(ours, theirs, atol=limit, rtol=0)
    assert np.std(seen, axis=0).min() > 1e-3, "the output is the same for every input"


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_names_types_and_shapes_are_in_the_file(converted, scheme):
    graph, path = converted("bert", "qa", scheme)
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


def test_one_length_is_a_fixed_shape(converted):
    graph, path = converted("bert", "qa", "fp32", (32,))
    shapes = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*onnx.load(path).graph.input, *onnx.load(path).graph.output)
    ]
    assert shapes == [[1, 32]] * 5
    with pytest.raises(UserError, match=r"\[1, 16\].*one of 32"):
        ONNX.load(path, graph.outputs).run(random_inputs(graph.inputs, 16, 200, valid=16))


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_the_file_says_what_it_is(converted, scheme):
    _, path = converted("bert", "qa", scheme)
    model = onnx.load(path)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "task": "qa",
        "author": "Ada",
        "licence": "Apache-2.0",
        "version": "1.2.3",
        "scheme": scheme,
        "lengths": "16,32",
    }
    assert (model.producer_name, model.graph.name) == ("ondevice", "tiny")


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_only_standard_operators_of_one_set(converted, scheme):
    _, path = converted("bert", "embed", scheme)
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert model.ir_version == IR_VERSION
    assert not model.functions


def test_the_graph_is_free_of_clutter(converted):
    _, path = converted("bert", "qa", "fp32")
    counts = Counter(node.op_type for node in onnx.load(path).graph.node)
    # Two layers: 4 projections, 2 in the feed-forward block, 2 in attention; the head's one.
    assert counts["MatMul"] == 2 * 8 + 1
    assert counts["Gelu"] == 2
    assert counts["LayerNormalization"] == 5
    # The length is asked for once, to cut the position table.
    assert (counts["Shape"], counts["Slice"], counts["Concat"]) == (1, 1, 0)


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_nothing_of_this_machine_is_in_the_file(converted, scheme):
    _, path = converted("bert", "qa", scheme)
    data = path.read_bytes()
    assert str(Path.cwd()).encode() not in data
    assert b"site-packages" not in data
    assert b".py" not in data


def test_weights_are_stored_as_the_scheme_says(tmp_path):
    """At a size where the weights are most of the file."""
    checkpoint = models.load(str(make_checkpoint(tmp_path / "bert", "bert", "classify")))
    # 239 rows of width 32 are little beside the graph itself: count the weights, not the file.
    sizes = {}
    for scheme in ONNX.schemes:
        path = tmp_path / f"{scheme}.onnx"
        graph = graphs.from_checkpoint(checkpoint, ONNX.form())
        ONNX.convert(graph, ConvertOptions(scheme, (32,), LABELS), path)
        tensors = onnx.load(path).graph.initializer
        sizes[scheme] = sum(len(tensor.raw_data) for tensor in tensors)
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


@pytest.mark.parametrize("scheme", ONNX.schemes)
def test_lengths_share_the_weights(converted, scheme):
    _, one = converted("bert", "qa", scheme, (32,))
    _, two = converted("bert", "qa", scheme)
    assert two.stat().st_size <= 1.05 * one.stat().st_size


def test_layer_norm_survives_half_precision(converted):
    _, path = converted("bert", "qa", "fp16")
    for node in onnx.load(path).graph.node:
        if node.op_type == "LayerNormalization":
            (epsilon,) = (entry.f for entry in node.attribute if entry.name == "epsilon")
            assert np.float16(epsilon) > 0


def test_min_runtime_is_stated(converted, tmp_path):
    graph, _ = converted("bert", "qa", "fp32")
    options = ConvertOptions("fp32", (16,), LABELS)
    conversion = ONNX.convert(graph, options, tmp_path / "model.onnx")
    assert conversion.min_runtime == {"onnxruntime": "1.17"}
    assert conversion.varies is None


CONVERT = """
import sys
from pathlib import Path
from ondevice import graph, models
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.targets.onnx import ONNX
checkpoint, out = sys.argv[1:]
labels = Labels("tiny", "qa", "Ada", "Apache-2.0", "1.2.3")
built = graph.from_checkpoint(models.load(checkpoint), ONNX.form())
for scheme in ONNX.schemes:
    ONNX.convert(built, ConvertOptions(scheme, (16, 32), labels), Path(out, scheme))
"""


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(converted, tiny, tmp_path):
    subprocess.run(
        [sys.executable, "-c", CONVERT, str(tiny("bert", "qa")), str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    )
    for scheme in ONNX.schemes:
        _, path = converted("bert", "qa", scheme)
        assert (tmp_path / scheme).read_bytes() == path.read_bytes(), scheme


@pytest.mark.parametrize("scheme", ["fp32", "int8"])
def test_equal_tensors_that_torch_merges(tiny, tmp_path, scheme):
    """An untrained encoder: every bias zero, every norm one."""
    checkpoint = models.load(str(tiny("bert", "qa")))
    state = checkpoint.state()
    for name, tensor in state.items():
        if name.endswith("bias"):
            tensor.zero_()
        elif "LayerNorm" in name:
            tensor.fill_(1)
    graph = graphs.from_state(checkpoint.encoder, checkpoint.head, "qa", state, ONNX.form())
    path = tmp_path / "model.onnx"
    ONNX.convert(graph, ConvertOptions(scheme, (16,), LABELS), path)
    inputs = random_inputs(graph.inputs, 16, graph.encoder.vocab_size, valid=16)
    expected = outputs_of(graph, inputs)
    for role, output in ONNX.load(path, graph.outputs).run(inputs).items():
        assert cosine(output, expected[role]) >= (0.99 if scheme == "int8" else 0.999999)


def test_converting_leaves_the_graph_as_it_was(tiny, tmp_path):
    graph = graphs.from_checkpoint(models.load(str(tiny("bert", "qa"))), ONNX.form())
    inputs = random_inputs(graph.inputs, 16, graph.encoder.vocab_size, valid=12)
    before = outputs_of(graph, inputs)
    ONNX.convert(graph, ConvertOptions("fp16", (16,), LABELS), tmp_path / "model.onnx")
    after = outputs_of(graph, inputs)
    assert all(np.array_equal(before[role], after[role]) for role in before)


def test_int8_keeps_a_token_apart_from_a_loud_one():
    """One step for the whole activation would round the quiet token to zero."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(64, 8)).astype(np.float32)
    x = rng.normal(size=(1, 2, 64)).astype(np.float32)
    x[0, 0] *= 1000
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
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": x})
    expected = x @ weight
    for token in (0, 1):
        assert cosine(y[0, token], expected[0, token]) > 0.999


def test_rounding_keeps_within_half_a_step():
    weight = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    weight[:, 2] = 0
    steps, size = _onnx_int8.round_to_int8(weight, axis=1)
    assert steps.min() >= -127
    assert size.shape == (5,)
    assert (np.abs(steps * size - weight) <= size / 2 + 1e-7).all()


class TestBadInput:
    """What the runner and the loader say when they are used wrongly."""

    @pytest.fixture
    def runner(self, converted):
        graph, path = converted("bert", "qa", "fp32")
        return ONNX.load(path, graph.outputs, threads=1)

    @pytest.fixture
    def inputs(self):
        names = ("input_ids", "attention_mask", "token_type_ids")
        return random_inputs(names, 16, 200, valid=16)

    def test_missing_name(self, runner, inputs):
        del inputs["token_type_ids"]
        with pytest.raises(UserError, match="takes input_ids, attention_mask, token_type_ids"):
            runner.run(inputs)

    def test_unknown_name(self, runner, inputs):
        with pytest.raises(UserError, match=r"given: .*ids_of_input"):
            runner.run({**inputs, "ids_of_input": inputs["input_ids"]})

    def test_another_type(self, runner, inputs):
        inputs["input_ids"] = inputs["input_ids"].astype(np.int64)
        with pytest.raises(UserError, match="'input_ids' is int64; the artifact takes int32"):
            runner.run(inputs)

    def test_a_length_that_was_not_built(self, runner):
        names = ("input_ids", "attention_mask", "token_type_ids")
        with pytest.raises(UserError, match=r"\[1, 24\].*one of 16, 32"):
            runner.run(random_inputs(names, 24, 200, valid=20))

    def test_two_lengths_at_once(self, runner, inputs):
        inputs["attention_mask"] = np.ones((1, 32), np.int32)
        with pytest.raises(UserError, match=r"'attention_mask' has the shape \[1, 32\]"):
            runner.run(inputs)

    def test_token_types_may_be_given_where_they_are_not_used(self, converted, inputs):
        graph, path = converted("distilbert", "qa", "fp32")
        runner = ONNX.load(path, graph.outputs)
        with_types = runner.run(inputs)
        del inputs["token_type_ids"]
        assert np.array_equal(with_types["start"], runner.run(inputs)["start"])

    def test_missing_file(self, tmp_path):
        with pytest.raises(UserError, match=r"no ONNX file .*absent\.onnx"):
            ONNX.load(tmp_path / "absent.onnx", ("start", "end"))

    def test_garbage(self, tmp_path):
        path = tmp_path / "model.onnx"
        path.write_bytes(b"garbage" * 100)
        with pytest.raises(UserError, match=r"cannot load .*model\.onnx"):
            ONNX.load(path, ("start", "end"))

    def test_another_task(self, converted):
        _, path = converted("bert", "qa", "fp32")
        with pytest.raises(UserError, match="has the outputs start, end; asked for: logits"):
            ONNX.load(path, ("logits",))

    def test_a_file_of_someone_else(self, converted, tmp_path):
        model = onnx.load(converted("bert", "qa", "fp32")[1])
        del model.metadata_props[:]
        onnx.save(model, tmp_path / "model.onnx")
        with pytest.raises(UserError, match="does not say its lengths"):
            ONNX.load(tmp_path / "model.onnx", ("start", "end"))

    def test_runtime_not_installed(self, converted, monkeypatch):
        _, path = converted("bert", "qa", "fp32")
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(RuntimeUnavailableError, match="pip install onnxruntime"):
            ONNX.load(path, ("start", "end"))

    @pytest.mark.parametrize("package", ["onnx", "onnxscript"])
    def test_converter_not_installed(self, tiny, tmp_path, monkeypatch, package):
        graph = graphs.from_checkpoint(models.load(str(tiny("bert", "qa"))), ONNX.form())
        monkeypatch.setitem(sys.modules, package, None)
        options = ConvertOptions("fp32", (16,), LABELS)
        with pytest.raises(MissingPackageError, match=rf"{package}.*'ondevice\[onnx\]'"):
            ONNX.convert(graph, options, tmp_path / "model.onnx")
        assert not list(tmp_path.iterdir())

    def test_too_large_for_one_file(self, tiny, tmp_path, monkeypatch):
        monkeypatch.setattr("ondevice.targets.onnx.MAX_BYTES", 1000)
        graph = graphs.from_checkpoint(models.load(str(tiny("bert", "qa"))), ONNX.form())
        options = ConvertOptions("fp32", (16,), LABELS)
        with pytest.raises(UserError, match="--scheme fp16 or int8"):
            ONNX.convert(graph, options, tmp_path / "model.onnx")
        assert not list(tmp_path.iterdir())
