"""Any artifact in a process of its own: one of a stock converter, or one of ours.

Started by :class:`ondevice.bench.process.Process`; speaks the protocol of
:mod:`ondevice.bench._worker`, and ``run`` besides. Both kinds go through the same calls of the
runtime's own Python interface, so that a difference in time is one of the artifacts.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ondevice.bench import _worker, workload
from ondevice.tokenizer import read_tokenizer

Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


def load_tflite(
    path: str, inputs: Sequence[str], roles: Sequence[str], lengths: Sequence[int], threads: int
) -> Run:
    """Open a ``.tflite`` file: its signature for each length, or its only one."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=threads)
    found = interpreter.get_signature_list()
    names = {
        length: f"length_{length}" if f"length_{length}" in found else next(iter(found))
        for length in lengths
    }
    runners = {length: interpreter.get_signature_runner(name) for length, name in names.items()}
    runner = runners[lengths[0]]
    taken = named(inputs, list(runner.get_input_details()))
    given = named(roles, list(runner.get_output_details()))
    types = {name: runner.get_input_details()[taken[name]]["dtype"] for name in inputs}

    def run(arrays: Arrays) -> Arrays:
        feed = {taken[name]: arrays[name].astype(types[name], copy=False) for name in inputs}
        outputs = runners[arrays[inputs[0]].shape[1]](**feed)
        return {role: outputs[given[role]] for role in roles}

    return run


def named(wanted: Sequence[str], found: Sequence[str]) -> dict[str, str]:
    """Return the file's own name of each tensor: the same word, or the one at its place.

    transformers calls the roles ``start_logits`` and ``end_logits``, and files list them in the
    order of the alphabet. Converters that lose the names number the tensors (``args_0``).
    """
    for suffix in ("", "_logits"):
        if {f"{name}{suffix}" for name in wanted} <= set(found):
            return {name: f"{name}{suffix}" for name in wanted}
    numbered = sorted(found, key=lambda name: int("0" + "".join(filter(str.isdigit, name))))
    return dict(zip(wanted, numbered, strict=True))


def load_executorch(
    path: str, inputs: Sequence[str], roles: Sequence[str], lengths: Sequence[int], threads: int
) -> Run:
    """Open a ``.pte`` program: a method for each length, or ``forward``."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    # A loaded method keeps a pointer to the pool: resize it first.
    portable_lib._unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(Path(path))
    names = program.method_names
    methods = {
        length: program.load_method(
            f"forward_{length}" if f"forward_{length}" in names else "forward"
        )
        for length in lengths
    }
    metadata = methods[lengths[0]].metadata
    # ScalarType numbers: 3 is int, 4 is long (c10/core/ScalarType.h).
    types = [
        np.int64 if metadata.input_tensor_meta(place).dtype() == 4 else np.int32
        for place in range(len(inputs))
    ]

    def run(arrays: Arrays) -> Arrays:
        tensors = [
            torch.from_numpy(arrays[name].astype(kind, copy=False))
            for name, kind in zip(inputs, types, strict=True)
        ]
        outputs = methods[tensors[0].shape[1]].execute(tensors)
        return {role: value.numpy() for role, value in zip(roles, outputs, strict=True)}

    return run


def load_onnx(
    path: str, inputs: Sequence[str], roles: Sequence[str], lengths: Sequence[int], threads: int
) -> Run:
    """Open an ``.onnx`` file: any length that its axis takes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    types = {
        value.name: np.int64 if value.type == "tensor(int64)" else np.int32
        for value in session.get_inputs()
    }

    def run(arrays: Arrays) -> Arrays:
        feed = {name: arrays[name].astype(types[name], copy=False) for name in inputs}
        return dict(zip(roles, session.run(None, feed), strict=True))

    return run


LOADERS: dict[str, tuple[str, Callable[..., Run]]] = {
    "tflite": ("ai-edge-litert", load_tflite),
    "executorch": ("executorch", load_executorch),
    "onnx": ("onnxruntime", load_onnx),
}


class ArtifactWorker:
    """An artifact on its own runtime, with the tokenizer of its checkpoint."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request = request
        self.tokenizer = read_tokenizer(Path(request["tokenizer"]))
        self.run: Run | None = None
        for group in _worker.MODULES[request["target"]]:
            _worker._import_first(group)
        # A load reads from the system's page cache, whoever was here before.
        with Path(request["path"]).open("rb") as stream:
            while stream.read(1 << 24):
                pass

    def load(self) -> tuple[str, str]:
        """Load the artifact; return the runtime's name and version."""
        package, loader = LOADERS[self.request["target"]]
        self.run = loader(
            self.request["path"],
            self.request["inputs"],
            self.request["outputs"],
            self.request["lengths"],
            int(self.request["threads"]),
        )
        return package, importlib.metadata.version(package).split("+")[0]

    def subject(self) -> workload.Subject:
        """Return what answers."""
        assert self.run is not None
        return workload.Subject("qa", self.tokenizer, self.run)


class Server(_worker.Server):
    """Answers ``run`` as well: inputs by name to outputs by role."""

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply to one request."""
        if request["op"] != "run" or self.subject is None:
            return super().answer(request)
        inputs = {name: np.asarray(rows, np.int32) for name, rows in request["inputs"].items()}
        return {
            role: {"dtype": str(rows.dtype), "rows": rows.tolist()}
            for role, rows in self.subject.run(inputs).items()
        }


_worker.WORKERS["artifact"] = ArtifactWorker  # type: ignore[assignment]

if __name__ == "__main__":
    _worker.main(int(sys.argv[1]), Server())
