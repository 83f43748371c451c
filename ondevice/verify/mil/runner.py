"""A ``.mlpackage`` in the reference interpreter, behind the interface of every runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import __version__
from ondevice.errors import UserError
from ondevice.targets.base import check_inputs, check_roles, check_threads
from ondevice.verify.mil.errors import MilPackageError
from ondevice.verify.mil.interpreter import MilModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MilRunner:
    """A package: one function for each length, planned when it is first run."""

    runtime = "mil-reference"
    version = __version__

    def __init__(self, path: Path, roles: Sequence[str]) -> None:
        default = MilModel.load(path)
        self._functions = default.function_names
        # Siblings share the weights that are decoded already.
        models = (default, *(default.with_function(name) for name in self._functions[1:]))
        self._models = {_length(model): model for model in models}
        check_roles([spec.name for spec in default.outputs], roles)
        self._inputs = tuple(spec.name for spec in default.inputs)
        self._roles = tuple(roles)

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch; see :class:`ondevice.targets.base.Runner`.

        Values that the program types as fp16 are rounded to half precision after each op.

        Raises:
            UserError: what the protocol says, or an id that is not in the vocabulary.
            UnknownOpError: the interpreter does not know an op of the program.
        """
        try:
            taken = check_inputs(inputs, self._inputs, self._models)
        except UserError as error:
            raise UserError(f"{error}; functions: {', '.join(self._functions)}") from error
        outputs = self._models[taken["input_ids"].shape[1]].run(taken)
        return {role: outputs[role].astype("float32", copy=False) for role in self._roles}


def _length(model: MilModel) -> int:
    """Return the one length that a function takes.

    Raises:
        MilPackageError: it takes something else.
    """
    shapes = {spec.shape for spec in model.inputs}
    shape = next(iter(shapes)) if len(shapes) == 1 else ()
    # A flexible input declares a default shape beside those that it takes.
    flexible = any(spec.enumerated or spec.ranges for spec in model.inputs)
    if flexible or len(shape) != 2 or shape[1] is None:
        raise MilPackageError(
            f"function '{model.function_name}' does not take inputs [1, L] of one length L;"
            " the package was not built by ondevice"
        )
    return shape[1]


def load(path: Path, roles: Sequence[str], *, threads: int | None = None) -> MilRunner:
    """Open a package in the interpreter; `threads` changes nothing, since nothing is timed here.

    Raises:
        MilPackageError: the package is missing, damaged, or not one of this project.
        UserError: it has other outputs, or `threads` is below 1.
        UnknownOpError: the program is of a form that the interpreter does not represent.
    """
    check_threads(threads)
    return MilRunner(path, roles)
