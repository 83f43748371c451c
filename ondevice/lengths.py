"""Which sequence lengths an artifact should serve, from the texts that it will see.

A text is padded to the shortest length that holds it, so few lengths waste time on padding and
many cost room in the app. For a number of lengths this finds the best ones exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import DataError, UserError
from ondevice.tasks import features
from ondevice.tasks.qa import QAOptions, windows
from ondevice.tasks.squad import read_squad
from ondevice.tasks.texts import read_lines

if TYPE_CHECKING:
    from ondevice.architectures import Encoder
    from ondevice.models import Checkpoint

# Kernels work in tiles of 8 or 16 rows: a length between two multiples costs what the next does.
STEP = 16
DEFAULT_COUNT = 4

# What an input of so many tokens costs, in any unit.
Cost = Callable[[int], float]


@dataclass(frozen=True)
class Choice:
    """The lengths that were chosen, ascending, and what they save.

    Attributes:
        texts: how many inputs the histogram counts.
        share: the expected cost of an input, over that with the longest length alone.
    """

    lengths: tuple[int, ...]
    texts: int
    share: float


def multiply_accumulates(encoder: Encoder) -> Cost:
    """Return the encoder's multiply-accumulates as a function of the length.

    For each layer 4·L·H² (projections) + 2·L·H·I (feed-forward) + 2·L²·H (attention), as in
    Vaswani et al. 2017, table 1.
    """
    width, inner, layers = encoder.width, encoder.intermediate, encoder.layers

    def cost(length: int) -> float:
        linear = 4 * width * width + 2 * width * inner
        return float(layers * length * (linear + 2 * length * width))

    return cost


def choose(histogram: Mapping[int, int], longest: int, count: int, cost: Cost) -> Choice:
    """Return at most `count` lengths that make the expected cost of an input least.

    Exact: a dynamic programme over multiples of :data:`STEP`; the longest length is always one.
    Fewer lengths are returned where more would not save anything.

    Args:
        histogram: how many inputs have how many tokens.
        longest: the length that must be served; longer inputs are cut to it.
        count: how many lengths, at least 1.
        cost: of an input padded to a length; must not fall as the length grows.

    Raises:
        UserError: `count` is below 1.
        DataError: the histogram is empty.
    """
    if count < 1:
        raise UserError(f"at least 1 length is needed, not {count}")
    total = sum(histogram.values())
    if not total:
        raise DataError("there are no texts to choose lengths from")
    places = [*range(STEP, longest, STEP), longest]
    # seen[i]: how many inputs fit into places[i].
    seen = [sum(n for tokens, n in histogram.items() if tokens <= place) for place in places[:-1]]
    seen.append(total)
    costs = [cost(place) for place in places]
    # best[i]: the least cost of the inputs that fit into places[i], with that place served, and
    # the lengths that give it; one more length is allowed in each round.
    best: list[tuple[float, tuple[int, ...]]] = [
        (seen[i] * costs[i], (places[i],)) for i in range(len(places))
    ]
    for _ in range(count - 1):
        best = [
            min(
                [best[i]]
                + [
                    (best[j][0] + (seen[i] - seen[j]) * costs[i], (*best[j][1], places[i]))
                    for j in range(i)
                ],
                key=lambda found: (found[0], len(found[1])),
            )
            for i in range(len(places))
        ]
    spent, lengths = best[-1]
    return Choice(lengths, total, spent / (total * costs[-1]))


def from_data(checkpoint: Checkpoint, data: Path, longest: int, count: int) -> Choice:
    """Choose lengths for a checkpoint from the user's own texts.

    What is made least is the arithmetic, which stands for time: per multiplication a length of 128
    takes about a tenth longer than one of 384 (``benchmarks/roofline.py``).

    Args:
        checkpoint: whose tokenizer and size decide.
        data: SQuAD JSON for task qa, where each window counts; else a text a line.
        longest: in tokens.
        count: how many lengths.

    Raises:
        DataError: the file is unreadable or empty.
    """
    sizes = _window_sizes if checkpoint.task == "qa" else _text_sizes
    histogram = Counter(sizes(checkpoint, data, longest))
    return choose(histogram, longest, count, multiply_accumulates(checkpoint.encoder))


def _window_sizes(checkpoint: Checkpoint, data: Path, longest: int) -> list[int]:
    options = QAOptions.for_length(longest)
    tokenizer = checkpoint.tokenizer.tokenizer
    return [
        len(window)
        for example in read_squad(data, need_answers=False)
        for window in windows(tokenizer, example.question, example.context, options)
    ]


def _text_sizes(checkpoint: Checkpoint, data: Path, longest: int) -> list[int]:
    if data.suffix == ".json":
        # Its lines are no texts, and would be counted as such without a word.
        raise UserError(
            f"'{data}' is JSON, and the model's task is '{checkpoint.task}'; --data takes a text"
            " file for it, with a text a line"
        )
    tokenizer = checkpoint.tokenizer.tokenizer
    return [len(features.encode(tokenizer, text, None, longest)[0]) for text in read_lines(data)]
