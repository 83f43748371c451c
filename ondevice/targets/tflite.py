"""TFLite (LiteRT): one signature for each length, all over the same weights.

A signature is called ``length_<L>``; its inputs and outputs, and the tensors behind them, carry
the names of the I/O contract. The longest comes first, because runtimes and tools that know
nothing of signatures run the first subgraph, and every text that fits at all fits the longest.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.errors import BundleError, RuntimeUnavailableError, UserError, require
from ondevice.targets.base import (
    INPUTS,
    Conversion,
    ConvertOptions,
    Labels,
    Target,
    check_inputs,
    check_roles,
    check_threads,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from ondevice.graph import GraphForm, MobileGraph

EXTRA = "tflite"
RUNTIMES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}

# What both say of a file with an operator, or a version of one, that came after them.
TOO_OLD = "Didn't find op"


@dataclass(frozen=True)
class _Scheme:
    """What a scheme asks of runtimes.

    Attributes:
        versions: the operator versions that it needs and that the quantizer does not write.
            With those an older runtime refuses the file instead of computing nonsense.
        oldest: the oldest TensorFlow Lite with them (``runtime_version.cc`` in LiteRT).
        ran_on: the oldest version of each package that it was found right on.
    """

    versions: Mapping[str, int]
    oldest: str
    ran_on: Mapping[str, str]


# Run on Linux x86-64 with a small BERT, 16 and 32 tokens. ai-edge-litert 1.0.1 beside NumPy 1.26
# (its wheel does not load models beside NumPy 2): fp32, fp16 and int8-weight within 1.2e-6 of
# 2.3.0, int8 at a cosine of 0.9995 to fp32. tflite-runtime 2.14.0, the last: tests/targets.
_LITERT = {"ai-edge-litert": "1.0.1"}
_EVERYWHERE = {**_LITERT, "tflite-runtime": "2.14.0"}

_SCHEMES: dict[str, _Scheme] = {
    "fp32": _Scheme({}, "1.5.0", _EVERYWHERE),
    "fp16": _Scheme({"DEQUANTIZE": 3}, "1.15.0", _EVERYWHERE),
    # Per-channel scales in operators that take float activations: unknown to tflite-runtime
    # 2.14.0, whose kernels read the first scale only and return the same number everywhere.
    "int8": _Scheme({"FULLY_CONNECTED": 12, "EMBEDDING_LOOKUP": 4}, "2.18.0", _LITERT),
    "int8-weight": _Scheme({"DEQUANTIZE": 5}, "2.7.0", _EVERYWHERE),
}


def _form() -> GraphForm:
    from ondevice.graph import GraphForm

    # Matmul and softmax: 86 ms against 113 ms for scaled_dot_product_attention on the host,
    # two layers of DistilBERT's width at 384 tokens, XNNPACK.
    return GraphForm(attention="matmul")


def _convert(graph: MobileGraph, options: ConvertOptions, path: Path) -> Conversion:
    """Lower a graph to a ``.tflite`` file.

    Raises:
        MissingPackageError: a package of the converter is not installed.
    """
    for package in ("litert_torch", "ai_edge_quantizer", "ai_edge_litert"):
        require(package, extra=EXTRA)
    from ondevice.targets import _tflite_file

    scheme = _SCHEMES[options.scheme]
    quantized = _quantize(_lower(graph, options.lengths), options.scheme)
    content = _tflite_file.finish(
        quantized, _describe(options.labels), scheme.versions, scheme.oldest
    )
    path.write_bytes(content)
    return Conversion(
        min_runtime={"tensorflow-lite": _tflite_file.min_runtime(content), **scheme.ran_on}
    )


def _describe(labels: Labels) -> str:
    return (
        f"{labels.name} {labels.version}, task {labels.task},"
        f" by {labels.author}, licence {labels.licence}"
    )


def _lower(graph: MobileGraph, lengths: Sequence[int]) -> bytes:
    """Convert a float32 model with one signature for each length, the longest first."""
    import litert_torch

    module = _named(graph)
    converter = None
    for length in sorted(lengths, reverse=True):
        inputs = dict(zip(graph.inputs, graph.example(length), strict=True))
        add = litert_torch.signature if converter is None else converter.signature
        converter = add(f"length_{length}", module, sample_kwargs=inputs)
    assert converter is not None
    content: bytes = converter.convert().model_content()
    return content


def _named(graph: MobileGraph) -> nn.Module:
    """Wrap the encoder so that its inputs and outputs go by name: the converter keeps them."""
    from torch import Tensor, nn

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = graph.module

        def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
            outputs = self.encoder(*(inputs[name] for name in graph.inputs))
            return dict(zip(graph.outputs, outputs, strict=True))

    return Named().eval()


def _quantize(content: bytes, scheme: str) -> bytes | bytearray:
    """Store the weights of linears and of the word embedding as the scheme says."""
    if scheme == "fp32":
        return content
    from ai_edge_quantizer import algorithm_manager, qtyping, quantizer

    quantized = quantizer.Quantizer(content)
    names = qtyping.TFLOperationName
    for name in (names.FULLY_CONNECTED, names.EMBEDDING_LOOKUP):
        if scheme == "int8":
            quantized.add_dynamic_config(".*", name, num_bits=8)
        elif scheme == "int8-weight":
            quantized.add_weight_only_config(".*", name, num_bits=8)
        else:
            # Read by a DEQUANTIZE, computed in float32 (a GPU delegate may choose otherwise).
            casting = algorithm_manager.AlgorithmName.FLOAT_CASTING
            quantized.add_weight_only_config(".*", name, num_bits=16, algorithm_key=casting)
    result = quantized.quantize(enable_progress_bar=False, enable_progress_report=False)
    model: bytearray = result.quantized_model
    return model


class TfliteRunner:
    """A ``.tflite`` file in an interpreter: for each length, what runs its signature."""

    def __init__(self, runtime: str, signatures: Mapping[int, Any], roles: Sequence[str]) -> None:
        self.runtime = runtime
        self.version = importlib.metadata.version(runtime)
        self._signatures = signatures
        first = next(iter(signatures.values()))
        check_roles(tuple(first.get_output_details()), roles)
        details = first.get_input_details()  # in the order of the alphabet
        self._inputs = tuple(name for name in INPUTS if name in details)
        self._roles = tuple(roles)

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch; see :class:`ondevice.targets.base.Runner`."""
        taken = check_inputs(inputs, self._inputs, self._signatures)
        try:
            outputs = self._signatures[taken["input_ids"].shape[1]](**taken)
        except RuntimeError as error:
            raise UserError(
                f"{self.runtime} {self.version} refused the inputs: {_line(error)}"
            ) from error
        return {role: outputs[role] for role in self._roles}


