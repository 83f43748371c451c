"""Text of strangers: names come from devices, so they are made harmless before they are shown."""

from __future__ import annotations

import re
import unicodedata

# Control, format (directional overrides, zero width), surrogate, private and unassigned: a name
# needs none of them, and an override would turn the figures beside it around.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#$])")


def clean(text: str) -> str:
    """Return a text in one line that does not control how other text is shown."""
    spaced = re.sub(r"[\t\r\n\u2028\u2029]", " ", text)
    return "".join(char for char in spaced if unicodedata.category(char) not in _UNSEEN)


def markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, in a table's cell too."""
    return _MARKDOWN.sub(r"\\\1", clean(text).replace("&", "&amp;"))


def listing(items: list[str], most: int = 5) -> str:
    """Return a few of many items as words: "a, b, c and 7 more"."""
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def plural(count: int, noun: str) -> str:
    """Return "1 file" or "2 files"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
