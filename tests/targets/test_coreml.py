"""Core ML packages compute what the graph computes, and say what they are.

Core ML itself runs on a Mac only; here the packages run, from disk, on the reference interpreter
of ``ondevice.verify.mil``, in half precision where the program asks for it. The runner is tested
with that interpreter in the place of ``coremltools.models.MLModel`` (the fixture ``mac``).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ondevice.errors import BundleError, MissingPackageError, RuntimeUnavailableError, UserError
from ondevice.targets import _coreml_weights, _mlpackage, coreml
from ondevice.targets.base import ConvertOptions
from ondevice.targets.coreml import COREML
from ondevice.verify.mil import runner as mil_runner
from tests.conftest import random_inputs
from tests.requirements import need
from tests.targets.conftest import (
    LABELS,
    LENGTHS,
    InterpretedMLModel,
    check_agreement,
    cosine,
    expected,
    make_grid,
)

need("coreml")


@pytest.fixture(scope="module")
def packaged(converted):
    return functools.partial(converted, COREML, lengths=(32,))


def open_function(path, function=None):
    from ondevice.verify.mil import MilModel

    return MilModel.load(path, function)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), make_grid(COREML.schemes))
def test_computes_what_the_graph_computes(packaged, architecture, task, scheme):
    built, path, _ = packaged(architecture, task, scheme)
    check_package(built, path, scheme, (32,))


# These move random weights of width 32 further than they may a real model's: a package is compared
# with what torch computes from the package's own weights, at the limit of eight bits.
FEW_BITS = ("int4", "pal6", "pal4")


def check_package(built, path, scheme, lengths):
    """Compare a package with `built`; where bits are few, `built` must be in its layout."""
    runner = mil_runner.load(path, built.outputs)
    if scheme not in FEW_BITS:
        check_agreement(built, runner, scheme, lengths)
        return
    for length in lengths:
        # Each function has its own first rows of the position table.
        function = coreml.function_name(length) if len(lengths) > 1 else None
        twin = rounded_twin(built, unpacked(path, function), length)
        check_agreement(twin, runner, "int8", (length,))


def rounded_twin(graph, stored, length):
    """Return the graph with the matrices of a function in the place of those that they round."""
    import torch

    twin = dataclasses.replace(graph, module=copy.deepcopy(graph.module))
    left = {
        name: weight
        for name, weight in twin.module.named_parameters()
        if weight.numel() > max(weight.shape)
    }
    left["embeddings.positions"] = twin.module.embeddings.positions[:length]
    for matrix in stored:
        name = nearest(left, matrix)
        weight = left.pop(name)
        # Compensation moves weights further than rounding to the nearest would: 0.989.
        assert 0.98 < cosine(weight.numpy(), matrix) < 1 - 1e-5, name
        weight.copy_(torch.from_numpy(matrix))
    assert all(weight.numel() <= _coreml_weights.THRESHOLD for weight in left.values())
    return twin


def nearest(named, matrix):
    """Return the name of the weight of a matrix's shape that has the highest cosine to it."""
    fits = {
        name: cosine(weight.numpy(), matrix)
        for name, weight in named.items()
        if weight.shape == matrix.shape
    }
    return max(fits, key=fits.__getitem__)


def unpacked(path, function=None):
    """Return the compressed matrices of a function as float32."""
    model = open_function(path, function)
    return [
        model._plan.constants[op.outputs[0][0]].numpy()
        for op in model._function.operations
        if op.type.startswith("constexpr_")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ios", "scheme", "specification"),
    [(15, "fp16", 6), (17, "int8", 8), (18, "int8", 9)],
)
def test_every_ios_version(packaged, ios, scheme, specification):
    built, path, conversion = packaged("distilbert", "classify", scheme, ios=ios)
    assert open_function(path).specification_version == specification
    assert conversion.min_runtime["iOS"] == str(ios)
    check_agreement(built, mil_runner.load(path, built.outputs), scheme, (32,))


@pytest.mark.parametrize("scheme", COREML.schemes)
def test_several_lengths_are_functions_that_share_their_weights(packaged, scheme):
    built, path, conversion = packaged("bert", "qa", scheme, lengths=LENGTHS)
    assert conversion.min_runtime == {"iOS": "18", "macOS": "15"}
    assert open_function(path).function_name == "length_32"
    for length in LENGTHS:
        model = open_function(path, f"length_{length}")
        assert [spec.shape for spec in model.inputs] == [(1, length)] * 3
    check_package(built, path, scheme, LENGTHS)
    _, single, _ = packaged("bert", "qa", scheme)
    # The shorter function has its own part of the position table: 16 rows of 32 values.
    assert weight_bytes(path) - weight_bytes(single) <= 16 * 32 * 4 + 1024


