"""From a task and its files to a head, training features and an evaluation."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.calibration import spread
from ondevice.distill.heads import HEADS
from ondevice.distill.heads.base import Features, HeadModule, Scores, TaskHead
from ondevice.distill.heads.qa import cropped_passages, other_passages
from ondevice.distill.options import DataOptions
from ondevice.distill.trainer import Evaluation
from ondevice.errors import DataError, UserError, choices
from ondevice.statistics import interval
from ondevice.tokenizer import TextTokenizer, read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, eq=False)
class Sources:
    """A head with its examples, not yet turned into features."""

    head: TaskHead
    tokenizer: Tokenizer
    train: list[Any]
    development: list[Any]

    def training(
        self, unlabelled: Sequence[Path] = (), pairs: int = 0, crops: int = 0, seed: int = 0
    ) -> Features:
        """Return the training features, the unlabelled ones after the labelled."""
        items = self.head.features(self.tokenizer, self.train)
        extra = [example for path in unlabelled for example in self.head.read(path, labelled=False)]
        if pairs:
            extra += other_passages(self.train, pairs, seed)
        if crops:
            extra += cropped_passages(self.train, crops, seed)
        for item in self.head.features(self.tokenizer, extra, labelled=False):
            items.append(replace(item, index=len(items)))
        return Features(items)

    def evaluation(self, count: int = 0) -> Evaluation:
        """Return what to score on: all of it, or `count` examples at even distances.

        Even distances, because neighbours come from the same article.
        """
        chosen = spread(self.development, count)
        return Evaluation(self.head, self.head.features(self.tokenizer, chosen), chosen)


def read_sources(data: DataOptions, checkpoint: Path) -> Sources:
    """Read the files for a task, with the tokenizer (and, for tags, the labels) of a checkpoint.

    Raises:
        DataError: a file is unreadable or contradicts itself, or two training files share an id.
    """
    tokenizer = read_tokenizer(checkpoint)
    head = _head(data, tokenizer, checkpoint)
    found: dict[str, Any] = {}
    for path in data.train:
        for example in head.read(path):
            if example.id in found:
                raise DataError(f"{path}: '{example.id}' is in an earlier file too")
            found[example.id] = example
    development = head.read(data.eval_file)
    return Sources(head, tokenizer.tokenizer, list(found.values()), development)


def results(scores: Scores) -> dict[str, Any]:
    """Return the metrics, the headline's interval and the number of examples, for JSON."""
    spread = interval(scores.statistic, len(scores.ids))
    return {
        **scores.values,
        f"{scores.headline}_interval": asdict(spread),
        "examples": len(scores.ids),
    }


def _head(data: DataOptions, tokenizer: TextTokenizer, checkpoint: Path) -> TaskHead:
    if data.task not in HEADS:
        raise UserError(choices("task", data.task, HEADS))
    module: HeadModule = importlib.import_module(HEADS[data.task])
    return module.make(data, tokenizer, checkpoint)
