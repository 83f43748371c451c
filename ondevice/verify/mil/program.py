"""The ML Program as plain data: parsed from `model.mlmodel`, nothing executed or decoded yet.

Message and field names are those of coremltools' `MIL.proto`, `Model.proto` and
`FeatureTypes.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ondevice.verify.mil.dtypes import MIL_DTYPES, STORAGE
from ondevice.verify.mil.errors import MilPackageError, UnknownOpError
from ondevice.verify.mil.package import Package
from ondevice.verify.mil.proto import parse_model

# `ArrayFeatureType.ArrayDataType` of FeatureTypes.proto.
_FEATURE_DTYPES: dict[int, str] = {
    65568: "float32",
    65600: "float64",
    65552: "float16",
    131104: "int32",
    131080: "int8",
}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of the model as an app sees it; a `None` dimension is flexible.

    `enumerated` lists the shapes an enumerated input takes; `ranges` gives [low, high] for each
    dimension of a ranged one (`high` None: no limit). Both are empty for a fixed shape.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    enumerated: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Say whether an array of this shape may be given."""
        if self.enumerated:
            return shape in self.enumerated
        if self.ranges:
            return len(shape) == len(self.ranges) and all(
                low <= size and (high is None or size <= high)
                for size, (low, high) in zip(shape, self.ranges, strict=True)
            )
        return shape == self.shape

    def describe(self) -> str:
        """Return the shapes it takes, for a message."""
        if self.enumerated:
            return "one of " + ", ".join(str(list(shape)) for shape in self.enumerated)
        if self.ranges:
            return "sizes within " + ", ".join(f"[{low}, {high}]" for low, high in self.ranges)
        return str(list(self.shape))


@dataclass(frozen=True)
class TensorType:
    """A MIL tensor type; a `None` dimension is known only when the program runs."""

    dtype: str
    shape: tuple[int | None, ...]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Say whether `shape` is one of this type."""
        return len(shape) == len(self.shape) and all(
            declared in (None, size) for declared, size in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class Ref:
    """An argument that is another op's output or a function input."""

    name: str


@dataclass(frozen=True)
class Literal:
    """An argument given by value (a `MIL.Value` message), decoded on demand."""

    value: Any


Binding = Ref | Literal


@dataclass(frozen=True)
class Operation:
    """One op: its parameters by MIL name and its typed outputs in order."""

    type: str
    name: str
    params: Mapping[str, tuple[Binding, ...]]
    outputs: tuple[tuple[str, TensorType], ...]


@dataclass(frozen=True)
class Function:
    """One function of the program, with the block of its own opset."""

    opset: int
    inputs: Mapping[str, TensorType]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def read_model(package: Package) -> Any:
    """Parse `model.mlmodel`; return the `Model` message of an ML Program."""
    model = parse_model(package.model.read_bytes(), package.model.name)
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        raise MilPackageError(f"'{package.root.name}' holds a model of type {kind}, not mlProgram")
    return model


def function_names(model: Any) -> tuple[str, ...]:
    """Return the functions, the default one first."""
    names = [function.name for function in model.description.functions]
    names = names or sorted(model.mlProgram.functions)
    default = model.description.defaultFunctionName or names[0]
    return (default, *(name for name in names if name != default))


def read_function(model: Any, name: str) -> Function:
    """Return the function `name` in the block its opset selects."""
    if name not in model.mlProgram.functions:
        raise MilPackageError(f"the program lacks the function '{name}' its description names")
    function = model.mlProgram.functions[name]
    if function.opset not in function.block_specializations:
        raise MilPackageError(f"function '{name}' has no block for opset '{function.opset}'")
    block = function.block_specializations[function.opset]
    return Function(
        opset=_opset(function.opset),
        inputs={
            value.name: tensor_type(value.type, "input", value.name) for value in function.inputs
        },
        operations=tuple(_operation(op) for op in block.operations),
        outputs=tuple(block.outputs),
    )


