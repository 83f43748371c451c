"""Reading files that somebody else may have written: checkpoints, data sets, bundles, results."""

from __future__ import annotations

from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse JSON whose nesting is bounded.

    ``json.loads`` recurses in C for every ``[`` and relies on Python's recursion limit, which the
    converters raise so far when they are imported that the stack ends first, and the process with
    it. This parser has a limit of its own (200).

    Raises:
        ValueError: it is no JSON, is cut off, or is nested too deeply; says where.
    """
    # Here, not above: a bundle also runs where only a runtime and NumPy are installed.
    import pydantic_core

    return pydantic_core.from_json(text)
