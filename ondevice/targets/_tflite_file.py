"""Edit a finished ``.tflite`` flatbuffer: names, honest operator versions, sharing, alignment.

The converter and the quantizer write files that run, but that name their tensors after Python
classes, claim operator versions from before they were quantized, and store once for each
signature what all could share. Everything here keeps the mathematics as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import require

# The schema (tensorflow/lite/schema/schema.fbs) asks for it: Buffer.data, force_align: 16.
# Python's flatbuffers ignores that attribute.
ALIGNMENT = 16

# A constant smaller than this is not worth an operator that cuts it out of a larger one.
MIN_SHARED_BYTES = 4096
# Sharing an equal constant costs nothing; this only spares the hashing of single numbers.
MIN_EQUAL_BYTES = 64

# The metadata entry in which converters write the oldest TensorFlow Lite that has all operators,
# zero-padded to 16 bytes.
MIN_RUNTIME = b"min_runtime_version"

Content = bytes | bytearray


@dataclass
class _Packed:
    """A buffer that packs its data aligned; stands in for the schema's own BufferT."""

    data: NDArray[np.uint8] | None
    offset: int = 0
    size: int = 0

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the name that ModelT.Pack calls
        from ai_edge_litert import schema_py_generated as schema

        vector = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head = builder.Head() - len(self.data)
            builder.Bytes[builder.Head() : builder.Head() + len(self.data)] = self.data.data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


class _Once:
    """A table that is written once, however many parents refer to it."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.position: int | None = None

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the name that TensorT.Pack calls
        if self.position is None:
            self.position = int(self.table.Pack(builder))
        return self.position


def finish(
    content: Content,
    description: str,
    versions: Mapping[str, int],
    oldest: str | None,
    *,
    tables_8: bool = False,
) -> bytearray:
    """Return the file with contract names, shared constants and the versions it really needs.

    Args:
        content: a ``.tflite`` file.
        description: the text for the model's description field.
        versions: the version that an operator needs at least, by the schema's operator names.
        oldest: the oldest TensorFlow Lite that has those versions; None where none is known.
        tables_8: store what float32 tables are left in 8 bits.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    from ondevice.targets import _tflite_tables

    model = flatbuffer_utils.read_model_from_bytearray(content)
    model.description = description
    _name_tensors(model)
    _raise_versions(model, versions)
    if oldest is not None:
        _raise_min_runtime(model, oldest)
    _share_equal(model)
    _share_rows(model)
    if tables_8:
        _tflite_tables.round_tables(model, _tables(model))
    _share_scales(model)
    return _pack(model)


