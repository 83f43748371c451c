"""Find an encoder's parts among the operators of a ``.tflite`` file, by their weights.

The converter names an operator after all modules that it fused into it, and gives query, key and
value of a layer one name: names do not tell parts apart. Weights do. They are the part's own, or,
behind a layer norm, multiplied column by column by its gain; what they make of the norm's bias is
in the operator's own then.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ondevice.graph import MobileGraph
    from ondevice.targets.base import ConvertOptions, StorageOf

logger = logging.getLogger(__name__)

# Cosine between a part's weights and an operator's. Gains have left 0.99 of the parts that were
# looked at; matrices that are not related have 0.1 at most.
SAME = 0.7
# Biases that differ by less, in shares of 1 and the largest of them, are the same.
NEAR = 1e-4


def prepare(
    content: bytes, graph: MobileGraph, options: ConvertOptions, storage: StorageOf
) -> bytes:
    """Put weights into a float32 file that lie where the quantizer's rounding will find them.

    See :mod:`ondevice.compensation`. What is rounded is what the file holds, gains included.
    """
    import torch
    from ai_edge_litert.tools import flatbuffer_utils

    from ondevice import compensation
    from ondevice.compensation import Fold

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    weights = _weights(graph)
    buffers: dict[int, str] = {}
    folds: dict[str, Fold] = {}
    for operator, subgraph, matrix in _matrices(model):
        part = _nearest(matrix, weights)
        if part is None:
            name = subgraph.tensors[operator.outputs[0]].name.decode()
            logger.warning("no part of the encoder has the weights of '%s': as they are", name)
            continue
        buffers[subgraph.tensors[operator.inputs[1]].buffer] = part
        bias = _bias(model, subgraph, operator)
        shift = None if bias is None else _shift(graph, part, bias)
        gain = torch.from_numpy(_gain(matrix, weights[part]))
        folds[part] = Fold(gain, torch.zeros(len(gain)) if shift is None else shift)
    after = _weights(compensation.for_target(graph, options, storage, folds))
    for buffer, part in buffers.items():
        matrix = after[part] * folds[part].gain.numpy()
        model.buffers[buffer].data = matrix.astype(np.float32).view(np.uint8).reshape(-1)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def scope_of(content: bytes, graph: MobileGraph, parts: Collection[str]) -> str:
    """Return the regular expression that fits the operators of some parts, and no others.

    Args:
        content: a float32 ``.tflite`` file of the graph.
        graph: the graph; its weights may have been prepared in the file.
        parts: names from :mod:`ondevice.parts`.

    Raises:
        UserError: a part has no operator of its own.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    weights = _weights(graph)
    names = set()
    missing = set(parts)
    for operator, subgraph, matrix in _matrices(model):
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


def _weights(graph: MobileGraph) -> dict[str, NDArray[np.float32]]:
    """Return the matrices of a graph's parts."""
    return {
        name.removesuffix(".weight"): value.numpy()
        for name, value in graph.module.state_dict().items()
        if name.endswith(".weight") and value.ndim == 2
    }


def _matrices(model: Any) -> Iterator[tuple[Any, Any, NDArray[np.float32]]]:
    """Yield the operators that carry a float32 matrix, with their subgraph and it."""
    from ai_edge_litert import schema_py_generated as schema

    carriers = {schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.EMBEDDING_LOOKUP}
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) not in carriers:
                continue
            tensor = subgraph.tensors[operator.inputs[1]]
            data = model.buffers[tensor.buffer].data
            if data is not None and tensor.type == schema.TensorType.FLOAT32:
                matrix = np.frombuffer(np.asarray(data, np.uint8), np.float32)
                yield operator, subgraph, matrix.reshape([int(size) for size in tensor.shape])


def _bias(model: Any, subgraph: Any, operator: Any) -> NDArray[np.float32] | None:
    """Return the float32 bias of an operator; None if it has none."""
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return None
    data = model.buffers[subgraph.tensors[operator.inputs[2]].buffer].data
    return None if data is None else np.frombuffer(np.asarray(data, np.uint8), np.float32)


def _shift(graph: MobileGraph, part: str, bias: NDArray[np.float32]) -> Tensor | None:
    """Return the bias of the layer norm that an operator's bias has taken in; None if none has.

    Which norm that was is not written anywhere, but what its bias would make of the part's own is.
    """
    import torch
    from torch import nn

    module = graph.module.get_submodule(part)
    if not isinstance(module, nn.Linear) or module.bias is None:
        return None
    moved = torch.from_numpy(bias.copy()) - module.bias
    if moved.shape != module.bias.shape or bool(moved.abs().max() <= NEAR):
        return None
    norms = [one.bias for one in graph.module.modules() if isinstance(one, nn.LayerNorm)]
    for shift in norms:
        if shift.shape[0] != module.weight.shape[1]:
            continue
        if bool((moved - module.weight @ shift).abs().max() <= NEAR * (1 + moved.abs().max())):
            return shift.detach().clone()
    logger.warning("what was added to the bias of '%s' is of no layer norm", part)
    return None


def _gain(matrix: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the converter multiplied each column of a part by."""
    squares = (weight * weight).sum(0)
    gain = (matrix * weight).sum(0) / np.where(squares == 0, 1, squares)
    folded: NDArray[np.float32] = gain.astype(np.float32)
    return folded


def _nearest(matrix: NDArray[np.float32], weights: dict[str, NDArray[np.float32]]) -> str | None:
    """Return the part whose weights a matrix holds; None if it is nobody's."""
    best, found = SAME, None
    for part, weight in weights.items():
        if weight.shape != matrix.shape:
            continue
        lengths = float(np.linalg.norm(weight) * np.linalg.norm(matrix))
        cosine = float(np.vdot(weight, matrix)) / lengths if lengths else 0.0
        if cosine > best:
            best, found = cosine, part
    return found
