"""Goldens: inputs with the answers that they must give, one JSON object a line.

A phone app that reproduces every line of ``golden.jsonl`` tokenizes, cuts windows and runs the
model as Python does. Kinds:

- ``tokenize``: a text, its ids and its offsets in code points, without special tokens;
- ``window``: a question and a context (task ``qa``), and the windows over them;
- ``run``: model inputs of one length, with the checkpoint's float32 outputs and how far the
  artifact may be from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice.tasks import TASKS
from ondevice.tasks.qa import QAOptions, windows

if TYPE_CHECKING:
    from ondevice.manifest import WindowInfo
    from ondevice.models import Checkpoint
    from ondevice.plan import Job
    from ondevice.tokenizer import TextTokenizer
    from ondevice.verify.reference import Case

# Where tokenizers on phones differ from Python's: accents, CJK, combining marks, emoji, no-break
# space, control characters, final sigma, a long word, a literal special token, empty text.
TEXTS = (
    "Where did the river begin?",
    "naïve café, São Paulo, Dvořák",
    "cafe\u0301 in decomposed form",
    "東京 is the capital of 日本",
    "한글 was made in 1443",
    "ΟΔΥΣΣΕΥΣ",
    "😀 emoji 👩\u200d👩\u200d👧",
    "no\u00a0break\tand\nnew line",
    "control\u0000 \u0007characters\ufffd",
    "€100 ± 5 °C = 50%; $x^2 + y~2 | `code`",
    "a" * 120,
    "a literal [SEP] in the text",
    "",
)
WINDOW_EXAMPLES = 4
DECIMALS = 6


def write(
    path: Path,
    checkpoint: Checkpoint,
    job: Job,
    window: WindowInfo,
    inputs: Sequence[str],
    cases: Sequence[Case],
) -> None:
    """Write the goldens of one bundle."""
    records: list[dict[str, Any]] = [*_tokenize(checkpoint.tokenizer)]
    if job.task == "qa":
        records += _windows(checkpoint.tokenizer, window)
    records += _runs(job, inputs, cases)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _tokenize(tokenizer: TextTokenizer) -> Iterator[dict[str, Any]]:
    for text in TEXTS:
        encoded = tokenizer.tokenizer.encode(text, add_special_tokens=False)
        yield {"kind": "tokenize", "text": text, "ids": encoded.ids, "offsets": encoded.offsets}


def _windows(tokenizer: TextTokenizer, window: WindowInfo) -> Iterator[dict[str, Any]]:
    options = QAOptions(**window.model_dump())
    for question, context in TASKS["qa"].examples()[:WINDOW_EXAMPLES]:
        cut = windows(tokenizer.tokenizer, question, context, options)
        yield {
            "kind": "window",
            "question": question,
            "context": context,
            "windows": [
                {
                    "input_ids": item.input_ids.tolist(),
                    "token_type_ids": item.token_type_ids.tolist(),
                    "offsets": item.offsets.tolist(),
                    "context": [item.context_start, item.context_end],
                    "max_context": item.max_context.astype(int).tolist(),
                }
                for item in cut
            ],
        }


def _runs(job: Job, inputs: Sequence[str], cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    limit = job.scheme.limit
    for case in cases:
        yield {
            "kind": "run",
            "length": case.length,
            "valid": case.valid,
            "inputs": {name: case.inputs[name][0].tolist() for name in inputs},
            "outputs": {
                role: values.round(DECIMALS).tolist() for role, values in case.outputs.items()
            },
            "max_abs": limit.max_abs,
            "min_cosine": limit.min_cosine,
        }
