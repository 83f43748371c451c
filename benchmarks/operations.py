"""Which operations of an artifact take the time: each runtime's own profile, ours beside stock.

    python benchmarks/operations.py [--models distilbert,student] [--length 384]
        [--targets tflite,executorch,onnx] [--scheme int8]

Runs each artifact (float32, the same as in ``versus_stock.py``; with ``--scheme`` ours alone) with
its runtime's profiler on: LiteRT's, which looks into XNNPACK, ExecuTorch's ETDump, which does too,
and ONNX Runtime's. Adds up the time of each kind of operator: milliseconds a run, its share, how
often it runs, and for products the floating-point operations a second. Profiling itself takes time,
so the sums are above the times without it. Prints a table of what takes 1 % or more and writes
everything to ``benchmarks/results/operations.json``, of another scheme to
``operations_SCHEME.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import artifacts
import commands
import machine
import numpy as np
import processes
import stock
from artifacts import Absent, Artifact
from profiles import WARMUP, as_records

from ondevice import console
from ondevice.lengths import multiply_accumulates

if TYPE_CHECKING:
    from ondevice.architectures import Encoder

RESULTS = Path(__file__).parent / "results"
# The scheme of the stock artifacts.
STOCK_SCHEME = "fp32"
HEADERS = ("model", "target", "artifact", "operator", "a run", "ms", "share %", "GFLOP/s")
# What runs an artifact under its profiler and prints records.
PROFILERS = {"tflite": "litert_profile.py", "executorch": "etdump_profile.py"}
# XNNPACK's name of the products with constant weights.
LINEAR = "Fully Connected"
# Of the table; the results have all.
LEAST_SHARE = 0.01
PRODUCTS = ("Gemm", "MatMul", "FusedMatMul", "FusedGemm")


class ProfileError(Exception):
    """A runtime gives no profile of an artifact."""


def profile(
    artifact: Artifact, encoder: Encoder, length: int, threads: int, runs: int
) -> list[dict[str, Any]]:
    """Return a record for each kind of operator, the most expensive first; times in ms a run.

    Raises:
        ProfileError: the runtime fails.
    """
    if artifact.target == "onnx":
        try:
            return profile_onnx(artifact, encoder.vocab_size, length, threads, runs)
        except Exception as error:
            # Runtimes raise anything.
            raise ProfileError(" ".join(str(error).split())) from error
    script = Path(__file__).with_name(PROFILERS[artifact.target])
    ended = processes.run(
        [sys.executable, str(script), str(artifact.path), str(threads), str(runs)]
    )
    lines = ended.stdout.splitlines()
    if ended.code or not lines:
        raise ProfileError(ended.reason)
    linear = linear_operations(encoder, length)
    return [
        with_rate(one, linear if one["operator"] == LINEAR else 0.0)
        for one in json.loads(lines[-1])
    ]


def linear_operations(encoder: Encoder, length: int) -> float:
    """Return the operations of the products with constant weights, the question head included."""
    attention = 2 * encoder.layers * length**2 * encoder.width
    head = 2 * length * encoder.width
    return 2.0 * (multiply_accumulates(encoder)(length) - attention + head)


def with_rate(record: dict[str, Any], operations: float) -> dict[str, Any]:
    """Add the rate of an operator that does so many operations a run; 0: it is no product."""
    return {**record, "gflops": operations / record["ms"] / 1e6 if operations else None}


def profile_onnx(
    artifact: Artifact, vocab_size: int, length: int, threads: int, runs: int
) -> list[dict[str, Any]]:
    """The same of ONNX Runtime, in this process."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as directory:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(directory) / "profile")
        session = onnxruntime.InferenceSession(
            str(artifact.path), options, providers=["CPUExecutionProvider"]
        )
        draw = np.random.default_rng(0)
        given = {}
        for tensor in session.get_inputs():
            kind = np.int64 if "int64" in tensor.type else np.int32
            ids = tensor.name == "input_ids"
            given[tensor.name] = (
                draw.integers(0, vocab_size, (1, length)) if ids else np.ones((1, length))
            ).astype(kind)
        for _ in range(WARMUP + runs):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return summarize(events, runs)


