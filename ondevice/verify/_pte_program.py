"""Read what a ``.pte`` program does: its instructions, and what is inside its delegates."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ondevice.errors import BundleError, require
from ondevice.targets.executorch import BACKEND, EXTRA

# Operators that multiply matrices, and the operand whose last dimension is summed over. The
# output is the last argument.
_KERNEL_PRODUCTS = {"aten::mm": 0, "aten::bmm": 0, "aten::addmm": 1, "aten::linear": 0}
# The same for XNNPACK's nodes, by the field that holds the operand.
_NODE_PRODUCTS = {"XNNFullyConnected": "input1_id", "XNNBatchMatrixMultiply": "input1_id"}


@dataclass(frozen=True)
class Step:
    """One operation: a kernel call, or a node inside a delegate.

    Attributes:
        name: as the program has it, such as ``aten::native_layer_norm``.
        macs: multiply-accumulates, of matrix products.
        backend: the delegate that it runs in; empty for a kernel call.
    """

    name: str
    macs: int
    backend: str = ""


def read_program(path: Path) -> Any:
    """Return the program's tables, ``executorch.exir.schema.Program``, delegates' data inlined.

    Raises:
        BundleError: it is not a program, or is damaged.
        MissingPackageError: executorch is not installed.
    """
    serialize = require("executorch.exir._serialize._program", extra=EXTRA)
    content = path.read_bytes()
    if content[4:6] != b"ET":
        raise BundleError(f"'{path}' is not an ExecuTorch program")
    try:
        return serialize.deserialize_pte_binary(content).program
    except Exception as error:
        raise BundleError(f"'{path}' cannot be read: {error}") from error


def methods(program: Any) -> dict[str, Any]:
    """Return the execution plans that compute something, by name; constant methods do not."""
    return {plan.name: plan for plan in program.execution_plan if _instructions(plan)}


def steps(program: Any, plan: Any) -> Iterator[Step]:
    """Yield what a method executes, in order."""
    for instruction in _instructions(plan):
        kind = type(instruction).__name__
        if kind == "KernelCall":
            yield _kernel(plan, instruction)
        elif kind == "DelegateCall":
            delegate = plan.delegates[instruction.delegate_index]
            if delegate.id == BACKEND:
                data = program.backend_delegate_data[delegate.processed.index].data
                yield from _xnnpack_nodes(bytes(data))
            else:
                yield Step(delegate.id, 0, delegate.id)


def _instructions(plan: Any) -> list[Any]:
    return [step.instr_args for chain in plan.chains for step in chain.instructions]


def _kernel(plan: Any, call: Any) -> Step:
    name = plan.operators[call.op_index].name
    operand = _KERNEL_PRODUCTS.get(name)
    if operand is None:
        return Step(name, 0)
    summed = plan.values[call.args[operand]].val.sizes[-1]
    return Step(name, prod(plan.values[call.args[-1]].val.sizes) * summed)


def _xnnpack_nodes(data: bytes) -> Iterator[Step]:
    """Yield the nodes of a subgraph, in XNNPACK's own serialization (``schema.fbs`` there)."""
    graph = _decompile(data)
    dims = {}
    for value in graph["xvalues"]:
        tensor = value["xvalue_union"]
        tensor = tensor.get("tensor_value", tensor)
        dims[tensor["id_out"]] = tensor["dims"]
    for node in graph["xnodes"]:
        name, fields = node["xnode_union_type"], node["xnode_union"]
        operand = _NODE_PRODUCTS.get(name)
        macs = 0
        if operand is not None:
            macs = prod(dims[fields["output_id"]]) * dims[fields[operand]][-1]
        yield Step(name, macs, BACKEND)


def _decompile(data: bytes) -> dict[str, Any]:
    """Turn a subgraph's flatbuffer into a dictionary, with the schema that made it."""
    module = "executorch.backends.xnnpack.serialization.xnnpack_graph_serialize"
    xnnpack = require(module, extra=EXTRA)
    flatbuffer = require("executorch.exir._serialize._flatbuffer", extra=EXTRA)
    header = xnnpack.XNNHeader.from_bytes(data[: xnnpack.XNNHeader.EXPECTED_LENGTH])
    start = header.flatbuffer_offset
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "schema.fbs").write_bytes(xnnpack._get_schema_bytes())
        (directory / "graph.bin").write_bytes(data[start : start + header.flatbuffer_size])
        flatbuffer._flatc_decompile(
            str(directory), str(directory / "schema.fbs"), str(directory / "graph.bin")
        )
        graph: dict[str, Any] = json.loads((directory / "graph.json").read_bytes())
    return graph
