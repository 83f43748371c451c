"""Sequence classification: one text in, one score for each class out."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice import samples
from ondevice.tasks.base import Example, Task


def _examples() -> Sequence[Example]:
    return [(text,) for text in samples.sentences("classify")]


CLASSIFY = Task(
    name="classify",
    roles=("logits",),
    heads=("ForSequenceClassification",),
    per_token=False,
    default_length=128,
    auto_class="AutoModelForSequenceClassification",
    examples=_examples,
)
