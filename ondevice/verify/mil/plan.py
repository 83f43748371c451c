"""Make a function ready to run: resolve its ops, decode its constants, see what can be dropped."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice.verify.mil.constexpr import CONSTEXPRS
from ondevice.verify.mil.dtypes import STORAGE, Array
from ondevice.verify.mil.errors import (
    MilOpError,
    MilPackageError,
    UnknownOpError,
    UnsupportedFormError,
)
from ondevice.verify.mil.program import (
    Binding,
    Function,
    Literal,
    Operation,
    Ref,
    TensorType,
)
from ondevice.verify.mil.report import NonFinite, nonfinite
from ondevice.verify.mil.tensors import to_torch
from ondevice.verify.mil.values import Values

if TYPE_CHECKING:
    from torch import Tensor

Constant = Array | str
Content = tuple[Any, ...]
Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Step:
    """An op ready to run.

    `operands` names the values of each parameter, `tuples` the parameters that take several,
    `extra` holds arguments beside MIL's, `dying` the values that no later op reads.
    """

    op: Operation
    call: Callable[..., Any]
    operands: Names
    tuples: frozenset[str]
    extra: Mapping[str, Any]
    dying: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The steps of a function and every constant they read."""

    steps: tuple[Step, ...]
    constants: Mapping[str, Tensor | str]
    nonfinite_constants: tuple[NonFinite, ...]


def make_plan(function: Function, outputs: set[str], values: Values) -> Plan:
    """Resolve all ops, then decode the weights; raise `UnknownOpError` before decoding any."""
    literals: dict[str, Literal] = {}
    steps = _steps(function, outputs, literals)
    constants = _constants(function.operations, values)
    constants.update((name, _tensor(values.decode(item.value))) for name, item in literals.items())
    return Plan(steps, constants, _nonfinite_constants(function.operations, constants))


def guarded(op: Operation, call: Callable[[], Any]) -> Any:
    """Call an implementation; name the op in whatever it raises."""
    try:
        return call()
    except UnsupportedFormError as error:
        raise UnknownOpError(op.type, op.name, str(error)) from error
    except (ValueError, IndexError, RuntimeError, TypeError) as error:
        raise MilOpError(op.type, op.name, str(error)) from error


def _steps(function: Function, outputs: set[str], literals: dict[str, Literal]) -> tuple[Step, ...]:
    from ondevice.verify.mil.ops import OPS, TUPLE_PARAMS

    computed = [op for op in function.operations if not _is_weight(op)]
    for op in computed:
        if op.type not in OPS:
            raise UnknownOpError(op.type, op.name)
    operands = [_operands(op, TUPLE_PARAMS.get(op.type, frozenset()), literals) for op in computed]
    dying = _last_uses(function, computed, operands, outputs)
    return tuple(
        Step(
            op,
            OPS[op.type],
            names,
            TUPLE_PARAMS.get(op.type, frozenset()),
            _extra(op, OPS[op.type], names, function.opset),
            ends,
        )
        for op, names, ends in zip(computed, operands, dying, strict=True)
    )


def _operands(op: Operation, tuples: frozenset[str], literals: dict[str, Literal]) -> Names:
    """Return the value names of each parameter; a literal gets a name and goes to `literals`."""
    names: dict[str, tuple[str, ...]] = {}
    for param, bindings in op.params.items():
        if len(bindings) != 1 and param not in tuples:
            raise UnknownOpError(op.type, op.name, f"a tuple as '{param}'")
        names[param] = tuple(_operand_name(binding, literals) for binding in bindings)
    return names


def _operand_name(binding: Binding, literals: dict[str, Literal]) -> str:
    if isinstance(binding, Ref):
        return binding.name
    # '\0' keeps it apart from any name of the program.
    name = f"\0literal {len(literals)}"
    literals[name] = binding
    return name


def _extra(op: Operation, call: Callable[..., Any], names: Names, opset: int) -> Mapping[str, Any]:
    """Return the arguments `call` wants beside MIL's; refuse parameters it does not take."""
    extra = {"opset": opset} if "opset" in inspect.signature(call).parameters else {}
    _check_signature(op, call, {**names, **extra})
    return extra


def _check_signature(op: Operation, call: Callable[..., Any], params: Mapping[str, Any]) -> None:
    """Refuse an op whose parameters are not those of its function: ignoring one is no check."""
    try:
        inspect.signature(call).bind(**params)
    except TypeError as error:
        raise UnknownOpError(op.type, op.name, str(error)) from error