def weight_bytes(path):
    return next(path.rglob("weight.bin")).stat().st_size


def test_weights_are_stored_as_the_scheme_says(packaged):
    sizes = {scheme: weight_bytes(packaged("bert", "qa", scheme)[1]) for scheme in COREML.schemes}
    # Biases and norms stay fp16 under integers, and each value is padded to 64 bytes.
    assert 0.49 < sizes["fp16"] / sizes["fp32"] < 0.6
    assert sizes["int8"] / sizes["fp32"] < 0.42
    assert sizes["pal6"] < sizes["int8"]
    assert sizes["int4"] < sizes["int8"]
    # Of rows of 32 weights, 16 take 256 bytes beside a table of 32.
    assert sizes["pal4"] < 1.1 * sizes["pal6"]


UNPACKS = {
    "int8": {"constexpr_affine_dequantize"},
    "int4": {"constexpr_blockwise_shift_scale"},
    # Positions have 8 bits.
    "pal6": {"constexpr_lut_to_dense", "constexpr_affine_dequantize"},
    "pal4": {"constexpr_lut_to_dense", "constexpr_blockwise_shift_scale"},
}


@pytest.mark.parametrize("scheme", UNPACKS)
def test_every_scheme_covers_the_embedding_table_and_every_matrix(packaged, scheme):
    built, path, _ = packaged("bert", "qa", scheme)
    unpackers = {op.type for op in operations(path) if op.type.startswith("constexpr_")}
    assert unpackers == UNPACKS[scheme]
    unpacked = [
        tuple(dimension.constant.size for dimension in op.outputs[0].type.tensorType.dimensions)
        for op in operations(path)
        if op.type.startswith("constexpr_")
    ]
    matrices = [
        tuple(weight.shape)
        for name, weight in built.module.named_parameters()
        if weight.dim() == 2 and "positions" not in name and "head" not in name
    ]
    assert (built.encoder.vocab_size, 32) in matrices
    # The rows of the position table that the length uses.
    assert sorted(unpacked) == sorted([*matrices, (32, 32)])


@pytest.mark.parametrize(
    ("width", "embedding", "intermediate", "block"),
    [(384, 384, 1536, 128), (312, 312, 1200, 24), (256, 128, 1024, 128), (32, 16, 64, 16)],
)
def test_blocks_divide_every_row(packaged, width, embedding, intermediate, block):
    """coremltools leaves a matrix that they do not divide as it is, without an error."""
    shape = dataclasses.replace(
        packaged("bert", "qa", "fp16").graph.encoder,
        width=width,
        embedding_width=embedding,
        intermediate=intermediate,
    )
    assert _coreml_weights.block_size(shape) == block


def operations(path):
    (function,) = _mlpackage.read_model(path).mlProgram.functions.values()
    return function.block_specializations[function.opset].operations


@pytest.mark.parametrize(("scheme", "least"), [("fp32", 0.0), ("fp16", 1e-7), ("int8", 1e-7)])
def test_layer_norm_epsilon_survives_half_precision(packaged, scheme, least):
    _, path, _ = packaged("bert", "qa", scheme)
    epsilons = [scalar(path, op, "epsilon") for op in operations(path) if op.type == "layer_norm"]
    assert len(epsilons) == 5
    assert all(least <= epsilon < 1e-5 and epsilon > 0 for epsilon in epsilons)


@pytest.mark.parametrize("scheme", ["fp32", "fp16"])
def test_no_bound_is_infinite(packaged, scheme):
    _, path, _ = packaged("bert", "embed", scheme)
    bounds = [scalar(path, op, "beta") for op in operations(path) if op.type == "clip"]
    assert len(bounds) == 2
    assert all(np.isfinite(bound) for bound in bounds)


