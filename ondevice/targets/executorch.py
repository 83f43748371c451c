"""ExecuTorch for CPUs: a ``.pte`` whose matmuls run in XNNPACK.

One length is one method ``forward``; several are ``forward_64``, ``forward_128``, … in one file
that stores each weight once. A method for each length, not one dynamic length: memory is planned
for the length in use instead of the largest, and the graph outside the delegate stays small.

The format names neither inputs nor outputs, so constant methods (``get_lengths``, ``get_inputs``,
``get_outputs``, ``get_vocab_size`` and the labels) say it instead. They return integers, strings
and a tensor only: ExecuTorch's Java binding cannot read lists.

Under fp16, XNNPACK adds up products in half precision where the processor can (AVX512-FP16 here):
DistilBERT of full size with random weights, 384 tokens, is off by 0.017 to 0.020; the limit is
0.02.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.errors import (
    BundleError,
    MissingPackageError,
    RuntimeUnavailableError,
    install_command,
)
from ondevice.errors import require as require_package
from ondevice.targets._executorch_patterns import without_needless_patterns
from ondevice.targets._executorch_quantize import quantize_int4, quantize_int8, storage
from ondevice.targets._executorch_runner import ExecuTorchRunner, method_name, runtime_version
from ondevice.targets._root_logger import root_logger_restored
from ondevice.targets.base import Conversion, ConvertOptions, Target, check_threads

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from ondevice.graph import GraphForm, MobileEncoder, MobileGraph

EXTRA = "executorch"
QUANTIZED = ("int8", "int4")
BACKEND = "XnnpackBackend"

# tanh(0.798 (x + 0.0447 x³)) is 1 in half precision from x = 4 on; x³ overflows from x = 41 on.
GELU_SATURATES = 8.0


def form() -> GraphForm:
    """Return the form that is one delegated part, from the embeddings' sum to the head's scores."""
    from ondevice.graph import GraphForm

    return GraphForm(attention="bmm", norm="products")


@root_logger_restored()
def lower(graph: MobileGraph, options: ConvertOptions) -> Any:
    """Lower a graph to XNNPACK; returns an ``EdgeProgramManager``.

    Each scheme for itself: quantization changes the module that is exported, and XNNPACK packs
    the weights, in the scheme's own type, into what it delegates.

    Raises:
        MissingPackageError: ExecuTorch, or torchao for int8 and int4, is not installed.
    """
    exir = require_package("executorch.exir", extra=EXTRA)
    partitioner = require_package(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner", extra=EXTRA
    )
    module = _module(graph, options)
    programs = {
        method_name(length, options.lengths): _export(module, graph.example(length))
        for length in options.lengths
    }
    with without_needless_patterns(programs.values()):
        return exir.to_edge_transform_and_lower(
            programs,
            partitioner=[partitioner.XnnpackPartitioner()],
            constant_methods=_description(graph, options),
        )


@root_logger_restored()
def finish(graph: MobileGraph, lowered: Any, options: ConvertOptions, path: Path) -> Conversion:
    """Plan the memory of a lowered program and write it to `path`."""
    exir = require_package("executorch.exir", extra=EXTRA)
    # Fusion turns "dequantize the whole table, then look up" into one quantized lookup.
    fuse = options.scheme in QUANTIZED
    config = exir.ExecutorchBackendConfig(do_quant_fusion_and_const_prop=fuse)
    with path.open("wb") as stream:
        lowered.to_executorch(config).write_to_file(stream)
    return Conversion(min_runtime={"executorch": runtime_version()})


def _export(module: nn.Module, example: tuple[Tensor, ...]) -> ExportedProgram:
    import torch

    program: ExportedProgram = torch.export.export(module, example, strict=False)
    if any(parameter.dtype == torch.float16 for parameter in module.parameters()):
        program = program.run_decompositions({torch.ops.aten.gelu.default: _half_gelu})
    return program


def _description(graph: MobileGraph, options: ConvertOptions) -> dict[str, Any]:
    """Return the constant methods: what an app must know to call the others."""
    import torch

    labels = options.labels
    return {
        "get_lengths": torch.tensor(options.lengths, dtype=torch.int32),
        "get_inputs": ",".join(graph.inputs),
        "get_outputs": ",".join(graph.outputs),
        "get_vocab_size": graph.encoder.vocab_size,
        "get_scheme": options.scheme,
        "get_name": labels.name,
        "get_task": labels.task,
        "get_author": labels.author,
        "get_licence": labels.licence,
        "get_version": labels.version,
    }


def _module(graph: MobileGraph, options: ConvertOptions) -> MobileEncoder:
    """Return a copy of the encoder as the scheme stores and computes it."""
    from ondevice import compensation

    module = _copy_for(compensation.for_target(graph, options, storage), options.lengths[-1])
    _PREPARE[options.scheme](module, options.kept)
    return module


def _copy_for(graph: MobileGraph, longest: int) -> MobileEncoder:
    """Copy the encoder without the positions beyond `longest`: 1.2 kB to 3 kB a row."""
    from torch import nn

    module = copy.deepcopy(graph.module)
    positions = module.embeddings.positions[:longest].clone()
    module.embeddings.positions = nn.Parameter(positions, requires_grad=False)
    return module


def _prepare_fp32(module: MobileEncoder, kept: Collection[str] = ()) -> None:
    """Leave it as it is."""


def _prepare_fp16(module: MobileEncoder, kept: Collection[str] = ()) -> None:
    """Store and multiply in half precision; layer norms stay in float32, with their epsilon.

    ExecuTorch 1.5.1's optimized layer norm is wrong in half precision from width 256 on (off by
    thousands on this project's own encoder), and XNNPACK adds up means in half precision.
    """
    import torch
    from torch import nn

    for child in module.modules():
        if isinstance(child, nn.LayerNorm):
            child.register_forward_pre_hook(lambda _, args: tuple(x.float() for x in args))
            child.register_forward_hook(lambda _, args, output: output.half())
            continue
        for name, parameter in child.named_parameters(recurse=False):
            setattr(child, name, nn.Parameter(parameter.half(), requires_grad=False))
    module.register_forward_hook(
        lambda _, args, outputs: tuple(output.to(torch.float32) for output in outputs)
    )


def _half_gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """Compute GELU from operations that XNNPACK has in half precision.

    It takes no half-precision GELU in ExecuTorch 1.5 (pytorch/executorch#16679); the portable
    kernel evaluates erf element by element. The tanh form (Hendrycks and Gimpel 2016, section 2)
    is within 5e-4 of it, half a unit in the last place at 1.
    """
    inner = x.clamp(-GELU_SATURATES, GELU_SATURATES)
    inner = inner * (inner * inner * 0.035677408136300125 + 0.7978845608028654)
    return (x * 0.5) * (inner.tanh() + 1.0)


# Each changes the copy that it is given, and keeps the named parts in more bits.
_PREPARE: dict[str, Callable[..., None]] = {
    "fp32": _prepare_fp32,
    "fp16": _prepare_fp16,
    "int8": quantize_int8,
    "int4": quantize_int4,
}


def load(path: Path, roles: Sequence[str], *, threads: int | None = None) -> ExecuTorchRunner:
    """Load a program in ExecuTorch's own runtime.

    ExecuTorch has one thread pool a process: runners with different `threads` may live side by
    side, but each change between them loads the programs again.

    Raises:
        RuntimeUnavailableError: the runtime is not installed or was built without XNNPACK.
        BundleError: the file is missing, damaged, or not one of this project.
        UserError: it has other outputs, or `threads` is below 1.
    """
    check_threads(threads)
    try:
        registry = require_package("executorch.runtime", extra=EXTRA).Runtime.get()
        # Importing it registers the quantized embedding lookup.
        require_package("executorch.kernels.quantized", extra=EXTRA)
    except MissingPackageError as error:
        raise RuntimeUnavailableError(str(error)) from error
    if not registry.backend_registry.is_available(BACKEND):
        raise RuntimeUnavailableError(
            f"this build of executorch has no XNNPACK; type: {install_command(EXTRA)}"
        )
    _check_file(path)
    return ExecuTorchRunner(path, roles, threads)


def _check_file(path: Path) -> None:
    """Refuse a file that is not a whole program, which the runtime would map and read past."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(48)
    except OSError as error:
        raise BundleError(f"'{path}' cannot be read: {error.strerror}") from error
    # Layout: executorch/exir/_serialize/_program.py, _ExtendedHeader.
    if len(head) < 48 or head[4:6] != b"ET" or head[8:12] != b"eh00":
        raise BundleError(f"'{path}' is not an ExecuTorch program with weights")
    program, segments, data = (int.from_bytes(head[at : at + 8], "little") for at in (16, 24, 32))
    if size < max(program, segments + data):
        raise BundleError(f"'{path}' is cut off: {size} bytes of {max(program, segments + data)}")


EXECUTORCH = Target(
    name="executorch",
    title="ExecuTorch",
    file="model.pte",
    extra=EXTRA,
    converters=("torch", "executorch", "torchao"),
    runtimes=("executorch",),
    schemes=tuple(_PREPARE),
    form=form,
    lower=lower,
    finish=finish,
    load=load,
    # Half precision costs the embedded student 0.1 of its logits at length 384; the limit is 0.02.
    default_scheme="fp32",
    storage=storage,
)
