"""BERT's WordPiece with offsets, from the generated tables alone: what the phone cores repeat.

This is an executable specification. `tests/mobile/test_unicode_tables.py` holds it to the
reference tokenizer (`tokenizers`, Rust) on any Unicode text: same ids, same offsets. It is written
to be read, not to be fast.

The steps, in this order; each works on code points, never on UTF-16 units or grapheme clusters:

1. **Special tokens first, in the raw text.** Wherever `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` or
   `[MASK]` stands literally (case matters, no white space needed around it) it becomes that id.
   Only those that the vocabulary has; none is the beginning of another, so a scan from the left
   finds them. What lies between two of them goes through steps 2 to 6 **by itself**: marks are not
   ordered across it, no word spans it.
2. **Clean.** Drop what is REMOVED; what is SPACE becomes U+0020.
3. **Ideographs.** Put U+0020 before and after each IDEOGRAPH. (Asked of the cleaned character, so
   before any decomposition: U+F900 is one, and so is what it decomposes into; it is padded once.)
4. **Accents**, if they are stripped: NFD, then drop what is a MARK. NFD is: replace each code
   point by its whole decomposition (Hangul syllables by their rule); then order each run of code
   points whose combining class is not 0 by that class, stably. A space or an ideograph has class 0
   and ends a run. Marks that are kept (class not 0, but no MARK: spacing marks) do change places.
5. **Lower case**, if it is asked for: each code point by the table, without regard to its
   neighbours (Σ is σ at a word's end too; İ becomes i and U+0307 when accents are kept).
6. **Words**: split at U+0020, which vanishes, and around each PUNCTUATION, which is a word of its
   own. Both are asked of the normalized characters.
7. **Pieces** of each word, longest first, with `##` before all but the first. A word of more than
   100 normalized code points, or one that cannot be cut whole, is a single `[UNK]`.

**Offsets.** Every normalized character carries the place of the one code point of the text that it
stands for. A token's range begins at the place of its first character and ends one after the place
of its last. Where a place comes from:

- a character that replaces another keeps its place; one that is put in (a further part of a
  decomposition or of a lower case, the ideograph itself after the space before it, the space
  after it) takes the place of what was consumed last;
- NFD is where this is subtle: the reference pairs places with characters **after** reordering. Of
  the decomposed parts only the first of each source code point "consumes" it; the others are "put
  in". After ordering, walk through the result: each consuming part takes the place of the next
  source code point in line, each part put in takes the place of the one consumed last. So places
  never run backwards, and a mark that changed places with another wears the other's place. (Were
  a part put in ever first of all, its range would be [0, 0); no decomposition does that.)
- dropped characters take their place with them.

**Unpaired surrogates** are read as U+FFFD, which is REMOVED.

**Windows.** The question is tokenized; if it has more than `max_query` tokens, its *text* is cut
at the end of the range of token number `max_query` and tokenized again. That may give more tokens
than `max_query` (a Hangul syllable is cut into letters that share one place) or, with marks
reordered, others: take what comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SPACE, REMOVED, PUNCTUATION, IDEOGRAPH, MARK = 1, 2, 4, 8, 16
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100
FIRST_SYLLABLE, SYLLABLES = 0xAC00, 11172

# A normalized character and the place in the text that it stands for.
Placed = tuple[str, int]


@dataclass(frozen=True)
class UnicodeTables:
    """The tables as the phone cores hold them."""

    properties: Mapping[int, int]
    combining: Mapping[int, int]
    lowercase: Mapping[int, str]
    decomposition: Mapping[int, str]

    @classmethod
    def read(cls, texts: Mapping[str, str]) -> UnicodeTables:
        """Read them from the texts in a generated source file."""
        numbers = {name: [int(word, 36) for word in text.split()] for name, text in texts.items()}
        return cls(
            properties=_runs(numbers["properties"]),
            combining=_runs(numbers["combining"]),
            lowercase=_entries(numbers["lowercase"]),
            decomposition=_entries(numbers["decomposition"]),
        )

    def has(self, char: str, bit: int) -> bool:
        """Tell whether a character has a property."""
        return bool(self.properties.get(ord(char), 0) & bit)

    def decompose(self, char: str) -> str:
        """Return a character's whole canonical decomposition."""
        index = ord(char) - FIRST_SYLLABLE
        if not 0 <= index < SYLLABLES:
            return self.decomposition.get(ord(char), char)
        lead, vowel, tail = index // 588, index % 588 // 28, index % 28
        parts = chr(0x1100 + lead) + chr(0x1161 + vowel)
        return parts + chr(0x11A7 + tail) if tail else parts


