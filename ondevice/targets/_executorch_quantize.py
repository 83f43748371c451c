"""Quantize an encoder for XNNPACK, through torchao, in a form that torch.export takes along.

Linears get a dynamic 8-bit input, with a range for each token, and weights of 8 or 4 bits; word
embeddings are stored in as many bits and looked up by ExecuTorch's quantized kernels. Positions
and layer norms stay in float32: 1.5 kB a position of width 384.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ondevice.errors import require

if TYPE_CHECKING:
    from ondevice.graph import MobileEncoder

EXTRA = "executorch"
# Weights of a linear that share a 4-bit scale. XNNPACK takes multiples of 32 only (qd8-f32-qb4w).
LINEAR_GROUP = 32
# Columns of an embedding row that share a 4-bit scale, a float32 each. With this alone quantized,
# the mean cosine of the embedded student's logits on 100 questions is 0.9993; with groups of 32
# 0.9996, but the artifact grows by 1.1 MB, beyond 10 MB; with whole rows 0.9984, 0.2 MB less.
EMBEDDING_GROUP = 128


def quantize_int8(module: MobileEncoder) -> None:
    """Store linears and embeddings in 8 bits, with a scale for each output channel or row."""
    import torch

    rows = require("torchao.quantization.granularity", extra=EXTRA).PerAxis(0)
    _quantize(module, torch.int8, lambda _: rows, lambda _: rows)


def quantize_int4(module: MobileEncoder) -> None:
    """Store linears and embeddings in 4 bits, with a scale for each group of a row."""
    import torch

    _quantize(
        module,
        getattr(torch, "int4"),  # noqa: B009 - the type stubs do not have it
        lambda columns: _groups(columns, LINEAR_GROUP),
        lambda columns: _groups(columns, EMBEDDING_GROUP),
    )


def _groups(columns: int, size: int) -> Any:
    """Return groups of `size` columns; whole rows where the columns cannot be cut so."""
    granularity = require("torchao.quantization.granularity", extra=EXTRA)
    return granularity.PerAxis(0) if columns % size else granularity.PerGroup(size)


def _quantize(
    module: MobileEncoder,
    dtype: Any,
    linear: Callable[[int], Any],
    embedding: Callable[[int], Any],
) -> None:
    """Quantize in place; `linear` and `embedding` say from a row's columns what shares a scale."""
    import torch
    from torch import nn

    api = require("torchao.quantization.quant_api", extra=EXTRA)
    for columns in sorted({part.weight.shape[1] for part in _parts(module, nn.Embedding)}):
        config = api.IntxWeightOnlyConfig(weight_dtype=dtype, granularity=embedding(columns))
        api.quantize_(module, config, _having(nn.Embedding, columns))
    for columns in sorted({part.weight.shape[1] for part in _parts(module, nn.Linear)}):
        # XNNPACK has no kernel for rows of 4-bit weights that are not cut into groups of 32.
        cut = columns % LINEAR_GROUP == 0
        config = api.Int8DynamicActivationIntxWeightConfig(
            weight_dtype=dtype if cut else torch.int8, weight_granularity=linear(columns)
        )
        api.quantize_(module, config, _having(nn.Linear, columns))
    # The quantized lookup ends the process when it is given 32-bit indices.
    module.embeddings.words.register_forward_pre_hook(
        lambda _, args: tuple(ids.to(torch.int64) for ids in args)
    )


def _parts(module: Any, kind: type) -> list[Any]:
    return [part for part in module.modules() if isinstance(part, kind)]


def _having(kind: Any, columns: int) -> Callable[[Any, str], bool]:
    """Return torchao's filter for parts of a kind whose weight has so many columns."""

    def fits(part: Any, _: str) -> bool:
        return isinstance(part, kind) and part.weight.shape[1] == columns

    return fits
