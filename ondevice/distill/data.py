"""Training features and batches for question answering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ondevice.tasks.features import QAOptions, Window, batch, token_span, windows
from ondevice.tasks.qa import QAExample

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Batch = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class QAFeature:
    """A window to train on.

    `spans` are the annotators' token spans with the share of them that marked each; (0, 0), the [CLS]
    token, says "no answer in this window". An empty tuple says that the window is unlabelled.
    """

    index: int
    example_id: str
    window: Window
    spans: tuple[tuple[int, int, float], ...]


class QAFeatures(Dataset[QAFeature]):
    """A list of features that knows the length of each, for grouping."""

    def __init__(self, features: Sequence[QAFeature]) -> None:
        """Keep the features."""
        self.features = list(features)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.features)

    def __getitem__(self, index: int) -> QAFeature:
        """Return one window."""
        return self.features[index]

    @property
    def lengths(self) -> list[int]:
        """Return the number of tokens of each window."""
        return [len(feature.window) for feature in self.features]


def features(
    tokenizer: Tokenizer,
    examples: Iterable[QAExample],
    options: QAOptions,
    *,
    labelled: bool = True,
) -> QAFeatures:
    """Cut examples into windows and label each with all of its annotators' spans."""
    result: list[QAFeature] = []
    for example in examples:
        for window in windows(tokenizer, example.question, example.context, options):
            spans = label(window, example) if labelled else ()
            result.append(QAFeature(len(result), example.id, window, spans))
    return QAFeatures(result)


def label(window: Window, example: QAExample) -> tuple[tuple[int, int, float], ...]:
    """Return each marked span with its share of the votes of the annotators seen by this window.

    Training on the votes rather than on the first answer uses what the data holds: SQuADShifts has
    about 2.8 answers a question, and the score takes the best of them.
    """
    votes = Counter(
        span
        for gold in example.answers
        if (span := token_span(window, gold.start, gold.start + len(gold.text))) is not None
    )
    total = sum(votes.values())
    if not total:
        return ((0, 0, 1.0),)
    return tuple((start, end, count / total) for (start, end), count in sorted(votes.items()))


def collate(items: Sequence[QAFeature], *, pad_id: int = 0) -> Batch:
    """Pad windows to the longest of the batch and lay out their targets.

    Returns:
        `input_ids`, `attention_mask`, `token_type_ids` [B, L] int64; `start_targets`, `end_targets`
        [B, L] float32, rows that sum to 1 (or to 0, unlabelled); `candidates` [B, L] bool, the
        positions a span may start or end at, and [CLS]; `index` [B], the feature's number.
    """
    arrays = batch([item.window for item in items], pad_id=pad_id)
    shape = arrays["input_ids"].shape
    targets = np.zeros((2, *shape), dtype=np.float32)
    candidates = np.zeros(shape, dtype=np.bool_)
    for row, item in enumerate(items):
        candidates[row, item.window.context_start : item.window.context_end] = True
        candidates[row, 0] = True
        for start, end, share in item.spans:
            targets[0, row, start] += share
            targets[1, row, end] += share
    result = {name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}
    result["start_targets"] = torch.from_numpy(targets[0])
    result["end_targets"] = torch.from_numpy(targets[1])
    result["candidates"] = torch.from_numpy(candidates)
    result["index"] = torch.tensor([item.index for item in items])
    return result