def scalar(path, op, name):
    """Return the number bound to an op's argument: bytes in half precision, else a float."""
    binding = op.inputs[name].arguments[0]
    if binding.WhichOneof("binding") == "value":
        tensor = binding.value.immediateValue.tensor
    else:
        (source,) = [o for o in operations(path) if o.outputs[0].name == binding.name]
        tensor = source.attributes["val"].immediateValue.tensor
    if tensor.WhichOneof("value") == "bytes":
        return float(np.frombuffer(tensor.bytes.values, np.float16)[0])
    return float(tensor.floats.values[0])


@pytest.mark.parametrize("lengths", [(32,), LENGTHS])
def test_the_package_names_itself_its_inputs_and_its_outputs(packaged, lengths):
    from coremltools.proto import FeatureTypes_pb2

    array = FeatureTypes_pb2.ArrayFeatureType
    _, path, _ = packaged("bert", "qa", "fp16", lengths=lengths)
    description = _mlpackage.read_model(path).description
    metadata = description.metadata
    assert (metadata.author, metadata.license) == ("An Author", "apache-2.0")
    assert metadata.versionString == "1.2.3"
    assert "tiny: bert encoder, task qa" in metadata.shortDescription
    assert metadata.userDefined["ondevice.task"] == "qa"
    assert metadata.userDefined["ondevice.lengths"] == ",".join(map(str, lengths))
    functions = list(description.functions) or [description]
    assert len(functions) == len(lengths)
    for function in functions:
        inputs = {feature.name: feature for feature in function.input}
        outputs = {feature.name: feature for feature in function.output}
        assert list(inputs) == ["input_ids", "attention_mask", "token_type_ids"]
        assert list(outputs) == ["start", "end"]
        assert all(feature.shortDescription for feature in (*inputs.values(), *outputs.values()))
        assert {f.type.multiArrayType.dataType for f in inputs.values()} == {array.INT32}
        assert {f.type.multiArrayType.dataType for f in outputs.values()} == {array.FLOAT32}
        shapes = {tuple(f.type.multiArrayType.shape) for f in (*inputs.values(), *outputs.values())}
        assert len(shapes) == 1
        assert shapes <= {(1, length) for length in lengths}


CONVERT_AGAIN = """
import sys
from pathlib import Path
from ondevice.targets.base import ConvertOptions
from ondevice.targets.coreml import COREML
from tests.targets.conftest import LABELS, load_graph

checkpoint, scheme, lengths, out = sys.argv[1:]
options = ConvertOptions(scheme, tuple(map(int, lengths.split(","))), LABELS)
COREML.convert(load_graph(checkpoint), options, Path(out))
"""


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(packaged, tiny, tmp_path):
    # int8 with several lengths runs every step that the other schemes run.
    _, path, conversion = packaged("bert", "qa", "int8", lengths=LENGTHS)
    again = tmp_path / "again.mlpackage"
    arguments = [str(tiny("bert", "qa")), "int8", ",".join(map(str, LENGTHS)), str(again)]
    subprocess.run(
        [sys.executable, "-c", CONVERT_AGAIN, *arguments],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert read_tree(again) == read_tree(path)
    assert conversion.varies is None


def read_tree(root):
    files = (file for file in root.rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("scheme", "lengths", "ios", "chosen"),
    [
        ("fp16", (32,), None, 16),
        ("int8", (32,), None, 16),
        ("fp32", LENGTHS, None, 18),
        ("fp16", (32,), 15, 15),
        ("int8", (32,), 17, 17),
        ("int8", LENGTHS, 18, 18),
        ("int4", (32,), None, 18),
        ("pal4", (32,), None, 18),
        ("pal6", (32,), 17, 17),
    ],
)
def test_the_oldest_ios_that_will_do_is_chosen(scheme, lengths, ios, chosen):
    assert coreml.choose_ios(ConvertOptions(scheme, lengths, LABELS, ios)) == chosen


@pytest.mark.parametrize(
    ("scheme", "lengths", "ios", "sentence"),
    [
        (
            "fp16",
            LENGTHS,
            17,
            "several lengths .* iOS 18 .* not 17; type --ios 18, or --lengths 32",
        ),
        ("int8", LENGTHS, 15, "several lengths .* iOS 18 .* type --ios 18, or --lengths 32"),
        ("int8", (32,), 15, "'int8' needs iOS 16 .* not 15; type --ios 16, or --scheme fp16"),
        ("int8", LENGTHS, 15, "type --ios 18, or --lengths 32 --scheme fp16"),
        (
            "int4",
            (32,),
            17,
            "'int4' needs iOS 18 .*; type --ios 18, or --scheme fp16 or int8 or pal6",
        ),
        ("fp16", (32,), 14, "unknown iOS version '14'; iOS versions: 15, 16, 17, 18"),
    ],
)
def test_an_ios_that_will_not_do_is_refused(tmp_path, scheme, lengths, ios, sentence):
    options = ConvertOptions(scheme, lengths, LABELS, ios)
    with pytest.raises(UserError, match=sentence):
        COREML.convert(None, options, tmp_path / "model.mlpackage")
    assert not list(tmp_path.iterdir())


def test_a_missing_converter_is_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingPackageError, match=r"'coremltools'.*pip install .*\[coreml\]'"):
        COREML.convert(None, ConvertOptions("fp16", (32,), LABELS), tmp_path / "model.mlpackage")


