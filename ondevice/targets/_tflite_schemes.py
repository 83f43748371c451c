"""What each scheme does to a finished float32 ``.tflite``: by ai-edge-quantizer, but for
positions (:mod:`ondevice.targets._tflite_tables`) and the ends of calibrated ranges.

int4: blocks of a row have a scale each. One for the whole row would do on older runtimes too, but
costs more: a student of three layers lost 5.2 points of F1 against 3.5, and 29 % against 16 % of
its answers changed (150 questions of squadshifts-dev.json). Runtimes up to ai-edge-litert 2.0.3
read the blocks of FULLY_CONNECTED as one scale, and 1.2.0 and 1.3.0 those of EMBEDDING_LOOKUP too,
without an error and at the operator versions that the quantizer writes (cosine 0.87 to 0.95 to
fp32). The first version of FULLY_CONNECTED that none of them has, and that 2.1.0 has, is 14.
Heads stay in 8 bits: LiteRT's own kernel, which runs where XNNPACK is off or does not take an
operator, gets blocks of 4 bits wrong for a matrix of two or three rows (cosine 0.64 and 0 in
ai-edge-litert 2.3.0; right for 32 rows and more).

int8-static: activations of FULLY_CONNECTED alone are int8, with ranges seen in calibration, from
which a few huge values are cut off (:mod:`ondevice.targets._tflite_ranges`); what lies between
(layer norms, softmax, GELU) stays in floats. For delegates that multiply integers only: it costs
more than int8, whose ranges follow each input (``benchmarks/evidence.py`` measures both on the
embedded student).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondevice.architectures import Encoder
from ondevice.errors import require
from ondevice.parts import POSITIONS
from ondevice.parts import TABLE as WORDS
from ondevice.schemes import FINE_BITS
from ondevice.storage import FLOAT16, FLOAT32, Storage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Batches = Mapping[str, "Sequence[dict[str, NDArray[np.int32]]]"]
# Says to a ``Quantizer`` what to do with one kind of operator (by its ``TFLOperationName``), given
# the encoder's shape.
Recipe = Callable[[Any, Any, Encoder], None]

# How the converter names what a head's operators make: ``SpanHead_head/…``, or, where that is an
# output of the model, ``length_384_logits_output``.
HEAD = r".*(Head_head/|_logits_output).*"

# The kernels also know 256; with it, rows of 384 could not be cut.
BLOCKS = (128, 64, 32)

# The operators that carry a model's matrices.
LINEAR, TABLE = "FULLY_CONNECTED", "EMBEDDING_LOOKUP"


@dataclass(frozen=True)
class TfliteScheme:
    """What a scheme asks of the quantizer and of runtimes.

    Attributes:
        recipes: what is done to each kind of operator; empty for a float32 file.
        versions: the operator versions that it needs and that the quantizer does not write.
            With those an older runtime refuses the file instead of computing nonsense.
        oldest: the oldest TensorFlow Lite with them (``runtime_version.cc`` in LiteRT); None where
            none is known to have them, and none is promised.
        ran_on: the oldest version of each package that it was found right on.
        bits: of a stored weight.
        tables_8: whether what stays a float table (positions) is stored in 8 bits.
    """

    recipes: Mapping[str, Recipe]
    versions: dict[str, int]
    oldest: str | None
    ran_on: Mapping[str, str]
    bits: int
    tables_8: bool = False

    @property
    def kept_versions(self) -> dict[str, int]:
        """The versions that kept parts need beside the scheme's own."""
        return {"DEQUANTIZE": 3} if self.bits == FINE_BITS else {}


def quantize(
    content: bytes,
    scheme: TfliteScheme,
    encoder: Encoder,
    batches: Batches,
    kept: str | None = None,
) -> bytes | bytearray:
    """Store weights, and activations if the scheme says so, in fewer bits.

    Args:
        content: a float32 ``.tflite`` file.
        scheme: what to do.
        encoder: whose file it is; its rows decide the size of blocks.
        batches: calibration inputs for each signature, by its name; empty where the scheme needs
            none.
        kept: a regular expression for the operators whose weights stay in more bits: 8 below 8,
            else half precision.

    Raises:
        ValueError: the scheme needs some.
    """
    if not scheme.recipes:
        return content
    from ai_edge_quantizer import qtyping, quantizer

    quantized = quantizer.Quantizer(content)
    for operator, recipe in scheme.recipes.items():
        recipe(quantized, qtyping.TFLOperationName(operator), encoder)
        # The last config that fits a name is the one that counts.
        if kept is not None:
            higher = _cast_to_half if scheme.bits == FINE_BITS else _rows_8
            higher(quantized, qtyping.TFLOperationName(operator), encoder, kept)
    ranges = None
    if quantized.need_calibration:
        if not batches:
            raise ValueError("a scheme with calibrated activations was given no calibration texts")
        # Equal on every machine: threads do not change what a kernel computes.
        ranges = quantized.calibrate(dict(batches), num_threads=os.cpu_count() or 1)
        from ondevice.targets import _tflite_ranges

        ranges = _tflite_ranges.clip(ranges, content, batches)
    result = quantized.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    model: bytearray = result.quantized_model
    return model