def _runs(numbers: list[int]) -> dict[int, int]:
    values: dict[int, int] = {}
    end = 0
    for at in range(0, len(numbers), 3):
        first = end + numbers[at]
        end = first + numbers[at + 1]
        values |= dict.fromkeys(range(first, end), numbers[at + 2])
    return values


def _entries(numbers: list[int]) -> dict[int, str]:
    values: dict[int, str] = {}
    at = key = 0
    while at < len(numbers):
        after = at + 2 + numbers[at + 1]
        key += numbers[at]
        values[key] = "".join(map(chr, numbers[at + 2 : after]))
        at = after
    return values


@dataclass(frozen=True)
class WordPiece:
    """A tokenizer: `vocabulary` is from word piece to id."""

    tables: UnicodeTables = field(repr=False)
    vocabulary: Mapping[str, int] = field(repr=False)
    lowercase: bool = True
    strip_accents: bool = True

    def tokenize(self, text: str) -> list[tuple[int, int, int]]:
        """Return (id, start, end) of each token, without special tokens around them."""
        tokens: list[tuple[int, int, int]] = []
        begin = at = 0
        while at < len(text):
            special = next((s for s in self._specials() if text.startswith(s, at)), None)
            if special is None:
                at += 1
                continue
            tokens += self._plain(text[begin:at], begin)
            tokens.append((self.vocabulary[special], at, at + len(special)))
            begin = at = at + len(special)
        return [*tokens, *self._plain(text[begin:], begin)]

    def _specials(self) -> list[str]:
        return [special for special in SPECIALS if special in self.vocabulary]

    def _plain(self, text: str, shift: int) -> Iterator[tuple[int, int, int]]:
        for word in self._words(self.normalize(text)):
            for piece, start, end in self._pieces(word):
                yield piece, start + shift, end + shift

    def normalize(self, text: str) -> list[Placed]:
        """Return the normalized characters of a text, steps 2 to 5."""
        chars: list[Placed] = []
        for place, char in enumerate(text):
            if self.tables.has(char, REMOVED) or 0xD800 <= ord(char) < 0xE000:
                continue
            if self.tables.has(char, SPACE):
                chars.append((" ", place))
            elif self.tables.has(char, IDEOGRAPH):
                chars += [(" ", place), (char, place), (" ", place)]
            else:
                chars.append((char, place))
        if self.strip_accents:
            decomposed = self._decompose(chars)
            chars = [(char, place) for char, place in decomposed if not self.tables.has(char, MARK)]
        if self.lowercase:
            lower = self.tables.lowercase
            chars = [(low, place) for char, place in chars for low in lower.get(ord(char), char)]
        return chars

    def _decompose(self, chars: list[Placed]) -> list[Placed]:
        """Return the NFD of characters. Places are given out after the ordering: see above."""
        parts: list[tuple[str, bool]] = []  # and whether it consumes its source
        for char, _ in chars:
            parts += [(part, at == 0) for at, part in enumerate(self.tables.decompose(char))]
        combining = self.tables.combining
        begin = 0
        for end in range(len(parts) + 1):
            if end == len(parts) or ord(parts[end][0]) not in combining:
                parts[begin:end] = sorted(parts[begin:end], key=lambda p: combining[ord(p[0])])
                begin = end + 1
        places = iter([place for _, place in chars])
        result: list[Placed] = []
        place = 0
        for part, consumes in parts:
            if consumes:
                place = next(places)
            result.append((part, place))
        return result

    def _words(self, chars: list[Placed]) -> Iterator[list[Placed]]:
        word: list[Placed] = []
        for char, place in chars:
            alone = self.tables.has(char, PUNCTUATION)
            if not alone and char != " ":
                word.append((char, place))
                continue
            if word:
                yield word
            word = []
            if alone:
                yield [(char, place)]
        if word:
            yield word

    def _pieces(self, word: list[Placed]) -> list[tuple[int, int, int]]:
        text = "".join(char for char, _ in word)
        unknown = [(self.vocabulary["[UNK]"], word[0][1], word[-1][1] + 1)]
        if len(text) > LONGEST_WORD:
            return unknown
        pieces: list[tuple[int, int, int]] = []
        begin = 0
        while begin < len(text):
            for end in range(len(text), begin, -1):
                piece = ("##" if begin else "") + text[begin:end]
                if piece in self.vocabulary:
                    pieces.append((self.vocabulary[piece], word[begin][1], word[end - 1][1] + 1))
                    begin = end
                    break
            else:
                return unknown
        return pieces
