"""LiteRT's own profile of a ``.tflite`` file, operator by operator, inside XNNPACK too.

    python benchmarks/litert_profile.py FILE THREADS RUNS

Prints JSON: for each kind of operator how often a run has it, and its milliseconds. LiteRT's Python
interface has no profiler, its C interface does (``litert/c/litert_profiler.h``); this goes through
it with ctypes, in a process of its own, for ``operations.py``.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from profiles import WARMUP, as_records

# litert_common.h: kLiteRtHwAcceleratorCpu; litert_tensor_buffer_types.h: lock for writing.
CPU, WRITE = 1, 1
# Options that the runtime parses itself, as TOML, and the names by which it knows them.
OPTIONS = {
    "runtime_options_string": "enable_profiling = true",
    "xnnpack": "num_threads = {threads}",
}
# name, start, first, average ms, share, share so far, memory, times called, [kind]:place.
LINE = re.compile(r"^\s*(?P<name>\S.*?)(\s+[\d.]+%?){6}\s+(?P<called>\d+)\s+\[(?P<kind>\w+)\]:\d+$")
AVERAGE = re.compile(r"\s[\d.]+\s+[\d.]+\s+(?P<ms>[\d.]+)\s+[\d.]+%")
SECTION = "Run Order"
# What the delegate's operators add up to is a line as well.
WHOLE_DELEGATE = "TfLiteXNNPackDelegate"
MAX_RANK = 8


class Layout(ctypes.Structure):
    """LiteRtLayout: 7 bits of rank, whether there are strides, dimensions."""

    _fields_ = (
        ("packed", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32 * MAX_RANK),
        ("strides", ctypes.c_uint32 * MAX_RANK),
    )


class RankedType(ctypes.Structure):
    """LiteRtRankedTensorType."""

    _fields_ = (("element", ctypes.c_int), ("layout", Layout))


class LiteRt:
    """The C interface of the installed LiteRT; each status that is not 0 is an error."""

    def __init__(self) -> None:
        import ai_edge_litert

        directory = Path(str(ai_edge_litert.__file__)).parent
        self._library = ctypes.CDLL(str(directory / "libLiteRt.so"))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            RuntimeError: it reports an error.
        """
        status = getattr(self._library, f"LiteRt{name}")(*arguments)
        if status:
            raise RuntimeError(f"LiteRt{name} reports the status {status}")

    def make(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function whose last argument takes what it makes."""
        made = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(made))
        return made

    def count(self, name: str, *arguments: Any) -> int:
        """Call a function whose last argument takes a number."""
        found = ctypes.c_size_t()
        self.call(name, *arguments, ctypes.byref(found))
        return found.value


def summary(path: Path, threads: int, runs: int) -> str:
    """Run a file's first signature, every input full of ones; return LiteRT's profile as it is."""
    api = LiteRt()
    environment = api.make("CreateEnvironment", 0, None)
    model = api.make("CreateModelFromFile", environment, str(path).encode())
    options = api.make("CreateOptions")
    api.call("SetOptionsHardwareAccelerators", options, CPU)
    leave = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
    payloads = []
    for name, text in OPTIONS.items():
        payloads.append(ctypes.create_string_buffer(text.format(threads=threads).encode()))
        payload = ctypes.cast(payloads[-1], ctypes.c_void_p)
        opaque = api.make("CreateOpaqueOptions", name.encode(), payload, leave)
        api.call("AddOpaqueOptions", options, opaque)
    compiled = api.make("CreateCompiledModel", environment, model, options)
    signature = api.make("GetModelSignature", model, ctypes.c_size_t(0))
    given = [
        (ctypes.c_void_p * count)(*_buffers(api, environment, compiled, signature, kind, count))
        for kind, count in (
            (kind, api.count(f"GetNumSignature{kind}s", signature)) for kind in ("Input", "Output")
        )
    ]
    buffers = [part for one in given for part in (ctypes.c_size_t(len(one)), one)]
    profiler = api.make("CompiledModelGetProfiler", compiled)
    for number in range(WARMUP + runs):
        if number == WARMUP:
            api.call("StartProfiler", profiler)
        api.call("RunCompiledModel", compiled, ctypes.c_size_t(0), *buffers)
    api.call("StopProfiler", profiler)
    text = ctypes.c_char_p()
    api.call("GetProfileSummary", profiler, compiled, ctypes.byref(text))
    return (text.value or b"").decode("utf-8", "replace")


def _buffers(
    api: LiteRt,
    environment: ctypes.c_void_p,
    compiled: ctypes.c_void_p,
    signature: ctypes.c_void_p,
    kind: str,
    count: int,
) -> Iterator[int | None]:
    """Yield a buffer for each input or output; inputs (int32) are full of ones."""
    for place in map(ctypes.c_size_t, range(count)):
        tensor = api.make(f"GetSignature{kind}TensorByIndex", signature, place)
        ranked = RankedType()
        api.call("GetRankedTensorType", tensor, ctypes.byref(ranked))
        needs = api.make(
            f"GetCompiledModel{kind}BufferRequirements", compiled, ctypes.c_size_t(0), place
        )
        buffer = api.make(
            "CreateManagedTensorBufferFromRequirements", environment, ctypes.byref(ranked), needs
        )
        if kind == "Input":
            memory = ctypes.c_void_p()
            api.call("LockTensorBuffer", buffer, ctypes.byref(memory), WRITE)
            size = api.count("GetTensorBufferPackedSize", buffer)
            ones = (ctypes.c_int32 * (size // 4))(*[1] * (size // 4))
            ctypes.memmove(memory, ones, size)
            api.call("UnlockTensorBuffer", buffer)
        yield buffer.value


def parse(text: str, runs: int) -> list[dict[str, Any]]:
    """Add up a profile by kind of operator, the most expensive first; times in ms a run."""
    time, called = Counter[str](), Counter[str]()
    for name, milliseconds, times in _lines(text.splitlines()):
        time[name] += milliseconds * times / runs
        called[name] += times
    return as_records(time, {name: times / runs for name, times in called.items()})


def _lines(lines: Iterable[str]) -> Iterator[tuple[str, float, int]]:
    """Yield the operators in the order in which they run: name, average ms, times called."""
    inside = False
    for line in lines:
        if line.lstrip().startswith("="):
            inside = SECTION in line
        match, average = LINE.match(line), AVERAGE.search(line)
        if not (inside and match and average) or WHOLE_DELEGATE in match["name"]:
            continue
        # "Delegate/Fully Connected (NC, F32) GEMM": its kernel is of no interest here.
        name = match["name"].removeprefix("Delegate/").split(" (")[0]
        yield name, float(average["ms"]), int(match["called"])


if __name__ == "__main__":
    file, threads, runs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(parse(summary(file, threads, runs), runs)))
