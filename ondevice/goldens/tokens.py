"""Texts with their tokens, and the places of code points in UTF-16 units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ondevice.golden_records import TokenizeRecord

if TYPE_CHECKING:
    from ondevice.tokenizer import TextTokenizer

# Where tokenizers on phones differ from Python's: accents, CJK, combining marks, emoji, no-break
# space, control characters, final sigma, a long word, a literal special token, empty text.
TEXTS = (
    "Where did the river begin?",
    "naïve café, São Paulo, Dvořák",
    "cafe\u0301 in decomposed form",
    "o\u0308\u0323 two marks, \u0301a mark first",
    "東京 is the capital of 日本",
    "𠀋 is outside the basic plane",
    "한글 was made in 1443",
    "ΟΔΥΣΣΕΥΣ",
    "İstanbul, STRASSE, straße, ǅ",
    "😀 emoji 👩\u200d👩\u200d👧 👍🏽 🇪🇺",
    "no\u00a0break\tand\nnew line\u2028separator\u3000wide",
    "control\u0000 \u0007characters\ufffd and\u00adsoft\u200bhyphens",
    "€100 ± 5 °C = 50%; $x^2 + y~2 | `code`",
    "ﬁne ½ ² ＡＢＣ",
    "نص عربي וטקסט עברי हिन्दी",
    "a" * 100,
    "a" * 101,
    "a literal [SEP] in the text",
    "[CLS][MASK] <s> </s>",
    " ",
    "",
)


def tokenize_records(tokenizer: TextTokenizer) -> Iterator[TokenizeRecord]:
    """Yield each of the texts with its tokens."""
    for text in TEXTS:
        yield tokenize_record(tokenizer, text)


def tokenize_record(tokenizer: TextTokenizer, text: str) -> TokenizeRecord:
    """Return a text with its tokens."""
    encoded = tokenizer.tokenizer.encode(text, add_special_tokens=False)
    return TokenizeRecord(
        text=text,
        ids=tuple(encoded.ids),
        offsets=tuple(encoded.offsets),
        utf16_offsets=utf16_ranges(text, encoded.offsets),
    )


def utf16_ranges(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return ranges of code points of a text as ranges of UTF-16 units."""
    places = utf16_places(text)
    return tuple((places[start], places[end]) for start, end in offsets)


def utf16_places(text: str) -> list[int]:
    """Return, for each code point of a text and its end, the place in UTF-16 units."""
    places = [0]
    for char in text:
        places.append(places[-1] + (2 if ord(char) > 0xFFFF else 1))
    return places
