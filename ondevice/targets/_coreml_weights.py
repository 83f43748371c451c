"""How each scheme stores Core ML weights; all of it by coremltools.optimize.

The largest matrix of a small encoder is its embedding table, and every scheme compresses it too.
Activations stay in half precision: ``linear_quantize_activations`` sees their ranges by running
the model through ``MLModel.predict``, which exists on a Mac only (coremltools 9.0,
``optimize/coreml/experimental/_model_debugger.py``), so int8 activations are not offered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ondevice.architectures import Encoder
from ondevice.errors import require

# coremltools leaves weights of up to 2,048 elements as they are; from 512 on, a scale for each
# row still costs little beside the row.
THRESHOLD = 512
# The largest block that has a scale of its own. 16 adds 1.1 MB to the student's 9.7 and no cosine.
LARGEST_BLOCK = 32


@dataclass(frozen=True)
class WeightScheme:
    """What a scheme does to a converted model.

    Attributes:
        ios: the first iOS with the op that unpacks the weights; 0 for weights that need none.
        half: whether the program computes in half precision.
        compress: from a converted model and its encoder's shape to a model with compressed
            weights; None leaves them.
    """

    ios: int = 0
    half: bool = True
    compress: Callable[[Any, Encoder], Any] | None = None


def block_size(encoder: Encoder) -> int:
    """Return the largest block, up to :data:`LARGEST_BLOCK`, that divides every row.

    coremltools leaves a matrix with other rows as it is, without an error. TinyBERT's rows of 312
    and 1,200 get blocks of 24.
    """
    common = math.gcd(encoder.width, encoder.embedding_width, encoder.intermediate)
    return next(size for size in range(LARGEST_BLOCK, 0, -1) if common % size == 0)


def _rows_8(model: Any, encoder: Encoder) -> Any:
    return _quantize(model, dtype="int8", granularity="per_channel")


def _blocks_4(model: Any, encoder: Encoder) -> Any:
    size = block_size(encoder)
    return _quantize(model, dtype="int4", granularity="per_block", block_size=size)


def _quantize(model: Any, **how: Any) -> Any:
    optimize = require("coremltools.optimize.coreml", extra="coreml")
    config = optimize.OpLinearQuantizerConfig(
        mode="linear_symmetric", weight_threshold=THRESHOLD, **how
    )
    return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(config))


def _tables_6(model: Any, encoder: Encoder) -> Any:
    return _palettize(model, 6)


def _tables_4(model: Any, encoder: Encoder) -> Any:
    return _palettize(model, 4)


def _palettize(model: Any, bits: int) -> Any:
    """Store each matrix as indices into a table of 2**bits values, found by k-means."""
    optimize = require("coremltools.optimize.coreml", extra="coreml")
    config = optimize.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=THRESHOLD)
    return optimize.palettize_weights(model, optimize.OptimizationConfig(config))


# constexpr_affine_dequantize and constexpr_lut_to_dense came with iOS 16,
# constexpr_blockwise_shift_scale and integers of 4 bits with iOS 18.
SCHEMES: dict[str, WeightScheme] = {
    "fp32": WeightScheme(half=False),
    "fp16": WeightScheme(),
    "int8": WeightScheme(ios=16, compress=_rows_8),
    "int4": WeightScheme(ios=18, compress=_blocks_4),
    "pal6": WeightScheme(ios=16, compress=_tables_6),
    "pal4": WeightScheme(ios=16, compress=_tables_4),
}
