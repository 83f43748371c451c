"""What every task says about itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# A text, or a (question, context) pair.
Example = tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """A task's name, its outputs, the heads that fit, and examples of real text for it.

    Attributes:
        name: the word used on the command line and in manifests.
        roles: the names of the outputs, in the order in which the graph returns them.
        heads: the endings of Hugging Face class names (``config.architectures``) that carry a
            head for this task.
        per_token: whether an output has a value for each token; those of padding mean nothing.
        default_length: the sequence length to build for when the user names none.
        auto_class: the transformers class that loads such a checkpoint.
        examples: returns real texts (or pairs of texts) that the project ships.
    """

    name: str
    roles: tuple[str, ...]
    heads: tuple[str, ...]
    per_token: bool
    default_length: int
    auto_class: str
    examples: Callable[[], Sequence[Example]]