def read_inputs(model: Any, name: str, function: Function) -> tuple[TensorSpec, ...]:
    """Return the inputs of a function as the model's description lists them."""
    specs = tuple(_feature(feature) for feature in _interface(model, name).input)
    if {spec.name for spec in specs} != set(function.inputs):
        raise MilPackageError(
            f"the description lists the inputs {', '.join(spec.name for spec in specs)},"
            f" function '{name}' takes {', '.join(function.inputs)}"
        )
    return specs


def read_outputs(model: Any, name: str, function: Function) -> tuple[TensorSpec, ...]:
    """Return the outputs of a function; their shapes are those of the program."""
    types = {name: kind for op in function.operations for name, kind in op.outputs}
    types.update(function.inputs)
    specs = [_feature(feature) for feature in _interface(model, name).output]
    for spec in specs:
        if spec.name not in function.outputs or spec.name not in types:
            raise MilPackageError(
                f"the description lists the output '{spec.name}',"
                f" function '{name}' returns {', '.join(function.outputs)}"
            )
    return tuple(TensorSpec(spec.name, spec.dtype, types[spec.name].shape) for spec in specs)


def tensor_type(value_type: Any, op_type: str = "const", name: str = "value") -> TensorType:
    """Return the tensor type of a `ValueType` message; refuse lists, states and the like.

    `op_type` and `name` say whose value it is, for the error.
    """
    kind = value_type.WhichOneof("type")
    if kind != "tensorType":
        raise UnknownOpError(op_type, name, f"a value of {kind}")
    tensor = value_type.tensorType
    dtype = MIL_DTYPES.get(tensor.dataType, f"number {tensor.dataType}")
    if dtype != "string" and dtype not in STORAGE:
        raise UnknownOpError(op_type, name, f"element type {dtype}")
    if any(dimension.unknown.variadic for dimension in tensor.dimensions):
        raise UnknownOpError(op_type, name, "a tensor of unknown rank")
    return TensorType(dtype, tuple(_dimension(dimension) for dimension in tensor.dimensions))


def _interface(model: Any, function: str) -> Any:
    """Return the description of one function; that of the model if it has only one."""
    for described in model.description.functions:
        if described.name == function:
            return described
    return model.description


def _feature(feature: Any) -> TensorSpec:
    kind = feature.type.WhichOneof("Type")
    if kind != "multiArrayType":
        raise UnknownOpError(str(kind), feature.name, "only multi-array inputs and outputs")
    array = feature.type.multiArrayType
    enumerated = tuple(tuple(shape.shape) for shape in array.enumeratedShapes.shapes)
    ranges = tuple(
        # A bound below zero means: none (FeatureTypes.proto, SizeRange).
        (dimension.lowerBound, None if dimension.upperBound < 0 else dimension.upperBound)
        for dimension in array.shapeRange.sizeRanges
    )
    dtype = _FEATURE_DTYPES.get(array.dataType, f"type {array.dataType}")
    return TensorSpec(feature.name, dtype, tuple(array.shape), enumerated, ranges)


def _opset(name: str) -> int:
    """Return the n of `CoreML<n>`: 5 is iOS 15, 6 iOS 16, 7 iOS 17, 8 iOS 18."""
    number = name.removeprefix("CoreML")
    if not number.isdigit():
        raise MilPackageError(f"unknown opset '{name}'")
    return int(number)


def _operation(op: Any) -> Operation:
    name = _op_name(op)
    if op.blocks:
        raise UnknownOpError(op.type, name, "control flow")
    params: dict[str, tuple[Binding, ...]] = {
        key: (Literal(value),) for key, value in op.attributes.items() if key != "name"
    }
    for key, argument in op.inputs.items():
        params[key] = tuple(
            Ref(item.name) if item.WhichOneof("binding") == "name" else Literal(item.value)
            for item in argument.arguments
        )
    outputs = tuple((value.name, tensor_type(value.type, op.type, name)) for value in op.outputs)
    return Operation(op.type, name, params, outputs)


def _op_name(op: Any) -> str:
    if "name" in op.attributes:
        strings = op.attributes["name"].immediateValue.tensor.strings.values
        if strings:
            return str(strings[0])
    return str(op.outputs[0].name) if op.outputs else "unnamed"


def _dimension(dimension: Any) -> int | None:
    known = dimension.WhichOneof("dimension") == "constant"
    return int(dimension.constant.size) if known else None
