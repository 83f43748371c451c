"""How close each artifact comes to this machine's own limit.

    python benchmarks/roofline.py [--models distilbert] [--targets tflite,executorch,onnx]
        [--schemes fp32,int8] [--lengths 64,128,256,384]

The limit is measured, not looked up: the fastest matrix product of any installed library (torch,
NumPy, ONNX Runtime, XNNPACK through a TFLite file of one layer), float32 and int8, at the shapes of
the encoder and a square one, each library in a process of its own, all in turn, each over and over
for a tenth of a second, the best of many; and the memory bandwidth, as the best of a large copy and
STREAM's triad. At each length the artifacts then take turns with the fastest product of each kind,
so that a peak of the same minutes is in the comparison.

An artifact's share is its arithmetic (2 × the multiply-accumulates of ``ondevice.lengths``) over
its median time, over the peak of its own kind: int8 schemes against int8. It cannot be 1: softmax,
layer norm and GELU take time and are not counted (Williams, Waterman and Patterson 2009).

Prints tables and writes ``benchmarks/results/roofline.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import artifacts
import commands
import machine
import numpy as np
from artifacts import Absent, Artifact, Opened

from ondevice import console
from ondevice.bench import protocol
from ondevice.bench.process import Process
from ondevice.bench.protocol import Pass, PassError, Timed
from ondevice.lengths import multiply_accumulates

if TYPE_CHECKING:
    from ondevice.architectures import Encoder
    from ondevice.models import Checkpoint

RESULTS = Path(__file__).parent / "results" / "roofline.json"
WORKER = (str(Path(__file__).with_name("matmul_worker.py")),)
LIBRARIES = {
    "fp32": ("torch", "numpy", "onnxruntime", "xnnpack"),
    "int8": ("torch", "onnxruntime", "xnnpack"),
}
SQUARE = 1024
# Bytes moved for each byte of an array.
STREAMS = {"copy": 2, "triad": 3}
# Each of a tenth of a second.
PRODUCT_ROUNDS = 15
# Converting a one-layer file for XNNPACK takes a few seconds each.
ANSWER_SECONDS = 600.0
Shape = tuple[int, int, int]


@dataclass
class Product:
    """A matrix product [rows, inner] · [inner, columns] in one library, and its times in ns."""

    library: str
    scheme: str
    name: str
    shape: Shape
    samples: list[int] = field(default_factory=list)

    @property
    def key(self) -> str:
        """A name that no other product has."""
        return f"{self.library} {self.scheme} {self.name}"

    @property
    def rate(self) -> float:
        """The best rate, in operations (2 for each multiply-accumulate) a second."""
        return 2.0 * float(np.prod(self.shape, dtype=float)) / (min(self.samples) * 1e-9)


def shapes(encoder: Encoder, length: int) -> dict[str, Shape]:
    """Return the products of an encoder's layers at a length, and a square one, by name."""
    width, inner = encoder.width, encoder.intermediate
    found = [(length, width, width), (length, width, inner), (length, inner, width), (SQUARE,) * 3]
    return {"×".join(map(str, shape)): shape for shape in found}


def operations(encoder: Encoder, length: int) -> float:
    """Return the operations of one run: 2 for each multiply-accumulate, question head included."""
    return 2.0 * (multiply_accumulates(encoder)(length) + 2 * length * encoder.width)


