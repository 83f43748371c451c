"""Task distillation: the losses between a student and its teacher, live or cached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ondevice.distill import losses
from ondevice.distill.cache import TeacherCache
from ondevice.distill.forward import model_inputs
from ondevice.distill.heads.base import Batch
from ondevice.distill.options import LossWeights
from ondevice.distill.trainer import TaskTrainer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ondevice.distill.heads.base import TaskHead


class TaskDistiller(TaskTrainer):
    """Train a student on soft targets, labels, hidden states and attentions, each weighted.

    Args:
        teacher: runs beside the student; None where the cache holds all that the weights ask for.
        pairs: for each compared layer (student's, teacher's), both counted from 0; (-1, -1) would
            be the embeddings.
        weights: of the losses; a weight of 0 skips the work.
        temperature: of the soft targets.
    """

    def __init__(
        self,
        *args: Any,
        teacher: PreTrainedModel | None,
        pairs: Sequence[tuple[int, int]],
        weights: LossWeights,
        temperature: float,
        **kwargs: Any,
    ) -> None:
        """Take loaded objects only; the rest goes to :class:`TaskTrainer`."""
        super().__init__(*args, **kwargs)
        self._teacher = teacher.eval().to(self.args.device) if teacher is not None else None
        self._pairs = tuple(pairs)
        self._weights = weights
        self._temperature = temperature

    def loss_parts(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and the parts."""
        weights = self._weights
        outputs = model(
            **model_inputs(model, batch),
            output_hidden_states=weights.hidden > 0,
            output_attentions=weights.attention > 0,
        )
        logits = self.head.logits(outputs)
        teacher_logits, hidden, attentions = self._teacher_says(batch)
        parts: dict[str, Tensor] = {}
        if weights.kl:
            parts["kl"] = self.head.soft_loss(logits, teacher_logits, batch, self._temperature)
        if weights.hard:
            parts["hard"] = self.head.hard_loss(logits, batch)
        mask = batch["attention_mask"]
        if weights.hidden:
            each = [
                losses.cosine_loss(outputs.hidden_states[ours + 1], theirs, mask)
                for (ours, _), theirs in zip(self._pairs, hidden, strict=True)
            ]
            parts["hidden"] = torch.stack(each).mean()
        if weights.attention:
            each = [
                losses.attention_loss(outputs.attentions[ours], theirs, mask)
                for (ours, _), theirs in zip(self._pairs, attentions, strict=True)
            ]
            parts["attention"] = torch.stack(each).mean()
        total = torch.stack([getattr(weights, name) * value for name, value in parts.items()])
        return total.sum(), parts

    def _teacher_says(self, batch: Batch) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the teacher's logits, hidden states and attentions for the compared layers."""
        if self._teacher is None:
            hidden = batch.get("teacher_hidden")  # [B, L, K, H]
            states = [] if hidden is None else list(hidden.unbind(2))
            return batch["teacher_logits"], states, []
        with torch.no_grad():
            outputs = self._teacher(
                **model_inputs(self._teacher, batch),
                output_hidden_states=self._weights.hidden > 0,
                output_attentions=self._weights.attention > 0,
            )
        layers = [theirs for _, theirs in self._pairs]
        states = [outputs.hidden_states[i + 1] for i in layers] if self._weights.hidden else []
        maps = [outputs.attentions[i] for i in layers] if self._weights.attention else []
        return self.head.logits(outputs), states, maps


def with_teacher(head: TaskHead, cache: TeacherCache) -> Callable[[Sequence[Any]], Batch]:
    """Return a collate function that adds the cached outputs, padded like the batch.

    It adds `teacher_logits` [B, L, C] or [B, C], and `teacher_hidden` [B, L, K, H] where kept.
    """

    def collate(items: Sequence[Any]) -> Batch:
        batch = head.collate(items)
        said = [cache[item.index] for item in items]
        length = int(batch["input_ids"].shape[1])
        if head.per_token:
            batch["teacher_logits"] = _stack([output.logits for output in said], length)
        else:
            batch["teacher_logits"] = torch.from_numpy(np.stack([o.logits[0] for o in said]))
        states = [output.hidden for output in said if output.hidden is not None]
        if states:
            batch["teacher_hidden"] = _stack(states, length)
        return batch

    return collate


def _stack(arrays: Sequence[np.ndarray[Any, Any]], length: int) -> Tensor:
    """Pad arrays [T, ...] with zeros to [B, length, ...]; float16 stays as it is."""
    result = np.zeros((len(arrays), length, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in enumerate(arrays):
        result[row, : len(array)] = array
    return torch.from_numpy(result)
