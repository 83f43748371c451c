"""ExecuTorch's own profile (ETDump) of a ``.pte`` program, operator by operator, in XNNPACK too.

    python benchmarks/etdump_profile.py FILE THREADS RUNS

Prints JSON: for each kind of operator how often a run has it, and its milliseconds. In a process of
its own, for ``operations.py``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from profiles import WARMUP, as_records

# The block of the runs themselves, and the events in it that hold others.
BLOCK = "Execute"
OUTER = ("Method::", "Program::", "OPERATOR_CALL", "DELEGATE_CALL")
# ScalarType of a 64-bit integer (c10/core/ScalarType.h).
LONG = 4


def dump(path: Path, threads: int, runs: int, directory: Path) -> Path:
    """Run a program's first method, every input full of ones; return the file of its ETDump."""
    # The lookup in a quantized table is an operator of this package.
    import executorch.kernels.quantized  # noqa: F401
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    # A loaded method keeps a pointer to the pool: resize it first.
    portable_lib._unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(path, enable_etdump=True)
    method = program.load_method(sorted(program.method_names)[0])
    about = [method.metadata.input_tensor_meta(n) for n in range(method.metadata.num_inputs())]
    given = [
        torch.ones(tuple(one.sizes()), dtype=torch.int64 if one.dtype() == LONG else torch.int32)
        for one in about
    ]
    for _ in range(WARMUP + runs):
        method.execute(given)
    written = directory / "profile.etdp"
    program.write_etdump_result_to_file(str(written), str(directory / "debug.bin"))
    if not written.is_file():
        raise RuntimeError("ExecuTorch wrote no ETDump: it is built without its event tracer")
    return written


def parse(events: Iterable[Any], runs: int) -> list[dict[str, Any]]:
    """Add up events by kind of operator, the most expensive first; times in ms a run."""
    time, count = Counter[str](), Counter[str]()
    for event in events:
        if event.perf_data is None or event.name.startswith(OUTER):
            continue
        # "Fully Connected (NC, F32) GEMM #5", "native_call_embedding.out".
        name = event.name.removeprefix("native_call_").split(" (")[0].split(" #")[0]
        time[name] += sum(event.perf_data.raw[WARMUP:]) / runs
        count[name] += 1
    return as_records(time, count)


def profile(path: Path, threads: int, runs: int) -> list[dict[str, Any]]:
    """Run, and return a record for each kind of operator."""
    from executorch.devtools import Inspector

    with tempfile.TemporaryDirectory() as directory:
        found = Inspector(etdump_path=str(dump(path, threads, runs, Path(directory))))
    (block,) = [one for one in found.event_blocks if one.name == BLOCK]
    return parse(block.events, runs)


if __name__ == "__main__":
    file, threads, runs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(profile(file, threads, runs)))
