"""TFLite (LiteRT): one signature for each length, all over the same weights.

A signature is called ``length_<L>``; its inputs and outputs, and the tensors behind them, carry
the names of the I/O contract. The longest comes first, because runtimes and tools that know
nothing of signatures run the first subgraph, and every text that fits at all fits the longest.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import garbage
from ondevice.errors import (
    BundleError,
    RuntimeUnavailableError,
    UserError,
    install_command,
    require,
)
from ondevice.schemes import FINE_BITS
from ondevice.targets import _tflite_schemes
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


def _form() -> GraphForm:
    from ondevice.graph import GraphForm

    return GraphForm(attention="bmm")


def _finish(graph: MobileGraph, lowered: bytes, options: ConvertOptions, path: Path) -> Conversion:
    """Apply the scheme to the float32 model and write the ``.tflite`` file."""
    from ondevice.targets import _tflite_file, _tflite_parts

    scheme = _tflite_schemes.SCHEMES[options.scheme]
    batches = _batches(graph, options)
    if scheme.bits < FINE_BITS:
        lowered = _tflite_parts.prepare(lowered, graph, options, _tflite_schemes.storage)
    scope = _tflite_parts.scope_of(lowered, graph, options.kept) if options.kept else None
    quantized = _tflite_schemes.quantize(lowered, scheme, graph.encoder, batches, scope)
    content = _tflite_file.finish(
        quantized,
        _describe(options.labels),
        (scheme.kept_versions if options.kept else {}) | scheme.versions,
        scheme.oldest,
        tables_8=scheme.tables_8,
    )
    path.write_bytes(content)
    known = {} if scheme.oldest is None else {"tensorflow-lite": _tflite_file.min_runtime(content)}
    return Conversion(min_runtime={**known, **scheme.ran_on})


def _one_float_model(options: ConvertOptions) -> str:
    """Let all schemes be finished from one model: the quantizer edits the float32 file."""
    return "fp32"


def _describe(labels: Labels) -> str:
    return (
        f"{labels.name} {labels.version}, task {labels.task},"
        f" by {labels.author}, licence {labels.licence}"
    )


def _lower(graph: MobileGraph, options: ConvertOptions) -> bytes:
    """Convert a float32 model with one signature for each length, the longest first.

    Raises:
        MissingPackageError: a package of the converter is not installed.
    """
    for package in ("litert_torch", "ai_edge_quantizer", "ai_edge_litert"):
        require(package, extra=EXTRA)
    import litert_torch

    module = _named(graph)
    converter = None
    for length in sorted(options.lengths, reverse=True):
        inputs = dict(zip(graph.inputs, graph.example(length), strict=True))
        add = litert_torch.signature if converter is None else converter.signature
        converter = add(f"length_{length}", module, sample_kwargs=inputs)
    assert converter is not None
    # "Lightweight" keeps weights out of MLIR's context, which frees nothing before its end, and
    # folds constants with the runtime instead: 1 GB less for BERT-base. A file, since
    # model_content() copies what the converter, still there, has in memory.
    with tempfile.TemporaryDirectory(prefix="ondevice-") as directory:
        path = Path(directory) / "float32.tflite"
        converter.convert(lightweight_conversion=True).export(str(path))
        del converter, add
        garbage.trim()
        return path.read_bytes()


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


def _batches(graph: MobileGraph, options: ConvertOptions) -> _tflite_schemes.Batches:
    """Return calibration inputs for each signature; none where the scheme needs none."""
    if options.calibration is None:
        return {}
    return {
        f"length_{length}": [
            {name: inputs[name] for name in graph.inputs}
            for inputs in options.calibration.inputs(length)
        ]
        for length in options.lengths
    }


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
    raise RuntimeUnavailableError(f"no TFLite runtime is installed; type: {install_command(EXTRA)}")


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
    schemes=tuple(_tflite_schemes.SCHEMES),
    form=_form,
    lower=_lower,
    finish=_finish,
    load=_load,
    shares=_one_float_model,
    storage=_tflite_schemes.storage,
    # Whole numbers of 32 bits, each with its scale and a zero point of 64 bits.
    bias_bytes={"int8-static": 16},
)
