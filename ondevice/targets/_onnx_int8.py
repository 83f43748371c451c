"""Rewrite an ONNX encoder to 8-bit weights, in operators of the standard set alone.

Weights have one step for each output channel (embeddings: for each row). Activations are
quantized while running, with a step and a zero point for each token, as XNNPACK does on the
ExecuTorch target. ``onnxruntime.quantization.quantize_dynamic`` has one step for the whole
activation; a single large value of ``[CLS]`` or ``[SEP]`` then takes the resolution of all other
tokens: on all-MiniLM-L6-v2 the worst of 31 texts falls to a cosine of 0.983, here it is 0.996.

Both sides of the integer product are unsigned. ONNX Runtime multiplies unsigned by signed bytes
with VPMADDUBSW on x86 processors without VNNI, whose 16-bit sums saturate: the same file would
give other answers there, unless a bit of the weights is given up (``reduce_range``). Arm's
kernels take either kind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto, TensorProto

    Tables = Mapping[str, NDArray[np.float32]]

# Stored weights are the signed ones plus this.
WEIGHT_ZERO = 128
# Keeps the step of a token that is zero throughout from being zero.
MIN_STEP = 1e-12


def quantize(model: ModelProto, kept: Collection[str] = ()) -> None:
    """Store every table and matrix of a float32 encoder in 8 bits, and compute with them.

    But for the parts in `kept`, which stay as they are. Products of a [1, L, K] activation and a
    constant [K, N] matrix become integer products. Word embeddings are looked up in 8 bits; what
    else has two axes (positions, the dense layer of a classifier's head) is unpacked where it is
    used.

    Raises:
        UserError: a part in `kept` cannot be told from another.
    """
    rewrite_tables(model, Rewrite, without=weights_of(model, kept))


def weights_of(model: ModelProto, parts: Collection[str]) -> frozenset[str]:
    """Return the names of the parts' matrices.

    Raises:
        UserError: one has none of its own.
    """
    names = {tensor.name for tensor in model.graph.initializer}
    for part in parts:
        if f"{part}.weight" not in names:
            raise UserError(
                f"ONNX cannot keep '{part}': in this checkpoint its weight or bias equals another"
                " layer's, and equal tensors are stored once; leave it out of --keep"
            )
    return frozenset(f"{part}.weight" for part in parts)


def rewrite_tables(
    model: ModelProto, how: Callable[[Tables], Rewrite], *, without: Collection[str] = ()
) -> None:
    """Pass every node that reads a table to a rewrite, and put what it made in the graph's place.

    A table is a float32 constant of two axes, and not among those `without` which; those that the
    rewrite does not keep are gone.
    """
    graph = model.graph
    nodes = list(graph.node)
    tables = {
        tensor.name: tensor
        for tensor in graph.initializer
        if _is_table(tensor) and tensor.name not in without
    }
    rewrite = how(_Arrays(tables))
    for node in nodes:
        if node.op_type == "MatMul" and node.input[1] in tables:
            rewrite.matmul(node)
        elif node.op_type == "Gather" and node.input[0] in tables:
            rewrite.lookup(node)
        else:
            rewrite.unpack(node)
    kept = [tensor for tensor in graph.initializer if tensor.name not in tables]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *rewrite.tensors.values()])
    graph.node.extend(rewrite.nodes)


def _is_table(tensor: TensorProto) -> bool:
    return len(tensor.dims) == 2 and tensor.data_type == 1  # TensorProto.FLOAT


class _Arrays(Mapping[str, "NDArray[np.float32]"]):
    """Tensors as arrays, each made when it is asked for: all at once are the weights once more."""

    def __init__(self, tensors: Mapping[str, TensorProto]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self._tensors[name]), np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def round_to_int8(
    weight: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix to whole steps, symmetric about zero, with one step for each index of `axis`.

    Returns the steps taken, -127 to 127, and the size of the steps.
    """
    step = np.abs(weight).max(axis=1 - axis, keepdims=True) / np.float32(127)
    step[step == 0] = 1
    return np.rint(weight / step).astype(np.int8), step.reshape(-1).astype(np.float32)


class Rewrite:
    """The new nodes and tensors, in order."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, TensorProto] = {}
        self.activations: dict[str, tuple[str, str, str]] = {}
        self.unpacked: set[str] = set()

    def matmul(self, node: NodeProto) -> None:
        """Replace x [1, L, K] · W [K, N] by s · (q · Q - z · sum(Q)) · t.

        x is about s · (q - z), with s and z for each token; W is Q · t, with t for each column.
        """
        activation, weight = node.input
        quantized, step, zero = self._quantize_tokens(activation)
        if f"{weight}_8bit" not in self.tensors:
            steps, size = round_to_int8(self.tables[weight], axis=1)
            self.constant(f"{weight}_8bit", (steps.astype(np.int16) + WEIGHT_ZERO).astype(np.uint8))
            self.constant(f"{weight}_step", size)
            self.constant(f"{weight}_sum", steps.sum(axis=0, dtype=np.float32) * size)
        out = node.output[0]
        self.constant("weight_zero", np.uint8(WEIGHT_ZERO))
        # The activation's own zero point is taken off afterwards: ONNX Runtime's MatMulInteger
        # has room for one only, not for one a token.
        product = self.add(
            "MatMulInteger", [quantized, f"{weight}_8bit", "", "weight_zero"], f"{out}_int32"
        )
        # DequantizeLinear says both in one word, but ONNX Runtime takes longer for it.
        whole = self.add("Cast", [product], f"{out}_whole", to=1)  # TensorProto.FLOAT
        scaled = self.add("Mul", [whole, f"{weight}_step"], f"{out}_columns")
        offset = self.add("Mul", [zero, f"{weight}_sum"], f"{out}_offset")
        difference = self.add("Sub", [scaled, offset], f"{out}_centred")
        self.add("Mul", [difference, step], out)

    def lookup(self, node: NodeProto) -> None:
        """Replace a lookup of float rows by one of 8-bit rows, each with its step."""
        table, ids = node.input
        steps, size = round_to_int8(self.tables[table], axis=0)
        self.constant(f"{table}_8bit", steps)
        self.constant(f"{table}_step", size)
        self.constant("axis_0", np.array([0], np.int64))
        out = node.output[0]
        rows = self.add("Gather", [f"{table}_8bit", ids], f"{out}_8bit")
        flat = self.add("Squeeze", [ids, "axis_0"], f"{out}_ids")
        step = self.add("Gather", [f"{table}_step", flat], f"{out}_step")
        self.add("DequantizeLinear", [rows, step], out, axis=1)

    def unpack(self, node: NodeProto) -> None:
        """Keep a node; unpack the tables that it reads first."""
        for table in set(node.input) & self.tables.keys() - self.unpacked:
            steps, size = round_to_int8(self.tables[table], axis=_channel_axis(node))
            self.constant(f"{table}_8bit", steps)
            self.constant(f"{table}_step", size)
            self.add(
                "DequantizeLinear",
                [f"{table}_8bit", f"{table}_step"],
                table,
                axis=_channel_axis(node),
            )
            self.unpacked.add(table)
        self.nodes.append(node)

    def _quantize_tokens(self, x: str) -> tuple[str, str, str]:
        """Quantize [1, L, K] to uint8; return it, and the step and zero point [1, L, 1]."""
        if x in self.activations:
            return self.activations[x]
        self.constant("zero", np.float32(0))
        self.constant("least_step", np.float32(MIN_STEP))
        self.constant("levels", np.float32(255))
        self.constant("axes_0_2", np.array([0, 2], np.int64))
        # Zero is always in the range, so that it has a level of its own.
        high = self.add("ReduceMax", [x, "axes_0_2"], f"{x}_max", keepdims=0)
        low = self.add("ReduceMin", [x, "axes_0_2"], f"{x}_min", keepdims=0)
        high = self.add("Max", [high, "zero"], f"{x}_high")
        low = self.add("Min", [low, "zero"], f"{x}_low")
        span = self.add("Sub", [high, low], f"{x}_span")
        step = self.add("Div", [span, "levels"], f"{x}_rawstep")
        step = self.add("Max", [step, "least_step"], f"{x}_step")
        ratio = self.add("Div", [low, step], f"{x}_ratio")
        below = self.add("Neg", [ratio], f"{x}_below")
        zero = self.add("Round", [below], f"{x}_zero")
        zero_uint8 = self.add("Cast", [zero], f"{x}_zero_uint8", to=2)  # TensorProto.UINT8
        quantized = self.add("QuantizeLinear", [x, step, zero_uint8], f"{x}_uint8", axis=1)
        step = self.add("Unsqueeze", [step, "axes_0_2"], f"{x}_token_step")
        zero = self.add("Unsqueeze", [zero, "axes_0_2"], f"{x}_token_zero")
        self.activations[x] = (quantized, step, zero)
        return self.activations[x]

    def constant(self, name: str, value: NDArray[Any] | np.generic) -> None:
        """Add a constant, unless there is one of that name."""
        from onnx import numpy_helper

        if name not in self.tensors:
            self.tensors[name] = numpy_helper.from_array(np.asarray(value), name)

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: int) -> str:
        """Add a node, named after its output; return that."""
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output


def _channel_axis(node: NodeProto) -> int:
    """Return the axis of a table along which a node has its output channels (or rows)."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 1 if node.op_type == "Gemm" and not transposed else 0
