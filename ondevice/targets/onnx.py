"""ONNX: one file of standard operators, for ONNX Runtime on phones and hosts.

Only int4 needs an operator of ONNX Runtime's own, ``com.microsoft.MatMulNBits``.

Several lengths are one dynamic axis, ``length``; a single length is a fixed shape, which the
accelerators behind ONNX Runtime (NNAPI, Core ML, QNN) want.

Attention is written with matmul and softmax. torch.onnx spells ``scaled_dot_product_attention``
out as the same with 11 nodes of shape arithmetic a layer, below opset 23; above, ONNX Runtime
1.32's ``Attention`` refuses a mask that is broadcast over the queries.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import __version__
from ondevice.errors import (
    BundleError,
    RuntimeUnavailableError,
    UserError,
    install_command,
    require,
)
from ondevice.parts import POSITIONS, TABLE
from ondevice.storage import FLOAT16, FLOAT32, Storage
from ondevice.targets.base import (
    HALF_EPSILON,
    Conversion,
    ConvertOptions,
    Runner,
    Target,
    check_inputs,
    check_roles,
    check_threads,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto
    from torch import nn

    from ondevice.architectures import Encoder
    from ondevice.graph import GraphForm, MobileGraph

# The oldest with Gelu as one operator; spelled out, ONNX Runtime does not fuse torch's form of it.
OPSET = 20
# The file format that opset 20 was published with (onnx 1.15). torch writes 10 for the sake of
# per-node metadata, which is removed here.
IR_VERSION = 9
# fp32 and int8: the first that reads opset 20 (onnxruntime.ai/docs/reference/compatibility).
# fp16: the first of those that were run whose half-precision kernels are right; 1.17.0 and 1.18.0
# read the file and are off by up to 16,861, without an error.
# int4: the first of those that were run that is right; 1.17.3 ends the process in MatMulNBits.
MIN_RUNTIME = {"fp32": "1.17", "fp16": "1.19.2", "int8": "1.17", "int4": "1.19.2"}

# A single protobuf file ends here; more needs external data, which no BERT-class model reaches.
MAX_BYTES = 2**31 - 1

# What ONNX Runtime says of a file that is newer than itself: of its IR version and of its opset.
# Not of an operator that it does not implement: that may be the file's fault.
TOO_OLD = (
    "Unsupported model IR version",
    "is under development and support for this is limited",
)


def form() -> GraphForm:
    """Return the form with matmul and softmax; the module's docstring says why."""
    from ondevice.graph import GraphForm

    return GraphForm(attention="matmul")


def lower(graph: MobileGraph, options: ConvertOptions) -> ModelProto:
    """Lower a graph to a model of float weights, with the contract's names.

    Raises:
        MissingPackageError: torch, onnx or onnxscript is not installed.
    """
    for package in ("onnx", "torch", "onnxscript"):
        require(package, extra="onnx")
    from ondevice import compensation

    model = _export(compensation.for_target(graph, options, storage), options)
    _tidy(model)
    _name_outputs(model.graph, graph.outputs, half=options.scheme == "fp16")
    _name_weights(model.graph)
    return model


def precision(options: ConvertOptions) -> tuple[object, ...]:
    """Return what a scheme's model is exported in; int8 and int4 rewrite the float32 model.

    fp16 does not: where torch would compute in float32 (the norm of an embedding), its export of
    the halved module has casts that the float32 model knows nothing of.
    """
    return "fp16" if options.scheme == "fp16" else "fp32", options.weights_made_for


