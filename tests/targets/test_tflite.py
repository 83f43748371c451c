"""TFLite artifacts: what is in the file, and what both runtimes compute from it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ondevice.errors import BundleError, MissingPackageError, RuntimeUnavailableError, UserError
from ondevice.targets.base import ConvertOptions
from ondevice.targets.tflite import TFLITE
from tests import requirements
from tests.conftest import random_inputs
from tests.requirements import need
from tests.targets.conftest import (
    LABELS,
    LENGTHS,
    Texts,
    assert_within,
    check_agreement,
    cosine,
    expected,
    make_cases,
    make_grid,
    visible,
)

need("tflite")

from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: E402
from ai_edge_litert.tools import flatbuffer_utils  # noqa: E402

from ondevice.targets import _tflite_schemes, tflite  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build(converted):
    return functools.partial(converted, TFLITE)


def model_of(path):
    return flatbuffer_utils.read_model_from_bytearray(path.read_bytes())


def operators(model):
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    return {names[code.builtinCode]: code.version for code in model.operatorCodes}


# Three scores of a random classifier lie so near to each other that 8 bits turn them: 0.92 is the
# lowest cosine. That head's operators are those of the other tasks.
GRID = [case for case in make_grid(TFLITE.schemes) if case[1:] != ("classify", "int8-static")]


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), GRID)
def test_computes_what_the_graph_computes(build, tmp_path, architecture, task, scheme):
    # Lowering takes 3 s a length: both lengths for each architecture and for each task, one for
    # the other pairs.
    lengths = LENGTHS if architecture == "bert" or task == "qa" else LENGTHS[-1:]
    built, path, _ = build(architecture, task, scheme, lengths)
    runner = TFLITE.load(path, built.outputs, threads=1)
    assert runner.runtime == "ai-edge-litert"
    if scheme == "int4":
        plain = build(architecture, task, "fp32", lengths).path
        built = rounded_twin(built, path, plain, tmp_path / "twin.tflite")
    check_agreement(built, runner, "int8" if scheme == "int4" else scheme, lengths)


def rounded_twin(built, path, plain, place):
    """Return the graph as the float32 file computes it from the weights of a 4-bit file.

    Rounding to 4 bits moves random weights of width 32 further than it may a real model's; from the
    rounded ones both must compute the same, as near as inputs of 8 bits allow. The graph in torch
    cannot have them: the converter multiplies the weight of a layer norm into the matrix behind it.
    """
    import torch

    twin, packed = model_of(plain), model_of(path)
    for graph, other in zip(twin.subgraphs, packed.subgraphs, strict=True):
        for operator, rounded in zip(graph.operators, other.operators, strict=True):
            builtin = twin.operatorCodes[operator.opcodeIndex].builtinCode
            if builtin in MATRIX_OPERATORS:
                buffer = twin.buffers[graph.tensors[operator.inputs[1]].buffer]
                matrix = unpack(packed, other, other.tensors[rounded.inputs[1]])
                before = np.asarray(buffer.data).view(np.float32)
                # Once for the first signature; the others share its buffers.
                if graph is twin.subgraphs[0]:
                    assert cosine(before, matrix.ravel()) > 0.98
                    assert np.abs(before - matrix.ravel()).max() > 1e-3, "nothing was rounded"
                buffer.data = matrix.astype(np.float32).ravel().view(np.uint8)
    place.write_bytes(flatbuffer_utils.convert_object_to_bytearray(twin))
    runner = TFLITE.load(place, built.outputs, threads=1)

    def module(*inputs):
        named = zip(built.inputs, (one.numpy() for one in inputs), strict=True)
        return tuple(torch.from_numpy(value) for value in runner.run(dict(named)).values())

    return dataclasses.replace(built, module=module)


MATRIX_OPERATORS = (
    schema.BuiltinOperator.FULLY_CONNECTED,
    schema.BuiltinOperator.EMBEDDING_LOOKUP,
)


def unpack(model, graph, tensor):
    """Return values [rows, columns] times their scales, of blocks or of whole rows."""
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
    if tensor.type == schema.TensorType.INT4:
        # The lower nibble of a byte comes first; shifting an int8 right keeps its sign.
        data = np.stack([data << 4 >> 4, data >> 4], axis=-1)
    values = data.reshape(tensor.shape)
    quantization = tensor.quantization
    if quantization.detailsType == schema.QuantizationDetails.BlockwiseQuantization:
        blocks = graph.tensors[quantization.details.scales]
        scale = np.asarray(model.buffers[blocks.buffer].data, np.uint8).view(np.float16)
    else:
        scale = np.asarray(quantization.scale, np.float32)
    scale = scale.astype(np.float32).reshape(len(values), -1)
    return values * np.repeat(scale, values.shape[1] // scale.shape[1], axis=1)


def test_names_and_types_are_in_the_file(build):
    built, path, _ = build()
    model = model_of(path)
    assert [s.signatureKey.decode() for s in model.signatureDefs] == ["length_32", "length_16"]
    for signature, length in zip(model.signatureDefs, (32, 16), strict=True):
        part = model.subgraphs[signature.subgraphIndex]
        # By position for runtimes without signatures: in the order of the contract.
        for names, entries, indices, kind in (
            (built.inputs, signature.inputs, part.inputs, schema.TensorType.INT32),
            (built.outputs, signature.outputs, part.outputs, schema.TensorType.FLOAT32),
        ):
            assert [part.tensors[i].name.decode() for i in indices] == list(names)
            assert {e.name.decode(): e.tensorIndex for e in entries} == dict(
                zip(names, indices, strict=True)
            )
            assert {part.tensors[i].type for i in indices} == {kind}
            assert all(list(part.tensors[i].shape) == [1, length] for i in indices)


def test_no_name_tells_of_our_classes(build):
    _, path, _ = build()
    names = [t.name.decode() for part in model_of(path).subgraphs for t in part.tensors]
    assert not [name for name in names if "ondevice" in name or "torch" in name or ";;" in name]
    inner = [name for name in names if name.count("_") and "/" in name]
    assert len(inner) == len(set(inner)), "tools that edit the file tell tensors by name"


@pytest.mark.parametrize("lengths", [(64,), LENGTHS])
def test_runs_without_signatures_at_the_longest_length(build, lengths):
    built, path, _ = build(lengths=lengths)
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    inputs = random_inputs(built.inputs, max(lengths), built.encoder.vocab_size, valid=20)
    for detail, name in zip(interpreter.get_input_details(), built.inputs, strict=True):
        interpreter.set_tensor(detail["index"], inputs[name])
    interpreter.invoke()
    for detail, role in zip(interpreter.get_output_details(), built.outputs, strict=True):
        ours = interpreter.get_tensor(detail["index"])
        assert_within("fp32", ours[:, :20], expected(built, inputs)[role][:, :20])


def test_a_single_signature_needs_no_name(build):
    built, path, _ = build(lengths=(64,))
    inputs = random_inputs(built.inputs, 64, built.encoder.vocab_size, valid=20)
    outputs = Interpreter(model_path=str(path)).get_signature_runner()(**inputs)
    assert_within("fp32", outputs["start"][:, :20], expected(built, inputs)["start"][:, :20])


def test_compiled_model_takes_the_file(build):
    """LiteRT's newer interface verifies the flatbuffer and finds buffers by name."""
    from ai_edge_litert.compiled_model import CompiledModel

    built, path, _ = build()
    model = CompiledModel.from_file(str(path))
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=16)
    given = {name: model.create_input_buffer_by_name("length_16", name) for name in inputs}
    for name, buffer in given.items():
        buffer.write(inputs[name])
    got = {role: model.create_output_buffer_by_name("length_16", role) for role in built.outputs}
    model.run_by_name("length_16", given, got)
    for role, buffer in got.items():
        assert_within("fp32", buffer.read(16, np.float32), expected(built, inputs)[role][0])


