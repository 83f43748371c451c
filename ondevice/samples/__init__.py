"""Sample texts of our own, to try, measure and compare models without a download.

``qa.json`` is an extractive question-answering set in the SQuAD v1.1 format, ``sentences.json``
holds short texts for the other tasks. Passages include accents, CJK, emoji, combining marks and
no-break spaces on purpose: they are what tokenizers disagree about.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ondevice.errors import UserError, choices

_HERE = Path(__file__).parent


def qa_path() -> Path:
    """Return the question-answering set, a SQuAD v1.1 JSON file."""
    return _HERE / "qa.json"


def sentences(task: str) -> list[str]:
    """Return the short texts for `task`: "classify", "embed" or "tokens".

    Raises:
        UserError: there are no sentences for that task.
    """
    sets = _load(_HERE / "sentences.json")
    if task not in sets:
        raise UserError(choices("task", task, sorted(sets)))
    return [item if isinstance(item, str) else item["text"] for item in sets[task]]


def texts() -> list[str]:
    """Return the passages of the question-answering set, in its order."""
    return [paragraph["context"] for paragraph in _paragraphs()]


def pairs(task: str) -> list[tuple[str, str]]:
    """Return the (question, passage) pairs for `task`, which is "qa".

    Raises:
        UserError: there are no pairs for that task.
    """
    if task != "qa":
        raise UserError(choices("task", task, ["qa"]))
    return [
        (question["question"], paragraph["context"])
        for paragraph in _paragraphs()
        for question in paragraph["qas"]
    ]


def _paragraphs() -> list[dict[str, Any]]:
    """Return the passages with their questions."""
    return [
        paragraph for article in _load(qa_path())["data"] for paragraph in article["paragraphs"]
    ]


def _load(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of this package."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
