"""Which operations of an artifact take the time: ONNX Runtime's own profile, ours beside stock.

    python benchmarks/operations.py [--models distilbert,student] [--length 384]

Runs each artifact (float32; the same as in ``versus_stock.py``) with ONNX Runtime's profiling on,
and adds up the time of each kind of operator: milliseconds a run, its share, how often it runs, and
for products the floating-point operations a second. Profiling itself takes time, so the sums are
above the times without it. Prints tables and writes ``benchmarks/results/operations.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import artifacts
import commands
import machine
import numpy as np
import stock
from artifacts import Absent, Artifact

from ondevice import console

RESULTS = Path(__file__).parent / "results" / "operations.json"
HEADERS = ("model", "artifact", "operator", "a run", "ms", "share %", "GFLOP/s")
PRODUCTS = ("Gemm", "MatMul", "FusedMatMul", "FusedGemm")
WARMUP = 3


def profile(
    artifact: Artifact, vocab_size: int, length: int, threads: int, runs: int
) -> list[dict[str, Any]]:
    """Return a record for each kind of operator, the most expensive first; times in ms a run."""
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
    whole = sum(time.values())
    return [
        {
            "operator": name,
            "count": count[name] / runs,
            "ms": spent / runs / 1e3,
            "share": spent / whole,
            "gflops": 2 * macs[name] / spent / 1e3 if macs[name] else None,
        }
        for name, spent in time.most_common()
    ]


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
    parser.add_argument("--length", type=int, default=384)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--bundles", type=Path, default=artifacts.BUNDLES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    length, bundles = arguments.length, arguments.bundles
    records, rows = [], []
    for model in commands.words(arguments.models, "model"):
        checkpoint = artifacts.find_checkpoint(model, bundles / "checkpoints")
        made = [
            artifacts.make_stock(checkpoint, name, length, bundles)
            for name, path in stock.PATHS.items()
            if path.target == "onnx"
        ]
        made += artifacts.build_ours(checkpoint, "onnx", ["fp32"], [length], bundles)
        for one in made:
            title = "ours" if one.origin == "ours" else stock.PATHS[one.origin].title
            record: dict[str, Any] = {"model": checkpoint.name, "artifact": title}
            if isinstance(one, Absent):
                records.append({**record, "reason": one.reason})
                rows.append((checkpoint.name, title, one.reason[:60], *["–"] * 4))
                continue
            vocab_size = checkpoint.encoder.vocab_size
            found = profile(one, vocab_size, length, arguments.threads, arguments.runs)
            records.append({**record, "operators": found})
            rows += [row_of(checkpoint.name, title, operator) for operator in found]
    document = {
        "machine": machine.describe(),
        "length": length,
        "threads": arguments.threads,
        "runs": arguments.runs,
        "artifacts": records,
    }
    commands.write(arguments.out, document)
    print(console.table(HEADERS, rows))
    return 0


def row_of(model: str, title: str, operator: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    rate = operator["gflops"]
    return (
        model,
        title,
        operator["operator"],
        f"{operator['count']:g}",
        f"{operator['ms']:.2f}",
        f"{100 * operator['share']:.1f}",
        "–" if rate is None else f"{rate:.0f}",
    )


if __name__ == "__main__":
    sys.exit(commands.run(main))
