"""Goldens: inputs with the answers that they must give, one JSON object a line.

A phone app that reproduces every line of ``golden.jsonl`` tokenizes, cuts windows, runs the model
and chooses answers as Python does. The records' types are in :mod:`ondevice.golden_records`, and
``read(path)`` reads them. Kinds:

- ``tokenize``: a text, its ids without special tokens, and each token's place in code points
  (`offsets`) and in UTF-16 units (`utf16_offsets`). A literal ``[SEP]`` in a text becomes the
  special id, as in the reference.
- ``window`` (qa): a question, a context, the window options, and the windows: ids, token types,
  places, the range of the context and max-context; or an `error`: ``empty_question``,
  ``empty_context`` (nothing but white space and dropped characters is empty too). For windows of
  128 and 384 tokens where the artifact is as long, and of its longest length.
- ``run``: model inputs of one length, with the checkpoint's float32 outputs and how far the
  artifact may be from them.
- ``decode`` (qa): made-up logits over windows, and the spans to choose from them, best first:
  ties, an end before its start, answers too long, logits outside the context, max-context,
  n-best, surrogate pairs; or the `error` ``not_finite``.
- ``answer`` (qa): five questions from end to end, with the checkpoint's own best answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice import samples
from ondevice.errors import DataError
from ondevice.golden_records import (
    AnswerRecord,
    DecodeRecord,
    LogitWindow,
    Record,
    RunRecord,
    Span,
    TokenizeRecord,
    WindowRecord,
    WindowRow,
    read,
)
from ondevice.manifest import WindowInfo
from ondevice.tasks import qa
from ondevice.tasks.qa import QAOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ondevice.inference import Reply
    from ondevice.models import Checkpoint
    from ondevice.plan import Job
    from ondevice.schemes import ParityLimit
    from ondevice.tokenizer import TextTokenizer
    from ondevice.verify.reference import Case

__all__ = ["TEXTS", "choose", "options_for", "read", "utf16_places", "write"]

# Where tokenizers on phones differ from Python's: accents, CJK, combining marks, emoji, no-break
# space, control characters, final sigma, a long word, a literal special token, empty text.
TEXTS = (
    "Where did the river begin?",
    "naïve café, São Paulo, Dvořák",
    "cafe\u0301 in decomposed form",
    "o\u0308\u0323 two marks, \u0301a mark first",
    "東京 is the capital of 日本",
    "𠀋 is outside the basic plane",
    "한글 was made in 1443",
    "ΟΔΥΣΣΕΥΣ",
    "İstanbul, STRASSE, straße, ǅ",
    "😀 emoji 👩\u200d👩\u200d👧 👍🏽 🇪🇺",
    "no\u00a0break\tand\nnew line\u2028separator\u3000wide",
    "control\u0000 \u0007characters\ufffd and\u00adsoft\u200bhyphens",
    "€100 ± 5 °C = 50%; $x^2 + y~2 | `code`",
    "ﬁne ½ ² ＡＢＣ",
    "نص عربي וטקסט עברי हिन्दी",
    "a" * 100,
    "a" * 101,
    "a literal [SEP] in the text",
    "[CLS][MASK] <s> </s>",
    " ",
    "",
)
# Windows of these lengths, where the artifact has room for them, and of its own longest.
WINDOW_LENGTHS = (128, 384)
DECIMALS = 6
ANSWERS = 5
# Questions that the checkpoint is asked, to keep the clearest of its answers.
CANDIDATES = 10
# Longer contexts only repeat what two windows show. Characters for each token of a window.
CONTEXT_CHARACTERS = 8


def write(
    path: Path,
    checkpoint: Checkpoint,
    job: Job,
    window: WindowInfo,
    inputs: Sequence[str],
    cases: Sequence[Case],
) -> None:
    """Write the goldens of one bundle."""
    records: list[Record] = [*tokenize_records(checkpoint.tokenizer)]
    if job.task == "qa":
        records += window_records(checkpoint.tokenizer, window)
        records += decode_records()
    records += run_records(job.scheme.limit, inputs, cases)
    if job.task == "qa":
        replies = _checkpoint_replies(checkpoint, window)
        records += answer_records(replies, window, job.scheme.limit)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for record in records:
            stream.write(_line(record) + "\n")


def _line(record: Record) -> str:
    """Return a record as one line, whatever a reader takes for the end of a line."""
    return re.sub(
        r"[\x85\u2028\u2029]",
        lambda found: f"\\u{ord(found.group()):04x}",
        record.model_dump_json(),
    )


def utf16_places(text: str) -> list[int]:
    """Return, for each code point of a text and its end, the place in UTF-16 units."""
    places = [0]
    for char in text:
        places.append(places[-1] + (2 if ord(char) > 0xFFFF else 1))
    return places


def options_for(window: WindowInfo) -> QAOptions:
    """Return the options that a manifest or a golden states."""
    return QAOptions(**window.model_dump())


# --- tokenization ---


def tokenize_records(tokenizer: TextTokenizer) -> Iterator[TokenizeRecord]:
    """Yield each of the texts with its tokens."""
    for text in TEXTS:
        yield tokenize_record(tokenizer, text)


def tokenize_record(tokenizer: TextTokenizer, text: str) -> TokenizeRecord:
    """Return a text with its tokens."""
    encoded = tokenizer.tokenizer.encode(text, add_special_tokens=False)
    return TokenizeRecord(
        text=text,
        ids=tuple(encoded.ids),
        offsets=tuple(encoded.offsets),
        utf16_offsets=_utf16(text, encoded.offsets),
    )


def _utf16(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    places = utf16_places(text)
    return tuple((places[start], places[end]) for start, end in offsets)


# --- windows ---


def window_records(tokenizer: TextTokenizer, window: WindowInfo) -> Iterator[WindowRecord]:
    """Yield pairs with their windows, for each length, and the pairs that are errors."""
    question, context = samples.pairs("qa")[0]
    for options in _window_options(window):
        for pair in _window_pairs(question, options):
            yield window_record(tokenizer, *pair, options)
    for error_question, error_context in (
        (question, ""),
        (question, " \n\u00a0\u0007"),
        ("", context),
    ):
        yield window_record(tokenizer, error_question, error_context, window)


def _window_options(window: WindowInfo) -> list[WindowInfo]:
    """Return the artifact's own options first, then those of shorter windows."""
    lengths = [length for length in WINDOW_LENGTHS if length < window.max_length]
    return [window, *(window_info(QAOptions.for_length(length)) for length in lengths)]


