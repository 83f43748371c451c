"""One artifact in a process of its own: ``python -m ondevice.bench._worker FD``.

Reads one JSON request a line from standard input and writes one JSON reply a line to the file
descriptor FD; standard output and error are a log, where runtimes may print what they like. The
parent says when: nothing runs here while another artifact has its turn. It ends with its input.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import bundle
from ondevice.bench import machine, workload
from ondevice.errors import (
    MissingPackageError,
    OnDeviceError,
    RuntimeUnavailableError,
    UserError,
)
from ondevice.inference import Model
from ondevice.tasks import TASKS, qa
from ondevice.tokenizer import read_tokenizer

if TYPE_CHECKING:
    from ondevice.bench.protocol import Pass
    from ondevice.manifest import Manifest
    from ondevice.models import Checkpoint
    from ondevice.targets.base import Runner

# Of prctl(2).
PR_SET_PDEATHSIG = 1
# How often a worker looks whether its parent is still there, where the system does not.
ORPHAN_SECONDS = 0.5
# Small enough for the allocator to take it from what it has: nothing of it stays resident.
CHUNK_BYTES = 1 << 16
# Imported before the clock starts: an app links its runtime, it does not import it. Of each group
# the first that is installed; if none is, loading says so.
MODULES: dict[str, tuple[tuple[str, ...], ...]] = {
    "coreml": (("coremltools",),),
    "tflite": (("ai_edge_litert.interpreter", "tflite_runtime.interpreter"),),
    "executorch": (("torch",), ("executorch.runtime",), ("executorch.kernels.quantized",)),
    "onnx": (("onnxruntime",),),
}


class BundleWorker:
    """A published bundle on its own runtime."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.directory = Path(request["directory"])
        self.threads = int(request["threads"])
        self.manifest: Manifest = bundle.read_manifest(self.directory)
        self.tokenizer = read_tokenizer(self.directory)
        self.runner: Runner | None = None
        for group in MODULES[self.manifest.artifact.target]:
            _import_first(group)
        _read_through([self.directory / self.manifest.artifact.file])

    def load(self) -> tuple[str, str]:
        """Load the artifact; return the runtime's name and version."""
        from ondevice.targets import TARGETS

        artifact = self.manifest.artifact
        roles = [output.role for output in artifact.outputs]
        path = self.directory / artifact.file
        self.runner = TARGETS[artifact.target].load(path, roles, threads=self.threads)
        return self.runner.runtime, self.runner.version

    def subject(self) -> workload.Subject:
        """Return what answers."""
        return workload.Subject(self.manifest.task, self.tokenizer, self._model().run_inputs)

    def golden(self) -> dict[str, Any]:
        """Hold the artifact against the bundle's goldens."""
        from ondevice import golden_records
        from ondevice.verify import golden_check

        records = golden_records.read(self.directory / bundle.GOLDEN_FILE)
        rows = golden_check.check_code(records, self.tokenizer, self.directory, self.manifest)
        outputs = golden_check.check_outputs(records, self._model(), "host")
        if not outputs:
            return {"status": "failed", "checked": 0, "reason": "the bundle has no golden outputs"}
        rows += outputs
        if self.manifest.task == "qa":
            rows += golden_check.check_answers(records, self._model(), "host")
        wrong = [f"{row.check}: {row.reason}" for row in rows if row.status != "passed"]
        return {
            "status": "failed" if wrong else "passed",
            "checked": len(records),
            "reason": wrong[0] if wrong else "",
        }

    def placement(self) -> dict[str, Any]:
        """Count what runs in a delegate, where that can be counted here."""
        from ondevice.verify import delegation

        found = delegation.measure(self.directory, self.manifest)
        return {"nodes": found.ops_inside, "total": found.ops, "reason": found.reason}

    def benchmark(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Time it with Core ML's own benchmarker, on inputs and in a function that are given."""
        import numpy as np

        from ondevice.bench import coreml_times

        found = coreml_times.measure(
            self.directory / self.manifest.artifact.file,
            {name: np.asarray(rows, np.int32) for name, rows in request["inputs"].items()},
            int(request["iterations"]),
            function=request["function"],
        )
        return dataclasses.asdict(found)

    def _model(self) -> Model:
        if self.runner is None:
            raise UserError("the artifact is not loaded")
        return Model(self.manifest, self.tokenizer, self.runner)


class TorchWorker:
    """A checkpoint as PyTorch runs it, eagerly, in float32."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        from ondevice import models
        from ondevice.errors import require

        torch = require("torch", extra="checkpoint")
        transformers = require("transformers", extra="checkpoint")
        torch.set_num_threads(int(request["threads"]))
        self.checkpoint: Checkpoint = models.load(request["model"], request["task"])
        self.version = str(torch.__version__).split("+")[0]
        self.network: Any = None
        # transformers imports an architecture's code when it is first used: not on the clock.
        auto = getattr(transformers, TASKS[self.checkpoint.task].auto_class)
        config = transformers.AutoConfig.from_pretrained(
            self.checkpoint.directory, local_files_only=True
        )
        with torch.device("meta"):
            auto.from_config(config)
        _read_through(self.checkpoint.weight_files)

    def load(self) -> tuple[str, str]:
        """Load the weights; return "torch" and its version."""
        from ondevice.verify import reference

        self.network = reference.load_model(self.checkpoint)
        return "torch", self.version

    def subject(self) -> workload.Subject:
        """Return what answers."""
        from ondevice.verify import reference

        network, task = self.network, self.checkpoint.task
        return workload.Subject(
            task,
            self.checkpoint.tokenizer,
            lambda inputs: reference.run_model(network, task, inputs),
        )


WORKERS: dict[str, Callable[[Mapping[str, Any]], BundleWorker | TorchWorker]] = {
    "bundle": BundleWorker,
    "torch": TorchWorker,
}


class Server:
    """Answers requests, one after another."""

    def __init__(self) -> None:
        self.worker: BundleWorker | TorchWorker | None = None
        self.subject: workload.Subject | None = None
        self.passes: dict[int, Callable[[], Pass]] = {}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply to one request."""
        operation = request["op"]
        if operation == "open":
            self.worker = WORKERS[request["kind"]](request)
            return {"resident": machine.resident_bytes()}
        worker = self.worker
        if worker is None:
            raise UserError("nothing is open")
        if operation == "load":
            return self._load(worker)
        if operation == "memory":
            peak, method = machine.peak_bytes()
            return {"peak": peak, "method": method}
        if operation == "ask" and self.subject is not None:
            reply = self.subject.ask(
                request["question"],
                request["context"],
                qa.QAOptions(**request["window"]),
                tuple(request["lengths"]),
            )
            best = reply.answers[0]
            return {
                "text": best.text,
                "span": [best.start, best.end],
                "windows": list(reply.lengths),
                "stages": _listed(workload.stages(reply)),
            }
        if operation == "pass" and self.subject is not None:
            return {"stages": _listed(self._pass(int(request["length"])))}
        if isinstance(worker, BundleWorker) and operation in {"golden", "placement"}:
            return worker.golden() if operation == "golden" else worker.placement()
        if isinstance(worker, BundleWorker) and operation == "benchmark":
            return worker.benchmark(request)
        raise UserError(f"there is no operation '{operation}' now")

    def _load(self, worker: BundleWorker | TorchWorker) -> dict[str, Any]:
        begin = time.perf_counter_ns()
        runtime, version = worker.load()
        nanoseconds = time.perf_counter_ns() - begin
        self.subject = worker.subject()
        self.passes.clear()
        return {"nanoseconds": nanoseconds, "runtime": runtime, "version": version}

    def _pass(self, length: int) -> Pass:
        assert self.subject is not None
        if length not in self.passes:
            self.passes[length] = self.subject.passes_at(length)
        return self.passes[length]()


def _import_first(names: Sequence[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
            return


def _read_through(paths: Iterable[Path]) -> None:
    """Read files, and all that directories hold, so that a load finds them in the page cache.

    Before anything is told of this process's memory: a read in chunks leaves none. What cannot be
    read is for the load to say.
    """
    chunk = bytearray(CHUNK_BYTES)
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            with contextlib.suppress(OSError), file.open("rb", buffering=0) as stream:
                while stream.readinto(chunk):
                    pass


def _listed(stages: Pass) -> list[int | None]:
    return [stages.tokenize, stages.infer, stages.decode]


def main(descriptor: int, server: Server | None = None) -> None:
    """Answer requests until there are no more."""
    _end_with_parent()
    server = server or Server()
    with os.fdopen(descriptor, "w", encoding="utf-8") as replies:
        for line in sys.stdin:
            try:
                reply = server.answer(json.loads(line))
            except (RuntimeUnavailableError, MissingPackageError) as error:
                reply = {"error": "unavailable", "message": str(error)}
            except OnDeviceError as error:
                reply = {"error": "failed", "message": str(error)}
            except Exception as error:  # noqa: BLE001 - runtimes raise anything
                text = " ".join(str(error).split())
                reply = {"error": "failed", "message": f"{type(error).__name__}: {text}"}
            replies.write(json.dumps(reply) + "\n")
            replies.flush()


def _end_with_parent() -> None:
    """End once nobody would take what is being made; a busy process does not see its input end.

    Nor does a stopped one, in which no thread looks either: on Linux the system does it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
