"""Read what a ``.pte`` program does: its instructions, and what is inside its delegates."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from ondevice.errors import BundleError, UserError, require
from ondevice.targets.executorch import BACKEND, EXTRA

# More than the header that says where the tables end (``_ExtendedHeader`` in ExecuTorch).
HEAD_BYTES = 128

# Kernels that multiply no matrices, by the names that they have in programs of encoders. Of any
# other it is not known here how much it multiplies.
_NO_PRODUCTS = frozenset(
    "abs add alias_copy amax amin any arange argmax bitwise_and bitwise_not cat clamp clone"
    " constant_pad_nd copy cumsum detach_copy div embedding empty eq erf exp expand_copy fill"
    " full full_like gather ge gelu gt index index_select le linalg_vector_norm log log_softmax"
    " logical_and logical_not logical_or lt masked_fill max maximum mean min minimum mul"
    " native_layer_norm ne neg permute_copy pow reciprocal relu repeat rsqrt rsub"
    " scalar_tensor select_copy sigmoid slice_copy softmax split_copy split_with_sizes_copy sqrt"
    " squeeze_copy stack sub sum t_copy tanh transpose_copy unbind_copy unsqueeze_copy view_copy"
    " where zeros _clone_dim_order _empty_dim_order _log_softmax _softmax _to_copy"
    " _to_dim_order_copy choose_qparams choose_qparams_per_token_asymmetric dequantize_per_channel"
    " dequantize_per_channel_group dequantize_per_tensor dequantize_per_token embedding_byte"
    " embedding_2bit embedding_4bit quantize_per_channel quantize_per_tensor"
    " quantize_per_token".split()
)
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
        macs: multiply-accumulates, of matrix products; None where that is not known.
        part: the number of the delegated part that runs it in XNNPACK; None for what runs outside.
    """

    name: str
    macs: int | None
    part: int | None = None


def read_program(path: Path) -> Any:
    """Return the program's tables, ``executorch.exir.schema.Program``, delegates' data inlined.

    Raises:
        BundleError: it is not a program, or is damaged.
        MissingPackageError: executorch is not installed.
    """
    serialize = require("executorch.exir._serialize._program", extra=EXTRA)
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if head[4:6] != b"ET":
            raise BundleError(f"'{path}' is not an ExecuTorch program")
        try:
            return _read(serialize, stream, serialize._get_extended_header(head))
        except Exception as error:
            raise BundleError(f"'{path}' cannot be read: {error}") from error


def _read(serialize: Any, stream: BinaryIO, header: Any) -> Any:
    """Read the tables and the delegates' data, and nothing of the weights.

    ExecuTorch's own ``deserialize_pte_binary`` copies all of the file four times.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if header is None:
        return serialize._flatbuffer_to_program(stream.read())
    program = serialize._flatbuffer_to_program(stream.read(header.program_size))
    base = header.segment_base_offset
    if any(base + segment.offset + segment.size > size for segment in program.segments):
        raise ValueError(f"it is cut off at {size} bytes")
    schema = require("executorch.exir.schema", extra=EXTRA)
    for plan in program.execution_plan:
        for delegate in plan.delegates:
            if delegate.processed.location == schema.DataLocation.INLINE:
                continue
            segment = program.segments[delegate.processed.index]
            stream.seek(base + segment.offset)
            data = schema.BackendDelegateInlineData(data=stream.read(segment.size))
            delegate.processed = schema.BackendDelegateDataReference(
                location=schema.DataLocation.INLINE, index=len(program.backend_delegate_data)
            )
            program.backend_delegate_data.append(data)
    return program


def methods(program: Any) -> dict[str, Any]:
    """Return the execution plans that compute something, by name; constant methods do not."""
    return {plan.name: plan for plan in program.execution_plan if _instructions(plan)}


def steps(program: Any, plan: Any) -> Iterator[Step]:
    """Yield what a method executes, in order.

    Raises:
        BundleError: the program is damaged.
        MissingPackageError: executorch is not installed.
    """
    try:
        yield from _steps(program, plan)
    except UserError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise BundleError(f"method '{plan.name}' of the program cannot be read: {text}") from error


def _steps(program: Any, plan: Any) -> Iterator[Step]:
    for number, instruction in enumerate(_instructions(plan)):
        kind = type(instruction).__name__
        if kind == "KernelCall":
            yield _kernel(plan, instruction)
        elif kind == "DelegateCall":
            delegate = plan.delegates[instruction.delegate_index]
            if delegate.id == BACKEND:
                data = program.backend_delegate_data[delegate.processed.index].data
                yield from _xnnpack_nodes(bytes(data), number)
            else:
                yield Step(f"delegate {delegate.id}", None)


def _instructions(plan: Any) -> list[Any]:
    return [step.instr_args for chain in plan.chains for step in chain.instructions]


def _kernel(plan: Any, call: Any) -> Step:
    name = plan.operators[call.op_index].name
    operand = _KERNEL_PRODUCTS.get(name)
    if operand is None:
        return Step(name, 0 if name.partition("::")[2] in _NO_PRODUCTS else None)
    summed = plan.values[call.args[operand]].val.sizes[-1]
    return Step(name, prod(plan.values[call.args[-1]].val.sizes) * summed)


def _xnnpack_nodes(data: bytes, part: int) -> Iterator[Step]:
    """Yield the nodes of a delegated part, in XNNPACK's serialization (its ``schema.fbs``)."""
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
        yield Step(name, macs, part)


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