def _load(path: Path, roles: Sequence[str], *, threads: int | None = None) -> TfliteRunner:
    """Load a file into ``ai_edge_litert``, or ``tflite_runtime`` where only that is installed.

    Raises:
        RuntimeUnavailableError: neither is installed, or it is too old for the file.
        BundleError: the file is missing, damaged, or not one of this project.
        UserError: it has other outputs, or `threads` is below 1.
    """
    check_threads(threads)
    runtime, interpreter_class = _find_runtime()
    if not path.is_file():
        raise BundleError(f"there is no file '{path}'")
    try:
        interpreter = interpreter_class(model_path=str(path), num_threads=threads)
        signatures = {
            int(found.group(1)): interpreter.get_signature_runner(key)
            for key in interpreter.get_signature_list()
            if (found := re.fullmatch(r"length_(\d+)", key))
        }
    except (ValueError, RuntimeError) as error:
        version = importlib.metadata.version(runtime)
        sentence = f"{runtime} {version} cannot load '{path}': {_line(error)}"
        too_old = TOO_OLD in str(error)
        raise (RuntimeUnavailableError if too_old else BundleError)(sentence) from error
    if not signatures:
        raise BundleError(f"'{path}' has no signature length_<L>; it was not built by ondevice")
    return TfliteRunner(runtime, signatures, roles)


def _find_runtime() -> tuple[str, Any]:
    for runtime, module in RUNTIMES.items():
        try:
            return runtime, importlib.import_module(f"{module}.interpreter").Interpreter
        except ModuleNotFoundError:
            continue
        except ImportError as error:
            raise RuntimeUnavailableError(f"{runtime} cannot be imported: {error}") from error
    raise RuntimeUnavailableError(
        f"no TFLite runtime is installed; type: pip install 'ondevice[{EXTRA}]'"
    )


def _line(error: Exception) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())


TFLITE = Target(
    name="tflite",
    title="TensorFlow Lite (LiteRT)",
    file="model.tflite",
    extra=EXTRA,
    converters=("litert-torch", "litert-converter", "ai-edge-quantizer", "ai-edge-litert"),
    runtimes=tuple(RUNTIMES),
    schemes=tuple(_SCHEMES),
    form=_form,
    convert=_convert,
    load=_load,
)
