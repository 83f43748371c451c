"""Core ML: an ML program in a ``.mlpackage``, for iPhone, iPad and Mac.

Several lengths become several functions of one package (``length_64`` …) that share their
weights; the default function is the longest. That needs iOS 18. Nothing older serves an encoder
with two or three inputs of varying length:

- below iOS 18 only one input may have enumerated shapes: coremltools 9.0 refuses more
  (``converters/_converters_entry.py``, ``_validate_enumerated_shape_inputs``), as its guide has
  said since 4.0 (coremltools.readme.io/v4.0/docs/flexible-inputs, "Multi-input models");
- a range (``RangeDim``) may be on every input, but such a model leaves the Neural Engine
  (apple/coremltools#1764, #2370), and an encoder with masked mean pooling crashes off the CPU
  (apple/coremltools#2825).

So several lengths for an older iOS are refused rather than made into something that may crash.
"""

from __future__ import annotations

import importlib
import platform
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.errors import (
    BundleError,
    RuntimeUnavailableError,
    SystemTooOldError,
    UserError,
    choices,
    require,
)
from ondevice.targets import _mlpackage
from ondevice.targets._coreml_runner import CoreMLRunner
from ondevice.targets._coreml_weights import SCHEMES, storage
from ondevice.targets._hidden import hidden
from ondevice.targets.base import (
    HALF_EPSILON,
    LAYOUTS,
    Conversion,
    ConvertOptions,
    Runner,
    Target,
    check_roles,
    check_threads,
)

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from ondevice.graph import GraphForm, MobileGraph

# iOS version: the macOS of the same year, and the specification version that both read first.
SYSTEMS = {15: ("12", 6), 16: ("13", 7), 17: ("14", 8), 18: ("15", 9)}
DEFAULT_IOS = 16
# Multifunction packages came with iOS 18.
SEVERAL_LENGTHS_IOS = 18

INPUT_TEXTS = {
    "input_ids": "Token ids, padded to the length",
    "attention_mask": "1 for a token, 0 for padding",
    "token_type_ids": "0 for the first text, 1 for the second",
}
OUTPUT_TEXTS = {
    "start": "Score of each token as the start of the answer",
    "end": "Score of each token as the end of the answer",
    "logits": "Scores of the labels, before softmax",
    "embedding": "Sentence embedding of length 1",
}


def form() -> GraphForm:
    """Return the form with matmul and softmax; ``scaled_dot_product_attention`` needs iOS 18."""
    from ondevice.graph import GraphForm

    return GraphForm(attention="matmul")


def lower(graph: MobileGraph, options: ConvertOptions) -> Lowered:
    """Convert a graph to one package for each length, its weights not compressed.

    Raises:
        UserError: the iOS version is unknown, or too old for the scheme or for several lengths.
        MissingPackageError: coremltools is not installed.
    """
    ios = choose_ios(options)
    # coremltools imports what it could convert from: 6 s for scikit-learn, XGBoost and ExecuTorch,
    # none of which is asked for here.
    with hidden("sklearn", "xgboost", "executorch", "torchao"):
        require("coremltools", extra="coreml")
    from ondevice import compensation

    graph = _laid_out(compensation.for_target(graph, options, storage), options)
    lowered = Lowered()
    for length in options.lengths:
        _convert_length(graph, options, length, ios, lowered.package(length))
    return lowered


def precision(options: ConvertOptions) -> tuple[object, ...]:
    """Return what else a program depends on: iOS, layout, precision, weights made for a scheme."""
    half = SCHEMES[options.scheme].half
    return choose_ios(options), options.layout, half, options.weights_made_for


def finish(graph: MobileGraph, lowered: Lowered, options: ConvertOptions, path: Path) -> Conversion:
    """Compress the weights and write a ``.mlpackage`` at `path`, which must not exist."""
    if len(options.lengths) > 1:
        _join_lengths(graph, options, lowered, path)
    elif SCHEMES[options.scheme].compress is None:
        shutil.copytree(lowered.package(options.lengths[0]), path)
    else:
        _compress(graph, options, lowered.package(options.lengths[0]), path)
    specification = _label_package(path, graph, options)
    oldest = _oldest_ios(specification)
    return Conversion(min_runtime={"iOS": str(oldest), "macOS": SYSTEMS[oldest][0]})


