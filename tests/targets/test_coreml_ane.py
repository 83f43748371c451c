"""The Neural Engine's layout (``--layout ane``), from packages on disk through the interpreter."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ondevice.errors import UserError
from ondevice.targets import TARGETS, coreml
from ondevice.targets.base import HALF_EPSILON, LAYOUTS, ConvertOptions
from ondevice.targets.coreml import COREML
from ondevice.verify.mil import runner as mil_runner
from tests.conftest import TASK_NAMES
from tests.requirements import need
from tests.targets.conftest import LABELS, LENGTHS, check_agreement
from tests.targets.test_coreml import (
    FEW_BITS,
    UNPACKS,
    check_package,
    open_function,
    operations,
    read_tree,
    scalar,
    weight_bytes,
)

need("coreml")


@pytest.fixture(scope="module")
def packaged(converted):
    return functools.partial(converted, COREML, lengths=(32,), layout="ane")


def check(built, path, scheme, lengths):
    if scheme in FEW_BITS:
        from ondevice import graph_ane

        built = graph_ane.to_channels_first(built, HALF_EPSILON)
    check_package(built, path, scheme, lengths)


# tests/test_graph_ane.py compares every architecture and task in torch; here each operator and each
# head comes from disk once, and the schemes follow below.
GRID = [
    *(("bert", task, "fp16") for task in TASK_NAMES),
    ("distilbert", "qa", "fp32"),
    ("roberta", "classify", "fp32"),
    ("electra", "tokens", "fp32"),
    ("bert", "embed", "fp32"),
    ("electra", "embed", "int8"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "task", "scheme"), GRID)
def test_computes_what_the_graph_computes(packaged, architecture, task, scheme):
    built, path, _ = packaged(architecture, task, scheme)
    check(built, path, scheme, (32,))


@pytest.mark.parametrize("scheme", COREML.schemes)
def test_several_lengths_are_functions_that_share_their_weights(packaged, scheme):
    built, path, conversion = packaged("bert", "qa", scheme, lengths=LENGTHS)
    assert conversion.min_runtime == {"iOS": "18", "macOS": "15"}
    assert open_function(path).function_names == ("length_32", "length_16")
    check(built, path, scheme, LENGTHS)
    _, single, _ = packaged("bert", "qa", scheme)
    assert weight_bytes(path) - weight_bytes(single) <= 16 * 32 * 4 + 1024


@pytest.mark.slow
@pytest.mark.parametrize(("ios", "scheme"), [(15, "fp16"), (17, "pal6")])
def test_every_ios_version(packaged, ios, scheme):
    built, path, conversion = packaged("distilbert", "classify", scheme, ios=ios)
    assert conversion.min_runtime["iOS"] == str(ios)
    check(built, path, scheme, (32,))


@pytest.mark.parametrize("scheme", COREML.schemes)
def test_it_weighs_what_the_default_layout_weighs(packaged, converted, scheme):
    _, path, _ = packaged("bert", "qa", scheme)
    _, usual, _ = converted(COREML, "bert", "qa", scheme, lengths=(32,))
    # A palette or scales for 1x1 kernels have as many values; only paddings to 64 bytes differ.
    assert abs(weight_bytes(path) - weight_bytes(usual)) <= 0.01 * weight_bytes(usual)


@pytest.mark.parametrize("scheme", ["fp32", "fp16"])
def test_core_ml_gets_the_layout_as_it_was_written(packaged, scheme):
    """One op for each norm, two einsums for each head, and no op that changes the layout."""
    built, path, _ = packaged("bert", "qa", scheme)
    found = Counter(op.type for op in operations(path))
    layers, heads = built.encoder.layers, built.encoder.heads
    assert found["layer_norm"] == 1 + 2 * layers
    assert found["conv"] == 6 * layers + 1
    assert found["einsum"] == 2 * heads * layers
    assert found["split"] == 3 * layers
    assert found["transpose"] == 1 + layers
    assert not {"linear", "matmul", "reshape", "reduce_mean", "batch_norm"} & set(found)
    epsilons = [scalar(path, op, "epsilon") for op in operations(path) if op.type == "layer_norm"]
    assert all(0 < epsilon < 1e-5 for epsilon in epsilons)
    assert scheme == "fp32" or min(epsilons) >= 1e-7


@pytest.mark.parametrize("scheme", UNPACKS)
def test_every_scheme_covers_the_embedding_table_and_every_kernel(packaged, scheme):
    built, path, _ = packaged("bert", "qa", scheme)
    unpackers = [op for op in operations(path) if op.type.startswith("constexpr_")]
    assert {op.type for op in unpackers} == UNPACKS[scheme]
    # Words, positions, six kernels a layer; the head's 64 values stay.
    assert len(unpackers) == 2 + 6 * built.encoder.layers


def test_the_package_names_its_layout(packaged, converted):
    from ondevice.targets import _mlpackage

    _, path, _ = packaged("bert", "qa", "fp16")
    _, usual, _ = converted(COREML, "bert", "qa", "fp16", lengths=(32,))
    said = [
        _mlpackage.read_model(one).description.metadata.userDefined["ondevice.layout"]
        for one in (usual, path)
    ]
    assert said == ["default", "ane"]


CONVERT_AGAIN = """
import sys
from pathlib import Path
from ondevice.targets.base import ConvertOptions
from ondevice.targets.coreml import COREML
from tests.targets.conftest import LABELS, load_graph

options = ConvertOptions("int8", (16, 32), LABELS, layout="ane")
COREML.convert(load_graph(sys.argv[1]), options, Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(packaged, tiny, tmp_path):
    _, path, conversion = packaged("bert", "qa", "int8", lengths=LENGTHS)
    again = tmp_path / "again.mlpackage"
    subprocess.run(
        [sys.executable, "-c", CONVERT_AGAIN, str(tiny("bert", "qa")), str(again)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert read_tree(again) == read_tree(path)
    assert conversion.varies is None


def test_a_wrong_layout_is_noticed(packaged):
    """The limit is one that a graph with two heads exchanged misses."""
    built, path, _ = packaged("bert", "qa", "fp16")
    runner = mil_runner.load(path, built.outputs)
    check_agreement(built, runner, "fp16", (32,))
    value = built.module.layers[0].attention.value.weight
    kept = value.clone()
    value[:8], value[8:16] = kept[8:16], kept[:8]
    try:
        with pytest.raises(AssertionError):
            check_agreement(built, runner, "fp16", (32,))
    finally:
        value.copy_(kept)


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "coreml"])
def test_no_other_target_has_it(target, tmp_path):
    options = ConvertOptions("fp32", (32,), LABELS, layout="ane")
    with pytest.raises(UserError, match=f"target '{target}' has no layout 'ane'; its layouts: def"):
        TARGETS[target].convert(None, options, tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


def test_the_ios_rules_are_those_of_the_default_layout():
    for layout in LAYOUTS:
        assert coreml.choose_ios(ConvertOptions("fp16", (32,), LABELS, 15, layout=layout)) == 15
        with pytest.raises(UserError, match=r"several lengths .* iOS 18"):
            coreml.choose_ios(ConvertOptions("fp16", LENGTHS, LABELS, 17, layout=layout))
