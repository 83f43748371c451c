"""The losses, each a few lines and each with its source."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def masked_log_softmax(logits: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """Return log-probabilities [B, L] in float32 over the positions that `mask` [B, L] allows.

    Masked positions get the lowest finite number, not minus infinity: 0 · (-inf) would be NaN in the
    sums below. Every row must allow a position (here, [CLS] always is).
    """
    lowest = torch.finfo(torch.float32).min
    scaled = logits.float() / temperature
    return functional.log_softmax(scaled.masked_fill(~mask, lowest), dim=-1)


def span_loss(start: Tensor, end: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Return the cross-entropy [] of start and end against the annotators' votes, averaged.

    Rows without labels (targets that sum to 0) count in neither sum nor mean.
    """
    losses = []
    labelled = batch["start_targets"].sum(-1) > 0
    for logits, targets in ((start, batch["start_targets"]), (end, batch["end_targets"])):
        each = -(targets * masked_log_softmax(logits, batch["candidates"])).sum(-1)
        losses.append(each[labelled].sum() / labelled.sum().clamp(min=1))
    return (losses[0] + losses[1]) / 2
