"""Run a model over features without training it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ondevice.distill.cache import TeacherOutput
from ondevice.distill.heads.base import MODEL_INPUTS, Batch, Feature, FloatArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ondevice.distill.heads.base import TaskHead


def model_inputs(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return what the encoder takes of a batch; DistilBERT and RoBERTa take no token types."""
    config = getattr(model, "module", model).config
    takes_types = getattr(config, "type_vocab_size", 0) > 1
    return {name: batch[name] for name in MODEL_INPUTS if name != "token_type_ids" or takes_types}


@torch.no_grad()
def outputs(
    model: PreTrainedModel,
    head: TaskHead,
    items: Sequence[Feature],
    *,
    layers: tuple[int, ...] = (),
    batch_size: int = 32,
) -> list[TeacherOutput]:
    """Return each feature's logits [R, C] and the hidden states of `layers`, in the given order.

    The longest run first, to pad little.
    """
    training = model.training
    model.eval()
    found: dict[int, TeacherOutput] = {}
    order = sorted(range(len(items)), key=lambda i: (-len(items[i]), i))
    for begin in range(0, len(order), batch_size):
        places = order[begin : begin + batch_size]
        batch = head.collate([items[place] for place in places])
        batch = {name: value.to(model.device) for name, value in batch.items()}
        result = model(**model_inputs(model, batch), output_hidden_states=bool(layers))
        logits = head.logits(result).float().cpu().numpy()
        states = None
        if layers:
            chosen = torch.stack([result.hidden_states[layer + 1] for layer in layers], 2)
            states = chosen.half().cpu().numpy()
        for row, place in enumerate(places):
            length = len(items[place])
            found[place] = TeacherOutput(
                (logits[row, :length] if head.per_token else logits[row][None]).copy(),
                None if states is None else states[row, :length].copy(),
            )
    model.train(training)
    return [found[place] for place in range(len(items))]


def predict(model: PreTrainedModel, head: TaskHead, items: Sequence[Feature]) -> list[FloatArray]:
    """Return each feature's logits [R, C]."""
    return [output.logits for output in outputs(model, head, items)]
