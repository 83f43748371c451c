"""Run a saved ML Program op by op in torch.

Core ML itself runs only on Apple systems; this interpreter answers, anywhere, what the program on
disk computes. Values of fp16 type are kept in fp32 tensors and, with `half`, rounded to half
precision after each op, so that an overflow becomes inf where a device's would. It times nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ondevice.errors import choices, require
from ondevice.verify.mil import program
from ondevice.verify.mil.dtypes import Array
from ondevice.verify.mil.errors import MilInputError, MilOpError, MilPackageError
from ondevice.verify.mil.package import open_package
from ondevice.verify.mil.plan import Plan, Step, guarded, make_plan
from ondevice.verify.mil.program import Function, Operation, TensorSpec, TensorType
from ondevice.verify.mil.report import FiniteReport
from ondevice.verify.mil.tensors import rounded, to_numpy, to_torch, torch_dtype
from ondevice.verify.mil.values import Values

if TYPE_CHECKING:
    from torch import Tensor


class MilModel:
    """One function of a saved `.mlpackage`, as an app would load it."""

    def __init__(self, spec: Any, values: Values, function: str) -> None:
        names = program.function_names(spec)
        if function not in names:
            raise MilInputError(choices("function", function, names))
        self._spec = spec
        self._values = values
        self._function: Function = program.read_function(spec, function)
        self.function_name = function

    @classmethod
    def load(cls, path: str | Path, function: str | None = None) -> Self:
        """Open the package at `path`; `function` None takes the default one.

        Raises:
            MilPackageError: not an ML Program package, or one that is damaged or unsafe.
            MilInputError: the package has no such function.
            UnknownOpError: the program is of a form the interpreter does not represent.
        """
        package = open_package(Path(path))
        spec = program.read_model(package)
        return cls(spec, Values(package), function or program.function_names(spec)[0])

    def with_function(self, name: str) -> Self:
        """Return another function of the same package; decoded weights are shared in memory."""
        return type(self)(self._spec, self._values, name)

    @property
    def specification_version(self) -> int:
        """Core ML's specification version: 6 is iOS 15, 7 iOS 16, 8 iOS 17, 9 iOS 18."""
        return int(self._spec.specificationVersion)

    @property
    def function_names(self) -> tuple[str, ...]:
        """All functions of the package, the default one first."""
        return program.function_names(self._spec)

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs with their dtypes and the shapes they may take."""
        return program.read_inputs(self._spec, self.function_name, self._function)

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs; a `None` dimension depends on the input."""
        return program.read_outputs(self._spec, self.function_name, self._function)

    @property
    def op_types(self) -> tuple[str, ...]:
        """The types of the function's ops, constants included, in program order."""
        return tuple(op.type for op in self._function.operations)

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        half: bool = True,
        report: FiniteReport | None = None,
    ) -> dict[str, Array]:
        """Execute the function and return its outputs by name.

        `half` rounds every value that the program types as fp16; without it such values stay in
        fp32. Weights are in both cases what they decode to in their declared type. `report`
        collects the ops that make NaN or inf.

        Raises:
            MilInputError: a name, dtype or shape that the model does not declare.
            UnknownOpError: an op, or a form of it, that the interpreter does not know.
            MilOpError: an op that cannot be executed as stated.
            MissingPackageError: torch, which computes here, is not installed.
        """
        torch = require("torch", extra="checkpoint")
        self._check_inputs(inputs)
        plan = self._plan
        if report is not None:
            report.nonfinite.extend(plan.nonfinite_constants)
        values: dict[str, Any] = dict(plan.constants)
        for name, array in inputs.items():
            values[name] = _place(array, name, self._function.inputs[name], half=half)
        with torch.inference_mode():
            for step in plan.steps:
                _execute(step, values, half=half, report=report)
        return {spec.name: to_numpy(values[spec.name], spec.dtype) for spec in self.outputs}

    @cached_property
    def _plan(self) -> Plan:
        return make_plan(self._function, {spec.name for spec in self.outputs}, self._values)

    def _check_inputs(self, inputs: Mapping[str, Array]) -> None:
        declared = {spec.name: spec for spec in self.inputs}
        for name in inputs:
            if name not in declared:
                raise MilInputError(choices("input", name, tuple(declared)))
        for name, spec in declared.items():
            if name not in inputs:
                raise MilInputError(f"input '{name}' is missing; inputs: {', '.join(declared)}")
            _check_input(inputs[name], spec)


def _check_input(array: Array, spec: TensorSpec) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(spec.dtype):
        given = getattr(array, "dtype", type(array).__name__)
        raise MilInputError(f"input '{spec.name}' must be {spec.dtype}, not {given}")
    if not spec.accepts(array.shape):
        raise MilInputError(
            f"input '{spec.name}' has shape {list(array.shape)}; it takes {spec.describe()}"
        )


def _place(array: Array, name: str, kind: TensorType, *, half: bool) -> Tensor:
    """Make a function's input of an array; the description's shape [1] may be a scalar to MIL."""
    if kind.shape == () and array.shape == (1,):
        array = array.reshape(())
    if not kind.fits(array.shape):
        raise MilPackageError(
            f"input '{name}' is {list(kind.shape)} to the program,"
            f" while its description takes {list(array.shape)}"
        )
    return rounded(to_torch(array), kind, half=half)


def _execute(
    step: Step, values: dict[str, Any], *, half: bool, report: FiniteReport | None
) -> None:
    """Run one op on `values`, add its outputs, and drop what no later op reads."""
    op = step.op
    operands = {
        param: tuple(_value(op, values, name) for name in names)
        for param, names in step.operands.items()
    }
    arguments = {
        param: group if param in step.tuples else group[0] for param, group in operands.items()
    }
    results = guarded(op, lambda: step.call(**arguments, **step.extra))
    results = results if isinstance(results, tuple) else (results,)
    if len(results) != len(op.outputs):
        raise MilOpError(op.type, op.name, f"{len(results)} outputs, declared {len(op.outputs)}")
    made = [
        rounded(_conform(result, op, kind), kind, half=half)
        for result, (_, kind) in zip(results, op.outputs, strict=True)
    ]
    if report is not None:
        report.record(op, [value for group in operands.values() for value in group], made)
    values.update((name, value) for (name, _), value in zip(op.outputs, made, strict=True))
    for name in step.dying:
        del values[name]


def _value(op: Operation, values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise MilOpError(op.type, op.name, f"reads '{name}', which nothing before it makes")
    return values[name]


def _conform(result: Tensor, op: Operation, kind: TensorType) -> Tensor:
    """Check a result against the declared shape and bring it to the declared element type."""
    shape = tuple(result.shape)
    if not kind.fits(shape):
        reason = f"result of shape {list(shape)}, declared {list(kind.shape)}"
        raise MilOpError(op.type, op.name, reason)
    return result.to(torch_dtype(kind.dtype))
