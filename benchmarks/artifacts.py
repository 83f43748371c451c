"""The artifacts that are compared: ours and the stock converters', each to run in its process."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import commands
import full_scale
import numpy as np
import processes
import stock

from ondevice import bundle, models
from ondevice.bench.process import Process
from ondevice.bench.protocol import Pass
from ondevice.errors import UserError
from ondevice.models import Checkpoint
from ondevice.tasks.qa import QAOptions

# Those whose runtimes exist on this system; Core ML's is on Apple's only.
TARGETS = ("tflite", "executorch", "onnx")
BUNDLES = Path("bundles") / "benchmarks"
WORKER = (str(Path(__file__).with_name("artifact_worker.py")),)
# How long a process may take to answer: BERT-base loads and runs in a few seconds.
ANSWER_SECONDS = 600.0
# The roles of a question-answering head, in the order in which transformers returns them.
ROLES = ("start", "end")


@dataclass(frozen=True)
class Artifact:
    """Something to load and run.

    Attributes:
        origin: ``ours``, or the name of a stock path.
        inputs: names in the order in which the artifact takes them.
        outputs: roles in the order in which it returns them.
        notes: what its maker has to say about it.
    """

    model: str
    target: str
    origin: str
    scheme: str
    path: Path
    tokenizer: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    lengths: tuple[int, ...]
    notes: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        """Its size; of a package, that of its files."""
        files = [self.path] if self.path.is_file() else self.path.rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())


@dataclass(frozen=True)
class Absent:
    """An artifact that there is none of, and why."""

    model: str
    target: str
    origin: str
    scheme: str
    reason: str


def find_checkpoint(name: str, directory: Path) -> Checkpoint:
    """Find a model by name or directory; a shape of full size is made once, with seeded weights.

    Raises:
        UserError: nothing goes by that name, or it does not answer questions.
    """
    if name in full_scale.SCHEMES:
        place = directory / name
        if not (place / models.WEIGHTS_FILE).is_file():
            directory.mkdir(parents=True, exist_ok=True)
            full_scale.make_checkpoint(name, directory)
        name = str(place)
    return models.load(name, "qa")


def make_stock(
    checkpoint: Checkpoint, name: str, length: int, directory: Path
) -> Artifact | Absent:
    """Convert a checkpoint by a stock path, or say why that fails."""
    made = stock.make(checkpoint, name, length, directory / "stock")
    target = stock.PATHS[name].target
    if made.path is None:
        return Absent(checkpoint.name, target, name, "fp32", made.reason)
    return Artifact(
        model=checkpoint.name,
        target=target,
        origin=name,
        scheme="fp32",
        path=made.path,
        tokenizer=checkpoint.directory,
        inputs=made.inputs,
        outputs=ROLES,
        lengths=(length,),
        notes={**made.notes, "seconds": made.seconds},
    )


def build_ours(
    checkpoint: Checkpoint,
    target: str,
    schemes: Sequence[str],
    lengths: Sequence[int],
    directory: Path,
) -> list[Artifact | Absent]:
    """Build a checkpoint for a target under each scheme; what is there already is not built again.

    Raises:
        UserError: the build refuses the request.
    """
    word = "-".join(map(str, lengths))
    known = checkpoint.source.startswith("embedded:")
    model = checkpoint.name if known else str(checkpoint.directory)
    command = [sys.executable, "-m", "ondevice.build", "--model", model, "--json"]
    command += ["--target", target, "--scheme", ",".join(schemes)]
    command += ["--lengths", ",".join(map(str, lengths)), "--out", str(directory / f"L{word}")]
    ended = processes.run(command)
    if ended.code not in commands.FINDINGS:
        raise UserError(f"building {checkpoint.name} for {target}: {ended.reason}")
    return [_built(checkpoint, record) for record in json.loads(ended.stdout)]


def _built(checkpoint: Checkpoint, record: Mapping[str, Any]) -> Artifact | Absent:
    target, scheme = record["target"], record["scheme"]
    if not record["published"]:
        reason = str(record["failure"]).split(" (log:")[0]
        return Absent(checkpoint.name, target, "ours", scheme, reason)
    place = Path(record["path"])
    artifact = bundle.read_manifest(place).artifact
    return Artifact(
        model=checkpoint.name,
        target=target,
        origin="ours",
        scheme=scheme,
        path=place / artifact.file,
        tokenizer=checkpoint.directory,
        inputs=tuple(tensor.name for tensor in artifact.inputs),
        outputs=tuple(tensor.role for tensor in artifact.outputs),
        lengths=tuple(artifact.lengths),
        notes={},
    )


class Opened:
    """An artifact in a fresh process.

    Attributes:
        resident: bytes in memory before it was loaded, its runtime imported.
        nanoseconds: what loading it took.
    """

    def __init__(self, artifact: Artifact, threads: int) -> None:
        self.artifact = artifact
        self.process = Process(ANSWER_SECONDS, WORKER)
        try:
            opened = self.process.request(
                "open",
                kind="artifact",
                target=artifact.target,
                path=str(artifact.path.resolve()),
                tokenizer=str(artifact.tokenizer.resolve()),
                inputs=list(artifact.inputs),
                outputs=list(artifact.outputs),
                lengths=list(artifact.lengths),
                threads=threads,
            )
            loaded = self.process.request("load")
        except BaseException:
            self.process.close()
            raise
        self.resident: int | None = opened["resident"]
        self.nanoseconds: int = loaded["nanoseconds"]
        self.runtime: str = loaded["runtime"]
        self.version: str = loaded["version"]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run int32 [1, L] inputs; return arrays by role, of the type that the runtime gives."""
        given = {name: array.tolist() for name, array in inputs.items()}
        reply = self.process.request("run", inputs=given)
        return {role: np.asarray(one["rows"], one["dtype"]) for role, one in reply.items()}

    def time_pass(self, length: int) -> Pass:
        """Time one pass with a real text that fills `length`."""
        return Pass(*self.process.request("pass", length=length)["stages"])

    def peak(self) -> int:
        """Return the most bytes that the process had resident so far."""
        return int(self.process.request("memory")["peak"])

    def ask(
        self, question: str, context: str, options: QAOptions, lengths: Sequence[int]
    ) -> dict[str, Any]:
        """Answer a question, each window at the shortest of the lengths that it fits."""
        return self.process.request(
            "ask",
            question=question,
            context=context,
            window=dataclasses.asdict(options),
            lengths=list(lengths),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.process.close()
