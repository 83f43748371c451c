"""Classification and regression of texts and pairs: GLUE's nine tasks, IMDb, and any like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ondevice.distill import losses
from ondevice.distill.checkpoints import read_labels
from ondevice.distill.data import TEXT_TASKS, TextExample, TextTask, read_text
from ondevice.distill.heads.base import Batch, Feature, FloatArray, Scores, TaskHead, pad
from ondevice.distill.metrics import METRICS
from ondevice.errors import CheckpointError, DataError, UserError, choices

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ondevice.distill.options import DataOptions
    from ondevice.tokenizer import TextTokenizer


@dataclass(frozen=True, eq=False)
class TextFeature(Feature):
    """A text or a pair, cut to the longest length, and its label."""

    label: int | float | None


def make(data: DataOptions, tokenizer: TextTokenizer, checkpoint: Path) -> ClassifyHead:
    """Make the head for a column set, with a classifier's own order of the classes.

    Raises:
        UserError: there is no such column set.
        CheckpointError: the checkpoint is a classifier of other classes.
    """
    if data.columns not in TEXT_TASKS:
        raise UserError(choices("column set", data.columns, TEXT_TASKS))
    task = TEXT_TASKS[data.columns]
    order = class_order(task, checkpoint)
    return ClassifyHead(task, order, max_length=data.qa.max_length, pad_id=tokenizer.pad_id)


def class_order(task: TextTask, checkpoint: Path) -> tuple[str, ...]:
    """Return the task's classes in the order of a checkpoint's logits.

    That is the task's own order where the checkpoint is no classifier yet, or one without names.

    Raises:
        CheckpointError: the checkpoint is a classifier of other classes; its logits would get
            another meaning.
    """
    theirs = read_labels(checkpoint, "ForSequenceClassification")
    if theirs is None:
        return task.labels
    nameless = theirs == tuple(f"LABEL_{number}" for number in range(len(theirs)))
    if nameless and len(theirs) == max(1, len(task.labels)):
        return task.labels
    if nameless or sorted(theirs) != sorted(task.labels):
        raise CheckpointError(
            f"{checkpoint} tells apart {', '.join(theirs)}, the data "
            f"{', '.join(task.labels) or 'no classes, but a value'}; give a checkpoint of the same "
            "classes, or rename those in its config.json (id2label, in the order of its logits)"
        )
    return theirs


class ClassifyHead(TaskHead):
    """Logits are [1, C]; a regression has C = 1.

    Examples number the classes as the data does; logits, and the labels beside them in a batch,
    have the order of the checkpoint.
    """

    name: ClassVar[str] = "classify"
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    per_token: ClassVar[bool] = False

    def __init__(
        self,
        task: TextTask = TEXT_TASKS["sst2"],
        order: Sequence[str] | None = None,
        *,
        max_length: int = 128,
        pad_id: int = 0,
    ) -> None:
        """Keep the columns, the classes in the order of the logits, and the longest length."""
        self.task = task
        self._order = task.labels if order is None else tuple(order)
        # The place in the logits of each of the data's classes.
        self._places = [self._order.index(label) for label in task.labels]
        self.max_length = max_length
        self.pad_id = pad_id

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the class names in the order of the logits."""
        return self._order

    @property
    def config(self) -> dict[str, Any]:
        """Name the classes in the checkpoint, or say that there is one real output."""
        if not self.labels:
            return {"num_labels": 1, "problem_type": "regression"}
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {label: index for index, label in enumerate(self.labels)},
        }

    def read(self, path: Path, *, labelled: bool = True) -> list[TextExample]:
        """Read TSV, CSV, JSONL, or a `datasets` name."""
        return read_text(path, self.task, labelled=labelled)

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[TextExample], *, labelled: bool = True
    ) -> list[Feature]:
        """Encode texts and pairs; the longer part of a pair loses tokens first."""
        tokenizer.enable_truncation(self.max_length, strategy="longest_first")
        try:
            encodings = tokenizer.encode_batch(
                [(e.text, e.pair) if e.pair is not None else e.text for e in examples]
            )
        finally:
            tokenizer.no_truncation()
        return [
            TextFeature(
                index,
                example.id,
                np.asarray(encoding.ids, dtype=np.int32),
                np.asarray(encoding.type_ids, dtype=np.int32),
                example.label if labelled else None,
            )
            for index, (example, encoding) in enumerate(zip(examples, encodings, strict=True))
        ]

    def collate(self, items: Sequence[TextFeature]) -> Batch:
        """Pad texts; `labels` [B] is int64 with -100, or float32 with NaN, where unlabelled."""
        batch = pad(items, pad_id=self.pad_id)
        if self.labels:
            values = [
                -100 if item.label is None else self._places[int(item.label)] for item in items
            ]
            batch["labels"] = torch.tensor(values)
        else:
            batch["labels"] = torch.tensor(
                [float("nan") if item.label is None else float(item.label) for item in items]
            )
        return batch

    def logits(self, outputs: Any) -> Tensor:
        """Return [B, C]."""
        logits: Tensor = outputs.logits
        return logits

    def hard_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return cross-entropy, or squared error for a regression."""
        return losses.label_loss(logits, batch["labels"])

    def soft_loss(
        self, logits: Tensor, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return the KL divergence, or squared error for a regression."""
        if not self.labels:
            return losses.regression_soft_loss(logits, teacher)
        return losses.class_kl(logits, teacher, None, temperature)

    def score(
        self,
        items: Sequence[TextFeature],
        logits: Sequence[FloatArray],
        examples: Sequence[TextExample],
    ) -> Scores:
        """Return the task's metrics in percent."""
        if any(example.label is None for example in examples):
            raise DataError("the evaluation data has unlabelled rows")
        gold = np.array([example.label for example in examples])
        rows = np.concatenate([np.atleast_2d(row) for row in logits])
        guess = rows[:, self._places].argmax(-1) if self.labels else rows[:, 0]
        values = {name: METRICS[name](gold, guess) for name in self.task.metrics}
        headline = self.task.metrics[0]

        def statistic(indices: NDArray[np.int64]) -> float:
            return METRICS[headline](gold[indices], guess[indices])

        return Scores(headline, values, tuple(example.id for example in examples), statistic)