class Lowered:
    """A package with float weights for each length, in a directory that goes when this does.

    coremltools would put them into the system's temporary directory too, and hold each model's
    weights in memory besides.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="ondevice-"))
        # Not TemporaryDirectory, which warns when it is let go instead of closed.
        weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)

    def package(self, length: int) -> Path:
        """Return the place of the package for a length."""
        return self._directory / f"{length}.mlpackage"


def _laid_out(graph: MobileGraph, options: ConvertOptions) -> MobileGraph:
    """Return the graph in the layout that is asked for."""
    if options.layout != "ane":
        return graph
    from ondevice.graph_ane import to_channels_first

    return to_channels_first(graph, HALF_EPSILON if SCHEMES[options.scheme].half else 0.0)


def choose_ios(options: ConvertOptions) -> int:
    """Return the oldest iOS that the artifact will load on.

    Raises:
        UserError: the version asked for is unknown.
        SystemTooOldError: it is too old for the scheme or the lengths.
    """
    needs = {
        "several lengths in one package": SEVERAL_LENGTHS_IOS if len(options.lengths) > 1 else 0,
        f"scheme '{options.scheme}'": SCHEMES[options.scheme].ios,
    }
    what, oldest = max(needs.items(), key=lambda item: item[1])
    if options.ios is None:
        return max(DEFAULT_IOS, oldest)
    if options.ios not in SYSTEMS:
        raise UserError(choices("iOS version", str(options.ios), map(str, SYSTEMS), "iOS versions"))
    if options.ios < oldest:
        raise SystemTooOldError(
            f"{what} needs iOS {oldest} on Core ML, not {options.ios};"
            f" type --ios {oldest}, or {_instead(options, options.ios)}"
        )
    return options.ios


def _instead(options: ConvertOptions, ios: int) -> str:
    """Say what to build instead so that it loads on an older iOS."""
    parts = []
    if len(options.lengths) > 1 and ios < SEVERAL_LENGTHS_IOS:
        parts.append(f"--lengths {options.lengths[-1]}")
    if SCHEMES[options.scheme].ios > ios:
        able = [name for name, scheme in SCHEMES.items() if scheme.half and scheme.ios <= ios]
        parts.append(f"--scheme {' or '.join(able)}")
    return " ".join(parts)


def _join_lengths(
    graph: MobileGraph, options: ConvertOptions, lowered: Lowered, path: Path
) -> None:
    """Write one function for each length, equal weights once.

    The compressed packages, each as large as the result, stand beside it meanwhile: the system's
    temporary directory may be too small for them too, and a build that is killed clears its own.
    """
    from coremltools.models.utils import MultiFunctionDescriptor, save_multifunction

    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        functions = MultiFunctionDescriptor()
        for length in options.lengths:
            single = lowered.package(length)
            if SCHEMES[options.scheme].compress is not None:
                single = _compress(graph, options, single, Path(directory) / single.name)
            functions.add_function(str(single), "main", function_name(length))
        functions.default_function_name = function_name(options.lengths[-1])
        save_multifunction(functions, str(path))


def _compress(graph: MobileGraph, options: ConvertOptions, package: Path, path: Path) -> Path:
    """Write a package with its weights as the scheme stores them; return its path."""
    import coremltools as ct

    compress = SCHEMES[options.scheme].compress
    assert compress is not None
    model = ct.models.MLModel(str(package), skip_model_load=True)
    compress(model, graph.encoder, options.kept).save(str(path))
    return path


def function_name(length: int) -> str:
    """Return the name of the function that serves a length, where there are several."""
    return f"length_{length}"


def _convert_length(
    graph: MobileGraph, options: ConvertOptions, length: int, ios: int, path: Path
) -> None:
    import coremltools as ct
    import numpy as np

    half = SCHEMES[options.scheme].half
    model = ct.convert(
        _export(graph, length, half=half),
        convert_to="mlprogram",
        minimum_deployment_target=ct.target[f"iOS{ios}"],
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        inputs=[
            ct.TensorType(name=name, shape=(1, length), dtype=np.int32) for name in graph.inputs
        ],
        outputs=[ct.TensorType(name=role, dtype=np.float32) for role in graph.outputs],
        skip_model_load=True,
        package_dir=str(path),
    )
    # With what coremltools notes down once the package is written.
    _mlpackage.write_model(path, model.get_spec())


def _export(graph: MobileGraph, length: int, *, half: bool) -> ExportedProgram:
    """Export for one length, with constants that the precision can hold."""
    import torch

    exported = torch.export.export(graph.module, graph.example(length))
    program: ExportedProgram = exported.run_decompositions({})
    for node in program.graph.nodes:
        if half and node.target is torch.ops.aten.layer_norm.default:
            # Arguments: input, normalized shape, weight, bias, epsilon.
            node.update_arg(4, max(node.args[4], HALF_EPSILON))
        if node.target is torch.ops.aten.clamp.default and len(node.args) == 2:
            # Core ML's clip has no open end: without an upper bound it would be written as inf.
            largest = torch.finfo(torch.float16 if half else torch.float32).max
            node.args = (*node.args, largest)
    return program


def _label_package(path: Path, graph: MobileGraph, options: ConvertOptions) -> int:
    """Label a saved package, make its bytes repeatable, and return its specification version."""
    spec = _mlpackage.read_model(path)
    _label(spec.description, graph, options)
    _mlpackage.write_model(path, spec)
    # Written for exported programs; only ExecuTorch's own tools read it.
    (path / "executorch_debug_handle_mapping.json").unlink(missing_ok=True)
    _mlpackage.name_items_by_content(path)
    return int(spec.specificationVersion)


def _label(description: Any, graph: MobileGraph, options: ConvertOptions) -> None:
    labels = options.labels
    metadata = description.metadata
    metadata.shortDescription = (
        f"{labels.name}: {graph.encoder.architecture} encoder, task {labels.task},"
        f" scheme {options.scheme}, length {', '.join(map(str, options.lengths))}"
    )
    metadata.author = labels.author
    metadata.license = labels.licence
    metadata.versionString = labels.version
    # The day of the conversion: the one entry that differs from build to build.
    metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    metadata.userDefined.update(
        {
            "ondevice.task": labels.task,
            "ondevice.scheme": options.scheme,
            "ondevice.layout": options.layout,
            "ondevice.lengths": ",".join(map(str, options.lengths)),
        }
    )
    for function in description.functions or [description]:
        for feature in function.input:
            feature.shortDescription = INPUT_TEXTS[feature.name]
        for feature in function.output:
            feature.shortDescription = OUTPUT_TEXTS[feature.name]


def load(path: Path, roles: Sequence[str], *, threads: int | None = None) -> Runner:
    """Load a package on a Mac's Core ML; `threads` is ignored, Core ML chooses them itself.

    Raises:
        RuntimeUnavailableError: this is no Mac, or its macOS is older than the package asks for.
        MissingPackageError: coremltools is not installed.
        BundleError: the package is missing, damaged, or newer than this project knows.
        UserError: it has other outputs, or `threads` is below 1.
    """
    check_threads(threads)
    system = platform.system()
    if system != "Darwin":
        raise RuntimeUnavailableError(
            f"Core ML exists on Apple systems only and this is {system};"
            " on a Mac, the same command runs the artifact"
        )
    ct = require("coremltools", extra="coreml")
    spec = _read(path)
    _check_macos(spec.specificationVersion)
    functions = read_functions(spec.description)

    def open_model(length: int) -> Any:
        return ct.models.MLModel(
            str(path), compute_units=ct.ComputeUnit.ALL, function_name=functions[length]
        )

    entry = next(iter(spec.description.functions), spec.description)
    check_roles([feature.name for feature in entry.output], roles)
    names = tuple(feature.name for feature in entry.input)
    return CoreMLRunner(names, tuple(roles), tuple(functions), open_model, ct.__version__)


def _read(path: Path) -> Any:
    """Read a package's model, and that it is one whose lengths can be told."""
    decode_error = importlib.import_module("google.protobuf.message").DecodeError
    try:
        spec = _mlpackage.read_model(path)
        read_functions(spec.description)
        _oldest_ios(spec.specificationVersion)
    # Whatever a manifest that is no manifest leads to, and a description without inputs.
    except (OSError, ValueError, TypeError, LookupError, AttributeError, decode_error) as error:
        raise BundleError(
            f"'{path}' is not a Core ML package of this project, or is damaged: {error}"
        ) from error
    return spec