def min_runtime(content: Content) -> str:
    """Read which TensorFlow Lite a file asks for at least."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    return bytes(model.buffers[_min_runtime_buffer(model)].data).rstrip(b"\0").decode("ascii")


def _name_tensors(model: Any) -> None:
    """Name inputs and outputs as their signatures do, and shorten all other names."""
    taken: Counter[str] = Counter()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            short = _short_name(tensor.name.decode("utf-8"))
            tensor.name = f"{short};{taken[short]}" if taken[short] else short
            taken[short] += 1
    for signature in model.signatureDefs:
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        for entry in [*signature.inputs, *signature.outputs]:
            tensors[entry.tensorIndex].name = entry.name


def _short_name(name: str) -> str:
    """Cut a name to its last module path, without the packages of the classes.

    ``a.b.Layer_5/c.Linear_key;;a.b.Layer_5/c.Linear_query;3`` becomes ``Layer_5/Linear_query``.
    """
    path = re.sub(r";\d*$", "", name).split(";;")[-1]
    return "/".join(part.rsplit(".", 1)[-1] for part in path.split("/")[-3:])


def _raise_versions(model: Any, versions: Mapping[str, int]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    needed = {getattr(schema.BuiltinOperator, name): value for name, value in versions.items()}
    for code in model.operatorCodes:
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.version = max(code.version, needed.get(builtin, 1))


def _min_runtime_buffer(model: Any) -> int:
    (found,) = (entry.buffer for entry in model.metadata if entry.name == MIN_RUNTIME)
    return int(found)


def _raise_min_runtime(model: Any, oldest: str) -> None:
    buffer = model.buffers[_min_runtime_buffer(model)]
    current = bytes(buffer.data).rstrip(b"\0").decode("ascii")
    newest = max(current, oldest, key=lambda version: [int(n) for n in version.split(".")])
    buffer.data = np.frombuffer(newest.encode("ascii").ljust(16, b"\0"), np.uint8)


def _share_equal(model: Any) -> None:
    """Store equal constants once.

    The scales of blocks are tensors of their own, and the quantizer makes them anew for each
    signature: 0.7 MB for 30,522 rows of 12 blocks.
    """
    known: dict[bytes, int] = {}
    first: dict[int, int] = {}
    for index in sorted({tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}):
        data = model.buffers[index].data
        if data is not None and len(data) >= MIN_EQUAL_BYTES:
            digest = hashlib.sha256(np.frombuffer(data, np.uint8).data).digest()
            first[index] = known.setdefault(digest, index)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = first.get(tensor.buffer, tensor.buffer)
    for index, kept in first.items():
        if index != kept:
            model.buffers[index].data = None


def _share_rows(model: Any) -> None:
    """Cut tables that are the first rows of a longer one out of that at run time.

    Each length has its own copy of the first rows of the position table; at width 384 the copies
    for 64, 128 and 256 tokens are 0.7 MB, 4 % of a 3-layer int8 model.
    """
    tables = _tables(model)
    whole: list[int] = []
    for short in sorted(tables, key=lambda buffer: -tables[buffer][0]):
        rows, columns = tables[short]
        longer = (
            long
            for long in whole
            if tables[long][0] > rows
            and tables[long][1] == columns
            and _starts_with(model, long, short)
        )
        found = next(longer, None)
        if found is None:
            whole.append(short)
        else:
            _cut_out(model, short, found, tables[found])


def _starts_with(model: Any, long: int, short: int) -> bool:
    head = np.frombuffer(model.buffers[short].data, np.uint8)
    table = np.frombuffer(model.buffers[long].data, np.uint8)[: len(head)]
    # The first row decides nearly always; comparing all of every pair would take seconds.
    return bool((table[:64] == head[:64]).all() and (table == head).all())


def _tables(model: Any) -> dict[int, list[int]]:
    """Return the float32 matrices of some size: their rows and columns by buffer."""
    from ai_edge_litert.schema_py_generated import TensorType

    return {
        tensor.buffer: _matrix(tensor)
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.type == TensorType.FLOAT32
        and len(_matrix(tensor)) == 2
        and model.buffers[tensor.buffer].data is not None
        and len(model.buffers[tensor.buffer].data) >= MIN_SHARED_BYTES
    }


def _matrix(tensor: Any) -> list[int]:
    """Return a shape without its leading ones: tables come as [L, W] and as [1, L, W]."""
    shape = [int(size) for size in tensor.shape]
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _cut_out(model: Any, short: int, long: int, matrix: list[int]) -> None:
    """Replace the constants of buffer `short` by a SLICE of the first rows of buffer `long`."""
    for graph in model.subgraphs:
        for output, tensor in enumerate(list(graph.tensors)):
            if tensor.buffer != short:
                continue
            name = tensor.name
            rank = len(tensor.shape)
            shape = [1] * (rank - 2) + matrix
            table = _add_constant(graph, f"{name}/table", tensor.type, shape, long)
            begin = _add_ints(model, graph, f"{name}/begin", [0] * rank)
            size = _add_ints(model, graph, f"{name}/size", list(tensor.shape))
            # Buffer 0 is the schema's empty one: the tensor is computed from here on.
            tensor.buffer = 0
            _insert_slice(model, graph, [table, begin, size], output)
    model.buffers[short].data = None


def _add_constant(graph: Any, name: str, kind: int, shape: list[int], buffer: int) -> int:
    from ai_edge_litert.schema_py_generated import TensorT

    graph.tensors.append(TensorT(shape=shape, type=kind, buffer=buffer, name=name, hasRank=True))
    return len(graph.tensors) - 1


def _add_ints(model: Any, graph: Any, name: str, values: list[int]) -> int:
    from ai_edge_litert.schema_py_generated import BufferT, TensorType

    model.buffers.append(BufferT(data=np.array(values, "<i4").view(np.uint8)))
    shape = [len(values)]
    return _add_constant(graph, name, TensorType.INT32, shape, len(model.buffers) - 1)


def _insert_slice(model: Any, graph: Any, inputs: list[int], output: int) -> None:
    """Put a SLICE before all other operators."""
    from ai_edge_litert import schema_py_generated as schema

    builtin = schema.BuiltinOperator.SLICE
    codes = [code.builtinCode for code in model.operatorCodes]
    if builtin not in codes:
        code = schema.OperatorCodeT(deprecatedBuiltinCode=builtin, builtinCode=builtin, version=1)
        model.operatorCodes.append(code)
        codes.append(builtin)
    operator = schema.OperatorT(
        opcodeIndex=codes.index(builtin),
        inputs=inputs,
        outputs=[output],
        builtinOptionsType=schema.BuiltinOptions.SliceOptions,
        builtinOptions=schema.SliceOptionsT(),
    )
    graph.operators.insert(0, operator)


def _share_scales(model: Any) -> None:
    """Write equal quantization parameters once.

    An embedding has one scale and one zero point a row: 0.4 MB for 30,522 rows, in every
    signature.
    """
    known: dict[tuple[object, ...], _Once] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            table = tensor.quantization
            if table is None or table.scale is None:
                continue
            key = (
                np.asarray(table.scale, np.float32).tobytes(),
                np.asarray(table.zeroPoint, np.int64).tobytes(),
                table.quantizedDimension,
                table.detailsType,
                table.min is None,
                table.max is None,
            )
            tensor.quantization = known.setdefault(key, _Once(table))


def _pack(model: Any) -> bytearray:
    """Serialize with all data inside the flatbuffer, aligned as the schema asks.

    The quantizer puts large constants behind the flatbuffer (schema 3c), which TensorFlow Lite
    reads only since about 2.14, and other readers of the format not at all.
    """
    flatbuffers = require("flatbuffers", extra="tflite")
    total = 0
    packed = []
    for buffer in model.buffers:
        data = None if buffer.data is None else np.frombuffer(buffer.data, np.uint8)
        total += 0 if data is None else len(data) + ALIGNMENT
        packed.append(_Packed(data))
    model.buffers = packed
    # Room for all of it at once: the builder would double and copy its way there.
    builder = flatbuffers.Builder(total + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    output: bytearray = builder.Output()
    return output
