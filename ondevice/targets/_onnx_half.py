"""Rewrite an ONNX encoder to half precision.

The result is, node for node, what torch exports of the module in half precision (the tests compare
them), without a second export.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ondevice.targets.base import HALF_EPSILON

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto


def quantize(model: ModelProto) -> None:
    """Store weights and compute in half precision; outputs stay float32, under their names."""
    halve(model.graph)
    _cast_outputs(model.graph)


def halve(graph: GraphProto) -> None:
    """Turn every float32 of a graph, constants, types and casts, to float16."""
    from onnx import TensorProto

    for tensor in graph.initializer:
        _halve_tensor(tensor)
    for node in graph.node:
        _halve_node(node)
    for value in (*graph.value_info, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16


def _halve_node(node: NodeProto) -> None:
    from onnx import TensorProto

    for attribute in node.attribute:
        if attribute.HasField("t"):
            _halve_tensor(attribute.t)
        elif attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif attribute.name == "epsilon":
            # The standard computes mean and variance in float32; accelerators do not all.
            attribute.f = max(attribute.f, HALF_EPSILON)


def _halve_tensor(tensor: TensorProto) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))


def _cast_outputs(graph: GraphProto) -> None:
    """Put a cast to float32 behind each output, and give it the output's name."""
    from onnx import TensorProto, helper

    halves = {output.name: f"{output.name}_half" for output in graph.output}
    for node in graph.node:
        node.input[:] = [halves.get(name, name) for name in node.input]
        node.output[:] = [halves.get(name, name) for name in node.output]
    for output in graph.output:
        half = halves[output.name]
        graph.node.append(helper.make_node("Cast", [half], [output.name], to=TensorProto.FLOAT))
        output.type.tensor_type.elem_type = TensorProto.FLOAT