def test_the_file_says_what_it_is(build):
    _, path, _ = build()
    said = model_of(path).description.decode()
    assert said == "tiny 1.2.3, task qa, by An Author, licence apache-2.0"


def weights_in(path, shape):
    """The types in which matrices of this shape are stored."""
    model = model_of(path)
    return {
        tensor.type
        for part in model.subgraphs
        for tensor in part.tensors
        if list(tensor.shape) == list(shape) and model.buffers[tensor.buffer].data is not None
    }


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        ("fp32", "FLOAT32"),
        ("fp16", "FLOAT16"),
        ("int8", "INT8"),
        ("int8-weight", "INT8"),
        ("int8-static", "INT8"),
        ("int4", "INT4"),
    ],
)
def test_weights_are_stored_as_the_scheme_says(build, scheme, kind):
    built, path, _ = build(scheme=scheme)
    stored = getattr(schema.TensorType, kind)
    encoder = built.encoder
    assert weights_in(path, (encoder.vocab_size, encoder.width)) == {stored}
    assert weights_in(path, (encoder.intermediate, encoder.width)) == {stored}
    # A head of 4 bits would be wrong where XNNPACK does not run it.
    head = schema.TensorType.INT8 if scheme == "int4" else stored
    assert weights_in(path, (2, encoder.width)) == {head}


