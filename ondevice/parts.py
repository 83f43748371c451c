"""The parts of an encoder that a scheme rounds, by name, and which of them the user keeps.

A part is one matrix of the graph: the word embeddings, or a linear layer. It is called as its
module is in :class:`ondevice.graph.MobileEncoder`: ``embeddings.words``,
``layers.0.attention.query``, ``layers.0.contract``, ``head.scores``. What has no name here
(positions, biases, layer norms) weighs little, and each target stores it as suits its runtime.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ondevice.architectures import Encoder, Head
from ondevice.errors import UserError

# Word embeddings: the one part that is looked up, not multiplied.
TABLE = "embeddings.words"
# No part, since no scheme takes it below 8 bits; it is a table whose size counts all the same.
POSITIONS = "embeddings.positions"


def part_names(encoder: Encoder, head: Head) -> tuple[str, ...]:
    """Return the names of a graph's parts, in the order in which they are used."""
    modules = [
        name.removesuffix(".weight")
        for name in (*encoder.names, *head.names)
        if name.endswith(".weight")
    ]
    parts = [name for name in modules if not name.endswith("norm")]
    # A projection comes with the embeddings, a classifier's dense layer before its scores.
    return tuple(sorted(parts, key=lambda name: (_stage(name), name == "head.scores")))


def _stage(name: str) -> int:
    """Return where in the encoder a part stands: embeddings, then each layer, then the head."""
    found = re.match(r"layers\.(\d+)\.", name)
    if found:
        return 1 + int(found.group(1))
    return 1_000_000 if name.startswith("head") else 0


def shape_of(encoder: Encoder, head: Head, part: str) -> tuple[int, int]:
    """Return a part's rows (output channels, or words) and columns."""
    rows = {
        TABLE: encoder.vocab_size,
        "expand": encoder.intermediate,
        "head.scores": head.labels,
    }
    last = part.rsplit(".", 1)[-1]
    return rows.get(part, rows.get(last, encoder.width)), columns_of(encoder, part)


def columns_of(encoder: Encoder, part: str) -> int:
    """Return a part's columns: what one output channel, or one word, has weights for."""
    if part.startswith("embeddings."):
        return encoder.embedding_width
    return encoder.intermediate if part.endswith(".contract") else encoder.width


def choose(patterns: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the parts that patterns name, in the order of `names`.

    A pattern is a part, a module that holds parts (``layers.0``, ``layers.1.attention``), or
    either with the wildcards of a shell (``layers.*.contract``).

    Raises:
        UserError: a pattern names none.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = [name for name in names if any(fnmatchcase(one, pattern) for one in _paths(name))]
        if not found:
            raise UserError(
                f"this model has no part '{pattern}'; parts: {', '.join(_summary(names))};"
                " 'layers.0' is a whole layer, 'layers.*.contract' one matrix of each"
            )
        chosen.update(found)
    return tuple(name for name in names if name in chosen)


def _paths(name: str) -> list[str]:
    """Return a name and those of the modules round it: a.b.c, a.b, a."""
    pieces = name.split(".")
    return [".".join(pieces[:count]) for count in range(len(pieces), 0, -1)]


def _summary(names: Sequence[str]) -> list[str]:
    """Write the parts of all layers but the first as one range."""
    layers = sorted({_stage(name) for name in names} - {0, 1_000_000})
    last = layers[-1] - 1 if layers else 0
    numbers = "0" if last == 0 else f"(0…{last})"
    return [
        re.sub(r"^layers\.0\.", f"layers.{numbers}.", name)
        for name in names
        if not re.match(r"layers\.[1-9]", name)
    ]


def label(kept: Sequence[str]) -> str:
    """Return the word that stands behind a scheme's in a bundle's name; empty if all is rounded.

    The same parts give the same word, whichever patterns named them.
    """
    if not kept:
        return ""
    digest = hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest()
    return f"-keep-{digest[:6]}"
