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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.golden_records import DECIMALS, Record, read
from ondevice.goldens.answers import Replied, answer_records, ask
from ondevice.goldens.runs import run_records
from ondevice.goldens.spans import choose, decode_records
from ondevice.goldens.tokens import TEXTS, tokenize_record, tokenize_records, utf16_places
from ondevice.goldens.windows import options_for, window_info, window_record, window_records

if TYPE_CHECKING:
    from ondevice.manifest import WindowInfo
    from ondevice.schemes import ParityLimit
    from ondevice.tokenizer import TextTokenizer
    from ondevice.verify.reference import Case

__all__ = [
    "DECIMALS",
    "TEXTS",
    "Material",
    "Replied",
    "ask",
    "choose",
    "collect",
    "decode_records",
    "line",
    "options_for",
    "read",
    "tokenize_record",
    "tokenize_records",
    "utf16_places",
    "window_info",
    "window_record",
    "window_records",
    "write",
]


@dataclass(frozen=True)
class Material:
    """What the goldens of a bundle are made from.

    Attributes:
        limit: how far the artifact may be from the checkpoint.
        inputs: the names of the artifact's inputs.
        cases: model inputs with the checkpoint's outputs.
        replies: what the checkpoint replied to :func:`ask` (qa).
    """

    task: str
    tokenizer: TextTokenizer
    window: WindowInfo
    limit: ParityLimit
    inputs: Sequence[str]
    cases: Sequence[Case]
    replies: Sequence[Replied] = ()


def collect(material: Material) -> Iterator[Record]:
    """Yield the goldens of a bundle, in the order of their file."""
    is_qa = material.task == "qa"
    yield from tokenize_records(material.tokenizer)
    if is_qa:
        yield from window_records(material.tokenizer, material.window)
        yield from decode_records()
    yield from run_records(material.limit, material.inputs, material.cases)
    if is_qa:
        yield from answer_records(material.replies, material.window, material.limit)


def write(path: Path, records: Iterable[Record]) -> None:
    """Write goldens, one JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for record in records:
            stream.write(line(record) + "\n")


def line(record: Record) -> str:
    """Return a record as one line, whatever a reader takes for the end of a line."""
    return re.sub(
        r"[\x85\u2028\u2029]",
        lambda found: f"\\u{ord(found.group()):04x}",
        record.model_dump_json(),
    )
