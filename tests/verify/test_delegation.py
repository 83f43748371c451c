"""Delegation: counts on hand-made graphs and on real artifacts, against shapes on paper."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ondevice import bundle
from ondevice.errors import BundleError, RuntimeUnavailableError
from ondevice.verify import _pte_program, _tflite_placement, delegation
from ondevice.verify._pte_program import Step
from ondevice.verify._tflite_placement import Node
from tests.requirements import need
from tests.verify.published import encoder_macs, norm_macs, published

__all__ = ["published"]

STEPS = (
    Step("FULLY_CONNECTED", 900, part=0),
    Step("SOFTMAX", 0, part=0),
    Step("BATCH_MATMUL", 60),
    Step("BATCH_MATMUL", 40),
    Step("GATHER", 0),
)


def test_shares_of_operations_and_of_multiply_accumulates():
    counted = delegation.count(STEPS, "ai-edge-litert", "2.3.0", 128)
    assert (counted.figure, counted.ops_share) == (0.9, 0.4)
    assert (counted.macs_inside, counted.macs) == (900, 1000)
    assert (counted.ops_inside, counted.ops) == (2, 5)
    assert [(one.name, one.count, one.macs) for one in counted.outside] == [
        ("BATCH_MATMUL", 2, 100),
        ("GATHER", 1, 0),
    ]


@pytest.mark.parametrize(
    ("minimum", "status"), [(0.9, "passed"), (0.91, "failed"), (0, "passed"), (1, "failed")]
)
def test_the_gate_is_on_multiply_accumulates(minimum, status):
    judged = delegation.gate(delegation.count(STEPS, "x", "1", 128), minimum)
    assert judged.status == status
    assert judged.limit == f"≥ {100 * minimum:g} % of multiplications in XNNPACK"
    if status == "failed":
        assert judged.reason == (
            "90 % of the multiply-accumulates run in XNNPACK;"
            " outside XNNPACK: BATCH_MATMUL ×2, GATHER ×1"
        )
    else:
        assert judged.reason == "outside XNNPACK: BATCH_MATMUL ×2, GATHER ×1"
    assert judged.shares == "90.0 % of multiplications, 40 % of operations, in 1 part"


def test_what_multiplies_an_unknown_number_of_times_is_not_judged_but_named():
    steps = [*STEPS, Step("CONV_3D", None), Step("delegate CoreMLBackend", None)]
    judged = delegation.gate(delegation.count(steps, "x", "1", 128), 0.0)
    assert (judged.status, judged.evidence, judged.figure) == ("not_run", "not run", None)
    assert "CONV_3D, delegate CoreMLBackend" in judged.reason
    assert judged.shares == ""


def test_a_program_without_products_proves_nothing():
    judged = delegation.gate(delegation.count([Step("ADD", 0, part=0)], "x", "1", 16), 0.5)
    assert (judged.status, judged.evidence, judged.figure) == ("not_run", "not run", None)


def test_what_did_not_run_is_not_judged():
    counted = delegation.count(STEPS, "x", "1", 16).model_copy(
        update={"status": "not_run", "figure": None, "reason": "no runtime"}
    )
    assert delegation.gate(counted, 0.1).status == "not_run"
    assert delegation.gate(counted, 0.1).reason == "no runtime"


# Which nodes a delegate's node stands for. Tensors: 0 input, 90 and up constants.
#   0 GATHER -> 1 FC -> 2 SOFTMAX -> 3 GATHER -> 4 FC
CHAIN = [
    Node("GATHER", (90, 0), (1,)),
    Node("FULLY_CONNECTED", (1, 91), (2,)),
    Node("SOFTMAX", (2,), (3,)),
    Node("GATHER", (3,), (4,)),
    Node("FULLY_CONNECTED", (4, 92), (5,)),
]


def test_what_lies_between_a_delegates_borders_is_inside():
    added = [
        Node("TfLiteXNNPackDelegate", (1, 91), (3,)),
        Node("TfLiteXNNPackDelegate", (4, 92), (5,)),
    ]
    assert _tflite_placement.delegated(CHAIN, added) == {1: 0, 2: 0, 4: 1}


def test_other_delegates_do_not_count():
    assert _tflite_placement.delegated(CHAIN, [Node("GpuDelegate", (1, 91), (3,))]) == {}
    assert _tflite_placement.delegated(CHAIN, []) == {}


def test_a_border_is_not_crossed_on_a_side_path():
    # Node 2 uses both what the delegate computes and what enters it.
    nodes = [Node("GATHER", (0,), (1,)), Node("ADD", (1, 1), (2,)), Node("MUL", (1, 2), (3,))]
    added = [Node("TfLiteXNNPackDelegate", (1,), (2, 3))]
    assert _tflite_placement.delegated(nodes, added) == {1: 0, 2: 0}


# Real artifacts.


def measure(directory, *minimum):
    return delegation.measure(directory, bundle.open_bundle(directory), *minimum)


@pytest.mark.parametrize("scheme", ["fp32", "int8"])
def test_executorch_programs(published, scheme):
    found = measure(published("executorch", scheme))
    assert (found.runtime, found.length, found.evidence) == ("executorch", 32, "reference")
    assert found.status == "passed", found.reason
    assert found.figure == 1.0
    # Every matrix product is accounted for, and no more.
    assert found.macs == encoder_macs(32) + norm_macs(32)
    assert found.parts == 1
    assert 0 < found.ops_inside < found.ops
    names = {one.name for one in found.outside}
    assert "aten::native_layer_norm" not in names
    assert all("::" in name for name in names)


@pytest.mark.parametrize("scheme", ["fp32", "fp16", "int8", "int8-weight"])
def test_tflite_files(published, scheme):
    found = measure(published("tflite", scheme))
    assert (found.runtime, found.length, found.evidence) == ("ai-edge-litert", 32, "host")
    assert found.macs == encoder_macs(32)
    assert found.ops_inside + sum(one.count for one in found.outside) == found.ops
    assert found.macs_inside + sum(one.macs for one in found.outside) == found.macs
    assert found.status == "passed", found.reason


@pytest.mark.parametrize(
    ("target", "scheme", "words"),
    [("coreml", "fp16", "on Apple devices only"), ("onnx", "fp32", "no XNNPACK to delegate to")],
)
def test_where_there_is_nothing_to_count_it_is_not_run(published, target, scheme, words):
    found = measure(published(target, scheme), 0.5)
    assert (found.status, found.evidence, found.figure) == ("not_run", "not run", None)
    assert words in found.reason
    assert found.limit == "≥ 50 % of multiplications in XNNPACK"


def test_without_the_runtime_it_is_not_run(published, monkeypatch):
    directory = published("tflite", "fp32")

    def unavailable(path):
        raise RuntimeUnavailableError("no TFLite runtime is installed")

    monkeypatch.setattr(_tflite_placement, "place", unavailable)
    found = measure(directory)
    assert (found.status, found.reason) == ("not_run", "no TFLite runtime is installed")


def test_a_program_without_a_delegate_fails_and_names_its_kernels(tmp_path):
    need("executorch")
    import torch
    from executorch.exir import to_edge_transform_and_lower
    from torch import nn

    class Products(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 4)

        def forward(self, x):
            hidden = self.linear(x)
            return torch.bmm(hidden, hidden.transpose(1, 2))

    program = torch.export.export(Products().eval(), (torch.ones(1, 3, 8),), strict=False)
    path = tmp_path / "portable.pte"
    with path.open("wb") as stream:
        to_edge_transform_and_lower(program).to_executorch().write_to_file(stream)
    read = _pte_program.read_program(path)
    steps = list(_pte_program.steps(read, _pte_program.methods(read)["forward"]))
    judged = delegation.gate(delegation.count(steps, "executorch", "1", 3), 0.95)
    assert (judged.status, judged.figure) == ("failed", 0.0)
    assert judged.macs == 3 * 8 * 4 + 3 * 3 * 4
    assert "aten::bmm ×1" in judged.reason


def test_another_backend_is_not_xnnpack():
    delegate = SimpleNamespace(id="CoreMLBackend", processed=SimpleNamespace(index=0))

    class DelegateCall:
        delegate_index = 0

    chain = SimpleNamespace(instructions=[SimpleNamespace(instr_args=DelegateCall())])
    plan = SimpleNamespace(name="forward", delegates=[delegate], chains=[chain])
    (step,) = _pte_program.steps(None, plan)
    assert (step.name, step.macs, step.part) == ("delegate CoreMLBackend", None, None)


def test_a_damaged_program_is_named(published, monkeypatch):
    def spoiled(data):
        raise IndexError("list index out of range")

    place = published("executorch", "fp32")
    monkeypatch.setattr(_pte_program, "_decompile", spoiled)
    with pytest.raises(BundleError, match=r"method 'forward.*cannot be read: IndexError"):
        measure(place)


def test_a_program_is_read_as_executorch_reads_it(published):
    path = published("executorch", "fp32") / "model.pte"
    whole = serialize().deserialize_pte_binary(path.read_bytes()).program
    read = _pte_program.read_program(path)
    assert read.execution_plan == whole.execution_plan
    assert read.backend_delegate_data == whole.backend_delegate_data
    assert any(len(one.data) for one in read.backend_delegate_data)


def test_a_program_that_is_cut_off_is_named(published, tmp_path):
    whole = (published("executorch", "fp32") / "model.pte").read_bytes()
    for size in (16, 200, len(whole) - 64):
        (tmp_path / "cut.pte").write_bytes(whole[:size])
        with pytest.raises(BundleError, match="cannot be read"):
            _pte_program.read_program(tmp_path / "cut.pte")


def serialize():
    need("executorch")
    from executorch.exir._serialize import _program

    return _program
