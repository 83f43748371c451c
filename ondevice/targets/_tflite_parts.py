"""Find an encoder's parts among the operators of a ``.tflite`` file, by their weights.

The converter names an operator after all modules that it fused into it, and gives query, key and
value of a layer one name: names do not tell parts apart. Weights do. They are the part's own, or,
behind a layer norm, multiplied column by column by its gain.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.graph import MobileGraph

# Cosine between a part's weights and an operator's. Gains have left 0.99 of the parts that were
# looked at; matrices that are not related have 0.1 at most.
SAME = 0.7


def scope_of(content: bytes, graph: MobileGraph, parts: Collection[str]) -> str:
    """Return the regular expression that fits the operators of some parts, and no others.

    Args:
        content: a float32 ``.tflite`` file of the graph.
        graph: the graph.
        parts: names from :mod:`ondevice.parts`.

    Raises:
        UserError: a part has no operator of its own.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    weights = {
        name: value.numpy()
        for name, value in graph.module.state_dict().items()
        if name.endswith(".weight") and value.ndim == 2
    }
    names = set()
    missing = set(parts)
    for subgraph in model.subgraphs:
        for operator, matrix in _matrices(model, subgraph):
            part = _nearest(matrix, weights)
            if part in parts:
                missing.discard(part)
                names.add(subgraph.tensors[operator.outputs[0]].name.decode())
    if missing:
        raise UserError(
            f"TensorFlow Lite cannot keep '{sorted(missing)[0]}': no operator of the converted"
            " model has its weights alone; leave it out of --keep"
        )
    # ai-edge-quantizer looks for it in an operator's output names, each closed by a semicolon.
    return f"^(?:{'|'.join(re.escape(name) for name in sorted(names))});$"


def _matrices(model: Any, subgraph: Any) -> list[tuple[Any, NDArray[np.float32]]]:
    """Return the operators of a subgraph that carry a float32 matrix, with it."""
    from ai_edge_litert import schema_py_generated as schema

    carriers = {schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.EMBEDDING_LOOKUP}
    found = []
    for operator in subgraph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) not in carriers:
            continue
        tensor = subgraph.tensors[operator.inputs[1]]
        data = model.buffers[tensor.buffer].data
        if data is not None and tensor.type == schema.TensorType.FLOAT32:
            matrix = np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32)
            found.append((operator, matrix.reshape([int(size) for size in tensor.shape])))
    return found


def _nearest(matrix: NDArray[np.float32], weights: dict[str, NDArray[np.float32]]) -> str | None:
    """Return the part whose weights a matrix holds; None if it is nobody's."""
    best, found = SAME, None
    for name, weight in weights.items():
        if weight.shape != matrix.shape:
            continue
        lengths = float(np.linalg.norm(weight) * np.linalg.norm(matrix))
        cosine = float(np.vdot(weight, matrix)) / lengths if lengths else 0.0
        if cosine > best:
            best, found = cosine, name.removesuffix(".weight")
    return found
