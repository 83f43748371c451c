"""Rewrite an ONNX encoder to 4-bit weights, a step for each block of 128 or each embedding row.

Matrices become ``com.microsoft.MatMulNBits``, which has kernels for Arm and x86 and unpacks a few
columns at a time. The standard's way, DequantizeLinear over blocks of int4, is the same only where
ONNX Runtime's optimizer turns it into that operator; elsewhere whole matrices are unpacked.

Word embeddings are looked up while packed, two columns a byte, and only the rows in use are
unpacked, by standard operators of the opset that the other schemes have;
``com.microsoft.GatherBlockQuantized`` needs int4 tensors, which are an opset and a
file format younger. The other tables (positions, a classifier's dense layer) are kept in 8 bits.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from ondevice.errors import require
from ondevice.parts import POSITIONS, TABLE
from ondevice.storage import Storage, fitting_block
from ondevice.targets._onnx_int8 import Rewrite, rewrite_tables, weights_of
from ondevice.targets._root_logger import root_logger_restored

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from ondevice.architectures import Encoder
    from ondevice.targets._onnx_int8 import Tables

# Rows of a matrix that share a step, within a column: the first of these that divides all. Steps
# are float32; blocks of 32 would bring the embedded student from 10.0 MB to 10.7.
MATRIX_BLOCKS = (128, 64, 32)
# Inputs of the product are quantized to 8 bits, block by block, where the processor's kernel can.
ACCURACY_LEVEL = 4
# A nibble is the signed value plus this.
NIBBLE_ZERO = 8


def quantize(model: ModelProto, kept: Collection[str] = (), block: int = 32) -> None:
    """Store matrices and word embeddings of a float32 encoder in 4 bits, other tables in 8.

    The parts in `kept` are stored, and computed, in 8 bits as under int8. `block` weights of a
    matrix share a step.

    Raises:
        UserError: a part in `kept` cannot be told from another.
        MissingPackageError: onnxruntime, whose quantizer this uses, is not installed.
    """
    rewrite_tables(model, functools.partial(_Rewrite, kept=weights_of(model, kept)))
    with root_logger_restored():
        library = require("onnxruntime.quantization.matmul_nbits_quantizer", extra="onnx")
    library.MatMulNBitsQuantizer(
        model,
        bits=4,
        block_size=block,
        is_symmetric=False,
        accuracy_level=ACCURACY_LEVEL,
        op_types_to_quantize=("MatMul",),
    ).process()


def storage(encoder: Encoder, part: str) -> Storage:
    """Return how a part is stored that is not kept."""
    if part == TABLE:
        return Storage(4, "signed", scale_bits=16)
    if part in (POSITIONS, "head.dense"):
        return Storage(8)
    # The step in float32, and the level that is zero.
    return Storage(4, "affine", matrix_block(encoder), scale_bits=36)


def matrix_block(encoder: Encoder) -> int:
    """Return how many weights of a matrix share a step; the operator fills up the last block."""
    return fitting_block(encoder, MATRIX_BLOCKS, MATRIX_BLOCKS[-1])


def round_to_int4(
    rows: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Round rows [V, W] to 16 levels, symmetric about zero, with a step for each.

    The step has the sign that gives a row's largest value the level -8, of which there is no
    positive counterpart: no level is wasted.

    Returns the levels plus :data:`NIBBLE_ZERO` [V, W], and the steps [V, 1].
    """
    largest = np.abs(rows).argmax(axis=-1, keepdims=True)
    step = (np.take_along_axis(rows, largest, -1) / np.float32(-8)).astype(np.float16)
    step[step == 0] = 1
    levels = np.rint(rows / step.astype(np.float32)).clip(-8, 7)
    return (levels + NIBBLE_ZERO).astype(np.uint8), step


class _Rewrite(Rewrite):
    """The rewrite to 8 bits, but for what goes to 4."""

    def __init__(self, tables: Tables, kept: Collection[str]) -> None:
        super().__init__(tables)
        self.kept = kept

    def matmul(self, node: NodeProto) -> None:
        """Keep a product and its float matrix: ONNX Runtime's own quantizer comes for them."""
        if node.input[1] in self.kept:
            super().matmul(node)
            return
        self.constant(node.input[1], self.tables[node.input[1]])
        self.nodes.append(node)

    def lookup(self, node: NodeProto) -> None:
        """Replace a lookup of float rows [W] by one of packed rows, unpacked when looked up."""
        table, ids = node.input
        weight = self.tables[table]
        width = weight.shape[1]
        if width % 2 or table in self.kept:
            super().lookup(node)
            return
        levels, step = round_to_int4(weight)
        # Byte i holds column i and, above it, column W / 2 + i.
        low, high = np.split(levels, 2, axis=1)
        self.constant(f"{table}_4bit", low | high << 4)
        self.constant(f"{table}_step", step)
        self._unpack_rows(table, ids, node.output[0])

    def _unpack_rows(self, table: str, ids: str, out: str) -> None:
        """Look up ids [1, L] in a packed table: float32 [1, L, W]."""
        self.constant("low_nibble", np.uint8(15))
        self.constant("nibble_bits", np.uint8(4))
        self.constant("nibble_zero", np.float32(NIBBLE_ZERO))
        packed = self.add("Gather", [f"{table}_4bit", ids], f"{out}_packed")
        low = self.add("BitwiseAnd", [packed, "low_nibble"], f"{out}_low")
        high = self._shift_right(packed, f"{out}_high")
        both = self.add("Concat", [low, high], f"{out}_levels", axis=2)
        levels = self.add("Cast", [both], f"{out}_float", to=1)  # TensorProto.FLOAT
        centred = self.add("Sub", [levels, "nibble_zero"], f"{out}_centred")
        half = self.add("Gather", [f"{table}_step", ids], f"{out}_half_step")
        step = self.add("Cast", [half], f"{out}_step", to=1)
        self.add("Mul", [centred, step], out)

    def _shift_right(self, packed: str, out: str) -> str:
        from onnx import helper

        node = helper.make_node(
            "BitShift", [packed, "nibble_bits"], [out], name=out, direction="RIGHT"
        )
        self.nodes.append(node)
        return out