def test_int8_static_multiplies_integers_and_computes_the_rest_in_floats(build):
    model = model_of(build(scheme="int8-static")[1])
    linear = schema.BuiltinOperator.FULLY_CONNECTED
    for part in model.subgraphs:
        kinds = {True: set(), False: set()}
        for operator in part.operators:
            builtin = model.operatorCodes[operator.opcodeIndex].builtinCode
            # A QUANTIZE reads floats, a DEQUANTIZE integers; what they stand between is the point.
            if builtin not in (schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE):
                kinds[builtin == linear].add(part.tensors[operator.outputs[0]].type)
        assert kinds[True] == {schema.TensorType.INT8}
        assert schema.TensorType.INT8 not in kinds[False]


def test_calibration_texts_decide_the_ranges(build, graph_of, tmp_path):
    built, path, _ = build(scheme="int8-static", lengths=(16,))
    other = tmp_path / "other.tflite"
    options = ConvertOptions("int8-static", (16,), LABELS, calibration=Texts(built, seed=9))
    TFLITE.convert(built, options, other)
    assert other.read_bytes() != path.read_bytes()
    again = tmp_path / "again.tflite"
    options = ConvertOptions("int8-static", (16,), LABELS, calibration=Texts(built))
    TFLITE.convert(built, options, again)
    assert again.read_bytes() == path.read_bytes()


def test_static_without_texts_is_a_defect(build, tmp_path):
    built = build(lengths=(16,))[0]
    with pytest.raises(ValueError, match="no calibration texts"):
        TFLITE.convert(built, ConvertOptions("int8-static", (16,), LABELS), tmp_path / "x.tflite")


@pytest.mark.parametrize(
    ("width", "embedding", "intermediate", "linear", "table"),
    [(384, 384, 1536, 128, 128), (312, 312, 1200, 0, 0), (32, 32, 64, 32, 32), (32, 16, 64, 0, 0)],
)
def test_blocks_divide_every_row(build, width, embedding, intermediate, linear, table):
    shape = dataclasses.replace(
        build()[0].encoder,
        width=width,
        embedding_width=embedding,
        intermediate=intermediate,
    )
    assert _tflite_schemes.block_size("FULLY_CONNECTED", shape) == linear
    assert _tflite_schemes.block_size("EMBEDDING_LOOKUP", shape) == table


def test_every_block_of_int4_has_its_own_scale(build):
    built, path, _ = build(scheme="int4")
    shape = [built.encoder.intermediate, built.encoder.width]
    details = {
        (tensor.quantization.detailsType, tensor.quantization.details.blockSize)
        for part in model_of(path).subgraphs
        for tensor in part.tensors
        if list(tensor.shape) == shape and tensor.type == schema.TensorType.INT4
    }
    assert details == {(schema.QuantizationDetails.BlockwiseQuantization, 32)}


@pytest.mark.parametrize("lengths", [(64,), (32, 48, 64)])
def test_positions_have_8_bits_under_int4(build, lengths):
    """A scale for each row, and what is computed from them is nearly what the graph has."""
    built, path, _ = build(scheme="int4", lengths=lengths)
    model = model_of(path)
    positions = built.module.embeddings.positions.numpy()
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    for part in model.subgraphs:
        (operator,) = (
            one
            for one in part.operators
            if names[model.operatorCodes[one.opcodeIndex].builtinCode] == "DEQUANTIZE"
        )
        tensor = part.tensors[operator.inputs[0]]
        assert tensor.type == schema.TensorType.INT8
        rows = tensor.shape[-2]
        assert len(tensor.quantization.scale) == rows
        values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
        unpacked = values.reshape(rows, -1) * np.asarray(tensor.quantization.scale)[:, None]
        np.testing.assert_allclose(unpacked, positions[:rows], atol=0.01)
    assert schema.TensorType.FLOAT32 not in weights_in(path, (1, max(lengths), 32))


