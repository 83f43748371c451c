"""Read the operators of a ``.tflite`` file, and the shapes and types that they meet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ondevice.errors import BundleError, require
from ondevice.targets.tflite import EXTRA

MIN_RUNTIME = b"min_runtime_version"


@dataclass(frozen=True)
class Tensor:
    """A tensor: its shape, the name of its type, and how many scales it is quantized with."""

    shape: tuple[int, ...]
    dtype: str
    scales: int


@dataclass(frozen=True)
class Operator:
    """An operator with its tensors by index; absent inputs are -1."""

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """One subgraph of the file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class File:
    """What a ``.tflite`` file says.

    Attributes:
        graphs: the first is what runs without signatures.
        min_runtime: the oldest TensorFlow Lite as the converter noted it; empty if it did not.
    """

    graphs: tuple[Graph, ...]
    min_runtime: str


def read(path: Path) -> File:
    """Read a file without running it.

    Raises:
        BundleError: it is not a ``.tflite`` file.
        MissingPackageError: ai-edge-litert, whose schema is used, is not installed.
    """
    schema = require("ai_edge_litert.schema_py_generated", extra=EXTRA)
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise BundleError(f"'{path}' is not a .tflite file")
    try:
        return _read(schema.Model.GetRootAs(content, 0))
    except Exception as error:
        # The generated reader follows offsets wherever they lead.
        text = f"{type(error).__name__}: {error}"
        raise BundleError(f"'{path}' cannot be read: {text}") from error


def _read(model: Any) -> File:
    codes = [_code(model.OperatorCodes(index)) for index in range(model.OperatorCodesLength())]
    graphs = (model.Subgraphs(index) for index in range(model.SubgraphsLength()))
    return File(tuple(_graph(graph, codes) for graph in graphs), _min_runtime(model))


def _graph(graph: Any, codes: list[tuple[str, int]]) -> Graph:
    operators = []
    for index in range(graph.OperatorsLength()):
        entry = graph.Operators(index)
        name, version = codes[entry.OpcodeIndex()]
        indices = _indices(entry.InputsAsNumpy()), _indices(entry.OutputsAsNumpy())
        operators.append(Operator(name, version, *indices))
    tensors = (_tensor(graph.Tensors(index)) for index in range(graph.TensorsLength()))
    return Graph(tuple(tensors), tuple(operators))


def _tensor(tensor: Any) -> Tensor:
    quantization = tensor.Quantization()
    return Tensor(
        shape=_indices(tensor.ShapeAsNumpy()),
        dtype=_names("TensorType")[tensor.Type()],
        scales=0 if quantization is None else quantization.ScaleLength(),
    )


def _indices(values: Any) -> tuple[int, ...]:
    # An absent vector is the number 0.
    return () if isinstance(values, int) else tuple(int(value) for value in values)


def _code(code: Any) -> tuple[str, int]:
    # Files from before 2020 have the operator in the older, narrower field only.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _names("BuiltinOperator").get(builtin, f"operator {builtin}")
    if name == "CUSTOM":
        name = f"custom {(code.CustomCode() or b'').decode('utf-8', 'replace')}"
    return name, int(code.Version())


@cache
def _names(enum: str) -> dict[int, str]:
    schema = require("ai_edge_litert.schema_py_generated", extra=EXTRA)
    entries = vars(getattr(schema, enum)).items()
    return {value: name for name, value in entries if not name.startswith("_")}


def _min_runtime(model: Any) -> str:
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == MIN_RUNTIME:
            data = model.Buffers(entry.Buffer()).DataAsNumpy()
            return bytes(data).rstrip(b"\0").decode("ascii", "replace")
    return ""