def summarize(events: Iterable[Mapping[str, Any]], runs: int) -> list[dict[str, Any]]:
    """Add up the kernels of the last `runs` runs, by kind of operator."""
    kernels = [event for event in events if event["name"].endswith("_kernel_time")]
    steps = len(kernels) // (WARMUP + runs)
    time, count, macs = Counter[str](), Counter[str](), Counter[str]()
    for event in kernels[WARMUP * steps :]:
        name = event["args"]["op_name"]
        time[name] += event["dur"]
        count[name] += 1
        if name in PRODUCTS:
            macs[name] += multiplications(event["args"])
    records = as_records(
        Counter({name: spent / runs / 1e3 for name, spent in time.items()}),
        {name: times / runs for name, times in count.items()},
    )
    return [with_rate(one, 2.0 * macs[one["operator"]] / runs) for one in records]


def multiplications(arguments: Mapping[str, Any]) -> int:
    """Return the multiply-accumulates of a product, from the shapes in its event."""
    (left,) = arguments["input_type_shape"][0].values()
    (out,) = arguments["output_type_shape"][0].values()
    # The left one may be read transposed; of a rank above 2 it is not, here.
    summed = left[-1] if len(left) > 2 or left[0] == out[0] else left[0]
    return int(prod(out) * summed)


def main() -> int:
    """Profile, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default="distilbert,student")
    parser.add_argument("--targets", default=",".join(artifacts.TARGETS))
    parser.add_argument("--scheme", default=STOCK_SCHEME)
    parser.add_argument("--length", type=commands.whole("--length", 16), default=384)
    parser.add_argument("--threads", type=commands.whole("--threads"), default=2)
    parser.add_argument("--runs", type=commands.whole("--runs"), default=20)
    parser.add_argument("--bundles", type=Path, default=artifacts.BUNDLES)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    length, bundles, scheme = arguments.length, arguments.bundles, arguments.scheme
    name = "operations.json" if scheme == STOCK_SCHEME else f"operations_{scheme}.json"
    out = arguments.out or RESULTS / name
    targets = commands.words(arguments.targets, "target", artifacts.TARGETS)
    commands.schemes(scheme, targets)
    names = commands.words(arguments.models, "model")
    checkpoints = [artifacts.find_checkpoint(one, bundles / "checkpoints") for one in names]
    records, rows = [], []
    for checkpoint, target in itertools.product(checkpoints, targets):
        made = [
            artifacts.make_stock(checkpoint, name, length, bundles)
            for name, path in stock.PATHS.items()
            if path.target == target and scheme == STOCK_SCHEME
        ]
        made += artifacts.build_ours(checkpoint, target, [scheme], [length], bundles)
        for one in made:
            title = "ours" if one.origin == "ours" else stock.PATHS[one.origin].title
            head = (checkpoint.name, target, title)
            record: dict[str, Any] = dict(zip(("model", "target", "artifact"), head, strict=True))
            try:
                if isinstance(one, Absent):
                    raise ProfileError(one.reason)
                found = profile(one, checkpoint.encoder, length, arguments.threads, arguments.runs)
            except ProfileError as error:
                records.append({**record, "reason": str(error)})
                rows.append((*head, str(error)[:60], *["–"] * 4))
                continue
            records.append({**record, "operators": found})
            rows += [
                (*head, *cells(operator)) for operator in found if operator["share"] >= LEAST_SHARE
            ]
    document = {
        "machine": machine.describe(),
        "scheme": scheme,
        "length": length,
        "threads": arguments.threads,
        "runs": arguments.runs,
        "artifacts": records,
    }
    commands.write(out, document)
    print(console.table(HEADERS, rows))
    return 0


def cells(operator: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a row of the table says of an operator."""
    rate = operator["gflops"]
    return (
        operator["operator"],
        f"{operator['count']:g}",
        f"{operator['ms']:.2f}",
        f"{100 * operator['share']:.1f}",
        "–" if rate is None else f"{rate:.0f}",
    )


if __name__ == "__main__":
    sys.exit(commands.run(main))
