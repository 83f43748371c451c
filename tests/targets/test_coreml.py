"""Core ML packages compute what the graph computes, and say what they are.

Core ML itself runs on a Mac only; here the packages run, from disk, on the reference interpreter
of ``ondevice.verify.mil``, in half precision where the program asks for it. The runner is tested
with that interpreter in the place of ``coremltools.models.MLModel``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ondevice.errors import MissingPackageError, RuntimeUnavailableError, UserError
from ondevice.targets import _mlpackage, coreml
from ondevice.targets.base import ConvertOptions, Labels
from ondevice.targets.coreml import COREML
from tests.conftest import ARCHITECTURE_NAMES, TASK_NAMES, random_inputs
from tests.requirements import need

need("coreml")

LABELS = Labels("tiny", "qa", "An Author", "apache-2.0", "1.2.3")
LENGTHS = (16, 32)
FULL_GRID = [(name, task, "fp32") for name in ARCHITECTURE_NAMES for task in TASK_NAMES]
HALF_GRID = [("bert", task) for task in TASK_NAMES] + [
    (name, "qa") for name in ARCHITECTURE_NAMES if name != "bert"
]
GRID = FULL_GRID + [(*pair, scheme) for scheme in ("fp16", "int8") for pair in HALF_GRID]


def load_graph(directory):
    from ondevice import graph, models

    return graph.from_checkpoint(models.load(str(directory)), COREML.form())


@pytest.fixture(scope="session")
def packaged(tiny, tmp_path_factory):
    """Return a function that converts once for each set of arguments: (graph, path, conversion)."""
    root = tmp_path_factory.mktemp("coreml")
    made = {}

    def get(architecture, task, scheme, lengths=(32,), ios=None):
        key = (architecture, task, scheme, lengths, ios)
        if key not in made:
            built = load_graph(tiny(architecture, task))
            path = root / f"{len(made)}.mlpackage"
            options = ConvertOptions(scheme, lengths, LABELS, ios)
            made[key] = (built, path, COREML.convert(built, options, path))
        return made[key]

    return get


def open_function(path, function=None):
    from ondevice.verify.mil import MilModel

    return MilModel.load(path, function)


def expected(built, inputs):
    import torch

    with torch.no_grad():
        outputs = built.module(*(torch.from_numpy(inputs[name]) for name in built.inputs))
    return dict(zip(built.outputs, (output.numpy() for output in outputs), strict=True))


def cosine(one, other):
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def check_agreement(built, model, scheme, length):
    """Compare a program with torch on two inputs, one padded and one full."""
    seen = []
    for valid in (length // 2 + 1, length):
        inputs = random_inputs(built.inputs, length, built.encoder.vocab_size, valid=valid, seed=1)
        actual = model.run(inputs, half=scheme != "fp32")
        for role, theirs in expected(built, inputs).items():
            ours = actual[role]
            assert ours.dtype == np.float32
            assert ours.shape == theirs.shape
            if built.task in {"qa", "tokens"}:
                ours, theirs = ours[:, :valid], theirs[:, :valid]
            assert np.isfinite(ours).all()
            assert theirs.std() > 1e-2, "a dead reference proves nothing"
            if scheme == "int8":
                assert cosine(ours, theirs) >= 0.99
            else:
                limit = {"fp32": 1e-4, "fp16": 2e-2}[scheme]
                np.testing.assert_allclose(ours, theirs, atol=limit, rtol=0)
            seen.append(ours.ravel()[:3])
    assert not np.array_equal(seen[0], seen[-1]), "the same for every input"


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), GRID)
def test_computes_what_the_graph_computes(packaged, architecture, task, scheme):
    built, path, _ = packaged(architecture, task, scheme)
    check_agreement(built, open_function(path), scheme, 32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ios", "scheme", "specification"),
    [(15, "fp16", 6), (17, "int8", 8), (18, "int8", 9)],
)
def test_every_ios_version(packaged, ios, scheme, specification):
    built, path, conversion = packaged("distilbert", "classify", scheme, ios=ios)
    model = open_function(path)
    assert model.specification_version == specification
    assert conversion.min_runtime["iOS"] == str(ios)
    check_agreement(built, model, scheme, 32)


@pytest.mark.parametrize("scheme", COREML.schemes)
def test_several_lengths_are_functions_that_share_their_weights(packaged, scheme):
    built, path, conversion = packaged("bert", "qa", scheme, LENGTHS)
    assert conversion.min_runtime == {"iOS": "18", "macOS": "15"}
    assert open_function(path).function_name == "length_32"
    for length in LENGTHS:
        model = open_function(path, f"length_{length}")
        assert [spec.shape for spec in model.inputs] == [(1, length)] * 3
        check_agreement(built, model, scheme, length)
    _, single, _ = packaged("bert", "qa", scheme)
    # The shorter function has its own part of the position table: 16 rows of 32 values.
    assert weight_bytes(path) - weight_bytes(single) <= 16 * 32 * 4 + 1024


def weight_bytes(path):
    return next(path.rglob("weight.bin")).stat().st_size


def test_weights_are_stored_as_the_scheme_says(packaged):
    sizes = {scheme: weight_bytes(packaged("bert", "qa", scheme)[1]) for scheme in COREML.schemes}
    # Biases and norms stay fp16 under int8, and each value is padded to 64 bytes.
    assert 0.49 < sizes["fp16"] / sizes["fp32"] < 0.6
    assert sizes["int8"] / sizes["fp32"] < 0.42


def test_int8_covers_the_embedding_table_and_every_matrix(packaged):
    built, path, _ = packaged("bert", "qa", "int8")
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
    _, path, _ = packaged("bert", "qa", "fp16", lengths)
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
from tests.targets.test_coreml import COREML, LABELS, ConvertOptions, load_graph

checkpoint, scheme, lengths, out = sys.argv[1:]
options = ConvertOptions(scheme, tuple(map(int, lengths.split(","))), LABELS)
COREML.convert(load_graph(checkpoint), options, Path(out))
"""


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(packaged, tiny, tmp_path):
    # int8 with several lengths runs every step that the other schemes run.
    _, path, conversion = packaged("bert", "qa", "int8", LENGTHS)
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
    with pytest.raises(
        MissingPackageError, match=r"'coremltools'.*pip install 'ondevice\[coreml\]'"
    ):
        COREML.convert(None, ConvertOptions("fp16", (32,), LABELS), tmp_path / "model.mlpackage")