@pytest.mark.parametrize("task", ["qa", "tokens", "classify"])
@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_integers_are_right_without_xnnpack(build, task, scheme):
    """On iOS it is off by default, and a GPU delegate leaves operators to LiteRT's own kernels."""
    built, path, _ = build(task=task, scheme=scheme)
    plain = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner = TFLITE.load(path, built.outputs, threads=1)
    for inputs, valid in make_cases(built, LENGTHS):
        outputs = plain.get_signature_runner(f"length_{inputs['input_ids'].shape[1]}")(**inputs)
        for role, value in runner.run(inputs).items():
            assert_within(
                "int8", visible(built, outputs[role], valid), visible(built, value, valid)
            )


@pytest.mark.parametrize("scheme", ["int8", "int8-weight", "int8-static"])
def test_every_row_has_its_own_scale(build, scheme):
    built, path, _ = build(scheme=scheme)
    shape = [built.encoder.vocab_size, built.encoder.width]
    scales = [
        np.asarray(tensor.quantization.scale)
        for part in model_of(path).subgraphs
        for tensor in part.tensors
        if list(tensor.shape) == shape and tensor.type == schema.TensorType.INT8
    ]
    assert [len(scale) for scale in scales] == [built.encoder.vocab_size] * len(LENGTHS)
    assert len(np.unique(scales[0])) > built.encoder.vocab_size // 2


def test_constants_lie_aligned_inside_the_flatbuffer(build):
    content = build(scheme="int8")[1].read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    start = np.frombuffer(content, np.uint8).ctypes.data
    places = []
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        assert buffer.Offset() == buffer.Size() == 0
        if not buffer.DataIsNone():
            places.append(buffer.DataAsNumpy().ctypes.data - start)
    assert len(places) > 10
    assert {place % 16 for place in places} == {0}


@pytest.mark.parametrize("scheme", TFLITE.schemes)
def test_lengths_share_all_weights(build, tmp_path, scheme):
    """At lengths above _tflite_file.MIN_SHARED_BYTES the position table is shared too."""
    built, path, _ = build(scheme=scheme, lengths=(32, 48, 64))
    _, alone, _ = build(scheme=scheme, lengths=(64,))

    # The table's scales, one for each block, are a constant of their own under int4.
    least = built.encoder.vocab_size * 2 if scheme == "int4" else 1024

    def big(model):
        data = (buffer.data for buffer in model.buffers if buffer.data is not None)
        return sum(len(part) for part in data if len(part) >= least)

    several, one = model_of(path), model_of(alone)
    assert big(several) == big(one)
    assert "SLICE" in operators(several)
    runner = TFLITE.load(path, built.outputs)
    if scheme == "int4":
        plain = build(lengths=(32, 48, 64)).path
        built = rounded_twin(built, path, plain, tmp_path / "twin.tflite")
    limit = "int8" if scheme == "int4" else scheme
    for length in (32, 48, 64):
        inputs = random_inputs(built.inputs, length, built.encoder.vocab_size, valid=length)
        assert_within(limit, runner.run(inputs)["start"], expected(built, inputs)["start"])


def test_scales_are_written_once(build):
    content = {
        lengths: len(build(scheme="int8", lengths=lengths)[1].read_bytes())
        - len(build(scheme="fp16", lengths=lengths)[1].read_bytes())
        for lengths in ((64,), (32, 48, 64))
    }
    # fp16 has no scales but a DEQUANTIZE for each weight; were the scales of the embedding
    # (12 bytes a row) written for each length, int8 would fall behind by them.
    rows = build()[0].encoder.vocab_size
    assert content[32, 48, 64] <= content[64,] + rows * 12


@pytest.mark.parametrize(("scheme", "linear"), [("int8", 12), ("int4", 14)])
def test_integer_weights_ask_for_operators_that_know_their_scales(build, scheme, linear):
    versions = operators(model_of(build(scheme=scheme)[1]))
    assert versions["FULLY_CONNECTED"] == linear
    assert versions["EMBEDDING_LOOKUP"] == 4


@pytest.mark.parametrize(
    ("scheme", "oldest"),
    [
        ("fp32", "2.9.0"),
        ("fp16", "2.9.0"),
        ("int8", "2.18.0"),
        ("int8-weight", "2.9.0"),
        ("int8-static", "2.18.0"),
    ],
)
def test_min_runtime_is_what_the_file_says(build, scheme, oldest):
    _, path, conversion = build(scheme=scheme)
    model = model_of(path)
    (buffer,) = (m.buffer for m in model.metadata if m.name == b"min_runtime_version")
    assert bytes(model.buffers[buffer].data).rstrip(b"\0").decode() == oldest
    assert conversion.min_runtime["tensorflow-lite"] == oldest
    everywhere = {"fp32", "fp16", "int8-weight"}
    assert ("tflite-runtime" in conversion.min_runtime) == (scheme in everywhere)
    assert conversion.varies is None


