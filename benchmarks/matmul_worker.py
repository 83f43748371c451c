"""One library's matrix products in a process of its own, for ``benchmarks/roofline.py``.

Started by :class:`ondevice.bench.process.Process`. ``open`` names a library, a type and the
products; ``run`` times one of them, over and over for a tenth of a second. Weights are constant, as
in a model, so that a library may pack them beforehand; copies to and from the runtime are not in
it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ondevice.bench import _worker
from ondevice.errors import UserError

# Of each array of the bandwidth test: far larger than any cache.
ARRAY_BYTES = 256_000_000
# A product runs as a model runs its own, one after another: what comes first warms up, and lets the
# pools of the library's other products, which spin for a while after a run, come to rest.
WARM_SECONDS, TIMED_SECONDS = 0.05, 0.1

# Runs once; gives what holds the product, which is not copied out.
Once = Callable[[], object]


def _operands(rows: int, inner: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    left = draw.standard_normal((rows, inner), np.float32)
    return left, draw.standard_normal((inner, columns), np.float32)


def torch_fp32(rows: int, inner: int, columns: int, threads: int) -> Once:
    """Multiply with torch (MKL or oneDNN, as it was built)."""
    import torch

    torch.set_num_threads(threads)
    left, right = (torch.from_numpy(one) for one in _operands(rows, inner, columns))
    # A linear layer stores its weights transposed.
    weights, out = right.t().contiguous(), torch.empty(rows, columns)
    return lambda: torch.mm(left, weights.t(), out=out)


def torch_int8(rows: int, inner: int, columns: int, threads: int) -> Once:
    """Multiply int8 by int8 into int32 with torch (oneDNN)."""
    import torch

    torch.set_num_threads(threads)
    left = torch.randint(-128, 127, (rows, inner), dtype=torch.int8)
    weights = torch.randint(-128, 127, (columns, inner), dtype=torch.int8)
    out = torch.empty(rows, columns, dtype=torch.int32)
    return lambda: torch._int_mm(left, weights.t(), out=out)


def numpy_fp32(rows: int, inner: int, columns: int, threads: int) -> Once:
    """Multiply with NumPy's BLAS (OpenBLAS in its wheels); threads come from the environment."""
    left, right = _operands(rows, inner, columns)
    out = np.empty((rows, columns), np.float32)
    return lambda: np.matmul(left, right, out=out)


def onnx_fp32(rows: int, inner: int, columns: int, threads: int) -> Once:
    """Multiply with ONNX Runtime's MatMul."""
    left, right = _operands(rows, inner, columns)
    return _onnx_session("MatMul", left, right, np.dtype(np.float32), threads)


def onnx_int8(rows: int, inner: int, columns: int, threads: int) -> Once:
    """Multiply uint8 activations by int8 weights into int32 with ONNX Runtime's MatMulInteger.

    The weights have 7 bits: on AVX2 without VNNI its kernel adds pairs of products in 16 bits,
    where those of 8 overflow.
    """
    draw = np.random.default_rng(0)
    left = draw.integers(0, 255, (rows, inner), np.uint8)
    right = draw.integers(-64, 64, (inner, columns), np.int8)
    return _onnx_session("MatMulInteger", left, right, np.dtype(np.int32), threads)


def _onnx_session(
    operator: str, left: np.ndarray, right: np.ndarray, out: np.dtype[Any], threads: int
) -> Once:
    import onnxruntime
    from onnx import helper, numpy_helper

    kinds = {array: helper.np_dtype_to_tensor_dtype(array) for array in (left.dtype, out)}
    shape = (left.shape[0], right.shape[1])
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["out"])],
        "product",
        [helper.make_tensor_value_info("left", kinds[left.dtype], left.shape)],
        [helper.make_tensor_value_info("out", kinds[out], shape)],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    binding.bind_ortvalue_input("left", onnxruntime.OrtValue.ortvalue_from_numpy(left))
    place = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty(shape, out))
    binding.bind_ortvalue_output("out", place)

    def run() -> object:
        session.run_with_iobinding(binding)
        return place

    return run


def xnnpack_fp32(rows: int, inner: int, columns: int, threads: int) -> Once:
    """Multiply with XNNPACK, through a TFLite file of one fully connected layer."""
    return _interpreter(_tflite_file(rows, inner, columns), rows, inner, threads)


