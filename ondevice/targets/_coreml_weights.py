"""How each scheme stores Core ML weights, by coremltools.optimize.

What int4 and pal4 store was chosen before (:mod:`ondevice.compensation`): the library finds it
again.

The largest matrix of a small encoder is its embedding table, and every scheme compresses it too.

Two more of coremltools' ways are not offered:

- Activations in 8 bits: ``linear_quantize_activations`` sees their ranges by running the model
  through ``MLModel.predict``, which exists on a Mac only, and keeps those of the last text only
  (coremltools 9.0, ``optimize/coreml/experimental/_model_debugger.py``,
  ``record_intermediate_output``). Ranges can be taken elsewhere, but such an artifact is no smaller
  than int8, and whether it is faster only a device with 8-bit arithmetic can tell.
- Zeros beside a table (``prune_weights``, then ``palettize_weights`` with ``joint_compression``):
  without training, 30 % of zeros and 64 values take 5.2 bits a weight and move the embedded
  student's weights by 12 % of their norm, as far as pal4 moves them in 4 bits; fewer zeros save
  next to nothing, since their mask takes a bit (``benchmarks/sparse_tables.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ondevice.architectures import Encoder
from ondevice.errors import UserError, require
from ondevice.parts import POSITIONS
from ondevice.storage import FLOAT16, FLOAT32, Storage

# coremltools leaves weights of up to 2,048 elements as they are; from 512 on, a scale for each
# row still costs little beside the row.
THRESHOLD = 512
# The most rows that share a table of 16 values: 32 bytes for 3,072 of the embedded student's.
TABLE_ROWS = 16
# The largest block that has a scale of its own. Blocks of 32 would bring the embedded student from
# 9.8 MB to 10.8.
BLOCK = 128


@dataclass(frozen=True)
class WeightScheme:
    """What a scheme does to a converted model.

    Attributes:
        ios: the first iOS with the op that unpacks the weights; 0 for weights that need none.
        half: whether the program computes in half precision.
        compress: from a converted model, its encoder's shape and the parts to keep, to a model with
            compressed weights; None leaves them.
        storage: how a part is stored that is not kept, given the encoder's shape; None for floats.
    """

    ios: int = 0
    half: bool = True
    compress: Callable[[Any, Encoder, Collection[str]], Any] | None = None
    storage: Callable[[Encoder], Storage] | None = None


def storage(encoder: Encoder, scheme: str, part: str, *, kept: bool) -> Storage:
    """Return how a part is stored under a scheme."""
    how = SCHEMES[scheme]
    plain = FLOAT16 if how.half else FLOAT32
    if how.storage is None:
        return plain
    stored = how.storage(encoder)
    if part == POSITIONS:
        return _ROWS
    if stored.bits == _ROWS.bits:
        return plain if kept else stored
    return _ROWS if kept else stored


def block_size(encoder: Encoder, largest: int = BLOCK) -> int:
    """Return the largest block, up to `largest`, that divides every row.

    coremltools leaves a matrix with other rows as it is, without an error. TinyBERT's rows of 312
    and 1,200 get blocks of 24.
    """
    common = math.gcd(encoder.width, encoder.embedding_width, encoder.intermediate)
    return next(size for size in range(largest, 0, -1) if common % size == 0)


def _rows_8(model: Any, encoder: Encoder, kept: Collection[str]) -> Any:
    return _quantize(model, _linear("int8", "per_channel"), dict.fromkeys(_constants(model, kept)))


def _blocks_4(largest: int) -> Callable[[Any, Encoder, Collection[str]], Any]:
    def compress(model: Any, encoder: Encoder, kept: Collection[str]) -> Any:
        size = block_size(encoder, largest)
        rows = _linear("int8", "per_channel")
        higher = dict.fromkeys([*_constants(model, kept), *_positions(model)], rows)
        return _quantize(model, _linear("int4", "per_block", block_size=size), higher)

    return compress


def _linear(dtype: str, granularity: str, **how: Any) -> Any:
    optimize = require("coremltools.optimize.coreml", extra="coreml")
    return optimize.OpLinearQuantizerConfig(
        mode="linear_symmetric",
        weight_threshold=THRESHOLD,
        dtype=dtype,
        granularity=granularity,
        **how,
    )


def _quantize(model: Any, usual: Any, named: dict[str, Any]) -> Any:
    """Quantize constants: those that are named in their own way (None: not), others as usual."""
    optimize = require("coremltools.optimize.coreml", extra="coreml")
    config = optimize.OptimizationConfig(global_config=usual, op_name_configs=named)
    return optimize.linear_quantize_weights(model, config)


def _tables(bits: int) -> Callable[[Any, Encoder, Collection[str]], Any]:
    """Store each matrix as indices into a table of 2**bits values, found by k-means."""

    def compress(model: Any, encoder: Encoder, kept: Collection[str]) -> Any:
        optimize = require("coremltools.optimize.coreml", extra="coreml")
        table = optimize.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=THRESHOLD)
        higher = [*_constants(model, kept), *_positions(model)]
        config = optimize.OptimizationConfig(table, op_name_configs=dict.fromkeys(higher))
        compressed = optimize.palettize_weights(model, config)
        if not higher:
            return compressed
        rows = dict.fromkeys(higher, _linear("int8", "per_channel"))
        return _quantize(compressed, None, rows)

    return compress


def _row_tables(model: Any, encoder: Encoder, kept: Collection[str]) -> Any:
    """Store each matrix as indices into tables of the values that each group of rows has.

    The weights have been moved onto so few values before (:mod:`ondevice.compensation`).
    """
    optimize = require("coremltools.optimize.coreml", extra="coreml")
    higher = [*_constants(model, kept), *_positions(model)]
    matrices = optimize.get_weights_metadata(model, weight_threshold=THRESHOLD)
    tables = {
        name: optimize.OpPalettizerConfig(
            mode="unique",
            granularity="per_grouped_channel",
            group_size=_grouped(encoder).group(len(data.val)),
            channel_axis=0,
            weight_threshold=THRESHOLD,
        )
        for name, data in matrices.items()
        if data.val.ndim > 1 and name not in higher
    }
    config = optimize.OptimizationConfig(op_name_configs=tables)
    rows = dict.fromkeys(higher, _linear("int8", "per_channel"))
    return _quantize(optimize.palettize_weights(model, config), None, rows)


def _grouped(encoder: Encoder) -> Storage:
    """Return the storage with a table for each group of rows; no group has rows of two heads."""
    head = encoder.width // encoder.heads
    rows = next(size for size in range(TABLE_ROWS, 0, -1) if head % size == 0)
    return Storage(4, "table", 0, 256, rows, THRESHOLD)


def _constants(model: Any, parts: Collection[str]) -> list[str]:
    """Return what the converter calls the matrices of parts.

    Raises:
        UserError: a part has no matrix of its own.
    """
    optimize = require("coremltools.optimize.coreml", extra="coreml")
    names = optimize.get_weights_metadata(model, weight_threshold=0)
    found = {part: f"p_{part.replace('.', '_')}_weight_to_fp16" for part in parts}
    for part, name in found.items():
        if name not in names:
            raise UserError(
                f"Core ML cannot keep '{part}': in this checkpoint it equals another part, and"
                " equal weights are stored once; leave it out of --keep"
            )
    return list(found.values())


def _positions(model: Any) -> list[str]:
    """Return what the converter calls the position table, which has 8 bits under every scheme.

    Its name depends on whether the length takes all rows; it is the one table that is no part's.
    """
    optimize = require("coremltools.optimize.coreml", extra="coreml")
    found = optimize.get_weights_metadata(model, weight_threshold=THRESHOLD)
    return [
        name
        for name, data in found.items()
        if data.val.ndim == 2 and not name.endswith("_weight_to_fp16")
    ]


def _in_blocks(largest: int) -> Callable[[Encoder], Storage]:
    return lambda encoder: Storage(
        4, block=block_size(encoder, largest), scale_bits=16, least=THRESHOLD
    )


_ROWS = Storage(8, scale_bits=16, least=THRESHOLD)

# constexpr_affine_dequantize and constexpr_lut_to_dense came with iOS 16,
# constexpr_blockwise_shift_scale, integers of 4 bits and several tables for a matrix with iOS 18.
SCHEMES: dict[str, WeightScheme] = {
    "fp32": WeightScheme(half=False),
    "fp16": WeightScheme(),
    "int8": WeightScheme(16, compress=_rows_8, storage=lambda _: _ROWS),
    "int4": WeightScheme(18, compress=_blocks_4(BLOCK), storage=_in_blocks(BLOCK)),
    "pal6": WeightScheme(
        16, compress=_tables(6), storage=lambda _: Storage(6, "table", -1, 1024, least=THRESHOLD)
    ),
    "pal4": WeightScheme(18, compress=_row_tables, storage=_grouped),
}
