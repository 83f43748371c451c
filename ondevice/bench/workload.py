"""What a pass runs: a real text that fills a length, through an opened bundle or a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondevice.bench.protocol import Pass
from ondevice.inference import RunFunction, answer
from ondevice.tasks import TASKS, features, qa

if TYPE_CHECKING:
    from ondevice.inference import Reply
    from ondevice.tasks.base import Example
    from ondevice.tokenizer import TextTokenizer

# More text than any length holds.
REPEATS = 200


@dataclass(frozen=True)
class Subject:
    """Something that answers: a tokenizer and a function of model inputs."""

    task: str
    tokenizer: TextTokenizer
    run: RunFunction

    def passes_at(self, length: int) -> Callable[[], Pass]:
        """Return what makes one pass with a text that fills `length`."""
        if self.task == "qa":
            question, context = full_pair(self.tokenizer, length)
            options = qa.QAOptions.for_length(length)
            return lambda: stages(
                answer(
                    self.run, self.tokenizer, question, context, options=options, lengths=[length]
                )
            )
        text = full_text(self.tokenizer, TASKS[self.task].examples()[0], length)
        return lambda: self._pass(text, length)

    def ask(
        self, question: str, context: str, options: qa.QAOptions, lengths: tuple[int, ...]
    ) -> Reply:
        """Answer a question, each window at the shortest of the lengths that it fits.

        Raises:
            DataError: the question or the context is empty, or the outputs are not finite.
        """
        return answer(self.run, self.tokenizer, question, context, options=options, lengths=lengths)

    def _pass(self, text: str, length: int) -> Pass:
        begin = time.perf_counter_ns()
        row = features.encode(self.tokenizer.tokenizer, text, None, length)
        inputs = features.pad([row], length, self.tokenizer.pad_id)
        tokenized = time.perf_counter_ns()
        self.run(inputs)
        return Pass(tokenized - begin, time.perf_counter_ns() - tokenized)


def stages(reply: Reply) -> Pass:
    """Return a reply's times in ns."""
    timing = reply.timing
    tokenize, infer, decode = (
        max(round(value * 1e6), 1) for value in (timing.tokenize, timing.infer, timing.decode)
    )
    return Pass(tokenize, infer, decode)


def full_pair(tokenizer: TextTokenizer, length: int) -> tuple[str, str]:
    """Return a question and a context that together fill one window of `length` tokens.

    A few tokens may be missing: the context ends with a whole token of its own.
    """
    question, passage = TASKS["qa"].examples()[0]
    options = qa.QAOptions.for_length(length)
    long = " ".join([passage] * REPEATS)[: 40 * length]
    window = qa.windows(tokenizer.tokenizer, question, long, options)[0]
    for last in range(window.context_end - 1, window.context_start - 1, -1):
        context = long[: int(window.offsets[last, 1])]
        # Cut inside a word, its pieces may be others, and more.
        if len(qa.windows(tokenizer.tokenizer, question, context, options)) == 1:
            return question, context
    raise AssertionError(f"no context fits a window of {length} tokens")


def full_text(tokenizer: TextTokenizer, example: Example, length: int) -> str:
    """Return a text of about `length` tokens, special ones included, and not many fewer."""
    long = " ".join([example[0]] * REPEATS)
    offsets = tokenizer.tokenizer.encode(long, add_special_tokens=False).offsets
    special = tokenizer.tokenizer.num_special_tokens_to_add(False)
    return long[: offsets[max(length - special, 1) - 1][1]] if len(offsets) >= length else long
