"""Quantize an encoder for XNNPACK, through torchao, in a form that torch.export takes along.

Linears get a dynamic 8-bit input, with a range for each token, and weights of 8 or 4 bits; word
embeddings are stored in as many bits and looked up by ExecuTorch's quantized kernels. Under int4
positions are such a table too, of 8 bits: in float32 they would be 0.6 of the embedded student's
10 MB. Layer norms and biases stay in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from ondevice.errors import require
from ondevice.parts import POSITIONS, TABLE, columns_of
from ondevice.storage import FLOAT32, Storage

if TYPE_CHECKING:
    from torch import Tensor

    from ondevice.architectures import Encoder
    from ondevice.graph import Embeddings, MobileEncoder

EXTRA = "executorch"
# Weights of a linear that share a 4-bit scale, a bfloat16 each: the first of these that divides
# its rows. XNNPACK takes multiples of 32 only (qd8-f32-qb4w). Groups of 32 would bring the embedded
# student from 9.9 MB to 10.3; a 4-bit embedding row has one scale, a float32.
LINEAR_GROUPS = (128, 64, 32)


def quantize_int8(module: MobileEncoder, kept: Collection[str] = ()) -> None:
    """Store linears and embeddings in 8 bits, with a scale for each output channel or row.

    The parts in `kept` stay in float32.
    """
    _quantize_8(module, lambda name: name not in kept)
    _look_up_in_64_bits(module.embeddings.words)


def quantize_int4(module: MobileEncoder, kept: Collection[str] = ()) -> None:
    """Store linears in 4 bits with a scale for each group of a row, embeddings with one a row.

    The parts in `kept` are stored in 8 bits, as under int8.
    """
    import torch

    # The type stubs do not have it.
    dtype = getattr(torch, "int4")  # noqa: B009
    module.embeddings = _positions_looked_up(module.embeddings)
    positions = {"embeddings.position_table"}
    low = {name for name, part in _parts(module) if _fits_4_bits(name, part)} - {*kept, *positions}
    _quantize(module, dtype, low.__contains__, _groups)
    _quantize_8(module, lambda name: name not in low)
    _look_up_in_64_bits(module.embeddings.words)


def group_size(part: str, columns: int) -> int:
    """Return how many columns of a part share a 4-bit scale; 0 for whole rows."""
    if part == TABLE:
        return 0
    return next((size for size in LINEAR_GROUPS if columns % size == 0), 0)


def storage(encoder: Encoder, scheme: str, part: str, *, kept: bool) -> Storage:
    """Return how a part is stored under a scheme."""
    if scheme == "fp16":
        return Storage(16, "none")
    if scheme == "fp32" or (scheme == "int8" and (kept or part == POSITIONS)):
        return FLOAT32
    columns = columns_of(encoder, part)
    size = group_size(part, columns)
    if scheme == "int8" or kept or part == POSITIONS or (part != TABLE and not size):
        return Storage(8)
    return Storage(4, "split", size, scale_bits=16 if size else 32)


def _quantize_8(module: MobileEncoder, fits: Callable[[str], bool]) -> None:
    import torch

    rows = require("torchao.quantization.granularity", extra=EXTRA).PerAxis(0)
    _quantize(module, torch.int8, fits, lambda name, columns: rows)


def _quantize(
    module: MobileEncoder,
    dtype: Any,
    fits: Callable[[str], bool],
    granularity: Callable[[str, int], Any],
) -> None:
    """Quantize in place the parts whose name fits.

    `granularity` says what shares a scale, given a part's name and columns.
    """
    import torch
    from torch import nn

    api = require("torchao.quantization.quant_api", extra=EXTRA)
    # With few bits, use also the lowest step, which has no positive counterpart.
    kinds = require("torchao.quantization.quant_primitives", extra=EXTRA).MappingType
    for name, part in _parts(module):
        if not fits(name):
            continue
        shared = granularity(name, part.weight.shape[1])
        mapping = kinds.SYMMETRIC if dtype == torch.int8 else kinds.SYMMETRIC_NO_CLIPPING_ERR
        config = (
            api.IntxWeightOnlyConfig(weight_dtype=dtype, granularity=shared, mapping_type=mapping)
            if isinstance(part, nn.Embedding)
            else api.Int8DynamicActivationIntxWeightConfig(
                weight_dtype=dtype, weight_granularity=shared, weight_mapping_type=mapping
            )
        )
        api.quantize_(module, config, _named(name))


def _groups(name: str, columns: int) -> Any:
    """Return what shares a 4-bit scale."""
    granularity = require("torchao.quantization.granularity", extra=EXTRA)
    size = group_size(name, columns)
    return granularity.PerGroup(size) if size else granularity.PerAxis(0)


def _parts(module: Any) -> list[tuple[str, Any]]:
    from torch import nn

    kinds = (nn.Linear, nn.Embedding)
    return [(name, part) for name, part in module.named_modules() if isinstance(part, kinds)]


def _fits_4_bits(name: str, part: Any) -> bool:
    """XNNPACK has no kernel for rows of 4-bit weights that are not cut into groups of 32."""
    return name == TABLE or group_size(name, part.weight.shape[1]) > 0


def _named(wanted: str) -> Callable[[Any, str], bool]:
    """Return torchao's filter for one part."""

    def fits(_: Any, name: str) -> bool:
        return name == wanted

    return fits


def _look_up_in_64_bits(table: Any) -> None:
    # The quantized lookup ends the process when it is given 32-bit indices.
    import torch

    table.register_forward_pre_hook(lambda _, args: tuple(ids.to(torch.int64) for ids in args))


def _positions_looked_up(plain: Embeddings) -> Embeddings:
    """Return embeddings whose positions are a table that is looked up, as words are."""
    import torch
    from torch import nn

    from ondevice.graph import Embeddings

    class LookedUp(Embeddings):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.words, self.norm, self.project = plain.words, plain.norm, plain.project
            self.type_step = plain.type_step
            table = plain.positions.detach()
            rows, columns = table.shape
            self.position_table = nn.Embedding(rows, columns, _weight=table, _freeze=True)

        def position_rows(self, input_ids: Tensor) -> Tensor:
            # Numbers that hang on an input: ExecuTorch would look constant ones up beforehand and
            # store the rows in float32 after all.
            numbers = torch.arange(input_ids.shape[1]) + input_ids[0].to(torch.int64) * 0
            rows: Tensor = self.position_table(numbers)
            return rows

    return LookedUp()
