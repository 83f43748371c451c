"""A ``.mlpackage`` in the reference interpreter, behind the interface of every runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import __version__
from ondevice.errors import UserError
from ondevice.verify.mil.interpreter import MilModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MilRunner:
    """A package whose functions (one for each length) are read when they are first used."""

    runtime = "mil-reference"
    version = __version__

    def __init__(self, path: Path, roles: Sequence[str]) -> None:
        self._roles = tuple(roles)
        self._opened = [MilModel.load(path)]
        self._names = self._opened[0].function_names  # the default one first

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run int32 [1, L] inputs in the function that takes them; float32 arrays by role.

        Values that the program types as fp16 are rounded to half precision after each op.

        Raises:
            UserError: no function takes inputs of that shape.
            UnknownOpError: the interpreter does not know an op of the program.
        """
        outputs = self._function_for(inputs).run(inputs)
        return {role: outputs[role].astype("float32", copy=False) for role in self._roles}

    def _function_for(self, inputs: Mapping[str, NDArray[np.int32]]) -> MilModel:
        shapes = {name: value.shape for name, value in inputs.items()}
        for model in self._opened:
            if _takes(model, shapes):
                return model
        for name in self._names[len(self._opened) :]:
            # A sibling shares the weights that are decoded already.
            self._opened.append(self._opened[0].with_function(name))
            if _takes(self._opened[-1], shapes):
                return self._opened[-1]
        if len(self._names) == 1:
            return self._opened[0]  # its own error says what it takes
        raise UserError(
            f"no function of the package takes inputs of the shapes {shapes};"
            f" functions: {', '.join(self._names)}"
        )


def _takes(model: MilModel, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    specs = {spec.name: spec for spec in model.inputs}
    return set(shapes) == set(specs) and all(
        spec.accepts(shapes[name]) for name, spec in specs.items()
    )


def load(path: Path, roles: Sequence[str], *, threads: int | None = None) -> MilRunner:
    """Open a package in the interpreter; `threads` is ignored, since nothing is timed here."""
    return MilRunner(path, roles)
