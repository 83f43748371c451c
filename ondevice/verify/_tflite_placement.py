"""Ask TFLite's interpreter which operators of a file XNNPACK took over."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ondevice.errors import RuntimeUnavailableError, require
from ondevice.targets.tflite import EXTRA
from ondevice.verify import _tflite_graph
from ondevice.verify._pte_program import Step

RUNTIME = "ai-edge-litert"
# What the interpreter calls the node that it puts in the place of those that a delegate took.
DELEGATES = {"TfLiteXNNPackDelegate", "DELEGATE"}

# Operators that multiply no matrices. Of any other, custom ones among them, it is not known here
# how much it multiplies.
_NO_PRODUCTS = frozenset(
    "ABS ADD ARG_MAX BROADCAST_ARGS BROADCAST_TO CAST CONCATENATION CUMSUM DEQUANTIZE DIV"
    " EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL GATHER GATHER_ND GELU GREATER GREATER_EQUAL"
    " L2_NORMALIZATION LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX"
    " MAXIMUM MEAN MINIMUM MUL NEG NOT_EQUAL ONE_HOT PACK PAD POW QUANTIZE RANGE REDUCE_MAX RELU"
    " RESHAPE RSQRT SELECT SELECT_V2 SHAPE SLICE SOFTMAX SPLIT SQRT SQUARE SQUARED_DIFFERENCE"
    " SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE UNPACK WHERE".split()
)
# Operators that multiply matrices, and the input whose last dimension is summed over.
_PRODUCTS = {"FULLY_CONNECTED": 0, "BATCH_MATMUL": 0}


@dataclass(frozen=True)
class Placed:
    """The operators of the first subgraph, each with the delegate that runs it."""

    runtime: str
    version: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Node:
    """A node of the interpreter: its name and its tensors by index."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def place(path: Path) -> Placed:
    """Load a file and count what XNNPACK runs of its first subgraph, the longest length.

    Raises:
        BundleError: it is not a ``.tflite`` file.
        MissingPackageError: ai-edge-litert is not installed.
        RuntimeUnavailableError: it does not take the file.
    """
    graph = _tflite_graph.read(path).graphs[0]
    nodes = _load(path)
    originals = len(graph.operators)
    taken = delegated(nodes[:originals], nodes[originals:])
    steps = tuple(
        Step(operator.name, _macs(graph, operator), taken.get(index))
        for index, operator in enumerate(graph.operators)
    )
    return Placed(RUNTIME, importlib.metadata.version(RUNTIME), steps)


def _load(path: Path) -> list[Node]:
    """Return the nodes of a loaded file; delegates' nodes follow the file's own."""
    interpreter_class = require("ai_edge_litert.interpreter", extra=EXTRA).Interpreter
    try:
        interpreter: Any = interpreter_class(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        # Private, and the only way to see the nodes from Python.
        details: Sequence[Mapping[str, Any]] = interpreter._get_ops_details()
    except (ValueError, RuntimeError, AttributeError) as error:
        text = " ".join(str(error).split())
        raise RuntimeUnavailableError(f"{RUNTIME} cannot show its placement: {text}") from error
    return [
        Node(detail["op_name"], tuple(detail["inputs"]), tuple(detail["outputs"]))
        for detail in details
    ]


def delegated(nodes: Sequence[Node], added: Sequence[Node]) -> dict[int, int]:
    """Return the indices of the nodes that delegates' nodes stand for, each with its delegate's.

    A delegate's node has the inputs and outputs of all that it replaces: what lies on the way
    from its outputs back to its inputs is inside.
    """
    producers = {tensor: index for index, node in enumerate(nodes) for tensor in node.outputs}
    inside: dict[int, int] = {}
    for part, delegate in enumerate(added):
        if delegate.name not in DELEGATES:
            continue
        border = set(delegate.inputs)
        waiting = [tensor for tensor in delegate.outputs if tensor not in border]
        while waiting:
            index = producers.get(waiting.pop())
            if index is not None and index not in inside:
                inside[index] = part
                waiting += [tensor for tensor in nodes[index].inputs if tensor not in border]
    return inside


def _macs(graph: _tflite_graph.Graph, operator: _tflite_graph.Operator) -> int | None:
    position = _PRODUCTS.get(operator.name)
    if position is None:
        return 0 if operator.name in _NO_PRODUCTS else None
    summed = graph.tensors[operator.inputs[position]].shape[-1]
    return prod(graph.tensors[operator.outputs[0]].shape) * summed