def test_loading_off_a_mac_says_why_not(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(RuntimeUnavailableError, match=r"Apple systems only and this is Linux"):
        COREML.load(tmp_path / "model.mlpackage", ("start", "end"))


def test_the_runner_opens_the_function_of_the_length(packaged, mac):
    built, path, _ = packaged("bert", "qa", "fp32", lengths=LENGTHS)
    runner = COREML.load(path, built.outputs)
    for length in (16, 32, 16):
        inputs = random_inputs(built.inputs, length, built.encoder.vocab_size, valid=length)
        outputs = runner.run(inputs)
        assert list(outputs) == ["start", "end"]
        for role, theirs in expected(built, inputs).items():
            assert outputs[role].dtype == np.float32
            np.testing.assert_allclose(outputs[role], theirs, atol=1e-4, rtol=0)
    assert mac == ["length_16", "length_32"]


def test_the_runner_opens_a_single_length_without_a_function_name(packaged, mac):
    built, path, _ = packaged("distilbert", "classify", "fp16", ios=15)
    runner = COREML.load(path, built.outputs, threads=2)
    inputs = random_inputs(built.inputs, 32, built.encoder.vocab_size, valid=32)
    outputs = runner.run(inputs)["logits"]
    assert outputs.shape == (1, 3)
    assert mac == [None]


def test_a_mac_that_is_too_old_is_told_so(packaged, mac, monkeypatch):
    _, path, _ = packaged("bert", "qa", "fp32", lengths=LENGTHS)
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.6", ("", "", ""), "arm64"))
    with pytest.raises(RuntimeUnavailableError, match=r"needs macOS 15 and this is macOS 14\.6"):
        COREML.load(path, ("start", "end"))


def test_a_package_of_a_later_year_is_refused(packaged, mac, tmp_path):
    built, path, _ = packaged("bert", "qa", "fp32", lengths=LENGTHS)
    newer = tmp_path / "newer.mlpackage"
    shutil.copytree(path, newer)
    spec = _mlpackage.read_model(newer)
    spec.specificationVersion = 99
    _mlpackage.write_model(newer, spec)
    with pytest.raises(BundleError, match="specification version 99 is unknown"):
        COREML.load(newer, built.outputs)


def test_a_package_that_core_ml_cannot_compile_is_damaged(packaged, mac, monkeypatch):
    """coremltools keeps the framework's error until the model is run."""

    def refuse(*_):
        raise RuntimeError("Error compiling model: the file weight.bin is missing")

    built, path, _ = packaged("bert", "qa", "fp32", lengths=LENGTHS)
    monkeypatch.setattr(InterpretedMLModel, "predict", refuse)
    inputs = random_inputs(built.inputs, 32, built.encoder.vocab_size, valid=32)
    with pytest.raises(BundleError, match=r"Core ML cannot run the package: .* weight\.bin"):
        COREML.load(path, built.outputs).run(inputs)


def test_compressed_packages_stand_beside_the_result_and_are_removed(monkeypatch, tmp_path):
    """The system's temporary directory may be a small one in memory."""
    seen = []

    def record(graph, options, package, path):
        seen.append(path)
        path.mkdir()
        raise OSError("no space left")

    monkeypatch.setattr(coreml, "_convert_length", lambda *_: None)
    monkeypatch.setattr(coreml, "_compress", record)
    options = ConvertOptions("int8", LENGTHS, LABELS)
    with pytest.raises(OSError, match="no space left"):
        COREML.convert(None, options, tmp_path / "model.mlpackage")
    assert [path.parent.parent for path in seen] == [tmp_path]
    assert not list(tmp_path.iterdir())