def window_info(options: QAOptions) -> WindowInfo:
    """Return window options as the manifest and the goldens state them."""
    return WindowInfo(
        max_length=options.max_length,
        doc_stride=options.doc_stride,
        max_query=options.max_query,
        max_answer=options.max_answer,
        n_best=options.n_best,
    )


def _window_pairs(question: str, options: WindowInfo) -> list[tuple[str, str]]:
    """Return a text of one window (of 128 tokens and up), long ones, and a question to be cut."""
    passages = samples.texts()
    # 12 characters a token is more than English needs: three windows at the least.
    long = "\n\n".join(passages)[: 12 * options.max_length]
    strange = " ".join(TEXTS) * (1 + options.max_length // 384)
    return [
        (question, passages[0][: options.max_length]),
        (question, long),
        (question, strange),
        (" ".join([question] * (1 + options.max_query // 4)), passages[1]),
    ]


def window_record(
    tokenizer: TextTokenizer, question: str, context: str, options: WindowInfo
) -> WindowRecord:
    """Return a pair with its windows, or with the error that it is."""
    try:
        cut = qa.windows(tokenizer.tokenizer, question, context, options_for(options))
    except DataError:
        kind = "empty_context" if question else "empty_question"
        return WindowRecord.model_validate(
            {
                "question": question,
                "context": context,
                "options": options,
                "windows": (),
                "error": kind,
            }
        )
    rows = tuple(_window_row(item, context) for item in cut)
    return WindowRecord(question=question, context=context, options=options, windows=rows)


def _window_row(window: qa.Window, context: str) -> WindowRow:
    offsets = [(int(start), int(end)) for start, end in window.offsets]
    return WindowRow(
        input_ids=tuple(window.input_ids.tolist()),
        token_type_ids=tuple(window.token_type_ids.tolist()),
        offsets=tuple(offsets),
        utf16_offsets=_utf16(context, offsets),
        context=(window.context_start, window.context_end),
        max_context=tuple(window.max_context.astype(int).tolist()),
    )


# --- model inputs with outputs ---


def run_records(
    limit: ParityLimit, inputs: Sequence[str], cases: Sequence[Case]
) -> Iterator[RunRecord]:
    """Yield each case with the checkpoint's outputs and the scheme's limit."""
    for case in cases:
        yield RunRecord(
            length=case.length,
            valid=case.valid,
            inputs={name: tuple(case.inputs[name][0].tolist()) for name in inputs},
            outputs={role: _nested(values) for role, values in case.outputs.items()},
            max_abs=limit.max_abs,
            min_cosine=limit.min_cosine,
        )


def _nested(values: NDArray[np.float32]) -> Any:
    """Return an array as nested tuples of rounded numbers."""
    if values.ndim == 1:
        return tuple(round(float(value), DECIMALS) for value in values)
    return tuple(_nested(row) for row in values)


# --- spans from logits ---

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
        answers = tuple(_span(found) for found in choose(record))
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


def _span(answer: qa.Answer) -> Span:
    return Span(
        text=answer.text,
        start=answer.start,
        end=answer.end,
        score=round(answer.score, DECIMALS),
        probability=round(answer.probability, DECIMALS),
    )


# --- questions from end to end ---


def answer_records(
    replies: Sequence[tuple[qa.QAExample, Reply]], window: WindowInfo, limit: ParityLimit
) -> Iterator[AnswerRecord]:
    """Yield the questions that the checkpoint answers most clearly.

    One of several windows and one with text outside ASCII are among them, if there are any.
    """
    for example, reply in _clearest(replies):
        best, margin = reply.answers[0], _margin(reply)
        places = utf16_places(example.context)
        yield AnswerRecord(
            question=example.question,
            context=example.context,
            options=window,
            windows=len(reply.lengths),
            answer=_span(best),
            utf16=(places[best.start], places[best.end]),
            margin=round(margin, DECIMALS),
            # Two spans are four logits, each of which may move by the limit.
            decisive=limit.max_abs is not None and margin > 4 * limit.max_abs,
        )


def _clearest(replies: Sequence[tuple[qa.QAExample, Reply]]) -> list[tuple[qa.QAExample, Reply]]:
    ordered = sorted(replies, key=lambda pair: -_margin(pair[1]))
    several = [pair for pair in ordered if len(pair[1].lengths) > 1][:1]
    strange = [pair for pair in ordered if not pair[0].context.isascii()][:1]
    chosen = {pair[0].id: pair for pair in [*several, *strange, *ordered]}
    return list(chosen.values())[:ANSWERS]


def _margin(reply: Reply) -> float:
    scores = [answer.score for answer in reply.answers[:2]]
    return scores[0] - scores[1] if len(scores) == 2 else 0.0


# The replies of one checkpoint serve all schemes and targets of a build.
_last_replies: dict[tuple[str, WindowInfo], list[tuple[qa.QAExample, Reply]]] = {}


def _checkpoint_replies(
    checkpoint: Checkpoint, window: WindowInfo
) -> list[tuple[qa.QAExample, Reply]]:
    """Ask the checkpoint the candidates' questions."""
    from ondevice.inference import answer
    from ondevice.verify import reference

    key = (checkpoint.sha256, window)
    if key in _last_replies:
        return _last_replies[key]
    replies = []
    model = reference.load_model(checkpoint)
    for example in _candidates(window.max_length):
        reply = answer(
            lambda inputs: reference.run_model(model, "qa", inputs),
            checkpoint.tokenizer,
            example.question,
            example.context,
            options=options_for(window),
        )
        replies.append((example, reply))
    _last_replies.clear()
    _last_replies[key] = replies
    return replies


def _candidates(max_length: int) -> list[qa.QAExample]:
    """Return one question for each of some passages, at even distances, and a long passage."""
    size = CONTEXT_CHARACTERS * max_length
    by_passage: dict[str, qa.QAExample] = {}
    for example in qa.read_squad(samples.qa_path()):
        if example.answers[0].start + len(example.answers[0].text) <= size:
            by_passage.setdefault(example.context, example)
    kept = list(by_passage.values())
    longest = max(kept, key=lambda example: len(example.context))
    step = max(len(kept) // (CANDIDATES - 1), 1)
    chosen = {example.id: example for example in [longest, *kept[::step]]}
    return [
        qa.QAExample(example.id, example.question, example.context[:size], example.answers)
        for example in list(chosen.values())[:CANDIDATES]
    ]
