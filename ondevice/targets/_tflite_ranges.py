"""Narrow calibrated ranges that a few values stretch.

Eight bits spread 256 levels over a range. Post-norm encoders put one value of a hundred times the
usual size on a token or two (Sun et al. 2024, "Massive Activations in Large Language Models"): in
the embedded student's first layer it is 150 times what 99.9 % of the values lie within, so that
nearly all of them share three levels. Cut off, that value saturates, and the layer norm that
follows makes up for most of it. ``benchmarks/quantization_safe.py`` measures both.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice.errors import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# A range ends at so many times what the usual values lie within. 4 does the same for the student
# (cosine of 312 questions' logits 0.9990 with both); more leaves other models more of their range.
USUAL_SHARE = 0.999
MOST_TIMES = 8.0
# Of the calibration texts, so many tell how large values usually are.
TEXTS = 8


def clip(
    ranges: Mapping[str, Any],
    content: bytes,
    batches: Mapping[str, Sequence[dict[str, NDArray[np.int32]]]],
) -> dict[str, Any]:
    """Return calibrated ranges, each ending where :data:`MOST_TIMES` the usual size does.

    Args:
        ranges: ai-edge-quantizer's, by the name of a tensor: ``min`` and ``max`` arrays.
        content: the float32 file that was calibrated.
        batches: the calibration inputs for each signature, by its name.
    """
    tools = require("ai_edge_quantizer.utils.tfl_interpreter_utils", extra="tflite")
    interpreter = tools.create_tfl_interpreter(content, num_threads=os.cpu_count() or 1)
    seen: dict[str, list[float]] = {}
    for signature, texts in batches.items():
        graph = tools.get_signature_main_subgraph_index(interpreter, signature)
        details = tools.get_tensor_name_to_details_map(interpreter, graph)
        watched = [
            detail
            for name, detail in details.items()
            if name in ranges and detail["dtype"] == np.float32
        ]
        for inputs in texts[:: -(-len(texts) // TEXTS)]:
            tools.invoke_interpreter_signature(interpreter, inputs, signature)
            for detail in watched:
                values = tools.get_tensor_data(interpreter, detail, graph)
                usual = float(np.quantile(np.abs(values), USUAL_SHARE))
                seen.setdefault(detail["name"], []).append(usual)
    return {
        name: _narrow(name, one, MOST_TIMES * float(np.mean(seen[name]))) if name in seen else one
        for name, one in ranges.items()
    }


def _narrow(name: str, one: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Cut a range at plus and minus a limit; 0 is none, since such a tensor is mostly zeros."""
    low, high = float(np.min(one["min"])), float(np.max(one["max"]))
    if not 0.0 < limit < max(-low, high):
        return dict(one)
    logger.info("%s: values from %.1f to %.1f are cut off at %.1f", name, low, high, limit)
    return {
        **one,
        "min": np.maximum(one["min"], np.float32(-limit)),
        "max": np.minimum(one["max"], np.float32(limit)),
    }