def test_blocks_of_four_bits_promise_no_release_that_nobody_knows(build):
    assert build(scheme="int4").conversion.min_runtime == {"ai-edge-litert": "2.1.0"}


CONVERT = """
import sys
from pathlib import Path
from ondevice.targets.base import ConvertOptions
from ondevice.targets.tflite import TFLITE
from tests.targets.conftest import LABELS, LENGTHS, load_graph
checkpoint, scheme, out = sys.argv[1:]
graph = load_graph(checkpoint, TFLITE.form())
TFLITE.convert(graph, ConvertOptions(scheme, LENGTHS, LABELS), Path(out))
"""


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(build, tiny, tmp_path):
    # int8 runs every step: the other schemes ask the same quantizer for other types.
    path = tmp_path / "again.tflite"
    subprocess.run(
        [sys.executable, "-c", CONVERT, str(tiny("bert", "qa")), "int8", str(path)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert path.read_bytes() == build(scheme="int8").path.read_bytes()


def test_an_id_outside_the_vocabulary_is_refused(build):
    built, path, _ = build()
    inputs = random_inputs(built.inputs, 16, built.encoder.vocab_size, valid=16)
    inputs["input_ids"][0, 3] = 10**6
    with pytest.raises(UserError, match=r"ai-edge-litert .* refused the inputs: "):
        TFLITE.load(path, built.outputs).run(inputs)


def test_another_kind_of_file_is_not_a_runtime_that_is_too_old(build, tmp_path):
    """That would be published as not run."""
    (tmp_path / "text.tflite").write_text("not a model")
    with pytest.raises(BundleError, match=r"ai-edge-litert .* cannot load .*text\.tflite"):
        TFLITE.load(tmp_path / "text.tflite", build().graph.outputs)


def test_a_file_that_is_newer_than_the_runtime(build, tmp_path):
    """Nothing is wrong with the file: it did not run, and did not fail."""
    built, path, _ = build()
    model = model_of(path)
    for code in model.operatorCodes:
        code.version = 99
    newer = tmp_path / "newer.tflite"
    newer.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    with pytest.raises(RuntimeUnavailableError, match="Didn't find op"):
        TFLITE.load(newer, built.outputs)


def test_a_file_of_others_is_refused(build, tmp_path):
    built, path, _ = build()
    content = path.read_bytes().replace(b"length_", b"strand_")
    (tmp_path / "other.tflite").write_bytes(content)
    with pytest.raises(BundleError, match="no signature length_<L>"):
        TFLITE.load(tmp_path / "other.tflite", built.outputs)


@pytest.mark.parametrize("package", ["litert_torch", "ai_edge_quantizer"])
def test_a_missing_converter_is_named(build, monkeypatch, tmp_path, package):
    built = build()[0]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"'{package}'.*-e '.\[tflite\]'"):
        TFLITE.convert(built, ConvertOptions("fp32", (16,), LABELS), tmp_path / "x.tflite")


def test_a_missing_runtime_is_named(build, monkeypatch):
    built, path, _ = build()
    for module in tflite.RUNTIMES.values():
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.setitem(sys.modules, f"{module}.interpreter", None)
    with pytest.raises(RuntimeUnavailableError, match=r"pip install .*\[tflite\]'"):
        TFLITE.load(path, built.outputs)


def test_threads_reach_the_runtime(build, monkeypatch):
    built, path, _ = build()
    given = []

    class Spy(Interpreter):
        def __init__(self, **options):
            given.append(options["num_threads"])
            super().__init__(**options)

    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", Spy)
    TFLITE.load(path, built.outputs, threads=2)
    TFLITE.load(path, built.outputs)
    assert given == [2, None]


# The last tflite-runtime, in an interpreter of its own (it needs NumPy 1).

OLD_RUN = """
import sys
from pathlib import Path
import numpy as np
from ondevice.errors import RuntimeUnavailableError
from ondevice.targets.tflite import TFLITE
artifact, inputs, out, *roles = sys.argv[1:]
try:
    runner = TFLITE.load(Path(artifact), roles, threads=1)
except RuntimeUnavailableError as error:
    sys.exit(f"refused: {error}")
outputs = {}
with np.load(inputs) as given:
    for case in sorted({key.split("/")[0] for key in given}):
        named = {k.split("/")[1]: given[k] for k in given if k.split("/")[0] == case}
        for role, value in runner.run(named).items():
            outputs[f"{case}/{role}"] = value
np.savez(out, **outputs)
print(runner.runtime, runner.version)
"""


@pytest.fixture(scope="module")
def old_python():
    """The interpreter that has tflite-runtime and not ai-edge-litert."""
    path = Path(
        os.environ.get("ONDEVICE_TFLITE_RUNTIME_PYTHON")
        or ROOT / ".venv-tflite-runtime" / "bin" / "python"
    )
    probe = [str(path), "-c", "import tflite_runtime"]
    if path.is_file() and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return str(path)
    if importlib.util.find_spec("tflite_runtime") is not None:
        return sys.executable
    need("tflite_runtime")
    raise AssertionError("need() skips or fails")


def run_old(python, built, path, tmp_path):
    """Run the cases there; return the process and its outputs by case."""
    inputs = {str(index): case for index, (case, _) in enumerate(make_cases(built, LENGTHS))}
    flat = {f"{i}/{name}": value for i, case in inputs.items() for name, value in case.items()}
    np.savez(tmp_path / "in.npz", **flat)
    done = subprocess.run(
        [python, "-c", OLD_RUN, path, tmp_path / "in.npz", tmp_path / "out.npz", *built.outputs],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        return done, {}
    with np.load(tmp_path / "out.npz") as outputs:
        return done, {key: outputs[key] for key in outputs}


@pytest.mark.parametrize("scheme", ["fp32", "fp16", "int8-weight"])
@pytest.mark.parametrize("task", ["qa", "embed"])
def test_tflite_runtime_computes_the_same(build, old_python, tmp_path, task, scheme):
    built, path, conversion = build("bert", task, scheme)
    done, outputs = run_old(old_python, built, path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["tflite-runtime", conversion.min_runtime["tflite-runtime"]]
    for index, (inputs, valid) in enumerate(make_cases(built, LENGTHS)):
        theirs = expected(built, inputs)
        for role in built.outputs:
            assert_within(
                scheme,
                visible(built, outputs[f"{index}/{role}"], valid),
                visible(built, theirs[role], valid),
            )


@pytest.mark.parametrize("scheme", ["int8", "int8-static", "int4"])
def test_tflite_runtime_refuses_instead_of_computing_nonsense(build, old_python, tmp_path, scheme):
    built, path, _ = build(scheme=scheme)
    done, _ = run_old(old_python, built, path, tmp_path)
    assert done.stderr.splitlines()[-1].startswith("refused: tflite-runtime 2.14.0 cannot load"), (
        done.stderr
    )
    assert "version" in done.stderr


def unguarded(scheme):
    """The scheme without the operator versions that the quantizer does not write."""
    return dataclasses.replace(_tflite_schemes.SCHEMES[scheme], versions={})


def test_tflite_runtime_would_compute_nonsense_from_int8(build, old_python, tmp_path, monkeypatch):
    """The known failure that the operator versions guard against; if this fails, it is gone."""
    built = build()[0]
    path = tmp_path / "unguarded.tflite"
    monkeypatch.setitem(_tflite_schemes.SCHEMES, "int8", unguarded("int8"))
    TFLITE.convert(built, ConvertOptions("int8", LENGTHS, LABELS), path)
    done, outputs = run_old(old_python, built, path, tmp_path)
    assert done.returncode == 0, done.stderr
    for index, (inputs, valid) in enumerate(make_cases(built, LENGTHS)):
        ours, theirs = outputs[f"{index}/start"], expected(built, inputs)["start"]
        assert cosine(ours[:, :valid], theirs[:, :valid]) < 0.9


def test_a_promised_tflite_runtime_that_is_missing_fails(monkeypatch):
    monkeypatch.setitem(requirements.MODULES, "tflite_runtime", ("no_such_module",))
    monkeypatch.setenv("ONDEVICE_REQUIRE", "tflite_runtime")
    with pytest.raises(pytest.fail.Exception, match=r"tflite_runtime needs .*no_such_module"):
        need("tflite_runtime")
