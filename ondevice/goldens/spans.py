"""Made-up logits over windows, with the spans to choose from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from ondevice.errors import DataError
from ondevice.golden_records import DECIMALS, DecodeRecord, LogitWindow, Span
from ondevice.goldens.windows import options_for
from ondevice.manifest import WindowInfo
from ondevice.tasks import qa

_CONTEXT = "Ada met Bob in Rome on Monday, then left"
_EMOJI_CONTEXT = "👩\u200d👧 e\u0301te\u0301 東京 😀 done"
# Three tokens of question and specials before the context, one special after it.
_BEFORE, _AFTER = 4, 1
_LOW = -4.0
_DECODE_OPTIONS = WindowInfo(max_length=32, doc_stride=4, max_query=8, max_answer=30, n_best=5)


def decode_records() -> Iterator[DecodeRecord]:
    """Yield the span decode vectors; they are the same for every bundle."""
    words = len(_CONTEXT.split())
    clear = _logits(_CONTEXT, starts={4: 5.0}, ends={4: 4.5})
    yield _decode("one clear span", [clear])
    equal = _logits(_CONTEXT, starts={2: 3.0, 5: 3.0}, ends={2: 2.0, 5: 2.0})
    yield _decode("equal scores: the earlier start, then the earlier end", [equal])
    ends = _logits(_CONTEXT, starts={2: 3.0}, ends={3: 2.0, 6: 2.0, 4: 2.0})
    yield _decode("equal scores: the earlier end", [ends])
    reverse = _logits(_CONTEXT, starts={6: 9.0, 0: 1.0}, ends={1: 9.0, 7: 1.5})
    yield _decode("the best end stands before the best start", [reverse])
    long = _logits(_CONTEXT, starts={1: 8.0}, ends={3: 8.0, 2: 1.0})
    yield _decode("the best span is longer than max_answer", [long], max_answer=2)
    outside = _logits(
        _CONTEXT, starts={1: 2.0}, ends={2: 2.0}, outside={0: 50.0, 2: 40.0, -1: 60.0}
    )
    yield _decode("the highest logits are outside the context", [outside])
    first = _logits(_CONTEXT, starts={4: 7.0}, ends={5: 3.0}, last=6, shown=range(4))
    second = _logits(_CONTEXT, starts={4: 6.0}, ends={5: 3.0}, first=2, shown=range(4, words))
    yield _decode("a start counts where its window has max-context", [first, second])
    yield _decode(
        "equal scores: the earlier window",
        [
            _logits(_CONTEXT, starts={1: 3.0}, ends={1: 3.0}, last=4),
            _logits(_CONTEXT, starts={6: 3.0}, ends={6: 3.0}, first=4),
        ],
    )
    yield _decode("n_best 2 of many", [equal], n_best=2)
    one = _logits(_CONTEXT, first=3, last=4, starts={3: 1.0}, ends={3: 1.0})
    yield _decode("a window of one token has one span", [one])
    emoji = _logits(_EMOJI_CONTEXT, starts={2: 4.0, 0: 3.0}, ends={3: 4.0, 0: 3.0})
    yield _decode("code points outside the basic plane", [emoji], context=_EMOJI_CONTEXT)
    broken = _logits(_CONTEXT, starts={2: None}, ends={3: 1.0})
    yield _decode("a logit that is not finite", [broken])


def _logits(
    context: str,
    *,
    starts: Mapping[int, float | None],
    ends: Mapping[int, float | None],
    outside: Mapping[int, float] | None = None,
    first: int = 0,
    last: int | None = None,
    shown: range | None = None,
) -> LogitWindow:
    """Return a window over the words [first, last) of a context.

    `starts` and `ends` give logits by word, `outside` by place in the window; `shown` are the
    words for which it has max-context (default: all of its words).
    """
    places = [match.span() for match in re.finditer(r"\S+", context)]
    last = len(places) if last is None else last
    size = _BEFORE + last - first + _AFTER
    rows: list[list[float | None]] = []
    for given in (starts, ends):
        row: list[float | None] = [_LOW] * size
        for place, value in (outside or {}).items():
            row[place] = value
        for word, logit in given.items():
            row[_BEFORE + word - first] = logit
        rows.append(row)
    zeros = ((0, 0),)
    marks = [1 if shown is None or word in shown else 0 for word in range(first, last)]
    return LogitWindow.model_validate(
        {
            "offsets": (*zeros * _BEFORE, *places[first:last], *zeros * _AFTER),
            "context": (_BEFORE, size - _AFTER),
            "max_context": (*[0] * _BEFORE, *marks, *[0] * _AFTER),
            "start_logits": tuple(rows[0]),
            "end_logits": tuple(rows[1]),
        }
    )


def _decode(
    name: str, windows: list[LogitWindow], *, context: str = _CONTEXT, **changes: int
) -> DecodeRecord:
    options = _DECODE_OPTIONS.model_copy(update=changes)
    record = DecodeRecord(
        name=name, context=context, options=options, windows=tuple(windows), answers=()
    )
    try:
        answers = tuple(span_of(found) for found in choose(record))
    except DataError:
        return record.model_copy(update={"error": "not_finite"})
    return record.model_copy(update={"answers": answers})


def choose(record: DecodeRecord) -> list[qa.Answer]:
    """Choose the spans of a decode record with :func:`ondevice.tasks.qa.decode`.

    Raises:
        DataError: a logit is not finite.
    """
    cut = [
        qa.Window(
            input_ids=np.zeros(len(window.offsets), np.int32),
            attention_mask=np.ones(len(window.offsets), np.int32),
            token_type_ids=np.zeros(len(window.offsets), np.int32),
            offsets=np.asarray(window.offsets, np.int32),
            context_start=window.context[0],
            context_end=window.context[1],
            max_context=np.asarray(window.max_context, np.bool_),
        )
        for window in record.windows
    ]
    starts = [np.asarray(window.start_logits, np.float32) for window in record.windows]
    ends = [np.asarray(window.end_logits, np.float32) for window in record.windows]
    return qa.decode(cut, starts, ends, record.context, options_for(record.options))


def span_of(answer: qa.Answer) -> Span:
    """Return an answer as goldens state it."""
    return Span(
        text=answer.text,
        start=answer.start,
        end=answer.end,
        score=round(answer.score, DECIMALS),
        probability=round(answer.probability, DECIMALS),
    )
