"""A Core ML package on a Mac."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ondevice.errors import BundleError
from ondevice.targets.base import check_inputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class CoreMLRunner:
    """A package on a Mac; each length is compiled when it is first used."""

    names: tuple[str, ...]
    roles: tuple[str, ...]
    lengths: tuple[int, ...]
    open_model: Callable[[int], Any]
    version: str
    runtime: str = "coremltools"
    models: dict[int, Any] = field(default_factory=dict)

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch; see :class:`ondevice.targets.base.Runner`."""
        taken = check_inputs(inputs, self.names, self.lengths)
        length = taken["input_ids"].shape[1]
        try:
            if length not in self.models:
                self.models[length] = self.open_model(length)
            outputs = self.models[length].predict(taken)
        except RuntimeError as error:
            # Core ML compiles a package when it is opened; coremltools says so when it is run.
            raise BundleError(f"Core ML cannot run the package: {error}") from error
        return {role: outputs[role].astype("float32", copy=False) for role in self.roles}