def _last_uses(
    function: Function, ops: list[Operation], operands: list[Names], outputs: set[str]
) -> list[tuple[str, ...]]:
    """Return for each op the computed values that no later op reads; constants are kept."""
    droppable = {name for op in ops for name, _ in op.outputs} | set(function.inputs)
    needed = set(function.outputs) | outputs
    dying: list[tuple[str, ...]] = []
    for op, names in zip(reversed(ops), reversed(operands), strict=True):
        touched = {name for group in names.values() for name in group}
        touched.update(name for name, _ in op.outputs)
        dying.append(tuple((touched & droppable) - needed))
        needed |= touched
    return dying[::-1]


def _constants(operations: tuple[Operation, ...], values: Values) -> dict[str, Tensor | str]:
    """Decode every constant and compressed weight, in program order.

    What an equal op of this or another function has decoded is taken from `values.shared`, so
    that functions share weights in memory as they do on disk.
    """
    weights = [op for op in operations if _is_weight(op)]
    # What another constexpr op reads, such as a palette that is itself quantized.
    chained = {item.name for op in weights for item in _bindings(op) if isinstance(item, Ref)}
    arrays: dict[str, Constant] = {}
    contents: dict[str, Content] = {}
    constants: dict[str, Tensor | str] = {}
    for op in weights:
        names = [name for name, _ in op.outputs]
        content = _content(op, contents)
        if content not in values.shared or chained.intersection(names):
            results = _evaluate(op, arrays, values)
            arrays.update(zip(names, results, strict=True))
            values.shared[content] = tuple(_tensor(result) for result in results)
            for name in set(names) - chained:
                del arrays[name]
        contents.update(dict.fromkeys(names, content))
        constants.update(zip(names, values.shared[content], strict=True))
    return constants


def _is_weight(op: Operation) -> bool:
    return op.type == "const" or op.type in CONSTEXPRS


def _bindings(op: Operation) -> list[Binding]:
    return [binding for bindings in op.params.values() for binding in bindings]


def _content(op: Operation, contents: Mapping[str, Content]) -> Content:
    """Return what determines the value of a constant: equal contents have equal values."""

    def of(binding: Binding) -> Content:
        if isinstance(binding, Literal):
            return (binding.value.SerializeToString(deterministic=True),)
        if binding.name not in contents:
            raise MilPackageError(f"a weight is made from '{binding.name}', not a constant")
        return contents[binding.name]

    params = tuple((name, tuple(map(of, op.params[name]))) for name in sorted(op.params))
    return (op.type, params, tuple(kind for _, kind in op.outputs))


def _evaluate(op: Operation, arrays: Mapping[str, Constant], values: Values) -> list[Constant]:
    """Return the outputs of a `const` or `constexpr_*` op in their declared types."""
    if any(len(bindings) != 1 for bindings in op.params.values()):
        raise UnknownOpError(op.type, op.name, "a tuple as parameter")
    params = {
        param: arrays[binding.name] if isinstance(binding, Ref) else values.decode(binding.value)
        for param, (binding,) in op.params.items()
    }
    if op.type == "const":
        results = params.pop("val", None)
        if results is None or params:
            raise UnknownOpError(op.type, op.name, "not exactly one value")
    else:
        _check_signature(op, CONSTEXPRS[op.type], params)
        with np.errstate(over="ignore"):  # a weight beyond fp16 is inf, and reported as such
            results = guarded(op, lambda: CONSTEXPRS[op.type](**params))
    parts = results if isinstance(results, tuple) else (results,)
    return [_typed(part, op, kind) for part, (_, kind) in zip(parts, op.outputs, strict=True)]


def _tensor(value: Constant) -> Tensor | str:
    return value if isinstance(value, str) else to_torch(value)


def _typed(value: Constant, op: Operation, kind: TensorType) -> Constant:
    """Check a constant's shape against its declared type and give it that type's storage."""
    if isinstance(value, str):
        return value
    if tuple(value.shape) != kind.shape:
        reason = f"shape {list(value.shape)}, declared {list(kind.shape)}"
        raise MilOpError(op.type, op.name, reason)
    return value.astype(STORAGE[kind.dtype], copy=False)


def _nonfinite_constants(
    operations: tuple[Operation, ...], constants: Mapping[str, Tensor | str]
) -> tuple[NonFinite, ...]:
    """Return the constants with NaN or inf, such as a weight that overflowed when converted."""
    found = (
        nonfinite(op, [constants[name] for name, _ in op.outputs])
        for op in operations
        if _is_weight(op)
    )
    return tuple(item for item in found if item is not None)