def _check_macos(specification: int) -> None:
    needed, current = SYSTEMS[_oldest_ios(specification)][0], platform.mac_ver()[0]
    if current and int(current.split(".")[0]) < int(needed):
        raise RuntimeUnavailableError(
            f"the package needs macOS {needed} and this is macOS {current}; run it on a newer Mac"
        )


def _oldest_ios(specification: int) -> int:
    """Return the first iOS that reads packages of a specification version."""
    for ios, (_, version) in SYSTEMS.items():
        if version >= specification:
            return ios
    raise ValueError(f"specification version {specification} is unknown")


def read_functions(description: Any) -> dict[int, str | None]:
    """Return the function for each length of a package; None where it has only one."""
    return {
        int(entry.input[0].type.multiArrayType.shape[1]): (
            entry.name if description.functions else None
        )
        for entry in description.functions or [description]
    }


COREML = Target(
    name="coreml",
    title="Core ML",
    file="model.mlpackage",
    extra="coreml",
    converters=("coremltools",),
    runtimes=("coremltools",),
    schemes=tuple(SCHEMES),
    form=form,
    lower=lower,
    finish=finish,
    load=load,
    shares=precision,
    check=choose_ios,
    systems=("Darwin",),
    storage=storage,
    layouts=LAYOUTS,
)
