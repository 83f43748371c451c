"""Token classification: one tag a word, learned and scored at the word's first piece."""

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
from ondevice.distill.data import TagExample, read_conll
from ondevice.distill.heads.base import (
    Batch,
    Feature,
    FloatArray,
    IntArray,
    Scores,
    TaskHead,
    pad,
)
from ondevice.distill.metrics import entity_counts, entity_f1
from ondevice.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ondevice.distill.options import DataOptions
    from ondevice.tokenizer import TextTokenizer


@dataclass(frozen=True, eq=False)
class TagFeature(Feature):
    """A sentence cut to the longest length; `tags` [T] is -100 at all but words' first pieces.

    `first_pieces` [W] gives each remaining word's first piece.
    """

    tags: IntArray
    first_pieces: IntArray


def make(data: DataOptions, tokenizer: TextTokenizer, checkpoint: Path) -> TokensHead:
    """Make the head for a tagger's own tags, or for those of the training files, `O` first."""
    tags = read_labels(checkpoint, "ForTokenClassification")
    if tags is None:
        found = {tag for path in data.train for item in read_conll(path) for tag in item.tags}
        tags = ("O", *sorted(found - {"O"}))
    return TokensHead(tags, max_length=data.qa.max_length, pad_id=tokenizer.pad_id)


class TokensHead(TaskHead):
    """Logits are [T, C]."""

    name: ClassVar[str] = "tokens"
    auto_class: ClassVar[str] = "AutoModelForTokenClassification"
    per_token: ClassVar[bool] = True

    def __init__(self, labels: Sequence[str], *, max_length: int = 128, pad_id: int = 0) -> None:
        """Keep the tags in the order of their numbers."""
        self._labels = tuple(labels)
        self.max_length = max_length
        self.pad_id = pad_id

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the tags."""
        return self._labels

    @property
    def config(self) -> dict[str, Any]:
        """Name the tags in the checkpoint."""
        return {
            "num_labels": len(self._labels),
            "id2label": dict(enumerate(self._labels)),
            "label2id": {label: index for index, label in enumerate(self._labels)},
        }

    def read(self, path: Path, *, labelled: bool = True) -> list[TagExample]:
        """Read CoNLL columns."""
        return read_conll(path, labelled=labelled)

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[TagExample], *, labelled: bool = True
    ) -> list[Feature]:
        """Encode sentences word by word.

        Raises:
            DataError: a tag is not among the labels.
        """
        numbers = {label: index for index, label in enumerate(self._labels)}
        tokenizer.enable_truncation(self.max_length)
        try:
            encodings = tokenizer.encode_batch(
                [list(example.words) for example in examples], is_pretokenized=True
            )
        finally:
            tokenizer.no_truncation()
        result: list[Feature] = []
        for index, (example, encoding) in enumerate(zip(examples, encodings, strict=True)):
            tags = np.full(len(encoding.ids), -100, dtype=np.int32)
            first_pieces: dict[int, int] = {}
            for position, word in enumerate(encoding.word_ids):
                if word is not None:
                    first_pieces.setdefault(word, position)
            if labelled:
                for word, position in first_pieces.items():
                    tag = example.tags[word]
                    if tag not in numbers:
                        raise DataError(
                            f"{example.id}: unknown tag '{tag}'; tags: {', '.join(self._labels)}"
                        )
                    tags[position] = numbers[tag]
            # A word without a piece (control characters alone) keeps its place and is tagged O.
            places = [first_pieces.get(word, -1) for word in range(len(example.words))]
            result.append(
                TagFeature(
                    index,
                    example.id,
                    np.asarray(encoding.ids, dtype=np.int32),
                    np.asarray(encoding.type_ids, dtype=np.int32),
                    tags,
                    np.asarray(places, dtype=np.int32),
                )
            )
        return result

    def collate(self, items: Sequence[TagFeature]) -> Batch:
        """Pad sentences; `labels` [B, L] is -100 where there is nothing to learn."""
        batch = pad(items, pad_id=self.pad_id)
        labels = np.full(tuple(batch["input_ids"].shape), -100, dtype=np.int64)
        words = np.zeros(labels.shape, dtype=np.bool_)
        for row, item in enumerate(items):
            labels[row, : len(item)] = item.tags
            words[row, item.first_pieces[item.first_pieces >= 0]] = True
        batch["labels"] = torch.from_numpy(labels)
        batch["words"] = torch.from_numpy(words)
        return batch

    def logits(self, outputs: Any) -> Tensor:
        """Return [B, L, C]."""
        logits: Tensor = outputs.logits
        return logits

    def hard_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return cross-entropy at words' first pieces."""
        return losses.label_loss(logits, batch["labels"])

    def soft_loss(
        self, logits: Tensor, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return the KL divergence at words' first pieces."""
        return losses.class_kl(logits, teacher, batch["words"], temperature)

    def score(
        self,
        items: Sequence[TagFeature],
        logits: Sequence[FloatArray],
        examples: Sequence[TagExample],
    ) -> Scores:
        """Return entity F1 (the headline) and accuracy over words; words cut off count as O."""
        counts, right, total = [], 0, 0
        for item, rows, example in zip(items, logits, examples, strict=True):
            best = rows.argmax(-1)
            guess = [
                self._labels[best[place]] if place >= 0 else "O" for place in item.first_pieces
            ]
            counts.append(entity_counts(example.tags, guess))
            right += sum(a == b for a, b in zip(guess, example.tags, strict=True))
            total += len(guess)
        table = np.stack(counts)

        def statistic(indices: NDArray[np.int64]) -> float:
            return entity_f1(table[indices].sum(0))

        values = {"f1": entity_f1(table.sum(0)), "accuracy": 100.0 * right / total}
        return Scores("f1", values, tuple(example.id for example in examples), statistic)