def xnnpack_int8(rows: int, inner: int, columns: int, threads: int) -> Once:
    """The same with int8 weights and activations quantized at run time, as in our int8 files."""
    from ai_edge_quantizer import qtyping, quantizer

    quantized = quantizer.Quantizer(_tflite_file(rows, inner, columns))
    name = qtyping.TFLOperationName.FULLY_CONNECTED
    quantized.add_dynamic_config(".*", name, num_bits=8)
    result = quantized.quantize(enable_progress_bar=False, enable_progress_report=False)
    return _interpreter(bytes(result.quantized_model), rows, inner, threads)


def _tflite_file(rows: int, inner: int, columns: int) -> bytes:
    import litert_torch
    import torch

    layer = torch.nn.Linear(inner, columns, bias=False).eval()
    return bytes(litert_torch.convert(layer, (torch.zeros(rows, inner),)).model_content())


def _interpreter(content: bytes, rows: int, inner: int, threads: int) -> Once:
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "product.tflite"
        path.write_bytes(content)
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    left, _ = _operands(rows, inner, 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], left)
    product = interpreter.tensor(interpreter.get_output_details()[0]["index"])

    def run() -> object:
        interpreter.invoke()
        return product

    return run


PRODUCTS: dict[tuple[str, str], Callable[[int, int, int, int], Once]] = {
    ("torch", "fp32"): torch_fp32,
    ("numpy", "fp32"): numpy_fp32,
    ("onnxruntime", "fp32"): onnx_fp32,
    ("xnnpack", "fp32"): xnnpack_fp32,
    ("torch", "int8"): torch_int8,
    ("onnxruntime", "int8"): onnx_int8,
    ("xnnpack", "int8"): xnnpack_int8,
}


def copy(size: int, threads: int) -> Once:
    """Copy `size` bytes: read once, written once."""
    import torch

    torch.set_num_threads(threads)
    source, out = torch.ones(size // 4), torch.empty(size // 4)
    return lambda: out.copy_(source)


def triad(size: int, threads: int) -> Once:
    """STREAM's triad a = b + s·c (McCalpin 1995): read twice, written once."""
    import torch

    torch.set_num_threads(threads)
    first, second, out = (torch.ones(size // 4) for _ in range(3))
    return lambda: torch.add(first, second, alpha=3.0, out=out)


STREAMS: dict[str, Callable[[int, int], Once]] = {"copy": copy, "triad": triad}


def repeat(once: Once, seconds: float) -> int:
    """Run for so many seconds, at least once; return what one run took on average, ns."""
    begin = now = time.perf_counter_ns()
    runs = 0
    while not runs or now - begin < seconds * 1e9:
        once()
        runs += 1
        now = time.perf_counter_ns()
    return round((now - begin) / runs)


class Server:
    """Answers ``open`` and ``run``."""

    def __init__(self) -> None:
        self.subject: object = None
        self.once: dict[str, Once] = {}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply to one request."""
        if request["op"] == "open":
            self.once = dict(self._open(request))
            return {"blas": _blas(request["library"])}
        if request["op"] == "run":
            once = self.once[request["name"]]
            repeat(once, WARM_SECONDS)
            return {"nanoseconds": repeat(once, TIMED_SECONDS)}
        raise UserError(f"there is no operation '{request['op']}'")

    def _open(self, request: Mapping[str, Any]) -> list[tuple[str, Once]]:
        threads, library = int(request["threads"]), request["library"]
        if library == "memory":
            size = int(request.get("bytes", ARRAY_BYTES))
            return [(name, make(size, threads)) for name, make in STREAMS.items()]
        make = PRODUCTS[library, request["scheme"]]
        return [(name, make(*shape, threads)) for name, shape in request["products"].items()]


def _blas(library: str) -> str:
    """Name what is behind a library, as far as it says."""
    if library == "numpy":
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    if library == "torch":
        import torch

        return "MKL, oneDNN" if torch.backends.mkl.is_available() else "oneDNN"
    return ""


if __name__ == "__main__":
    # OpenBLAS has read its number of threads when NumPy was imported.
    assert "OPENBLAS_NUM_THREADS" in os.environ
    _worker.main(int(sys.argv[1]), Server())  # type: ignore[arg-type]
