"""What trimming a vocabulary costs on text that the corpus did not have: the project's samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondevice import samples
from ondevice.tasks import qa

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ondevice.inference import RunFunction
    from ondevice.models import Checkpoint
    from ondevice.tokenizer import TextTokenizer

# Sample questions that the two are scored on, at even distances.
QUESTIONS = 100


@dataclass(frozen=True)
class Effect:
    """A checkpoint before and after its vocabulary was trimmed.

    Attributes:
        tokens_per_word: on the sample texts.
        f1: on sample questions, in percent; None for tasks whose samples have no labels.
        weights: how many weights of the word table are gone.
    """

    tokens_per_word: tuple[float, float]
    f1: tuple[float, float] | None
    weights: int

    def sentence(self) -> str:
        """Say it in one line."""
        words = "tokens a word on the sample texts {:.3f} → {:.3f}".format(*self.tokens_per_word)
        size = f"{self.weights / 1e6:.2f} M weights fewer ({self.weights * 4 / 1e6:.1f} MB in fp32)"
        if self.f1 is None:
            return f"{size}, {words}; no score: the task's samples have no labels"
        return "{}, {}, sample F1 {:.2f} → {:.2f}".format(size, words, *self.f1)


def measure(before: Checkpoint, after: Checkpoint) -> Effect:
    """Compare a checkpoint with its trimmed self.

    Raises:
        CheckpointError: the weights cannot be read.
    """
    texts = samples.texts()
    scores = None
    if before.task == "qa":
        examples = qa.read_squad(samples.qa_path())
        chosen = [examples[i * len(examples) // QUESTIONS] for i in range(QUESTIONS)]
        scores = (_f1(before, chosen), _f1(after, chosen))
    return Effect(
        tokens_per_word=(
            tokens_per_word(before.tokenizer, texts),
            tokens_per_word(after.tokenizer, texts),
        ),
        f1=scores,
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


def _f1(checkpoint: Checkpoint, examples: Sequence[qa.QAExample]) -> float:
    from ondevice.inference import answer

    run = _network(checkpoint)
    options = qa.QAOptions.for_length(min(384, checkpoint.encoder.max_length))
    found = {
        example.id: answer(
            run, checkpoint.tokenizer, example.question, example.context, options=options
        )
        .answers[0]
        .text
        for example in examples
    }
    return qa.score(found, examples).f1


def _network(checkpoint: Checkpoint) -> RunFunction:
    import torch

    from ondevice import graph

    encoder = graph.from_checkpoint(checkpoint)

    def run(inputs: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
        with torch.no_grad():
            outputs = encoder.module(*(torch.from_numpy(inputs[name]) for name in encoder.inputs))
        return {role: value.numpy() for role, value in zip(encoder.outputs, outputs, strict=True)}

    return run