def test_loading_off_a_mac_says_why_not(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(RuntimeUnavailableError, match=r"Apple systems only and this is Linux"):
        COREML.load(tmp_path / "model.mlpackage", ("start", "end"))


class InterpretedMLModel:
    """Stands in for ``coremltools.models.MLModel``, which predicts on a Mac only."""

    opened: list = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, path, *, compute_units, function_name=None):
        self.opened.append(function_name)
        self.model = open_function(path, function_name)

    def predict(self, inputs):
        return self.model.run(inputs)


@pytest.fixture
def mac(monkeypatch):
    """Pretend to be a Mac that runs everything; return the list of opened functions."""
    import coremltools as ct

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    # Only for the runner: converting builds real MLModels.
    fake = SimpleNamespace(
        models=SimpleNamespace(MLModel=InterpretedMLModel),
        ComputeUnit=ct.ComputeUnit,
        __version__=ct.__version__,
    )
    monkeypatch.setattr(coreml, "require", lambda *_, **__: fake)
    InterpretedMLModel.opened.clear()
    return InterpretedMLModel.opened


def test_the_runner_opens_the_function_of_the_length(packaged, mac):
    built, path, _ = packaged("bert", "qa", "fp32", LENGTHS)
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
    # The whole contract is welcome: DistilBERT takes no token types.
    everything = inputs | {"token_type_ids": np.ones_like(inputs["input_ids"])}
    np.testing.assert_array_equal(runner.run(everything)["logits"], outputs)
    assert mac == [None]


def test_a_mac_that_is_too_old_is_told_so(packaged, mac, monkeypatch):
    _, path, _ = packaged("bert", "qa", "fp32", LENGTHS)
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.6", ("", "", ""), "arm64"))
    with pytest.raises(RuntimeUnavailableError, match=r"needs macOS 15 and this is macOS 14\.6"):
        COREML.load(path, ("start", "end"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda i: i.pop("token_type_ids"), "the inputs are input_ids, attention_mask, token"),
        (lambda i: i.update(extra=i["input_ids"]), "given: .*extra"),
        (lambda i: i.update(input_ids=i["input_ids"][0]), r"one L of: 16, 32; given: .*\(32,\)"),
        (lambda i: i.update(input_ids=i["input_ids"][:, :16]), r"every input is \[1, L\]"),
        (lambda i: i.update({n: v[:, :24] for n, v in i.items()}), r"given: \(1, 24\)"),
        (lambda i: i.update(input_ids=i["input_ids"].astype(np.int64)), "must be int32, not int64"),
    ],
)
def test_wrong_inputs_are_refused(packaged, mac, change, sentence):
    built, path, _ = packaged("bert", "qa", "fp32", LENGTHS)
    inputs = random_inputs(built.inputs, 32, built.encoder.vocab_size, valid=32)
    change(inputs)
    with pytest.raises(UserError, match=sentence):
        COREML.load(path, built.outputs).run(inputs)
    assert mac == []
