"""What trimming a vocabulary costs on text that the corpus did not have: the project's samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondevice import samples
from ondevice.tasks import qa, qa_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ondevice.inference import RunFunction
    from ondevice.models import Checkpoint
    from ondevice.statistics import Interval
    from ondevice.tokenizer import TextTokenizer

# Sample questions that the two are scored on, at even distances.
QUESTIONS = 100


@dataclass(frozen=True)
class Score:
    """What sample questions were answered before and after.

    Attributes:
        f1: before and after, in percent.
        drop: points of F1, paired, with its 95 % interval.
        flips: percent of the answers that are others.
        questions: how many.
    """

    f1: tuple[float, float]
    drop: Interval
    flips: float
    questions: int

    def words(self) -> str:
        """Say it in one line."""
        return (
            f"F1 on {self.questions} sample questions {self.f1[0]:.2f} → {self.f1[1]:.2f} (drop"
            f" {self.drop.value:.2f} [{self.drop.low:.2f}, {self.drop.high:.2f}]),"
            f" {self.flips:.1f} % of the answers changed"
        )


@dataclass(frozen=True)
class Effect:
    """A checkpoint before and after its vocabulary was trimmed.

    Attributes:
        tokens_per_word: on the sample texts.
        score: on sample questions; None for tasks whose samples have no labels.
        weights: how many weights of the word table are gone.
    """

    tokens_per_word: tuple[float, float]
    score: Score | None
    weights: int

    def sentence(self) -> str:
        """Say it in one line."""
        words = "tokens a word on the sample texts {:.3f} → {:.3f}".format(*self.tokens_per_word)
        size = f"{self.weights / 1e6:.2f} M weights fewer ({self.weights * 4 / 1e6:.1f} MB in fp32)"
        if self.score is None:
            return f"{size}, {words}; no score: the task's samples have no labels"
        return f"{size}, {words}, {self.score.words()}"


def measure(before: Checkpoint, after: Checkpoint) -> Effect:
    """Compare a checkpoint with its trimmed self.

    Raises:
        CheckpointError: the weights cannot be read.
    """
    texts = samples.texts()
    score = None
    if before.task == "qa":
        examples = qa.read_squad(samples.qa_path())
        chosen = [examples[i * len(examples) // QUESTIONS] for i in range(QUESTIONS)]
        score = _score(before, after, chosen)
    return Effect(
        tokens_per_word=(
            tokens_per_word(before.tokenizer, texts),
            tokens_per_word(after.tokenizer, texts),
        ),
        score=score,
        weights=(before.encoder.vocab_size - after.encoder.vocab_size)
        * before.encoder.embedding_width,
    )


def tokens_per_word(tokenizer: TextTokenizer, texts: Sequence[str]) -> float:
    """Return how many tokens a word has on average; punctuation marks are words of their own."""
    tokens, words = 0, 0
    for encoding in tokenizer.tokenizer.encode_batch(list(texts), add_special_tokens=False):
        tokens += len(encoding.ids)
        words += len(set(encoding.word_ids))
    return tokens / words


def _score(before: Checkpoint, after: Checkpoint, examples: Sequence[qa.QAExample]) -> Score:
    theirs, ours = (
        qa_scores.score_answers(_answers(one, examples), examples) for one in (before, after)
    )
    return Score(
        f1=(100.0 * float(theirs.f1.mean()), 100.0 * float(ours.f1.mean())),
        drop=qa_scores.drop(ours.f1, theirs.f1),
        flips=qa_scores.percent(qa_scores.flipped(ours.places, theirs.places)),
        questions=len(examples),
    )


def _answers(
    checkpoint: Checkpoint, examples: Sequence[qa.QAExample]
) -> dict[str, qa_scores.Answered]:
    from ondevice.inference import answer

    run = _network(checkpoint)
    options = qa.QAOptions.for_length(min(384, checkpoint.encoder.max_length))
    found = {}
    for example in examples:
        reply = answer(
            run, checkpoint.tokenizer, example.question, example.context, options=options
        )
        best = reply.answers[0]
        found[example.id] = (best.text, (best.start, best.end))
    return found


def _network(checkpoint: Checkpoint) -> RunFunction:
    import torch

    from ondevice import graph

    encoder = graph.from_checkpoint(checkpoint)

    def run(inputs: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        with torch.no_grad():
            outputs = encoder.module(*(torch.from_numpy(inputs[name]) for name in encoder.inputs))
        return {role: value.numpy() for role, value in zip(encoder.outputs, outputs, strict=True)}

    return run
