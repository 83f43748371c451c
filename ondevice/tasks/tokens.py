"""Token classification (named entities and the like): one score for each label and token."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice import samples
from ondevice.tasks.base import Example, Task


def _examples() -> Sequence[Example]:
    return [(text,) for text in samples.sentences("tokens")]


TOKENS = Task(
    name="tokens",
    roles=("logits",),
    heads=("ForTokenClassification",),
    per_token=True,
    default_length=128,
    auto_class="AutoModelForTokenClassification",
    examples=_examples,
)
