"""Sentence embedding: one text in, one vector of length 1 out."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice import samples
from ondevice.tasks.base import Example, Task


def _examples() -> Sequence[Example]:
    return [(text,) for text in samples.sentences("embed")]


# "Model" is the bare encoder's class (BertModel, DistilBertModel, …); an encoder saved with its
# pre-training head serves as well, the head is left out.
EMBED = Task(
    name="embed",
    roles=("embedding",),
    heads=("Model", "ForMaskedLM", "ForPreTraining"),
    per_token=False,
    default_length=128,
    auto_class="AutoModel",
    examples=_examples,
)
