"""Texts that a scheme looks at: how large activations are, what rounding does; labels play no part.

By default the project's samples for the task, else a file of the user's: SQuAD JSON for qa, a text
a line otherwise. Quantizers keep running averages, so a few dozen texts do.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ondevice.errors import DataError
from ondevice.tasks import TASKS, features, texts
from ondevice.tasks.qa import QAOptions, read_squad, windows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from ondevice.models import Checkpoint
    from ondevice.tasks.base import Example
    from ondevice.tokenizer import TextTokenizer

Item = TypeVar("Item")

# Of a longer file, so many at even distances: each is a run of the float model for each length.
MOST_TEXTS = 64
# Text in the vocabulary's own language has next to none. bert-base-uncased knows some Chinese
# characters, so a script that it was not made for does not reach 100 %.
MOST_UNKNOWN = 0.2
# Of unknown tokens and of single letters inside words. An English vocabulary has the letters of
# most scripts and none of their words: 64 to 80 % of such a text are letters (Russian, Greek,
# Hebrew, Arabic, Hindi, Korean), of one in Latin letters 4 to 27 % (Finnish to Turkish).
MOST_SPELT = 0.5


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration texts and the tokenizer that makes inputs of them.

    Attributes:
        source: ``samples``, or the name of the user's file.
        examples: (question, context) pairs for qa, else single texts.
    """

    source: str
    examples: tuple[Example, ...]
    tokenizer: TextTokenizer

    @property
    def sha256(self) -> str:
        """The SHA-256 of the texts, each example an array of ASCII JSON on a line."""
        lines = "".join(f"{json.dumps(example)}\n" for example in self.examples)
        return hashlib.sha256(lines.encode()).hexdigest()

    def inputs(self, length: int) -> Iterator[dict[str, NDArray[np.int32]]]:
        """Yield each text as the I/O contract's three inputs, int32 [1, `length`].

        Of a context that is longer, the first window; of a longer text, its beginning.

        Raises:
            DataError: a question or context holds no token.
        """
        for example in self.examples:
            row = _encode(self.tokenizer.tokenizer, example, length)
            yield features.pad([row], length, self.tokenizer.pad_id)


def from_samples(checkpoint: Checkpoint) -> Calibration:
    """Return the project's sample texts for the checkpoint's task."""
    examples = TASKS[checkpoint.task].examples()
    return Calibration("samples", tuple(spread(examples, MOST_TEXTS)), checkpoint.tokenizer)


def from_file(checkpoint: Checkpoint, path: Path) -> Calibration:
    """Return the texts of a file.

    Raises:
        DataError: it is unreadable, holds no text, or is in another script than the vocabulary.
    """
    examples: list[Example]
    if checkpoint.task == "qa":
        asked = read_squad(path, need_answers=False)
        examples = [(example.question, example.context) for example in asked]
    else:
        examples = [(line,) for line in texts.read_lines(path)]
    chosen = tuple(spread(examples, MOST_TEXTS))
    used = [text for example in chosen for text in example]
    ids = token_counts(used, checkpoint.tokenizer)
    if not ids:
        raise DataError(f"{path} holds no text to calibrate on")
    check_known(ids, checkpoint.tokenizer, str(path), "calibrate on texts")
    return Calibration(path.name, chosen, checkpoint.tokenizer)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return `count` items at even distances, since neighbours are alike; all if 0 or fewer."""
    if not 0 < count < len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _encode(tokenizer: Tokenizer, example: Example, length: int) -> features.TokenRow:
    if len(example) == 1:
        return features.encode(tokenizer, example[0], None, length)
    window = windows(tokenizer, example[0], example[1], QAOptions.for_length(length))[0]
    return window.input_ids, window.token_type_ids


def token_counts(given: Sequence[str], tokenizer: TextTokenizer) -> Counter[int]:
    """Return how often each token stands in texts."""
    encodings = tokenizer.tokenizer.encode_batch_fast(list(given), add_special_tokens=False)
    return Counter(token for encoding in encodings for token in encoding.ids)


def check_known(counts: Counter[int], tokenizer: TextTokenizer, source: str, instead: str) -> None:
    """Refuse texts of which the tokenizer knows little; byte-level vocabularies know all.

    Args:
        counts: how often each token stands in them.
        tokenizer: whose tokens they are.
        source: the texts' name, for the sentence.
        instead: what to do, as the beginning of "… in the language that …".

    Raises:
        DataError: more than :data:`MOST_UNKNOWN` of them are unknown, or more than
            :data:`MOST_SPELT` are that or single letters inside words.
    """
    unknown = tokenizer.tokenizer.token_to_id("[UNK]")
    share = 0.0 if unknown is None else counts[unknown] / max(counts.total(), 1)
    if share > MOST_UNKNOWN:
        raise DataError(
            f"{100 * share:.0f} % of the tokens of {source} are not in the checkpoint's vocabulary"
            f" ([UNK]), at most {100 * MOST_UNKNOWN:.0f} % may be: {instead} in the"
            " language that the model was trained on"
        )
    spelt = share + _letters(counts, tokenizer) / max(counts.total(), 1)
    if spelt > MOST_SPELT:
        raise DataError(
            f"{100 * spelt:.0f} % of the tokens of {source} are unknown or single letters: the"
            f" checkpoint's vocabulary has no words of that script; {instead} in the language that"
            " the model was trained on"
        )


def _letters(counts: Counter[int], tokenizer: TextTokenizer) -> int:
    """Return how many tokens are single letters that go on with a word, in WordPiece."""
    prefix = getattr(tokenizer.tokenizer.model, "continuing_subword_prefix", None)
    if not prefix:
        return 0
    pieces = {number: tokenizer.tokenizer.id_to_token(number) or "" for number in counts}
    return sum(
        counts[number]
        for number, piece in pieces.items()
        if piece.startswith(prefix)
        and len(piece) == len(prefix) + 1
        # Letters and the marks that belong to them.
        and unicodedata.category(piece[-1])[0] in "LM"
    )
