"""Windows over (question, context) pairs: what a question-answering model is fed.

The phone apps repeat this file line by line, so it is integers and NumPy only: the same text gives
the same arrays on every platform. Offsets count Unicode code points of the original context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import DataError, UserError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
# The ids of one input and their token types, unpadded.
TokenRow = tuple[Sequence[int] | IntArray, Sequence[int] | IntArray]


@dataclass(frozen=True)
class QAOptions:
    """How a context is cut into windows and how spans are chosen.

    `doc_stride` is the number of context tokens that two neighbouring windows **share** (the
    meaning it has in Hugging Face's code; BERT's original code means the step between windows).
    `null_threshold` is SQuAD v2's: None always answers, a number lets "no answer" win by that
    margin.
    """

    max_length: int = 384
    doc_stride: int = 128
    max_query: int = 64
    max_answer: int = 30
    n_best: int = 20
    null_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse combinations that leave no room for the context."""
        for name in ("max_length", "max_query", "max_answer", "n_best"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.doc_stride < 0:
            raise UserError(f"doc_stride must not be negative, not {self.doc_stride}")
        # Up to four special tokens (RoBERTa's <s> q </s></s> c </s>); 8 tokens of context at the
        # least.
        if self.max_query > self.max_length - 12:
            raise UserError(
                f"max_query {self.max_query} leaves no room for the context in windows of "
                f"{self.max_length} tokens; max_query may be up to {self.max_length - 12}"
            )

    @classmethod
    def for_length(cls, max_length: int) -> QAOptions:
        """Return the defaults, with stride and query scaled down to fit windows of `max_length`."""
        return cls(
            max_length=max_length,
            doc_stride=min(cls.doc_stride, max_length // 3),
            max_query=min(cls.max_query, max_length // 3, max_length - 12),
        )


@dataclass(frozen=True, eq=False)
class Window:
    """One model input, unpadded: T tokens, of which [context_start, context_end) are context.

    `offsets` [T, 2] holds each context token's code-point range in the original context and zeros
    for every other token. `max_context` [T] is true where, of all windows that hold a token, this
    one shows it with the most context on its poorer side; a span counts only in the window
    where its first token has it, so every span is proposed by exactly one window.
    """

    input_ids: IntArray
    attention_mask: IntArray
    token_type_ids: IntArray
    offsets: IntArray
    context_start: int
    context_end: int
    max_context: BoolArray

    def __len__(self) -> int:
        """Return T, the number of tokens."""
        return int(self.input_ids.shape[0])


def windows(
    tokenizer: Tokenizer, question: str, context: str, options: QAOptions | None = None
) -> list[Window]:
    """Cut a pair into overlapping windows of at most `max_length` tokens, in reading order.

    The tokenizer comes without truncation and padding, as `ondevice.tokenizer.read_tokenizer` gives
    it.

    A question of more than `max_query` tokens is cut at the end of its last whole kept token. The
    overlap is `doc_stride`, or half of the room for context where that is less.

    Raises:
        DataError: question or context is empty (or holds no token).
    """
    options = options or QAOptions()
    question = _cut_question(tokenizer, question, options.max_query)
    whole = tokenizer.encode(question, context)
    first, last = _context_range(whole)
    if first == last:
        raise DataError("the context is empty")
    room = options.max_length - (len(whole.ids) - (last - first))
    if last - first <= room:
        return [_window(whole, np.ones(len(whole.ids), dtype=np.bool_))]
    tokenizer.enable_truncation(
        options.max_length,
        stride=min(options.doc_stride, room // 2),
        strategy="only_second",
    )
    try:
        cut = tokenizer.encode(question, context)
    finally:
        tokenizer.no_truncation()
    encodings = [cut, *cut.overflowing]
    return [
        _window(encoding, mask)
        for encoding, mask in zip(encodings, _max_context(encodings, room, options), strict=True)
    ]


def batch(
    items: Sequence[Window], *, length: int | None = None, pad_id: int = 0
) -> dict[str, IntArray]:
    """Pad windows into int32 arrays [N, L]; L is `length` or the longest window's."""
    size = max(len(item) for item in items) if length is None else length
    return pad([(item.input_ids, item.token_type_ids) for item in items], size, pad_id)


def pad(rows: Sequence[TokenRow], length: int, pad_id: int) -> dict[str, IntArray]:
    """Pad (ids, token types) on the right into the inputs of every artifact, int32 [N, length]."""
    shape = (len(rows), length)
    arrays = {
        "input_ids": np.full(shape, pad_id, dtype=np.int32),
        "attention_mask": np.zeros(shape, dtype=np.int32),
        "token_type_ids": np.zeros(shape, dtype=np.int32),
    }
    for place, (ids, types) in enumerate(rows):
        size = len(ids)
        arrays["input_ids"][place, :size] = ids
        arrays["attention_mask"][place, :size] = 1
        arrays["token_type_ids"][place, :size] = types
    return arrays


def encode(tokenizer: Tokenizer, text: str, second: str | None, limit: int) -> TokenRow:
    """Encode a text or a pair; what exceeds `limit` tokens is cut, the closing special one stays.

    For tasks without windows: one text, one input.
    """
    encoded = tokenizer.encode(text, second)
    ids, types = list(encoded.ids), list(encoded.type_ids)
    if len(ids) > limit:
        ids, types = [*ids[: limit - 1], ids[-1]], types[:limit]
    return ids, types


def shortest_length(tokens: int, lengths: Sequence[int]) -> int:
    """Return the shortest of the ascending lengths that holds so many tokens, else the longest."""
    return next((length for length in lengths if length >= tokens), lengths[-1])


def token_span(window: Window, start: int, end: int) -> tuple[int, int] | None:
    """Return the token range (inclusive) that covers code points [start, end), None if not inside.

    Positions without a token (white space, dropped control characters) at either end are allowed,
    but not beyond the window's first or last context token: there the answer may be cut off.
    """
    offsets = window.offsets[window.context_start : window.context_end]
    touching = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))
    if not len(touching):
        return None
    # A window that ends (or begins) inside the answer also touches it: both ends must be covered.
    first, last = int(touching[0]), int(touching[-1])
    cut_left = first == 0 and offsets[0, 0] > start
    cut_right = last == len(offsets) - 1 and offsets[-1, 1] < end
    if cut_left or cut_right:
        return None
    return window.context_start + first, window.context_start + last


def _cut_question(tokenizer: Tokenizer, question: str, max_query: int) -> str:
    encoding = tokenizer.encode(question, add_special_tokens=False)
    if not encoding.ids:
        raise DataError("the question is empty")
    if len(encoding.ids) <= max_query:
        return question
    return question[: encoding.offsets[max_query - 1][1]]


def _context_range(encoding: Encoding) -> tuple[int, int]:
    """Return [first, last) of the tokens that belong to the second sequence."""
    inside = [i for i, sequence in enumerate(encoding.sequence_ids) if sequence == 1]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _window(encoding: Encoding, max_context: BoolArray) -> Window:
    first, last = _context_range(encoding)
    offsets = np.zeros((len(encoding.ids), 2), dtype=np.int32)
    offsets[first:last] = encoding.offsets[first:last]
    mask = max_context.copy()
    mask[:first] = False
    mask[last:] = False
    return Window(
        input_ids=np.asarray(encoding.ids, dtype=np.int32),
        attention_mask=np.asarray(encoding.attention_mask, dtype=np.int32),
        token_type_ids=np.asarray(encoding.type_ids, dtype=np.int32),
        offsets=offsets,
        context_start=first,
        context_end=last,
        max_context=mask,
    )


def _max_context(encodings: list[Encoding], room: int, options: QAOptions) -> list[BoolArray]:
    """Mark, for each context token, the window that shows the most context around it.

    The score is BERT's, min(left, right) + 0.01 · window length, in whole hundredths so that no
    platform rounds it differently; the earlier window wins a tie.
    """
    step = room - min(options.doc_stride, room // 2)
    best: dict[int, tuple[int, int]] = {}
    ranges = [_context_range(encoding) for encoding in encodings]
    for index, (first, last) in enumerate(ranges):
        size = last - first
        for position in range(size):
            score = 100 * min(position, size - 1 - position) + size
            token = index * step + position
            if token not in best or score > best[token][0]:
                best[token] = (score, index)
    masks = []
    for index, (first, last) in enumerate(ranges):
        mask = np.zeros(len(encodings[index].ids), dtype=np.bool_)
        for position in range(last - first):
            mask[first + position] = best[index * step + position][1] == index
        masks.append(mask)
    return masks
