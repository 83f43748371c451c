"""Run ExecuTorch programs, in a process that has one thread pool for all of them."""

from __future__ import annotations

import importlib.metadata
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.errors import BundleError, UserError, require
from ondevice.targets.base import check_inputs, check_roles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def method_name(length: int, lengths: Sequence[int]) -> str:
    """Return the name of the method that serves one of an artifact's lengths."""
    return "forward" if len(lengths) == 1 else f"forward_{length}"


def runtime_version() -> str:
    """Return ExecuTorch's version without the build tag ("1.5.1+cpu"): manifests compare them."""
    return importlib.metadata.version("executorch").split("+")[0]


class ExecuTorchRunner:
    """A loaded program. Methods are loaded when their length is first run."""

    def __init__(self, path: Path, roles: Sequence[str], threads: int | None) -> None:
        self._path = path
        self._roles = tuple(roles)
        self._threads = threads or _default_threads()
        self._program: Any = None
        _use_threads(self._threads)
        try:
            self._lengths = tuple(self._constant("get_lengths").tolist())
            self._inputs = tuple(self._constant("get_inputs").split(","))
            self._vocab_size = int(self._constant("get_vocab_size"))
            self._outputs = tuple(self._constant("get_outputs").split(","))
        except (RuntimeError, KeyError) as error:
            raise BundleError(
                f"'{path}' is not a program of this project, or is damaged: {error}"
            ) from error
        check_roles(self._outputs, self._roles)
        _RUNNERS.add(self)

    @property
    def runtime(self) -> str:
        return "executorch"

    @property
    def version(self) -> str:
        return runtime_version()

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch; see :class:`ondevice.targets.base.Runner`.

        Raises:
            UserError: what the protocol says, or an id that is not in the vocabulary.
        """
        import torch

        taken = check_inputs(inputs, self._inputs, self._lengths)
        self._check_ids(taken["input_ids"])
        _use_threads(self._threads)
        length = taken["input_ids"].shape[1]
        method = self._loaded().load_method(method_name(length, self._lengths))
        values = method.execute([torch.tensor(value) for value in taken.values()])
        outputs = dict(zip(self._outputs, values, strict=True))
        return {role: outputs[role].numpy().copy() for role in self._roles}

    def unload(self) -> None:
        """Let go of the program; the next run loads it again."""
        self._program = None

    def _loaded(self) -> Any:
        if self._program is None:
            runtime = require("executorch.runtime", extra="executorch").Runtime.get()
            self._program = runtime.load_program(self._path)
        return self._program

    def _constant(self, name: str) -> Any:
        return self._loaded().load_method(name).execute([])[0]

    def _check_ids(self, ids: NDArray[np.int32]) -> None:
        """Refuse ids that would end the process inside the lookup's kernel."""
        if ids.min() < 0 or ids.max() >= self._vocab_size:
            raise UserError(
                f"input_ids must lie between 0 and {self._vocab_size - 1};"
                f" given: {ids.min()} to {ids.max()}"
            )


# Runners whose methods point into the process's one thread pool.
_RUNNERS: weakref.WeakSet[ExecuTorchRunner] = weakref.WeakSet()


@cache
def _default_threads() -> int:
    """Return the size that ExecuTorch gives its thread pool; asked before it is first changed."""
    return int(_bindings()._threadpool_get_thread_count())


def _use_threads(threads: int) -> None:
    """Resize the thread pool, if needed.

    A loaded XNNPACK method keeps a pointer to the pool, which a resize frees: every runner lets
    go of its methods first.
    """
    _default_threads()
    if _bindings()._threadpool_get_thread_count() == threads:
        return
    for runner in _RUNNERS:
        runner.unload()
    _bindings()._unsafe_reset_threadpool(threads)


def _bindings() -> Any:
    return require("executorch.extension.pybindings.portable_lib", extra="executorch")