def finish(
    graph: MobileGraph, lowered: ModelProto, options: ConvertOptions, path: Path
) -> Conversion:
    """Apply the scheme and write one ``.onnx`` file.

    Raises:
        UserError: the artifact would be larger than one file can be.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(lowered)
    _quantize(model, graph.encoder, options)
    _label(model, options)
    if model.ByteSize() > MAX_BYTES:
        raise UserError(
            f"the ONNX file would have {model.ByteSize() / 1e9:.1f} GB, one file holds 2.1 GB;"
            " choose --scheme fp16, int8 or int4"
        )
    content = model.SerializeToString(deterministic=True)
    # The checker makes copies of its own.
    del model
    onnx.checker.check_model(content, full_check=True)
    path.write_bytes(content)
    return Conversion(min_runtime={"onnxruntime": MIN_RUNTIME[options.scheme]})


def _export(graph: MobileGraph, options: ConvertOptions) -> ModelProto:
    import torch

    module = _half(graph.module) if options.scheme == "fp16" else graph.module
    longest = options.lengths[-1]
    shapes = None
    if len(options.lengths) > 1:
        length = torch.export.Dim("length", max=longest)
        shapes = tuple({1: length} for _ in graph.inputs)
    with warnings.catch_warnings():
        # Deprecations inside torch, and that the shared axis is named once.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            graph.example(longest),
            dynamo=True,
            input_names=list(graph.inputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None, "only the older exporter returns nothing"
    model: ModelProto = program.model_proto
    return model


def _quantize(model: ModelProto, encoder: Encoder, options: ConvertOptions) -> None:
    if options.scheme == "int8":
        from ondevice.targets import _onnx_int8

        _onnx_int8.quantize(model, options.kept)
    elif options.scheme == "int4":
        from ondevice.targets import _onnx_int4

        _onnx_int4.quantize(model, options.kept, _onnx_int4.matrix_block(encoder))


def storage(encoder: Encoder, scheme: str, part: str, *, kept: bool) -> Storage:
    """Return how a part is stored under a scheme."""
    if scheme == "fp16":
        return FLOAT16
    if scheme == "fp32" or (scheme == "int8" and kept):
        return FLOAT32
    if scheme == "int8" or kept:
        # A matrix has the sums of its columns beside their steps.
        return Storage(8, scale_bits=32 if part in (TABLE, POSITIONS) else 64)
    from ondevice.targets import _onnx_int4

    return _onnx_int4.storage(encoder, part)


def _half(module: nn.Module) -> nn.Module:
    """Return a copy in half precision."""
    import copy

    from torch import nn

    # Copied as halves, not halved as copies: the float32 weights need no second place.
    halves = {
        id(weight): nn.Parameter(weight.detach().half(), requires_grad=False)
        for weight in module.parameters()
    }
    halved = copy.deepcopy(module, halves)
    for part in halved.modules():
        if isinstance(part, nn.LayerNorm):
            # The standard computes mean and variance in float32; accelerators do not all.
            part.eps = max(part.eps, HALF_EPSILON)
    return halved


def _tidy(model: ModelProto) -> None:
    """Drop what torch notes down beside the graph: stack traces with paths of this machine.

    The shapes of inner values stay: ONNX Runtime does not find all of them out by itself where
    the length is dynamic, and fuses LayerNormalization with the sum before it only if it knows.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inner = [value for value in graph.value_info if value.name not in weights]
    del graph.value_info[:]
    graph.value_info.extend(inner)
    values = (*graph.input, *graph.output, *graph.value_info)
    for part in (model, graph, *graph.node, *graph.initializer, *values):
        part.doc_string = ""
        del part.metadata_props[:]


def _name_outputs(graph: GraphProto, roles: Sequence[str], *, half: bool) -> None:
    """Give the outputs the names of their roles, and float32 where the graph computes in half."""
    from onnx import TensorProto, helper

    # torch has named an inner value 'embedding' after its operator; the role comes first.
    _rename(graph, {role: f"{role}_value" for role in roles})
    if not half:
        _rename(
            graph, {output.name: role for output, role in zip(graph.output, roles, strict=True)}
        )
        return
    for output, role in zip(graph.output, roles, strict=True):
        graph.node.append(helper.make_node("Cast", [output.name], [role], to=TensorProto.FLOAT))
        output.name = role
        output.type.tensor_type.elem_type = TensorProto.FLOAT