class Bench:
    """The libraries' processes, kept open: the peak is measured again beside the artifacts."""

    def __init__(self, products: Mapping[str, Shape], threads: int) -> None:
        self.threads = threads
        self.products: list[Product] = []
        self.failures: dict[str, str] = {}
        self.about: dict[str, str] = {}
        self._processes: dict[tuple[str, str], Process] = {}
        self._stack = contextlib.ExitStack()
        # OpenBLAS reads this when NumPy is imported, which is before any request.
        os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
        for scheme, libraries in LIBRARIES.items():
            for library in libraries:
                made = {name: list(shape) for name, shape in products.items()}
                if self._open(library, scheme, {"products": made}):
                    self.products += [
                        Product(library, scheme, name, shape) for name, shape in products.items()
                    ]

    def _open(self, library: str, scheme: str, values: Mapping[str, Any]) -> bool:
        process = self._stack.enter_context(Process(ANSWER_SECONDS, WORKER))
        try:
            reply = process.request(
                "open", library=library, scheme=scheme, threads=self.threads, **values
            )
        except PassError as error:
            self.failures[f"{library} {scheme}"] = str(error)
            process.close()
            return False
        self.about[library] = reply["blas"]
        self._processes[library, scheme] = process
        return True

    def time(self, product: Product) -> Pass:
        """Time a product, and keep what one run of it took."""
        process = self._processes[product.library, product.scheme]
        taken = int(process.request("run", name=product.name)["nanoseconds"])
        product.samples.append(taken)
        return Pass(0, taken)

    def run_all(self, iterations: int) -> None:
        """Time every product so many times, in turn; the first runs warm up and count as well.

        The best of many counts, and what is slow because it is cold is not the best.
        """
        passes = {one.key: partial(self.time, one) for one in self.products}
        for name, timed in protocol.run_interleaved(passes, iterations).items():
            if timed.failure:
                self.failures[name] = timed.failure
        self.products = [one for one in self.products if one.samples]

    def best(self) -> dict[str, Product]:
        """Return the fastest product of each kind, fp32 and int8."""
        return {
            scheme: max(found, key=lambda one: one.rate)
            for scheme in LIBRARIES
            if (found := [one for one in self.products if one.scheme == scheme])
        }

    def bandwidth(self, iterations: int, size: int) -> dict[str, list[int]]:
        """Return the times of the copy and the triad, ns, over arrays of `size` bytes."""
        if not self._open("memory", "", {"bytes": size}):
            return {}
        with self._processes.pop(("memory", "")) as process:
            return {
                name: [
                    int(process.request("run", name=name)["nanoseconds"])
                    for _ in range(max(iterations, 1))
                ]
                for name in STREAMS
            }

    def close(self) -> None:
        """End the processes."""
        self._stack.close()


@dataclass
class Row:
    """One artifact at one length.

    Attributes:
        operations: of one run.
        reason: why there are no times.
    """

    made: Artifact | Absent
    length: int
    operations: float
    timed: Timed = field(default_factory=Timed)
    reason: str = ""

    @property
    def samples(self) -> list[int]:
        """The model's own time in each round, ns."""
        return [one.infer for one in self.timed.passes]

    def rate(self) -> float:
        """Operations a second at the median time."""
        return self.operations / (float(np.median(self.samples)) * 1e-9)


def kind_of(target: str, scheme: str) -> str:
    """Return what a scheme multiplies in; "" where no product is measured in that.

    Weights of 4 bits meet activations of 8. In half precision XNNPACK multiplies as the processor
    can under ExecuTorch; TFLite and ONNX Runtime do so in float32.
    """
    if scheme in {"int8", "int8-static", "int4"}:
        return "int8"
    return "" if (target, scheme) == ("executorch", "fp16") else "fp32"


def measure_length(
    rows: Sequence[Row], bench: Bench, processes: Mapping[Path, Opened], iterations: int
) -> None:
    """Time the artifacts at one length, in turn with the fastest products."""
    passes: dict[str, Callable[[], Pass]] = {}
    for number, row in enumerate(rows):
        if isinstance(row.made, Artifact) and row.made.path in processes:
            passes[str(number)] = partial(processes[row.made.path].time_pass, row.length)
    passes |= {one.key: partial(bench.time, one) for one in bench.best().values()}
    timed = protocol.run_interleaved(passes, iterations)
    for number, row in enumerate(rows):
        if str(number) in timed:
            row.timed = timed[str(number)]
            row.reason = row.timed.failure


@dataclass(frozen=True)
class Asked:
    """What is measured, as the command line has it."""

    targets: tuple[str, ...]
    schemes: tuple[str, ...]
    lengths: tuple[int, ...]
    threads: int
    iterations: int
    bundles: Path


def measure_model(checkpoint: Checkpoint, bench: Bench, asked: Asked) -> list[Row]:
    """Build a model's artifacts and time each at every length."""
    model = checkpoint.name
    made: list[Artifact | Absent] = []
    for target in asked.targets:
        print(f"{model}: building for {target}", file=sys.stderr, flush=True)
        made += artifacts.build_ours(
            checkpoint, target, asked.schemes, asked.lengths, asked.bundles
        )
    rows = [
        Row(
            one,
            length,
            operations(checkpoint.encoder, length),
            reason=one.reason if isinstance(one, Absent) else "",
        )
        for length in asked.lengths
        for one in made
    ]
    with contextlib.ExitStack() as stack:
        processes: dict[Path, Opened] = {}
        for one in made:
            if isinstance(one, Artifact):
                try:
                    processes[one.path] = stack.enter_context(Opened(one, asked.threads))
                except PassError as error:
                    for row in rows:
                        row.reason = str(error) if row.made is one else row.reason
        for length in asked.lengths:
            print(f"{model}: timing at {length}", file=sys.stderr, flush=True)
            some = [row for row in rows if row.length == length]
            measure_length(some, bench, processes, asked.iterations)
    return rows


