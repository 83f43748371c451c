"""Question answering: windows, annotators' votes, EM and F1."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ondevice.distill import losses
from ondevice.distill.data import rows
from ondevice.distill.heads.base import Batch, Feature, FloatArray, Scores, TaskHead, pad
from ondevice.distill.options import is_remote
from ondevice.errors import DataError
from ondevice.tasks.features import QAOptions, Window, token_span, windows
from ondevice.tasks.qa import QAExample, decode, read_squad, score
from ondevice.tasks.squad import read_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ondevice.distill.options import DataOptions
    from ondevice.tokenizer import TextTokenizer


# Below this a passage is cut between characters: Chinese and Japanese have no spaces.
FEW_WORDS = 10


@dataclass(frozen=True, eq=False)
class QAFeature(Feature):
    """A window to train on.

    `spans` are the annotators' token spans with the share of them that marked each; (0, 0), the
    [CLS] token, says "no answer in this window". Empty: the window is unlabelled.
    """

    window: Window
    spans: tuple[tuple[int, int, float], ...]


def make(data: DataOptions, tokenizer: TextTokenizer, checkpoint: Path) -> QAHead:
    """Make the head; every question-answering checkpoint has the same two outputs."""
    return QAHead(data.qa, pad_id=tokenizer.pad_id)


class QAHead(TaskHead):
    """Logits are [T, 2]: start and end."""

    name: ClassVar[str] = "qa"
    auto_class: ClassVar[str] = "AutoModelForQuestionAnswering"
    per_token: ClassVar[bool] = True

    def __init__(self, options: QAOptions | None = None, *, pad_id: int = 0) -> None:
        """Keep how contexts are cut and spans are chosen."""
        self.options = options or QAOptions()
        self.pad_id = pad_id

    def read(self, path: Path, *, labelled: bool = True) -> list[QAExample]:
        """Read SQuAD v1.1 or v2 JSON, or `datasets:NAME/CONFIG:SPLIT` in SQuAD's layout."""
        if is_remote(path):
            return read_rows(rows(path), str(path), need_answers=labelled)
        return read_squad(path, need_answers=labelled)

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[QAExample], *, labelled: bool = True
    ) -> list[Feature]:
        """Cut examples into windows and label each with all of its annotators' spans."""
        result: list[Feature] = []
        for example in examples:
            try:
                cut = windows(tokenizer, example.question, example.context, self.options)
            except DataError as error:
                raise DataError(f"question '{example.id}': {error}") from error
            for window in cut:
                spans = votes(window, example) if labelled else ()
                ids, types = window.input_ids, window.token_type_ids
                result.append(QAFeature(len(result), example.id, ids, types, window, spans))
        return result

    def collate(self, items: Sequence[QAFeature]) -> Batch:
        """Pad windows and lay out their targets.

        Returns:
            The padded inputs; `targets` [B, L, 2] float32, columns that sum to 1 (or to 0,
            unlabelled); `candidates` [B, L] bool, the context's positions and [CLS].
        """
        batch = pad(items, pad_id=self.pad_id)
        shape = tuple(batch["input_ids"].shape)
        targets = np.zeros((*shape, 2), dtype=np.float32)
        candidates = np.zeros(shape, dtype=np.bool_)
        for row, item in enumerate(items):
            candidates[row, item.window.context_start : item.window.context_end] = True
            candidates[row, 0] = True
            for start, end, share in item.spans:
                targets[row, start, 0] += share
                targets[row, end, 1] += share
        batch["targets"] = torch.from_numpy(targets)
        batch["candidates"] = torch.from_numpy(candidates)
        return batch

    def logits(self, outputs: Any) -> Tensor:
        """Return start and end logits stacked [B, L, 2]."""
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)

    def hard_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy against the votes."""
        return losses.span_loss(logits, batch["targets"], batch["candidates"])

    def soft_loss(
        self, logits: Tensor, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return the KL divergence of start and end, averaged."""
        return losses.span_kl(logits, teacher, batch["candidates"], temperature)

    def score(
        self,
        items: Sequence[QAFeature],
        logits: Sequence[FloatArray],
        examples: Sequence[QAExample],
    ) -> Scores:
        """Return F1 (the headline) and EM."""
        by_example: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            by_example.setdefault(item.name, []).append(place)
        answers = {}
        for example in examples:
            places = by_example[example.id]
            best = decode(
                [items[place].window for place in places],
                [logits[place][:, 0] for place in places],
                [logits[place][:, 1] for place in places],
                example.context,
                self.options,
            )
            answers[example.id] = best[0].text
        result = score(answers, examples)

        def f1(indices: NDArray[np.int64]) -> float:
            return 100.0 * float(result.f1_each[indices].mean())

        return Scores("f1", {"f1": result.f1, "em": result.em}, result.ids, f1)


def votes(window: Window, example: QAExample) -> tuple[tuple[int, int, float], ...]:
    """Return each marked span with its share of the annotators' votes that this window shows.

    Training on the votes rather than on the first answer uses what the data holds: SQuADShifts has
    about 2.8 answers a question, and the score takes the best of them.
    """
    counts = Counter(
        span
        for gold in example.answers
        if (span := token_span(window, gold.start, gold.start + len(gold.text))) is not None
    )
    total = sum(counts.values())
    if not total:
        return ((0, 0, 1.0),)
    return tuple((start, end, count / total) for (start, end), count in sorted(counts.items()))


def cropped_passages(examples: Sequence[QAExample], count: int, seed: int) -> list[QAExample]:
    """Pair questions with a part of their own passage: unlabelled data for soft targets alone.

    The part is half to nine tenths of the words; of the characters, where a text has hardly any
    spaces. It may lack the answer: the teacher says so.
    """
    draw = np.random.default_rng(seed)
    result = []
    for number in range(count):
        example = examples[int(draw.integers(len(examples)))]
        words = list(re.finditer(r"\S+", example.context))
        if len(words) < FEW_WORDS:
            words = list(re.finditer(r"\S", example.context))
        kept = max(1, round(len(words) * draw.uniform(0.5, 0.9)))
        first = int(draw.integers(len(words) - kept + 1))
        part = example.context[words[first].start() : words[first + kept - 1].end()]
        result.append(QAExample(f"{example.id}+crop{number}", example.question, part))
    return result


def other_passages(examples: Sequence[QAExample], count: int, seed: int) -> list[QAExample]:
    """Pair questions with passages near their own: unlabelled data for soft targets alone.

    Neighbours in the file come from the same article, so that the question stays on the subject and
    the teacher has something to say.
    """
    contexts = list(dict.fromkeys(example.context for example in examples))
    if len(contexts) < 2:
        raise DataError("--pairs needs two passages at least; the training data have one")
    place = {context: index for index, context in enumerate(contexts)}
    draw = np.random.default_rng(seed)
    result = []
    for number in range(count):
        example = examples[int(draw.integers(len(examples)))]
        step = int(draw.integers(1, min(5, len(contexts) - 1) + 1))
        context = contexts[(place[example.context] + step) % len(contexts)]
        result.append(QAExample(f"{example.id}+pair{number}", example.question, context))
    return result
