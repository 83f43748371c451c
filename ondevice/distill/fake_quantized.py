"""Fake quantization: a model computes with rounded weights, and its float weights learn from it.

Rounding and its straight-through gradient are torchao's (Jacob et al. 2018, section 3; Bengio et
al. 2013 for the gradient). Weights stay float parameters under their own names, so that
checkpoints are the same with it and without.

Rounded are the matrices of all linears, heads too, and the rows of the word embeddings. Positions
and token types stay as they are: most targets keep them in 8 bits or more, and fold them into one
table, so that the rows of a checkpoint are not the rows that would be rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ondevice.distill.rounding import ROUNDINGS
from ondevice.errors import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EXTRA = "distill"

Detach = Callable[[], None]


def attach(model: PreTrainedModel, scheme: str) -> Detach:
    """Round a model's weights in each forward pass; return what ends that.

    Args:
        model: changed in place.
        scheme: one of :data:`ondevice.distill.rounding.ROUNDINGS`.

    Raises:
        MissingPackageError: torchao is not installed.
    """
    rounding = ROUNDINGS[scheme]
    words = model.get_input_embeddings()
    hook = words.register_forward_hook(_rounded_rows(words, rounding.bits))
    qat = require("torchao.quantization.qat", extra=EXTRA)
    for columns in sorted({part.in_features for part in _linears(model)}):
        config = qat.QATConfig(
            weight_config=_config(rounding.bits, columns, rounding.matrix_blocks), step="prepare"
        )
        _swap(model, config, nn.Linear, columns)

    def detach() -> None:
        hook.remove()
        _swap(model, qat.QATConfig(step="convert"), qat.FakeQuantizedLinear)

    return detach


def _rounded_rows(words: nn.Embedding, bits: int) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """Return a hook that rounds the rows [B, L, W] that were looked up.

    torchao's own FakeQuantizedEmbedding rounds the whole table each time: 30,522 rows, where a
    batch of 24 windows looks up some 4,000. No row shares a step with another, so that the values
    are the same.
    """
    qat = require("torchao.quantization.qat", extra=EXTRA)
    rounder = qat.FakeQuantizerBase.from_config(_config(bits, words.embedding_dim))

    def hook(_: nn.Module, __: Any, rows: Tensor) -> Tensor:
        rounded: Tensor = rounder(rows.flatten(0, -2)).view_as(rows)
        return rounded

    return hook


def _config(bits: int, columns: int, blocks: Sequence[int] = ()) -> Any:
    """Return torchao's description; rows that cannot be cut into blocks have one step each."""
    qat = require("torchao.quantization.qat", extra=EXTRA)
    granularity = require("torchao.quantization.granularity", extra=EXTRA)
    block = next((size for size in blocks if columns % size == 0), None)
    return qat.IntxFakeQuantizeConfig(
        getattr(torch, f"int{bits}"),
        granularity.PerGroup(block) if block else granularity.PerAxis(0),
        is_symmetric=True,
    )


def _linears(model: nn.Module) -> list[nn.Linear]:
    return [part for part in model.modules() if isinstance(part, nn.Linear)]


def _swap(model: nn.Module, config: Any, kind: Any, columns: int | None = None) -> None:
    """Let torchao replace a model's linears of a kind, all or those with so many columns."""
    api = require("torchao.quantization", extra=EXTRA)

    def fits(part: nn.Module, _: str) -> bool:
        return isinstance(part, kind) and columns in (None, part.in_features)

    api.quantize_(model, config, fits)
