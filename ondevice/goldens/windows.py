"""Pairs of question and context, with the windows over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ondevice import samples
from ondevice.errors import DataError
from ondevice.golden_records import WindowRecord, WindowRow
from ondevice.goldens.tokens import TEXTS, utf16_ranges
from ondevice.manifest import WindowInfo
from ondevice.tasks import qa
from ondevice.tasks.qa import QAOptions

if TYPE_CHECKING:
    from ondevice.tokenizer import TextTokenizer

# Windows of these lengths, where the artifact has room for them, and of its own longest.
WINDOW_LENGTHS = (128, 384)


def options_for(window: WindowInfo) -> QAOptions:
    """Return the options that a manifest or a golden states."""
    return QAOptions(**window.model_dump())


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
        utf16_offsets=utf16_ranges(context, offsets),
        context=(window.context_start, window.context_end),
        max_context=tuple(window.max_context.astype(int).tolist()),
    )
