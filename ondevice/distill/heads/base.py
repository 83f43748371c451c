"""The words shared by every task's training: features, batches, scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ondevice.distill.options import DataOptions
    from ondevice.tokenizer import TextTokenizer

Batch = dict[str, Tensor]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True, eq=False)
class Feature:
    """One unpadded input of T tokens, number `index` of its list; `name` is its example's id."""

    index: int
    name: str
    input_ids: IntArray
    token_type_ids: IntArray

    def __len__(self) -> int:
        """Return T."""
        return int(self.input_ids.shape[0])


class Features(Dataset[Feature]):
    """A list of features that knows the length of each, for grouping."""

    def __init__(self, items: Sequence[Feature]) -> None:
        """Keep the features; their `index` must be their place in the list."""
        self.items = list(items)

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.items)

    def __getitem__(self, index: int) -> Feature:
        """Return one feature."""
        return self.items[index]

    @property
    def lengths(self) -> list[int]:
        """Return the number of tokens of each feature."""
        return [len(item) for item in self.items]


class HeadModule(Protocol):
    """What a module in :data:`ondevice.distill.heads.HEADS` offers."""

    def make(self, data: DataOptions, tokenizer: TextTokenizer, checkpoint: Path) -> TaskHead:
        """Make the head for some data and the checkpoint that starts the training.

        Raises:
            UserError: the data, or its labels, do not fit the checkpoint.
        """


@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics in percent; `headline` names the one that retention compares.

    `statistic` computes the headline (percent) over any multiset of examples, given as indices into
    `ids`: that is what the bootstrap resamples.
    """

    headline: str
    values: dict[str, float]
    ids: tuple[str, ...]
    statistic: Callable[[NDArray[np.int64]], float]


class TaskHead(ABC):
    """A task as training sees it; a feature's logits are [R, C]: R = T, or 1 for a whole text."""

    name: ClassVar[str]
    auto_class: ClassVar[str]
    per_token: ClassVar[bool]

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the names of the classes; empty where the task has none."""
        return ()

    @property
    def config(self) -> dict[str, Any]:
        """Return what the checkpoint's configuration must say for this task."""
        return {}

    @abstractmethod
    def read(self, path: Path, *, labelled: bool = True) -> list[Any]:
        """Read examples; each has an `id`.

        Raises:
            DataError: the file is unreadable or contradicts itself.
        """

    @abstractmethod
    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], *, labelled: bool = True
    ) -> list[Feature]:
        """Turn examples into features numbered from 0."""

    @abstractmethod
    def collate(self, items: Sequence[Any]) -> Batch:
        """Pad features into a batch with their targets."""

    @abstractmethod
    def logits(self, outputs: Any) -> Tensor:
        """Return a model's logits [B, L, C] or [B, C]."""

    @abstractmethod
    def hard_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss [] against the labels."""

    @abstractmethod
    def soft_loss(
        self, logits: Tensor, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return the loss [] against the teacher's logits (same shape)."""

    @abstractmethod
    def score(
        self, items: Sequence[Any], logits: Sequence[FloatArray], examples: Sequence[Any]
    ) -> Scores:
        """Score logits, one array [R, C] for each feature, against the examples' labels."""


def pad(items: Sequence[Feature], *, pad_id: int = 0) -> Batch:
    """Pad features to the longest: the model's inputs [B, L] int64 and `index` [B]."""
    size = max(len(item) for item in items)
    ids = np.full((len(items), size), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    types = np.zeros_like(ids)
    for row, item in enumerate(items):
        ids[row, : len(item)] = item.input_ids
        mask[row, : len(item)] = 1
        types[row, : len(item)] = item.token_type_ids
    arrays = dict(zip(MODEL_INPUTS, (ids, mask, types), strict=True))
    result = {name: torch.from_numpy(array) for name, array in arrays.items()}
    result["index"] = torch.tensor([item.index for item in items])
    return result
