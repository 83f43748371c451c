"""Store what float32 tables are left in a ``.tflite`` file in 8 bits, a scale for each row.

Those are positions: an operand of ADD, which ai-edge-quantizer does not store in fewer bits without
computing the sum in integers too. A DEQUANTIZE in front makes float32 of them when the model is
loaded (XNNPACK) or run. At 384 tokens of width 384 they are 0.15 MB instead of 0.59.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The first version of DEQUANTIZE that takes a scale for each row.
DEQUANTIZE_VERSION = 5


def round_tables(model: Any, tables: dict[int, list[int]]) -> None:
    """Round the float32 constants in some buffers to 8 bits.

    Args:
        model: a file, as ``flatbuffer_utils`` reads it.
        tables: rows and columns of each, by buffer.
    """
    for buffer, (rows, columns) in tables.items():
        values = np.frombuffer(np.asarray(model.buffers[buffer].data, np.uint8), np.float32)
        steps, scales = _round(values.reshape(rows, columns))
        model.buffers[buffer].data = np.ascontiguousarray(steps).view(np.uint8).reshape(-1)
        for graph in model.subgraphs:
            for output, tensor in enumerate(list(graph.tensors)):
                if tensor.buffer == buffer:
                    packed = _add_packed(graph, tensor, scales)
                    # Buffer 0 is the schema's empty one: the tensor is computed from here on.
                    tensor.buffer = 0
                    _insert_dequantize(model, graph, packed, output)


def _round(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    scales = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    return np.rint(values / scales).astype(np.int8), scales.reshape(-1)


def _add_packed(graph: Any, tensor: Any, scales: NDArray[np.float32]) -> int:
    """Add the constant in 8 bits that a tensor is unpacked from."""
    from ai_edge_litert import schema_py_generated as schema

    quantization = schema.QuantizationParametersT(
        scale=scales,
        zeroPoint=np.zeros(len(scales), np.int64),
        # Tables come as [L, W] and as [1, L, W].
        quantizedDimension=len(tensor.shape) - 2,
    )
    packed = schema.TensorT(
        shape=tensor.shape,
        type=schema.TensorType.INT8,
        buffer=tensor.buffer,
        name=f"{_text(tensor.name)}/8bit",
        quantization=quantization,
        hasRank=True,
    )
    graph.tensors.append(packed)
    return len(graph.tensors) - 1


def _text(name: str | bytes) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else name


def _insert_dequantize(model: Any, graph: Any, packed: int, output: int) -> None:
    """Put a DEQUANTIZE before all other operators."""
    from ai_edge_litert import schema_py_generated as schema

    builtin = schema.BuiltinOperator.DEQUANTIZE
    codes = [code.builtinCode for code in model.operatorCodes]
    if builtin not in codes:
        code = schema.OperatorCodeT(
            deprecatedBuiltinCode=builtin, builtinCode=builtin, version=DEQUANTIZE_VERSION
        )
        model.operatorCodes.append(code)
        codes.append(builtin)
    index = codes.index(builtin)
    code = model.operatorCodes[index]
    code.version = max(code.version, DEQUANTIZE_VERSION)
    operator = schema.OperatorT(
        opcodeIndex=index,
        inputs=[packed],
        outputs=[output],
        builtinOptionsType=schema.BuiltinOptions.DequantizeOptions,
        builtinOptions=schema.DequantizeOptionsT(),
    )
    graph.operators.insert(0, operator)