def _name_weights(graph: GraphProto) -> None:
    """Name the transposed matrices after their layers; torch has numbered them.

    A layer is known by its bias. torch keeps equal tensors once, so a bias may stand for several
    layers (all are zero in an untrained encoder): those keep their numbers.
    """
    weights = {tensor.name for tensor in graph.initializer}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    readers = Counter(name for node in graph.node for name in node.input)
    names = {}
    for node in graph.node:
        product, bias = (*node.input, "", "")[:2]
        weight, name = products.get(product, ""), f"{bias.removesuffix('.bias')}.weight"
        unique = readers[bias] == 1 and name not in weights
        if node.op_type == "Add" and bias.endswith(".bias") and weight in weights and unique:
            names[weight] = name
    _rename(graph, names)


def _rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.output, *graph.initializer, *graph.value_info):
        value.name = names.get(value.name, value.name)


def _label(model: ModelProto, options: ConvertOptions) -> None:
    from onnx import helper

    labels = options.labels
    model.ir_version = IR_VERSION
    model.producer_name = "ondevice"
    model.producer_version = __version__
    model.graph.name = labels.name
    properties = {
        "task": labels.task,
        "author": labels.author,
        "licence": labels.licence,
        "version": labels.version,
        "scheme": options.scheme,
        "lengths": ",".join(map(str, options.lengths)),
    }
    helper.set_model_props(model, properties)


@dataclass(frozen=True)
class OnnxRunner:
    """A session of ONNX Runtime on the CPU."""

    session: Any
    version: str
    inputs: tuple[str, ...]
    roles: tuple[str, ...]
    lengths: tuple[int, ...]

    @property
    def runtime(self) -> str:
        """The name of the package that runs it."""
        return "onnxruntime"

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        """Run one batch; see :class:`ondevice.targets.base.Runner`."""
        feed = check_inputs(inputs, self.inputs, self.lengths)
        try:
            outputs = self.session.run(list(self.roles), feed)
        except Exception as error:
            raise UserError(f"onnxruntime refused the inputs: {_line(error)}") from error
        return dict(zip(self.roles, outputs, strict=True))


def load(path: Path, roles: Sequence[str], *, threads: int | None = None) -> Runner:
    """Load an ``.onnx`` file that :func:`finish` wrote into ONNX Runtime.

    Raises:
        RuntimeUnavailableError: ONNX Runtime is not installed, or too old for the file.
        BundleError: the file is missing, damaged, or not one of this project.
        UserError: it has other outputs, or `threads` is below 1.
    """
    check_threads(threads)
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise RuntimeUnavailableError(
            f"ONNX Runtime is not installed; type: {install_command('onnx')}"
        ) from error
    session = _open_session(onnxruntime, path, threads)
    roles = tuple(roles)
    check_roles([output.name for output in session.get_outputs()], roles)
    lengths = session.get_modelmeta().custom_metadata_map.get("lengths", "")
    if not re.fullmatch(r"\d+(,\d+)*", lengths):
        raise BundleError(f"'{path}' does not say its lengths; it was not built by ondevice")
    return OnnxRunner(
        session=session,
        version=onnxruntime.__version__,
        inputs=tuple(value.name for value in session.get_inputs()),
        roles=roles,
        lengths=tuple(int(length) for length in lengths.split(",")),
    )


def _open_session(onnxruntime: Any, path: Path, threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    if not path.is_file():
        raise BundleError(f"there is no file '{path}'")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        sentence = f"onnxruntime {onnxruntime.__version__} cannot load '{path}': {_line(error)}"
        too_old = any(text in str(error) for text in TOO_OLD)
        raise (RuntimeUnavailableError if too_old else BundleError)(sentence) from error


def _line(error: Exception) -> str:
    """Return an error's first line, which is the one that says something."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


ONNX = Target(
    name="onnx",
    title="ONNX",
    file="model.onnx",
    extra="onnx",
    converters=("torch", "onnx", "onnxscript", "onnxruntime"),
    runtimes=("onnxruntime",),
    schemes=("fp32", "fp16", "int8", "int4"),
    form=form,
    lower=lower,
    finish=finish,
    load=load,
    shares=precision,
    storage=storage,
)