def _algorithm(name: str) -> Any:
    return getattr(
        require("ai_edge_quantizer.algorithm_manager", extra="tflite").AlgorithmName, name
    )


def _cast_to_half(quantizer: Any, operator: Any, encoder: Encoder, scope: str = ".*") -> None:
    # Read by a DEQUANTIZE, computed in float32 (a GPU delegate may choose otherwise).
    casting = _algorithm("FLOAT_CASTING")
    quantizer.add_weight_only_config(scope, operator, num_bits=16, algorithm_key=casting)


def _rows_8(quantizer: Any, operator: Any, encoder: Encoder, scope: str = ".*") -> None:
    quantizer.add_dynamic_config(scope, operator, num_bits=8)


def _stored_8(quantizer: Any, operator: Any, encoder: Encoder) -> None:
    quantizer.add_weight_only_config(".*", operator, num_bits=8)


def _blocks_4(quantizer: Any, operator: Any, encoder: Encoder) -> None:
    size = block_size(operator, encoder)
    granularity = f"BLOCKWISE_{size}" if size else "CHANNELWISE"
    quantizer.add_dynamic_config(".*", operator, num_bits=4, granularity=granularity)
    # The last config that fits a name is the one that counts.
    quantizer.add_dynamic_config(HEAD, operator, num_bits=8)


def block_size(operator: str, encoder: Encoder) -> int:
    """Return how many weights of an operator share a scale under int4; 0 for a whole row.

    Of the sizes that the kernels know, the first that divides all rows. Blocks of 32, and of 64 for
    the table, would bring the embedded student from 10.0 MB to 10.5.
    """
    rows = (
        encoder.embedding_width
        if operator == TABLE
        else math.gcd(encoder.width, encoder.embedding_width, encoder.intermediate)
    )
    return next((block for block in BLOCKS if rows % block == 0), 0)


def storage(encoder: Encoder, scheme: str, part: str, *, kept: bool) -> Storage:
    """Return how a part is stored under a scheme."""
    how = SCHEMES[scheme]
    if how.bits > FINE_BITS:
        return FLOAT16 if how.bits == FLOAT16.bits else FLOAT32
    if part == POSITIONS:
        return _ROWS if how.tables_8 else FLOAT32
    if how.bits == FINE_BITS:
        return FLOAT16 if kept else _ROWS
    if kept or part.startswith("head."):
        return _ROWS
    size = block_size(TABLE if part == WORDS else LINEAR, encoder)
    return Storage(how.bits, block=size, scale_bits=16 if size else _ROWS.scale_bits)


def _static_8(quantizer: Any, operator: Any, encoder: Encoder) -> None:
    quantizer.add_static_config(".*", operator, activation_num_bits=8, weight_num_bits=8)


def _both(recipe: Recipe) -> dict[str, Recipe]:
    return {LINEAR: recipe, TABLE: recipe}


# A float32 scale and a zero point of 64 bits for each row.
_ROWS = Storage(FINE_BITS, scale_bits=96)

# Run on Linux x86-64 with a small BERT, 16 and 32 tokens. ai-edge-litert 1.0.1 beside NumPy 1.26
# (its wheel does not load models beside NumPy 2): fp32, fp16 and int8-weight within 1.2e-6 of
# 2.3.0, int8 at a cosine of 0.9995 to fp32. tflite-runtime 2.14.0, the last: tests/targets.
_LITERT = {"ai-edge-litert": "1.0.1"}
_EVERYWHERE = {**_LITERT, "tflite-runtime": "2.14.0"}
# The student at 384 tokens: right on 2.1.0, 2.2.0 and 2.3.0, refused by 1.2.0, 1.3.0, 1.4.0,
# 2.0.2 and 2.0.3.
_BLOCKS = {"ai-edge-litert": "2.1.0"}

# Per-channel scales in operators that take float activations: unknown to tflite-runtime 2.14.0,
# whose kernels read the first scale only and return the same number everywhere.
_SCALES_BY_ROW = {LINEAR: 12, TABLE: 4}

SCHEMES: dict[str, TfliteScheme] = {
    "fp32": TfliteScheme({}, {}, "1.5.0", _EVERYWHERE, 32),
    "fp16": TfliteScheme(_both(_cast_to_half), {"DEQUANTIZE": 3}, "1.15.0", _EVERYWHERE, 16),
    "int8": TfliteScheme(_both(_rows_8), _SCALES_BY_ROW, "2.18.0", _LITERT, 8),
    "int8-weight": TfliteScheme(_both(_stored_8), {"DEQUANTIZE": 5}, "2.7.0", _EVERYWHERE, 8),
    "int8-static": TfliteScheme(
        {LINEAR: _static_8, TABLE: _rows_8}, {TABLE: 4}, "2.18.0", _LITERT, 8
    ),
    # LiteRT's table of versions, as far as it was read, ends at FULLY_CONNECTED 13.
    "int4": TfliteScheme(_both(_blocks_4), {LINEAR: 14, TABLE: 4}, None, _BLOCKS, 4, tables_8=True),
}