def cells(row: Row, peaks: Mapping[str, float], bandwidth: float) -> tuple[str, ...]:
    """Return a row of the artifacts' table."""
    made = row.made
    head = (made.model, made.target, made.scheme, str(row.length))
    if not row.samples or not isinstance(made, Artifact):
        return (*head, *["–"] * 4, row.reason or "not run")
    peak = peaks.get(kind_of(made.target, made.scheme))
    return (
        *head,
        f"{np.median(row.samples) / 1e6:.1f}",
        f"{row.operations / 1e9:.1f}",
        f"{row.rate() / 1e9:.1f}",
        f"{1e3 * made.bytes / bandwidth:.1f}" if bandwidth else "–",
        f"{row.rate() / peak:.2f}" if peak else "–",
    )


def show(bench: Bench, rows: Sequence[Row], bandwidths: Mapping[str, float]) -> None:
    """Print the tables."""
    products = [
        (
            one.library,
            one.scheme,
            one.name,
            f"{min(one.samples) / 1e6:.3f}",
            f"{one.rate / 1e9:.1f}",
        )
        for one in bench.products
    ]
    print(console.table(("library", "type", "product", "best ms", "GOP/s"), products))
    for name, reason in bench.failures.items():
        print(f"{name}: not run: {reason}")
    for name, rate in bandwidths.items():
        print(f"memory {name}: {rate / 1e9:.1f} GB/s")
    best = bench.best()
    peaks = {scheme: one.rate for scheme, one in best.items()}
    for scheme, one in best.items():
        print(f"peak {scheme}: {one.rate / 1e9:.1f} GOP/s ({one.library}, {one.name})")
    headers = ("model", "target", "scheme", "L", "median ms", "GOP", "GOP/s", "read ms", "share")
    fastest = max(bandwidths.values(), default=0.0)
    print(f"\n{console.table(headers, [cells(row, peaks, fastest) for row in rows])}", flush=True)


def document(
    bench: Bench, rows: Sequence[Row], streams: Mapping[str, list[int]], threads: int
) -> dict[str, Any]:
    """Return the results; times in ns."""
    return {
        "machine": machine.describe(),
        "threads": threads,
        "timer": protocol.TIMER,
        "libraries": bench.about,
        "not_run": bench.failures,
        "products": [
            {"library": one.library, "scheme": one.scheme, "shape": one.shape}
            | {"best_operations_a_second": one.rate, "samples": one.samples}
            for one in bench.products
        ],
        "memory": streams,
        "artifacts": [
            {"model": row.made.model, "target": row.made.target, "scheme": row.made.scheme}
            | {"length": row.length, "operations": row.operations, "reason": row.reason}
            | {"bytes": row.made.bytes if isinstance(row.made, Artifact) else None}
            | {"stable": row.timed.stable, "samples": row.samples}
            for row in rows
        ],
    }


def main() -> int:
    """Measure the limits and the artifacts, print the tables, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default="distilbert")
    parser.add_argument("--targets", default=",".join(artifacts.TARGETS))
    parser.add_argument("--schemes", default="fp32,int8")
    parser.add_argument("--lengths", default="64,128,256,384")
    parser.add_argument("--threads", type=commands.whole("--threads"), default=2)
    parser.add_argument("--iterations", type=commands.whole("--iterations"), default=50)
    parser.add_argument(
        "--array-bytes",
        type=commands.whole("--array-bytes"),
        default=256_000_000,
        help="of the copy",
    )
    parser.add_argument("--bundles", type=Path, default=artifacts.BUNDLES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    served = commands.numbers(arguments.lengths, "length")
    # Before anything is measured, which takes minutes.
    targets = commands.words(arguments.targets, "target", artifacts.TARGETS)
    schemes = commands.schemes(arguments.schemes, targets)
    names = commands.words(arguments.models, "model")
    found = [artifacts.find_checkpoint(one, arguments.bundles / "checkpoints") for one in names]
    asked = Asked(
        targets,
        schemes,
        served,
        arguments.threads,
        arguments.iterations,
        arguments.bundles,
    )
    print("matrix products", file=sys.stderr, flush=True)
    bench = Bench(shapes(found[0].encoder, served[-1]), arguments.threads)
    with contextlib.closing(bench):
        rounds = min(arguments.iterations, PRODUCT_ROUNDS)
        bench.run_all(rounds)
        streams = bench.bandwidth(rounds, arguments.array_bytes)
        rows = [row for one in found for row in measure_model(one, bench, asked)]
    commands.write(arguments.out, document(bench, rows, streams, arguments.threads))
    moved = {
        name: STREAMS[name] * arguments.array_bytes / (min(times) * 1e-9)
        for name, times in streams.items()
    }
    show(bench, rows, moved)
    return 0


if __name__ == "__main__":
    sys.exit(commands.run(main))
